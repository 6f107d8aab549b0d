// Connections that this node makes.
//
// Invariant: a dial ends, whatever the network and the peer do or leave undone; one that was given up or failed leaves no
// connection behind.
public import NIOCore
internal import NIOPosix
internal import Synchronization
public import Trust

/// Connects to peers.
public struct PeerDialer: Sendable {
    private let group: any EventLoopGroup
    private let limits: TransportLimits

    public init(group: any EventLoopGroup, limits: TransportLimits = TransportLimits()) {
        self.group = group
        self.limits = limits
    }

    /// Connects, and returns when the handshake is done and the peer proven. Of a name's addresses each is tried, IPv6 and
    /// IPv4 in turn, the next one 250 ms after the one before (RFC 8305). An IP address is dialled as it stands, and no name
    /// but its own keeps a dial waiting.
    ///
    /// The peer may still refuse this node's certificate; that comes out of the link (RFC 8446, 4.4.2).
    /// - Throws: `TransportError`; `CancellationError` at once where the task is cancelled.
    public func dial(
        _ endpoint: Endpoint, context: TLSContext, offering: SessionProtocol = .exchange
    ) async throws -> PeerLink {
        let dial = Dial(endpoint: endpoint, limits: limits, promise: group.next().makePromise(of: PeerLink.self))
        return try await withTaskCancellationHandler {
            dial.start(
                ClientBootstrap(group: dial.promise.futureResult.eventLoop)
                    .withLinkOptions()
                    .connectTimeout(.milliseconds(Int64(limits.connectMilliseconds))),
                context: context, offering: offering)
            return try await dial.promise.futureResult.get()
        } onCancel: {
            dial.cancel()
        }
    }
}

/// One dial, from the look-up of the name to the open session.
private final class Dial: Sendable {
    private enum State {
        case running((any Channel)?)
        case done
    }

    /// Beside connecting and the handshake.
    private static let slackMilliseconds = 2_000

    let promise: EventLoopPromise<PeerLink>
    private let endpoint: Endpoint
    private let limits: TransportLimits
    private let state = Mutex(State.running(nil))

    init(endpoint: Endpoint, limits: TransportLimits, promise: EventLoopPromise<PeerLink>) {
        self.endpoint = endpoint
        self.limits = limits
        self.promise = promise
    }

    func start(_ bootstrap: ClientBootstrap, context: TLSContext, offering: SessionProtocol) {
        guard isRunning else { return }
        // Each step has a limit of its own; this one is for what lies between and beside them.
        let milliseconds = limits.connectMilliseconds + limits.handshakeMilliseconds + Self.slackMilliseconds
        let deadline = promise.futureResult.eventLoop.scheduleTask(in: .milliseconds(Int64(milliseconds))) {
            self.giveUp(TransportError.dialTimeout(self.endpoint, milliseconds: milliseconds))
        }
        promise.futureResult.whenComplete { _ in deadline.cancel() }
        let (connected, resolver) = connect(bootstrap)
        connected.whenComplete { result in
            switch result {
            case .failure(ChannelError.connectTimeout) where resolver?.isWaiting == true:
                self.finish(.failure(TransportError.lookupTimeout(self.endpoint, self.limits.connectMilliseconds)))
            case .failure(let error): self.finish(.failure(connectError(error, self.endpoint, self.limits)))
            case .success(let channel): self.connected(channel, context: context, offering: offering)
            }
        }
    }

    /// - Returns: also who looks the name up, where it is one.
    private func connect(_ bootstrap: ClientBootstrap) -> (EventLoopFuture<any Channel>, DialResolver?) {
        if let address = try? SocketAddress(ipAddress: endpoint.host, port: endpoint.port) {
            return (bootstrap.connect(to: address), nil)
        }
        let resolver = DialResolver(loop: promise.futureResult.eventLoop)
        return (bootstrap.resolver(resolver).connect(host: endpoint.host, port: endpoint.port), resolver)
    }

    func cancel() { giveUp(CancellationError()) }

    private func giveUp(_ error: any Error) {
        let channel = end(error)
        channel?.close(promise: nil)
    }

    private func connected(_ channel: any Channel, context: TLSContext, offering: SessionProtocol) {
        let isRunning = state.withLock { state in
            guard case .running = state else { return false }
            state = .running(channel)
            return true
        }
        guard isRunning else { return channel.close(promise: nil) }
        // On one machine a dial of a port that nobody listens on may, by chance, be given that port as its own.
        if let remote = channel.remoteAddress, remote == channel.localAddress {
            channel.close(promise: nil)
            return finish(.failure(TransportError.nobody(at: endpoint)))
        }
        channel.eventLoop.execute {
            do {
                // Reset already, as by a peer that died with the connection in its queue: handlers would hear of nothing.
                guard channel.isActive else { throw ChannelError.ioOnClosedChannel }
                try ChannelSetup.install(
                    on: channel, context: context, side: .client, offering: offering, limits: self.limits,
                    remote: ChannelSetup.text(channel.remoteAddress), opened: { self.finish($0.mapError { $0 }) })
            } catch {
                // The connection went away before it could be used.
                channel.close(promise: nil)
                self.finish(.failure(TransportError.cut(self.endpoint.description, during: .handshake)))
            }
        }
    }

    private var isRunning: Bool {
        state.withLock { if case .running = $0 { true } else { false } }
    }

    private func finish(_ result: Result<PeerLink, any Error>) {
        let wasRunning = state.withLock { state in
            guard case .running = state else { return false }
            state = .done
            return true
        }
        // Given up meanwhile: `cancel` has closed the channel.
        if wasRunning { promise.completeWith(result) }
    }

    private func end(_ error: any Error) -> (any Channel)? {
        let (wasRunning, channel) = state.withLock { state -> (Bool, (any Channel)?) in
            guard case .running(let channel) = state else { return (false, nil) }
            state = .done
            return (true, channel)
        }
        if wasRunning { promise.fail(error) }
        return channel
    }
}

private func connectError(_ error: any Error, _ endpoint: Endpoint, _ limits: TransportLimits) -> TransportError {
    func unreachable(_ cause: String, _ next: String) -> TransportError {
        TransportError(.unreachable, "cannot connect to \(endpoint): \(cause); \(next)")
    }
    let timeout = TransportError(
        .timedOut,
        "cannot connect to \(endpoint): no answer within \(limits.connectMilliseconds) ms; "
            + "check the address, and the firewalls between")
    func unreachable(_ causes: String, isExhausted: Bool) -> TransportError {
        unreachable(
            causes,
            isExhausted
                ? "this node has too much open; raise its limit of open files, or try again later"
                : "check that a syncnode listens there, and on this port")
    }
    switch error {
    case ChannelError.connectTimeout: return timeout
    case let error as IOError:
        return unreachable(ChannelSetup.reason(error), isExhausted: isExhaustion(error.errnoCode))
    case let error as NIOConnectionError:
        guard !error.connectionErrors.isEmpty else {
            let reason = (error.dnsAError as? LookupFailure).map { " (\($0.reason))" } ?? ""
            return unreachable(
                "the name \"\(error.host)\" has no address\(reason)",
                "check how it is spelled, and that names can be looked up")
        }
        if error.connectionErrors.allSatisfy({ if case ChannelError.connectTimeout = $0.error { true } else { false } })
        {
            return timeout
        }
        let causes = error.connectionErrors.map {
            let tried = ChannelSetup.text($0.target)
            return (tried == endpoint.description ? "" : "\(tried): ") + ChannelSetup.reason($0.error)
        }
        let isExhausted = error.connectionErrors.contains {
            ($0.error as? IOError).map { isExhaustion($0.errnoCode) } == true
        }
        return unreachable(causes.joined(separator: ", "), isExhausted: isExhausted)
    default:
        return unreachable(ChannelSetup.reason(error), "check the address and the network")
    }
}

extension TransportError {
    fileprivate static func dialTimeout(_ endpoint: Endpoint, milliseconds: Int) -> TransportError {
        TransportError(
            .timedOut,
            "cannot connect to \(endpoint): no session within \(milliseconds) ms; check the address and the network")
    }

    fileprivate static func lookupTimeout(_ endpoint: Endpoint, _ milliseconds: Int) -> TransportError {
        TransportError(
            .timedOut,
            "cannot connect to \(endpoint): the look-up of \"\(endpoint.host)\" did not end within \(milliseconds) ms; "
                + "check this machine's name servers, or dial the peer's IP address")
    }

    fileprivate static func nobody(at endpoint: Endpoint) -> TransportError {
        TransportError(
            .unreachable,
            "cannot connect to \(endpoint): nobody listens there; check that a syncnode does, and on this port")
    }
}
