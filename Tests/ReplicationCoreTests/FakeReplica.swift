// A replica in memory, for stepping sessions: a log of change sets whose bodies are real, without tables.
import ReplicationCore
import ReplicationModel
import ReplicationWire

let workspace = WorkspaceID(Identifier128(high: 7, low: 7))

func node(_ number: UInt64) -> NodeID { NodeID(Identifier128(high: number, low: number)) }

func origin(_ number: UInt64, _ incarnation: UInt64 = 1) -> Origin {
    Origin(node: node(number), incarnation: incarnation)
}

/// Stands for SHA-256 where only equality matters.
func fakeDigest(_ bytes: [UInt8]) -> Identifier128 {
    var high: UInt64 = 0xcbf2_9ce4_8422_2325
    var low: UInt64 = 0x8422_2325_cbf2_9ce4
    for byte in bytes {
        high = (high ^ UInt64(byte)) &* 0x100_0000_01b3
        low = (low &+ high) &* 0x100_0000_01b3 ^ UInt64(byte)
    }
    return Identifier128(high: high, low: low)
}

final class FakeReplica {
    let id: NodeID
    private(set) var log: [OutgoingChangeSet] = []
    private(set) var applied = VersionVector()
    private var totals: [Origin: Totals] = [:]
    var safeBelow = SafeBelow.all
    var roster: Set<[UInt8]> = []
    var schema: [UInt8] = [1]
    var thirdNodes: [ThirdNode] = []
    var awaited: [Dot] = []
    var suspicions: [Dot] = []
    /// Origins that are not applied here.
    var holdsOrigins: Set<Origin> = []
    private(set) var held: [Dot: (HeldChangeSet, OutgoingChangeSet)] = [:]
    var memory: [NodeID: PeerMemory] = [:]
    /// What went wrong that a store must never see.
    private(set) var complaints: [String] = []
    private(set) var applyCalls = 0

    init(_ id: NodeID) { self.id = id }

    var rosterDigest: [UInt8] { fakeDigest(roster.sorted { $0.lexicographicallyPrecedes($1) }.flatMap { $0 }).bytes }

    var state: LocalState {
        LocalState(
            applied: applied, safeBelow: safeBelow, rosterDigest: rosterDigest, schemaDigest: schema,
            held: held.values.map(\.0), thirdNodes: thirdNodes, awaited: awaited, suspicions: suspicions,
            histories: histories(at: applied))
    }

    /// Where the histories end.
    var heads: Heads { heads(at: applied) }

    private func heads(at vector: VersionVector) -> Heads {
        var heads = Heads()
        for one in log where vector[one.dot.origin] == one.dot.sequence {
            heads.insert(one.dot, fakeDigest(one.changeSet.body))
        }
        return heads
    }

    /// The digest of the histories up to a vector.
    func histories(at vector: VersionVector) -> Identifier128 { fakeDigest(heads(at: vector).digestInput) }

    /// What is another change set here than in the heads of someone else.
    func differing(from heads: Heads) -> [Dot] {
        let ours = self.heads(at: heads.vector)
        return heads.vector.sorted.filter { origin, _ in
            ours.digests[origin].map { $0 != heads.digests[origin] } ?? false
        }.map { Dot(origin: $0.origin, sequence: $0.sequence) }
    }

    /// Change sets whose values are not here.
    var lost: Set<Dot> = []

    /// One change set with its values.
    func again(_ dot: Dot) -> OutgoingChangeSet? { log.first { $0.dot == dot && !lost.contains(dot) } }

    /// One change set as it was signed; nil where there is none.
    func signed(_ dot: Dot) -> SealedChangeSet? {
        log.first { $0.dot == dot }.map {
            SealedChangeSet(body: $0.changeSet.body, signature: $0.changeSet.signature, values: [])
        }
    }

    /// Writes and seals one row: `large` are the lengths of values beside the body.
    @discardableResult
    func write(as origin: Origin, large: [Int] = [], bodyBytes: Int = 40) -> Dot {
        let sequence = applied[origin].next
        let stamp = Stamp(WallClock(milliseconds: 1_000_000 + Int64(sequence.rawValue)))
        let besideBytes = UInt64(large.reduce(0, +))
        let inline = stride(from: 0, to: bodyBytes, by: 200).map { _ in
            Cell.inline(Value(String(repeating: "x", count: 200)))
        }
        let beside = large.map { length in
            Cell.beside(LargeValue(kind: .blob, digest: Digest.none, byteCount: UInt64(length)))
        }
        let columns = (0..<(inline.count + beside.count)).map { "c\($0)" }
        let perRow = 60
        let cells = inline + beside
        let rowCount = max(1, (cells.count + perRow - 1) / perRow)
        let fields = columns.prefix(min(cells.count, perRow)).map { Field(name: $0, columns: [$0]) }
        var rows: [RowChange] = []
        var fieldSets: [[Int]] = []
        for row in 0..<rowCount {
            let part = Array(cells[(row * perRow)..<min(cells.count, (row + 1) * perRow)])
            let set = Array(0..<part.count)
            if !fieldSets.contains(set) { fieldSets.append(set) }
            rows.append(
                RowChange(
                    kind: .update, id: RowID("row-\(row)"), stamp: stamp, fieldSet: fieldSets.firstIndex(of: set) ?? 0,
                    cells: part))
        }
        let before = totals[origin] ?? .zero
        let changes = UInt64(cells.count)
        let table = TableChanges(table: "t", fields: Array(fields), fieldSets: fieldSets, rows: rows)
        let header = ChangeSetHeader(
            origin: origin, sequence: sequence,
            previous: sequence == SequenceNumber(1)
                ? Digest.none
                : Digest(first: Identifier128(high: 1, low: sequence.rawValue), second: origin.node.identifier),
            contextChanges: VersionVector(), firstStamp: stamp, lastStamp: stamp, totalsBefore: before,
            changes: changes,
            besideBytes: besideBytes)
        let body = ChangeSetCodec.encode(ChangeSet(header: header, tables: [table]))
        let values = large.enumerated().map { index, length in
            [UInt8](repeating: UInt8(truncatingIfNeeded: index + length), count: length)
        }
        let sealed = SealedChangeSet(body: body, signature: [UInt8](repeating: 9, count: 64), values: values)
        let dot = Dot(origin: origin, sequence: sequence)
        append(OutgoingChangeSet(dot: dot, changes: changes, changeSet: sealed))
        totals[origin] = Totals(
            changes: before.changes + changes, bytes: before.bytes + UInt64(body.count) + besideBytes)
        return dot
    }

    private func append(_ changeSet: OutgoingChangeSet) {
        log.append(changeSet)
        applied[changeSet.dot.origin] = changeSet.dot.sequence
    }

    /// Has everything that `other` has, as after a full sync.
    func copy(from other: FakeReplica) {
        for entry in other.log where !applied.contains(entry.dot) { append(entry) }
    }

    func lacked(by vector: VersionVector, skipping: Set<Origin>) -> [OutgoingChangeSet] {
        log.filter { !vector.contains($0.dot) && !skipping.contains($0.dot.origin) }
    }

    func read(_ request: OutgoingRequest) -> OutgoingBatch {
        let all = lacked(by: request.lackedBy, skipping: request.skipping)
        var taken: [OutgoingChangeSet] = []
        var bytes: UInt64 = 0
        for next in all {
            let size = next.changeSet.values.reduce(UInt64(next.changeSet.body.count)) { $0 + UInt64($1?.count ?? 0) }
            if !taken.isEmpty && bytes + size > request.maxBytes { break }
            bytes += size
            taken.append(next)
        }
        return OutgoingBatch(changeSets: taken, reachedEnd: taken.count == all.count)
    }

    func backlog(lackedBy vector: VersionVector, skipping: Set<Origin>) -> Backlog {
        let all = lacked(by: vector, skipping: skipping)
        return Backlog(
            changeSets: UInt64(all.count), changes: all.reduce(0) { $0 + $1.changes },
            bytes: all.reduce(0) { $0 + UInt64($1.changeSet.body.count) }, oldest: WallClock(milliseconds: 1_000_000))
    }

    func apply(_ batch: [SealedChangeSet]) -> ApplyReport {
        applyCalls += 1
        var tally = Tally()
        var newlyHeld: [HeldChangeSet] = []
        for sealed in batch {
            guard let header = try? ChangeSetCodec.decodeHeader(sealed.body) else {
                complaints.append("a body that is none")
                continue
            }
            let entry = OutgoingChangeSet(dot: header.dot, changes: header.changes, changeSet: sealed)
            if applied.contains(header.dot) { continue }
            if holdsOrigins.contains(header.origin) {
                let one = HeldChangeSet(
                    dot: header.dot, cause: .unknownTable, detail: "table `t` is not declared here", releaseAt: nil)
                held[header.dot] = (one, entry)
                newlyHeld.append(one)
                continue
            }
            if applied[header.origin].next != header.sequence { complaints.append("a gap before \(header.dot)") }
            append(entry)
            tally += Tally(changeSets: 1, changes: header.changes, bytes: UInt64(sealed.body.count))
        }
        return ApplyReport(applied: applied, safeBelow: safeBelow, held: newlyHeld, received: tally)
    }

    /// The schema arrived: what is held is applied.
    func release(_ origin: Origin) {
        holdsOrigins.remove(origin)
        let ready = held.values.filter { $0.0.dot.origin == origin }.sorted { $0.0.dot.sequence < $1.0.dot.sequence }
        for (one, entry) in ready {
            held[one.dot] = nil
            append(entry)
        }
    }

    func remember(_ observation: PeerObservation) {
        func remembered(_ vector: VersionVector) -> RememberedVector {
            RememberedVector(vector: vector, digest: fakeDigest(vector.digestInput))
        }
        memory[observation.peer] = PeerMemory(
            told: remembered(observation.told), heard: remembered(observation.applied))
    }
}
