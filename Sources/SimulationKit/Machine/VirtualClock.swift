// A machine's wall clock: right, fast, slow, a year ahead, or set back, as the simulation has it.
//
// Invariant: a reading follows from the simulation's time and what was done to the clock, and from nothing else.

internal import ReplicationModel

/// The simulation's own time: microseconds since it began. It only goes forward, and no node can see it but as uptime.
struct VirtualTime: Hashable, Comparable {
    var microseconds: Int64
    static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }
    func advanced(by microseconds: Int64) -> VirtualTime { VirtualTime(microseconds: self.microseconds + microseconds) }
}

struct VirtualClock {
    /// What right clocks show as a simulation begins: 2027-01-01T00:00:00Z.
    static let epochMilliseconds: Int64 = 1_798_761_600_000

    /// Ahead of the right time, when `since` was.
    private var offsetMicroseconds: Int64 = 0
    /// Gained a second of right time.
    private var driftMicroseconds: Int64 = 0
    private var since = VirtualTime(microseconds: 0)

    func milliseconds(at time: VirtualTime) -> Int64 {
        Self.epochMilliseconds + (time.microseconds + offset(at: time)) / 1000
    }

    private func offset(at time: VirtualTime) -> Int64 {
        offsetMicroseconds + (time.microseconds - since.microseconds) / 1_000_000 * driftMicroseconds
            + (time.microseconds - since.microseconds) % 1_000_000 * driftMicroseconds / 1_000_000
    }

    /// Goes wrong from now on by so much a second.
    mutating func drift(_ microsecondsPerSecond: Int64, at time: VirtualTime) {
        offsetMicroseconds = offset(at: time)
        since = time
        driftMicroseconds = microsecondsPerSecond
    }

    /// Jumps, forward or back.
    mutating func jump(byMilliseconds milliseconds: Int64, at time: VirtualTime) {
        offsetMicroseconds = offset(at: time) + milliseconds * 1000
        since = time
    }

    /// Is set right, and goes right.
    mutating func repair() {
        offsetMicroseconds = 0
        driftMicroseconds = 0
    }
}
