// Which origins are stamped ahead of this clock: the trace that a wrong clock leaves.

public import ReplicationModel

/// An origin whose last stamp lies further ahead of this clock than clocks may differ.
public struct StampsAhead: Sendable, Hashable {
    public let origin: Origin
    /// When its last stamp will be the present.
    public let until: WallClock
    /// How far that is from now.
    public let milliseconds: Int64
    /// It waits here; else it is applied.
    public let isHeld: Bool
}

extension Replica {
    /// Furthest ahead first; each origin once.
    public func stampsAhead() throws -> [StampsAhead] {
        let now = clock().milliseconds
        return try read { reader in
            var latest: [Origin: (until: Int64, isHeld: Bool)] = [:]
            for record in try OriginBook(reader).records where record.applied > .zero {
                latest[record.origin] = (record.lastStamp.wallClock.milliseconds, false)
            }
            for held in try HeldStore.all(reader) where held.cause == .clockAhead {
                guard let release = held.releaseAt else { continue }
                latest[held.dot.origin] = (release.milliseconds + Limits.aheadMilliseconds, true)
            }
            return latest.filter { $0.value.until - now > Limits.aheadMilliseconds }.map {
                StampsAhead(
                    origin: $0.key, until: WallClock(milliseconds: $0.value.until), milliseconds: $0.value.until - now,
                    isHeld: $0.value.isHeld)
            }.sorted { ($1.milliseconds, $0.origin) < ($0.milliseconds, $1.origin) }
        }
    }
}
