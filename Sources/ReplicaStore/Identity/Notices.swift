// What happened to this replica that its operator should know, kept until they have seen it.
//
// Invariant: a notice goes into the same transaction as what it speaks of.

public import ReplicationModel

/// Something that happened, and what was done about it.
public struct ReplicaNotice: Sendable, Hashable {
    /// What kind; scripts may match its raw value.
    public enum Kind: String, Sendable, Hashable {
        /// The replica was taken back to an earlier state.
        case restored
        /// The node's directory is a copy, or on another machine.
        case copied
        /// The high-water mark was missing or damaged.
        case markLost = "mark_lost"
        /// The replica was made anew for an identity that had one before.
        case recovered
        /// A revocation or a fork set aside what this replica had applied.
        case rewound
        /// The disk changed something that was held, so it was dropped, and peers send it again.
        case heldDamaged = "held_damaged"
        /// A cut took back what this node wrote, and a constraint that somebody added to a table forbids to write it again.
        case notWrittenAgain = "not_written_again"
    }
    public let number: Int64
    public let at: WallClock
    public let kind: Kind
    /// What happened and what was done, in a few sentences.
    public let text: String

    static func add(_ kind: Kind, _ text: String, at time: WallClock, in writer: Writer) throws {
        try writer.execute(
            "INSERT INTO sync_notices(at, kind, text) VALUES (?, ?, ?)",
            [.integer(time.milliseconds), Value(kind.rawValue), Value(text)])
    }
}

extension Replica {
    /// Notices that nobody has dismissed, oldest first.
    public func notices() throws -> [ReplicaNotice] {
        try read { reader in
            try reader.query("SELECT number, at, kind, text FROM sync_notices WHERE NOT dismissed ORDER BY number").map
            {
                guard let number = $0[0].integer, let at = $0[1].integer, let text = $0[3].string,
                    let kind = ReplicaNotice.Kind(rawValue: $0[2].string ?? "")
                else { throw ReplicaError.damaged("sync_notices") }
                return ReplicaNotice(number: number, at: WallClock(milliseconds: at), kind: kind, text: text)
            }
        }
    }

    /// Says that this replica was made for an identity that had one before.
    public func noteRecovery() throws {
        try write { writer in
            try ReplicaNotice.add(
                .recovered,
                "This replica was made anew under a new origin, \(try Settings.ownOrigin(writer)): the former one was lost. What peers have comes back with a pull; edits that never left the lost replica are only in its file, if that exists.",
                at: clock(), in: writer)
        }
    }

    /// The operator has seen them: they are kept, and shown no more.
    public func dismissNotices() throws {
        try write { try $0.execute("UPDATE sync_notices SET dismissed = 1 WHERE NOT dismissed") }
    }
}
