// Small things that a person meets: a text says what happened and what to do, and never another thing than what was done.
import Foundation
import Testing

@Suite(.serialized) struct SmallMistakesTests {
    /// A plan applies no change sets, but what the roster takes away is taken away, and is said.
    @Test(.timeLimit(.minutes(5))) func aPlanSaysWhatTheRosterDid() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "ankara", "antalya")
        let (hq, antalya) = (nodes[0], nodes[3])
        var server = try await hq.serve()
        for node in nodes[1...] { try await node.exchange("pull", server) }
        try await antalya.insertArticle("kept", "Kept")
        try await antalya.exchange("push", server)
        try await server.stop()
        try await antalya.insertArticle("void", "Void")
        server = try await antalya.serve()
        for node in nodes[1...2] { try await node.exchange("pull", server) }
        try await server.stop()
        try await hq.run("revoke", "antalya")
        server = try await hq.serve()
        let plan = try await nodes[1].json("pull", "--plan", server.address)
        #expect(plan["notices"]?[0]?["kind"]?.text == "rewound", "\(plan)")
        let again = try await nodes[1].json("pull", "--plan", server.address)
        #expect(again["notices"]?.elements.isEmpty == true, "\(again)")
        let text = try await nodes[2].run("pull", "--plan", server.address)
        #expect(text.contains("\n! "), "\(text)")
        try await server.stop()
    }

    /// `pull` names `syncnode conflicts` only where that has something to show.
    @Test(.timeLimit(.minutes(5))) func conflictsThatCameSettledGiveNoHint() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "ankara")
        let (hq, istanbul, ankara) = (nodes[0], nodes[1], nodes[2])
        try await hq.insertArticle("a1", "First")
        let server = try await hq.serve()
        for node in [istanbul, ankara] { try await node.exchange("pull", server) }
        try await hq.sql("UPDATE articles SET headline = 'Of hq' WHERE id = 'a1'")
        try await istanbul.sql("UPDATE articles SET headline = 'Of istanbul' WHERE id = 'a1'")
        let met = try await istanbul.run("sync", server.address)
        #expect(met.contains("1 conflict, 1 open (syncnode conflicts)"), "\(met)")
        let id = try await istanbul.json("conflicts")["conflicts"]?[0]?["id"]?.text
        try await istanbul.run("conflicts", "accept", try #require(id))
        try await istanbul.exchange("sync", server)
        let pulled = try await ankara.run("pull", server.address)
        #expect(try await ankara.json("status")["conflicts"]?.int == 0)
        #expect(pulled.contains("received") && !pulled.contains("(syncnode conflicts)"), "\(pulled)")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(1))) func completionOffersFilesAndDirectories() async throws {
        let script = try await Child.run(Bureaus.program, ["--generate-completion-script", "bash"])
        #expect(script.status == 0)
        let offers = script.text.split(separator: "\n").filter { $0.contains("_add_completions -") }
        // `article import`, `backup`, `forks export` and `forks check` at least; --data everywhere.
        #expect(offers.count { $0.hasSuffix(" -f") } >= 4 && offers.count { $0.hasSuffix(" -d") } > 20)
    }

    @Test(.enabled(if: SmallDisk.isPermitted, "tmpfs may not be mounted here"), .timeLimit(.minutes(5)))
    func aFullDiskIsCalledFull() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let disk = try SmallDisk(bureaus.node("laptop").data, megabytes: 8)
        let laptop = try await bureaus.admit("laptop", by: hq)
        _ = try await Child.run("sh", ["-c", "head -c 20000000 /dev/zero > \(disk.path)/filler; true"])
        let outcome = try await laptop.attempt("article", "add", "--headline", "No room")
        #expect(outcome.status == 74, "\(outcome)")
        let words = outcome.errors.lowercased()
        #expect(words.contains("disk is full") && words.contains("make room"), "\(outcome)")
        try FileManager.default.removeItem(atPath: disk.path + "/filler")
        try await laptop.run("article", "add", "--headline", "Room")
        try await laptop.expectSound()
    }

    @Test(.timeLimit(.minutes(1))) func aFileThatIsNoReplicaHasANextStep() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: hq.replica + suffix) }
        try Data("this is no database, whatever its name says".utf8).write(to: URL(fileURLWithPath: hq.replica))
        let outcome = try await hq.attempt("status")
        #expect(outcome.status == 78 && outcome.errors.contains("`syncnode doctor` says what to do."), "\(outcome)")
    }

    @Test(.timeLimit(.minutes(1))) func addressesAreTakenBackAsTheyWereGiven() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let zero = try await hq.attempt("peer", "add", "localhost:0")
        #expect(zero.status == 64 && zero.errors.contains("port"), "\(zero)")
        try await hq.run("peer", "add", "localhost")
        #expect(try await hq.json("peer", "remove", "localhost")["removed"]?[0]?.text == "localhost:7742")
        #expect(try await hq.attempt("peer", "remove", "localhost").status == 66)
    }

    @Test(.timeLimit(.minutes(1))) func mistakesAreNamed() async throws {
        let bureaus = try Bureaus()
        let check = try await bureaus.node("nobody").attempt("forks", "check", bureaus.directory)
        #expect(check.status == 66 && check.errors.contains("is a directory"), "\(check)")
        for words in [["--data", bureaus.directory], ["--data=x"], ["--json"], ["--data"]] {
            let outcome = try await Child.run(Bureaus.program, words)
            #expect(outcome.status == 64 && outcome.errors.contains("Name a command"), "\(words): \(outcome)")
        }
        #expect(try await Child.run(Bureaus.program, ["--data", bureaus.directory, "--help"]).status == 0)
        #expect(try await Child.run(Bureaus.program, []).status == 0)
    }

    @Test(.timeLimit(.minutes(1))) func watchNamesColumns() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await hq.run("commitment", "add", "--title", "Open", "--party", "Port", "--due-on", "2030-05-01")
        let watch = try hq.start(["watch", "--since", "0"])
        let line = try await eventually("the commitment in watch; \(watch.errors)") { () -> JSON? in
            let text = String(decoding: watch.output, as: UTF8.self)
            guard text.hasSuffix("\n") else { return nil }
            return try text.split(separator: "\n").map { try JSON(Array($0.utf8)) }
                .first { $0["table"]?.text == "commitments" }
        }
        let fields = (line["fields"]?.elements ?? []).compactMap(\.text)
        #expect(fields.contains("due_on") && fields.contains("due_precision") && !fields.contains("due"), "\(fields)")
        watch.signal(SIGTERM)
        _ = try await watch.wait()
    }

    @Test(.timeLimit(.minutes(1))) func verifyNamesNodes() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await hq.insertArticle("a1", "One")
        // Which seals what was written.
        try await hq.run("lag")
        let damaged = try await Child.run(
            "sqlite3",
            [
                hq.replica, ".dbconfig enable_trigger off",
                "UPDATE sync_change_sets SET signature = zeroblob(64) WHERE seq = 1",
            ])
        #expect(damaged.status == 0, "\(damaged)")
        let outcome = try await hq.attempt("verify")
        #expect(outcome.status == 65 && outcome.text.contains("“hq”"), "\(outcome)")
        #expect(!(outcome.text + outcome.errors).contains(/[0-9a-f]{32}-[0-9a-f]{16}/), "\(outcome)")
    }
}
