// The roster: everything the workspace's authority has said about who belongs to it.
//
// Invariant: a grow-only set of records that the authority signed; merging commutes, and merging twice changes nothing.

public import ReplicationModel

/// The roster as one node knows it, a value (replication.md, section 7; `Protocols/trust.md`, "The roster").
public struct Roster: Sendable {
    /// Whose word counts.
    public let authority: AuthorityCertificate
    /// SHA-256 over the records' digests in ascending order: equal exactly where the sets are.
    public private(set) var digest: Digest
    private var recordsByDigest: [Digest: RosterRecord] = [:]
    private var membersByNode: [NodeID: RosterMember] = [:]

    /// A roster of no records.
    public init(authority: AuthorityCertificate) {
        self.authority = authority
        digest = SHA256.digest([])
    }

    /// A record that was not taken in, and why.
    public struct Rejection: Hashable, Sendable {
        /// The bytes as they came.
        public let bytes: [UInt8]
        /// Why they are no record of this roster.
        public let refusal: CertificateRefusal
    }

    /// What became of records that were merged.
    public struct Merge: Sendable {
        /// The roster with them.
        public let roster: Roster
        /// Those that were new, by digest.
        public let added: [RosterRecord]
        /// Those that were not taken in, in the order they came.
        public let rejected: [Rejection]
    }

    /// Takes in records from a peer, a file or this node's store, each checked against the authority. Expired
    /// certificates are taken in: change sets that were signed under them remain.
    /// - Parameter records: encoded; at most 16 KiB each.
    public func merging(records: [[UInt8]]) -> Merge {
        var roster = self
        var added: [RosterRecord] = []
        var rejected: [Rejection] = []
        for bytes in records where roster.recordsByDigest[SHA256.digest(bytes)] == nil {
            do {
                let record = try RosterRecord(bytes: bytes)
                try record.check(issuedBy: authority)
                roster.recordsByDigest[record.digest] = record
                roster.membersByNode[record.node, default: RosterMember(node: record.node)].insert(record)
                added.append(record)
            } catch {
                rejected.append(Rejection(bytes: bytes, refusal: error))
            }
        }
        if !added.isEmpty {
            roster.digest = SHA256.digest(roster.records.flatMap { $0.digest.bytes })
            added.sort { $0.digest.precedes($1.digest) }
        }
        return Merge(roster: roster, added: added, rejected: rejected)
    }

    /// Every record, by digest.
    public var records: [RosterRecord] {
        recordsByDigest.values.sorted { $0.digest.precedes($1.digest) }
    }

    /// The record with this digest.
    public subscript(digest: Digest) -> RosterRecord? { recordsByDigest[digest] }

    /// Every node the roster speaks of, by id.
    public var members: [RosterMember] { membersByNode.values.sorted { $0.node < $1.node } }

    /// What the roster says of a node; nil where it says nothing.
    public func member(_ node: NodeID) -> RosterMember? { membersByNode[node] }

    /// The members that go by this name; more than one where two were admitted under one name, or one came back with a
    /// new key.
    public func members(named name: String) -> [RosterMember] { members.filter { $0.name == name } }
}

extension Roster: Hashable {
    /// Rosters are equal when they hold the same records of the same authority.
    public static func == (left: Self, right: Self) -> Bool {
        left.digest == right.digest && left.authority == right.authority
    }
    /// Feeds the digest.
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
