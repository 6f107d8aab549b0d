// How long to wait before a peer is dialled again.
//
// Invariant: a wait is never shorter than half of its step nor than what the peer asked for, and no two nodes that lost the
// same peer come back in step.

/// Waits that double from try to try, with jitter from a random number that is passed in.
public struct Backoff: Hashable, Sendable {
    /// Before the second try.
    public let firstMilliseconds: UInt64
    /// However often it failed.
    public let longestMilliseconds: UInt64
    /// Failures in a row.
    public private(set) var failures: UInt64 = 0

    /// One second to five minutes: a bureau that comes back online is found again within a coffee.
    public init(firstMilliseconds: UInt64 = 1_000, longestMilliseconds: UInt64 = 300_000) {
        self.firstMilliseconds = max(firstMilliseconds, 1)
        self.longestMilliseconds = max(longestMilliseconds, self.firstMilliseconds)
    }

    /// How long to wait after one more failure: between half a step and a whole one.
    ///
    /// - Parameters:
    ///   - random: uniform over all 64 bits.
    ///   - retryAfterMilliseconds: what the peer asked for; kept even where it is longer than the longest wait.
    public mutating func failed(random: UInt64, retryAfterMilliseconds: UInt64? = nil) -> UInt64 {
        let doublings = min(failures, 32)
        failures += 1
        let step =
            firstMilliseconds > longestMilliseconds >> doublings ? longestMilliseconds : firstMilliseconds << doublings
        let half = step / 2
        let wait = half + (random % (step - half + 1))
        return max(wait, retryAfterMilliseconds ?? 0)
    }

    /// A session went well.
    public mutating func succeeded() { failures = 0 }
}
