// A damaged replica as its operator meets it: `verify` ends with 65, says where, and what to do next.
import Foundation
import Testing

@Suite(.serialized) struct DamageTests {
    /// SQL with capture off, as a program that wrote past the triggers.
    private func damage(_ node: Node, _ sql: String) async throws {
        let outcome = try await Child.run("sqlite3", [node.replica, ".dbconfig enable_trigger off", sql])
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    }

    private struct Case: Sendable, CustomStringConvertible {
        let sql: String
        let kind: String
        var table: String?
        var row: String?
        var field: String?
        var description: String { sql }
    }

    private static let cases = [
        Case(
            sql: "UPDATE articles SET headline = 'forged' WHERE id = 'a1'", kind: "value", table: "articles", row: "a1",
            field: "headline"),
        Case(sql: "DELETE FROM articles WHERE id = 'a2'", kind: "existence", table: "articles", row: "a2"),
        Case(sql: "INSERT INTO articles(id) VALUES ('a9')", kind: "existence", table: "articles", row: "a9"),
        Case(sql: "UPDATE sync_change_sets SET body = body || x'00' WHERE seq = 1", kind: "change_set"),
        Case(sql: "UPDATE sync_change_sets SET signature = zeroblob(64) WHERE seq = 2", kind: "signature"),
        Case(sql: "DELETE FROM sync_change_sets WHERE seq = 1", kind: "chain"),
        Case(sql: "DELETE FROM sync_change_sets WHERE seq = 2", kind: "chain"),
        Case(sql: "DELETE FROM sync_change_sets WHERE seq = 3", kind: "vector"),
        Case(
            sql: "UPDATE sync_rows_articles SET stamp = stamp + 1 WHERE id = 'a1'", kind: "unknown_write",
            table: "articles", row: "a1"),
        Case(
            sql: "UPDATE sync_journal_articles SET at = at + 1 WHERE n = 1", kind: "history",
            table: "sync_journal_articles"),
        Case(sql: "DROP TRIGGER sync_delete_articles", kind: "capture", table: "articles"),
        Case(sql: "UPDATE sync_roster SET record = record || x'00'", kind: "roster", table: "sync_roster"),
    ]

    @Test(.timeLimit(.minutes(10))) func everyKindEndsWith65AndIsPlaced() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        for number in 1...3 {
            try await hq.insertArticle("a\(number)", "Article \(number)")
            // Which seals what was written: a change set for each.
            try await hq.run("lag")
        }
        #expect(try await hq.sql("SELECT max(seq) FROM sync_change_sets") == "3")
        try await hq.sql("UPDATE articles SET headline = 'again' WHERE id = 'a3'")
        try await hq.expectSound()
        let whole = bureaus.directory + "/whole.sqlite"
        try await hq.run("backup", whole)
        for damaged in Self.cases {
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: hq.replica + suffix) }
            try FileManager.default.copyItem(atPath: whole, toPath: hq.replica)
            try await damage(hq, damaged.sql)
            let outcome = try await hq.attempt("verify", "--json")
            #expect(outcome.status == 65, "\(damaged): \(outcome)")
            let findings = try JSON(outcome.output)["findings"]?.elements ?? []
            #expect(
                findings.contains { finding in
                    finding["kind"]?.text == damaged.kind
                        && (damaged.table == nil || finding["table"]?.text == damaged.table)
                        && (damaged.row == nil || finding["row"]?.text == damaged.row)
                        && (damaged.field == nil || finding["field"]?.text == damaged.field)
                        && finding["remedy"]?.text?.isEmpty == false
                }, "\(damaged): \(findings)")
            let text = try await hq.attempt("verify")
            #expect(text.status == 65 && text.errors.contains("damaged"), "\(damaged): \(text)")
            #expect(!text.errors.contains("Fatal error"))
        }
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
        let hq = try await bureaus.found()
        for number in 1...20 { try await hq.insertArticle("a\(number)", "Article \(number)") }
        try await hq.run("status")
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
        #expect(findings.contains { $0["kind"]?.text == "file" }, "\(findings)")
    }
}
