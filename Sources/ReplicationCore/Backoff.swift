// How long to wait before a peer is dialled again.
//
// Invariant: a wait is never shorter than half of its step nor than what the peer asked for within reason, and no two nodes
// that lost the same peer come back in step.

/// Waits that double from try to try, with jitter from a random number that is passed in.
public struct Backoff: Hashable, Sendable {
    /// Before the second try.
    public let firstMilliseconds: UInt64
    /// However often it failed.
    public let longestMilliseconds: UInt64
    /// Failures in a row.
    public private(set) var failures: UInt64 = 0
    /// Sessions in a row that were to be begun again at once.
    private var repeats: UInt64 = 0

    /// The longest that a peer may ask for: who says more has a bug, or wants this side to forget it.
    public static let longestAskedMilliseconds: UInt64 = 3_600_000
    private static let repeatMilliseconds: UInt64 = 100

    /// One second to five minutes: a bureau that comes back online is found again within a coffee.
    public init(firstMilliseconds: UInt64 = 1_000, longestMilliseconds: UInt64 = 300_000) {
        self.firstMilliseconds = max(firstMilliseconds, 1)
        self.longestMilliseconds = max(longestMilliseconds, self.firstMilliseconds)
    }

    /// How long to wait after one more failure: between half a step and a whole one.
    ///
    /// - Parameters:
    ///   - random: uniform over all 64 bits.
    ///   - retryAfterMilliseconds: what the peer asked for; kept even where it is longer than the longest wait, up to an hour.
    public mutating func failed(random: UInt64, retryAfterMilliseconds: UInt64? = nil) -> UInt64 {
        let step = step(firstMilliseconds, doublings: failures)
        failures += 1
        repeats = 0
        let half = step / 2
        let wait = half + (random % (step - half + 1))
        return max(wait, min(retryAfterMilliseconds ?? 0, Self.longestAskedMilliseconds))
    }

    /// How long to wait where the session is to be begun again at once, which is no failure: a tenth of a second, and twice
    /// as long with each that comes to the same.
    public mutating func again() -> UInt64 {
        defer { repeats += 1 }
        return step(Self.repeatMilliseconds, doublings: repeats)
    }

    /// A session went well.
    public mutating func succeeded() { (failures, repeats) = (0, 0) }

    private func step(_ first: UInt64, doublings: UInt64) -> UInt64 {
        let doublings = min(doublings, 32)
        return first > longestMilliseconds >> doublings ? longestMilliseconds : first << doublings
    }
}
