// What a session asks of the replica, done there and then: the one place where a session's outputs meet the store.
//
// Invariant: every question of a session gets one answer, and what the answer says is committed was synced to disk.

public import ReplicationWire
public import ReplicaStore
public import ReplicationCore
public import ReplicationModel
internal import Synchronization
public import Trust

/// A node's replica and roster, as sessions use them. Its calls block: a service makes them off its event loops, a simulator
/// when their time has come.
public final class SessionStore: Sendable {
    public let replica: Replica
    /// Whose word on the roster counts.
    public let authority: AuthorityCertificate
    private let knownRoster: Mutex<KnownRoster>

    private struct KnownRoster {
        var count: Int64
        var roster: Roster
    }

    /// Reads the roster.
    public init(replica: Replica, authority: AuthorityCertificate) throws {
        self.replica = replica
        self.authority = authority
        knownRoster = Mutex(KnownRoster(count: 0, roster: Roster(authority: authority)))
        try refreshRoster()
    }

    // MARK: The roster

    /// The roster as last read: never blocks, so that a handshake may ask it.
    public var roster: Roster { knownRoster.withLock { $0.roster } }

    /// Reads the roster's records again where there are new ones.
    @discardableResult
    public func refreshRoster() throws -> Roster {
        let count = try replica.rosterCount()
        if let current = knownRoster.withLock({ $0.count == count ? $0.roster : nil }) { return current }
        let merge = Roster(authority: authority).merging(records: try replica.rosterRecords())
        knownRoster.withLock { $0 = KnownRoster(count: count, roster: merge.roster) }
        return merge.roster
    }

    /// Checks records and keeps those that the authority signed.
    ///
    /// - Throws: `CertificateRefusal` of the first that it did not.
    public func mergeRoster(_ records: [[UInt8]]) throws -> Roster {
        let merge = try refreshRoster().merging(records: records)
        try replica.addRosterRecords(merge.added.map(\.bytes))
        if let rejected = merge.rejected.first { throw rejected.refusal }
        return try refreshRoster()
    }

    // MARK: Before a session

    /// Before a peer is dialled: what waited is tried again, and what was written is sealed.
    public func prepareToDial() throws {
        try refreshRoster()
        // Where the clock is in doubt, edits wait for the greeting; releasing would seal them.
        guard try replica.sealUnlessClockIsDoubtful() != nil else { return }
        try replica.releaseHeld()
    }

    /// The handshake proved who the peer is: its certificate is kept.
    public func meet(_ certificate: Certificate) throws {
        try replica.addRosterRecords(roster.merging(records: [certificate.der]).added.map(\.bytes))
        try refreshRoster()
    }

    /// A peer has called: what was committed before is told to it, whether or not it was noticed yet.
    public func prepareToAnswer(_ certificate: Certificate) throws {
        try meet(certificate)
        try replica.sealUnlessClockIsDoubtful()
    }

    /// What this replica holds, for a session with a peer.
    public func localState(for peer: NodeID) throws -> LocalState {
        let (applied, safe) = try replica.vectors()
        let thirdNodes = try replica.peers().compactMap { record -> ThirdNode? in
            guard record.node != peer, let facts = record.facts else { return nil }
            return ThirdNode(node: record.node, applied: facts.safe, asOf: facts.at)
        }
        return LocalState(
            applied: applied, safeBelow: SafeBelow(applied: applied, safe: safe), rosterDigest: roster.digest.bytes,
            schemaDigest: try replica.schemaDigest().bytes, held: try replica.firstHeld(),
            thirdNodes: Array(thirdNodes.prefix(FrameLimits.thirdNodes)))
    }

    /// What was said in earlier sessions with a peer.
    public func memory(of peer: NodeID) throws -> PeerMemory {
        guard let facts = try replica.peer(peer)?.facts else { return PeerMemory() }
        func remembered(_ vector: VersionVector) -> RememberedVector {
            RememberedVector(vector: vector, digest: SHA256.digest(vector.digestInput).first)
        }
        return PeerMemory(told: remembered(facts.told), heard: remembered(facts.applied))
    }

    // MARK: What is remembered

    /// Keeps what a session observed, for lag and for the next greeting.
    public func remember(_ observation: PeerObservation, live: Bool) throws {
        try replica.observe(
            observation.peer,
            PeerFacts(
                at: observation.at, applied: observation.applied, safe: observation.safe, told: observation.told,
                clockOffsetMilliseconds: observation.clockOffsetMilliseconds,
                roundTripMicroseconds: observation.roundTripMicroseconds, software: observation.software,
                schemaMatches: observation.schemaMatches, backlog: observation.backlog, held: observation.held),
            live: live)
    }

    /// Keeps what a peer said of others.
    public func remember(_ nodes: [ThirdNode], toldBy peer: NodeID) throws {
        for third in nodes where third.node != replica.node {
            try replica.observe(third.node, SecondHand(applied: third.applied, at: third.asOf, from: peer))
        }
    }
}

extension SafeBelow {
    /// The entries of `safe` that stand lower than those of `applied`.
    init(applied: VersionVector, safe: VersionVector) {
        self.init(applied.entries.filter { safe[$0.key] < $0.value }.reduce(into: [:]) { $0[$1.key] = safe[$1.key] })
    }
}
