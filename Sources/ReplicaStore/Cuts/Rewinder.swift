// Rewinding: when a cut appears below what is applied, the replica becomes what it would be had it known the cut from the
// beginning.
//
// Invariant: afterwards log, tables, metadata, ledger and vector are those of a replica that applied what is left of the log,
// and nothing else; what was set aside is held. Everything is written in an order that contents decide, none that hash tables
// do: a run of the simulator is repeated to the last page of a file.

public import ReplicationModel
internal import ReplicationWire
internal import Trust

/// What new cuts did to a replica.
public struct Rewind: Sendable, Hashable {
    /// Change sets set aside because they come after a cut.
    public var beyondCuts = 0
    /// Change sets set aside because they build on those.
    public var dependent = 0
    /// Held change sets that were let in.
    public var released = 0
    /// Field writes of this node that were written again.
    public var rewritten: UInt64 = 0
    /// The origin under which this replica goes on, where its former one was set aside.
    public var newOrigin: Origin?
    /// Whether the vector shrank.
    public var isRewound: Bool { beyondCuts + dependent > 0 }
}

final class Rewinder {
    private let writer: Writer
    private let replica: Replica
    private let now: WallClock
    private var result = Rewind()
    /// What earlier cuts took back of revoked nodes.
    private var orphaned: Set<Dot> = []

    init(_ writer: Writer, _ replica: Replica) {
        self.writer = writer
        self.replica = replica
        now = replica.clock()
    }

    /// Brings the replica in line with the roster's revocations and the fork proofs; nil where it is.
    func run() throws -> Rewind? {
        let cuts = try CutStore.derive(writer)
        guard try cuts != CutStore.load(writer, own: nil) else { return nil }
        // Edits made so far may rest on anything that is here now.
        try Sealer(try replica.engineTransaction(writer), key: replica.key).sealAll()
        try CutStore.save(cuts, in: writer)
        let transaction = try EngineTransaction(writer, now: now)
        let first = try Self.firstSetAside(by: transaction.cuts, transaction.origins, writer)
        if first.isEmpty {
            // Nothing is taken back, but what was before may have lost to what is void now.
            try collectEarlier(transaction, try ValueIndex(transaction, rows: [:]), first).keep()
        } else {
            do {
                try rewind(transaction, first)
            } catch let error as SQLError where error.isConstraint {
                throw ReplicaError(
                    .refused,
                    "Cannot take back what a revocation or a fork voids: a constraint that somebody added to a replicated table forbids what is left of it (\(error.message)). Drop it, for example with `DROP INDEX`, and pull again; until then this node does not heed it, and takes part in no session that tells of it."
                )
            }
        }
        let report = try Batch(writer, replica: replica, peer: nil, cutsChanged: true, orphaned: orphaned).run([])
        result.released = report.changeSets
        result.rewritten = report.rewritten
        if result.isRewound { try ReplicaNotice.add(.rewound, notice(first, transaction), at: now, in: writer) }
        return result
    }

    private func notice(_ first: [Int64: SequenceNumber], _ before: EngineTransaction) throws -> String {
        let cut = before.origins.records.compactMap { record -> String? in
            guard first[record.number] != nil, let cut = before.cuts[record.origin] else { return nil }
            return "\(record.origin) is cut off after \(cut.lastAccepted) (\(cut.cause.rawValue))"
        }
        var text =
            "\(result.beyondCuts.of("change set was", "change sets were")) taken back because \(cut.joined(separator: ", "))"
        if result.dependent > 0 {
            text +=
                ", and \(result.dependent.of("that builds", "that build")) on \(result.beyondCuts == 1 ? "it" : "them")"
        }
        let taken = result.beyondCuts + result.dependent
        text +=
            ". \(taken == 1 ? "It is" : "They are") held, not lost: `syncnode held` lists \(taken == 1 ? "it, and it comes" : "them, and they come") back if the cut is raised."
        if let origin = result.newOrigin {
            text +=
                " What this node wrote of it is written again, \(result.rewritten.of("field write")) under the new origin \(origin)."
        }
        return text
    }

    /// For each origin, by its number, the first change set that does not count: it comes after a cut, or had seen one
    /// that does not.
    static func firstSetAside(by cuts: Cuts, _ origins: OriginBook, _ reader: Reader) throws -> [Int64: SequenceNumber]
    {
        var first: [Int64: SequenceNumber] = [:]
        for record in origins.records {
            if let cut = cuts[record.origin], record.applied > cut.lastAccepted {
                first[record.number] = cut.lastAccepted.next
            }
        }
        var left = Array(first.keys)
        while let number = left.popLast(), let sequence = first[number] {
            let builders = try reader.query(
                "SELECT origin, min(seq) FROM sync_contexts WHERE of_origin = ? AND of_seq >= ? GROUP BY origin",
                [.integer(number), .integer(Int64(bitPattern: sequence.rawValue))])
            for row in builders {
                guard let builder = row[0].integer, let at = row[1].integer else { continue }
                let built = SequenceNumber(UInt64(bitPattern: at))
                if let known = first[builder], known <= built { continue }
                first[builder] = built
                left.append(builder)
            }
        }
        return first
    }

    // MARK: The steps

    private func rewind(_ before: EngineTransaction, _ first: [Int64: SequenceNumber]) throws {
        let rows = try affectedRows(before, first)
        let index = try ValueIndex(before, rows: rows)
        var own = try collectEarlier(before, index, first)
        let left = try writers(of: rows, before, first)
        let lastPosition = try writer.integer("SELECT max(position) FROM sync_change_sets") ?? 0
        let record = before.origins[before.own]
        let taken = HeldStore.TakenBack(origin: record?.number ?? 0, sequence: record?.applied ?? .zero)
        try forEachSetAside(first) { changeSet, sealed, from in
            own.take(changeSet, taken, from: from, held: nil)
            let values = try index.values(of: changeSet, before)
            try hold(
                changeSet, SealedChangeSet(body: sealed.body, signature: sealed.signature, values: values), from,
                before, first, taken)
        }
        try own.keep()
        try takeFromLog(first, lastPosition)
        for table in before.tables { try clear(rows[table.number] ?? [], of: table) }
        let transaction = try EngineTransaction(writer, now: now)
        try replay(left, rows, index, transaction)
        for table in transaction.tables {
            guard let rows = rows[table.number] else { continue }
            try index.restoreNumbers(of: table)
            for id in rows.sorted() {
                try writer.execute(
                    "INSERT INTO \"sync_journal_\(table.name)\"(id, at, op) VALUES (?, ?, ?)",
                    [.text(id.bytes), .integer(now.milliseconds), .integer(JournalOperation.rebuilt.rawValue)])
            }
        }
        try transaction.passOverJournals()
        if let record = before.origins[before.own], first[record.number] != nil {
            result.newOrigin = try replica.takeNewIncarnation(after: record, in: writer)
        }
        try Settings.countRewind(in: writer)
    }

    /// What earlier cuts took back: cuts that come one after the other have the outcome of all of them at once.
    private func collectEarlier(
        _ before: EngineTransaction, _ index: ValueIndex, _ first: [Int64: SequenceNumber]
    ) throws -> SetAsideCollector {
        var own = SetAsideCollector(before, index, cuts: before.cuts, first: first)
        try HeldStore.forEachTakenBack(writer) { own.take($1, $2, from: $3, held: $0) }
        orphaned = own.orphaned
        return own
    }

    private func forEachSetAside(
        _ first: [Int64: SequenceNumber], _ body: (ChangeSet, SealedChangeSet, NodeID?) throws -> Void
    ) throws {
        for (number, sequence) in first.sorted(by: { $0.key < $1.key }) {
            var next: Int64? = Int64(bitPattern: sequence.rawValue)
            // One at a time: `body` writes, and the log may be long.
            while let current = next {
                let row = try writer.query(
                    """
                    SELECT seq, body, signature, received_from FROM sync_change_sets WHERE origin = ? AND seq >= ?
                    ORDER BY seq LIMIT 1
                    """, [.integer(number), .integer(current)]
                ).first
                guard let row, let at = row[0].integer, let bytes = row[1].bytes, let signature = row[2].bytes else {
                    break
                }
                try body(
                    ChangeSetCodec.decode(kept: bytes, "sequence \(at) of origin \(number) in the log"),
                    SealedChangeSet(body: bytes, signature: signature, values: []),
                    row[3].bytes.flatMap { NodeID(bytes: $0) })
                next = at + 1
            }
        }
    }

    private func affectedRows(_ before: EngineTransaction, _ first: [Int64: SequenceNumber]) throws
        -> [Int64: Set<RowID>]
    {
        var rows: [Int64: Set<RowID>] = [:]
        try forEachSetAside(first) { changeSet, _, _ in
            for part in changeSet.tables {
                guard let table = before.table(named: part.table) else {
                    throw ReplicaError.damaged("the log names \(part.table)")
                }
                rows[table.number, default: []].formUnion(part.rows.map(\.id))
            }
        }
        return rows
    }

    /// One change set by its origin's number and its sequence.
    private struct Place: Hashable {
        let origin: Int64
        let sequence: Int64
    }

    /// The change sets that wrote to these rows and stay.
    private func writers(
        of rows: [Int64: Set<RowID>], _ before: EngineTransaction, _ first: [Int64: SequenceNumber]
    ) throws -> Set<Place> {
        var places: Set<Place> = []
        for table in before.tables {
            let writes = try writer.prepare(
                """
                SELECT origin, seq FROM "sync_rows_\(table.name)" WHERE row = ?1 AND origin IS NOT NULL
                UNION SELECT origin, seq FROM "sync_versions_\(table.name)" WHERE row = ?1
                """)
            for id in rows[table.number] ?? [] {
                guard let state = try before.store(table).find(id) else { continue }
                writes.bind(1, state.row)
                try writes.forEach {
                    let place = Place(origin: writes.integer(0), sequence: writes.integer(1))
                    let sequence = SequenceNumber(UInt64(bitPattern: place.sequence))
                    if first[place.origin].map({ sequence < $0 }) ?? true { places.insert(place) }
                }
            }
        }
        return places
    }

    private func hold(
        _ changeSet: ChangeSet, _ sealed: SealedChangeSet, _ from: NodeID?, _ before: EngineTransaction,
        _ first: [Int64: SequenceNumber], _ taken: HeldStore.TakenBack
    ) throws {
        let dot = changeSet.header.dot
        var earlier: Dot?
        let held: HeldChangeSet
        if let cut = before.cuts[dot.origin], dot.sequence > cut.lastAccepted {
            result.beyondCuts += 1
            held = HeldChangeSet(
                dot: dot, cause: HeldCause(cut.cause),
                detail: "its origin is cut off after \(cut.lastAccepted), and it was here before that was known",
                releaseAt: nil)
        } else {
            result.dependent += 1
            let seen = try changeSet.header.contextChanges.sorted.first { origin, sequence in
                try first[before.origins.number(of: origin)].map { sequence >= $0 } ?? false
            }
            let waited =
                seen.map { Dot(origin: $0.origin, sequence: $0.sequence) }
                ?? Dot(origin: dot.origin, sequence: dot.sequence.previous)
            earlier = waited
            held = HeldChangeSet(
                dot: dot, cause: .waitsForEarlier, detail: "waits for \(waited)", releaseAt: nil)
        }
        try HeldStore.takeBack(
            ProvenChangeSet(sealed: sealed, view: try ChangeSetView(sealed.body), digest: SHA256.digest(sealed.body)),
            held, until: earlier.map { .after($0) } ?? .anything, from: from, taken, at: now,
            in: writer)
    }

    private func takeFromLog(_ first: [Int64: SequenceNumber], _ lastPosition: Int64) throws {
        for (number, sequence) in first.sorted(by: { $0.key < $1.key }) {
            let bounds: [Value] = [.integer(number), .integer(Int64(bitPattern: sequence.rawValue))]
            try writer.execute("DELETE FROM sync_contexts WHERE origin = ? AND seq >= ?", bounds)
            try writer.execute("DELETE FROM sync_change_sets WHERE origin = ? AND seq >= ?", bounds)
            let end =
                try writer.query(
                    """
                    SELECT seq, digest, last_stamp, changes, bytes FROM sync_change_sets WHERE origin = ?
                    ORDER BY seq DESC LIMIT 1
                    """, [.integer(number)]
                ).first?.values ?? [.integer(0), .null, .integer(0), .integer(0), .integer(0)]
            try writer.execute(
                """
                UPDATE sync_origins SET applied = ?, digest = ?, last_stamp = ?, changes = ?, bytes = ? WHERE number = ?
                """, end + [.integer(number)])
        }
        // Whoever follows the log stands at its last position: what comes next must come after it.
        if let last = try writer.integer("SELECT max(position) FROM sync_change_sets") {
            try writer.execute(
                "UPDATE sync_change_sets SET position = ? WHERE position = ?",
                [.integer(lastPosition), .integer(last)])
        } else {
            try Settings.set(Settings.logFloor, to: .integer(lastPosition), in: writer)
        }
    }

    private func clear(_ rows: Set<RowID>, of table: CompiledTable) throws {
        let name = table.name
        for id in rows.sorted() {
            let row = try writer.integer("SELECT row FROM \"sync_rows_\(name)\" WHERE id = ?", .text(id.bytes))
            for place in [name, "sync_graveyard_\(name)", "sync_rows_\(name)"] {
                try writer.execute("DELETE FROM \"\(place)\" WHERE id = ?", [.text(id.bytes)])
            }
            guard let row else { continue }
            try writer.execute("DELETE FROM \"sync_versions_\(name)\" WHERE row = ?", [.integer(row)])
            let register: [Value] = [.integer(table.number), .integer(row)]
            for part in ["sync_conflict_values", "sync_conflict_witnesses"] {
                try writer.execute(
                    """
                    DELETE FROM \(part) WHERE conflict IN
                    (SELECT number FROM sync_conflicts WHERE table_number = ? AND row = ?)
                    """, register)
            }
            for part in ["sync_conflicts", "sync_awaiting", "sync_parked"] {
                try writer.execute("DELETE FROM \(part) WHERE table_number = ? AND row = ?", register)
            }
        }
    }

    /// Applies again, in the order of the log, what else was written to the rows.
    private func replay(
        _ places: Set<Place>, _ rows: [Int64: Set<RowID>], _ index: ValueIndex, _ transaction: EngineTransaction
    ) throws {
        let positions = try places.map { place in
            let position = try writer.integer(
                "SELECT position FROM sync_change_sets WHERE origin = ? AND seq = ?", .integer(place.origin),
                .integer(place.sequence))
            guard let position else { throw ReplicaError.damaged("the log lacks a write that the metadata knows") }
            return position
        }
        let applier = Applier(transaction, released: []) { _ in false }
        for position in positions.sorted() {
            let body = try writer.query("SELECT body FROM sync_change_sets WHERE position = ?", [.integer(position)])
            guard let body = body.first?[0].bytes else { throw ReplicaError.damaged("sync_change_sets") }
            let changeSet = try ChangeSetCodec.decode(kept: body, "position \(position) of the log")
            for part in changeSet.tables {
                guard let table = transaction.table(named: part.table), let wanted = rows[table.number] else {
                    continue
                }
                let some = TableChanges(
                    table: part.table, fields: part.fields, fieldSets: part.fieldSets,
                    rows: part.rows.filter { wanted.contains($0.id) })
                try applier.replay(some, changeSet.header, values: index.values(of: some, transaction))
            }
        }
    }
}
