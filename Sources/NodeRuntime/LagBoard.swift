// Lag, as operators see it: from what is kept in the replica, with the service running or not.
//
// Invariant: the figures are ReplicationCore's arithmetic over what is kept; nothing is guessed here.

public import ReplicationCore
public import ReplicationModel
internal import ReplicaStore
internal import Trust

/// How this node and one peer stand.
public struct PeerLag: Sendable {
    public let name: String
    /// Nil for an address that never answered.
    public let node: NodeID?
    public let addresses: [String]
    public let report: LagReport
    public let lastContact: WallClock?
    public let clockOffsetMilliseconds: Int64?
    public let roundTripMilliseconds: Double?
}

extension Node {
    /// A live session writes down that it is at least this often, so one that did not is over.
    private static let liveMilliseconds: Int64 = 60_000

    /// Every member of the workspace but this node, and every address that never answered.
    ///
    /// Edits are sealed first: a peer lacks them as much as what was sealed before. Where that cannot be done (the disk is
    /// full, the file is not to be written) the figures are of what is sealed, and `status` counts the rest.
    public func lag() throws -> [PeerLag] {
        do {
            try replica.sealUnlessClockIsDoubtful()
        } catch let error as SQLError where error.isFull || error.isReadOnly {
            // Said above.
        }
        let roster = try refreshRoster()
        let addresses = try replica.addresses()
        let records = Dictionary(uniqueKeysWithValues: try replica.peers().map { ($0.node, $0) })
        let held = try replica.held()
        // What a peer told before it knew of a cut, or tells because it does not, is no lag.
        let cuts = try replica.cuts()
        let now = clock()
        // A service that was killed could not write down that its sessions ended.
        let isServed = ServiceLock.isHeld(directory)
        let members = roster.members.filter { $0.node != id && !$0.isRevoked }.map(\.node)
        let nodes = members + records.keys.filter { !members.contains($0) && roster.member($0)?.isRevoked != true }
        return try replica.withLogFigures { figures, applied, safe in
            let totals = LogTotals(
                totals: { figures.totals($0, $1) }, writtenAt: { figures.writtenAt($0) })
            func lag(
                _ node: NodeID?, _ record: PeerRecord?, _ name: String, _ places: [String], _ connection: PeerConnection
            ) -> PeerLag {
                let report = Lag.report(
                    ours: applied, oursSafe: safe, known: record.map { Self.known($0, cuts) } ?? [], heldHere: held,
                    connection: connection, totals: totals, now: now)
                return PeerLag(
                    name: name, node: node, addresses: places, report: report, lastContact: record?.lastContact,
                    clockOffsetMilliseconds: record?.facts?.clockOffsetMilliseconds,
                    roundTripMilliseconds: record?.facts?.roundTripMicroseconds.map { Double($0) / 1000 })
            }
            let met = nodes.map { node in
                lag(
                    node, records[node], self.name(of: node), addresses.filter { $0.node == node }.map(\.address),
                    connection(records[node], isServed: isServed, now))
            }
            let unmet = addresses.filter { $0.node == nil }.map { address in
                lag(
                    nil, nil, address.address, [address.address],
                    address.failure.map { .neverReached(cause: $0.message) } ?? .never)
            }
            return met.sorted { $0.name < $1.name } + unmet
        }
    }

    private static func known(_ record: PeerRecord, _ cuts: Cuts) -> [PeerVector] {
        var known: [PeerVector] = []
        if let facts = record.facts {
            known.append(
                PeerVector(
                    applied: cuts.accepted(of: facts.applied), safe: cuts.accepted(of: facts.safe), asOf: facts.at,
                    backlog: facts.backlog, held: facts.held))
        }
        if let second = record.secondHand {
            known.append(
                PeerVector(
                    applied: cuts.accepted(of: second.applied), safe: cuts.accepted(of: second.applied),
                    asOf: second.at, toldBy: second.from))
        }
        return known
    }

    private func connection(_ record: PeerRecord?, isServed: Bool, _ now: WallClock) -> PeerConnection {
        guard let record else { return .never }
        if record.isLive, isServed, let last = record.lastContact,
            now.milliseconds - last.milliseconds < Self.liveMilliseconds
        {
            return .connected(live: true)
        }
        if let failure = record.failure {
            if failure.kind == PeerSyncFailure.Kind.refused.rawValue { return .refused(cause: failure.message) }
            return record.lastContact.map { .lost(since: $0, cause: failure.message) }
                ?? .neverReached(cause: failure.message)
        }
        return record.lastContact.map { .ended($0) } ?? .never
    }
}
