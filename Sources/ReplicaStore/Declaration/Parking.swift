// Values that have no place in a table: of fields that are not declared here yet, taken in when the schema arrives; and of
// declared ones whose columns would make other values of them (Misfit.swift).
//
// Invariant: a parked value is the current value of its register; versions and ledger treat it as any other.

internal import ReplicationModel

enum Parking {
    static func park(
        _ values: [LedgerValue], _ field: CompiledField, row: Int64, of table: CompiledTable,
        isMisfit: Bool = false, in writer: Writer
    ) throws {
        for (ordinal, value) in values.enumerated() {
            guard case .present(let value) = value else { continue }
            try writer.execute(
                """
                INSERT OR REPLACE INTO sync_parked(table_number, row, field, ordinal, value, misfit)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                [
                    .integer(table.number), .integer(row), .integer(field.number), .integer(Int64(ordinal)), value,
                    .integer(isMisfit ? 1 : 0),
                ])
        }
    }

    /// Nil where nothing is parked.
    static func values(of field: CompiledField, row: Int64, of table: CompiledTable, _ reader: Reader) throws
        -> [Value]?
    {
        let rows = try reader.query(
            "SELECT value FROM sync_parked WHERE table_number = ? AND row = ? AND field = ? ORDER BY ordinal",
            [.integer(table.number), .integer(row), .integer(field.number)])
        return rows.isEmpty ? nil : rows.map { $0[0] }
    }

    /// Declared fields of which some value is parked.
    static func misfitFields(_ reader: Reader) throws -> Set<Int64> {
        Set(try reader.query("SELECT DISTINCT field FROM sync_parked WHERE misfit").compactMap(\.values[0].integer))
    }

    /// Puts a field's parked values where they belong, now that it is declared. Capture does not see it: the values were
    /// written, and signed, elsewhere. Where a column would make another value of one, that of the row stays parked, and the
    /// row has the column's default: whoever writes such a thing spoils one value, and no column. Whoever follows the table's
    /// changes is told of the rows.
    static func takeIn(_ field: CompiledField, of table: CompiledTable, in writer: Writer) throws {
        let parked = try writer.query(
            """
            SELECT p.row, p.ordinal, p.value, r.id, r.alive FROM sync_parked p
            JOIN "sync_rows_\(table.name)" r ON r.row = p.row WHERE p.table_number = ? AND p.field = ?
            ORDER BY p.row, p.ordinal
            """, [.integer(table.number), .integer(field.number)])
        let columns = field.columns.map { "\"\($0)\" = ?" }.joined(separator: ", ")
        var rest = parked[...]
        while let first = rest.first {
            let row = rest.prefix { $0[0] == first[0] }
            rest = rest.dropFirst(row.count)
            guard row.map({ $0[1].integer }) == field.columns.indices.map({ Int64($0) }) else {
                throw ReplicaError.damaged("sync_parked")
            }
            let values = row.map { $0[2] }
            let place = [.integer(table.number), first[0], .integer(field.number)]
            guard try table.keeps(values, of: field, writer) else {
                try writer.execute(
                    "UPDATE sync_parked SET misfit = 1 WHERE table_number = ? AND row = ? AND field = ?", place)
                continue
            }
            let isAlive = first[4] == .integer(1)
            let home = isAlive ? table.name : "sync_graveyard_\(table.name)"
            try writer.execute("UPDATE \"\(home)\" SET \(columns) WHERE id = ?", values + [first[3]])
            if isAlive {
                try writer.execute(
                    "INSERT INTO \"sync_journal_\(table.name)\"(id, at, op) VALUES (?, \(Capture.now), ?)",
                    [first[3], .integer(JournalOperation.rebuilt.rawValue)])
            }
            try writer.execute("DELETE FROM sync_parked WHERE table_number = ? AND row = ? AND field = ?", place)
        }
    }
}
