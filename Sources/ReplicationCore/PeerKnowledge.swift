// What a session knows of its peer, and the peer of this side.
//
// Invariant: `confirmed` rests on what the peer said alone; what was merely sent to it is in `presumed`.
internal import ReplicationModel
internal import ReplicationWire

/// Vectors, holds and clocks of the peer.
struct PeerKnowledge: Sendable {
    /// The peer's vector, as it told it, or showed by sending what is in it.
    private(set) var confirmed = VersionVector()
    /// With what was sent to it in this session. What is in it is not sent again.
    private(set) var presumed = VersionVector()
    var safeBelow = SafeBelow.all
    /// Our vector, as the peer was told it, or could see from what it was sent.
    private(set) var told = VersionVector()
    /// By origin, the first change set that the peer holds.
    private(set) var held: [Origin: HeldChangeSet] = [:]
    var rosterDigest: [UInt8] = []
    var schemaDigest: [UInt8] = []
    var software = ""
    var backlog: Backlog?
    var clockOffsetMilliseconds: Int64?
    var roundTripMicroseconds: Int64?

    /// The peer greeted with its whole vector.
    mutating func greeted(_ vector: VersionVector) {
        confirmed = vector
        presumed = vector
    }

    /// The peer told entries of its vector.
    mutating func confirm(_ entries: VersionVector) throws(Violation) {
        guard !entries.isEmpty else { return }
        confirmed.formUnion(entries)
        guard confirmed.count <= Limits.origins else {
            throw Violation(.tooLarge, "a vector of \(confirmed.count) origins")
        }
        presumed.formUnion(entries)
    }

    /// The peer sent it, so it has it.
    mutating func showed(_ dot: Dot) {
        if confirmed[dot.origin] < dot.sequence { confirmed[dot.origin] = dot.sequence }
        if presumed[dot.origin] < dot.sequence { presumed[dot.origin] = dot.sequence }
    }

    mutating func sent(_ dot: Dot) {
        if presumed[dot.origin] < dot.sequence { presumed[dot.origin] = dot.sequence }
        if told[dot.origin] < dot.sequence { told[dot.origin] = dot.sequence }
    }

    /// What of `vector` the peer has not been told; it counts as told from now on.
    mutating func tell(_ vector: VersionVector) -> VersionVector {
        let news = vector.changes(since: told)
        told.formUnion(vector)
        return news
    }

    /// Whether something of `vector` was not told.
    func lacksWord(of vector: VersionVector) -> Bool { !told.covers(vector) }

    /// The peer holds these.
    mutating func holds(_ news: [HeldChangeSet]) {
        for one in news {
            let origin = one.dot.origin
            guard one.dot.sequence > confirmed[origin] else { continue }
            // Of more origins than a greeting tells, nothing is kept: what is sent of them is held once more.
            guard held[origin] != nil || held.count < FrameLimits.held else { continue }
            if let known = held[origin], known.dot.sequence <= one.dot.sequence { continue }
            held[origin] = one
        }
    }

    /// Forgets holds that the peer's vector has passed. Whether there were any.
    mutating func liftHolds() -> Bool {
        let before = held.count
        held = held.filter { $0.value.dot.sequence > confirmed[$0.key] }
        return held.count < before
    }

    /// Origins of which nothing is sent for now.
    var skipping: Set<Origin> { Set(held.keys) }

    /// Whether to send it.
    func wants(_ dot: Dot) -> Bool { presumed[dot.origin] < dot.sequence && held[dot.origin] == nil }

    /// Whether the peer lacks anything of `vector` that may be sent to it.
    func lacksAny(of vector: VersionVector) -> Bool {
        vector.entries.contains { presumed[$0.key] < $0.value && held[$0.key] == nil }
    }

    /// How much of `vector` the peer neither has nor holds, though nothing more is sent: it held something before it, and released
    /// that meanwhile.
    func countMissing(of vector: VersionVector) -> UInt64 {
        vector.entries.reduce(0) { sum, entry in
            let have = presumed[entry.key]
            return have < entry.value && held[entry.key] == nil ? sum + entry.value.rawValue - have.rawValue : sum
        }
    }

    func observation(of peer: NodeID, at moment: Moment, schemaDigest ours: [UInt8]) -> PeerObservation {
        var result = PeerObservation(peer: peer, at: moment.wall)
        result.applied = confirmed
        result.safeBelow = safeBelow
        result.told = told
        result.backlog = backlog
        result.held = held.values.sorted { $0.dot.origin < $1.dot.origin }
        result.clockOffsetMilliseconds = clockOffsetMilliseconds
        result.roundTripMicroseconds = roundTripMicroseconds
        result.software = software
        result.schemaMatches = schemaDigest == ours
        return result
    }
}
