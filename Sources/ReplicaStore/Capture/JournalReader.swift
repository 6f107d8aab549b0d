// The unsealed part of the journals, in the order in which it is stamped.
//
// Invariant: entries of one table stay in journal order; tables are merged by the entries' wall clocks.

internal import ReplicationModel

/// One captured write.
struct JournalEntry {
    /// Index in the transaction's tables.
    let table: Int
    let n: Int64
    let id: RowID
    let at: WallClock
    let operation: JournalOperation
    let mask: Int64

    /// Milliseconds between two entries that follow each other.
    func pause(since earlier: JournalEntry) -> Int64 { at.milliseconds &- earlier.at.milliseconds }
}

/// A bounded run of unsealed entries, and what the values were at its end.
struct JournalChunk {
    /// In the order in which they are stamped; where more follow, they end where the writer paused (`TransactionBorder`).
    let entries: [JournalEntry]
    /// For each table, the last journal number in this chunk; nil where it holds none of the table's.
    let lastNumbers: [Int64?]
    /// False where unsealed entries follow.
    let reachesEnd: Bool
}

enum JournalReader {
    static func unsealedCount(_ tables: [CompiledTable], _ reader: Reader) throws -> Int64 {
        try tables.reduce(0) { sum, table in
            sum
                + (try reader.integer(
                    """
                    SELECT count(*) FROM "sync_journal_\(table.name)"
                    WHERE n > (SELECT sealed FROM sync_tables WHERE number = ?) AND op < ?
                    """, .integer(table.number), .integer(JournalOperation.overwritten.rawValue)) ?? 0)
        }
    }

    static func hasUnsealed(_ tables: [CompiledTable], _ reader: Reader) throws -> Bool {
        try tables.contains { table in
            try reader.integer(
                """
                SELECT EXISTS(SELECT 1 FROM "sync_journal_\(table.name)"
                WHERE n > (SELECT sealed FROM sync_tables WHERE number = ?))
                """, .integer(table.number)) == 1
        }
    }

    static func chunk(_ tables: [CompiledTable], limit: Int, _ reader: Reader) throws -> JournalChunk {
        let queues = try tables.indices.map { try entries(of: tables[$0], index: $0, limit: limit + 1, reader) }
        var heads = [Int](repeating: 0, count: queues.count)
        // One more than fits, to see what pause comes before it.
        var merged: [JournalEntry] = []
        while merged.count <= limit {
            var next: Int?
            for index in queues.indices where heads[index] < queues[index].count {
                if let other = next, queues[other][heads[other]].at <= queues[index][heads[index]].at { continue }
                next = index
            }
            guard let next else { break }
            merged.append(queues[next][heads[next]])
            heads[next] += 1
        }
        let reachesEnd = merged.count <= limit
        if !reachesEnd {
            let end = TransactionBorder.cut(in: 0..<limit) { merged[$0].pause(since: merged[$0 - 1]) }
            merged.removeSubrange(end...)
        }
        var last = [Int64?](repeating: nil, count: queues.count)
        for entry in merged { last[entry.table] = entry.n }
        return JournalChunk(entries: merged, lastNumbers: last, reachesEnd: reachesEnd)
    }

    private static func entries(of table: CompiledTable, index: Int, limit: Int, _ reader: Reader) throws
        -> [JournalEntry]
    {
        let statement = try reader.prepare(
            """
            SELECT n, id, at, op, mask FROM "sync_journal_\(table.name)"
            WHERE n > (SELECT sealed FROM sync_tables WHERE number = ?) ORDER BY n LIMIT ?
            """)
        statement.bind(1, table.number)
        statement.bind(2, limit)
        var entries: [JournalEntry] = []
        try statement.forEach {
            guard let operation = JournalOperation(rawValue: statement.integer(3)) else {
                throw ReplicaError.damaged("sync_journal_\(table.name)")
            }
            guard operation.isEdit else { return }
            entries.append(
                JournalEntry(
                    table: index, n: statement.integer(0), id: RowID(bytes: statement.bytes(1)),
                    at: WallClock(milliseconds: statement.integer(2)), operation: operation, mask: statement.integer(4))
            )
        }
        return entries
    }

    /// For rows of a chunk that later, still unsealed entries touched: where the value of each column at the chunk's end
    /// is kept. A row inserted again later has no such place; it is named in `replaced`.
    struct LaterWrites {
        var places: [RowID: [Int: Int64]] = [:]
        var replaced: Set<RowID> = []
    }

    static func laterWrites(
        to ids: Set<RowID>, in table: CompiledTable, after n: Int64, _ reader: Reader
    ) throws -> LaterWrites {
        var later = LaterWrites()
        var closed: Set<RowID> = []
        let statement = try reader.prepare(
            "SELECT n, id, op, mask FROM \"sync_journal_\(table.name)\" WHERE n > ? ORDER BY n")
        statement.bind(1, n)
        try statement.forEach {
            let id = RowID(bytes: statement.bytes(1))
            guard ids.contains(id), !closed.contains(id) else { return }
            let operation = JournalOperation(rawValue: statement.integer(2))
            let mask = statement.integer(3)
            switch operation {
            case .update, .delete:
                for position in table.columns.indices where mask >> Int64(position) & 1 == 1 {
                    if later.places[id]?[position] == nil {
                        later.places[id, default: [:]][position] = statement.integer(0)
                    }
                }
                if operation == .delete { closed.insert(id) }
            case .insert:
                later.replaced.insert(id)
                closed.insert(id)
            default: closed.insert(id)
            }
        }
        return later
    }

    /// The old values that one entry keeps, all columns by position.
    static func oldValues(of table: CompiledTable, n: Int64, _ reader: Reader) throws -> [Value] {
        guard !table.columns.isEmpty else { return [] }
        let columns = table.columns.map { "\"old_\($0)\"" }.joined(separator: ", ")
        let statement = try reader.prepare("SELECT \(columns) FROM \"sync_journal_\(table.name)\" WHERE n = ?")
        statement.bind(1, n)
        guard let values = try statement.first({ statement.values(0..<Int32(table.columns.count)) }) else {
            throw ReplicaError.damaged("sync_journal_\(table.name) lacks entry \(n)")
        }
        return values
    }
}
