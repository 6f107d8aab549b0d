// Restored, copied and moved nodes, as operators make them: the real program, real files, kill -9.
import Chance
import Foundation
import Testing

@Suite(.serialized) struct RestoreTests {
    private struct Notice: Hashable {
        let kind: String
        let text: String
    }

    private func notices(_ node: Node) async throws -> [Notice] {
        try await node.json("status")["notices"]?.elements.map {
            Notice(kind: $0["kind"]?.text ?? "", text: $0["text"]?.text ?? "")
        } ?? []
    }

    private func origin(_ node: Node) async throws -> String {
        try #require(try await node.json("status")["origin"]?.text)
    }

    private func restore(_ backup: String, at node: Node) throws {
        for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: node.replica + end) }
        try FileManager.default.copyItem(atPath: backup, toPath: node.replica)
    }

    private func mark(_ node: Node) -> String { node.data + "/identity/high-water-mark" }

    /// No two change sets with one name and two contents, in any of these replicas.
    private func expectNoFork(_ nodes: [Node], _ location: SourceLocation = #_sourceLocation) async throws {
        var digests: [Substring: Substring] = [:]
        for node in nodes {
            let log = try await node.sql(
                "SELECT hex(o.origin) || ':' || c.seq || ' ' || hex(c.digest) FROM sync_change_sets c JOIN sync_origins o ON o.number = c.origin"
            )
            for line in log.split(separator: "\n") {
                let parts = line.split(separator: " ")
                let known = digests.updateValue(parts[1], forKey: parts[0])
                #expect(known == nil || known == parts[1], "\(node.name): \(parts[0])", sourceLocation: location)
            }
        }
    }

    /// As `cp -a` makes it.
    private func copy(_ node: Node, to name: String, in bureaus: Bureaus) async throws -> Node {
        let copy = bureaus.node(name)
        let outcome = try await Child.run("cp", ["-a", node.data, copy.data])
        #expect(outcome.status == 0, "\(outcome)")
        return copy
    }

    @Test(.timeLimit(.minutes(10))) func anOldBackupIsPutBackWhileEditsHadBeenPushed() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        var server = try await hq.serve()
        try await istanbul.insertArticle("a1", "Before the backup")
        try await istanbul.exchange("sync", server)
        try await istanbul.insertArticle("a2", "In no change set when the backup was made")
        let backup = bureaus.directory + "/istanbul.backup"
        try await istanbul.run("backup", backup)
        try await istanbul.insertArticle("a3", "After the backup")
        try await istanbul.sql("UPDATE articles SET headline = 'Retitled after the backup' WHERE id = 'a1'")
        try await istanbul.exchange("push", server)
        let former = try await origin(istanbul)

        try restore(backup, at: istanbul)
        try await istanbul.insertArticle("a4", "Written before anybody noticed")
        let doctor = try await istanbul.attempt("doctor")
        #expect(doctor.status == 0 && doctor.text.contains("restored from a backup"), "\(doctor)")
        #expect(try await notices(istanbul).map(\.kind) == ["restored"])
        #expect(try await istanbul.run("status").contains("restored from a backup"))
        #expect(try await origin(istanbul) != former)
        try await istanbul.exchange("sync", server)
        try await expectAgreement(nodes)
        try await expectNoFork(nodes)
        #expect(try await istanbul.headline("a1") == "Retitled after the backup")
        #expect(try await istanbul.sql("SELECT count(*) FROM articles") == "4")
        try await server.stop()
        try await istanbul.run("doctor", "--dismiss")
        #expect(try await notices(istanbul).isEmpty)

        // The node that serves, restored under the others: its log says so.
        try await hq.run("backup", backup + ".hq")
        server = try await hq.serve()
        try await hq.insertArticle("h1", "At hq, after its backup")
        try await istanbul.exchange("pull", server)
        try await server.stop()
        try restore(backup + ".hq", at: hq)
        server = try await hq.serve()
        // It says that it is ready before it tells what happened.
        let log = server.child
        _ = try await eventually("its log says so: \(log.errors)") {
            log.errors.contains("restored from a backup") ? true : nil
        }
        try await hq.insertArticle("h2", "At hq, after the restore")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        try await expectNoFork(nodes)
        #expect(try await hq.headline("h1") == "At hq, after its backup")
    }

    @Test(.timeLimit(.minutes(10))) func aCopiedDirectoryAndItsOriginalRunAtOnce() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await istanbul.insertArticle("a1", "Before the copy")
        try await istanbul.exchange("sync", server)
        try await istanbul.insertArticle("a2", "Not sealed before the copy")
        let twin = try await copy(istanbul, to: "twin", in: bureaus)
        for round in 0..<4 {
            try await istanbul.insertArticle("o\(round)", "original \(round)")
            try await twin.insertArticle("t\(round)", "twin \(round)")
            async let first = istanbul.exchange("sync", server)
            async let second = twin.exchange("sync", server)
            _ = try await (first, second)
        }
        #expect(try await notices(twin).map(\.kind) == ["copied"])
        #expect(try await notices(istanbul).isEmpty)
        for node in [istanbul, twin] { try await node.exchange("sync", server) }
        try await server.stop()
        try await expectNoFork([hq, istanbul, twin])
        try await expectAgreement([hq, istanbul, twin])
    }

    /// Another machine is played by another /etc/machine-id, mounted over this one's for one process.
    @Test(.timeLimit(.minutes(10))) func aDirectoryOnAnotherMachineTakesANewOrigin() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let istanbul = nodes[1]
        try await istanbul.insertArticle("a1", "Written on the first machine")
        let server = try await nodes[0].serve()
        try await istanbul.exchange("sync", server)
        let other = try bureaus.file("machine-id", "b642b4217b34b1e8d3bd915fc65c4452\n")
        let trial = try? await Child.run("unshare", ["-m", "mount", "--bind", other, "/etc/machine-id"])
        guard trial?.status == 0, FileManager.default.fileExists(atPath: "/etc/machine-id") else {
            print("SKIPPED: aDirectoryOnAnotherMachineTakesANewOrigin: this user may not mount over /etc/machine-id")
            return
        }
        let former = try await origin(istanbul)
        let moved = try await Child.run(
            "unshare",
            [
                "-m", "sh", "-c",
                "mount --bind '\(other)' /etc/machine-id && '\(Bureaus.program)' status --json && '\(Bureaus.program)' sync \(server.address)",
            ], environment: ["SYNCNODE_DATA": istanbul.data])
        #expect(moved.status == 0, "\(moved)")
        #expect(moved.text.contains("\"copied\"") && moved.text.contains("another machine"), "\(moved)")
        #expect(!moved.text.contains("\"origin\":\"\(former)\""), "\(moved)")
        // And home again: a new origin once more, and nothing lost by it.
        try await istanbul.insertArticle("a2", "Home again")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        #expect(try await notices(istanbul).map(\.kind) == ["copied", "copied"])
        try await expectNoFork(nodes)
        try await expectAgreement(nodes)
    }

    @Test(.timeLimit(.minutes(10)), arguments: ["lost", "damaged", "emptied"])
    func aMarkThatIsGoneCostsANewOrigin(how: String) async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let istanbul = nodes[1]
        let server = try await nodes[0].serve()
        try await istanbul.insertArticle("a1", "One")
        try await istanbul.exchange("sync", server)
        try await istanbul.insertArticle("a2", "Two")
        let former = try await origin(istanbul)
        #expect(FileManager.default.fileExists(atPath: mark(istanbul)))
        switch how {
        case "lost": try FileManager.default.removeItem(atPath: mark(istanbul))
        case "damaged":
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: mark(istanbul)))
            try file.write(contentsOf: Data("nonsense".utf8))
            try file.close()
        default: try Data().write(to: URL(fileURLWithPath: mark(istanbul)))
        }
        try await istanbul.exchange("sync", server)
        #expect(try await origin(istanbul) != former)
        #expect(try await notices(istanbul).map(\.kind) == ["mark_lost"])
        try await istanbul.insertArticle("a3", "Three")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        #expect(try await notices(istanbul).count == 1)
        try await expectNoFork(nodes)
        try await expectAgreement(nodes)
    }

    @Test(.timeLimit(.minutes(10))) func aLostReplicaIsRecoveredFromAPeer() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let istanbul = nodes[1]
        let server = try await nodes[0].serve()
        try await istanbul.insertArticle("a1", "Written here")
        try await istanbul.exchange("sync", server)
        let refused = try await istanbul.attempt("recover", server.address)
        #expect(refused.status == 64 && refused.errors.contains("already"), "\(refused)")
        for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: istanbul.replica + end) }
        let lost = try await istanbul.attempt("status")
        #expect(lost.status == 78 && lost.errors.contains("syncnode recover"), "\(lost)")
        try await istanbul.run("recover", server.address)
        #expect(try await istanbul.headline("a1") == "Written here")
        #expect(try await notices(istanbul).map(\.kind) == ["recovered"])
        try await istanbul.insertArticle("a2", "Written after")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectNoFork(nodes)
        try await expectAgreement(nodes)
    }

    @Test(.timeLimit(.minutes(5))) func anotherNodesReplicaIsRefusedWithWhatToDo() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        try await nodes[0].run("backup", bureaus.directory + "/hq.backup")
        try restore(bureaus.directory + "/hq.backup", at: nodes[1])
        let refused = try await nodes[1].attempt("status")
        #expect(refused.status == 77 && refused.errors.contains("syncnode recover"), "\(refused)")
        // Joining where a node lives already is refused, and leaves it as it was.
        let code = try await nodes[0].run("invite", "madrid", "--address", "127.0.0.1:1")
        let again = try await nodes[1].attempt("join", code)
        #expect(again.status == 64 && again.errors.contains("already"), "\(again)")
    }

    /// Captured by a clock a year ahead, and sealed when it was set right: no peer holds it, and the owner goes on.
    @Test(.timeLimit(.minutes(5))) func aClockSetBackLocksNobodyOut() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await istanbul.insertArticle("a1", "Under the wrong clock")
        try await istanbul.sql("UPDATE sync_journal_articles SET at = at + 31536000000")
        try await istanbul.exchange("sync", server)
        #expect(try await hq.json("status")["held"]?.int == 0)
        #expect(try await hq.headline("a1") == "Under the wrong clock")
        try await istanbul.sql("UPDATE articles SET headline = 'Under the right one'")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        #expect(try await hq.headline("a1") == "Under the right one")
        #expect(try await istanbul.json("status")["stamps_ahead"]?.elements.isEmpty == true)
        try await expectAgreement(nodes)
    }

    /// kill -9 of a writer that seals and sends all the time: no fork, and no new origin either.
    @Test(.timeLimit(.minutes(4))) func killsWhileSealingAndSendingForkNothing() async throws {
        var random = SeededRandom.ofTest()
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let hub = try await hq.serve()
        try await istanbul.run("peer", "add", hub.address)
        let former = try await origin(istanbul)
        var written = 0
        let kills = 25
        for _ in 0..<kills {
            let server = try await istanbul.serve()
            let until = ContinuousClock.now.advanced(by: .milliseconds(Int.random(in: 5...400, using: &random)))
            repeat {
                written += 1
                try await istanbul.insertArticle("k\(written)", "edit \(written)")
            } while ContinuousClock.now < until
            try await server.crash()
        }
        #expect(try await origin(istanbul) == former, "seed \(random.seed)")
        #expect(try await notices(istanbul).isEmpty, "seed \(random.seed)")
        try await istanbul.exchange("sync", hub)
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "\(written)", "seed \(random.seed)")

        // The same with backups put back between: everything that was sent returns, and still no fork.
        let backup = bureaus.directory + "/backup-"
        var restores = 0
        for round in 0..<12 {
            try await istanbul.run("backup", backup + "\(round)")
            let server = try await istanbul.serve()
            let until = ContinuousClock.now.advanced(by: .milliseconds(Int.random(in: 5...300, using: &random)))
            repeat {
                written += 1
                try await istanbul.insertArticle("k\(written)", "edit \(written)")
            } while ContinuousClock.now < until
            try await server.crash()
            if Bool.random(using: &random) {
                try restore(backup + "\(Int.random(in: 0...round, using: &random))", at: istanbul)
                restores += 1
            }
            try await expectNoFork(nodes)
        }
        try await istanbul.exchange("sync", hub)
        try await hub.stop()
        try await expectNoFork(nodes)
        try await expectAgreement(nodes)
        print(
            "kill -9 while sealing and sending: \(kills + 12) kills, \(restores) restores, \(written) edits, "
                + "seed \(random.seed)")
    }
}
