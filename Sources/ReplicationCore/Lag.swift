// How far two nodes are apart, and why: arithmetic over what is known of a peer.
//
// Invariant: what is not known is nil, never zero; and what rests on another node's word says so.
public import ReplicationModel

/// What this replica's log knows of origins' totals. Both answer nil where the change set is not in the log.
public struct LogTotals {
    /// Everything an origin wrote up to and with a change set; zero for sequence number 0.
    public var totals: (Origin, SequenceNumber) -> Totals?
    /// When a change set was written: its first stamp.
    public var writtenAt: (Dot) -> WallClock?

    /// Puts one together; each parameter is the property of its name.
    public init(totals: @escaping (Origin, SequenceNumber) -> Totals?, writtenAt: @escaping (Dot) -> WallClock?) {
        self.totals = totals
        self.writtenAt = writtenAt
    }
}

/// How much one side lacks of the other's. Nil: not known.
public struct LagFigures: Hashable, Sendable {
    /// How many change sets.
    public var changeSets: UInt64?
    /// Field writes.
    public var changes: UInt64?
    /// Of bodies and the values beside them.
    public var bytes: UInt64?
    /// Age of the oldest change set that is lacking; zero where none is.
    public var seconds: Double?

    /// Nil stands for what is not known.
    public init(changeSets: UInt64?, changes: UInt64?, bytes: UInt64?, seconds: Double?) {
        self.changeSets = changeSets
        self.changes = changes
        self.bytes = bytes
        self.seconds = seconds
    }
    /// Nothing is known.
    public static let unknown = LagFigures(changeSets: nil, changes: nil, bytes: nil, seconds: nil)
    /// Known to lack nothing.
    public static let none = LagFigures(changeSets: 0, changes: 0, bytes: 0, seconds: 0)
}

/// What two nodes are to each other now. Its raw value is what the command line prints.
public enum LagState: String, Hashable, Sendable, CaseIterable {
    /// In a session that stays, with nothing lacking on either side.
    case live
    /// In a session, with something lacking or a value awaited.
    case catchingUp = "catching_up"
    /// Not in a session; nothing was lacking when there was one, nor since as far as this side knows.
    case inSync = "in_sync"
    case offline
    case neverMet = "never_met"
    case refused
    case held
}

/// The connection to a peer, as its supervisor sees it.
public enum PeerConnection: Hashable, Sendable {
    case never
    /// Why it never was, for a peer that was tried: "connection refused".
    case neverReached(cause: String)
    case connected(live: Bool)
    /// The last session ended as it should.
    case ended(WallClock)
    /// The last session broke, or the last dial failed; `since` is when the peer was last heard.
    case lost(since: WallClock, cause: String)
    case refused(cause: String)
}

/// What is known of a peer's vector, and from whom.
public struct PeerVector: Hashable, Sendable {
    /// Its vector then.
    public var applied: VersionVector
    /// The part of it below which nothing is awaited.
    public var safe: VersionVector
    /// When it was true, by this node's clock.
    public var asOf: WallClock
    /// Whose word it is; nil: the peer's own.
    public var toldBy: NodeID?
    /// What the peer said it had for us, when it said `applied`.
    public var backlog: Backlog?
    /// What the peer holds of what it was sent.
    public var held: [HeldChangeSet]

    /// Puts one together; each parameter is the property of its name.
    public init(
        applied: VersionVector, safe: VersionVector, asOf: WallClock, toldBy: NodeID? = nil, backlog: Backlog? = nil,
        held: [HeldChangeSet] = []
    ) {
        self.applied = applied
        self.safe = safe
        self.asOf = asOf
        self.toldBy = toldBy
        self.backlog = backlog
        self.held = held
    }

    /// From what a session observed.
    public init(_ observation: PeerObservation) {
        self.init(
            applied: observation.applied, safe: observation.safe, asOf: observation.at, backlog: observation.backlog,
            held: observation.held)
    }
}

/// How far this node and a peer are apart.
public struct LagReport: Hashable, Sendable {
    /// What they are to each other.
    public var state: LagState
    /// One line for people; empty where the state says it all.
    public var cause: String
    /// What this node lacks of the peer's.
    public var behind: LagFigures
    /// What the peer lacks of ours.
    public var ahead: LagFigures
    /// When what the figures rest on was true; nil: never.
    public var asOf: WallClock?
    /// Whose word the figures rest on; nil: the peer's own.
    public var toldBy: NodeID?
}

/// The arithmetic of lag.
public enum Lag {
    /// - Parameters:
    ///   - ours: this replica's vector, and `oursSafe` the part of it below which nothing is awaited.
    ///   - known: what is known of the peer's vector, first-hand and second-hand; the newest word counts, and the peer's
    ///     own of two that are equally old.
    ///   - heldHere: what this node holds of the peer's or of others'.
    public static func report(
        ours: VersionVector, oursSafe: VersionVector, known: [PeerVector], heldHere: [HeldChangeSet],
        connection: PeerConnection, totals: LogTotals, now: WallClock
    ) -> LagReport {
        let best = known.max { ($0.asOf, $0.toldBy == nil ? 1 : 0) < ($1.asOf, $1.toldBy == nil ? 1 : 0) }
        let heldThere = known.filter { $0.toldBy == nil }.max { $0.asOf < $1.asOf }?.held ?? []
        let behind = best.map { figuresBehind(ours: ours, peer: $0, now: now) } ?? .unknown
        let ahead = best.map { figuresAhead(ours: ours, peer: $0.safe, totals: totals, now: now) } ?? .unknown
        let heldFromPeer = heldHere.filter { held in best.map { $0.applied.contains(held.dot) } ?? false }
        // What another node saw applied there since, the peer held before.
        let heldOfOurs = heldThere.filter { held in
            ours.contains(held.dot) && best.map { !$0.applied.contains(held.dot) } ?? true
        }
        let isLevel = behind.changeSets == 0 && ahead.changeSets == 0 && oursSafe.covers(ours)
        let (state, cause) = judge(
            connection: connection, heldHere: heldFromPeer.first, heldThere: heldOfOurs.first, isLevel: isLevel,
            isAwaiting: !oursSafe.covers(ours))
        return LagReport(
            state: state, cause: cause, behind: behind, ahead: ahead, asOf: best?.asOf, toldBy: best?.toldBy)
    }

    /// What this node lacks of the peer's. Only the peer knows how much is in it: its word is taken while what it spoke
    /// of is still just what is lacking.
    static func figuresBehind(ours: VersionVector, peer: PeerVector, now: WallClock) -> LagFigures {
        let count = peer.applied.countBeyond(ours)
        guard count > 0 else { return .none }
        guard let backlog = peer.backlog, backlog.changeSets == count else {
            return LagFigures(changeSets: count, changes: nil, bytes: nil, seconds: nil)
        }
        return LagFigures(
            changeSets: count, changes: backlog.changes, bytes: backlog.bytes,
            seconds: backlog.oldest.map { seconds(from: $0, to: now) })
    }

    /// What the peer lacks of ours, from this replica's own log.
    static func figuresAhead(ours: VersionVector, peer: VersionVector, totals: LogTotals, now: WallClock) -> LagFigures
    {
        var result = LagFigures.none
        var oldest: WallClock?
        for (origin, sequence) in ours.entries where peer[origin] < sequence {
            let theirs = peer[origin]
            result.changeSets = result.changeSets.map { $0 + sequence.rawValue - theirs.rawValue }
            let before = theirs == .zero ? Totals.zero : totals.totals(origin, theirs)
            if let before, let all = totals.totals(origin, sequence), all.changes >= before.changes,
                all.bytes >= before.bytes
            {
                result.changes = result.changes.map { $0 + all.changes - before.changes }
                result.bytes = result.bytes.map { $0 + all.bytes - before.bytes }
            } else {
                result.changes = nil
                result.bytes = nil
            }
            if let written = totals.writtenAt(Dot(origin: origin, sequence: theirs.next)) {
                oldest = min(oldest ?? written, written)
            } else {
                result.seconds = nil
            }
        }
        if result.seconds != nil, let oldest { result.seconds = seconds(from: oldest, to: now) }
        return result
    }

    private static func judge(
        connection: PeerConnection, heldHere: HeldChangeSet?, heldThere: HeldChangeSet?, isLevel: Bool, isAwaiting: Bool
    ) -> (LagState, String) {
        switch connection {
        case .refused(let cause): return (.refused, cause)
        case .never: return (.neverMet, "")
        case .neverReached(let cause): return (.neverMet, cause)
        case .connected, .ended, .lost: break
        }
        if let held = heldHere { return (.held, "held here: \(cause(of: held))") }
        if let held = heldThere { return (.held, "held by the peer: \(cause(of: held))") }
        switch connection {
        case .connected(let live):
            if isAwaiting { return (.catchingUp, "values that a later change set brings are awaited") }
            if !isLevel { return (.catchingUp, "") }
            return (live ? .live : .inSync, "")
        case .ended where isLevel: return (.inSync, "")
        case .ended(let time): return (.offline, "no session since \(rfc3339(time))")
        case .lost(let since, let cause): return (.offline, "since \(rfc3339(since)): \(cause)")
        case .never, .neverReached, .refused: return (.neverMet, "")
        }
    }

    private static func cause(of held: HeldChangeSet) -> String {
        held.detail.isEmpty
            ? "\(held.dot): \(held.cause.rawValue)" : "\(held.dot): \(held.cause.rawValue), \(held.detail)"
    }

    /// A clock that went back makes no negative age.
    private static func seconds(from start: WallClock, to end: WallClock) -> Double {
        max(0, Double(end.milliseconds) - Double(start.milliseconds)) / 1000
    }
}
