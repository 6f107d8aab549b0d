// Where the large values of some rows are kept, by what was signed of them: the table, graveyard and ledger as they are
// now, and everything the journal kept of what was there before.
//
// Invariant: what is current when the index is made is written into the journal first, so nothing is lost when the rows
// are rebuilt.

internal import ReplicationModel
internal import ReplicationWire

final class ValueIndex {
    private struct Place {
        let n: Int64
        let position: Int
    }

    private let writer: Writer
    private var places: [Int64: [RowID: [LargeValue: Place]]] = [:]
    /// The rows' numbers, by which the journal names those that applying overwrote.
    private var numbers: [Int64: [RowID: Int64]] = [:]
    /// The journal entry that keeps the row as it is now.
    private var copies: [Int64: [RowID: Int64]] = [:]
    /// Values of fields that are not declared here have no column in the journal.
    private var parked: [LargeValue: [UInt8]] = [:]

    /// - Parameter rows: by table number.
    init(_ transaction: EngineTransaction, rows: [Int64: Set<RowID>]) throws {
        writer = transaction.writer
        for table in transaction.tables {
            guard let wanted = rows[table.number], !table.columns.isEmpty else { continue }
            var ids: [Int64: RowID] = [:]
            for id in wanted.sorted() {
                let store = try transaction.store(table)
                guard let state = try store.find(id) else { continue }
                ids[state.row] = id
                numbers[table.number, default: [:]][id] = state.row
                try copy(state, id, table, store, transaction.now)
            }
            try index(table, wanted, ids)
        }
    }

    /// The row's columns as they were; nil where it had none.
    func row(_ id: RowID, of table: CompiledTable) throws -> [Value]? {
        try copies[table.number]?[id].map { try JournalReader.oldValues(of: table, n: $0, writer) }
    }

    /// The bytes of a value; nil where they are kept nowhere.
    func find(_ large: LargeValue, of id: RowID, in table: CompiledTable) throws -> [UInt8]? {
        guard let place = places[table.number]?[id]?[large] else { return parked[large] }
        let statement = try writer.prepare(
            "SELECT \"old_\(table.columns[place.position])\" FROM \"sync_journal_\(table.name)\" WHERE n = ?")
        statement.bind(1, place.n)
        return try statement.first { statement.bytes(0, matching: large) } ?? nil
    }

    /// The values beside a change set, in order; nil for those kept nowhere.
    func values(of changeSet: ChangeSet, _ transaction: EngineTransaction) throws -> [[UInt8]?] {
        try changeSet.tables.flatMap { part in try values(of: part, transaction) }
    }

    func values(of part: TableChanges, _ transaction: EngineTransaction) throws -> [[UInt8]?] {
        guard let table = transaction.table(named: part.table) else {
            throw ReplicaError.damaged("the log names \(part.table)")
        }
        return try part.rows.flatMap { row in try row.besideCells.map { try find($0, of: row.id, in: table) } }
    }

    /// Gives the rows that are left their numbers back: the journal, which is not rewritten, names them so.
    func restoreNumbers(of table: CompiledTable) throws {
        let name = table.name
        // By way of numbers that no row has: a row's new number may be another's old one.
        for isLast in [false, true] {
            for (id, number) in (numbers[table.number] ?? [:]).sorted(by: { $0.key < $1.key }) {
                guard
                    let present = try writer.integer(
                        "SELECT row FROM \"sync_rows_\(name)\" WHERE id = ?", .text(id.bytes))
                else { continue }
                let next = isLast ? number : -number
                let change: [Value] = [.integer(next), .integer(present)]
                try writer.execute("UPDATE \"sync_rows_\(name)\" SET row = ? WHERE row = ?", change)
                try writer.execute("UPDATE \"sync_versions_\(name)\" SET row = ? WHERE row = ?", change)
                for part in ["sync_conflicts", "sync_awaiting", "sync_parked"] {
                    try writer.execute(
                        "UPDATE \(part) SET row = ? WHERE row = ? AND table_number = ?",
                        change + [.integer(table.number)])
                }
            }
        }
    }

    // MARK: Making

    private func copy(
        _ state: RowState, _ id: RowID, _ table: CompiledTable, _ store: TableStore, _ time: WallClock
    ) throws {
        if let values = try store.values(id, alive: state.alive) {
            try store.journalOverwritten(
                row: state.row, positions: Array(table.columns.indices), values: values, at: time)
            copies[table.number, default: [:]][id] = writer.lastInsertedRow
        }
        let lost = try writer.query(
            """
            SELECT c.field, v.ordinal, v.value FROM sync_conflicts c JOIN sync_conflict_values v ON v.conflict = c.number
            WHERE c.table_number = ? AND c.row = ? AND NOT v.absent AND c.field <> ?
            """, [.integer(table.number), .integer(state.row), .integer(CompiledField.existence)])
        for row in lost where row[2].byteCount > Limits.inlineValueBytes {
            let field = table.fields.first { $0.number == row[0].integer }
            guard let ordinal = row[1].integer, let field, field.positions.indices.contains(Int(ordinal)) else {
                park(row[2])
                continue
            }
            try store.journalOverwritten(
                row: state.row, positions: [field.positions[Int(ordinal)]], values: [row[2]], at: time)
        }
        for row in try writer.query(
            "SELECT value FROM sync_parked WHERE table_number = ? AND row = ?",
            [.integer(table.number), .integer(state.row)])
        {
            park(row[0])
        }
    }

    private func park(_ value: Value) {
        guard case .beside(let large) = ChangeSetBuilder.cell(value) else { return }
        switch value {
        case .text(let bytes), .blob(let bytes): parked[large] = bytes
        default: break
        }
    }

    /// One pass over the table's journal, which has no index by row.
    private func index(_ table: CompiledTable, _ wanted: Set<RowID>, _ ids: [Int64: RowID]) throws {
        let columns = table.columns.map { ", \"old_\($0)\"" }.joined()
        let statement = try writer.prepare(
            "SELECT n, id, op\(columns) FROM \"sync_journal_\(table.name)\" WHERE op IN (2, 3, 6)")
        try statement.forEach {
            let n = statement.integer(0)
            let isNumbered = statement.integer(2) == JournalOperation.overwritten.rawValue
            let id = isNumbered ? ids[statement.integer(1)] : RowID(bytes: statement.bytes(1))
            guard let id, wanted.contains(id) else { return }
            for position in table.columns.indices {
                guard let large = statement.largeValue(Int32(position + 3)) else { continue }
                places[table.number, default: [:]][id, default: [:]][large] = Place(n: n, position: position)
            }
        }
    }
}
