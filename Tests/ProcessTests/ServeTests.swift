// The service: stops cleanly, reconnects by itself, relays live, keeps one session with a peer, and does not starve anyone.
import Foundation
import Testing

@Suite(.serialized) struct ServeTests {
    private func state(of peer: String, at node: Node) async throws -> String? {
        let peers = try await node.json("lag")["peers"]?.elements ?? []
        return peers.first { $0["name"]?.text == peer }?["state"]?.text
    }

    /// Waits until the first of two that serve has a live session with the second.
    private func live(_ server: Server, with peer: Server) async throws {
        let what = {
            "\(server.node.name) is live with \(peer.node.name):\n\(server.child.errors)\n\(peer.child.errors)"
        }
        _ = try await eventually(what(), within: 30) {
            try await state(of: peer.node.name, at: server.node) == "live" ? true : nil
        }
    }

    @Test(.timeLimit(.minutes(5))) func sigtermStopsItCleanly() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let server = try await nodes[0].serve()
        try await nodes[1].run("peer", "add", server.address)
        let peer = try await nodes[1].serve()
        try await live(peer, with: server)
        try await nodes[0].insertArticle("a1", "Last words")
        let began = ContinuousClock.now
        server.child.signal(SIGTERM)
        let outcome = try await server.child.wait(seconds: 10)
        let seconds = began.duration(to: .now)
        #expect(outcome.status == 0 && seconds < .seconds(5), "\(seconds): \(outcome)")
        // The last connection to close writes the log back into the file.
        let wal = nodes[0].replica + "-wal"
        let size = (try? FileManager.default.attributesOfItem(atPath: wal)[.size] as? Int) ?? 0
        #expect(size == 0, "a write-ahead log of \(size) bytes is left")
        #expect(try await nodes[0].sql("PRAGMA integrity_check") == "ok")
        try await peer.stop()
        for node in nodes { try await node.expectSound() }
    }

    /// What is waited for is a file that every other program may hold as long as it likes.
    @Test(.timeLimit(.minutes(5))) func sigtermStopsItWhileAnotherProgramWrites() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let server = try await nodes[0].serve()
        let other = try Child(
            "sqlite3",
            [
                nodes[0].replica, ".timeout 10000", "BEGIN IMMEDIATE", "INSERT INTO articles(id) VALUES ('half')",
                ".shell sleep 50",
            ])
        _ = try await eventually("another program writes", within: 20) {
            try await Child.run("sqlite3", [nodes[0].replica, "BEGIN IMMEDIATE"]).status == 0 ? nil : true
        }
        // What the peer is at is to be written down.
        let pull = try nodes[1].start(["pull", server.address])
        try await Task.sleep(for: .seconds(2))
        let began = ContinuousClock.now
        server.child.signal(SIGTERM)
        #expect(try await server.child.wait(seconds: 30).status == 0)
        #expect(began.duration(to: .now) < .seconds(10))
        other.signal(SIGKILL)
        _ = try await pull.wait(seconds: 30)
        try await nodes[0].expectSound()
    }

    /// A node whose file another program holds says that it has to wait: to its peers it is slow, and not gone.
    @Test(.timeLimit(.minutes(5))) func whoDialsWhileAnotherProgramWritesIsToldToComeBack() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let server = try await nodes[0].serve()
        // Something is committed that is to be sealed first, and then nothing else can be.
        let other = try Child(
            "sqlite3",
            [
                nodes[0].replica, ".timeout 10000", "INSERT INTO articles(id) VALUES ('whole'); BEGIN IMMEDIATE;",
                "INSERT INTO articles(id) VALUES ('half')", ".shell sleep 50",
            ])
        _ = try await eventually("another program writes", within: 20) {
            try await Child.run("sqlite3", [nodes[0].replica, "BEGIN IMMEDIATE"]).status == 0 ? nil : true
        }
        let pull = try await nodes[1].attempt("pull", server.address)
        #expect(pull.status == 75, "\(pull)")
        #expect(pull.errors.contains("what was written there comes first"), "\(pull)")
        other.signal(SIGKILL)
        _ = try await eventually("the peer has what was written", within: 30, every: 500) {
            try await nodes[1].attempt("pull", server.address).status == 0 ? true : nil
        }
        #expect(try await nodes[1].sql("SELECT id FROM articles") == "whole")
        try await server.stop()
        for node in nodes { try await node.expectSound() }
    }

    @Test(.timeLimit(.minutes(5))) func sigintStopsItToo() async throws {
        let bureaus = try Bureaus()
        let server = try await bureaus.found().serve()
        server.child.signal(SIGINT)
        #expect(try await server.child.wait(seconds: 10).status == 0)
    }

    @Test(.timeLimit(.minutes(10))) func sessionsComeBackAfterAPeerRestarts() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        var server = try await nodes[0].serve()
        try await nodes[1].run("peer", "add", server.address)
        let peer = try await nodes[1].serve()
        try await live(peer, with: server)
        try await server.crash()
        try await nodes[0].insertArticle("a1", "While nobody served")
        try await nodes[1].insertArticle("a2", "While alone")
        server = try await nodes[0].serve(at: server.address)
        _ = try await eventually("both articles on both sides", within: 40) {
            let counts = [
                try await nodes[0].sql("SELECT count(*) FROM articles"),
                try await nodes[1].sql("SELECT count(*) FROM articles"),
            ]
            return counts == ["2", "2"] ? true : nil
        }
        try await peer.stop()
        try await server.stop()
        try await expectAgreement(nodes)
    }

    @Test(.timeLimit(.minutes(10))) func aLineOfThreeRelaysLive() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let middle = try await nodes[0].serve()
        for node in nodes.dropFirst() { try await node.run("peer", "add", middle.address) }
        let (left, right) = (try await nodes[1].serve(), try await nodes[2].serve())
        for end in [left, right] { try await live(end, with: middle) }
        for round in 1...3 {
            try await nodes[1].insertArticle("l\(round)", "from the left")
            _ = try await eventually("article l\(round) at the far end", within: 20) {
                try await nodes[2].headline("l\(round)") == "from the left" ? true : nil
            }
            try await nodes[2].insertArticle("r\(round)", "from the right")
            _ = try await eventually("article r\(round) at the far end", within: 20) {
                try await nodes[1].headline("r\(round)") == "from the right" ? true : nil
            }
        }
        for server in [left, right, middle] { try await server.stop() }
        try await expectAgreement(nodes)
    }

    @Test(.timeLimit(.minutes(10))) func twoThatDialEachOtherSettleOnOneSession() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let first = try await nodes[0].serve()
        let second = try await nodes[1].serve()
        try await nodes[0].run("peer", "add", second.address)
        try await nodes[1].run("peer", "add", first.address)
        try await live(first, with: second)
        try await live(second, with: first)
        // One connection, seen from the two ports that listen; both may dial once before they know of each other.
        var counts: [Int] = []
        do {
            _ = try await eventually("one connection between the two", within: 30, every: 200) {
                counts.append(try await connections(to: [first.port, second.port]))
                return counts.suffix(15) == [Int](repeating: 1, count: 15)[...] ? true : nil
            }
        } catch {
            Issue.record("\(error): \(counts)\n\(first.child.errors)\n\(second.child.errors)")
        }
        try await nodes[0].insertArticle("a1", "over the one")
        _ = try await eventually("the article", within: 10) { try await nodes[1].headline("a1").isEmpty ? nil : true }
        #expect(!first.child.errors.contains("error syncnode"), "\(first.child.errors)")
        try await second.stop()
        try await first.stop()
        try await expectAgreement(nodes)
    }

    /// Established connections whose own port is one of these.
    private func connections(to ports: [Int]) async throws -> Int {
        // Read by another program: Foundation takes the first short read of such a file for its end.
        let table = try await Child.run("cat", ["/proc/net/tcp"]).text
        return table.split(separator: "\n").dropFirst().count { line in
            let words = line.split(separator: " ")
            guard words.count > 3, words[3] == "01", let port = words[1].split(separator: ":").last else {
                return false
            }
            return Int(port, radix: 16).map { ports.contains($0) } ?? false
        }
    }

    /// A greeting may arrive before the session that is to read it has begun; many at once make that likely.
    @Test(.timeLimit(.minutes(10))) func manyCallAtOnce() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        try await nodes[0].insertArticle("a1", "for all")
        for _ in 0..<3 {
            let server = try await nodes[0].serve()
            let pulls = try (0..<16).map { _ in try nodes[1].start(["pull", server.address]) }
            for pull in pulls {
                let outcome = try await pull.wait()
                #expect(outcome.status == 0, "\(outcome)\n\(server.child.errors)")
            }
            try await server.stop()
        }
        try await expectAgreement(nodes)
    }
}
