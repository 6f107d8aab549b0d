// Frames on their way from the tasks that send to the socket.
//
// Invariant: bytes leave in the order in which `send` was called, and those of one call stay together.
internal import NIOCore

/// The sending half of a link: a value, kept under a lock.
struct Outbox {
    typealias Waiter = CheckedContinuation<Void, any Error>

    private let limit: Int
    private var pending: [ByteBuffer] = []
    /// The event loop was told that something is pending.
    private var isDrainScheduled = false
    /// Accepted, and not taken by the socket yet.
    private(set) var queuedBytes = 0
    private var waiters: [UInt64: Waiter] = [:]
    private var end: TransportError?
    private var sendCount: UInt64 = 0
    /// Of frames that were accepted, with their lengths.
    private(set) var acceptedBytes: UInt64 = 0
    /// How often a sender had to wait.
    private(set) var suspensions = 0

    /// - Parameter limit: of bytes, above which senders wait.
    init(limit: Int) { self.limit = limit }

    // MARK: The senders' side

    /// What follows from sending.
    struct Accepted {
        /// Names this call, to wait with.
        let call: UInt64
        /// The event loop must be told.
        let mustDrain: Bool
        let mustWait: Bool
    }

    mutating func accept(_ batches: [ByteBuffer], bytes: Int) throws(TransportError) -> Accepted {
        if let end { throw end }
        pending += batches
        queuedBytes += bytes
        acceptedBytes += UInt64(bytes)
        sendCount += 1
        defer { isDrainScheduled = true }
        return Accepted(call: sendCount, mustDrain: !isDrainScheduled, mustWait: queuedBytes > limit)
    }

    /// What a sender that wants to wait gets at once; nil: it waits.
    mutating func wait(_ waiter: Waiter, call: UInt64) -> Result<Void, TransportError>? {
        if let end { return .failure(end) }
        guard queuedBytes > limit else { return .success(()) }
        waiters[call] = waiter
        suspensions += 1
        return nil
    }

    mutating func stopWaiting(call: UInt64) -> Waiter? { waiters.removeValue(forKey: call) }

    // MARK: The event loop's side

    mutating func takePending() -> [ByteBuffer] {
        isDrainScheduled = false
        defer { pending = [] }
        return pending
    }

    /// The socket took bytes.
    /// - Returns: senders to resume: all, once half of the room is free, so that they are not woken for every packet.
    mutating func written(_ bytes: Int) -> [Waiter] {
        queuedBytes -= bytes
        guard queuedBytes <= limit / 2, !waiters.isEmpty else { return [] }
        defer { waiters = [:] }
        return Array(waiters.values)
    }

    /// Nothing more is accepted. The first reason stays.
    /// - Returns: senders to resume with it.
    mutating func finish(_ error: TransportError) -> (waiters: [Waiter], error: TransportError) {
        let reason = end ?? error
        end = reason
        defer { waiters = [:] }
        return (Array(waiters.values), reason)
    }
}
