// `verify PEER` between real nodes: equal replicas are equal, and a difference is named with the side that is wrong.
import Foundation
import Testing

@Suite(.serialized) struct PeerVerifyTests {
    private func damage(_ node: Node, _ sql: String) async throws {
        let outcome = try await Child.run(
            "sqlite3", [node.replica, ".timeout 60000", ".dbconfig enable_trigger off", sql])
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    }

    private func verify(_ node: Node, _ more: String..., status: Int32) async throws -> JSON {
        let outcome = try await node.attempt(["verify"] + more + ["--json"])
        #expect(outcome.status == status, "\(outcome)")
        return try JSON(outcome.output)
    }

    /// Two nodes with the same three hundred articles, a conflict and a deletion; the first serves.
    private func pair(_ bureaus: Bureaus) async throws -> (hq: Node, desk: Node, server: Server) {
        let nodes = try await bureaus.workspace("hq", "desk")
        let (hq, desk) = (nodes[0], nodes[1])
        try await hq.sql(
            """
            INSERT INTO articles(id, headline, body) WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)
            SELECT printf('a%04d', i), 'Headline ' || i, hex(randomblob(400)) FROM n
            """)
        let server = try await hq.serve()
        try await desk.exchange("sync", server)
        try await desk.sql("UPDATE articles SET headline = 'from the desk' WHERE id = 'a0007'")
        try await hq.sql(
            "UPDATE articles SET headline = 'from hq' WHERE id = 'a0007'; DELETE FROM articles WHERE id = 'a0008'")
        try await desk.exchange("sync", server)
        return (hq, desk, server)
    }

    @Test(.timeLimit(.minutes(10))) func equalReplicasAreEqualAndNothingIsChanged() async throws {
        let bureaus = try Bureaus()
        let (hq, desk, server) = try await pair(bureaus)
        let before = try await (hq.dump(), desk.dump())
        let document = try await verify(desk, server.address, status: 0)
        #expect(document["outcome"]?.text == "equal", "\(document)")
        #expect(document["items"]?["articles"]?.int == 300 && document["items"]?["(conflicts)"]?.int == 1)
        #expect((document["traffic"]?["bytes_received"]?.int ?? .max) < 4_000, "\(document)")
        #expect(document["traffic"]?["questions"]?.int == 1)
        expectEqualLines(before.0, try await hq.dump(), "hq before", "hq after")
        expectEqualLines(before.1, try await desk.dump(), "desk before", "desk after")
        try await desk.run("peer", "add", server.address)
        _ = try await verify(desk, server.address, status: 0)
        // By name, as it is known now who answers there.
        let text = try await desk.attempt("verify", "hq")
        #expect(text.status == 0 && text.text.contains("equal"), "\(text)")
        try await server.stop()
        let gone = try await desk.attempt("verify", "hq")
        #expect(gone.status == 69, "\(gone)")
    }

    @Test(.timeLimit(.minutes(10))) func damageThereAndHereIsNamedWithItsSide() async throws {
        let bureaus = try Bureaus()
        let (hq, desk, server) = try await pair(bureaus)
        try await damage(hq, "UPDATE articles SET body = 'rotten' WHERE id = 'a0123'")
        let there = try await verify(desk, server.address, status: 65)
        #expect(there["differences"]?.elements.count == 1, "\(there)")
        let first = there["differences"]?[0]
        #expect(
            first?["table"]?.text == "articles" && first?["row"]?.text == "a0123" && first?["field"]?.text == "body")
        #expect(first?["wrong"]?.text == "there" && first?["next_step"]?.text?.contains("verify") == true, "\(there)")
        #expect(there["findings_here"]?.elements.isEmpty == true)
        // The tables cut into parts, the part that differs as a list, the article's fields: not what 300 articles hold.
        #expect(there["traffic"]?["questions"]?.int == 3, "\(there)")
        #expect((there["traffic"]?["bytes_received"]?.int ?? .max) < 12_000, "\(there)")

        try await damage(desk, "UPDATE articles SET headline = 'bent' WHERE id = 'a0200'")
        try await damage(desk, "DELETE FROM articles WHERE id = 'a0201'")
        try await damage(desk, "UPDATE sync_conflict_values SET value = 'other'")
        let both = try await verify(desk, server.address, status: 65)
        let found = (both["differences"]?.elements ?? []).map {
            "\($0["table"]?.text ?? "") \($0["row"]?.text ?? "") \($0["wrong"]?.text ?? "")"
        }
        #expect(found.contains("articles a0123 there"), "\(both)")
        #expect(found.contains("articles a0200 here") && found.contains("articles a0201 here"), "\(both)")
        #expect(found.contains { $0.hasPrefix("(conflicts)") && $0.hasSuffix(" here") }, "\(both)")
        let text = try await desk.attempt("verify", server.address)
        #expect(text.status == 65 && text.errors.contains("a0123"), "\(text)")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(10))) func unequalVectorsAreSaidAndSyncedOnDemand() async throws {
        let bureaus = try Bureaus()
        let (hq, desk, server) = try await pair(bureaus)
        try await hq.insertArticle("b1", "News")
        let document = try await verify(desk, server.address, status: 75)
        #expect(document["outcome"]?.text == "unequal_vectors" && document["lacked_here"]?.int == 1, "\(document)")
        try await desk.insertArticle("b2", "More news")
        let synced = try await verify(desk, server.address, "--sync", status: 0)
        #expect(synced["outcome"]?.text == "equal" && synced["items"]?["articles"]?.int == 302, "\(synced)")
        #expect(try await hq.headline("b2") == "More news")
        try await server.stop()
    }

    /// A replica that a newer program made, which had one column more: what only one side declares is not compared, and said
    /// to be so; everything else is.
    @Test(.timeLimit(.minutes(10))) func anotherSchemaIsComparedAsFarAsBothDeclareIt() async throws {
        let bureaus = try Bureaus()
        let (hq, desk, server) = try await pair(bureaus)
        try await desk.sql(
            """
            ALTER TABLE articles ADD COLUMN rating INTEGER DEFAULT 0;
            ALTER TABLE sync_journal_articles ADD COLUMN old_rating;
            UPDATE sync_tables SET definition = (SELECT sql FROM sqlite_master WHERE name = 'articles')
                WHERE name = 'articles';
            INSERT INTO sync_columns(table_number, position, name)
                SELECT number, (SELECT count(*) FROM sync_columns WHERE table_number = number), 'rating' FROM sync_tables
                WHERE name = 'articles';
            INSERT INTO sync_fields(table_number, name, columns, declared)
                SELECT number, 'rating', 'rating', 1 FROM sync_tables WHERE name = 'articles';
            DELETE FROM sync_settings WHERE name = 'declared'
            """)
        try await desk.expectSound()
        try await desk.sql("UPDATE articles SET rating = 5, headline = 'rated' WHERE id = 'a0100'")
        try await desk.exchange("sync", server)
        #expect(try await hq.sql("SELECT value FROM sync_parked") == "5")
        #expect(try await hq.headline("a0100") == "rated")
        let equal = try await verify(desk, server.address, status: 0)
        #expect(equal["outcome"]?.text == "equal" && equal["items"]?["articles"]?.int == 300, "\(equal)")
        let left = (equal["not_compared"]?.elements ?? []).compactMap(\.text)
        #expect(left.count == 1 && left[0].contains("rating"), "\(equal)")
        // What both declare is compared all the same; what waits for its column is no difference.
        try await damage(hq, "UPDATE sync_parked SET value = 6; UPDATE articles SET body = 'rotten' WHERE id = 'a0123'")
        let differs = try await verify(desk, server.address, status: 65)
        let found = (differs["differences"]?.elements ?? []).map {
            "\($0["row"]?.text ?? "") \($0["field"]?.text ?? "")"
        }
        #expect(found == ["a0123 body"], "\(differs)")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(10))) func aPeerThatGoesOnWritingRaisesNoFalseAlarm() async throws {
        let bureaus = try Bureaus()
        let (hq, desk, server) = try await pair(bureaus)
        let writer = try Child(
            "python3",
            [
                "-c",
                """
                import sqlite3, sys, time
                c = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
                i = 0
                while True:
                    c.execute("INSERT OR REPLACE INTO articles(id, headline) VALUES (?, ?)", (f"w{i % 50}", str(i)))
                    i += 1
                    time.sleep(0.002)
                """, hq.replica,
            ])
        _ = try await eventually("it writes; \(writer.errors)", within: 30) {
            try await hq.sql("SELECT count(*) FROM articles WHERE id LIKE 'w%'") == "50" ? true : nil
        }
        for _ in 0..<4 {
            let outcome = try await desk.attempt("verify", server.address, "--sync", "--json")
            #expect([0, 75].contains(outcome.status), "\(outcome)")
            #expect(try JSON(outcome.output)["differences"]?.elements.isEmpty == true, "\(outcome)")
        }
        writer.signal(SIGKILL)
        #expect(try await writer.wait().status == 128 + SIGKILL, "it wrote to the end: \(writer.errors)")
        let calm = try await verify(desk, server.address, "--sync", status: 0)
        #expect(calm["outcome"]?.text == "equal", "\(calm)")
        try await server.stop()
    }
}
