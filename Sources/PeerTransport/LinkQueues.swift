// What the event loop and the tasks of one link share.
//
// Invariant: no continuation is resumed, and nothing is asked of the event loop, under a lock.
internal import NIOCore
internal import Synchronization

/// Both halves of a link, each under its lock. No lock is held while the other is taken.
final class LinkQueues: Sendable {
    let inbox: Mutex<Inbox>
    let outbox: Mutex<Outbox>
    /// Of frames, those that are not whole yet included.
    let arrivedBytes = Atomic<UInt64>(0)
    /// The connection is gone, and its event loop may be too.
    let isClosed = Atomic(false)

    init(limits: TransportLimits) {
        inbox = Mutex(Inbox(limit: limits.inboxBytes))
        outbox = Mutex(Outbox(limit: limits.outboxBytes))
    }

    func deliver(_ frame: [UInt8]) {
        inbox.withLock { $0.append(frame) }?.resume(returning: frame)
    }

    /// No frame comes any more after those that are here.
    func finishInbox(_ end: Inbox.End) {
        let waiter = inbox.withLock { $0.finish(end) }
        switch end {
        case .goodbye: waiter?.resume(returning: nil)
        case .failed(let error): waiter?.resume(throwing: error)
        }
    }

    /// No frame comes any more at all.
    func abandonInbox(_ error: TransportError) {
        inbox.withLock { $0.abandon(error) }?.resume(throwing: error)
    }

    /// No frame is sent any more.
    func finishOutbox(_ error: TransportError) {
        let (waiters, reason) = outbox.withLock { $0.finish(error) }
        for waiter in waiters { waiter.resume(throwing: reason) }
    }

    func written(_ bytes: Int) {
        for waiter in outbox.withLock({ $0.written(bytes) }) { waiter.resume() }
    }
}
