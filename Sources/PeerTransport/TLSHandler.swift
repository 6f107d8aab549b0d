// TLS on a channel: ciphertext below, plaintext above.
//
// Invariant: nothing is encrypted while the socket is behind, so ciphertext in memory is bounded; order is kept.
internal import NIOCore
internal import Trust

/// Drives one `TLSEngine` on its channel's event loop.
///
/// A failure is told as `errorCaught`, after the alert was sent that tells the peer. Closing the output says goodbye first.
final class TLSHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What is told upward as a user event.
    enum Event {
        /// The handshake is done, and the peer proven as its protocol wants it.
        case opened(SessionProtocol, peer: Certificate?)
        /// The peer said goodbye.
        case goodbye
    }

    private enum Outgoing {
        case plaintext(ByteBuffer, EventLoopPromise<Void>?)
        case goodbye(EventLoopPromise<Void>?)
    }

    /// What one visit encrypts at most before other connections have their turn: 1 ms.
    private static let visitBytes = 1 << 20

    private let engine: TLSEngine
    private var outgoing = CircularBuffer<Outgoing>()
    private var isPumping = false
    /// The handshake was done, and that was told.
    private var wasOpened = false
    /// Plaintext is taken: from then until the goodbye or a failure.
    private var mayWrite = false
    /// Nothing more is read.
    private var isEnded = false

    init(context: TLSContext, side: TLSEngine.Side, offering: SessionProtocol) {
        engine = TLSEngine(context: context, side: side, offering: offering)
    }

    func exportKeyingMaterial(label: String, count: Int) throws(TLSFailure) -> [UInt8] {
        try engine.exportKeyingMaterial(label: label, count: count)
    }

    // MARK: Inbound

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { sendOutput(context, promise: nil) }
    }

    func channelActive(context: ChannelHandlerContext) {
        sendOutput(context, promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnded else { return }
        let ciphertext = unwrapInboundIn(data)
        do {
            try ciphertext.withUnsafeReadableBytes { try engine.feed($0) }
        } catch {
            return fail(error, context)
        }
        sendOutput(context, promise: nil)
        if !wasOpened, case .open = engine.state, let agreed = engine.negotiatedProtocol {
            wasOpened = true
            mayWrite = true
            context.fireUserInboundEventTriggered(Event.opened(agreed, peer: engine.peerCertificate))
            pump(context)
        }
        decrypt(context, atMost: ciphertext.readableBytes)
    }

    /// Plaintext is never longer than its ciphertext; what a record left over from the last time adds is less than one.
    private func decrypt(_ context: ChannelHandlerContext, atMost count: Int) {
        let room = count + (17 << 10)
        do {
            var isFull = true
            while isFull, !isEnded {
                var plaintext = context.channel.allocator.buffer(capacity: room)
                try plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                    let count = try engine.read(into: target)
                    isFull = count == target.count
                    return count
                }
                if plaintext.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(plaintext)) }
            }
        } catch {
            return fail(error, context)
        }
        // A key update may want an answer.
        sendOutput(context, promise: nil)
        switch engine.state {
        case .failed(let failure): fail(failure, context)
        case .closedByPeer where !isEnded:
            isEnded = true
            context.fireUserInboundEventTriggered(Event.goodbye)
        case .handshaking, .open, .closedByPeer: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { finishInput(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finishInput(context)
        failOutgoing(ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    private func finishInput(_ context: ChannelHandlerContext) {
        guard !isEnded else { return }
        do { try engine.finishInput() } catch { fail(error, context) }
    }

    private func fail(_ error: any Error, _ context: ChannelHandlerContext) {
        guard !isEnded else { return }
        isEnded = true
        mayWrite = false
        // The alert: it tells the peer why.
        sendOutput(context, promise: nil)
        failOutgoing(error)
        context.fireErrorCaught(error)
    }

    // MARK: Outbound

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        outgoing.append(.plaintext(unwrapOutboundIn(data), promise))
    }

    func flush(context: ChannelHandlerContext) { pump(context) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        pump(context)
        context.fireChannelWritabilityChanged()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard case .output = mode, mayWrite else {
            if mode != .input { failOutgoing(ChannelError.ioOnClosedChannel) }
            return context.close(mode: mode, promise: promise)
        }
        outgoing.append(.goodbye(promise))
        pump(context)
    }

    /// Encrypts as long as the socket takes it.
    private func pump(_ context: ChannelHandlerContext) {
        // Flushing may call back that the channel became writable; the loop below sees it by itself.
        guard mayWrite, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        var visited = 0
        while !outgoing.isEmpty, context.channel.isWritable {
            guard visited < Self.visitBytes else {
                context.eventLoop.assumeIsolated().execute { self.pump(context) }
                return
            }
            do {
                let (promise, last) = try encrypt()
                visited += engine.outputCount
                sendOutput(context, promise: promise)
                if let last { context.close(mode: .output, promise: last.promise) }
            } catch {
                return fail(error, context)
            }
        }
    }

    /// The goodbye was encrypted; its promise is that of closing the output.
    private struct Last { let promise: EventLoopPromise<Void>? }

    /// Encrypts until the engine's bound.
    /// - Returns: a promise for all that was encrypted to its end, and whether the goodbye was among it.
    private func encrypt() throws -> (promise: EventLoopPromise<Void>?, last: Last?) {
        var promise: EventLoopPromise<Void>?
        while let first = outgoing.first, engine.outputCount < TLSEngine.greatestOutputBytes {
            switch first {
            case .goodbye(let closing):
                outgoing.removeFirst()
                engine.close()
                mayWrite = false
                failOutgoing(ChannelError.outputClosed)
                return (promise, Last(promise: closing))
            case .plaintext(var plaintext, let written):
                do {
                    let count = try plaintext.withUnsafeReadableBytes { try engine.write($0) }
                    plaintext.moveReaderIndex(forwardBy: count)
                } catch {
                    promise?.fail(error)
                    throw error
                }
                guard plaintext.readableBytes == 0 else {
                    outgoing[outgoing.startIndex] = .plaintext(plaintext, written)
                    continue
                }
                outgoing.removeFirst()
                guard let written else { continue }
                if let promise { promise.futureResult.cascade(to: written) } else { promise = written }
            }
        }
        return (promise, nil)
    }

    private func sendOutput(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        let count = engine.outputCount
        guard count > 0 else {
            promise?.succeed()
            return
        }
        var ciphertext = context.channel.allocator.buffer(capacity: count)
        ciphertext.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { engine.readOutput(into: $0) }
        context.writeAndFlush(wrapOutboundOut(ciphertext), promise: promise)
    }

    private func failOutgoing(_ error: any Error) {
        while let next = outgoing.popFirst() {
            switch next {
            case .plaintext(_, let promise), .goodbye(let promise): promise?.fail(error)
            }
        }
    }
}
