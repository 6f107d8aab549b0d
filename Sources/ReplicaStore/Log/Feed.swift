// Following a replica: which rows changed since a cursor, and what was applied or sealed in which order.
//
// Invariant: a change committed after a cursor was taken is reported after that cursor, at least once.

public import ReplicationModel
internal import ReplicationWire

/// A place in the feed of one table.
public struct FeedCursor: Sendable, Hashable {
    let position: Int64
    let journal: Int64
    public static let start = FeedCursor(position: 0, journal: 0)

    init(position: Int64, journal: Int64) {
        self.position = position
        self.journal = journal
    }

    /// Two numbers with a hyphen between.
    public var text: String { "\(position)-\(journal)" }

    public init?(text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard parts.count == 2, let position = parts[0], let journal = parts[1], position >= 0, journal >= 0 else {
            return nil
        }
        self.init(position: position, journal: journal)
    }
}

/// A change set as `watch` shows it.
public struct LogEntry: Sendable {
    /// Its place in this replica's order of arrival: the next `after`.
    public let position: Int64
    public let changeSet: ChangeSet
    /// Nil for one sealed here.
    public let receivedFrom: NodeID?
    public let receivedAt: WallClock
}

extension Replica {
    /// Rows of a table that were changed here or elsewhere, deletions included, after a cursor.
    ///
    /// - Parameter limit: about how many; what one change set changed is never split.
    public func changedRows(
        in table: String, after cursor: FeedCursor, limit: Int
    ) throws -> (ids: [RowID], next: FeedCursor, reachedEnd: Bool) {
        try read { reader in
            var ids: [RowID] = []
            var seen: Set<RowID> = []
            func report(_ id: RowID) { if seen.insert(id).inserted { ids.append(id) } }
            let journal = try captured(table, after: cursor.journal, limit: limit, reader, report)
            var position = cursor.position
            var reachedEnd = journal.reachedEnd
            let own = try Settings.ownOrigin(reader)
            let statement = try reader.prepare(
                """
                SELECT position, body FROM sync_change_sets WHERE position > ?
                AND origin <> (SELECT number FROM sync_origins WHERE origin = ?) ORDER BY position
                """)
            statement.bind(1, position)
            statement.bind(2, blob: own.bytes)
            defer { statement.reset() }
            while true {
                guard ids.count < limit else {
                    reachedEnd = false
                    break
                }
                guard try statement.step() else {
                    // What is sealed here is told by the journal: it need not be looked through again.
                    position = max(position, try reader.integer("SELECT max(position) FROM sync_change_sets") ?? 0)
                    break
                }
                position = statement.integer(0)
                let changeSet = try ChangeSetCodec.decode(kept: statement.bytes(1), "position \(position) of the log")
                for part in changeSet.tables where part.table == table {
                    for row in part.rows { report(row.id) }
                }
            }
            return (ids, FeedCursor(position: position, journal: journal.last), reachedEnd)
        }
    }

    private func captured(
        _ table: String, after n: Int64, limit: Int, _ reader: Reader, _ report: (RowID) -> Void
    ) throws -> (last: Int64, reachedEnd: Bool) {
        guard try reader.integer("SELECT 1 FROM sync_tables WHERE name = ?", Value(table)) == 1 else {
            throw ReplicaError(.input, "There is no replicated table \(table).")
        }
        let statement = try reader.prepare(
            "SELECT n, id, op FROM \"sync_journal_\(table)\" WHERE n > ? ORDER BY n LIMIT ?")
        statement.bind(1, n)
        statement.bind(2, limit)
        var last = n
        var count = 0
        try statement.forEach {
            last = statement.integer(0)
            count += 1
            if statement.integer(2) != JournalOperation.overwritten.rawValue {
                report(RowID(bytes: statement.bytes(1)))
            }
        }
        return (last, count < limit)
    }

    /// The log after a position, in order of arrival; own edits appear once they are sealed.
    public func log(after position: Int64, limit: Int) throws -> [LogEntry] {
        try read { reader in
            try reader.query(
                """
                SELECT position, body, received_from, received_at FROM sync_change_sets WHERE position > ?
                ORDER BY position LIMIT ?
                """, [.integer(position), .integer(Int64(limit))]
            ).map { row in
                guard let position = row[0].integer, let body = row[1].bytes, let at = row[3].integer else {
                    throw ReplicaError.damaged("sync_change_sets")
                }
                return LogEntry(
                    position: position,
                    changeSet: try ChangeSetCodec.decode(kept: body, "position \(position) of the log"),
                    receivedFrom: row[2].bytes.flatMap { NodeID(bytes: $0) }, receivedAt: WallClock(milliseconds: at))
            }
        }
    }

    /// The last position of the log.
    public func lastLogPosition() throws -> Int64 {
        try read { try $0.integer("SELECT max(position) FROM sync_change_sets") ?? 0 }
    }
}
