// What comes out of a session, in the order in which it is to be done.
public import ReplicationModel
public import ReplicationWire

/// Something for the driver to do. Outputs of one input are done in order.
public enum SessionOutput: Hashable, Sendable {
    case send(ExchangeFrame)
    /// Apply in one transaction, sync, answer with `applied` or `applyFailed`. One at a time.
    ///
    /// `leftOut`: origins that the peer may have left out, for it was told that they are held here. What builds on them
    /// waits, even where they are held no longer: the peer had sent it before it could know.
    case applyBatch([SealedChangeSet], leftOut: Set<Origin>)
    /// Read from the store, answer with `outgoing`. One at a time.
    case readOutgoing(OutgoingRequest)
    /// Answer with `backlogCounted`: what a `readOutgoing` of these would give in all.
    case countBacklog(lackedBy: VersionVector, skipping: Set<Origin>)
    /// Answer with `rosterRead`.
    case readRoster
    /// Check and keep, answer with `rosterMerged` or `rosterRefused`. One at a time.
    case mergeRoster([[UInt8]])
    /// Read what the peer asks of the store, answer with `compared`. One at a time.
    case compare(ComparisonQuestion)
    /// The peer answered what was asked: answer with `examined`, or with `rewound`. One at a time.
    case examineAnswer(Dot, SealedChangeSet?)
    /// The peer asks for a change set, without its values: answer with `signedRead`. One at a time.
    case readSigned(Dot)
    /// The peer asks for a change set once more, with its values: answer with `againRead`. One at a time.
    case readAgain(Dot)
    /// The peer said with which digest its histories end, at a vector that is covered here: answer with `historiesChecked`.
    case checkHistories(VersionVector, Identifier128)
    /// The peer asks for them: answer with `headsRead`.
    case readHeads
    /// They differ somewhere: answer with `headsCompared`.
    case compareHeads(Heads)
    /// Replaces an earlier deadline of the same timer.
    case setTimer(SessionTimer, Uptime)
    case cancelTimer(SessionTimer)
    /// Keep it in the replica, for the next greeting and for lag. A later one replaces it; they may be coalesced.
    case rememberPeer(PeerObservation)
    /// What the peer says of others: second-hand. Times are by this side's clock as well as it is known.
    case rememberThirdNodes([ThirdNode])
    case event(SessionEvent)
    /// The last output: send what was sent before, then close the connection; timers are void.
    case close(SessionEnding, SessionSummary)
}

/// Which timer.
public enum SessionTimer: Hashable, Sendable, CaseIterable {
    /// The peer must have greeted.
    case greeting
    /// Ping, or give up.
    case keepAlive
    /// An announcement was put off.
    case announcement
    /// A word on how the histories end was put off.
    case histories
}

/// What to read from the store.
public struct OutgoingRequest: Hashable, Sendable {
    /// What the peer has, or will have once it has all that was sent.
    public var lackedBy: VersionVector
    /// Origins of which nothing is sent in this session for now.
    public var skipping: Set<Origin>
    /// As much as fits, but at least one change set where there is any.
    public var maxBytes: UInt64

    /// Puts one together; each parameter is the property of its name.
    public init(lackedBy: VersionVector, skipping: Set<Origin>, maxBytes: UInt64) {
        self.lackedBy = lackedBy
        self.skipping = skipping
        self.maxBytes = maxBytes
    }
}

/// What is known of the peer, at first hand.
public struct PeerObservation: Hashable, Sendable {
    /// Of whom.
    public var peer: NodeID
    /// When it was true, by this clock.
    public var at: WallClock
    /// The peer's vector, as it told it.
    public var applied: VersionVector
    /// Where less is safe at the peer than is applied.
    public var safeBelow: SafeBelow
    /// Ours, as the peer was told it.
    public var told: VersionVector
    /// What the peer had for us when it greeted; nil where it did not say.
    public var backlog: Backlog?
    /// What the peer holds of ours.
    public var held: [HeldChangeSet]
    /// How far the peer's clock is ahead of ours; nil where it is not known.
    public var clockOffsetMilliseconds: Int64?
    /// There and back; nil where it was not measured.
    public var roundTripMicroseconds: Int64?
    /// For people.
    public var software: String
    /// Its schema digest equals ours.
    public var schemaMatches: Bool

    /// The part of the peer's vector that counts as acknowledged.
    public var safe: VersionVector { safeBelow.safe(of: applied) }

    /// Nothing known yet of `peer`.
    public init(peer: NodeID, at: WallClock) {
        self.peer = peer
        self.at = at
        applied = VersionVector()
        safeBelow = .all
        told = VersionVector()
        held = []
        software = ""
        schemaMatches = true
    }
}

/// For progress displays and logs.
public enum SessionEvent: Hashable, Sendable {
    /// Both have greeted. With what the peer will send, where it said.
    case greeted(software: String, mode: SyncMode, backlog: Backlog?)
    /// The peer's schema is another; what it writes that is unknown here will be parked or held.
    case schemaDiffers
    /// So much was received and committed, in all.
    case received(Tally)
    /// So much was sent and acknowledged, in all.
    case sent(Tally)
    /// Everything the peer had when it began is applied here.
    case caughtUp
    case heldHere([HeldChangeSet])
    case heldByPeer([HeldChangeSet])
    /// The peer sent what is known already. Harmless.
    case duplicate(Dot)
    /// The peer tells that it has more, which it does not send in this session.
    case peerHasMore
    /// In a session that stays to ask: what was to be exchanged is.
    case settled
    /// The peer's answer to what was asked.
    case answered(ComparisonAnswer)
}

/// How a session ended.
public enum SessionEnding: Hashable, Sendable {
    /// What was asked for is done and acknowledged.
    case completed
    /// So many change sets that one side greeted with did not come to the other, and are not held there: the stream ended without
    /// them, or something before them was held and has been released since. Another session brings them.
    case incomplete(missing: UInt64)
    /// `stop` was asked for.
    case stopped
    /// This side's replica was rewound; the peer may be dialled again at once.
    case rewound
    /// The peer said goodbye before what was asked for was done.
    case peerLeft
    /// The peer broke the protocol; nothing of what broke it was applied.
    case violated(Violation)
    /// The peer ended it.
    case peerError(ErrorNotice)
    /// This side ended it, with what it told the peer.
    case refused(ErrorNotice)
    /// This side could not go on, with what it told the peer.
    case failed(ErrorNotice)
    case timedOut(SessionTimer)
    case disconnected(String)
}

/// What a session did.
public struct SessionSummary: Hashable, Sendable {
    /// Applied here and synced to disk.
    public var received = Tally()
    /// Acknowledged by the peer.
    public var sent = Tally()
    /// Lost writes that what was received brought.
    public var conflicts: UInt64 = 0
    /// Received and held here.
    public var held: UInt64 = 0
    /// Received, and known already.
    public var duplicates: UInt64 = 0

    /// Nothing yet.
    public init() {}

    /// What two sessions did together.
    public static func += (sum: inout SessionSummary, other: SessionSummary) {
        sum.received += other.received
        sum.sent += other.sent
        sum.conflicts += other.conflicts
        sum.held += other.held
        sum.duplicates += other.duplicates
    }
}
