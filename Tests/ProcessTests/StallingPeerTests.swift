// Members that have shown who they are, and then stall: they cost the service a bounded part, and keep nobody else waiting.
import Foundation
import NIOCore
import ReplicationModel
import ReplicationWire
import Synchronization
import Testing
import Trust

@testable import PeerTransport

/// A member that asks for everything, hears the greeting, and reads nothing more.
struct DeafPeer {
    let link: PeerLink
    /// As the server sees it.
    let address: String
    /// What it was offered.
    let offeredBytes: Int

    /// - Parameter windowBytes: how much it lets the server have under way; 0 is what the exchange has by default.
    init(_ peer: HostilePeer, _ server: Server, windowBytes: UInt64) async throws {
        link = try await peer.dial(server)
        address = ChannelSetup.text(link.channel.localAddress)
        // Left to itself the system would take more for it than a test can offer.
        try await link.channel.setOption(.socketOption(.so_rcvbuf), value: 64 << 10).get()
        try await link.send([peer.greeting(.pull, windowBytes: windowBytes)])
        guard case .greeting(let greeting)? = try await link.next()?.frame, let backlog = greeting.backlog else {
            throw TestFailure("the server did not say what it will send")
        }
        offeredBytes = Int(backlog.bytes)
    }

    /// Signs of life until it is cancelled: it is deaf, and not dumb.
    func pinging() -> Task<Void, any Error> {
        Task {
            while true {
                try await link.send([.ping(number: 1, clock: now())])
                try await Task.sleep(for: .seconds(5))
            }
        }
    }

    /// Waits until the server has given up sending to it for now: bytes wait in its kernel, and they stay the same.
    ///
    /// - Returns: how many.
    func stalled(_ server: Server) async throws -> Int {
        var seen: [Int] = []
        return try await eventually("\(server.node.name) sends it nothing more", within: 60) { () -> Int? in
            let connection = try await server.held()[address]
            seen.append(connection?.unsentBytes ?? 0)
            let last = seen.suffix(10)
            guard last.count == 10, let bytes = last.first, bytes > 0, last.allSatisfy({ $0 == bytes }) else {
                return nil
            }
            return bytes
        }
    }
}

extension HostilePeer {
    fileprivate func greeting(_ mode: SyncMode, windowBytes: UInt64 = 0) -> ExchangeFrame {
        .greeting(
            Greeting(
                workspace: certificate.workspace, node: identity.node, clock: now(),
                applied: VectorDelta(whole: VersionVector()), mode: mode, software: "stalling",
                windowBytes: windowBytes))
    }
}

/// A byte a second on each of some links, of what each of them never comes to the end of.
final class Trickle: Sendable {
    private let given = Atomic(0)
    private let task = Mutex<Task<Void, any Error>?>(nil)

    /// - Parameter bytes: for each link; then zeros.
    init(_ links: [(PeerLink, [UInt8])]) {
        let task = Task<Void, any Error> { [self] in
            var place = 0
            while true {
                for (link, bytes) in links {
                    let byte = place < bytes.count ? bytes[place] : 0
                    // Whoever was let go of is told so elsewhere.
                    link.channel.writeAndFlush(ByteBuffer(bytes: [byte]), promise: nil)
                }
                place += 1
                given.store(place, ordering: .relaxed)
                try await Task.sleep(for: .seconds(1))
            }
        }
        self.task.withLock { $0 = task }
    }

    /// Bytes on each link so far.
    var bytes: Int { given.load(ordering: .relaxed) }

    func stop() { task.withLock { $0 }?.cancel() }
}

@Suite(.serialized) struct StallingPeerTests {
    /// It is offered many times what a socket and the exchange's window hold, reads its greeting, and then nothing.
    @Test(.timeLimit(.minutes(10))) func aPeerThatStopsReadingCostsNoMoreThanAWindow() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "deaf")
        let (hq, istanbul) = (nodes[0], nodes[1])
        // Sealed in pieces of 6 MB: a change set that is larger than the window, of 8 MiB, would go out alone.
        for piece in 0..<24 {
            try await hq.sql(
                """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)
                INSERT INTO articles(id, headline, body) SELECT 'h-\(piece)-' || i, 'large', hex(randomblob(100000)) FROM n
                """)
            try await hq.json("lag")
        }
        let server = try await hq.serve()
        try await istanbul.insertArticle("first", "before")
        try await istanbul.exchange("push", server)
        let before = try server.child.memory("VmRSS")

        let deaf = try await DeafPeer(HostilePeer(nodes[2]), server, windowBytes: 0)
        let pinging = deaf.pinging()
        defer { pinging.cancel() }
        #expect(deaf.offeredBytes > 140_000_000)
        let waiting = try await deaf.stalled(server)
        let heard = deaf.link.bytesArrived
        #expect(heard < 1 << 20)
        // The others go on, one after another.
        for round in 0..<5 {
            try await istanbul.insertArticle("meanwhile-\(round)", "served")
            try await istanbul.exchange("push", server)
            #expect(try await hq.headline("meanwhile-\(round)") == "served")
        }
        // And none of them waited for it: it is where it was.
        let connection = try #require(try await server.held()[deaf.address], "it was let go of")
        #expect(connection.unsentBytes > 0 && deaf.link.bytesArrived == heard)
        let growth = try server.child.memory("VmHWM") - before
        #expect(growth < deaf.offeredBytes / 2, "\(growth) bytes more, of \(deaf.offeredBytes) offered")
        print(
            "deaf peer: \(deaf.offeredBytes) bytes offered, \(heard) heard, \(waiting) in the server's socket, \(growth) more resident"
        )
        try await deaf.link.channel.close()
        _ = try await eventually("it is gone", within: 30) {
            try await server.held()[deaf.address] == nil ? true : nil
        }
        try await istanbul.insertArticle("last", "after")
        try await istanbul.exchange("push", server)
        #expect(try await hq.headline("last") == "after")
        try await server.stop()
    }

    /// Bytes of a frame that is not whole yet are signs of life, so that a slow line may carry a large change set (the exchange,
    /// section 9): a member that trickles is kept, as many times as one member may be. It slows nobody, and an operator is
    /// rid of it at once. Who has not greeted yet has no such right.
    @Test(.timeLimit(.minutes(10))) func aMemberThatTricklesKeepsNobodyElseWaiting() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "trickler", "mumbler")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await istanbul.run("peer", "add", server.address)
        let live = try await istanbul.serve()
        try await hq.carries("before", to: istanbul)

        let trickler = try HostilePeer(nodes[2])
        func dial() async throws -> (link: PeerLink, answer: ExchangeFrame?) {
            let link = try await trickler.dial(server)
            try await link.send([trickler.greeting(.live)])
            return (link, try await link.next()?.frame)
        }
        var links: [PeerLink] = []
        for _ in 0..<32 {
            let (link, answer) = try await dial()
            guard case .greeting? = answer else { throw TestFailure("session \(links.count): \(answer as Any)") }
            links.append(link)
        }
        let mumbler = try HostilePeer(nodes[3])
        let mumbling = try await mumbler.dial(server)
        let greeting = mumbler.greeting(.live).onTheWire
        // The others begin a frame of 1 MiB, which would take twelve days.
        var trickling: [(PeerLink, [UInt8])] = links.map { ($0, [0x00, 0x10, 0x00, 0x00]) }
        trickling.append((mumbling, greeting))
        let trickle = Trickle(trickling)
        defer { trickle.stop() }
        let told = Task { (frame: try await mumbling.next()?.frame, after: trickle.bytes) }
        let addresses = Set(links.map { ChannelSetup.text($0.channel.localAddress) })
        _ = try await eventually("all stand, within a frame, and what they say is taken", within: 60) {
            () -> Bool? in
            let held = try await server.held().filter { addresses.contains($0.key) }
            return trickle.bytes > 5 && held.count == 32 && held.values.allSatisfy { $0.unreadBytes == 0 } ? true : nil
        }

        for round in 0..<20 {
            try await hq.carries("down-\(round)", to: istanbul)
            if round.isMultiple(of: 4) { try await istanbul.carries("up-\(round)", to: hq) }
        }
        // None of these waited for one of them, for all are there.
        #expect(try await addresses.isSubset(of: server.held().keys))
        let (refused, answer) = try await dial()
        guard case .error(let notice)? = answer else { throw TestFailure("one more is taken: \(answer as Any)") }
        #expect(notice.code == .busy && notice.message.contains("32 sessions"), "\(notice)")
        await refused.close()

        // A greeting has to come in ten seconds, whole.
        let (frame, said) = try await told.value
        guard case .error(let late)? = frame else { throw TestFailure("the mumbler was told \(frame as Any)") }
        #expect(late.code == .timeout && late.message.contains("no greeting"), "\(late)")
        #expect(said < greeting.count, "it was done before it was late")

        let bytes = trickle.bytes
        try await hq.run("revoke", "trickler", "--reason", "it trickles")
        _ = try await eventually("all are let go of: \(server.child.errors.suffix(1000))", within: 30) {
            try await addresses.isDisjoint(with: server.held().keys) ? true : nil
        }
        _ = try await eventually("they had not ended by themselves") { trickle.bytes > bytes ? true : nil }
        try await hq.carries("after", to: istanbul)
        trickle.stop()
        for link in links + [mumbling] { link.channel.close(promise: nil) }
        try await live.stop()
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement([hq, istanbul])
    }
}
