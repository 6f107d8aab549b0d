// Programs that know nothing of syncnode write into a replica while it serves: Python, the sqlite3 shell, many at once.
import Foundation
import Testing

@Suite(.serialized) struct OtherProgramsTests {
    @Test(.timeLimit(.minutes(5))) func aLivePeerHasWhatOtherProgramsWrite() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await istanbul.run("peer", "add", server.address)
        let peer = try await istanbul.serve()
        _ = try await eventually("a live session") {
            try await istanbul.json("lag")["peers"]?[0]?["state"]?.text == "live" ? true : nil
        }
        let watch = try istanbul.start(["watch", "--since", "0"])
        try await hq.python(
            """
            import sqlite3, sys
            connection = sqlite3.connect(sys.argv[1])
            connection.execute("INSERT INTO articles(id, headline) VALUES ('py', 'from Python')")
            connection.commit()
            """)
        _ = try await eventually("what Python wrote at the live peer", within: 10) {
            try await istanbul.headline("py") == "from Python" ? true : nil
        }
        try await istanbul.sql("UPDATE articles SET headline = 'from the shell' WHERE id = 'py'")
        _ = try await eventually("what the shell wrote at the other side", within: 10) {
            try await hq.headline("py") == "from the shell" ? true : nil
        }
        let lines = try await eventually("both changes in watch", within: 10) { () -> [JSON]? in
            let text = String(decoding: watch.output, as: UTF8.self)
            guard text.hasSuffix("\n") else { return nil }
            let lines = try text.split(separator: "\n").map { try JSON(Array($0.utf8)) }
            return lines.count >= 2 ? lines : nil
        }
        #expect(lines.map { $0["author"]?.text } == ["hq", "istanbul"])
        #expect(lines.map { $0["change"]?.text } == ["insert", "update"])
        #expect(lines.map { $0["received_from"] } == [.string("hq"), .null])
        watch.signal(SIGINT)
        #expect(try await watch.wait().status == 128 + SIGINT)
        try await peer.stop()
        try await server.stop()
        try await expectAgreement(nodes)
    }

    private static let writer = """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1])
        me, count = sys.argv[2], int(sys.argv[3])
        for i in range(count):
            connection.execute("INSERT INTO articles(id, headline) VALUES (?, ?)", (f"{me}-{i}", "from " + me))
            if i % 3 == 0:
                connection.execute("UPDATE articles SET byline = ? WHERE id = ?", (me, f"{me}-{i}"))
            connection.commit()
        """

    /// A Python writer with the module's own time-out of 5 s, a shell, two importers and a puller beside a live service.
    @Test(.timeLimit(.minutes(10))) func manyProcessesLoseNothing() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await istanbul.run("peer", "add", server.address)
        let peer = try await istanbul.serve()
        try await hq.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            INSERT INTO articles(id, headline, body) SELECT 'hq-' || i, 'before', hex(randomblob(500)) FROM n
            """)
        var children: [Child] = []
        for name in ["python-1", "python-2"] {
            children.append(try Child("python3", ["-c", Self.writer, istanbul.replica, name, "100"]))
        }
        for importer in ["import-1", "import-2"] {
            let lines = (0..<200).map {
                "{\"id\":\"\(importer)-\($0)\",\"headline\":\"by \(importer) \($0)\",\"body\":\"text\"}"
            }
            let file = try bureaus.file("\(importer).jsonl", lines.joined(separator: "\n") + "\n")
            children.append(try istanbul.start(["article", "import", "--format", "jsonl", file]))
        }
        let statements = (0..<100).map {
            "INSERT INTO articles(id, headline) VALUES ('shell-\($0)', 'from the shell');"
        }
        children.append(try Child("sqlite3", [istanbul.replica, ".timeout 60000", statements.joined(separator: "\n")]))
        for _ in 0..<4 { children.append(try istanbul.start(["pull", server.address])) }
        for child in children {
            let outcome = try await child.wait()
            #expect(outcome.status == 0 && !outcome.errors.contains("locked"), "\(child.name.prefix(60)): \(outcome)")
        }
        #expect(!peer.child.errors.contains("locked") && !server.child.errors.contains("locked"))
        _ = try await eventually("every write at the peer", within: 60) {
            try await hq.sql("SELECT count(*) FROM articles") == "1200" ? true : nil
        }
        #expect(try await istanbul.sql("SELECT count(*) FROM articles") == "1200")
        #expect(try await hq.sql("SELECT count(*) FROM articles WHERE byline LIKE 'python-%'") == "68")
        try await peer.stop()
        try await server.stop()
        try await expectAgreement(nodes)
    }
}
