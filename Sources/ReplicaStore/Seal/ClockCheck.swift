// Whether this machine's clock may stamp what is sealed: what peers' clocks and the replica's own past say of it.
//
// Invariant: a stamp is never much later than this clock, nor than what the peers met of late take for the present, unless
// it follows a later one that was seen.

internal import ReplicationModel

struct ClockCheck {
    /// What counts as now.
    private let present: WallClock
    /// How far this clock is past everything that the replica knows of, where that is too far to be believed without
    /// anybody's word for it.
    let doubt: Int64?

    /// What peers said of their clocks counts for a day: clocks drift by seconds in that time.
    private static let offsetsMilliseconds: Int64 = 24 * 3600 * 1000
    /// A node may rest for long; one that comes back after more than this asks a peer for the time before it seals.
    static let restMilliseconds: Int64 = 30 * 24 * 3600 * 1000
    /// An edit may lie so far ahead of the present: the clock was set back a little. Peers allow for more.
    private static let toleranceMilliseconds: Int64 = 60 * 1000

    init(_ reader: Reader, now: WallClock) throws {
        // A time of ours that lies ahead of this clock was noted before the clock was set back: it speaks of another clock.
        let offsets = try reader.query(
            """
            SELECT clock_offset_ms FROM sync_peers WHERE clock_offset_ms IS NOT NULL AND known_at BETWEEN ? AND ?
            ORDER BY clock_offset_ms
            """, [.integer(now.milliseconds - Self.offsetsMilliseconds), .integer(now.milliseconds)]
        ).compactMap { $0[0].integer }
        if !offsets.isEmpty {
            let median = offsets[offsets.count / 2]
            present = median < -Limits.aheadMilliseconds ? WallClock(milliseconds: now.milliseconds + median) : now
            doubt = nil
            return
        }
        present = now
        let stamped = Stamp(rawValue: try reader.integer("SELECT max(last_stamp) FROM sync_origins") ?? 0) ?? .zero
        let past = max(stamped.wallClock.milliseconds, try reader.integer("SELECT max(known_at) FROM sync_peers") ?? 0)
        doubt = past > 0 && now.milliseconds - past > Self.restMilliseconds ? now.milliseconds - past : nil
    }

    /// When an edit counts as written: as it was captured, or now, where the clock of the capture ran ahead.
    func time(of captured: WallClock) -> WallClock {
        captured.milliseconds - present.milliseconds > Self.toleranceMilliseconds ? present : captured
    }
}
