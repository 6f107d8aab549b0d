// The service: stops cleanly, reconnects by itself, relays live, keeps one session with a peer, and does not starve anyone.
import Foundation
import Testing

@Suite(.serialized) struct ServeTests {
    private func state(of peer: String, at node: Node) async throws -> String? {
        let peers = try await node.json("lag")["peers"]?.elements ?? []
        return peers.first { $0["name"]?.text == peer }?["state"]?.text
    }

    private func live(_ node: Node, with peer: String) async throws {
        _ = try await eventually("\(node.name) is live with \(peer)", within: 30) {
            try await state(of: peer, at: node) == "live" ? true : nil
        }
    }

    @Test(.timeLimit(.minutes(1))) func sigtermStopsItCleanly() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let server = try await nodes[0].serve()
        try await nodes[1].run("peer", "add", server.address)
        let peer = try await nodes[1].serve()
        try await live(nodes[1], with: "hq")
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

    @Test(.timeLimit(.minutes(1))) func sigintStopsItToo() async throws {
        let bureaus = try Bureaus()
        let server = try await bureaus.found().serve()
        server.child.signal(SIGINT)
        #expect(try await server.child.wait(seconds: 10).status == 0)
    }

    @Test(.timeLimit(.minutes(2))) func sessionsComeBackAfterAPeerRestarts() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        var server = try await nodes[0].serve()
        try await nodes[1].run("peer", "add", server.address)
        let peer = try await nodes[1].serve()
        try await live(nodes[1], with: "hq")
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

    @Test(.timeLimit(.minutes(2))) func aLineOfThreeRelaysLive() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let middle = try await nodes[0].serve()
        for node in nodes.dropFirst() { try await node.run("peer", "add", middle.address) }
        let (left, right) = (try await nodes[1].serve(), try await nodes[2].serve())
        for node in nodes.dropFirst() { try await live(node, with: "hq") }
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

    @Test(.timeLimit(.minutes(2))) func twoThatDialEachOtherSettleOnOneSession() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let first = try await nodes[0].serve()
        let second = try await nodes[1].serve()
        try await nodes[0].run("peer", "add", second.address)
        try await nodes[1].run("peer", "add", first.address)
        for (node, other) in [(nodes[0], "istanbul"), (nodes[1], "hq")] { try await live(node, with: other) }
        // One connection, seen from the two ports that listen; both may dial once before they know of each other.
        var steady = 0
        do {
            _ = try await eventually("one connection between the two", within: 30, every: 200) {
                let open = try connections(to: [first.port, second.port])
                steady = open == 1 ? steady + 1 : 0
                return steady >= 15 ? true : nil
            }
        } catch {
            Issue.record("\(error)\n\(first.child.errors)\n\(second.child.errors)")
        }
        try await nodes[0].insertArticle("a1", "over the one")
        _ = try await eventually("the article", within: 10) { try await nodes[1].headline("a1").isEmpty ? nil : true }
        #expect(!first.child.errors.contains("error syncnode"), "\(first.child.errors)")
        try await second.stop()
        try await first.stop()
        try await expectAgreement(nodes)
    }

    /// Established connections whose own port is one of these.
    private func connections(to ports: [Int]) throws -> Int {
        let table = try String(contentsOfFile: "/proc/net/tcp", encoding: .utf8)
        return table.split(separator: "\n").dropFirst().count { line in
            let words = line.split(separator: " ")
            guard words.count > 3, words[3] == "01", let port = words[1].split(separator: ":").last else {
                return false
            }
            return Int(port, radix: 16).map { ports.contains($0) } ?? false
        }
    }

    /// A greeting may arrive before the session that is to read it has begun; many at once make that likely.
    @Test(.timeLimit(.minutes(2))) func manyCallAtOnce() async throws {
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
