// Connections that peers make to this node.
//
// Invariant: whatever one connection does, the listener goes on taking others.
public import NIOCore
internal import NIOPosix
internal import Synchronization
public import Trust

/// Listens for peers. Close it when done: nothing is closed by letting go of it.
///
/// Where the system has no more descriptors or memory for a connection, none is accepted for a second, and those that are
/// open go on.
public final class PeerListener: Sendable {
    /// Where it listens, with the port that it really has.
    public let endpoint: Endpoint
    let channel: any Channel
    private let ledger: Ledger

    private init(endpoint: Endpoint, channel: any Channel, ledger: Ledger) {
        self.endpoint = endpoint
        self.channel = channel
        self.ledger = ledger
    }

    /// Connections that are open now, in the handshake or after it.
    public var connections: Int { ledger.state.withLock { $0.connections } }
    /// Connections that were closed at once for a limit.
    public var refusedConnections: UInt64 { ledger.state.withLock { $0.refused } }

    /// Listens.
    /// - Parameters:
    ///   - context: asked at every connection, so that a renewed certificate is used from then on; on an event loop.
    ///   - onFailure: told of every connection that did not become a session: the address, and why; where the system has no room
    ///     for any, its own address. On an event loop, and
    ///     as often as a stranger likes, so whoever logs it must bound how often.
    ///   - accept: gets each session, in a task of its own. The link is closed when it returns.
    /// - Throws: `TransportError` with `bind`.
    public static func bind(
        _ endpoint: Endpoint, context: @escaping @Sendable () -> TLSContext,
        limits: TransportLimits = TransportLimits(),
        group: any EventLoopGroup, onFailure: @escaping @Sendable (String, TransportError) -> Void,
        accept: @escaping @Sendable (PeerLink) async -> Void
    ) async throws -> PeerListener {
        let ledger = Ledger(limits: limits)
        let bootstrap = ServerBootstrap(group: group).withLinkOptions { address, error in
            let listening = ChannelSetup.text(address)
            let cause = TransportError(
                .tooMany,
                "cannot take connections at \(listening): \(ChannelSetup.reason(error)); those that are open go on, and more are "
                    + "taken once there is room; raise the limit (ulimit -n, LimitNOFILE=) or stop what uses it up")
            onFailure(listening, cause)
        }.childChannelInitializer { channel in
            do {
                try ledger.begin(channel, context: context, onFailure: onFailure, accept: accept)
                return channel.eventLoop.makeSucceededVoidFuture()
            } catch {
                // The bootstrap closes it.
                return channel.eventLoop.makeFailedFuture(error)
            }
        }
        do {
            let channel = try await bootstrap.bind(host: endpoint.host, port: endpoint.port).get()
            let bound = Endpoint(host: endpoint.host, port: channel.localAddress?.port ?? endpoint.port)
            return PeerListener(endpoint: bound, channel: channel, ledger: ledger)
        } catch {
            throw TransportError(
                .bind,
                "cannot listen on \(endpoint): \(ChannelSetup.reason(error)); "
                    + "choose an address of this machine and a free port")
        }
    }

    /// Stops listening, and drops connections that are still in the handshake. Links that `accept` was given live on, until
    /// it returns or they are closed.
    public func close() async {
        let handshaking = ledger.state.withLock { $0.close() }
        // What cannot be closed is closed already.
        try? await channel.close().get()
        for channel in handshaking { try? await channel.close().get() }
    }
}

/// What a listener's connections share.
private final class Ledger: Sendable {
    let state: Mutex<ConnectionLedger>
    private let limits: TransportLimits

    init(limits: TransportLimits) {
        self.limits = limits
        state = Mutex(ConnectionLedger(limits: limits))
    }

    /// Counts a connection and begins its handshake. On the channel's event loop.
    func begin(
        _ channel: any Channel, context: @Sendable () -> TLSContext,
        onFailure: @escaping @Sendable (String, TransportError) -> Void,
        accept: @escaping @Sendable (PeerLink) async -> Void
    ) throws {
        let remote = ChannelSetup.text(channel.remoteAddress)
        let id = ObjectIdentifier(channel)
        do {
            let displaced = try state.withLock { ledger throws(ConnectionLedger.Refusal) in
                try ledger.admit(channel, from: SourceNetwork(channel.remoteAddress))
            }
            if let displaced {
                onFailure(ChannelSetup.text(displaced.channel.remoteAddress), displaced.error(limits: limits))
                displaced.channel.close(promise: nil)
            }
        } catch {
            let refusal = error.error(for: remote, limits: limits)
            onFailure(remote, refusal)
            throw refusal
        }
        channel.closeFuture.whenComplete { _ in self.state.withLock { $0.remove(id) } }
        try ChannelSetup.install(
            on: channel, context: context(), side: .server, offering: .exchange, limits: limits, remote: remote
        ) { result in
            let (isClosed, isLeaving) = self.state.withLock { ledger in
                ledger.endHandshake(id)
                // Who joins has proven nothing yet.
                if case .success(let link) = result, link.peer != nil { ledger.prove(id) }
                return (ledger.isClosed, ledger.isLeaving(id))
            }
            switch result {
            case .success(let link):
                Task {
                    await accept(link)
                    await link.close()
                }
            case .failure(let error):
                guard !isLeaving else { return }
                let closing = ConnectionLedger.Refusal.closed.error(for: remote, limits: self.limits)
                onFailure(remote, isClosed ? closing : error)
            }
        }
    }
}
