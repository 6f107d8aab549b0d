// kill -9, over and over, of whatever writes: importers, sealing, the service, and migrations.
import Chance
import Foundation
import Testing

@Suite(.serialized) struct KillLoopTests {
    /// Kills a child at a random moment; false where it was done before.
    private func kill(_ child: Child, within milliseconds: ClosedRange<Int>, _ random: inout SeededRandom) async throws
        -> Bool
    {
        try await Task.sleep(for: .milliseconds(Int.random(in: milliseconds, using: &random)))
        guard child.status == nil else {
            let outcome = try await child.wait()
            #expect(outcome.status == 0, "\(outcome)")
            return false
        }
        child.signal(SIGKILL)
        return try await child.wait().status == 128 + SIGKILL
    }

    @Test(.timeLimit(.minutes(10))) func importersAndSeals() async throws {
        var random = SeededRandom.ofTest()
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let body = String(repeating: "word ", count: 150)
        let items = 6_000
        let file = try bureaus.file(
            "items.jsonl",
            (0..<items).map { "{\"id\":\"a\($0)\",\"headline\":\"h\($0)\",\"body\":\"\(body)\"}\n" }.joined())
        var kills = (imports: 0, seals: 0)
        var before = 0
        for _ in 0..<12 {
            if try await kill(istanbul.start(["article", "import", "--json", file]), within: 10...700, &random) {
                kills.imports += 1
            }
            // What is in stays in.
            let count = Int(try await istanbul.sql("SELECT count(*) FROM articles")) ?? -1
            #expect(count >= before, "seed \(random.seed)")
            before = count
        }
        try await istanbul.expectSound()
        try await istanbul.run("article", "import", file)
        #expect(try await istanbul.sql("SELECT count(*) FROM articles") == "\(items)", "seed \(random.seed)")

        // A backlog in several transactions; whoever syncs seals it first.
        let server = try await hq.serve()
        for part in 0..<10 {
            try await istanbul.sql("UPDATE articles SET byline = 'part \(part)' WHERE rowid % 10 = \(part)")
            for _ in 0..<2 {
                if try await kill(istanbul.start(["push", server.address]), within: 10...350, &random) {
                    kills.seals += 1
                }
            }
        }
        try await istanbul.expectSound()
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(
            try await hq.sql("SELECT count(*), count(DISTINCT byline) FROM articles") == "\(items)|10",
            "seed \(random.seed)")
        #expect(kills.imports > 2 && kills.seals > 2, "too few kills to say anything: \(kills)")
        print("kill -9: \(kills.imports) importers, \(kills.seals) seals and pushes, seed \(random.seed)")
    }

    /// The service is killed while others write, on its own machine and by the network.
    @Test(.timeLimit(.minutes(10))) func theService() async throws {
        var random = SeededRandom.ofTest()
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        var server = try await hq.serve()
        let address = server.address
        try await istanbul.run("peer", "add", address)
        let live = try await istanbul.serve()
        var kills = 0
        for round in 0..<10 {
            async let here: Void = hq.insertArticle("h\(round)", "round \(round)")
            async let there: Void = istanbul.insertArticle("i\(round)", "round \(round)")
            if try await kill(server.child, within: 0...250, &random) { kills += 1 }
            _ = try await (here, there)
            server = try await hq.serve(at: address)
        }
        _ = try await eventually("all of it on both sides", within: 60, every: 200) {
            let counts = [
                try await hq.sql("SELECT count(*) FROM articles"),
                try await istanbul.sql("SELECT count(*) FROM articles"),
            ]
            return counts == ["20", "20"] ? true : nil
        }
        try await live.stop()
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(kills == 10)
        print("kill -9: \(kills) services, seed \(random.seed)")
    }

    /// Puts a replica into the first form: what its tables were then, with what they hold now. The first step of the
    /// schema is read from where it is written, so that it is the one that such a replica was made with.
    private static let toFirstForm = """
        import os, re, sqlite3, sys
        path, source = sys.argv[1], open(sys.argv[2]).read()
        first = re.search(r'static let steps[^\"]*\"{3}(.*?)\"{3}', source, re.S).group(1)
        os.rename(path, path + ".new")
        old = sqlite3.connect(path)
        old.executescript("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;" + first)
        old.execute("ATTACH ? AS new", (path + ".new",))
        names = [n for (n,) in old.execute("SELECT name FROM new.sync_tables")]
        own = [n for (n,) in old.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        beside = [p + n for n in names for p in ("", "sync_journal_", "sync_rows_", "sync_versions_", "sync_graveyard_")]
        for name in beside:
            sql = old.execute("SELECT sql FROM new.sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone()[0]
            # The first graveyards had neither types nor defaults.
            if name.startswith("sync_graveyard_"):
                sql = re.sub(r'( TEXT| NUMERIC| REAL)?( DEFAULT \\([^)]*\\))?(?=\\s*[,)])', '', sql)
            old.execute(sql)
        for name in own + beside:
            mine = [r[1] for r in old.execute('PRAGMA main.table_info("%s")' % name)]
            theirs = [r[1] for r in old.execute('PRAGMA new.table_info("%s")' % name)]
            columns = ", ".join('"%s"' % c for c in mine if c in theirs)
            old.execute('INSERT INTO main."%s"(%s) SELECT %s FROM new."%s"' % (name, columns, columns, name))
        for (sql,) in old.execute("SELECT sql FROM new.sqlite_master WHERE type = 'trigger' AND name LIKE 'sync_%'").fetchall():
            if not re.search(r'"sync_(rowid|move)_', sql): old.execute(sql)
        old.execute("DELETE FROM sync_settings WHERE name = 'declared'")
        old.execute("UPDATE sync_tables SET capture = ''")
        old.commit()
        old.execute("PRAGMA application_id = %d" % 0x53594e43)
        old.execute("PRAGMA user_version = 1")
        old.commit(); old.close()
        os.remove(path + ".new")
        """

    @Test(.timeLimit(.minutes(10))) func migrations() async throws {
        var random = SeededRandom.ofTest()
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await istanbul.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15000)
            INSERT INTO articles(id, headline, body) SELECT 'm-' || i, 'article ' || i, hex(randomblob(100)) FROM n;
            DELETE FROM articles WHERE rowid % 2 = 0;
            """)
        let server = try await hq.serve()
        try await istanbul.exchange("sync", server)
        try await istanbul.insertArticle("unsealed", "written under the first form")
        let before = try await istanbul.dump()
        let present = try await istanbul.sql("PRAGMA user_version")
        let schema = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/ReplicaStore/Database/Schema.swift").path
        var kills = 0
        for round in 0..<12 {
            if try await istanbul.sql("PRAGMA user_version") == present {
                // All of it, or what is left of one that was interrupted: both must be read.
                try await istanbul.sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
                try await istanbul.python(Self.toFirstForm, schema)
                #expect(try await istanbul.sql("PRAGMA user_version") == "1")
            }
            if try await kill(istanbul.start(["status"]), within: 1...(60 + round * 25), &random) { kills += 1 }
            #expect(try await istanbul.sql("PRAGMA quick_check") == "ok", "seed \(random.seed)")
        }
        #expect(try await istanbul.attempt("status").status == 0)
        #expect(try await istanbul.sql("PRAGMA user_version") == present)
        expectEqualLines(
            before.filter {
                !$0.hasPrefix("vector") && !$0.hasPrefix("log") && !$0.contains("unsealed")
                    && !$0.contains("756e7365616c6564") && !$0.contains("756E7365616C6564")
            },
            try await istanbul.dump().filter {
                !$0.hasPrefix("vector") && !$0.hasPrefix("log") && !$0.contains("unsealed")
                    && !$0.contains("756e7365616c6564") && !$0.contains("756E7365616C6564")
            },
            "before", "after migrations, seed \(random.seed)")
        try await istanbul.expectSound()
        try await istanbul.insertArticle("after", "captured")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(try await hq.headline("unsealed") == "written under the first form")
        #expect(try await hq.headline("after") == "captured")
        #expect(kills > 3, "too few kills to say anything: \(kills)")
        print("kill -9: \(kills) migrations, seed \(random.seed)")
    }
}
