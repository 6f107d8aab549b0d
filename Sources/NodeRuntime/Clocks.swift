// The two clocks of a running node.

internal import Foundation
public import ReplicationModel
internal import ReplicationCore

/// The machine's wall clock.
public let systemClock: @Sendable () -> WallClock = {
    WallClock(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
}

/// The machine's monotonic clock, counted from the start of the process.
enum Monotonic {
    private static let start = ContinuousClock.now

    static var now: Uptime {
        let elapsed = start.duration(to: .now).components
        return Uptime(microseconds: elapsed.seconds * 1_000_000 + elapsed.attoseconds / 1_000_000_000_000)
    }
}
