// What a session is told before it begins.
public import ReplicationModel
public import ReplicationWire

/// Which side of the connection a session is.
public enum SessionRole: Hashable, Sendable {
    /// Greets first, and says what it wants.
    case dialling(SyncMode)
    case answering
}

/// What the replica holds, as far as a peer is concerned.
public struct LocalState: Hashable, Sendable {
    /// The version vector.
    public var applied: VersionVector
    /// Where less is safe than is applied.
    public var safeBelow: SafeBelow
    /// At most 32 bytes; equal rosters have equal digests.
    public var rosterDigest: [UInt8]
    /// At most 32 bytes; equal declarations have equal digests.
    public var schemaDigest: [UInt8]
    /// What is held here, so that it is not sent again.
    public var held: [HeldChangeSet]
    /// What is known of other nodes than the peer, with the time that was.
    public var thirdNodes: [ThirdNode]
    /// Change sets of which values are awaited.
    public var awaited: [Dot]
    /// Change sets that differ from those of someone met before: a peer that has them is asked for its own.
    public var suspicions: [Dot]
    /// The first 16 bytes of SHA-256 over `Heads.digestInput`, at `applied`.
    public var histories: Identifier128?

    /// Puts one together; each parameter is the property of its name.
    public init(
        applied: VersionVector, safeBelow: SafeBelow = .all, rosterDigest: [UInt8] = [], schemaDigest: [UInt8] = [],
        held: [HeldChangeSet] = [], thirdNodes: [ThirdNode] = [], awaited: [Dot] = [],
        suspicions: [Dot] = [], histories: Identifier128? = nil
    ) {
        self.applied = applied
        self.safeBelow = safeBelow
        self.rosterDigest = rosterDigest
        self.schemaDigest = schemaDigest
        self.held = held
        self.thirdNodes = thirdNodes
        self.awaited = awaited
        self.suspicions = suspicions
        self.histories = histories
    }
}

/// The vectors that this side and the peer told each other in earlier sessions. Where they are lost or differ, a greeting
/// is longer or takes one round trip more; nothing else depends on them.
public struct PeerMemory: Hashable, Sendable {
    /// Ours, as the peer was told it last: `PeerObservation.told`.
    public var told: RememberedVector?
    /// The peer's, as it was heard last: `PeerObservation.applied`.
    public var heard: RememberedVector?

    /// Puts one together; each parameter is the property of its name.
    public init(told: RememberedVector? = nil, heard: RememberedVector? = nil) {
        self.told = told
        self.heard = heard
    }
}

/// How long a session waits, in milliseconds, and how much it takes at once.
public struct SessionLimits: Hashable, Sendable {
    /// For the peer's greeting: a phone on a bad link needs a few seconds, a port scanner gets no more than ten.
    public var greetingMilliseconds: Int64 = 10_000
    /// Without a frame from the peer, until a ping.
    public var pingMilliseconds: Int64 = 15_000
    /// Without a frame from the peer, until it counts as gone: three pings unanswered.
    public var silenceMilliseconds: Int64 = 45_000
    /// Between announcements, so that a busy writer costs the peer one small frame a second.
    public var announcementMilliseconds: Int64 = 1_000
    /// Between words on how the histories end: for a fork of which both sides took one branch, that is soon.
    public var historiesMilliseconds: Int64 = 5_000
    /// Between tellings of third nodes.
    public var thirdNodesMilliseconds: Int64 = 60_000
    /// Between two of them where no vector grew.
    public var thirdNodesAgainMilliseconds: Int64 = 600_000
    /// Bodies and values handed to one apply; a change set beyond it goes alone.
    public var batchBytes: UInt64 = 4 << 20
    /// Asked of the store at once.
    public var readBytes: UInt64 = 4 << 20
    /// What this side lets the peer have in flight.
    public var windowBytes: UInt64 = FrameLimits.defaultWindowBytes

    /// The defaults, which the specification names.
    public init() {}
}

/// Everything a session is told before it begins.
public struct SessionConfiguration: Sendable {
    /// Dialling, and with what wish, or answering.
    public var role: SessionRole
    /// A peer of another is refused.
    public var workspace: WorkspaceID
    /// This node.
    public var node: NodeID
    /// Whose key the connection proved.
    public var peer: NodeID
    /// For people: "syncnode 0.1.0".
    public var software: String
    /// The replica as the session begins.
    public var local: LocalState
    /// From earlier sessions with this peer.
    public var memory: PeerMemory
    /// Waits and sizes.
    public var limits: SessionLimits
    /// A dialling side that is to ask more once both have what they exchange: it then tells `SessionEvent.settled`, and
    /// stays until it is stopped.
    public var staysToAsk = false

    /// Puts one together; each parameter is the property of its name.
    public init(
        role: SessionRole, workspace: WorkspaceID, node: NodeID, peer: NodeID, software: String, local: LocalState,
        memory: PeerMemory = PeerMemory(), limits: SessionLimits = SessionLimits()
    ) {
        self.role = role
        self.workspace = workspace
        self.node = node
        self.peer = peer
        self.software = software
        self.local = local
        self.memory = memory
        self.limits = limits
    }
}
