// Live sessions while the service runs: who is revoked is let go of, several addresses come to one session, addresses come and go,
// and a peer that is held still keeps no service from stopping.
import Foundation
import Testing

@Suite(.serialized) struct LiveSessionTests {
    private func add(_ addresses: String..., to node: Node) async throws {
        for address in addresses { try await node.run("peer", "add", address) }
    }

    /// Admission is asked when a session begins: who is revoked later is put out of the one it has.
    @Test(.timeLimit(.minutes(5))) func whoIsRevokedIsLetGoOf() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        let server = try await hq.serve()
        for node in nodes.dropFirst() { try await add(server.address, to: node) }
        let (leaving, staying) = (try await istanbul.serve(), try await antalya.serve())
        for peer in [leaving, staying] { try await peer.isLive(with: server) }
        try await istanbul.carries("before", to: antalya)

        try await hq.run("revoke", "istanbul", "--reason", "laptop stolen")
        try await server.says("session ended", "peer=istanbul", "Refused: this node was revoked")
        try await leaving.says("session ended", "peer=hq", "refuses this node: this node was revoked")
        // It dials again, and is told at the door.
        try await leaving.says("session ended", "peer=hq", "refuses this node: it was revoked")
        _ = try await eventually("istanbul knows that it is refused") {
            try await istanbul.state(of: "hq") == "refused" ? true : nil
        }
        try await istanbul.insertArticle("after", "Written after")
        let pushed = try await istanbul.attempt("push", server.address)
        #expect(pushed.status == 77 && pushed.errors.contains("revoked"), "\(pushed)")

        // The other goes on in the session that it had, and hears of it there.
        try await antalya.carries("a1", to: hq)
        try await hq.carries("h1", to: antalya)
        _ = try await eventually("the word goes round", within: 20) {
            let members = try await antalya.json("roster")["members"]?.elements ?? []
            return members.contains { $0["name"]?.text == "istanbul" && $0["standing"]?.text == "revoked" } ? true : nil
        }
        #expect(server.logged("live=true", "peer=antalya").count == 1, "\(server.child.errors)")
        #expect(staying.logged("session ended").isEmpty, "\(staying.child.errors)")
        #expect(
            try await hq.sql("SELECT group_concat(id) FROM (SELECT id FROM articles ORDER BY id)") == "a1,before,h1")
        for server in [leaving, staying, server] { try await server.stop() }
        try await expectAgreement([hq, antalya])
    }

    /// Each of a peer's addresses is dialled once, as nobody knows yet whose it is. Where one side alone dials, its id decides
    /// nothing: it is the greater one here.
    @Test(.timeLimit(.minutes(5)), arguments: [false, true])
    func severalAddressesComeToOneSession(bothDial: Bool) async throws {
        let bureaus = try Bureaus()
        var nodes: [(node: Node, id: String)] = []
        for node in try await bureaus.workspace("hq", "istanbul") {
            let id = try await node.json("status")["node"]?["id"]?.text
            nodes.append((node: node, id: try #require(id)))
        }
        nodes.sort { $0.id < $1.id }
        let (lesser, greater) = (try await nodes[0].node.serve(), try await nodes[1].node.serve())
        let dialling = bothDial ? [(greater, lesser), (lesser, greater)] : [(greater, lesser)]
        for (one, other) in dialling {
            try await add("127.0.0.1:\(other.port)", "localhost:\(other.port)", to: one.node)
        }
        let logs = { "\(lesser.child.errors)\n\(greater.child.errors)" }
        func connections() async throws -> Int { try await lesser.held().count + greater.held().count }
        for (one, other) in dialling {
            _ = try await eventually("both addresses of \(other.node.name) were reached:\n\(logs())", within: 30) {
                let peers = try await one.node.json("peer", "list")["peers"]?.elements ?? []
                return peers.map { $0["name"]?.text } == [other.node.name, other.node.name] ? true : nil
            }
        }
        // Whoever dialled what is too much ends it.
        func stopped() -> Int { [lesser, greater].reduce(0) { $0 + $1.logged("session ended", "Stopped").count } }
        _ = try await eventually("one connection between the two:\n\(logs())", within: 30) {
            try await connections() == 1 && stopped() >= 2 * dialling.count - 1 ? true : nil
        }
        for (one, other) in [(lesser, greater), (greater, lesser)] { try await one.isLive(with: other) }
        let before = stopped()
        for round in 0..<3 {
            try await lesser.node.carries("up-\(round)", to: greater.node)
            try await greater.node.carries("down-\(round)", to: lesser.node)
        }
        // All of it over that one: neither side has dialled again.
        let after = stopped()
        #expect(try await connections() == 1 && before == after, "\(before) \(after):\n\(logs())")
        for server in [greater, lesser] { try await server.stop() }
        try await expectAgreement(nodes.map { $0.node })
    }

    @Test(.timeLimit(.minutes(5))) func addressesComeAndGoWhileItServes() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        let server = try await hq.serve()
        try await add(server.address, to: antalya)
        let (peer, other) = (try await istanbul.serve(), try await antalya.serve())
        try await other.isLive(with: server)
        #expect(server.logged("peer=istanbul").isEmpty, "\(server.child.errors)")

        // An address that is new is dialled.
        try await add(server.address, to: istanbul)
        try await peer.isLive(with: server)
        try await hq.carries("h1", to: istanbul)

        // One that is taken away is let go of.
        try await istanbul.run("peer", "remove", server.address)
        try await peer.says("session ended", "peer=hq")
        for (node, name) in [(hq, "istanbul"), (istanbul, "hq")] {
            _ = try await eventually("\(node.name) is not live with \(name)") {
                let state = try await node.state(of: name)
                return state == "live" || state == "catching_up" ? nil : true
            }
        }
        try await hq.carries("h2", to: antalya)
        // While another, at which nobody answers, was tried three times, the one that is gone would have been dialled again.
        let nobody = "127.0.0.1:1"
        try await add(nobody, to: istanbul)
        var attempts: Set<String> = []
        _ = try await eventually("three attempts at \(nobody): \(attempts)", within: 60) {
            let attempt = try await istanbul.sql(
                "SELECT last_attempt FROM sync_addresses WHERE address = '\(nobody)' AND last_attempt IS NOT NULL")
            if !attempt.isEmpty { attempts.insert(attempt) }
            return attempts.count >= 3 ? true : nil
        }
        #expect(try await istanbul.headline("h2") == "")
        #expect(peer.logged("live=true", "peer=hq").count == 1, "\(peer.child.errors)")
        #expect(try await server.held().count == 1)

        try await add(server.address, to: istanbul)
        try await peer.isLive(with: server)
        _ = try await eventually("what it missed") { try await istanbul.headline("h2") == "made it" ? true : nil }
        try await istanbul.carries("i1", to: antalya)
        #expect(peer.logged("live=true", "peer=hq").count == 2, "\(peer.child.errors)")
        for server in [peer, other, server] { try await server.stop() }
        try await expectAgreement(nodes)
    }

    /// Its sockets stay open and full: nothing that waits for it may keep the service.
    @Test(.timeLimit(.minutes(5))) func aPeerThatIsHeldStillKeepsNoServiceFromStopping() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        var server = try await hq.serve()
        try await add(server.address, to: istanbul)
        let peer = try await istanbul.serve()
        try await peer.isLive(with: server)
        peer.child.signal(SIGSTOP)
        _ = try await eventually("istanbul is held still") { try peer.child.isHeldStill() ? true : nil }
        try await hq.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)
            INSERT INTO articles(id, headline, body) SELECT 'h-' || i, 'large', hex(randomblob(500000)) FROM n
            """)
        _ = try await eventually("hq sends more than is taken:\n\(server.child.errors)", within: 60) {
            try await server.held().values.contains { $0.unsentBytes > 0 } ? true : nil
        }
        server.child.signal(SIGTERM)
        let outcome = try await server.child.wait(seconds: 60)
        #expect(outcome.status == 0 && outcome.errors.contains("] stopped\n"), "\(outcome)")
        #expect(peer.child.status == nil)
        try await hq.expectSound()

        peer.child.signal(SIGCONT)
        server = try await hq.serve(at: server.address)
        _ = try await eventually("istanbul has all of it:\n\(peer.child.errors)", within: 60, every: 100) {
            try await istanbul.sql("SELECT count(*) FROM articles") == "30" ? true : nil
        }
        for server in [peer, server] { try await server.stop() }
        try await expectAgreement(nodes)
    }
}
