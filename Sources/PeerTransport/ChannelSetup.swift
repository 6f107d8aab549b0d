// What dialled and accepted connections have in common: options, handlers, and how addresses are written.
//
// Invariant: both sides are set up by the same lines, so that what is tested of one holds for the other.
internal import NIOCore
internal import NIOPosix
internal import Trust

enum ChannelSetup {
    /// How many connections the kernel keeps ready for this node: a workspace's nodes all dialling after a power cut.
    static let backlog: CInt = 256

    /// The kernel is asked for less data below the first figure again; above the second nothing more is encrypted. Two
    /// of the engine's full outputs.
    static let writeMarks = ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 256 << 10)

    /// Puts TLS and the link on a channel. On the channel's event loop.
    static func install(
        on channel: any Channel, context: TLSContext, side: TLSEngine.Side, offering: SessionProtocol,
        limits: TransportLimits, remote: String, opened: @escaping LinkHandler.Opened
    ) throws {
        let tls = TLSHandler(context: context, side: side, offering: offering)
        let link = LinkHandler(tls: tls, limits: limits, remote: remote, opened: opened)
        try channel.pipeline.syncOperations.addHandlers([tls, link])
    }

    /// `ADDRESS:PORT`; IPv6 in brackets, and IPv4 as such even where a socket for both families took the connection.
    static func text(_ address: SocketAddress?) -> String {
        guard let address, let host = address.ipAddress, let port = address.port else { return "an unknown address" }
        let mapped = "::ffff:"
        let isMapped = host.hasPrefix(mapped) && host.contains(".")
        return Endpoint(host: isMapped ? String(host.dropFirst(mapped.count)) : host, port: port).description
    }

    /// The system's words for an error, without the function it came from.
    static func reason(_ error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        return systemMessage(error.errnoCode)
    }
}

extension ClientBootstrap {
    func withLinkOptions() -> ClientBootstrap {
        channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.writeBufferWaterMark, value: ChannelSetup.writeMarks)
    }
}

extension ServerBootstrap {
    /// - Parameter exhausted: told where the system has no room for a connection; on an event loop.
    func withLinkOptions(
        exhausted: @escaping @Sendable (_ listening: SocketAddress?, IOError) -> Void
    ) -> ServerBootstrap {
        serverChannelOption(.backlog, value: ChannelSetup.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptPause { exhausted(channel.localAddress, $0) })
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: ChannelSetup.writeMarks)
    }
}
