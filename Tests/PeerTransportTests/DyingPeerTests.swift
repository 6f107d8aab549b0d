// Peers that die at the worst moment: a dial ends all the same, and so do sending and closing.
import Foundation
import NIOCore
import NIOPosix
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@testable import PeerTransport

@Suite(.timeLimit(.minutes(2))) struct DyingPeerTests {
    /// A server whose kernel takes connections that it resets at once, as those of a process that was killed are.
    private func resettingServer() async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                guard let options = channel as? any SocketOptionProvider else {
                    return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
                }
                return options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).map { channel.close(promise: nil) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    @Test func everyDialOfAPeerThatResetsEnds() async throws {
        let server = try await resettingServer()
        let endpoint = Endpoint(host: "127.0.0.1", port: server.localAddress?.port ?? 0)
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("client"))
        let ended = try await withThrowingTaskGroup(of: Bool.self) { tasks in
            for _ in 0..<8 {
                tasks.addTask {
                    var all = true
                    for _ in 0..<100 {
                        let failure = await transportError {
                            _ = try await PeerDialer(group: group).dial(endpoint, context: context)
                        }
                        all = all && failure != nil
                    }
                    return all
                }
            }
            return try await tasks.reduce(0) { $0 + ($1 ? 100 : 0) }
        }
        #expect(ended == 800)
        try await server.close()
    }

    /// What such a dial meets when the reset comes before the handlers do.
    @Test func handlersOnAChannelThatIsClosedHearOfIt() async throws {
        let server = try await StrangeServer()
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("client"))
        let channel = try await ClientBootstrap(group: group).withLinkOptions()
            .connect(host: "127.0.0.1", port: server.endpoint.port).get()
        let opened = channel.eventLoop.makePromise(of: Void.self)
        try await channel.eventLoop.submit {
            // Closing tells the handlers that are there, and takes all handlers off in the loop's next turn.
            channel.close(promise: nil)
            try ChannelSetup.install(
                on: channel, context: context, side: .client, offering: .exchange, limits: TransportLimits(),
                remote: "there",
                opened: { result in
                    if case .failure(let error) = result { opened.fail(error) } else { opened.succeed() }
                })
        }.get()
        let failure = await transportError { try await opened.futureResult.get() }
        #expect(failure?.description.contains("there") == true)
        await server.close()
    }

    /// A peer that reads nothing more: who waits to send is told when the link is closed, and closing ends.
    @Test func closingEndsWhoWaitsToSend() async throws {
        var limits = TransportLimits()
        limits.flushMilliseconds = 200
        limits.finishMilliseconds = 200
        try await withServer { server in
            let context = try server.workspace.context(for: server.workspace.admit("client"))
            let client = try await PeerDialer(group: group, limits: limits)
                .dial(server.listener.endpoint, context: context)
            let accepted = try await server.links.next()
            let sending = Task {
                let piece = ExchangeFrame.values(
                    ValuesPiece(values: [[UInt8](repeating: 7, count: FrameLimits.valuesFrameBytes)], continues: true))
                while true { try await client.send([piece]) }
            }
            while client.sendSuspensions == 0 { await Task.yield() }
            await client.close()
            let failure = await transportError { try await sending.value }
            #expect(failure?.code == .closed)
            await accepted.close()
        }
    }
}
