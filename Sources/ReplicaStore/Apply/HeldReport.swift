// What waits, as a person asks about it: in runs, with what keeps each of them waiting in the end, and what is in it.
//
// Invariant: it is read from what is held, and changes nothing.

public import ReplicationModel
internal import ReplicationWire

/// What keeps a change set waiting, where that is another one.
public struct HeldRoot: Sendable, Hashable {
    /// The change set at the end of the chain.
    public let dot: Dot
    /// Why that one waits; nil where it has not come.
    public let cause: HeldCause?
    /// Whether a cut took it back, so that nothing but a higher cut lets in what builds on it.
    public var isCutOff: Bool { cause == .revoked || cause == .forked }
}

/// Held change sets of one origin that follow each other and wait for the same.
public struct HeldRun: Sendable, Hashable {
    public let origin: Origin
    public let first: SequenceNumber
    public fileprivate(set) var last: SequenceNumber
    public let cause: HeldCause
    /// As the first of them has it.
    public let detail: String
    public let releaseAt: WallClock?
    /// Nil where it waits for no other change set.
    public let root: HeldRoot?
    /// How many they are.
    public var count: UInt64 { last.rawValue - first.previous.rawValue }
    /// Whether a cut keeps them out: they lie beyond it, or build on what does.
    public var isCutOff: Bool { cause == .revoked || cause == .forked || root?.isCutOff == true }
}

/// One held change set, to be looked into.
public struct HeldContents: Sendable {
    public let changeSet: ChangeSet
    /// For each cell beside the body, in order: its bytes, or nil where they have not come.
    public let values: [[UInt8]?]
    /// Who brought it; nil where it was applied here before, and set aside.
    public let receivedFrom: NodeID?
}

/// A field, or a row's existence, that this node wrote on what is set aside, and writes again once its row is back.
public struct WaitingEdit: Sendable, Hashable {
    public let table: String
    public let id: RowID
    /// Nil: that the row is there, or is not.
    public let field: String?
}

extension HeldStore {
    /// What waits, by number or by origin and sequence, each with what keeps it waiting in the end where that is another.
    ///
    /// - Parameter order: SQL.
    private static func rooted(_ order: String, _ reader: Reader) throws -> [(held: HeldChangeSet, root: HeldRoot?)] {
        let places = try reader.query(
            "SELECT \(Waiting.columns) FROM sync_held h ORDER BY \(order)"
        ).map { try Waiting($0) }
        var roots = RootFinder(
            places: Dictionary(places.map { ($0.held.dot, ($0.held.cause, $0.waitsFor)) }) { first, _ in first },
            cuts: try CutStore.load(reader, own: nil))
        return places.map { place in
            let root = place.waitsFor.map { roots.root(of: $0) }
            guard let root, root.isCutOff, let cause = root.cause else { return (place.held, root) }
            let held = HeldChangeSet(
                dot: place.held.dot, cause: place.held.cause,
                detail: "builds on \(root.dot), which is cut off (\(cause.rawValue))", releaseAt: nil)
            return (held, root)
        }
    }

    /// What waits, oldest first.
    static func all(_ reader: Reader) throws -> [HeldChangeSet] { try rooted("number", reader).map(\.held) }

    /// What waits, by origin and sequence.
    static func runs(_ reader: Reader) throws -> [HeldRun] {
        var runs: [HeldRun] = []
        for (held, root) in try rooted("origin, seq", reader) {
            if let run = runs.last, run.origin == held.dot.origin, run.last.next == held.dot.sequence,
                run.cause == held.cause, run.root == root, run.releaseAt == nil, held.releaseAt == nil,
                root != nil || run.detail == held.detail
            {
                runs[runs.count - 1].last = held.dot.sequence
                continue
            }
            runs.append(
                HeldRun(
                    origin: held.dot.origin, first: held.dot.sequence, last: held.dot.sequence, cause: held.cause,
                    detail: held.detail, releaseAt: held.releaseAt, root: root))
        }
        return runs
    }

    /// Follows what waits for what, each step once.
    private struct RootFinder {
        let places: [Dot: (cause: HeldCause, waitsFor: Dot?)]
        let cuts: Cuts
        private var known: [Dot: HeldRoot] = [:]

        init(places: [Dot: (cause: HeldCause, waitsFor: Dot?)], cuts: Cuts) {
            self.places = places
            self.cuts = cuts
        }

        mutating func root(of dot: Dot) -> HeldRoot {
            var path: [Dot] = []
            var visited: Set<Dot> = []
            var dot = dot
            // A chain of honest change sets has an end; one of forged rows may have none.
            while known[dot] == nil, visited.insert(dot).inserted, let next = places[dot]?.waitsFor {
                path.append(dot)
                dot = next
            }
            let root =
                known[dot]
                ?? HeldRoot(
                    dot: dot,
                    cause: places[dot]?.cause
                        ?? (cuts.exclude(dot) ? cuts[dot.origin].map { HeldCause($0.cause) } : nil))
            for step in path + [dot] { known[step] = root }
            return root
        }
    }
}

extension Replica {
    /// What waits, in runs, by origin and sequence.
    public func heldRuns() throws -> [HeldRun] { try read { try HeldStore.runs($0) } }

    /// What is in a held change set; nil where no such is held.
    public func heldContents(_ dot: Dot) throws -> HeldContents? {
        try read { reader in
            guard let number = try HeldStore.find(dot, reader)?.number,
                let entry = try HeldStore.load(number, reader)
            else { return nil }
            return HeldContents(
                changeSet: entry.changeSet.changeSet, values: entry.changeSet.sealed.values, receivedFrom: entry.from)
        }
    }

    /// What this node wrote on rows that a cut took away, and that another's word must bring back.
    public func waitingEdits() throws -> [WaitingEdit] {
        try read { reader in
            try reader.query(
                """
                SELECT DISTINCT t.name, e.id, f.name FROM sync_set_aside_edits e JOIN sync_tables t ON t.number = e.table_number
                LEFT JOIN sync_fields f ON f.number = e.field AND f.table_number = e.table_number
                WHERE NOT e.with_insert ORDER BY 1, 2, 3
                """
            ).map { row in
                guard let table = row[0].string, case .text(let id) = row[1] else {
                    throw ReplicaError.damaged("sync_set_aside_edits")
                }
                return WaitingEdit(table: table, id: RowID(bytes: id), field: row[2].string)
            }
        }
    }
}
