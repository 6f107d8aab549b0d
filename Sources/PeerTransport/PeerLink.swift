// A connection with a proven peer, for the tasks that use it.
//
// Invariant: frames come out in the order they were sent, each whole or not at all; both directions push back.
internal import NIOCore
public import ReplicationWire
internal import Synchronization
public import Trust

/// A frame, and what it cost on the wire.
public struct ReceivedFrame: Sendable {
    public let frame: ExchangeFrame
    /// The frame's bytes before encryption, with its length.
    public let byteCount: Int

    public init(frame: ExchangeFrame, byteCount: Int) {
        self.frame = frame
        self.byteCount = byteCount
    }
}

/// An open session with a peer. Close it when done: nothing is closed by letting go of it.
///
/// One task reads; any number may send. Reading and sending end separately: after a frame that could not be read, or the
/// peer's goodbye, what this side still has to say can be sent.
public final class PeerLink: Sendable {
    /// The peer's certificate, proven by the handshake; nil only where the peer wants to join.
    public let peer: Certificate?
    /// What is spoken.
    public let negotiatedProtocol: SessionProtocol
    /// The peer's address, as `ADDRESS:PORT`.
    public let remoteAddress: String

    /// How much is encoded into one buffer: a few such are on their way at once.
    private static let batchBytes = 256 << 10

    let channel: any Channel
    private let handler: NIOLoopBound<LinkHandler>
    private let queues: LinkQueues
    private let limits: TransportLimits

    init(
        handler: NIOLoopBound<LinkHandler>, channel: any Channel, queues: LinkQueues, limits: TransportLimits,
        peer: Certificate?, negotiatedProtocol: SessionProtocol, remoteAddress: String
    ) {
        self.handler = handler
        self.channel = channel
        self.queues = queues
        self.limits = limits
        self.peer = peer
        self.negotiatedProtocol = negotiatedProtocol
        self.remoteAddress = remoteAddress
    }

    /// Bytes of the frames that `next` gave, with their lengths.
    public var bytesReceived: UInt64 { queues.inbox.withLock { $0.deliveredBytes } }
    /// Bytes of frames that came, of one that is not whole yet too: where they grow, the peer lives.
    public var bytesArrived: UInt64 { queues.arrivedBytes.load(ordering: .relaxed) }
    /// Bytes of the frames that `send` took, with their lengths.
    public var bytesSent: UInt64 { queues.outbox.withLock { $0.acceptedBytes } }

    /// How often a sender had to wait for the peer.
    var sendSuspensions: Int { queues.outbox.withLock { $0.suspensions } }
    /// Bytes received that nobody asked for yet.
    var waitingBytes: Int { queues.inbox.withLock { $0.waitingBytes } }

    // MARK: Receiving

    /// The next frame; nil once the peer has said goodbye. For one task at a time.
    ///
    /// Frames that came before an end are given before it. A frame is decoded here, on the caller's thread, since the
    /// largest take milliseconds, for which an event loop would keep all its other connections waiting.
    /// - Throws: `TransportError`, again at every later call; `CancellationError`, which loses no frame.
    public func next() async throws -> ReceivedFrame? {
        guard let bytes = try await nextBytes() else { return nil }
        do {
            return ReceivedFrame(
                frame: try FrameCodec.decode(bytes), byteCount: bytes.count + FrameAssembler.headerBytes)
        } catch {
            let failure = TransportError.badFrame(error.description, from: remoteAddress, frame: error)
            queues.abandonInbox(failure)
            onLoop { $0.stopReading() }
            throw failure
        }
    }

    private func nextBytes() async throws -> [UInt8]? {
        let (taken, resumesReading) = queues.inbox.withLock { $0.take() }
        if resumesReading { onLoop { $0.readIfWanted() } }
        switch taken {
        case .frame(let bytes): return bytes
        case .end(.goodbye): return nil
        case .end(.failed(let error)): throw error
        case .nothing: break
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (waiter: Inbox.Waiter) in
                let (taken, resumesReading) = queues.inbox.withLock { $0.takeOrWait(waiter) }
                if resumesReading { onLoop { $0.readIfWanted() } }
                switch taken {
                case .frame(let bytes): waiter.resume(returning: bytes)
                case .end(.goodbye): waiter.resume(returning: nil)
                case .end(.failed(let error)): waiter.resume(throwing: error)
                // Cancelled before there was anything to cancel.
                case .nothing: if Task.isCancelled { stopWaiting() }
                }
            }
        } onCancel: {
            stopWaiting()
        }
    }

    private func stopWaiting() {
        queues.inbox.withLock { $0.stopWaiting() }?.resume(throwing: CancellationError())
    }

    // MARK: Sending

    /// Sends frames, in order and together. Returns once they are on their way: with the socket, or queued below
    /// `TransportLimits.outboxBytes`. Above that it waits, and so the peer's pace becomes the caller's.
    /// - Throws: `TransportError`, why nothing can be sent; `CancellationError` where the task was cancelled while it
    ///   waited, and the frames may still be sent.
    public func send(_ frames: [ExchangeFrame]) async throws {
        guard !frames.isEmpty else { return }
        let (batches, bytes) = try encode(frames)
        let accepted = try queues.outbox.withLock { outbox throws(TransportError) in
            try outbox.accept(batches, bytes: bytes)
        }
        if accepted.mustDrain { onLoop { $0.drain() } }
        guard accepted.mustWait else { return }
        let call = accepted.call
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (waiter: Outbox.Waiter) in
                if let result = queues.outbox.withLock({ $0.wait(waiter, call: call) }) {
                    waiter.resume(with: result.mapError { $0 })
                } else if Task.isCancelled {
                    stopWaiting(call: call)
                }
            }
        } onCancel: {
            stopWaiting(call: call)
        }
    }

    private func stopWaiting(call: UInt64) {
        queues.outbox.withLock { $0.stopWaiting(call: call) }?.resume(throwing: CancellationError())
    }

    /// Encodes on the caller's thread, into buffers of `batchBytes` or one larger frame.
    private func encode(_ frames: [ExchangeFrame]) throws(TransportError) -> (batches: [ByteBuffer], bytes: Int) {
        var batches: [ByteBuffer] = []
        var batch = ByteBuffer()
        var total = 0
        for frame in frames {
            let bytes = FrameCodec.encode(frame)
            guard bytes.count <= limits.frameBytes else {
                throw TransportError(
                    .badFrame,
                    "cannot send a \(frame.name) frame of \(bytes.count) bytes to \(remoteAddress): "
                        + "\(limits.frameBytes) is the limit; this is a defect of this node, please report it")
            }
            if batch.readableBytes > 0, batch.readableBytes + bytes.count > Self.batchBytes {
                batches.append(batch)
                batch = ByteBuffer()
            }
            batch.writeInteger(UInt32(bytes.count))
            batch.writeBytes(bytes)
            total += bytes.count + FrameAssembler.headerBytes
        }
        batches.append(batch)
        return (batches, total)
    }

    // MARK: The session

    /// Bytes that both ends of this session can make and nobody else (RFC 8446, 7.5).
    /// - Parameters:
    ///   - label: begins with "EXPORTER".
    ///   - count: how many bytes.
    public func exportKeyingMaterial(label: String, count: Int) async throws -> [UInt8] {
        guard !queues.isClosed.load(ordering: .acquiring) else { throw TransportError.closedHere(remoteAddress) }
        return try await channel.eventLoop.submit { [handler] in
            try handler.value.exportKeyingMaterial(label: label, count: count)
        }.get()
    }

    /// Ends the session: what was sent leaves first, then the goodbye; then the peer's end is waited for, within limits.
    /// Frames that nobody asked for are dropped, and whoever waits in `next` or `send` gets `closed`. Returns when the
    /// connection is gone; may be called any number of times, also after the peer or a failure ended it.
    public func close() async {
        guard !queues.isClosed.load(ordering: .acquiring) else { return }
        onLoop { $0.close() }
        // However it closed, it is closed.
        try? await channel.closeFuture.get()
    }

    private func onLoop(_ action: @escaping @Sendable (LinkHandler) -> Void) {
        guard !queues.isClosed.load(ordering: .acquiring) else { return }
        channel.eventLoop.execute { [handler] in action(handler.value) }
    }
}
