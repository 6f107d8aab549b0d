// What one node lacks of another, and what could not be applied yet.

/// What one side has that the other lacks.
public struct Backlog: Hashable, Sendable {
    public var changeSets: UInt64
    /// Field writes.
    public var changes: UInt64
    /// Bodies and the values beside them, as their authors counted them.
    public var bytes: UInt64
    /// When the oldest of them was written; nil where there is none, or where it is not known.
    public var oldest: WallClock?

    public init(changeSets: UInt64, changes: UInt64, bytes: UInt64, oldest: WallClock?) {
        self.changeSets = changeSets
        self.changes = changes
        self.bytes = bytes
        self.oldest = oldest
    }
    public static let none = Backlog(changeSets: 0, changes: 0, bytes: 0, oldest: nil)
}

/// Why a change set cannot be applied yet.
public enum HeldCause: String, Hashable, Sendable, CaseIterable {
    /// A stamp lies further ahead of this clock than the bound; released by itself when the time comes.
    case clockAhead = "clock_ahead"
    /// It names a table that is not declared here; released when the schema arrives.
    case unknownTable = "unknown_table"
    /// Its columns are grouped otherwise here; released when the schema arrives.
    case schemaDiffers = "schema_differs"
    /// Read from peers and said by none of ours: what has no certificate of its author cannot be proven, and is refused.
    case unknownAuthor = "unknown_author"
    /// An earlier change set that it builds on is held.
    case waitsForEarlier = "waits_for_earlier"
    /// It comes after the last sequence that its author's revocation accepts; released where the cut is raised.
    case revoked
    /// Its origin has forked at or before it: two copies of one replica went on under one name.
    case forked
}

/// A change set that was received and proven, is kept, and waits.
public struct HeldChangeSet: Hashable, Sendable {
    public let dot: Dot
    public let cause: HeldCause
    /// One line for people: which table, how far ahead.
    public let detail: String
    /// When it is released by itself; nil: not by the clock.
    public let releaseAt: WallClock?

    public init(dot: Dot, cause: HeldCause, detail: String, releaseAt: WallClock?) {
        self.dot = dot
        self.cause = cause
        self.detail = detail
        self.releaseAt = releaseAt
    }
}
