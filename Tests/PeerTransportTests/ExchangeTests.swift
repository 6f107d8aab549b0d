// Frames both ways between good peers, and how links end.
import NIOCore
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@testable import PeerTransport

@Suite(.timeLimit(.minutes(1))) struct ExchangeTests {
    private func greeting(_ node: NodeID, _ workspace: WorkspaceID) -> ExchangeFrame {
        .greeting(
            Greeting(
                workspace: workspace, node: node, clock: now, applied: VectorDelta(whole: VersionVector()), mode: .sync,
                software: "syncnode test"))
    }

    @Test func peersGreetAndKnowEachOther() async throws {
        try await withServer { server in
            let workspace = server.workspace.authority.certificate.workspace
            let (client, answering) = try await server.meet()
            #expect(client.peer == server.node.certificate)
            #expect(answering.peer?.name == "client")
            #expect(client.negotiatedProtocol == .exchange && answering.negotiatedProtocol == .exchange)
            #expect(client.remoteAddress == server.listener.endpoint.description)

            let hello = greeting(answering.peer!.nodeID, workspace)
            let answer = greeting(server.node.certificate.nodeID, workspace)
            try await client.send([hello, .wholeVector(VersionVector())])
            let first = try #require(try await answering.next())
            #expect(first.frame == hello)
            #expect(first.byteCount == FrameCodec.encode(hello).count + 4)
            #expect(try await answering.next()?.frame == .wholeVector(VersionVector()))
            try await answering.send([answer])
            #expect(try await client.next()?.frame == answer)
            #expect(client.bytesSent == answering.bytesReceived)
            #expect(client.bytesReceived == answering.bytesSent && client.bytesReceived > 0)
            await closeBoth(client, answering)
        }
    }

    @Test(arguments: [true, false]) func eitherSideCloses(_ clientCloses: Bool) async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            let (closing, other) = clientCloses ? (client, answering) : (answering, client)
            try await closing.send([.goodbye])
            async let closed: Void = closing.close()
            // What was sent before the end arrives before it, and the end is told again.
            #expect(try await other.next()?.frame == .goodbye)
            #expect(try await other.next() == nil)
            #expect(try await other.next() == nil)
            await other.close()
            await closed
            await closing.close()
            #expect(await transportError { _ = try await closing.next() }?.code == .closed)
            #expect(await transportError { try await closing.send([.goodbye]) }?.code == .closed)
        }
    }

    /// The peer's goodbye ends one direction only.
    @Test func anAnswerFollowsTheGoodbye() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            // The goodbye without waiting for the peer's end.
            client.channel.close(mode: .output, promise: nil)
            #expect(try await answering.next() == nil)
            try await answering.send([.goodbye])
            #expect(try await client.next()?.frame == .goodbye)
            await answering.close()
            #expect(try await client.next() == nil)
            await client.close()
        }
    }

    @Test func closingWakesWhoeverWaits() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            async let waiting = transportError { _ = try await client.next() }
            await Task.yield()
            async let closed: Void = client.close()
            #expect(await waiting?.code == .closed)
            #expect(try await answering.next() == nil)
            await answering.close()
            await closed
        }
    }

    @Test func cancellingAReaderLosesNothing() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            for number in 0..<UInt64(20) {
                let reader = Task { try await answering.next() }
                if number.isMultiple(of: 2) { await Task.yield() }
                reader.cancel()
                await #expect(throws: CancellationError.self) { _ = try await reader.value }
                try await client.send([.ping(number: number, clock: now)])
                #expect(try await answering.next()?.frame == .ping(number: number, clock: now))
            }
            await closeBoth(client, answering)
        }
    }

    @Test func bothSidesSendPacketsAtOnce() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            for link in [client, answering] {
                let noDelay = try await link.channel.getOption(.tcpOption(.tcp_nodelay)).get()
                let keepAlive = try await link.channel.getOption(.socketOption(.so_keepalive)).get()
                #expect(noDelay != 0 && keepAlive != 0)
            }
            await closeBoth(client, answering)
        }
    }

    @Test func manySendersKeepTheirFramesTogether() async throws {
        try await withServer { server in
            let (client, answering) = try await server.meet()
            let (senders, each) = (8, 50)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for sender in 0..<senders {
                    tasks.addTask {
                        for number in 0..<each {
                            let id = UInt64(sender * each + number)
                            try await client.send([.ping(number: id, clock: now), values(60_000), .goodbye])
                        }
                    }
                }
                var last = [Int](repeating: -1, count: senders)
                for _ in 0..<(senders * each) {
                    guard case .ping(let number, _)? = try await answering.next()?.frame else {
                        Issue.record("frames of different calls were mixed")
                        break
                    }
                    #expect(try await answering.next()?.frame == values(60_000))
                    #expect(try await answering.next()?.frame == .goodbye)
                    let (sender, place) = (Int(number) / each, Int(number) % each)
                    #expect(place == last[sender] + 1)
                    last[sender] = place
                }
                try await tasks.waitForAll()
            }
            await closeBoth(client, answering)
        }
    }
}
