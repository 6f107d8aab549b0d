// Verifying what everything else is read by: the engine's own tables, the declarations, the facts about the replica.
//
// Invariant: a table whose declaration does not agree with the file is named, and left out of what follows.

internal import GRDB
internal import ReplicationModel
internal import Trust

extension Verification {
    func checkSchema() throws {
        try checkCatalogue()
        try checkEngineTables()
        try checkSettings()
        for row in try reader.query("SELECT number, name FROM sync_tables ORDER BY number") {
            guard let number = row[0].integer, let name = row[1].string else {
                report.add(.schema, "a table's name does not read as one", table: "sync_tables")
                continue
            }
            let before = report.findingCount
            try checkDeclaration(number, name)
            if report.findingCount > before { broken.insert(name) } else { try checkStatement(number, name) }
        }
        try checkNumbers()
        try checkShapes()
        try checkRoster()
    }

    // MARK: What SQLite finds tables by

    /// SQLite reads a table by its statement, and takes a name that is a blob; whoever looks for the name as text misses it.
    private func checkCatalogue() throws {
        let rows = try reader.query(
            """
            SELECT CAST(name AS TEXT), CAST(tbl_name AS TEXT) FROM sqlite_master
            WHERE type NOT IN ('table', 'index', 'trigger', 'view') OR typeof(name) <> 'text'
            OR typeof(tbl_name) <> 'text' OR typeof(sql) NOT IN ('text', 'null')
            """)
        for row in rows {
            let name = row[0].string ?? "something without a name"
            report.add(.schema, "the file lists \(name) in another form than SQLite wrote it", table: row[1].string)
        }
    }

    // MARK: The engine's own tables

    /// Beside those that a new replica of this version gets.
    private func checkEngineTables() throws {
        let expected = try translatingErrors {
            try DatabaseQueue().write { database in
                for step in Schema.steps { try database.execute(sql: step) }
                return try engineObjects(Reader(database, DeclarationCache()))
            }
        }
        let found = try engineObjects(reader)
        for (name, form) in expected.sorted(by: { $0.key < $1.key }) where found[name] != form {
            report.add(
                .schema, found[name] == nil ? "\(name) is missing" : "\(name) has another form than was made here",
                table: name)
        }
    }

    /// By name, what a table's columns are and what an index is on.
    private func engineObjects(_ reader: Reader) throws -> [String: [Value]] {
        var objects: [String: [Value]] = [:]
        for row in try reader.query(
            """
            SELECT type, name, sql FROM sqlite_master WHERE name LIKE 'sync!_%' ESCAPE '!' AND type IN ('table', 'index')
            AND sql IS NOT NULL
            """)
        {
            guard let name = row[1].string else { continue }
            objects[name] =
                row[0].string == "index"
                ? [row[2]]
                : try reader.query("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?)", [row[1]])
                    .flatMap(\.values)
        }
        return objects
    }

    private func checkSettings() throws {
        if try Settings.value("workspace", reader) != .blob(workspace.id.bytes) {
            report.add(.schema, "the workspace is not the one that was opened", table: "sync_settings")
        }
        if try Settings.value("workspace_name", reader) != Value(workspace.name) {
            report.add(.schema, "the workspace's name is not the one that was opened", table: "sync_settings")
        }
        if try !Settings.areSound(reader) {
            report.add(.vector, "what is kept of the replica itself is not as it was written", table: "sync_settings")
        }
        guard case .blob(let bytes)? = try Settings.value("origin", reader), let origin = Origin(bytes: bytes),
            origin.node == node
        else {
            return report.add(.vector, "the replica's own origin is not one of this node", table: "sync_settings")
        }
    }

    // MARK: Declared tables

    private func checkDeclaration(_ number: Int64, _ name: String) throws {
        func columns(_ table: String) throws -> [String] {
            try reader.query("SELECT name FROM pragma_table_info(?)", [Value(table)]).map { $0[0].string ?? "" }
        }
        func expect(_ expected: [String], in table: String) throws {
            let found = try columns(table)
            guard found != expected else { return }
            report.add(
                .schema,
                found.isEmpty
                    ? "the table is not there" : "it has the columns \(found), and is declared with \(expected)",
                table: table)
        }
        let listed = try reader.query(
            "SELECT position, name FROM sync_columns WHERE table_number = ? ORDER BY position", [.integer(number)])
        let declared = listed.map { $0[1].string ?? "" }
        if listed.map({ $0[0] }) != listed.indices.map({ Value.integer(Int64($0)) }) {
            report.add(.schema, "its columns' positions are not 0 and on", table: name)
        }
        try expect(["id"] + declared, in: name)
        try expect(["n", "id", "at", "op", "mask"] + declared.map { "old_\($0)" }, in: "sync_journal_\(name)")
        try expect(["row", "id", "alive", "shape", "stamp", "origin", "seq"], in: "sync_rows_\(name)")
        try expect(["row", "field", "stamp", "origin", "seq"], in: "sync_versions_\(name)")
        try expect(["id"] + declared, in: "sync_graveyard_\(name)")
        try checkFields(number, name, declared)
    }

    /// What its columns make of values, and what they default to. Its rows can be read all the same.
    private func checkStatement(_ number: Int64, _ name: String) throws {
        let statement = try reader.query(
            "SELECT definition, \(Declaration.statementInCatalogue) FROM sync_tables WHERE number = ?",
            [.integer(number)]
        ).first
        if statement?[0] != statement?[1] {
            report.add(.schema, "its statement in the file's catalogue is not the one noted here", table: name)
        }
    }

    /// The declared fields share out the columns. A field of another schema may name some that came after it.
    private func checkFields(_ number: Int64, _ name: String, _ columns: [String]) throws {
        var taken: [String] = []
        for row in try reader.query(
            "SELECT name, columns, declared FROM sync_fields WHERE table_number = ?", [.integer(number)])
        {
            guard let field = row[0].string.map({ Declaration.fieldName($0) }), !field.isEmpty,
                let own = row[1].string.map({ Declaration.columns(in: $0) }),
                !own.isEmpty,
                let declared = row[2].flag
            else {
                report.add(.schema, "a field's declaration does not read as one", table: name, field: row[0].string)
                continue
            }
            if declared, !own.allSatisfy({ columns.contains($0) }) {
                report.add(.schema, "its columns \(own) are not as it is declared", table: name, field: field)
            }
            if declared { taken += own }
        }
        if taken.sorted() != columns.sorted() {
            report.add(.schema, "its fields do not share out its columns: \(taken.sorted())", table: name)
        }
    }

    /// Every number of a table leads to one.
    private func checkNumbers() throws {
        for table in [
            "sync_columns", "sync_fields", "sync_awaiting", "sync_parked", "sync_conflicts", "sync_journal_runs",
        ] {
            let stray = try reader.query(
                """
                SELECT DISTINCT table_number FROM "\(table)" WHERE table_number NOT IN (SELECT number FROM sync_tables)
                """)
            for row in stray {
                report.add(.schema, "it speaks of a table \(row[0].number) that is not listed", table: table)
            }
        }
    }

    /// A shape lists fields of one table, ascending.
    private func checkShapes() throws {
        var tableOfField: [Int64: Int64] = [:]
        for row in try reader.query("SELECT number, table_number FROM sync_fields") {
            if let field = row[0].integer, let table = row[1].integer { tableOfField[field] = table }
        }
        for row in try reader.query("SELECT number, fields FROM sync_shapes") {
            let parts = row[1].string?.split(separator: ",", omittingEmptySubsequences: false) ?? []
            let numbers = row[1] == Value("") ? [] : parts.map { Int64($0) ?? -1 }
            let ascends = zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }
            let owners = Set(numbers.map { tableOfField[$0] })
            guard row[1].string != nil, ascends, owners.count <= 1, !owners.contains(nil),
                numbers.map(String.init).joined(separator: ",") == row[1].string
            else {
                report.add(.schema, "shape \(row[0].number) does not list fields of one table", table: "sync_shapes")
                continue
            }
        }
    }

    private func checkRoster() throws {
        try reader.forEach("SELECT digest, record FROM sync_roster") { row in
            guard let record = row[1].bytes, row[0].bytes == SHA256.digest(record).bytes else {
                return report.add(
                    .roster, "a record of the roster does not have the digest kept beside it", table: "sync_roster")
            }
        }
    }
}

extension Value {
    /// A number as people write it; where a bit flipped, whatever it is now.
    var number: String { integer.map { "\($0)" } ?? "\(self)" }

    /// 0 or 1; nil for anything else, as where a bit flipped.
    var flag: Bool? {
        switch self {
        case .integer(0): false
        case .integer(1): true
        default: nil
        }
    }
}
