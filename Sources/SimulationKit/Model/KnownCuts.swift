// Where origins are cut off, by the rules of `Protocols/trust.md` alone: what the authority of the simulation said, and the
// forks that its nodes proved.
//
// Invariant: it shares no code with the engine's cuts; it knows revocations as they were decided, and reads none.

internal import ReplicationModel

struct KnownCuts: Equatable {
    /// By node and incarnation, the last sequence that some revocation accepts.
    private var revoked: [NodeID: [UInt64: UInt64]] = [:]
    /// The lowest sequence that was shown to have two contents.
    private(set) var forked: [Origin: UInt64] = [:]

    var isEmpty: Bool { revoked.isEmpty && forked.isEmpty }

    mutating func add(_ revocation: IssuedRevocation) {
        for (incarnation, last) in revocation.accepted {
            let known = revoked[revocation.node]?[incarnation] ?? 0
            revoked[revocation.node, default: [:]][incarnation] = max(known, last)
        }
        if revocation.accepted.isEmpty { revoked[revocation.node, default: [:]] = revoked[revocation.node] ?? [:] }
    }

    mutating func add(fork: Dot) { forked[fork.origin] = min(forked[fork.origin] ?? .max, fork.sequence.rawValue) }

    func isRevoked(_ node: NodeID) -> Bool { revoked[node] != nil }

    /// Whether a change set comes after a cut, for a node: its own revocation cuts nothing off at itself.
    func exclude(_ dot: Dot, at node: NodeID?) -> Bool {
        if let fork = forked[dot.origin], dot.sequence.rawValue >= fork { return true }
        guard dot.origin.node != node, let accepted = revoked[dot.origin.node] else { return false }
        return dot.sequence.rawValue > accepted[dot.origin.incarnation] ?? 0
    }

    /// The last sequence of an origin that counts, up to one that is there.
    func last(of origin: Origin, upTo sequence: SequenceNumber, at node: NodeID) -> SequenceNumber {
        var last = sequence.rawValue
        if let fork = forked[origin] { last = min(last, fork - 1) }
        if origin.node != node, let accepted = revoked[origin.node] {
            last = min(last, accepted[origin.incarnation] ?? 0)
        }
        return SequenceNumber(last)
    }
}

/// A revocation as it was decided.
struct IssuedRevocation {
    let record: [UInt8]
    let node: NodeID
    /// By incarnation, the last sequence accepted; of others nothing is.
    let accepted: [UInt64: UInt64]
}
