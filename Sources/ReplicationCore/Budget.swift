// How often something may be asked of a peer in a session that stays, and when it is asked once more.
//
// Invariant: no honest peer passes the other's bound. Who is asked counts a shorter time than who asks, so that no more than two of the
// asker's fall into one of his; what may be asked in one is at most half of what may be in the other.
internal import ReplicationModel

/// So much in a time, and as much again in the next.
struct Budget: Sendable {
    /// How long it lasts.
    enum Period: Int64, Sendable {
        case day = 86_400_000
        /// An hour more than the day of whoever is asked, whose clock may be slower.
        case askersDay = 90_000_000
    }
    private var began: Uptime?
    private var taken = 0

    mutating func take(of limit: Int, at now: Uptime, each period: Period) -> Bool {
        if began.map({ now >= $0.advanced(byMilliseconds: period.rawValue) }) ?? true { (began, taken) = (now, 0) }
        guard taken < limit else { return false }
        taken += 1
        return true
    }
}

/// When to ask for what is awaited: once in a session, and in one that stays a minute after something is awaited, after two, four
/// and so on, for the peer may come to have it meanwhile.
struct Reminder: Sendable {
    private(set) var hasAsked = false
    private var next: Uptime?
    private var waitMilliseconds = Self.shortestMilliseconds

    mutating func isDue(at now: Uptime, awaits: Bool, stays: Bool) -> Bool {
        guard hasAsked else { return true }
        guard stays, awaits else {
            (next, waitMilliseconds) = (nil, Self.shortestMilliseconds)
            return false
        }
        guard let next else {
            // Mostly it comes by itself.
            wait(from: now)
            return false
        }
        return now >= next
    }

    mutating func asks(at now: Uptime) {
        hasAsked = true
        wait(from: now)
    }

    private mutating func wait(from now: Uptime) {
        next = now.advanced(byMilliseconds: waitMilliseconds)
        waitMilliseconds = min(2 * waitMilliseconds, Self.longestMilliseconds)
    }

    private static let shortestMilliseconds: Int64 = 60_000
    /// A day.
    private static let longestMilliseconds: Int64 = 86_400_000
}
