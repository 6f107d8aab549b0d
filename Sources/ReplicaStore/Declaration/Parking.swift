// Values of fields that are not declared here yet: parked, and taken in when the schema arrives.
//
// Invariant: a parked value is the current value of its register; versions and ledger treat it as any other.

internal import ReplicationModel

enum Parking {
    static func park(
        _ values: [LedgerValue], _ field: CompiledField, row: Int64, of table: CompiledTable, in writer: Writer
    ) throws {
        for (ordinal, value) in values.enumerated() {
            guard case .present(let value) = value else { continue }
            try writer.execute(
                "INSERT OR REPLACE INTO sync_parked(table_number, row, field, ordinal, value) VALUES (?, ?, ?, ?, ?)",
                [.integer(table.number), .integer(row), .integer(field.number), .integer(Int64(ordinal)), value])
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

    /// Puts a field's parked values where they belong, now that it is declared. Capture does not see it: the values were
    /// written, and signed, elsewhere.
    ///
    /// - Throws: `ReplicaError.schema` where a column would make another value of one of them.
    static func takeIn(_ field: CompiledField, of table: CompiledTable, in writer: Writer) throws {
        let parked = try writer.query(
            """
            SELECT p.row, p.ordinal, p.value, r.id, r.alive FROM sync_parked p
            JOIN "sync_rows_\(table.name)" r ON r.row = p.row WHERE p.table_number = ? AND p.field = ?
            """, [.integer(table.number), .integer(field.number)])
        for row in parked {
            guard case .integer(let ordinal) = row[1], field.columns.indices.contains(Int(ordinal)) else {
                throw ReplicaError.damaged("sync_parked")
            }
            let column = field.columns[Int(ordinal)]
            guard try table.affinity(of: column).keeps(row[2], writer) else {
                throw ReplicaError.unfit(table: table.name, column: column, row: row[3].string ?? "")
            }
            let home = row[4] == .integer(1) ? table.name : "sync_graveyard_\(table.name)"
            try writer.execute(
                "UPDATE \"\(home)\" SET \"\(column)\" = ? WHERE id = ?", [row[2], row[3]])
        }
        try writer.execute(
            "DELETE FROM sync_parked WHERE table_number = ? AND field = ?",
            [.integer(table.number), .integer(field.number)])
    }
}
