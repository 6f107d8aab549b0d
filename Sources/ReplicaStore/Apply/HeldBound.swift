// How much is held of each author, and how much may be.
//
// Invariant: for each author `sync_held_authors` counts what `sync_held` keeps of it, in the same transaction.

public import ReplicationModel
internal import ReplicationWire

/// What is held of one author.
public struct HeldTally: Sendable, Hashable {
    public let author: NodeID
    public let changeSets: Int64
    /// Of bodies, signatures and values.
    public let bytes: Int64
    /// Nothing more of it is held until some of this is applied.
    public var isFull: Bool { HeldBound.standard.isReached(by: self) }
}

/// How much may be held of one author. Its signature is on each change set, so nobody else can use up its share; and authors are
/// admitted one by one. What a peer sends beyond it is not kept and not acknowledged, so it is sent again another time.
struct HeldBound {
    let changeSets: Int64
    let bytes: Int64

    static let standard = HeldBound(changeSets: Int64(Limits.heldOfNode), bytes: Int64(Limits.heldBytesOfNode))

    /// SQL for what one row of `sync_held` takes with its values: `ProvenChangeSet.heldBytes`.
    static let bytesOfRow = """
        length(signature) + length(body)
            + ifnull((SELECT sum(length(value)) FROM sync_held_values WHERE held = sync_held.number), 0)
        """

    func isReached(by tally: HeldTally) -> Bool { tally.changeSets >= changeSets || tally.bytes >= bytes }

    /// - Throws: `ApplyViolation` where one more change set of its author may not be held. One that is held already may.
    func check(_ dot: Dot, _ reader: Reader) throws {
        let author = dot.origin.node
        guard let tally = try Self.tallies(reader, of: author).first, isReached(by: tally) else { return }
        let isHeld = try reader.integer(
            "SELECT EXISTS(SELECT 1 FROM sync_held WHERE origin = ? AND seq = ?)", .blob(dot.origin.bytes),
            .integer(Int64(bitPattern: dot.sequence.rawValue)))
        guard isHeld != 1 else { return }
        let first = try reader.query(
            """
            SELECT detail FROM sync_held WHERE origin BETWEEN ?1 AND ?2
            ORDER BY cause = 'waits_for_earlier', number LIMIT 1
            """, [.blob(author.bytes), .blob(author.bytes + [UInt8](repeating: 0xff, count: 8))]
        ).first?[0].string
        throw ApplyViolation(
            kind: .heldEnough, dot: dot,
            description:
                "\(dot) cannot be applied yet, and is not kept: \(tally.changeSets) change sets of its author with \(tally.bytes) bytes wait here already, the most that is kept of one author\(first.map { "; the first of them: \($0)" } ?? ""). Nothing is lost: it is taken by itself when some of these are applied. `syncnode held` and `syncnode doctor` on the node that holds them say what has to be done there"
        )
    }

    static func tallies(_ reader: Reader, of author: NodeID? = nil) throws -> [HeldTally] {
        try reader.query(
            "SELECT author, change_sets, bytes FROM sync_held_authors WHERE ?1 IS NULL OR author = ?1 ORDER BY author",
            [author.map { .blob($0.bytes) } ?? .null]
        ).map {
            guard let author = $0[0].bytes.flatMap({ NodeID(bytes: $0) }), let changeSets = $0[1].integer,
                let bytes = $0[2].integer
            else { throw ReplicaError.damaged("sync_held_authors") }
            return HeldTally(author: author, changeSets: changeSets, bytes: bytes)
        }
    }

    /// Notes that so much more, or less, is held of an author.
    static func count(_ author: NodeID, changeSets: Int64, bytes: Int64, in writer: Writer) throws {
        try writer.execute(
            """
            INSERT INTO sync_held_authors(author, change_sets, bytes) VALUES (?1, ?2, ?3) ON CONFLICT(author)
            DO UPDATE SET change_sets = change_sets + ?2, bytes = bytes + ?3
            """, [.blob(author.bytes), .integer(changeSets), .integer(bytes)])
        try writer.execute(
            "DELETE FROM sync_held_authors WHERE author = ? AND change_sets <= 0", [.blob(author.bytes)])
    }
}

extension ProvenChangeSet {
    /// What it takes to hold it.
    var heldBytes: Int64 {
        Int64(sealed.signature.count + sealed.body.count + sealed.values.reduce(0) { $0 + ($1?.count ?? 0) })
    }
}

extension Replica {
    /// How much is held of each author of whom anything is.
    public func heldTallies() throws -> [HeldTally] { try read { try HeldBound.tallies($0) } }
}
