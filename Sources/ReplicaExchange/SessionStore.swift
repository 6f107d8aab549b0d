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
    /// Held while the roster is read again.
    private let reading = Mutex(())

    private struct KnownRoster {
        /// The replica's, when it was read.
        let mark: String
        let roster: Roster
        let forks: [KnownFork]

        /// Equal where two nodes know the same records and fork proofs.
        var digest: [UInt8] {
            forks.isEmpty
                ? roster.digest.bytes
                : SHA256.digest(roster.digest.bytes + forks.flatMap { $0.proof.name.bytes }).bytes
        }
    }

    /// What came of records that were merged.
    public struct RosterMerge: Sendable {
        /// What cuts among them did to the replica.
        public let rewind: Rewind?
        /// The roster's digest before, if nothing but these records was added to it.
        let before: [UInt8]?
        /// The roster's digest now.
        let digest: [UInt8]
    }

    /// Reads the roster.
    public init(replica: Replica, authority: AuthorityCertificate) throws {
        self.replica = replica
        self.authority = authority
        knownRoster = Mutex(KnownRoster(mark: "", roster: Roster(authority: authority), forks: []))
        try refreshRoster()
    }

    // MARK: The roster

    /// The roster as last read: never blocks, so that a handshake may ask it.
    public var roster: Roster { knownRoster.withLock { $0.roster } }

    /// The forks that are proven, as last read.
    public var forks: [KnownFork] { knownRoster.withLock { $0.forks } }

    /// Reads the roster's records again where there are new ones.
    @discardableResult
    public func refreshRoster() throws -> Roster { try refreshed().roster }

    /// Equal where two nodes know the same records and fork proofs.
    func rosterDigest() throws -> [UInt8] { try refreshed().digest }

    private func refreshed() throws -> KnownRoster {
        // One after the other, so that no older one takes the place of a newer; and the mark first, so that what comes between it and
        // the records is read again.
        try reading.withLock { _ in
            let mark = try replica.rosterMark()
            if let current = knownRoster.withLock({ $0.mark == mark ? $0 : nil }) { return current }
            let merge = Roster(authority: authority).merging(records: try replica.rosterRecords())
            let known = KnownRoster(mark: mark, roster: merge.roster, forks: try replica.forks())
            knownRoster.withLock { $0 = known }
            return known
        }
    }

    /// What peers are sent: certificates and revocations, and then fork proofs, whose signers stand in the former; and the digest
    /// of all these.
    public func rosterRecords() throws -> (records: [[UInt8]], digest: [UInt8]) {
        let known = try refreshed()
        return (known.roster.records.map(\.bytes) + known.forks.map(\.proof.bytes), known.digest)
    }

    /// Checks records and keeps those that the authority signed, and fork proofs that hold.
    ///
    /// - Throws: `CertificateRefusal` or `ForkProofError` of the first that is neither.
    @discardableResult
    public func mergeRoster(_ records: [[UInt8]]) throws -> RosterMerge {
        let isProof = { (bytes: [UInt8]) in bytes.starts(with: ForkProof.magic) }
        let before = try refreshed()
        let merge = before.roster.merging(records: records.filter { !isProof($0) })
        let known = Set(before.forks.map(\.proof.bytes))
        var proofs: [ForkProof] = []
        var refusal: (any Error)? = merge.rejected.first?.refusal
        for record in records where isProof(record) && !known.contains(record) && refusal == nil {
            do {
                let proof = try ForkProof(bytes: record)
                try check(proof, merge.roster)
                proofs.append(proof)
            } catch {
                refusal = error
            }
        }
        // All at once, so that a replica is rewound once. What is sound is kept, whatever came with it.
        let rewind = try replica.learn(records: merge.added.map(\.bytes), proofs: proofs)
        if let refusal { throw refusal }
        let now = try refreshed()
        // Another session may have merged at the same time.
        let isAllThatCame =
            now.roster.digest == merge.roster.digest
            && now.forks.map(\.proof).allSatisfy { known.contains($0.bytes) || proofs.contains($0) }
        return RosterMerge(rewind: rewind, before: isAllThatCame ? before.digest : nil, digest: now.digest)
    }

    /// Whether a proof speaks of a node that the roster lets write: of others nothing is accepted anyway.
    private func check(_ proof: ForkProof, _ roster: Roster) throws {
        guard roster.authorship(by: proof.fork.origin.node) == .allowed(proof.key) else {
            throw CertificateRefusal(
                .unknown, "the proof that \(proof.fork.origin) forked is of no node that may write here")
        }
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

    /// What a session with a peer begins with.
    public func begin(_ exchange: ExchangeState, with peer: NodeID) throws -> (LocalState, PeerMemory) {
        let standing = try replica.standing()
        exchange.begin(rewinds: standing.rewinds)
        return (try localState(standing, for: peer), try memory(of: peer))
    }

    /// What a session is told of a replica that changed.
    public func change(_ exchange: ExchangeState, with peer: NodeID) throws -> SessionInput {
        let standing = try replica.standing()
        return exchange.isVoid(standing.rewinds) ? .rewound : .localChanged(try localState(standing, for: peer))
    }

    /// What this replica holds, as a session with a peer is concerned. The roster is read after it, so that no author's change
    /// sets go out before its certificate.
    func localState(_ standing: ReplicaStanding, for peer: NodeID) throws -> LocalState {
        let thirdNodes = standing.met.lazy.filter { $0.node != peer }.map {
            ThirdNode(node: $0.node, applied: $0.safe, asOf: $0.at)
        }
        return LocalState(
            applied: standing.applied, safeBelow: SafeBelow(applied: standing.applied, safe: standing.safe),
            rosterDigest: try refreshed().digest, schemaDigest: standing.schemaDigest.bytes, held: standing.held,
            thirdNodes: Array(thirdNodes.prefix(FrameLimits.thirdNodes)), awaited: standing.awaited,
            suspicions: standing.suspicions.map { Dot(origin: $0.origin, sequence: $0.differs) },
            histories: SHA256.digest(standing.heads.digestInput).first)
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

    /// Keeps what a session observed, for lag and for the next greeting. A peer may have what this node is yet to write: then its
    /// disk was taken back, and it goes on under a new origin before it seals anything more.
    public func remember(_ observation: PeerObservation, live: Bool) throws {
        try replica.heed(observation.applied)
        try replica.observe(
            observation.peer,
            PeerFacts(
                at: observation.at, applied: observation.applied, safe: observation.safe, told: observation.told,
                clockOffsetMilliseconds: observation.clockOffsetMilliseconds,
                roundTripMicroseconds: observation.roundTripMicroseconds, software: observation.software,
                schemaMatches: observation.schemaMatches, backlog: observation.backlog, held: observation.held),
            isLive: live)
    }

    /// Keeps what a peer said of others.
    public func remember(_ nodes: [ThirdNode], toldBy peer: NodeID) throws {
        try replica.observe(
            Dictionary(
                nodes.map { ($0.node, SecondHand(applied: $0.applied, at: $0.asOf, from: peer)) },
                uniquingKeysWith: { $0.at < $1.at ? $1 : $0 }))
    }
}

extension SafeBelow {
    /// The entries of `safe` that stand lower than those of `applied`.
    init(applied: VersionVector, safe: VersionVector) {
        self.init(applied.entries.filter { safe[$0.key] < $0.value }.reduce(into: [:]) { $0[$1.key] = safe[$1.key] })
    }
}
