// What waits in memory between links and sessions.
//
// Invariant: frames beyond a bound end the session that they came with; what a session held counts until it is over.

internal import ReplicationWire
internal import Synchronization

/// Bytes of frames that wait in all sessions that one peer has dialled. A peer that keeps to the protocol fills a window or two,
/// however many sessions it has.
final class PeerFrames: Sendable {
    private static let limit = Int(FrameLimits.greatestWindowBytes) * 8
    private let bytes = Mutex(0)

    /// False where there are more than may be.
    fileprivate func add(_ count: Int) -> Bool {
        bytes.withLock { bytes in
            bytes += count
            return bytes <= Self.limit
        }
    }
}

/// Bytes of frames that wait in one session, in either direction.
final class WaitingFrames: Sendable {
    enum Direction { case inbound, outbound }

    private struct Counts {
        var inbound = 0
        var outbound = 0

        subscript(direction: Direction) -> Int {
            get { direction == .inbound ? inbound : outbound }
            set { if direction == .inbound { inbound = newValue } else { outbound = newValue } }
        }
    }

    /// The widest window, and as much again in frames beside it. A peer that keeps to the protocol never comes near.
    private static let limit = Int(FrameLimits.greatestWindowBytes) * 2
    private let counts = Mutex(Counts())
    private let shared: PeerFrames?

    /// - Parameter shared: with the peer's other sessions; nil where this side dialled.
    init(sharedWith shared: PeerFrames?) { self.shared = shared }

    deinit { _ = shared?.add(-counts.withLock { $0.inbound + $0.outbound }) }

    /// One more waits. False where that is more than may wait.
    func add(_ frame: ExchangeFrame, _ direction: Direction) -> Bool {
        let bytes = frame.memoryBytes
        let isWithin = counts.withLock { counts in
            counts[direction] += bytes
            return counts[direction] <= Self.limit
        }
        return (shared?.add(bytes) ?? true) && isWithin
    }

    /// One waits no more.
    func remove(_ frame: ExchangeFrame, _ direction: Direction) {
        let bytes = frame.memoryBytes
        counts.withLock { $0[direction] -= bytes }
        _ = shared?.add(-bytes)
    }
}
