// Members that break the rules: each is refused with its own error, or what it sent is held; the replica stays as it was.
import Chance
import Foundation
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite(.serialized) struct LyingPeerTests {
    private struct Stage {
        let bureaus: Bureaus
        let hq: Node
        let good: Node
        let server: Server
        let liar: HostilePeer
        let origin: Origin
        /// Well formed, and not sent yet.
        let first: SealedChangeSet

        func refuses(
            _ what: String, _ changeSets: SealedChangeSet..., code: ErrorNotice.Code, saying words: String...,
            at location: SourceLocation = #_sourceLocation
        ) async throws {
            let before = try await hq.dump()
            let answer = try await liar.send(changeSets.map(liar.frame), to: server)
            let notice = answer.notice
            #expect(notice?.code == code, "\(what): \(answer.frames)", sourceLocation: location)
            let message = notice?.message ?? ""
            #expect(words.contains { message.contains($0) }, "\(what): \(message)", sourceLocation: location)
            expectEqualLines(before, try await hq.dump(), "before", "after " + what, location)
        }
    }

    private func stage(role: String = "writer") async throws -> Stage {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let liar = try await bureaus.admit("liar", by: nodes[0], role: role)
        try await nodes[0].insertArticle("a1", "Safe")
        let server = try await nodes[0].serve()
        try await nodes[1].exchange("pull", server)
        let peer = try HostilePeer(liar)
        let origin = Origin(node: peer.identity.node, incarnation: 7)
        let first = try peer.changeSet(origin, 1, id: "h1", stamp: Stamp(now()))
        return Stage(
            bureaus: bureaus, hq: nodes[0], good: nodes[1], server: server, liar: peer, origin: origin, first: first)
    }

    private func finish(_ stage: Stage) async throws {
        #expect(stage.server.child.status == nil, "\(stage.server.child.errors)")
        try await stage.good.insertArticle("good", "still served")
        try await stage.good.exchange("sync", stage.server)
        #expect(try await stage.hq.headline("good") == "still served")
        try await stage.server.stop()
        try await expectAgreement([stage.hq, stage.good])
    }

    @Test(.timeLimit(.minutes(5))) func whatWasChangedOnTheWayIsRefused() async throws {
        let stage = try await stage()
        var random = SeededRandom.ofTest()
        // The store's tests flip every byte; here a few, each over a connection of its own.
        for _ in 0..<8 {
            var body = stage.first.body
            body[Int.random(in: 0..<body.count, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
            let flipped = SealedChangeSet(body: body, signature: stage.first.signature, values: [])
            let before = try await stage.hq.dump()
            let answer = try await stage.liar.send([stage.liar.frame(flipped)], to: stage.server)
            #expect(
                answer.notice?.code == .malformed || answer.notice?.code == .refused, "seed \(random.seed): \(answer)")
            expectEqualLines(before, try await stage.hq.dump(), "before", "after seed \(random.seed)")
        }
        var signature = stage.first.signature
        signature[5] ^= 1
        try await stage.refuses(
            "a flipped byte of the signature",
            SealedChangeSet(body: stage.first.body, signature: signature, values: []),
            code: .malformed, saying: "is not signed by its author")
        let other = try stage.liar.changeSet(
            stage.origin, 1, id: "h1", stamp: Stamp(now()), key: SigningKey.generate())
        try await stage.refuses(
            "signed by another key", other, code: .malformed, saying: "is not signed by its author")
        // In another member's name.
        let victim = Origin(node: try IdentityDirectory.open(path: stage.good.data + "/identity").node, incarnation: 7)
        let forged = try stage.liar.changeSet(victim, 1, id: "h1", stamp: Stamp(now()))
        try await stage.refuses(
            "in another node's name", forged, code: .malformed, saying: "is not signed by its author")
        let nobody = Origin(node: SigningKey.generate().publicKey.nodeID, incarnation: 1)
        let stranger = try stage.liar.changeSet(nobody, 1, id: "h1", stamp: Stamp(now()))
        try await stage.refuses("by nobody known", stranger, code: .refused, saying: "no certificate")
        try await finish(stage)
    }

    @Test(.timeLimit(.minutes(5))) func gapsReplaysAndForksAreToldApart() async throws {
        let stage = try await stage()
        let (liar, origin) = (stage.liar, stage.origin)
        let second = try liar.changeSet(
            origin, 2, after: stage.first, id: "h2", stamp: Stamp(now()).following(at: now()))
        try await stage.refuses("a gap", second, code: .malformed, saying: "missing", "does not follow", "follows")
        let unseen = VersionVector([Origin(node: origin.node, incarnation: 99): SequenceNumber(3)])
        let dangling = try liar.changeSet(origin, 1, id: "h1", stamp: Stamp(now()), context: unseen)
        try await stage.refuses("built on what is not known", dangling, code: .malformed, saying: "builds on")

        let taken = try await liar.send([liar.frame(stage.first)], to: stage.server)
        #expect(taken.ending == .acknowledged, "\(taken)")
        #expect(try await stage.hq.headline("h1") == "by a hostile peer")
        let before = try await stage.hq.dump()
        let replayed = try await liar.send([liar.frame(stage.first), liar.frame(stage.first)], to: stage.server)
        #expect(replayed.ending == .acknowledged, "\(replayed)")
        expectEqualLines(before, try await stage.hq.dump(), "before", "after a replay")

        let early = try liar.changeSet(origin, 2, after: stage.first, id: "h2", stamp: Stamp(.init(milliseconds: 1000)))
        try await stage.refuses("a stamp that breaks Rule S", early, code: .malformed, saying: "had seen")
        let rival = try liar.changeSet(origin, 1, id: "h9", stamp: Stamp(now()))
        let afterRival = try liar.changeSet(origin, 2, after: rival, id: "h2", stamp: Stamp(now()).following(at: now()))
        // What belongs to another history of its origin is held: others' work goes on.
        let forked = try await liar.send([liar.frame(afterRival)], to: stage.server)
        #expect(forked.ending == .acknowledged, "\(forked)")
        let held = try await stage.hq.json("held", "list")["held"]?[0]
        #expect(held?["cause"]?.text == "forked", "\(held ?? .null)")
        let late = Stamp(.init(milliseconds: now().milliseconds + 1000))
        let honest = try liar.changeSet(origin, 2, after: stage.first, id: "h2", stamp: late)
        let last = try await liar.send([liar.frame(honest)], to: stage.server)
        #expect(last.ending == .acknowledged, "\(last)")
        // Whoever has the beginning too lets hq see that what is held proves a fork: what the liar wrote goes everywhere.
        try await stage.good.insertArticle("good", "still served")
        for _ in 0..<2 { try await stage.good.exchange("sync", stage.server) }
        for node in [stage.hq, stage.good] {
            #expect(try await node.headline("good") == "still served")
            #expect(try await node.headline("h1") == "")
            #expect(try await node.json("forks")["forks"]?.elements.count == 1, "\(node.name)")
        }
        try await stage.server.stop()
        try await expectAgreementButHeld([stage.hq, stage.good])
    }

    /// Two branches of one origin, one told to each of two nodes: when these meet, they have the proof, and so has everyone. Where
    /// they are as long, the two vectors are equal, and only the digests of the histories differ.
    @Test(.timeLimit(.minutes(5)), arguments: [(1, 0), (1, 1), (40, 0)]) func aForkIsProvenToAllAndStopsNobody(
        branch: UInt64, longer: UInt64
    ) async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "ankara")
        let (hq, istanbul, ankara) = (nodes[0], nodes[1], nodes[2])
        let liar = try HostilePeer(await bureaus.admit("liar", by: hq))
        var servers = [try await hq.serve(), try await istanbul.serve()]
        try await istanbul.exchange("sync", servers[0])
        let origin = Origin(node: liar.identity.node, incarnation: 7)
        let first = try liar.changeSet(origin, 1, id: "h1", stamp: Stamp(now()))
        for (index, server) in servers.enumerated() {
            var previous = first
            var frames = [liar.frame(first)]
            for sequence in 2...(branch + 1 + UInt64(index) * longer) {
                previous = try liar.changeSet(
                    origin, sequence, after: previous, id: "\(index)-\(sequence)",
                    stamp: Stamp(WallClock(milliseconds: now().milliseconds + Int64(sequence))))
                frames.append(liar.frame(previous))
            }
            let told = try await liar.send(frames, to: server)
            #expect(told.ending == .acknowledged, "\(told)")
        }
        try await istanbul.insertArticle("i1", "Of istanbul")
        try await istanbul.exchange("sync", servers[0])
        try await ankara.exchange("pull", servers[1])
        try await hq.insertArticle("h9", "Later")
        for node in [istanbul, ankara] { try await node.exchange("sync", servers[0]) }
        var ids: Set<String> = []
        for node in nodes {
            let forks = try await node.json("forks")["forks"]
            #expect(forks?.elements.count == 1 && forks?[0]?["sequence"]?.int == 2, "\(node.name): \(forks ?? .null)")
            ids.insert(forks?[0]?["id"]?.text ?? "none")
            #expect(try await node.headline("h1") == "by a hostile peer", "\(node.name)")
            for (id, headline) in [("0-2", ""), ("1-2", ""), ("i1", "Of istanbul"), ("h9", "Later")] {
                #expect(try await node.headline(id) == headline, "\(node.name): \(id)")
            }
        }
        #expect(ids.count == 1)
        // Anyone can check the proof, wherever they are.
        let file = bureaus.directory + "/proof"
        try await istanbul.run("forks", "export", ids.first ?? "", file)
        #expect(try await nobody(bureaus).run("forks", "check", file).contains("The proof holds"))
        var bytes = [UInt8](try #require(FileManager.default.contents(atPath: file)))
        bytes[bytes.count / 2] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        #expect(try await hq.attempt("forks", "check", file).status == 65)
        for server in servers { try await server.stop() }
        servers = []
        try await expectAgreementButHeld(nodes)
    }

    /// A directory without a node.
    private func nobody(_ bureaus: Bureaus) -> Node { Node("nobody", bureaus.directory + "/nobody", bureaus) }

    /// Edits captured while the clock ran ahead count as written when they are sealed by a clock that is right again.
    @Test(.enabled(if: Child.isInstalled("faketime"), "faketime is not installed"), .timeLimit(.minutes(5)))
    func whatWasNotedByAClockAheadIsStampedByARightOne() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, fast) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await insertEarly(fast, aheadBy: "+365d")
        try await fast.exchange("push", server)
        #expect(try await hq.headline("f1") == "early")
        #expect(try await hq.json("held", "list")["held"] == .array([]))
        try await server.stop()
        try await expectAgreement(nodes)
    }

    /// A node that seals while its clock runs ahead: what it wrote is held, and both sides say so.
    @Test(.enabled(if: Child.isInstalled("faketime"), "faketime is not installed"), .timeLimit(.minutes(5)))
    func aStampWeeksAheadIsHeld() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, fast) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        // After a longer rest a node asks a peer for the time before it seals.
        try await insertEarly(fast, aheadBy: "+20d")
        let sealed = try await Child.run(
            "faketime", ["-f", "+20d", Bureaus.program, "lag", "--json"], environment: ["SYNCNODE_DATA": fast.data])
        #expect(sealed.status == 0, "\(sealed)")
        let pushed = try await fast.exchange("push", server)
        #expect(pushed["peers"]?[0]?["error"] == .null)
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "0")
        let held = try await hq.json("held", "list")["held"]?[0]
        #expect(held?["author"]?.text == "istanbul" && held?["cause"]?.text == "clock_ahead", "\(held ?? .null)")
        #expect(held?["detail"]?.text?.contains("ahead") == true && held?["release_at"] != .null)
        for node in nodes {
            let peer = try await node.json("lag")["peers"]?[0]
            #expect(peer?["state"]?.text == "held", "\(node.name): \(peer ?? .null)")
            #expect(peer?["cause"]?.text?.contains("ahead") == true, "\(node.name): \(peer ?? .null)")
        }
        for node in nodes { try await node.expectSound() }
        // The operator may let it in.
        try await hq.run("held", "release", held?["id"]?.text ?? "")
        #expect(try await hq.headline("f1") == "early")
        try await fast.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
    }

    private func insertEarly(_ node: Node, aheadBy shift: String) async throws {
        let insert = "INSERT INTO articles(id, headline) VALUES ('f1', 'early')"
        let outcome = try await Child.run("faketime", ["-f", shift, "sqlite3", node.replica, insert])
        #expect(outcome.status == 0, "\(outcome)")
    }

    @Test(.timeLimit(.minutes(5))) func aReaderMayNotWrite() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let reader = try await bureaus.admit("reader", by: hq, role: "reader")
        let writer = try await bureaus.admit("writer", by: hq)
        try await hq.insertArticle("a1", "Safe")
        let server = try await hq.serve()
        try await reader.exchange("pull", server)
        #expect(try await reader.headline("a1") == "Safe")
        try await reader.insertArticle("r1", "by a reader")
        let before = try await hq.dump()
        for verb in ["push", "sync"] {
            let outcome = try await reader.attempt(verb, server.address)
            #expect(outcome.status == 77 && outcome.errors.contains("reader"), "\(outcome)")
        }
        expectEqualLines(before, try await hq.dump(), "before", "after")
        // It still reads.
        try await hq.insertArticle("a2", "News")
        try await reader.exchange("pull", server)
        #expect(try await reader.headline("a2") == "News")
        try await writer.exchange("sync", server)
        // Nor does it come in by way of another reader's or writer's pull.
        let readers = try await reader.serve()
        let relayed = try await writer.attempt("pull", readers.address)
        #expect(relayed.status == 65 && relayed.errors.contains("reader"), "\(relayed)")
        #expect(try await writer.sql("SELECT count(*) FROM articles WHERE id = 'r1'") == "0")
        try await readers.stop()
        try await server.stop()
        try await expectAgreement([hq, writer])
    }
}
