// Hybrid logical clock stamps: wall-clock order where clocks agree, causal order always.

/// Milliseconds since 1970-01-01T00:00:00Z by some node's wall clock.
public struct WallClock: Hashable, Comparable, Sendable {
    public let milliseconds: Int64
    public init(milliseconds: Int64) { self.milliseconds = milliseconds }
    public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }
}

/// When a field was written: 48 bits of Unix milliseconds and 16 bits of counter in one signed 64-bit integer, so that
/// SQLite orders stamps as it orders integers. Never negative.
public struct Stamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: Int64

    /// Before every write.
    public static let zero = Stamp(unchecked: 0)
    /// The greatest stamp that a peer may send; its milliseconds lie in the year 6429.
    public static let greatest = Stamp(unchecked: Int64.max)

    /// - Parameter rawValue: a negative one gives nil: no writer makes it.
    public init?(rawValue: Int64) {
        guard rawValue >= 0 else { return nil }
        self.rawValue = rawValue
    }

    private init(unchecked rawValue: Int64) { self.rawValue = rawValue }

    /// The first stamp of that millisecond; a time before 1970 counts as 1970, one past the last as the last.
    public init(_ time: WallClock) {
        rawValue = min(max(time.milliseconds, 0), Int64.max >> 16) << 16
    }

    public var wallClock: WallClock { WallClock(milliseconds: rawValue >> 16) }
    public var counter: UInt16 { UInt16(truncatingIfNeeded: rawValue) }

    /// The stamp of a write made at `time` by someone who has seen `self`: greater than `self`, and not before `time`.
    public func following(at time: WallClock) -> Stamp {
        max(Stamp(unchecked: rawValue == Int64.max ? rawValue : rawValue + 1), Stamp(time))
    }

    public var description: String { "\(rawValue >> 16).\(counter)" }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The version of one write. The winner of a field is the greatest (stamp, origin), compared on the writer's data alone:
/// never on which peer relayed it, nor on which copy is local.
public struct Version: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let stamp: Stamp
    public let origin: Origin
    public let sequence: SequenceNumber

    public init(stamp: Stamp, origin: Origin, sequence: SequenceNumber) {
        self.stamp = stamp
        self.origin = origin
        self.sequence = sequence
    }

    /// The dot of this write: the change set that carries it.
    public var dot: Dot { Dot(origin: origin, sequence: sequence) }
    public var description: String { "\(stamp)@\(origin):\(sequence)" }

    public static func < (left: Self, right: Self) -> Bool {
        left.stamp != right.stamp ? left.stamp < right.stamp : left.origin < right.origin
    }
}

/// One change set, named: an origin and a place in its sequence.
public struct Dot: Hashable, Sendable, CustomStringConvertible {
    public let origin: Origin
    public let sequence: SequenceNumber
    public init(origin: Origin, sequence: SequenceNumber) {
        self.origin = origin
        self.sequence = sequence
    }
    public var description: String { "\(origin):\(sequence)" }
}
