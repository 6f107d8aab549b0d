// Crowds and crawlers at the door: whoever is served goes on being served, and whoever is refused is told why.
import Foundation
import PeerTransport
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite(.serialized) struct CrowdTests {
    /// Connections from an address of their own, so that the limits for one address are theirs alone: so many, each given a
    /// byte every so often, never more. Prints how many are still open whenever it is told to look, by a file.
    private static let crowd = """
        import selectors, socket, sys, time
        host, port, count, source, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], float(sys.argv[5])
        took = refused = 0
        held = []
        def look():
            global held
            alive = []
            for s in held:
                try:
                    if pause: s.send(b"\\x16")
                    s.settimeout(0.0)
                    if s.recv(1) == b"": raise OSError("closed")
                    alive.append(s)
                except BlockingIOError: alive.append(s)
                except OSError: s.close()
            held = alive
        while True:
            while len(held) < count:
                s = socket.socket(); s.settimeout(2); s.bind((source, 0))
                try: s.connect((host, port)); held.append(s); took += 1
                except OSError: refused += 1; s.close(); break
            look()
            print(took, len(held), refused, flush=True)
            time.sleep(pause or 0.2)
        """

    private func crowd(_ server: Server, _ count: Int, from source: String, pause: Double = 0) throws -> Child {
        try Child("python3", ["-c", Self.crowd, "127.0.0.1", "\(server.port)", "\(count)", source, "\(pause)"])
    }

    /// Connections made so far.
    private func attempts(_ crowd: Child) -> Int {
        Int(
            String(decoding: crowd.output, as: UTF8.self).split(separator: "\n").last?.split(separator: " ").first
                ?? "0") ?? 0
    }

    /// An article written at one arrives at the other, through their live session.
    private func carries(_ from: Node, _ to: Node, _ id: String) async throws {
        try await from.insertArticle(id, "made it")
        _ = try await eventually("article \(id) at \(to.name)", within: 30) {
            try await to.headline(id) == "made it" ? true : nil
        }
    }

    @Test(.timeLimit(.minutes(10))) func othersAreServedAllTheWhile() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya", "deaf")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        try await hq.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)
            INSERT INTO articles(id, headline, body) SELECT 'h-' || i, 'article', hex(randomblob(1000)) FROM n
            """)
        let server = try await hq.serve()
        try await istanbul.exchange("pull", server)
        try await istanbul.run("peer", "add", server.address)
        let live = try await istanbul.serve()
        try await carries(hq, istanbul, "before")

        // Five hundred at once, a dozen that send a byte a second, one that asks for everything and reads nothing, and
        // forty that all want to join with one code.
        let idle = try crowd(server, 500, from: "127.0.0.2")
        let slow = try crowd(server, 12, from: "127.0.0.3", pause: 1)
        let deaf = try HostilePeer(nodes[3])
        let link = try await deaf.dial(server)
        try await link.send([
            .greeting(
                Greeting(
                    workspace: deaf.certificate.workspace, node: deaf.identity.node, clock: now(),
                    applied: VectorDelta(whole: VersionVector()), mode: .pull, software: "deaf",
                    windowBytes: FrameLimits.greatestWindowBytes))
        ])
        let code = try await hq.run("invite", "newcomer", "--address", server.address)
        let joins = try (0..<40).map { try bureaus.node("newcomer\($0)").start(["join", code]) }

        for round in 0..<5 {
            try await carries(hq, istanbul, "down-\(round)")
            try await carries(istanbul, hq, "up-\(round)")
        }
        // Somebody new comes, from an address that behaves.
        try await antalya.exchange("sync", server)
        var joined = 0
        for join in joins {
            let outcome = try await join.wait()
            #expect([0, 69, 77].contains(outcome.status), "\(outcome)")
            joined += outcome.status == 0 ? 1 : 0
        }
        #expect(joined == 1)
        _ = try await eventually("connections refused for a limit", within: 30) {
            server.child.errors.contains("which is the limit") ? true : nil
        }
        _ = try await eventually("five hundred tried", within: 60) { attempts(idle) >= 500 ? true : nil }
        print(
            "crowd: \(attempts(idle)) idle connections, \(attempts(slow)) slow ones, 1 deaf peer, \(joins.count) joins; all others served"
        )
        for child in [idle, slow] { child.signal(SIGKILL) }
        await link.close()
        #expect(server.child.status == nil)
        for round in 0..<2 { try await carries(istanbul, hq, "after-\(round)") }
        try await live.stop()
        try await antalya.exchange("sync", server)
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement([hq, istanbul, antalya])
    }

    /// A process may open only so many files: those that are served stay, and others come in again when there is room.
    @Test(.timeLimit(.minutes(10))) func withoutDescriptorsItServesThoseItHas() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        let child = try Child(
            "bash", ["-c", "ulimit -n 84; exec \"$0\" serve --listen 127.0.0.1:0", Bureaus.program],
            environment: ["SYNCNODE_DATA": hq.data])
        let ready = try await eventually("hq serves; \(child.errors)", within: 30) {
            String(decoding: child.output, as: UTF8.self).firstMatch(of: /ready peers=(\S+:\d+)/).map {
                String($0.output.1)
            }
        }
        let server = Server(node: hq, child: child, address: ready)
        try await istanbul.run("peer", "add", server.address)
        let live = try await istanbul.serve()
        _ = try await eventually("istanbul is live", within: 30) {
            let peers = try await istanbul.json("lag")["peers"]?.elements ?? []
            return peers.contains { $0["name"]?.text == "hq" && $0["state"]?.text == "live" } ? true : nil
        }
        let crowds = try ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"].map { try crowd(server, 60, from: $0) }
        // Every connection that it can afford is taken, and the rest is for its files.
        _ = try await eventually("connections refused for a limit; \(child.errors.suffix(1000))", within: 30) {
            child.errors.contains("20 connections are open, which is the limit") ? true : nil
        }
        // Who stalls keeps nobody out, from however many addresses it comes.
        try await antalya.exchange("sync", server)
        for round in 0..<3 {
            try await carries(hq, istanbul, "down-\(round)")
            try await carries(istanbul, hq, "up-\(round)")
        }
        for crowd in crowds { crowd.signal(SIGKILL) }
        _ = try await eventually("it takes others again; \(child.errors.suffix(1000))", within: 40, every: 500) {
            try await antalya.attempt("sync", server.address).status == 0 ? true : nil
        }
        try await live.stop()
        try await istanbul.exchange("sync", server)
        try await antalya.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
    }
}
