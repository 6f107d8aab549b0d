// The values of deleted rows: one table beside each replicated one.
//
// Invariant: a register that nobody wrote has the column's default, in the table and in the graveyard alike, whatever came
// first here: the row's deletion or the column.

internal import ReplicationModel

enum Graveyard {
    private struct Columns: Equatable {
        /// By position; nil where there is none.
        var defaults: [(name: String, value: String?)]

        static func == (a: Columns, b: Columns) -> Bool {
            a.defaults.map(\.name) == b.defaults.map(\.name) && a.defaults.map(\.value) == b.defaults.map(\.value)
        }
    }

    /// Makes the graveyard of a declared table, or gives it the columns and defaults that the table has now.
    static func bringUpToDate(_ table: CompiledTable, in writer: Writer) throws {
        let name = "sync_graveyard_\(table.name)"
        let wanted = try columns(of: table.name, table, writer)
        let present = try columns(of: name, table, writer)
        guard present != wanted || table.columns.isEmpty else { return }
        let definitions = wanted.defaults.map { column in
            ", \"\(column.name)\"" + (column.value.map { " DEFAULT (\($0))" } ?? "")
        }.joined()
        let kept = (["id"] + present.defaults.map(\.name)).map { "\"\($0)\"" }.joined(separator: ", ")
        let exists = try writer.integer("SELECT 1 FROM sqlite_master WHERE name = ?", Value(name)) != nil
        guard exists else {
            return try writer.executeAll("CREATE TABLE \"\(name)\"(id TEXT PRIMARY KEY NOT NULL\(definitions))")
        }
        guard present != wanted else { return }
        try writer.executeAll(
            """
            CREATE TABLE "\(name)_2"(id TEXT PRIMARY KEY NOT NULL\(definitions));
            INSERT INTO "\(name)_2"(\(kept)) SELECT \(kept) FROM "\(name)";
            DROP TABLE "\(name)";
            ALTER TABLE "\(name)_2" RENAME TO "\(name)";
            """)
        try setDefaults(table, wanted, in: writer)
    }

    private static func columns(of name: String, _ table: CompiledTable, _ reader: Reader) throws -> Columns {
        let rows = try reader.query("SELECT name, dflt_value FROM pragma_table_info(?)", [Value(name)])
        let values = Dictionary(uniqueKeysWithValues: rows.map { ($0[0].string ?? "", $0[1].string) })
        return Columns(
            defaults: table.columns.compactMap { column in values[column].map { (column, $0) } })
    }

    /// What an older program buried before it knew of defaults.
    private static func setDefaults(_ table: CompiledTable, _ columns: Columns, in writer: Writer) throws {
        for (position, column) in columns.defaults.enumerated() {
            guard let value = column.value else { continue }
            let field = table.fields[table.fieldOfColumn[position]].number
            try writer.executeAll(
                """
                UPDATE "sync_graveyard_\(table.name)" SET "\(column.name)" = (\(value)) WHERE id IN (
                    SELECT r.id FROM "sync_rows_\(table.name)" r LEFT JOIN sync_shapes s ON s.number = r.shape
                    WHERE NOT r.alive AND (s.fields IS NULL OR ',' || s.fields || ',' NOT LIKE '%,\(field),%')
                    AND NOT EXISTS(SELECT 1 FROM "sync_versions_\(table.name)" v WHERE v.row = r.row AND v.field = \(field)))
                """)
        }
    }
}
