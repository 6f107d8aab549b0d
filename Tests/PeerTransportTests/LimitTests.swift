// Bounds on how many connect and for how long they may be silent.
import NIOCore
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
            words = "1 connections are in the handshake"
        case .handshakesPerAddress:
            limits.handshakesPerAddress = 1
            words = "from its address are in the handshake"
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

    /// Where the system has no descriptor left, accepting pauses.
    @Test func acceptingBacksOff() async throws {
        try await withServer { server in
            let channel = server.listener.channel
            try await channel.eventLoop.submit {
                _ = try channel.pipeline.syncOperations.handler(type: AcceptBackoffHandler.self)
            }.get()
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
