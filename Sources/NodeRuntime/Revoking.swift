// Revoking a node: where its work is cut off, and whom that hits.
//
// Invariant: planning changes nothing, and what a plan says of others rests on what they told, and says when.

public import ReplicaStore
public import ReplicationModel
public import Trust

/// What a revocation would do, or has done.
public struct RevocationPlan: Sendable {
    /// One origin of the node.
    public struct CutOrigin: Sendable, Hashable {
        public let origin: Origin
        /// The last sequence that counts.
        public let lastAccepted: SequenceNumber
        /// The last that is applied here.
        public let applied: SequenceNumber
    }
    /// A member that is known to hold more of the node's work than the cut accepts: it will set that aside, and write its
    /// own work that builds on it again.
    public struct Holder: Sendable, Hashable {
        public let node: NodeID
        public let origin: Origin
        public let sequence: SequenceNumber
        public let asOf: WallClock
        /// Whose word it is; nil: its own.
        public let toldBy: NodeID?
    }
    public let node: NodeID
    public let cuts: [CutOrigin]
    /// What is set aside here.
    public let radius: BlastRadius
    public let holders: [Holder]
    /// The last that the node wrote and is here, those that came last first: to see what came since it was lost.
    public let latest: [Arrival]
    let lastAccepted: [UInt64: SequenceNumber]
}

extension Node {
    /// What revoking a node would do. Whatever is accepted already stays accepted.
    ///
    /// - Parameter accepted: by incarnation, the last sequence to accept; of others what is applied here.
    public func planRevocation(of node: NodeID, accepting accepted: [UInt64: SequenceNumber] = [:]) throws
        -> RevocationPlan
    {
        let applied = try replica.vectors().applied
        var lastAccepted = accepted
        for (origin, sequence) in applied.entries where origin.node == node {
            lastAccepted[origin.incarnation] = accepted[origin.incarnation] ?? sequence
        }
        var cuts = Cuts()
        for revocation in try refreshRoster().member(node)?.revocations ?? [] {
            cuts.revoke(node, lastAccepted: revocation.lastAccepted)
        }
        cuts.revoke(node, lastAccepted: lastAccepted)
        let origins = (cuts.revoked[node] ?? [:]).keys.map { Origin(node: node, incarnation: $0) }.sorted()
        return RevocationPlan(
            node: node,
            cuts: origins.map { origin in
                RevocationPlan.CutOrigin(
                    origin: origin, lastAccepted: cuts[origin]?.lastAccepted ?? .zero, applied: applied[origin])
            },
            radius: try replica.blastRadius(revoking: node, lastAccepted: cuts.revoked[node] ?? [:]),
            holders: try holders(of: node, beyond: cuts), latest: try replica.lastArrivals(of: node, limit: 5),
            lastAccepted: lastAccepted)
    }

    private func holders(of node: NodeID, beyond cuts: Cuts) throws -> [RevocationPlan.Holder] {
        var holders: [RevocationPlan.Holder] = []
        for record in try replica.peers() where record.node != node && roster.member(record.node)?.isRevoked != true {
            var told: [(VersionVector, WallClock, NodeID?)] = []
            if let facts = record.facts { told.append((facts.applied, facts.at, nil)) }
            if let second = record.secondHand { told.append((second.applied, second.at, second.from)) }
            guard let (vector, at, teller) = told.max(by: { $0.1 < $1.1 }) else { continue }
            for (origin, sequence) in vector.sorted where origin.node == node {
                guard cuts.exclude(Dot(origin: origin, sequence: sequence)) else { continue }
                holders.append(
                    RevocationPlan.Holder(
                        node: record.node, origin: origin, sequence: sequence, asOf: at, toldBy: teller))
            }
        }
        return holders
    }

    /// Revokes a node as planned; what this replica has beyond the cut is set aside at once.
    @discardableResult
    public func revoke(_ plan: RevocationPlan, reason: String) throws -> Revocation {
        let authority = try checkMayRevoke(plan.node)
        let revocation = try authority.revoke(
            plan.node, lastAccepted: plan.lastAccepted, reason: reason, now: clock())
        try replica.addRosterRecords([revocation.bytes])
        try refreshRoster()
        return revocation
    }

    /// - Throws: `TrustError` where this node cannot revoke that one.
    @discardableResult
    public func checkMayRevoke(_ node: NodeID) throws -> CertificateAuthority {
        let authority = try identity.certificateAuthority()
        guard node != id else {
            throw TrustError(
                .refused, "revoke", "\"\(name)\"", cause: "it is this node, which holds the workspace's authority",
                nextStep: "run the command on another admin node that holds it")
        }
        return authority
    }
}
