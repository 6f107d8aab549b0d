// What the roster's records say of one node, put together.
//
// Invariant: everything here follows from the set of the node's records, whatever order they came in.

public import ReplicationModel

/// A node that the roster speaks of.
public struct RosterMember: Hashable, Sendable {
    /// The node.
    public let node: NodeID
    /// Its certificates, from the one made first to the newest: by `notBefore`, then by digest.
    public private(set) var certificates: [Certificate] = []
    /// Its revocations, by digest.
    public private(set) var revocations: [Revocation] = []

    init(node: NodeID) { self.node = node }

    /// The certificate made last: what it says of name and role is what counts.
    public var newest: Certificate? { certificates.last }

    /// The certificate that lasts longest: while it lasts the node may open sessions.
    public var lasting: Certificate? {
        certificates.max { ($0.notAfter, $0.notBefore) < ($1.notAfter, $1.notBefore) }
    }

    /// Its name; nil where only a revocation is known.
    public var name: String? { newest?.name }

    /// Its role; nil where only a revocation is known.
    public var role: MemberRole? { newest?.role }

    /// Whether any certificate ever let it write. A later one does not undo that: what was accepted on one node must be
    /// accepted on all, whatever order the records come in. What undoes it is a revocation, from its cut on.
    public var wasEverAllowedToWrite: Bool { certificates.contains { $0.role.mayWrite } }

    /// Whether the authority revoked it; for ever.
    public var isRevoked: Bool { !revocations.isEmpty }

    /// Where its origins are cut off by its revocations.
    public private(set) var cuts = Cuts()

    /// The last sequence of `origin` that counts; nil where there is no bound. Of several revocations the highest cut.
    public func lastAccepted(of origin: Origin) -> SequenceNumber? { cuts[origin]?.lastAccepted }

    mutating func insert(_ record: RosterRecord) {
        switch record {
        case .certificate(let certificate):
            certificates.append(certificate)
            certificates.sort {
                $0.notBefore != $1.notBefore ? $0.notBefore < $1.notBefore : $0.digest.precedes($1.digest)
            }
        case .revocation(let revocation):
            revocations.append(revocation)
            cuts.revoke(node, lastAccepted: revocation.lastAccepted)
            revocations.sort { $0.digest.precedes($1.digest) }
        }
    }
}

extension Digest {
    /// The order of digests by their bytes.
    func precedes(_ other: Digest) -> Bool {
        first != other.first ? first < other.first : second < other.second
    }
}
