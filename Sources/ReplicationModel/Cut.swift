// Where origins are cut off: by a revocation of their node, or because they forked.
//
// Invariant: what is here follows from sets of revocations and fork proofs alone, whatever order they came in.

/// The last sequence of an origin that counts, and why nothing after it does.
public struct Cut: Hashable, Sendable {
    /// Why an origin is cut off.
    public enum Cause: String, Hashable, Sendable { case revoked, forked }
    /// What comes after it counts nowhere.
    public let lastAccepted: SequenceNumber
    /// Of two the one that cuts lower.
    public let cause: Cause

    public init(lastAccepted: SequenceNumber, cause: Cause) {
        self.lastAccepted = lastAccepted
        self.cause = cause
    }
}

/// Every cut that a node knows of. Replicas with equal cuts accept the same change sets.
///
/// Of several revocations of a node the highest cut of each origin counts: what one of them accepts stays accepted, so a
/// second revocation can raise a cut and never lower one. Of several forks of an origin the lowest counts: what follows
/// it has two meanings.
public struct Cuts: Hashable, Sendable {
    /// For each revoked node, by incarnation: the last sequence accepted. Of others nothing is.
    public private(set) var revoked: [NodeID: [UInt64: SequenceNumber]] = [:]
    /// For each origin that forked, the sequence that two change sets have.
    public private(set) var forked: [Origin: SequenceNumber] = [:]

    /// None.
    public init() {}

    public var isEmpty: Bool { revoked.isEmpty && forked.isEmpty }

    /// Takes in one revocation.
    public mutating func revoke(_ node: NodeID, lastAccepted: [UInt64: SequenceNumber]) {
        revoked[node, default: [:]].merge(lastAccepted) { max($0, $1) }
    }

    /// Takes in one proof that an origin forked.
    public mutating func fork(_ origin: Origin, at sequence: SequenceNumber) {
        forked[origin] = min(forked[origin] ?? sequence, sequence)
    }

    /// Where an origin is cut off; nil where it is not.
    public subscript(_ origin: Origin) -> Cut? {
        let revoked = revoked[origin.node].map {
            Cut(lastAccepted: $0[origin.incarnation] ?? .zero, cause: .revoked)
        }
        let forked = forked[origin].map { Cut(lastAccepted: $0.previous, cause: .forked) }
        guard let revoked, let forked else { return revoked ?? forked }
        return forked.lastAccepted < revoked.lastAccepted ? forked : revoked
    }

    /// Whether a change set comes after a cut.
    public func exclude(_ dot: Dot) -> Bool { self[dot.origin].map { dot.sequence > $0.lastAccepted } ?? false }

    /// The part of a vector that counts.
    public func accepted(of vector: VersionVector) -> VersionVector {
        guard !isEmpty else { return vector }
        return VersionVector(
            Dictionary(
                uniqueKeysWithValues: vector.entries.map { origin, sequence in
                    (origin, self[origin].map { min($0.lastAccepted, sequence) } ?? sequence)
                }))
    }
}
