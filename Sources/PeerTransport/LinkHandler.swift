// The life of one connection on its event loop: handshake, frames, goodbye.
//
// Invariant: no frame is cut out of the stream before the peer is proven, and the socket is read only on demand, but for what
// the kernel still holds when the peer has closed its side (see `TransportLimits`).
internal import NIOCore
internal import Synchronization
internal import Trust

/// Stands above `TLSHandler` and turns a channel's events into the queues that a `PeerLink` serves from.
final class LinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What became of the handshake.
    typealias Opened = (Result<PeerLink, TransportError>) -> Void

    private enum Phase {
        case handshaking(Opened)
        case open
        /// Flushes, says goodbye, waits for the peer's end; what arrives is thrown away.
        case ending
        case closed
    }

    private let tls: TLSHandler
    private let limits: TransportLimits
    private let remote: String
    private let queues: LinkQueues
    private var phase: Phase
    private var context: ChannelHandlerContext?
    private var assembler = FrameAssembler(limit: 0)
    /// Nothing more is read, and what the peer sends is ignored: it said goodbye, or what is no frame.
    private var isInputOver = false
    /// The peer's end of the connection was seen.
    private var isInputClosed = false
    /// This side's end of the connection was sent.
    private var isOutputClosed = false
    private var isReading = false
    private var lastRead = NIODeadline.now()
    /// Of the handshake, then of idleness, then of closing.
    private var timer: Scheduled<Void>?
    private var joinTimer: Scheduled<Void>?

    /// - Parameter opened: called once, on the event loop.
    init(tls: TLSHandler, limits: TransportLimits, remote: String, opened: @escaping Opened) {
        self.tls = tls
        self.limits = limits
        self.remote = remote
        queues = LinkQueues(limits: limits)
        phase = .handshaking(opened)
    }

    // MARK: Beginning

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin(context) }
    }

    /// A channel that was closed before the handlers came onto it tells them nothing else.
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        timer?.cancel()
        if case .handshaking = phase { fail(.cut(remote, during: .handshake), lingers: false) }
        phase = .closed
        queues.isClosed.store(true, ordering: .releasing)
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard timer == nil else { return }
        timer = schedule(limits.handshakeMilliseconds) { link in
            link.fail(.handshakeTimeout(link.remote, milliseconds: link.limits.handshakeMilliseconds), lingers: false)
        }
        read(context)
    }

    private func open(_ agreed: SessionProtocol, _ peer: Certificate?, _ context: ChannelHandlerContext) {
        guard case .handshaking(let opened) = phase else { return }
        phase = .open
        timer?.cancel()
        assembler = FrameAssembler(limit: peer == nil ? limits.joinFrameBytes : limits.frameBytes)
        watchIdleness(limits.idleMilliseconds)
        // Of either side: who joins waits for an answer that one frame holds.
        if agreed == .join {
            joinTimer = schedule(limits.joinMilliseconds) { link in
                link.fail(.joinTimeout(link.remote, milliseconds: link.limits.joinMilliseconds))
            }
        }
        opened(
            .success(
                PeerLink(
                    handler: NIOLoopBound(self, eventLoop: context.eventLoop), channel: context.channel,
                    queues: queues, limits: limits, peer: peer, negotiatedProtocol: agreed, remoteAddress: remote)))
    }

    // MARK: Receiving

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSHandler.Event.opened(let agreed, let peer): open(agreed, peer, context)
        case TLSHandler.Event.goodbye: endInput()
        case ChannelEvent.inputClosed:
            isInputClosed = true
            if isOutputClosed { context.close(promise: nil) }
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .open = phase, !isInputOver else { return }
        var plaintext = unwrapInboundIn(data)
        queues.arrivedBytes.add(UInt64(plaintext.readableBytes), ordering: .relaxed)
        do {
            while let frame = try assembler.next(from: &plaintext) { queues.deliver(frame) }
        } catch {
            // The session may still have something to say to the peer, so that only reading stops.
            isInputOver = true
            queues.finishInbox(.failed(.badFrame("\(error)", from: remote)))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        lastRead = .now()
        readIfWanted()
    }

    /// The peer said goodbye.
    private func endInput() {
        guard case .open = phase else {
            return fail(.cut(remote, during: .handshake))
        }
        guard !isInputOver else { return }
        isInputOver = true
        guard assembler.partialBytes == 0 else {
            let whole = assembler.announcedBytes.map { " of \($0 + FrameAssembler.headerBytes)" } ?? ""
            let why = "it said goodbye within a frame, after \(assembler.partialBytes)\(whole) bytes"
            return queues.finishInbox(.failed(.badFrame(why, from: remote)))
        }
        queues.finishInbox(.goodbye)
    }

    /// Reads from the socket where there is room for what comes, or somebody waits.
    func readIfWanted() {
        guard let context, !isReading else { return }
        switch phase {
        case .handshaking, .ending: read(context)
        case .open:
            guard !isInputOver else { return }
            let partialBytes = assembler.partialBytes
            if queues.inbox.withLock({ $0.wantsMore(partialBytes: partialBytes) }) { read(context) }
        case .closed: break
        }
    }

    private func read(_ context: ChannelHandlerContext) {
        isReading = true
        lastRead = .now()
        context.read()
    }

    // MARK: Sending

    /// Hands what was sent to TLS.
    func drain() {
        guard let context, case .open = phase else { return }
        for batch in queues.outbox.withLock({ $0.takePending() }) {
            let bytes = batch.readableBytes
            let promise = context.eventLoop.makePromise(of: Void.self)
            promise.futureResult.whenComplete { [queues] _ in queues.written(bytes) }
            context.write(wrapOutboundOut(batch), promise: promise)
        }
        context.flush()
    }

    func exportKeyingMaterial(label: String, count: Int) throws(TransportError) -> [UInt8] {
        do {
            return try tls.exportKeyingMaterial(label: label, count: count)
        } catch {
            throw .tls(error, with: remote, during: .session)
        }
    }

    // MARK: Ending

    /// The side that uses the link has done with it.
    func close() {
        guard case .open = phase else { return }
        drain()
        let reason = TransportError.closedHere(remote)
        queues.finishOutbox(reason)
        queues.abandonInbox(reason)
        linger()
    }

    /// What arrived cannot be decoded.
    func stopReading() { isInputOver = true }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let stage: ConnectionStage = if case .handshaking = phase { .handshake } else { .session }
        if let failure = error as? TLSFailure {
            return fail(.tls(failure, with: remote, during: stage))
        }
        fail(.cut(remote, during: stage, reason: ChannelSetup.reason(error)), lingers: false)
    }

    func channelInactive(context: ChannelHandlerContext) {
        switch phase {
        case .handshaking: fail(.cut(remote, during: .handshake), lingers: false)
        case .open: fail(.cut(remote, during: .session), lingers: false)
        case .ending, .closed: break
        }
        phase = .closed
        timer?.cancel()
        joinTimer?.cancel()
        queues.isClosed.store(true, ordering: .releasing)
        context.fireChannelInactive()
    }

    /// - Parameter lingers: the peer is told, and its end waited for; where not, the connection is cut.
    private func fail(_ error: TransportError, lingers: Bool = true) {
        let opened: Opened?
        switch phase {
        case .handshaking(let waiting): opened = waiting
        case .open: opened = nil
        case .ending, .closed: return
        }
        queues.finishOutbox(error)
        queues.finishInbox(.failed(error))
        phase = .ending
        opened?(.failure(error))
        if lingers { linger() } else { context?.close(promise: nil) }
    }

    /// Flushes, says goodbye, and gives the peer time to read it: closing a socket that holds unread bytes would make the
    /// kernel send a reset, and a reset can overtake what was said last.
    private func linger() {
        phase = .ending
        joinTimer?.cancel()
        closeAfter(limits.flushMilliseconds)
        guard let context else { return }
        let closed = context.eventLoop.makePromise(of: Void.self)
        closed.futureResult.assumeIsolated().whenComplete { result in
            switch result {
            case .success where !self.isInputClosed:
                self.isOutputClosed = true
                self.closeAfter(self.limits.finishMilliseconds)
            case .success, .failure: self.context?.close(promise: nil)
            }
        }
        context.close(mode: .output, promise: closed)
        readIfWanted()
    }

    private func closeAfter(_ milliseconds: Int) {
        timer?.cancel()
        timer = schedule(milliseconds) { $0.context?.close(promise: nil) }
    }

    /// Silence counts only while this side is ready to listen.
    private func watchIdleness(_ milliseconds: Int) {
        timer = schedule(milliseconds) { link in
            guard case .open = link.phase else { return }
            let limit = link.limits.idleMilliseconds
            guard link.isReading || link.isInputOver else { return link.watchIdleness(limit) }
            let quiet = Int((NIODeadline.now() - link.lastRead).nanoseconds / 1_000_000)
            guard quiet < limit else { return link.fail(.idle(link.remote, milliseconds: limit)) }
            link.watchIdleness(limit - quiet)
        }
    }

    private func schedule(_ milliseconds: Int, _ action: @escaping (LinkHandler) -> Void) -> Scheduled<Void>? {
        context?.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(milliseconds))) { action(self) }
    }
}
