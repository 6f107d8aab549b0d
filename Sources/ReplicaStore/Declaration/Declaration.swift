// Declaring replicated tables: making them, adding columns to them, and taking parked values in.
//
// Invariant: after `declare`, every declared table has its companions and the capture triggers of its present columns.

internal import ReplicationModel
internal import ReplicationWire

enum Declaration {
    /// Brings the replica to the given declarations. A table or column declared before and not now stays as it is:
    /// a replica opened by an older program loses nothing.
    static func declare(_ tables: [Table], in writer: Writer) throws {
        for table in tables { try declare(table, in: writer) }
    }

    /// Every table this replica replicates.
    static func load(_ reader: Reader) throws -> [CompiledTable] { try reader.declarations.tables(reader) }

    /// The same, out of the file whatever is remembered of it.
    static func read(_ reader: Reader) throws -> [CompiledTable] {
        try reader.query("SELECT number, name FROM sync_tables ORDER BY number").map {
            guard case .integer(let number) = $0[0], let name = $0[1].string else {
                throw ReplicaError.damaged("sync_tables")
            }
            return try load(number: number, name: name, reader)
        }
    }

    private static func load(number: Int64, name: String, _ reader: Reader) throws -> CompiledTable {
        let columns = try reader.query(
            "SELECT name FROM sync_columns WHERE table_number = ? ORDER BY position", [.integer(number)]
        ).compactMap { $0[0].string }
        let types = try reader.query("SELECT name, type FROM pragma_table_info(?)", [Value(name)])
        let affinities = Dictionary(
            firstOf: types.map {
                ($0[0].string ?? "", ColumnAffinity(declaredType: $0[1].string ?? ""))
            })
        let fields = try fields(of: number, reader, declared: true).map { field in
            CompiledField(
                number: field.number, name: field.name, columns: field.columns,
                positions: field.columns.compactMap { columns.firstIndex(of: $0) })
        }
        return CompiledTable(
            number: number, name: name, columns: columns, affinities: affinities,
            fields: fields.sorted { ($0.positions.first ?? 0) < ($1.positions.first ?? 0) })
    }

    static func fields(of table: Int64, _ reader: Reader, declared: Bool) throws -> [CompiledField] {
        try reader.query(
            "SELECT number, name, columns FROM sync_fields WHERE table_number = ? AND declared = ? ORDER BY number",
            [.integer(table), .integer(declared ? 1 : 0)]
        ).map {
            guard case .integer(let number) = $0[0], let name = $0[1].string, let columns = $0[2].string else {
                throw ReplicaError.damaged("sync_fields")
            }
            return CompiledField(
                number: number, name: fieldName(name), columns: Self.columns(in: columns), positions: [])
        }
    }

    /// What a field that came first, and is not declared, is noted under where the declared one of its name has other columns.
    /// No change set names one so: a name there holds no control character.
    static func asideName(of field: Field) -> String {
        ([field.name] + field.columns).joined(separator: "\n")
    }

    /// The name that change sets use, of the one that is noted.
    static func fieldName(_ noted: String) -> String {
        String(decoding: noted.utf8.prefix { $0 != lineFeed }, as: UTF8.self)
    }

    /// Columns in one text: a space between them, or, where another schema's names have spaces, a line for each.
    static func columnList(_ columns: [String]) -> String {
        columns.contains { $0.utf8.contains(space) }
            ? columns.map { $0 + "\n" }.joined() : columns.joined(separator: " ")
    }

    /// The columns of such a list.
    static func columns(in list: String) -> [String] {
        list.utf8.split(separator: list.utf8.contains(lineFeed) ? lineFeed : space).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    // Bytes: a letter may join with what stands before it into one character of a string.
    private static let space = UInt8(ascii: " ")
    private static let lineFeed = UInt8(ascii: "\n")

    // MARK: One table

    private static func declare(_ table: Table, in writer: Writer) throws {
        try checkNames(table)
        let number: Int64
        if let known = try writer.integer("SELECT number FROM sync_tables WHERE name = ?", Value(table.name)) {
            number = known
            if try addColumns(table, number: number, in: writer) { try noteDefinition(of: number, in: writer) }
        } else {
            try writer.execute("INSERT INTO sync_tables(name) VALUES (?)", [Value(table.name)])
            number = writer.lastInsertedRow
            let definitions = table.columns.map { ", \"\($0.name)\" \($0.definition)" }.joined()
            try writer.executeAll("CREATE TABLE \"\(table.name)\"(id TEXT PRIMARY KEY NOT NULL\(definitions))")
            try writer.executeAll(Schema.companions(of: table.name, columns: table.columns.map(\.name)))
            for (position, column) in table.columns.enumerated() {
                try insertColumn(column.name, position: position, table: number, in: writer)
            }
            try noteDefinition(of: number, in: writer)
        }
        let appeared = try declareFields(of: table, number: number, in: writer)
        let compiled = try load(number: number, name: table.name, writer)
        try Graveyard.bringUpToDate(compiled, in: writer)
        let capture = Capture.triggers(for: compiled)
        let present = try writer.query("SELECT capture FROM sync_tables WHERE number = ?", [.integer(number)]).first?[0]
            .string
        if present != capture {
            try writer.executeAll(capture)
            try writer.execute(
                "UPDATE sync_tables SET capture = ? WHERE number = ?", [Value(capture), .integer(number)])
        }
        for field in appeared {
            guard let field = compiled.field(named: field) else { continue }
            try Parking.takeIn(field, of: compiled, in: writer)
        }
        // Everything captured was sealed before; what taking in wrote into the journal is history.
        if !appeared.isEmpty, let last = try writer.integer("SELECT max(n) FROM \"sync_journal_\(table.name)\"") {
            try JournalRuns.advance(compiled, to: last, in: writer)
        }
    }

    /// The statement that a row of `sync_tables` speaks of, as it stands in the file's catalogue.
    static let statementInCatalogue =
        "(SELECT sql FROM sqlite_master WHERE type = 'table' AND sqlite_master.name = sync_tables.name)"

    /// As the statement is now, so that `verify` sees what a disk makes of it.
    private static func noteDefinition(of number: Int64, in writer: Writer) throws {
        try writer.execute(
            "UPDATE sync_tables SET definition = \(statementInCatalogue) WHERE number = ?", [.integer(number)])
    }

    /// Returns whether there were any to add.
    private static func addColumns(_ table: Table, number: Int64, in writer: Writer) throws -> Bool {
        let present = Set(
            try writer.query("SELECT name FROM sync_columns WHERE table_number = ?", [.integer(number)])
                .compactMap { $0[0].string })
        var position = present.count
        for column in table.columns where !present.contains(column.name) {
            try writer.executeAll(
                """
                ALTER TABLE "\(table.name)" ADD COLUMN "\(column.name)" \(column.definition);
                ALTER TABLE "sync_journal_\(table.name)" ADD COLUMN "old_\(column.name)";
                """)
            try insertColumn(column.name, position: position, table: number, in: writer)
            position += 1
        }
        return position > present.count
    }

    private static func insertColumn(_ name: String, position: Int, table: Int64, in writer: Writer) throws {
        try writer.execute(
            "INSERT INTO sync_columns(table_number, position, name) VALUES (?, ?, ?)",
            [.integer(table), .integer(Int64(position)), Value(name)])
    }

    /// Returns the fields that were known, but not declared, until now.
    ///
    /// One that a writer sent with other columns than it is declared with keeps its parked values under a name of its own: it is
    /// no reason for anybody's upgrade to fail.
    private static func declareFields(of table: Table, number: Int64, in writer: Writer) throws -> [String] {
        var appeared: [String] = []
        for field in table.fields {
            let columns = field.columns.joined(separator: " ")
            var known = try writer.query(
                "SELECT columns, declared FROM sync_fields WHERE table_number = ? AND name = ?",
                [.integer(number), Value(field.name)]
            ).first
            if let other = known, other[1] == .integer(0), let theirs = other[0].string, theirs != columns {
                try writer.execute(
                    "UPDATE sync_fields SET name = ? WHERE table_number = ? AND name = ?",
                    [
                        Value(asideName(of: Field(name: field.name, columns: Self.columns(in: theirs)))),
                        .integer(number), Value(field.name),
                    ])
                known = nil
            }
            guard let known else {
                try writer.execute(
                    "INSERT INTO sync_fields(table_number, name, columns, declared) VALUES (?, ?, ?, 1)",
                    [.integer(number), Value(field.name), Value(columns)])
                continue
            }
            guard known[0].string == columns else {
                throw ReplicaError.regrouped(table: table.name, field: field.name)
            }
            guard known[1] == .integer(0) else { continue }
            try writer.execute(
                "UPDATE sync_fields SET declared = 1 WHERE table_number = ? AND name = ?",
                [.integer(number), Value(field.name)])
            appeared.append(field.name)
        }
        return appeared
    }

    private static func checkNames(_ table: Table) throws {
        let names = [table.name] + table.columns.map(\.name) + table.fields.map(\.name)
        for name in names where !isPlainName(name) { throw ReplicaError.name(name) }
        guard table.columns.count <= Table.columnLimit else {
            throw ReplicaError.name("\(table.name) (over 63 columns)")
        }
    }

    /// Names that mean something of their own: the engine's, and SQLite's for the rowid.
    private static let reserved: Set<String> = ["id", "rowid", "oid", "_rowid_"]

    /// Letters, digits and underscores, not beginning with a digit or `sync_`: such names need no care in SQL.
    static func isPlainName(_ name: String) -> Bool {
        let letters = name.utf8.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "_")
        }
        let first = name.utf8.first ?? UInt8(ascii: "0")
        return letters && !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
            && name.utf8.count <= Limits.nameBytes
            && (!name.hasPrefix("sync_") || name == Acknowledgements.table.name)
            && !reserved.contains(name.lowercased())
    }
}
