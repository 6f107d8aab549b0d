// The two clocks a session is told: one that only goes forward, for waiting, and the wall clock, for people and stamps.
//
// Invariant: the core reads no clock; every reading comes in with an input.
public import ReplicationModel

/// A reading of a clock that only goes forward, from an origin of the driver's choice.
public struct Uptime: Hashable, Comparable, Sendable {
    /// Since that origin.
    public let microseconds: Int64
    /// - Parameter microseconds: since the origin of the driver's choice.
    public init(microseconds: Int64) { self.microseconds = microseconds }

    /// The reading so much later.
    public func advanced(byMilliseconds milliseconds: Int64) -> Uptime {
        Uptime(microseconds: microseconds + milliseconds * 1000)
    }
    /// Earlier before later.
    public static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }
}

/// When an input happened, by both clocks.
public struct Moment: Hashable, Sendable {
    /// For waiting.
    public let uptime: Uptime
    /// For people and for the peer.
    public let wall: WallClock

    /// Puts one together; each parameter is the property of its name.
    public init(uptime: Uptime, wall: WallClock) {
        self.uptime = uptime
        self.wall = wall
    }
}
