// For operators: backups while others write, watch that goes on where it left off, plans that change nothing, doctor.
import Foundation
import Testing

@Suite(.serialized) struct OperatorTests {
    @Test(.timeLimit(.minutes(5))) func aBackupWhileOthersWriteIsOfOneMoment() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let writer = try Child(
            "python3",
            [
                "-c",
                """
                import sqlite3, sys, time
                c = sqlite3.connect(sys.argv[1], timeout=60)
                for i in range(400):
                    c.execute("INSERT INTO articles(id, headline) VALUES (?, 'left')", (f"left-{i}",))
                    c.execute("INSERT INTO articles(id, headline) VALUES (?, 'right')", (f"right-{i}",))
                    c.commit()
                    time.sleep(0.005)
                """, hq.replica,
            ])
        _ = try await eventually("it writes; \(writer.errors)", within: 30) {
            try await hq.sql("SELECT count(*) FROM articles") == "0" ? nil : true
        }
        var copies = 0
        var counts: [Int] = []
        while writer.status == nil, copies < 5 {
            copies += 1
            let file = bureaus.directory + "/copy\(copies).sqlite"
            let document = try await hq.json("backup", file)
            #expect((document["size_bytes"]?.int ?? 0) > 0)
            let found = try await Child.run(
                "sqlite3",
                [
                    file,
                    "PRAGMA integrity_check; SELECT sum(headline = 'left') = sum(headline = 'right') FROM articles",
                    "SELECT count(*) FROM articles",
                ])
            #expect(found.text.hasPrefix("ok\n1\n"), "\(found)")
            counts += found.text.split(separator: "\n").last.flatMap { Int($0) }.map { [$0] } ?? []
        }
        #expect(counts.contains { $0 < 800 }, "no copy was made while it wrote: \(counts)")
        #expect(try await writer.wait().status == 0)
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "800")
        let twice = try await hq.attempt("backup", bureaus.directory + "/copy1.sqlite")
        #expect(twice.status == 64, "a backup replaces nothing: \(twice)")
        try await server.stop()
        try await hq.expectSound()
    }

    @Test(.timeLimit(.minutes(5))) func watchGoesOnWhereItLeftOff() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        for number in 1...3 {
            try await hq.insertArticle("a\(number)", "Article \(number)")
            try await hq.run("status")
        }
        func lines(since cursor: Int, until count: Int) async throws -> [JSON] {
            let watch = try hq.start(["watch", "--since", "\(cursor)"])
            defer { watch.signal(SIGKILL) }
            return try await eventually("\(count) lines after \(cursor); \(watch.errors)", within: 15) {
                let text = String(decoding: watch.output, as: UTF8.self)
                let whole = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
                return whole.count >= count ? try whole.map { try JSON(Array($0.utf8)) } : nil
            }
        }
        let first = try await lines(since: 0, until: 3)
        #expect(first.map { $0["id"]?.text } == ["a1", "a2", "a3"])
        for line in first {
            #expect(line.keys.isSuperset(of: ["cursor", "table", "id", "change", "fields", "author", "at"]), "\(line)")
        }
        let cursors = first.compactMap { $0["cursor"]?.int }
        #expect(cursors == cursors.sorted() && cursors.count == 3)
        let cursor = try #require(cursors.last)
        try await hq.sql("UPDATE articles SET byline = 'x' WHERE id = 'a2'; DELETE FROM articles WHERE id = 'a1'")
        let rest = try await lines(since: cursor, until: 2)
        #expect(rest.map { $0["change"]?.text } == ["update", "delete"])
        #expect(rest.map { $0["id"]?.text } == ["a2", "a1"])
        #expect(rest.first?["fields"]?.elements == [.string("byline")])
        // Stopped among the rows of one transaction it begins that transaction again.
        let end = try #require(rest.last?["cursor"]?.int)
        try await hq.sql(
            "BEGIN; INSERT INTO articles(id, headline) VALUES ('b1', 'x'), ('b2', 'x'), ('b3', 'x'); COMMIT")
        let three = try await lines(since: end, until: 3)
        for seen in 1..<3 {
            let again = try await lines(since: try #require(three[seen - 1]["cursor"]?.int), until: 3 - seen)
            let ids = again.compactMap { $0["id"]?.text }
            let missing = three[seen...].compactMap { $0["id"]?.text }.filter { !ids.contains($0) }
            #expect(missing == [], "after \(seen) rows came \(ids)")
        }
        let after = try #require(three.last?["cursor"]?.int)
        #expect(try await hq.sql("SELECT max(position) FROM sync_change_sets") == "\(after)")
        // Without a cursor: from now on.
        let fresh = try hq.start(["watch"])
        _ = try await eventually("only news", within: 20) { () -> Bool? in
            try await hq.sql("INSERT OR REPLACE INTO articles(id, headline) VALUES ('a4', hex(randomblob(4)))")
            let text = String(decoding: fresh.output, as: UTF8.self)
            guard text.contains("a4") else { return nil }
            #expect(!text.contains("\"a3\""), "\(text)")
            return true
        }
        fresh.signal(SIGKILL)
    }

    @Test(.timeLimit(.minutes(5))) func aPlanChangesNothingAndForetellsTheConflicts() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        for number in 1...3 { try await hq.insertArticle("a\(number)", "Article \(number)") }
        let server = try await hq.serve()
        try await istanbul.exchange("pull", server)
        try await istanbul.sql("UPDATE articles SET headline = 'Istanbul ' || id, byline = 'I' WHERE id <> 'a3'")
        try await istanbul.sql("DELETE FROM articles WHERE id = 'a3'")
        try await hq.sql("UPDATE articles SET headline = 'HQ ' || id")
        try await hq.run("status")

        func figures(_ node: Node) async throws -> [JSON?] {
            let peer = try await node.json("lag")["peers"]?[0]
            return [peer?["state"], peer?["behind"]?["change_sets"], peer?["ahead"]?["change_sets"]]
        }
        let before = try await (hq.dump(), istanbul.dump(), figures(hq), istanbul.vector(), hq.vector())
        let unsealed = try await istanbul.json("status")["unsealed"]
        for _ in 0..<2 {
            let plan = try await istanbul.json("pull", "--plan", server.address)
            #expect(plan["peers"]?[0]?["would_receive"]?["changes"]?.int == 3, "\(plan)")
            #expect(plan["peers"]?[0]?["partial"] == .bool(false) && plan["peers"]?[0]?["error"] == .null, "\(plan)")
            expectEqualLines(before.0, try await hq.dump(), "hq before", "hq after")
            expectEqualLines(before.1, try await istanbul.dump(), "istanbul before", "istanbul after")
            #expect(try await istanbul.json("status")["unsealed"] == unsealed)
            #expect(try await figures(hq) == before.2)
        }
        let plan = try await istanbul.json("pull", "--plan", server.address)
        let foretold = Set((plan["peers"]?[0]?["conflicts"]?.elements ?? []).compactMap { $0["id"]?.text })
        let pulled = try await istanbul.exchange("pull", server)
        let made = Set(
            (try await istanbul.json("conflicts", "list")["conflicts"]?.elements ?? []).compactMap { $0["id"]?.text })
        #expect(foretold == made && made.count == 2, "\(foretold) \(made)")
        #expect(pulled["peers"]?[0]?["conflicts"]?.int == made.count)
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
    }

    /// More than a peer may have in flight while nothing is acknowledged.
    @Test(.timeLimit(.minutes(5))) func aPlanOfVeryMuchIsPartial() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        for number in 1...12 {
            try await nodes[0].sql("INSERT INTO articles(id, body) VALUES ('big\(number)', randomblob(7000000))")
        }
        let server = try await nodes[0].serve()
        let plan = try await nodes[1].json("pull", "--plan", server.address)
        #expect(plan["peers"]?[0]?["partial"] == .bool(true) && plan["peers"]?[0]?["error"] == .null, "\(plan)")
        #expect((plan["peers"]?[0]?["would_receive"]?["bytes"]?.int ?? 0) > 20_000_000, "\(plan)")
        try await nodes[1].exchange("pull", server)
        #expect(try await nodes[1].sql("SELECT count(*) FROM articles") == "12")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func doctorSaysWhatIsWrongAndMendsALostReplica() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await istanbul.insertArticle("a1", "Written here")
        let server = try await hq.serve()
        try await istanbul.exchange("sync", server)
        let well = try await istanbul.json("doctor")
        #expect(well["healthy"] == .bool(true))
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: istanbul.replica + suffix) }
        let ill = try await istanbul.attempt("doctor")
        #expect(ill.status == 78 && ill.text.contains("--rebuild"), "\(ill)")
        let mended = try await istanbul.attempt("doctor", "--rebuild")
        #expect(mended.status == 0, "\(mended)")
        try await istanbul.exchange("pull", server)
        #expect(try await istanbul.headline("a1") == "Written here")
        try await istanbul.insertArticle("a2", "Written after")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
    }
}
