// A damaged replica as its operator meets it: `verify` ends with 65, says where, and what to do next.
import Foundation
import Testing

@Suite(.serialized) struct DamageTests {
    /// SQL with capture off, as a program that wrote past the triggers.
    private func damage(_ node: Node, _ sql: String) async throws {
        // A shell may refuse to change the catalogue unless it is told otherwise.
        let settings = [".dbconfig enable_trigger off", ".dbconfig defensive off"]
        let outcome = try await Child.run("sqlite3", [node.replica] + settings + [sql])
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    }

    /// What the remedy of a kind tells its operator to do.
    private enum Remedy: String, Sendable {
        case recover = "run `syncnode recover HOST:PORT`"
        case makeAnew = "A replica made anew by `syncnode recover`"
        case repair = "Run `syncnode verify --repair`"
        case writeAgain = "Write the right value through SQL"
        case insertOrDelete = "Insert or delete the row once more with capture on"
    }

    private static let remedies: [String: Remedy] = [
        "value": .writeAgain, "existence": .insertOrDelete, "change_set": .recover, "signature": .recover,
        "chain": .recover, "vector": .recover, "header": .recover, "unknown_write": .recover,
        "unsigned_write": .recover, "schema": .recover, "journal": .recover, "file": .recover, "history": .makeAnew,
        "capture": .repair, "index": .repair, "derived": .repair, "roster": .repair,
    ]

    private struct Case: Sendable, CustomStringConvertible {
        let sql: String
        let kind: String
        var table: String?
        var row: String?
        var field: String?
        /// What mends it where the remedy leaves it to SQL.
        var mend: String?
        var description: String { sql }
    }

    private static let cases = [
        Case(
            sql: "UPDATE articles SET headline = 'forged' WHERE id = 'a1'", kind: "value", table: "articles", row: "a1",
            field: "headline", mend: "UPDATE articles SET headline = 'Article 1' WHERE id = 'a1'"),
        Case(
            sql: "DELETE FROM articles WHERE id = 'a2'", kind: "existence", table: "articles", row: "a2",
            mend: "INSERT INTO articles(id, headline) VALUES ('a2', 'Article 2')"),
        Case(
            sql: "INSERT INTO articles(id, headline) VALUES ('a9', 'stray')", kind: "existence", table: "articles",
            row: "a9", mend: "DELETE FROM articles WHERE id = 'a9'"),
        Case(sql: "UPDATE sync_change_sets SET body = body || x'00' WHERE seq = 1", kind: "change_set"),
        Case(sql: "UPDATE sync_change_sets SET signature = zeroblob(64) WHERE seq = 2", kind: "signature"),
        Case(
            sql: "UPDATE sync_change_sets SET changes = changes + 1 WHERE seq = 2", kind: "header",
            table: "sync_change_sets"),
        Case(sql: "DELETE FROM sync_change_sets WHERE seq = 1", kind: "chain"),
        Case(sql: "DELETE FROM sync_change_sets WHERE seq = 2", kind: "chain"),
        Case(sql: "DELETE FROM sync_change_sets WHERE seq = 3", kind: "vector"),
        Case(
            sql: "UPDATE sync_rows_articles SET stamp = stamp + 1 WHERE id = 'a1'", kind: "unknown_write",
            table: "articles", row: "a1"),
        Case(
            sql: """
                INSERT INTO sync_versions_articles(row, field, stamp, origin, seq) SELECT row,
                (SELECT number FROM sync_fields WHERE name = 'headline'), stamp + 1, origin, seq
                FROM sync_rows_articles WHERE id = 'a1'
                """, kind: "unsigned_write", table: "articles", row: "a1"),
        Case(
            sql: "UPDATE sync_journal_articles SET at = at + 1 WHERE n = 1", kind: "history",
            table: "sync_journal_articles"),
        Case(
            sql: "UPDATE sync_tables SET sealed = sealed + 5 WHERE name = 'articles'", kind: "journal",
            table: "sync_journal_articles"),
        Case(sql: "DROP TRIGGER sync_delete_articles", kind: "capture", table: "articles"),
        Case(sql: "DROP TABLE sync_awaiting", kind: "schema", table: "sync_awaiting"),
        Case(sql: "UPDATE sync_roster SET record = record || x'00'", kind: "roster", table: "sync_roster"),
    ]

    /// Three articles, each in a change set of its own.
    private func write(_ node: Node) async throws {
        for number in 1...3 {
            try await node.insertArticle("a\(number)", "Article \(number)")
            // Which seals what was written.
            try await node.run("lag")
        }
        #expect(try await node.sql("SELECT max(seq) FROM sync_change_sets") == "3")
    }

    /// Puts a whole replica in the damaged one's place.
    private func restore(_ whole: String, at node: Node) throws {
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: node.replica + suffix) }
        try FileManager.default.copyItem(atPath: whole, toPath: node.replica)
    }

    /// The finding of that kind, at that place, with a remedy that names what is to be done.
    private func expectPlaced(
        _ damaged: Case, in outcome: Outcome, _ location: SourceLocation = #_sourceLocation
    ) throws -> Remedy {
        #expect(outcome.status == 65, "\(damaged): \(outcome)", sourceLocation: location)
        let remedy = try #require(Self.remedies[damaged.kind], "no remedy of \(damaged.kind) is tested")
        let findings = try JSON(outcome.output)["findings"]?.elements ?? []
        #expect(
            findings.contains { finding in
                finding["kind"]?.text == damaged.kind
                    && (damaged.table == nil || finding["table"]?.text == damaged.table)
                    && (damaged.row == nil || finding["row"]?.text == damaged.row)
                    && (damaged.field == nil || finding["field"]?.text == damaged.field)
                    && finding["remedy"]?.text?.contains(remedy.rawValue) == true
            }, "\(damaged): \(findings)", sourceLocation: location)
        return remedy
    }

    @Test(.timeLimit(.minutes(10))) func everyKindEndsWith65AndIsPlaced() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await write(hq)
        try await hq.sql("UPDATE articles SET headline = 'again' WHERE id = 'a3'")
        try await hq.expectSound()
        let whole = bureaus.directory + "/whole.sqlite"
        try await hq.run("backup", whole)
        for damaged in Self.cases {
            try restore(whole, at: hq)
            try await damage(hq, damaged.sql)
            let remedy = try expectPlaced(damaged, in: try await hq.attempt("verify", "--json"))
            let text = try await hq.attempt("verify")
            #expect(text.status == 65 && text.errors.contains("damaged"), "\(damaged): \(text)")
            #expect(text.text.contains(remedy.rawValue), "\(damaged): \(text)")
            #expect(!text.errors.contains("Fatal error"))
        }
    }

    /// Whoever does what the remedy says has a sound replica, equal to the others'.
    @Test(.timeLimit(.minutes(15))) func whatTheRemedySaysMendsIt() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "desk")
        let (hq, desk) = (nodes[0], nodes[1])
        try await write(hq)
        let server = try await desk.serve()
        try await hq.exchange("push", server)
        let contents = "SELECT id, headline FROM articles ORDER BY id"
        let expected = try await hq.sql(contents)
        let whole = bureaus.directory + "/whole.sqlite"
        try await hq.run("backup", whole)
        // Of the roster see `aRosterRecordComesAgainByPulling`.
        for (number, damaged) in Self.cases.filter({ $0.kind != "roster" }).enumerated() {
            try restore(whole, at: hq)
            try await damage(hq, damaged.sql)
            let remedy = try expectPlaced(damaged, in: try await hq.attempt("verify", "--json"))
            switch remedy {
            case .recover, .makeAnew: try await recover(hq, from: server, keeping: bureaus.directory + "/kept\(number)")
            case .repair: try await hq.run("verify", "--repair")
            case .writeAgain, .insertOrDelete:
                try await hq.sql(try #require(damaged.mend, "\(damaged)"))
                try await hq.exchange("sync", server)
            }
            let verified = try await hq.attempt("verify", "--json")
            #expect(verified.status == 0, "\(damaged), mended: \(verified)")
            #expect(try await hq.sql(contents) == expected, "\(damaged)")
            let compared = try await hq.attempt("verify", server.address, "--sync", "--json")
            #expect(compared.status == 0, "\(damaged), mended: \(compared)")
        }
        try await server.stop()
        #expect(try await desk.sql(contents) == expected)
        try await desk.expectSound()
    }

    /// Moves the damaged file away, and makes the replica anew from a peer.
    private func recover(_ node: Node, from server: Server, keeping kept: String) async throws {
        for suffix in ["", "-wal", "-shm"] where FileManager.default.fileExists(atPath: node.replica + suffix) {
            try FileManager.default.moveItem(atPath: node.replica + suffix, toPath: kept + suffix)
        }
        try await node.run("recover", server.address)
    }

    /// A record that this disk changed is to come again from whoever has it.
    @Test(.timeLimit(.minutes(5))) func aRosterRecordComesAgainByPulling() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "desk")
        let (hq, desk) = (nodes[0], nodes[1])
        _ = try await bureaus.admit("third", by: hq)
        let server = try await desk.serve()
        try await hq.exchange("sync", server)
        try await hq.expectSound()
        // Neither side's own, so that they can talk.
        let record = "FROM sync_roster WHERE instr(record, CAST('third' AS BLOB)) > 0"
        try #require(try await hq.sql("SELECT count(*) \(record)") == "1")
        #expect(try await desk.sql("SELECT count(*) \(record)") == "1", "it came with the sync")
        let damaged = Case(
            sql: "UPDATE sync_roster SET record = record || x'00' WHERE digest = (SELECT digest \(record))",
            kind: "roster", table: "sync_roster")
        try await damage(hq, damaged.sql)
        #expect(try expectPlaced(damaged, in: try await hq.attempt("verify", "--json")) == .repair)
        let repaired = try await hq.json("verify", "--repair")
        #expect(repaired["repaired"]?.elements == [.string("roster")], "\(repaired)")
        try await hq.exchange("pull", server)
        try await hq.expectSound()
        #expect(try await hq.sql("SELECT count(*) \(record)") == "1", "it came again")
        try await server.stop()
    }

    // MARK: Indexes

    /// Takes an article out and puts it back, the second time while SQLite does not see one of the table's indexes: as where a
    /// disk loses what was written to that index alone.
    private func loseEntry(of index: String, for id: String, _ node: Node) async throws {
        try await damage(
            node,
            """
            CREATE TEMP TABLE kept AS SELECT * FROM articles WHERE id = '\(id)';
            CREATE TEMP TABLE seen AS SELECT * FROM sqlite_schema WHERE name IN ('articles', '\(index)');
            DELETE FROM articles WHERE id = '\(id)';
            PRAGMA writable_schema = ON;
            DELETE FROM sqlite_schema WHERE name = '\(index)';
            -- The key has an index by its mere statement.
            UPDATE sqlite_schema SET sql = replace(sql, 'PRIMARY KEY', '')
                WHERE name = 'articles' AND '\(index)' LIKE 'sqlite!_autoindex!_%' ESCAPE '!';
            PRAGMA writable_schema = RESET;
            INSERT INTO articles SELECT * FROM temp.kept;
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = (SELECT sql FROM temp.seen WHERE name = 'articles') WHERE name = 'articles';
            INSERT INTO sqlite_schema SELECT * FROM temp.seen WHERE name = '\(index)';
            PRAGMA writable_schema = RESET
            """)
    }

    /// A row that SQLite no longer finds by its key, and one that it no longer finds by its date.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [("sqlite_autoindex_articles_1", "id = 'a5'"), ("articles_by_day", "published_on = '2026-03-05'")])
    func anIndexOutOfStepIsMadeAnew(index: String, condition: String) async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "desk")
        let (hq, desk) = (nodes[0], nodes[1])
        try await hq.sql(
            """
            INSERT INTO articles(id, headline, published_on) VALUES ('a1', 'One', '2026-03-01'),
            ('a2', 'Two', '2026-03-02'), ('a3', 'Three', '2026-03-03'), ('a4', 'Four', '2026-03-04'),
            ('a5', 'Five', '2026-03-05')
            """)
        // Which makes the indexes that a replica keeps for itself.
        try await hq.run("article", "list")
        let server = try await desk.serve()
        try await hq.exchange("sync", server)
        func found(_ how: String) async throws -> String {
            try await hq.sql("SELECT count(*) FROM articles \(how) WHERE \(condition)")
        }
        let before = try await hq.dump()
        #expect(try await found("INDEXED BY \(index)") == "1")
        try await loseEntry(of: index, for: "a5", hq)
        #expect(try await found("INDEXED BY \(index)") == "0", "the damage is none")
        #expect(try await found("NOT INDEXED") == "1")

        let outcome = try await hq.attempt("verify", "--json")
        #expect(outcome.status == 65, "\(outcome)")
        let first = try JSON(outcome.output)["findings"]?[0]
        #expect(first?["kind"]?.text == "index" && first?["what"]?.text?.contains(index) == true, "\(outcome)")
        #expect(first?["table"]?.text == "articles" && first?["row"]?.text == "a5", "\(outcome)")
        #expect(first?["remedy"]?.text?.contains(Remedy.repair.rawValue) == true, "\(outcome)")
        let text = try await hq.attempt("verify")
        #expect(text.status == 65 && text.errors.contains("damaged"), "\(text)")
        #expect(text.text.contains(index) && text.text.contains(Remedy.repair.rawValue), "\(text)")

        let repaired = try await hq.json("verify", "--repair")
        #expect(repaired["repaired"]?.elements == [.string("indexes")], "\(repaired)")
        #expect(repaired["sound"] == .bool(true) && repaired["findings"]?.elements == [], "\(repaired)")
        try await hq.expectSound()
        #expect(try await found("INDEXED BY \(index)") == "1")
        expectEqualLines(before, try await hq.dump(), "hq before", "hq repaired")
        #expect(try await hq.attempt("verify", server.address).status == 0)
        // What was written to the row is there, and it can be written to.
        try await hq.run("article", "set", "a5", "headline=Found again")
        try await hq.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(try await desk.headline("a5") == "Found again")
    }

    @Test(.timeLimit(.minutes(5))) func whatIsDerivedIsMadeAnew() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        for number in 1...5 { try await hq.insertArticle("a\(number)", "Article \(number)") }
        try await hq.run("article", "list", "--search", "article")
        try await hq.expectSound()
        try await hq.sql("DELETE FROM search_documents WHERE id = 'a3'; DROP TRIGGER sync_update_articles")
        #expect(try await hq.attempt("verify").status == 65)
        let repaired = try await hq.json("verify", "--repair")
        #expect(repaired["repaired"]?.elements == [.string("triggers"), .string("search index")], "\(repaired)")
        #expect(repaired["sound"] == .bool(true))
        #expect(try await hq.json("article", "list", "--search", "article").elements.count == 5)
        try await hq.sql("UPDATE articles SET headline = 'captured again' WHERE id = 'a1'")
        #expect((try await hq.json("status")["unsealed"]?.int ?? 0) > 0)
        // Nothing that somebody wrote is repaired: it is shown.
        try await damage(hq, "UPDATE articles SET headline = 'forged' WHERE id = 'a2'")
        try await hq.run("lag")
        try await damage(hq, "UPDATE articles SET headline = 'forged again' WHERE id = 'a2'")
        #expect(try await hq.attempt("verify", "--repair").status == 65)
    }

    @Test(.timeLimit(.minutes(5))) func aPageOverwrittenOnDiskEndsWith65() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "desk")
        let (hq, desk) = (nodes[0], nodes[1])
        for number in 1...20 { try await hq.insertArticle("a\(number)", "Article \(number)") }
        let server = try await desk.serve()
        try await hq.exchange("push", server)
        let page = try await hq.sql(
            "PRAGMA wal_checkpoint(TRUNCATE); SELECT rootpage FROM sqlite_master WHERE name = 'articles'")
        let root = try #require(page.split(separator: "\n").last.flatMap { UInt64($0) })
        let file = try #require(FileHandle(forUpdatingAtPath: hq.replica))
        try file.seek(toOffset: (root - 1) * 8192 + 8)
        try file.write(contentsOf: Data(repeating: 0xff, count: 64))
        try file.close()
        let outcome = try await hq.attempt("verify", "--json")
        #expect(outcome.status == 65, "\(outcome)")
        let findings = try JSON(outcome.output)["findings"]?.elements ?? []
        let found = findings.first { $0["kind"]?.text == "file" }
        #expect(found?["remedy"]?.text?.contains(Remedy.recover.rawValue) == true, "\(findings)")
        try await recover(hq, from: server, keeping: bureaus.directory + "/kept")
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "20")
        try await server.stop()
        try await expectAgreement(nodes)
    }
}
