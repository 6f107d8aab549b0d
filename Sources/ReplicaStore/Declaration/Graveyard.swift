// The values of deleted rows: one table beside each replicated one.
//
// Invariant: a register that nobody wrote has the column's default, in the table and in the graveyard alike, whatever came
// first here: the row's deletion or the column. So a column has the affinity here that it has there: what it makes of its
// default, it makes in both.

internal import ReplicationModel

enum Graveyard {
    /// Counts up with every change to what graveyards are made like: one that is older is made anew when it is opened.
    static let form = 2

    private struct Column: Equatable {
        let name: String
        let affinity: ColumnAffinity
        /// As SQL; nil where there is none.
        let defaultValue: String?

        var definition: String {
            "\"\(name)\" \(affinity.typeName)" + (defaultValue.map { " DEFAULT (\($0))" } ?? "")
        }
    }

    /// Makes the graveyard of a declared table, or gives it the columns and defaults that the table has now.
    static func bringUpToDate(_ table: CompiledTable, in writer: Writer) throws {
        let name = "sync_graveyard_\(table.name)"
        let wanted = try columns(of: table.name, table, writer)
        let present = try columns(of: name, table, writer)
        guard present != wanted || table.columns.isEmpty else { return }
        let definitions = wanted.map { ", \($0.definition)" }.joined()
        let kept = (["id"] + present.map(\.name)).map { "\"\($0)\"" }.joined(separator: ", ")
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

    /// Those of the declared columns that a table has, by position.
    private static func columns(of name: String, _ table: CompiledTable, _ reader: Reader) throws -> [Column] {
        let rows = try reader.query("SELECT name, type, dflt_value FROM pragma_table_info(?)", [Value(name)])
        let columns = rows.map { row in
            Column(
                name: row[0].string ?? "", affinity: ColumnAffinity(declaredType: row[1].string ?? ""),
                defaultValue: row[2].string)
        }
        return table.columns.compactMap { column in columns.first { $0.name == column } }
    }

    /// What an older program buried before it knew of defaults.
    private static func setDefaults(_ table: CompiledTable, _ columns: [Column], in writer: Writer) throws {
        for (position, column) in columns.enumerated() {
            guard let value = column.defaultValue else { continue }
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
