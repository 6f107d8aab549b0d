// Bounds on how many connect and for how long they may be silent.
import Glibc
import NIOCore
import NIOEmbedded
import ReplicationModel
import ReplicationWire
import Testing

@testable import PeerTransport

@Suite(.timeLimit(.minutes(1))) struct LimitTests {
    @Test func theHandshakeMustBeDoneInTime() async throws {
        var limits = TransportLimits()
        limits.handshakeMilliseconds = 30
        try await withServer(limits: limits) { server in
            let stranger = try await Stranger(to: server.listener.endpoint)
            let failure = try await server.failures.next()
            #expect(failure.code == .timedOut)
            #expect(failure.description.contains("30 ms"))
            try await stranger.closed()
        }
    }

    @Test func theServerMustAnswerInTime() async throws {
        let server = try await StrangeServer()
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("client"))
        var limits = TransportLimits()
        limits.handshakeMilliseconds = 30
        let dialer = PeerDialer(group: group, limits: limits)
        let failure = await transportError { _ = try await dialer.dial(server.endpoint, context: context) }
        #expect(failure?.code == .timedOut)
        await server.close()
    }

    @Test func silenceEndsTheSession() async throws {
        var limits = TransportLimits()
        limits.idleMilliseconds = 50
        try await withServer(limits: limits) { server in
            let (client, answering) = try await server.meet()
            let failure = await transportError { _ = try await answering.next() }
            #expect(failure?.code == .timedOut)
            #expect(failure?.description.contains("sent nothing for 50 ms") == true)
            #expect(try await client.next() == nil)
            await closeBoth(client, answering)
        }
    }

    @Test func moreConnectionsThanAllowed() async throws {
        var limits = TransportLimits()
        limits.connections = 2
        try await withServer(limits: limits) { server in
            let (first, firstAnswering) = try await server.meet()
            let (second, secondAnswering) = try await server.meet()
            #expect(server.listener.connections == 2)
            let node = try server.workspace.admit("third")
            let refused = await transportError { _ = try await server.dial(as: node) }
            #expect(refused?.code == .closed)
            let failure = try await server.failures.next()
            #expect(failure.code == .tooMany && failure.description.contains("2 connections are open"))
            #expect(server.listener.refusedConnections == 1)
            // Those that are in go on, and a place that was left is given again.
            try await second.send([.goodbye])
            #expect(try await secondAnswering.next()?.frame == .goodbye)
            await closeBoth(first, firstAnswering)
            try await server.serves()
            await closeBoth(second, secondAnswering)
            #expect(server.listener.connections == 0)
        }
    }

    enum Bound: CaseIterable { case perAddress, handshakes, handshakesPerAddress }

    @Test(arguments: Bound.allCases) func moreStrangersThanAllowed(_ bound: Bound) async throws {
        var limits = TransportLimits()
        let words: String
        switch bound {
        case .perAddress:
            limits.connectionsPerAddress = 1
            words = "from its address are open"
        case .handshakes:
            limits.handshakesAtOnce = 1
            words = "1 connections have not shown yet"
        case .handshakesPerAddress:
            limits.handshakesPerAddress = 1
            words = "from its address have not shown yet"
        }
        try await withServer(limits: limits) { server in
            let first = try await Stranger(to: server.listener.endpoint)
            let second = try await Stranger(to: server.listener.endpoint)
            let failure = try await server.failures.next()
            #expect(failure.code == .tooMany && failure.description.contains(words))
            await first.close()
            await second.close()
            // The one that was let in, or if the kernel gave them in the other order, still one of them.
            #expect(try await server.failures.next().code == .closed)
            while server.listener.connections > 0 { await Task.yield() }
            try await server.serves()
        }
    }

    /// From wherever they come: who stalls keeps nobody out.
    @Test func strangersThatStallGiveWay() throws {
        var limits = TransportLimits()
        (limits.handshakesAtOnce, limits.handshakesPerAddress) = (8, 8)
        var ledger = ConnectionLedger(limits: limits)
        let start = NIODeadline.now()
        func source(_ number: Int) throws -> SourceNetwork { try #require(SourceNetwork(of: "10.0.0.\(number):1")) }
        var channels: [EmbeddedChannel] = []
        func admit(_ number: Int, after milliseconds: Int64) throws -> Int? {
            channels.append(EmbeddedChannel())
            let displaced = try ledger.admit(
                channels[channels.count - 1], from: source(number), at: start + .milliseconds(milliseconds))
            return displaced.flatMap { gone in channels.firstIndex { $0 === gone.channel } }
        }
        for _ in 0..<6 { #expect(try admit(1, after: 0) == nil) }
        #expect(try admit(2, after: 1) == nil)
        #expect(try admit(3, after: 2) == nil)
        // Of those from where most come the oldest, however young: they are more than a few.
        #expect(try admit(4, after: 3).map { $0 < 6 } == true)
        #expect(try admit(4, after: 4).map { $0 < 6 } == true)
        // Four from one address and four others: nobody stalls yet.
        #expect(throws: ConnectionLedger.Refusal.handshakes) { _ = try admit(5, after: 900) }
        #expect(ledger.refused == 1)
        // Whoever has proven itself stays; of the rest one that has been at it for a second.
        ledger.prove(ObjectIdentifier(channels[6]))
        #expect(try admit(5, after: 1_100) == nil, "its place is free")
        #expect(try admit(6, after: 1_200).map { $0 < 6 } == true)
        #expect(ledger.connections == 9)
    }

    /// Where the system has no descriptor left, accepting rests, whoever operates it is told, and it goes on afterwards.
    @Test func acceptingRests() async throws {
        try await withServer { server in
            let channel = server.listener.channel
            channel.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
            let failure = try await server.failures.next()
            #expect(failure.code == .tooMany && failure.description.contains("Too many open files"), "\(failure)")
            #expect(try await channel.getOption(.autoRead).get() == false)
            while try await !channel.getOption(.autoRead).get() { await Task.yield() }
            let (client, answering) = try await server.meet()
            await closeBoth(client, answering)
            // One that its own side aborted is no reason to.
            channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
            #expect(try await channel.getOption(.autoRead).get())
        }
    }

    @Test func closingTheListenerSparesSessions() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            let stranger = try await Stranger(to: server.listener.endpoint)
            while server.listener.connections < 2 { await Task.yield() }
            await server.listener.close()
            #expect(try await server.failures.next().code == .shuttingDown)
            try await stranger.closed()
            try await client.send([.goodbye])
            #expect(try await answering.next()?.frame == .goodbye)
            await closeBoth(client, answering)
            let failure = await transportError { _ = try await server.dial(as: server.workspace.admit("late")) }
            #expect(failure?.code == .unreachable)
            await server.listener.close()
        }
    }
}
