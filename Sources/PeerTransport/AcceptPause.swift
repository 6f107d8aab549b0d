// What a listener does where the system has no more descriptors or memory for a connection: it rests, and says so.
//
// Invariant: while it rests nothing is asked of the socket, so that who waits in the kernel's queue costs nothing.
internal import NIOCore

/// Takes no connection for a second after the system had no room for one.
///
/// NIO's own `AcceptBackoffHandler` delays the next read of the channel. An accept that failed leaves the last one pending
/// (`BaseSocketChannel.readPending`), so there is none to delay, and the loop goes round for as long as somebody waits.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = Channel

    private static let rest = TimeAmount.seconds(1)
    private let exhausted: (IOError) -> Void

    /// - Parameter exhausted: told each time, at most once a second.
    init(exhausted: @escaping (IOError) -> Void) { self.exhausted = exhausted }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A connection that its own side aborted is no reason to rest.
        guard let error = error as? IOError, isExhaustion(error.errnoCode) else { return }
        exhausted(error)
        let options = context.channel.syncOptions
        try? options?.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.rest) {
            // A listener that was closed meanwhile takes no more anyway.
            try? options?.setOption(.autoRead, value: true)
        }
    }
}
