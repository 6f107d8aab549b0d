// Every way in which SQL writes a row is captured: the peer ends with what plain SQLite ends with.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct CaptureTests {
    private static let start = [
        "INSERT INTO notes(id, title, body, due_on, due_precision, amount) VALUES ('n1', 'one', 'b1', '2026', 'year', 1)",
        "INSERT INTO notes(id, title, body) VALUES ('n2', 'two', 'b2'), ('n3', 'three', NULL)",
        "INSERT INTO links(id, note_id, target) VALUES ('l1', 'n1', 't1')",
    ]

    /// Each a list of statements of one transaction.
    static let scripts: [[String]] = [
        ["INSERT INTO notes(id, title) VALUES ('n1', 'x') ON CONFLICT(id) DO UPDATE SET title = excluded.title"],
        ["INSERT INTO notes(id, title) VALUES ('n9', 'x') ON CONFLICT(id) DO UPDATE SET title = excluded.title"],
        ["INSERT INTO notes(id, title) VALUES ('n1', 'x') ON CONFLICT(id) DO NOTHING"],
        ["INSERT OR IGNORE INTO notes(id, title) VALUES ('n1', 'x'), ('n9', 'y')"],
        ["REPLACE INTO notes(id, title) VALUES ('n1', 'x')"],
        ["REPLACE INTO notes(id, title) VALUES ('n9', 'x')"],
        ["REPLACE INTO notes(id, title) SELECT id, title || '!' FROM notes"],
        ["UPDATE notes SET title = 'x' WHERE id = 'n1'", "REPLACE INTO notes(id, body) VALUES ('n1', 'whole')"],
        ["REPLACE INTO notes(id, title) VALUES ('n1', 'x')", "UPDATE notes SET body = 'after' WHERE id = 'n1'"],
        ["DELETE FROM notes WHERE id = 'n1'", "REPLACE INTO notes(id, title) VALUES ('n1', 'x')"],
        ["UPDATE notes SET id = 'n9' WHERE id = 'n1'"],
        ["UPDATE notes SET id = 'n9', title = 'renamed', amount = 2.5 WHERE id = 'n1'"],
        ["UPDATE OR REPLACE notes SET id = 'n2' WHERE id = 'n1'"],
        ["UPDATE OR IGNORE notes SET id = 'n2' WHERE id = 'n1'"],
        ["UPDATE notes SET id = 'n2'", "UPDATE notes SET title = 'the statement before fails'"],
        [
            "UPDATE notes SET id = 'aside' WHERE id = 'n1'", "UPDATE notes SET id = 'n1' WHERE id = 'n2'",
            "UPDATE notes SET id = 'n2' WHERE id = 'aside'",
        ],
        ["UPDATE notes SET id = id || '.' WHERE id < 'n3'"],
        ["DELETE FROM notes"],
        ["DELETE FROM notes WHERE id > 'n1'"],
        ["DELETE FROM notes WHERE id = 'n1'", "INSERT INTO notes(id, body) VALUES ('n1', 'again')"],
        ["INSERT INTO notes(id) VALUES ('n9')", "DELETE FROM notes WHERE id = 'n9'"],
        ["INSERT INTO notes(id, title) SELECT 'copy of ' || id, title FROM notes"],
        ["UPDATE notes SET title = links.target, body = NULL FROM links WHERE links.note_id = notes.id"],
        [
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 50) INSERT INTO links(id) SELECT x FROM c"
        ],
        [
            "SAVEPOINT s", "UPDATE notes SET title = 'undone'", "ROLLBACK TO s", "UPDATE notes SET body = 'done'",
            "RELEASE s",
        ],
        ["SAVEPOINT s", "DELETE FROM notes", "ROLLBACK TO s", "RELEASE s"],
        ["UPDATE notes SET due_on = '2027' WHERE id = 'n1'"],
        ["UPDATE notes SET amount = 1.0 WHERE id = 'n1'"],
        ["UPDATE notes SET amount = '1' WHERE id = 'n1'"],
        ["UPDATE notes SET amount = x'31' WHERE id = 'n1'"],
        ["UPDATE notes SET body = '' WHERE id = 'n3'"],
        ["UPDATE notes SET title = 'ONE' WHERE id = 'n1'"],
        ["UPDATE notes SET title = title || char(0) || 'x'"],
        [
            "INSERT INTO links(id) VALUES (7)", "DELETE FROM links WHERE id = '7'",
            "INSERT INTO links(id) VALUES ('07')",
        ],
    ]

    private func run(_ script: [String], recursive: Bool, _ writer: Writer) throws {
        try writer.execute("PRAGMA recursive_triggers = \(recursive ? "ON" : "OFF")")
        for statement in script {
            do {
                try writer.execute(statement)
            } catch let error as SQLError where error.isConstraint {
                // A program that goes on after a failed statement.
            }
        }
    }

    @Test(arguments: scripts, [true, false]) func thePeerEndsWithWhatSQLiteEndsWith(
        script: [String], recursive: Bool
    ) throws {
        let workspace = try TestWorkspace()
        let (a, b, plain) = (
            try workspace.replica("a"), try workspace.replica("b"), try workspace.replica("plain")
        )
        for statement in Self.start {
            try a.execute(statement)
            try plain.damage(statement)
        }
        try workspace.pull(b, from: a)
        try a.write { try run(script, recursive: recursive, $0) }
        try plain.connections.engineWrite { try run(script, recursive: recursive, $0) }
        try workspace.pull(b, from: a)
        for table in ["notes", "links"] {
            let expected = try plain.contents(table)
            #expect(try a.contents(table) == expected)
            #expect(try b.contents(table) == expected)
        }
        #expect(try b.contents("sync_graveyard_notes") == a.contents("sync_graveyard_notes"))
        try a.expectSound(workspace.authors)
        try b.expectSound(workspace.authors)
    }

    @Test func whatIsRolledBackIsNotCaptured() throws {
        struct RolledBack: Error {}
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        #expect(throws: RolledBack.self) {
            try a.write { writer in
                for statement in Self.start { try writer.execute(statement) }
                throw RolledBack()
            }
        }
        #expect(try a.seal() == SealReport())
        #expect(try a.contents("sync_journal_notes").isEmpty)
    }

    @Test(arguments: [
        "UPDATE notes SET title = title, body = body, amount = amount", "UPDATE notes SET id = id",
        "UPDATE notes SET title = 'one' WHERE id = 'n1'", "UPDATE notes SET amount = 1 WHERE id = 'n1'",
        "UPDATE notes SET title = 'x' WHERE id = 'nobody'", "DELETE FROM notes WHERE id = 'nobody'",
        "INSERT OR IGNORE INTO notes(id) VALUES ('n1')",
    ]) func whatChangesNothingMakesNoChange(statement: String) throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        for statement in Self.start { try a.execute(statement) }
        try a.seal()
        try a.execute(statement)
        #expect(try a.seal() == SealReport())
    }

    @Test func onlyTheFieldsThatChangedAreSealed() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        for statement in Self.start { try a.execute(statement) }
        try a.seal()
        try a.execute("UPDATE notes SET title = 'x', body = body, due_precision = 'day' WHERE id = 'n1'")
        #expect(try a.seal().changes == 2)
        // A group is one field, and travels whole.
        let fields = try a.lastChangeSet().tables.first?.fields.map(\.name)
        #expect(fields == ["title", "due"])
    }

    @Test func aColumnThatComparesWithoutCaseIsStillCapturedByteForByte() throws {
        let workspace = try TestWorkspace()
        let table = Table(
            "names", columns: [Column("name", "TEXT COLLATE NOCASE"), Column("padded", "TEXT COLLATE RTRIM")])
        let (a, b) = (try workspace.replica("a", tables: [table]), try workspace.replica("b", tables: [table]))
        try a.execute("INSERT INTO names VALUES ('1', 'ankara', 'x')")
        try workspace.pull(b, from: a)
        try a.execute("UPDATE names SET name = 'Ankara', padded = 'x  '")
        try workspace.pull(b, from: a)
        #expect(try b.contents("names") == [[Value("1"), Value("Ankara"), Value("x  ")]])
    }

    @Test func aTableWithoutColumnsIsCaptured() throws {
        let workspace = try TestWorkspace()
        let tags = Table("tags", columns: [])
        let (a, b) = (try workspace.replica("a", tables: [tags]), try workspace.replica("b", tables: [tags]))
        try a.execute("INSERT INTO tags VALUES ('t1'), ('t2'), ('t3')")
        try workspace.pull(b, from: a)
        #expect(try b.contents("tags") == [[Value("t1")], [Value("t2")], [Value("t3")]])
        try a.execute("DELETE FROM tags WHERE id = 't1'")
        try a.execute("UPDATE tags SET id = 't4' WHERE id = 't2'")
        try a.execute("REPLACE INTO tags VALUES ('t3'), ('t5')")
        try workspace.pull(b, from: a)
        #expect(try b.contents("tags") == [[Value("t3")], [Value("t4")], [Value("t5")]])
        try b.expectSound(workspace.authors)
    }

    // MARK: What is refused

    @Test(arguments: [
        Value.null, Value(""), .blob([0x61]), .blob([]), Value(String(repeating: "x", count: 256)),
    ]) func anIdThatNamesNoRowIsRefused(id: Value) throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try a.execute("INSERT INTO links(id) VALUES ('l1')")
        try a.seal()
        for sql in ["INSERT INTO links(id) VALUES (?)", "REPLACE INTO links(id) VALUES (?)", "UPDATE links SET id = ?"]
        {
            let error = #expect(throws: SQLError.self) { try a.execute(sql, [id]) }
            if id != .null {
                #expect(error?.message == "syncnode: the id of a row of links must be text of 1 to 255 bytes")
            }
        }
        #expect(try a.contents("links").count == 1)
        #expect(try a.seal() == SealReport())
    }

    /// REPLACE would remove the row that has the rowid, and no trigger would be told.
    @Test(arguments: [false, true]) func theRowidOfAnotherRowIsRefused(recursive: Bool) throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.write { try $0.execute("PRAGMA recursive_triggers = \(recursive ? "ON" : "OFF")") }
        try a.execute("INSERT INTO notes(rowid, id, title) VALUES (1, 'n1', 'a'), (2, 'n2', 'b'), (3, 'n3', 'c')")
        let before = try a.contents("notes")
        for sql in [
            "REPLACE INTO notes(rowid, id) VALUES (2, 'n9')", "INSERT OR REPLACE INTO notes(oid, id) VALUES (2, 'n1')",
            "INSERT OR IGNORE INTO notes(_rowid_, id) VALUES (2, 'n9')",
            "UPDATE OR REPLACE notes SET rowid = 2 WHERE id = 'n1'",
            "UPDATE OR REPLACE notes SET _rowid_ = 2, title = 'x' WHERE id = 'n3'",
            "UPDATE OR REPLACE notes SET OID = rowid + 1",
            "REPLACE INTO notes(rowid, id) SELECT rowid, id || 'x' FROM notes",
        ] {
            let error = #expect(throws: SQLError.self, "\(sql)") { try a.execute(sql) }
            #expect(error?.message == "syncnode: this rowid of notes is taken; leave rowid out, rows are named by id")
        }
        #expect(try a.contents("notes") == before)
        for sql in [
            "REPLACE INTO notes(rowid, id, title) VALUES (2, 'n2', 'kept')",
            "UPDATE notes SET rowid = 70 WHERE id = 'n1'",
            "UPDATE notes SET rowid = rowid, id = 'n4' WHERE id = 'n3'",
            "INSERT INTO notes(rowid, id) VALUES (NULL, 'n5')",
            "REPLACE INTO notes(id, title) VALUES ('n1', 'x')", "INSERT INTO notes(rowid, id) VALUES (-7, 'n6')",
        ] {
            try a.execute(sql)
        }
        try workspace.pull(b, from: a)
        #expect(try b.contents("notes") == a.contents("notes"))
        #expect(try b.contents("notes").count == 5)
        for replica in [a, b] { try replica.expectSound(workspace.authors) }
    }

    @Test func theLongestIdIsTaken() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let ids = [Value(String(repeating: "x", count: 255)), .text([0]), .text([0xff, 0, 0xfe]), Value("'\"; --")]
        for id in ids { try a.execute("INSERT INTO links(id) VALUES (?)", [id]) }
        try workspace.pull(b, from: a)
        #expect(try b.contents("links") == a.contents("links"))
        #expect(try b.contents("links").count == ids.count)
        for id in ids { try b.execute("UPDATE links SET target = 'b' WHERE id = ?", [id]) }
        try workspace.pull(a, from: b)
        #expect(try a.contents("links") == b.contents("links"))
        try a.expectSound(workspace.authors)
    }

    @Test func anOversizeValueIsRefusedToTheWriter() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try a.execute("INSERT INTO notes(id, body) VALUES ('n1', 'small')")
        try a.seal()
        let limit = Limits.valueBytes
        for sql in [
            "INSERT INTO notes(id, amount) VALUES ('n2', zeroblob(\(limit + 1)))",
            "UPDATE notes SET amount = zeroblob(\(limit + 1))",
            "REPLACE INTO notes(id, amount) VALUES ('n1', zeroblob(\(limit + 1)))",
            "UPDATE notes SET id = 'n2', amount = zeroblob(\(limit + 1))",
            "INSERT INTO notes(id, body) VALUES ('n1', '') ON CONFLICT DO UPDATE SET amount = zeroblob(\(limit + 1))",
        ] {
            let error = #expect(throws: SQLError.self) { try a.execute(sql) }
            #expect(error?.message == "syncnode: a value of notes is over 8 MiB, the most that is replicated")
        }
        try a.execute("UPDATE notes SET amount = zeroblob(\(limit)), body = zeroblob(\(limit))")
        let error = #expect(throws: SQLError.self) { try a.execute("UPDATE notes SET title = 'x'") }
        #expect(error?.message == "syncnode: a row of notes is over 16 MiB, the most that is replicated")
        #expect(try a.seal().changes == 2)
    }

    /// As many columns as a journal's mask has bits.
    @Test func aTableOfTheMostColumnsIsCaptured() throws {
        let workspace = try TestWorkspace()
        let wide = Table("wide", columns: (1...Table.columnLimit).map { Column("c\($0)") })
        let (a, b) = (try workspace.replica("a", tables: [wide]), try workspace.replica("b", tables: [wide]))
        try a.execute("INSERT INTO wide(id, c1, c\(Table.columnLimit)) VALUES ('w', 'first', 'last')")
        try a.seal()
        try a.execute("UPDATE wide SET c\(Table.columnLimit) = 'changed'")
        try workspace.pull(b, from: a)
        #expect(try b.contents("wide") == a.contents("wide"))
        #expect(try b.contents("wide").first?.last == Value("changed"))
    }
}
