// The workspace's authority puts nodes out, at whatever is known of their work where it is done, and raises cuts.
//
// Invariant: what was decided is noted here, and never read back from a record.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    func isRevoked(_ node: SimulatedNode) -> Bool { issued.values.contains { $0.node == node.id } }

    /// Whether two nodes that are not out stay different, so that one can bring the copies of the other together: those take each
    /// other for themselves.
    ///
    /// - Parameters:
    ///   - gone: to be revoked.
    ///   - machine: to become a copy of another, and lost to who was to join on it.
    func staysConnected(without gone: SimulatedNode? = nil, taking machine: SimulatedNode? = nil) -> Bool {
        let all = nodes.filter { $0 !== machine && ($0.hasJoined || $0.index < options.nodes) && !isRevoked($0) }
        return Set(all.map(\.id)).subtracting(gone.map { [$0.id] } ?? []).count > 1
    }

    /// Nodes that must agree in the end.
    var members: [SimulatedNode] { nodes.filter { $0.hasJoined && !isRevoked($0) } }

    /// One node revokes another, or says of one that is out already that more of its work counts.
    func revoke(by node: SimulatedNode, _ other: SimulatedNode, _ random: inout SeededRandom) throws {
        guard let replica = node.replica, !isRevoked(node) else { return }
        let victims = Set(issued.values.map(\.node))
        let out = nodes.filter { victims.contains($0.id) }
        let eligible = nodes.filter { candidate in
            candidate.hasJoined && candidate.id != nodes[0].id && candidate.id != node.id
                && !victims.contains(candidate.id) && staysConnected(without: candidate)
        }
        let victim: SimulatedNode
        if victims.count < options.nodes / 3, !eligible.isEmpty, random.chance(700) {
            victim = eligible.first { $0 === other } ?? random.pick(eligible)
        } else if !out.isEmpty {
            victim = random.pick(out)
        } else {
            return
        }
        var accepted: [UInt64: UInt64] = [:]
        let known = try replica.vectors().applied
        for (origin, sequence) in known.union(victims.contains(victim.id) ? victim.witness.seen : known).sorted
        where origin.node == victim.id {
            let last = Int(sequence.rawValue)
            switch random.below(100) {
            case 0..<50: accepted[origin.incarnation] = sequence.rawValue
            case 50..<90: accepted[origin.incarnation] = UInt64(random.within(last / 2...last))
            case 90..<97: accepted[origin.incarnation] = UInt64(random.within(0...last))
            default: break
            }
        }
        let revocation = try authority.revoke(
            victim.id, lastAccepted: accepted.mapValues { SequenceNumber($0) }, reason: "", now: node.machine.now)
        tallies.count(victims.contains(victim.id) ? "raised" : Fault.revoke.rawValue)
        trace.note("\(node.name) revokes \(victim.name)")
        issued[revocation.digest] = IssuedRevocation(
            record: revocation.bytes, node: victim.id, accepted: accepted)
        let done: Void? = try work(node, "revokes") { store in
            try store.replica.addRosterRecords([revocation.bytes])
            try store.refreshRoster()
        }
        if done != nil { changed(node) }
    }
}
