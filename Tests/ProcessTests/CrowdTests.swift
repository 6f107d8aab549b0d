// Crowds and crawlers at the door: whoever is served goes on being served, and whoever is refused is told why.
import Foundation
import NIOCore
import ReplicationModel
import ReplicationWire
import Synchronization
import Testing
import Trust

@testable import PeerTransport

@Suite(.serialized) struct CrowdTests {
    /// Ask again and again to join, with a code that another has used up.
    private final class Askers: Sendable {
        private let refused = Atomic(0)
        private let tasks = Mutex<[Task<Void, any Error>]>([])

        init(_ joiner: Joiner, at address: String, _ count: Int) {
            let tasks = (0..<count).map { _ in
                Task<Void, any Error> { [self] in
                    while !Task.isCancelled {
                        do {
                            if case .error? = try await joiner.ask(address) { refused.add(1, ordering: .relaxed) }
                        } catch is TransportError {
                            // Too many were at the door: it was not heard.
                        }
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
            }
            self.tasks.withLock { $0 = tasks }
        }

        /// How often the answer was no.
        var answered: Int { refused.load(ordering: .relaxed) }

        func stop() { for task in tasks.withLock({ $0 }) { task.cancel() } }
    }

    /// Everybody who stands at hq's door, and does not go on.
    private struct Siege {
        let server: Server
        /// Say nothing.
        let quiet: Crowd
        /// Begin a handshake, a byte a second.
        let slow: Crowd
        /// Want five hundred connections from one address, and make them over and over.
        let pushing: Crowd
        /// Ask to join with a code that is used up.
        let askers: Askers
        /// By who dialled: a member that reads nothing, one that is held still, and four that came to join and say nothing.
        /// They are let go of after 45 s at the earliest; the quiet and the slow have 10 s, and others come in their place.
        let lasting: Set<String>

        /// Waits until all stand there, and gives those who have a time of their own.
        func standing() async throws -> Set<String> {
            try await eventually("the siege stands: \(server.child.errors.suffix(1000))", within: 60) {
                () -> Set<String>? in
                let held = try await server.held()
                func from(_ address: String) -> Set<String> { Set(held.filter { $0.value.address == address }.keys) }
                let strangers = [from("127.0.0.2"), from("127.0.0.3")]
                guard strangers.allSatisfy({ $0.count == 12 }), !from("127.0.0.4").isEmpty else { return nil }
                return lasting.union(strangers[0]).union(strangers[1])
            }
        }

        func end() {
            for crowd in [quiet, slow, pushing] { crowd.disperse() }
            askers.stop()
        }
    }

    @Test(.timeLimit(.minutes(10))) func othersAreServedAllTheWhile() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya", "deaf", "still")
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
        try await hq.carries("before", to: istanbul)

        // Members first. One asks for everything, hears the greeting, and reads no more of it.
        let deaf = try await DeafPeer(
            HostilePeer(nodes[3]), server, windowBytes: FrameLimits.greatestWindowBytes)
        let pinging = deaf.pinging()
        defer { pinging.cancel() }
        #expect(deaf.offeredBytes > 16_000_000)
        let waiting = try await deaf.stalled(server)
        let heard = deaf.link.bytesArrived
        // One is held still where it takes what it lacks: its sockets stay open.
        let others = Set(try await server.held().keys)
        try await nodes[4].run("peer", "add", server.address)
        let still = try await nodes[4].serve()
        let address = try await eventually("the fifth takes what it lacks", within: 60, every: 5) { () -> String? in
            guard try await nodes[4].sql("SELECT count(*) FROM articles") != "0" else { return nil }
            let own = try await server.held().keys.filter { !others.contains($0) }
            return own.count == 1 ? own.first : nil
        }
        still.child.signal(SIGSTOP)
        _ = try await eventually("it is held still") { try still.child.isHeldStill() ? true : nil }
        var lasting: Set = [deaf.address, address]
        // Four come to join, and do not ask.
        let early = try await hq.run("invite", "early", "--address", server.address)
        _ = try await Joiner(early, bureaus.directory + "/early").join(server.address)
        let late = try Joiner(early, bureaus.directory + "/late")
        var silent: [PeerLink] = []
        for _ in 0..<4 {
            let link = try await late.dial(server.address)
            lasting.insert(ChannelSetup.text(link.channel.localAddress))
            silent.append(link)
        }

        // Then strangers, and forty that all want to join with one code.
        let siege = Siege(
            server: server, quiet: try .strangers(server, 12, from: "127.0.0.2"),
            slow: try .strangers(server, 12, from: "127.0.0.3", pause: 1),
            pushing: try .strangers(server, 500, from: "127.0.0.4"), askers: Askers(late, at: server.address, 2),
            lasting: lasting)
        defer { siege.end() }
        let code = try await hq.run("invite", "newcomer", "--address", server.address)
        let joins = try (0..<40).map { try bureaus.node("newcomer\($0)").start(["join", code]) }

        // Who is served in such a round waited for nobody at the door: they stood there before it, and stand there after it.
        // Where one of them was let go of meanwhile, that round says nothing.
        var (rounds, undisturbed) = (0, 0)
        _ = try await siege.standing()
        let (answered, pushed) = (siege.askers.answered, siege.pushing.told.first ?? 0)
        while undisturbed < 20, rounds < 60 {
            let standing = try await siege.standing()
            try await hq.carries("down-\(rounds)", to: istanbul)
            if rounds.isMultiple(of: 4) { try await istanbul.carries("up-\(rounds)", to: hq) }
            undisturbed += try await standing.isSubset(of: server.held().keys) ? 1 : 0
            rounds += 1
        }
        #expect(undisturbed == 20, "of \(rounds) rounds")
        let held = try await server.held()
        #expect(lasting.isSubset(of: held.keys), "not all the members were there to the end")
        #expect((held[deaf.address]?.unsentBytes ?? 0) > 0 && deaf.link.bytesArrived == heard && heard < 1 << 20)
        #expect(siege.askers.answered > answered && siege.pushing.told.first ?? 0 > pushed, "nobody pushed meanwhile")

        var joined = 0
        for join in joins {
            let outcome = try await join.wait()
            #expect([0, 69, 77].contains(outcome.status), "\(outcome)")
            joined += outcome.status == 0 ? 1 : 0
        }
        #expect(joined == 1)
        // Somebody new comes, from an address that behaves.
        siege.askers.stop()
        try await antalya.exchange("sync", server)
        _ = try await eventually("connections refused for a limit", within: 30) {
            server.child.errors.contains("which is the limit") ? true : nil
        }
        _ = try await eventually("five hundred tried", within: 60) { siege.pushing.told.first ?? 0 >= 500 ? true : nil }
        print(
            "crowd: \(undisturbed) of \(rounds) rounds waited for nobody; \(waiting) bytes waited for the deaf; \(siege.pushing.told.first ?? 0) pushed, \(siege.askers.answered) asked in vain, \(joins.count) joins"
        )
        siege.end()
        for link in silent + [deaf.link] { link.channel.close(promise: nil) }
        try await still.crash()
        #expect(server.child.status == nil)
        for round in 0..<2 { try await istanbul.carries("after-\(round)", to: hq) }
        try await live.stop()
        try await antalya.exchange("sync", server)
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement([hq, istanbul, antalya])
    }

    /// Whoever stands at the door for a second without a word gives way: until then somebody who comes may find no place.
    private func comesIn(_ node: Node, to server: Server) async throws {
        _ = try await eventually("\(node.name) gets in; \(server.child.errors.suffix(700))", within: 30, every: 300) {
            try await node.attempt("sync", server.address).status == 0 ? true : nil
        }
    }

    /// Strangers at one moment, from so many addresses that none of them is too many by itself; then as many sessions of members.
    @Test(.timeLimit(.minutes(10))) func fiveHundredAtOneMoment() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        let server = try await hq.serve()
        try await istanbul.run("peer", "add", server.address)
        let live = try await istanbul.serve()
        try await hq.carries("before", to: istanbul)

        // Of strangers sixty-four may stand at the door, whoever they are; the others are turned away at once.
        let strangers = try Crowd.burst(server, 500, from: "127.0.2", addresses: 20)
        defer { strangers.disperse() }
        _ = try await eventually("64 wait: \(strangers.told), \(strangers.child.errors)", within: 60) { () -> Bool? in
            // Who is turned away is there until it is closed.
            let held = try await server.held().filter { $0.value.address.hasPrefix("127.0.2.") }
            return strangers.told == [64, 0, 436] && held.count == 64 ? true : nil
        }
        #expect(server.child.errors.contains("64 connections have not shown yet who they are, which is the limit"))
        try await comesIn(antalya, to: server)
        try await hq.carries("among strangers", to: istanbul)
        strangers.disperse()

        // Of members all are let in.
        let members = try Crowd.members(
            16, sessions: 500, of: hq, at: server, in: bureaus.directory + "/members", from: "127.0.1", addresses: 10)
        defer { members.disperse() }
        _ = try await eventually("500 sessions: \(members.told), \(members.child.errors)", within: 180, every: 200) {
            members.told == [500] ? true : nil
        }
        func sessions() async throws -> Set<String> {
            Set(try await server.held().filter { $0.value.address.hasPrefix("127.0.1.") }.keys)
        }
        let standing = try await sessions()
        #expect(standing.count == 500)
        // With istanbul's that leaves eleven places. Whoever stands there and does not say who he is gives way to whoever comes.
        let last = try Crowd.burst(server, 60, from: "127.0.3", addresses: 4)
        defer { last.disperse() }
        _ = try await eventually("it is full: \(last.told), \(last.child.errors)", within: 60) { () -> Bool? in
            last.told == [11, 0, 49] ? true : nil
        }
        #expect(try await server.held().count == 512)
        #expect(server.child.errors.contains("512 connections are open, which is the limit"))
        try await antalya.insertArticle("from-outside", "made it")
        try await comesIn(antalya, to: server)
        for round in 0..<3 {
            try await hq.carries("down-\(round)", to: istanbul)
            try await istanbul.carries("up-\(round)", to: hq)
        }
        #expect(try await istanbul.headline("from-outside") == "made it")
        // Nobody who had shown who he is had to give way, or was waited for.
        #expect(try await sessions() == standing)
        members.disperse()
        last.disperse()
        _ = try await eventually("all are gone but istanbul", within: 60) {
            try await server.held().count == 1 ? true : nil
        }
        try await hq.carries("after", to: istanbul)
        try await live.stop()
        for node in [antalya, istanbul] { try await node.exchange("sync", server) }
        try await server.stop()
        try await expectAgreement(nodes)
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
        let crowds = try ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"].map {
            try Crowd.strangers(server, 60, from: $0)
        }
        // Every connection that it can afford is taken, and the rest is for its files.
        _ = try await eventually("connections refused for a limit; \(child.errors.suffix(1000))", within: 30) {
            child.errors.contains("20 connections are open, which is the limit") ? true : nil
        }
        // Who stalls keeps nobody out, from however many addresses it comes.
        try await antalya.exchange("sync", server)
        for round in 0..<3 {
            try await hq.carries("down-\(round)", to: istanbul)
            try await istanbul.carries("up-\(round)", to: hq)
        }
        for crowd in crowds { crowd.disperse() }
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
