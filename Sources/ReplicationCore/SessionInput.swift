// What goes into a session.
public import ReplicationModel
public import ReplicationWire

/// Something that happened to a session, or an answer to one of its outputs.
public enum SessionInput: Sendable {
    /// The connection stands and both sides' keys are proven. Once, first.
    case opened
    case frame(ExchangeFrame)
    /// The peer's bytes made no frame.
    case undecodable(FrameError)
    /// Bytes came, if no whole frame: a large one takes its time on a slow way.
    case bytesArrived
    /// The replica changed, by whoever: another process, another session.
    case localChanged(LocalState)
    /// Answers `SessionOutput.readOutgoing`.
    case outgoing(OutgoingBatch)
    /// Answers `SessionOutput.countBacklog`.
    case backlogCounted(Backlog)
    /// Answers `SessionOutput.applyBatch`, once it is synced to disk.
    case applied(ApplyReport)
    /// Answers `SessionOutput.applyBatch`: nothing of the batch was kept, or only what stands before the failure.
    case applyFailed(ApplyFailure)
    /// Answers `SessionOutput.readRoster`, with the digest of just these records.
    case rosterRead([[UInt8]], digest: [UInt8])
    /// Answers `SessionOutput.mergeRoster` with the roster's digest now.
    ///
    /// - Parameters:
    ///   - before: its digest before, if nothing but these records made the difference; nil where others may have come, too.
    ///   - released: what the replica holds now, where a record let in what was held.
    case rosterMerged(digest: [UInt8], before: [UInt8]?, released: LocalState? = nil)
    /// Answers `SessionOutput.mergeRoster`: a record that no authority signed.
    case rosterRefused(String)
    /// Asks the peer; its answer comes as `SessionEvent.answered`. One at a time.
    case ask(ComparisonQuestion)
    /// Answers `SessionOutput.compare`.
    case compared(ComparisonAnswer)
    /// Ask the peer for a change set as it was signed: another history of its origin was met.
    case askSigned(Dot)
    /// Answers `SessionOutput.examineAnswer`, with the next question.
    case examined(next: Dot?)
    /// Answers `SessionOutput.checkHistories`.
    case historiesChecked(areEqual: Bool)
    /// Answers `SessionOutput.readHeads`.
    case headsRead(Heads)
    /// Answers `SessionOutput.compareHeads`: what the peer is to be asked for.
    case headsCompared([Dot])
    /// Answers `SessionOutput.readSigned`.
    case signedRead(SealedChangeSet?)
    /// Answers `SessionOutput.readAgain`.
    case againRead(OutgoingChangeSet?)
    /// The replica was rewound, here or by another process: what this session told of its vector is void.
    case rewound
    case timer(SessionTimer)
    /// The connection is gone.
    case transportClosed(String)
    /// The user, or a shutdown, wants the session to end; what is being applied is waited for.
    case stop
    /// This side will not, or no longer, have that peer.
    case refuse(ErrorNotice)
    /// The store cannot do what was asked of it.
    case failed(ErrorNotice)
}

/// Change sets, changes and bytes that were really exchanged.
public struct Tally: Hashable, Sendable {
    /// How many, or which, in the order in which they are to be applied.
    public var changeSets: UInt64
    /// Field writes.
    public var changes: UInt64
    /// Bodies and the values that travelled beside them.
    public var bytes: UInt64

    /// Puts one together; each parameter is the property of its name.
    public init(changeSets: UInt64 = 0, changes: UInt64 = 0, bytes: UInt64 = 0) {
        self.changeSets = changeSets
        self.changes = changes
        self.bytes = bytes
    }
    /// Adds what another session or batch did.
    public static func += (left: inout Tally, right: Tally) {
        left.changeSets += right.changeSets
        left.changes += right.changes
        left.bytes += right.bytes
    }
}

/// A change set read from the store for sending.
public struct OutgoingChangeSet: Hashable, Sendable {
    /// Which.
    public var dot: Dot
    /// Field writes in it.
    public var changes: UInt64
    /// As it is to be sent: values that a later one supersedes may be nil.
    public var changeSet: SealedChangeSet

    /// Puts one together; each parameter is the property of its name.
    public init(dot: Dot, changes: UInt64, changeSet: SealedChangeSet) {
        self.dot = dot
        self.changes = changes
        self.changeSet = changeSet
    }
}

/// What the store had to send, in arrival order, which respects causality.
public struct OutgoingBatch: Hashable, Sendable {
    /// How many, or which, in the order in which they are to be applied.
    public var changeSets: [OutgoingChangeSet]
    /// There was no more when it was read.
    public var reachedEnd: Bool
    /// Of a roster in which the authors of all of them stand; nil where it is the one that the session knows.
    public var rosterDigest: [UInt8]?

    /// Puts one together; each parameter is the property of its name.
    public init(changeSets: [OutgoingChangeSet], reachedEnd: Bool, rosterDigest: [UInt8]? = nil) {
        self.changeSets = changeSets
        self.reachedEnd = reachedEnd
        self.rosterDigest = rosterDigest
    }
}

/// A batch that was committed and synced to disk.
public struct ApplyReport: Hashable, Sendable {
    /// The replica's whole vector now.
    public var applied: VersionVector
    /// Where less is safe than is applied.
    public var safeBelow: SafeBelow
    /// Change sets of this batch that could not be applied yet.
    public var held: [HeldChangeSet]
    /// What was new in it.
    public var received: Tally
    /// Lost writes that were new in it.
    public var conflicts: UInt64

    /// Puts one together; each parameter is the property of its name.
    public init(
        applied: VersionVector, safeBelow: SafeBelow = .all, held: [HeldChangeSet] = [], received: Tally,
        conflicts: UInt64 = 0
    ) {
        self.applied = applied
        self.safeBelow = safeBelow
        self.held = held
        self.received = received
        self.conflicts = conflicts
    }
}

/// Why a batch could not be applied.
public enum ApplyFailure: Hashable, Sendable {
    /// What the peer sent breaks a rule: a chain, a signature, Rule S, a fork.
    case peer(ErrorNotice)
    /// This side cannot: the disk is full, the file is locked.
    case ours(ErrorNotice)
}
