// Peers that stop without ending: every command that dials them ends by itself, says why, and can be run again.
import Foundation
import NIOPosix
import PeerTransport
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite struct StoppedPeerTests {
    /// Rows of 2 KB each, so that a transfer takes long enough to be stopped in its middle.
    private func fill(_ node: Node, _ rows: Int) async throws {
        try await node.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(rows))
            INSERT INTO articles(id, headline, body) SELECT '\(node.name)-' || i, 'article ' || i, hex(randomblob(1000)) FROM n
            """)
    }

    private func expectGivenUp(_ child: Child, _ location: SourceLocation = #_sourceLocation) async throws {
        let outcome = try await child.wait(seconds: 110)
        #expect(outcome.status == 69, "\(outcome)", sourceLocation: location)
        #expect(!outcome.errors.isEmpty, sourceLocation: location)
    }

    /// SIGSTOP leaves the sockets open: the kernel goes on taking connections and bytes for it.
    @Test(.timeLimit(.minutes(10))) func aPeerThatIsStoppedKeepsNobodyWaiting() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        try await fill(hq, 20_000)
        try await fill(antalya, 20_000)
        // Sealed beforehand, so that both transfers begin at once and lie side by side.
        for node in [hq, antalya] { try await node.json("lag") }
        let server = try await hq.serve()
        // In the middle of what it sends, in the middle of what it takes, and before the handshake.
        let pull = try istanbul.start(["pull", server.address])
        let push = try antalya.start(["push", server.address])
        _ = try await eventually("both are under way", within: 60, every: 2) {
            let received = try await istanbul.sql("SELECT count(*) FROM articles")
            let sent = try await hq.sql("SELECT count(*) FROM articles WHERE id LIKE 'antalya-%'")
            if pull.status != nil || push.status != nil { throw TestFailure("done before it could be stopped") }
            return received != "0" && sent != "0" ? true : nil
        }
        server.child.signal(SIGSTOP)
        let late = try ["pull", "push", "sync"].map { try istanbul.start([$0, server.address]) }
        for child in late + [pull, push] { try await expectGivenUp(child) }
        for node in [istanbul, antalya] {
            let peer = try await node.json("lag")["peers"]?.elements.first { $0["name"]?.text == "hq" }
            #expect(peer?["state"]?.text != "live" && peer?["cause"]?.text?.isEmpty == false, "\(peer ?? .null)")
        }
        server.child.signal(SIGCONT)
        for _ in 0..<2 { for node in [istanbul, antalya] { try await node.exchange("sync", server) } }
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(try await istanbul.sql("SELECT count(*) FROM articles") == "40000")
    }

    /// Takes the connection and says nothing, or a byte now and then.
    @Test(.timeLimit(.minutes(10)), arguments: ["pass", "c.send(b'x')"])
    func aServerThatNeverShakesHands(says: String) async throws {
        let program = """
            import socket, time
            s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(50); print(s.getsockname()[1], flush=True)
            s.settimeout(0.5); open_ones = []
            while True:
                try: open_ones.append(s.accept()[0])
                except OSError: pass
                for c in open_ones:
                    try: \(says)
                    except OSError: pass
            """
        let bureaus = try Bureaus()
        let node = try await bureaus.found()
        let stranger = try Child("python3", ["-c", program])
        let port = try await eventually("its port") {
            Int(String(decoding: stranger.output, as: UTF8.self).prefix { $0 != "\n" })
        }
        let children = try ["pull", "push", "sync"].map { try node.start([$0, "127.0.0.1:\(port)"]) }
        for child in children { try await expectGivenUp(child) }
    }

    private func listen(
        as peer: HostilePeer, _ answer: @escaping @Sendable (PeerLink) async -> Void
    ) async throws -> PeerListener {
        let context = try peer.context()
        return try await PeerListener.bind(
            Endpoint(host: "127.0.0.1", port: 0), context: { context }, group: MultiThreadedEventLoopGroup.singleton,
            onFailure: { _, _ in }, accept: answer)
    }

    /// Members that keep the session alive and do nothing else: one with pings, one with a frame that comes a byte at a time.
    @Test(.timeLimit(.minutes(5))) func aPeerThatOnlyGivesSignsOfLifeIsGivenUp() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "idler", "trickler")
        try await nodes[1].insertArticle("a1", "to be pushed")
        let (idler, trickler) = (try HostilePeer(nodes[2]), try HostilePeer(nodes[3]))
        let idling = try await listen(as: idler) { await idler.idle($0) }
        let trickling = try await listen(as: trickler) { await trickler.trickle($0) }
        // All at the same time: each is given the same three minutes.
        let children = try [("pull", idling), ("push", idling), ("pull", trickling)].map { verb, listener in
            try nodes[1].start([verb, listener.endpoint.description])
        }
        for child in children {
            let outcome = try await child.wait(seconds: 240)
            #expect(outcome.status == 69 && outcome.errors.contains("kept the session alive"), "\(outcome)")
        }
        for listener in [idling, trickling] { await listener.close() }
        try await nodes[1].expectSound()
    }
}

extension HostilePeer {
    /// Greets with something to send, answers every ping, pings itself, and never sends or acknowledges anything.
    fileprivate func idle(_ link: PeerLink) async {
        let pinging = Task {
            while true {
                try await Task.sleep(for: .seconds(5))
                try await link.send([.ping(number: 1, clock: now())])
            }
        }
        do {
            while let received = try await link.next() {
                switch received.frame {
                case .greeting(let theirs): try await link.send([greeting(answering: theirs)])
                case .ping(let number, let clock):
                    try await link.send([.pong(number: number, pingClock: clock, clock: now())])
                default: break
                }
            }
        } catch {
            // The session was given up: what the test waits for.
        }
        pinging.cancel()
        await link.close()
    }

    /// Greets with something to send, and begins to: a frame of 1 MiB, of which a byte comes every second.
    fileprivate func trickle(_ link: PeerLink) async {
        var trickle: Trickle?
        do {
            while let received = try await link.next() {
                guard case .greeting(let theirs) = received.frame else { continue }
                try await link.send([greeting(answering: theirs)])
                trickle = Trickle([(link, [0x00, 0x10, 0x00, 0x00])])
            }
        } catch {
            // As above.
        }
        trickle?.stop()
        await link.close()
    }

    private func greeting(answering theirs: Greeting) -> ExchangeFrame {
        .greeting(
            Greeting(
                workspace: certificate.workspace, node: identity.node, clock: now(),
                applied: VectorDelta(
                    whole: VersionVector([Origin(node: identity.node, incarnation: 5): SequenceNumber(1)])),
                rosterDigest: theirs.rosterDigest,
                backlog: Backlog(changeSets: 1, changes: 1, bytes: 100, oldest: now()), software: "idler"))
    }
}
