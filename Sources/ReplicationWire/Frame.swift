// The frames of the exchange as values of the model. Protocols/exchange.md is their specification.
//
// Invariant: a frame that was decoded keeps every bound of `FrameLimits`, so what reads it needs no check of form.
public import ReplicationModel

/// One frame of the exchange, or of joining.
public enum ExchangeFrame: Hashable, Sendable {
    case greeting(Greeting)
    case wholeVector(VersionVector)
    case rosterRecords(RosterRecords)
    case changeSet(ChangeSetStart)
    case values(ValuesPiece)
    /// With the entries of the sender's vector that the receiver has not been told.
    case streamEnd(VersionVector)
    case acknowledgement(Acknowledgement)
    /// With the entries of the sender's vector that the receiver has not been told.
    case announcement(VersionVector)
    /// How the sender's histories end at the vector that it told: the first 16 bytes of SHA-256 over `Heads.digestInput`.
    case histories(Identifier128)
    case thirdNodes([ThirdNode])
    case ping(number: UInt64, clock: WallClock)
    case pong(number: UInt64, pingClock: WallClock, clock: WallClock)
    case error(ErrorNotice)
    case goodbye
    /// Asks for one change set as it was signed; nil: no more questions.
    case question(Dot?)
    /// Asks for one change set once more, with its values.
    case again(Dot)
    /// Answers a question: body and signature, and no values; nil: the sender does not have it.
    case answer(Dot, SealedChangeSet?)
    /// Asks for the ends of all histories.
    case headsQuestion
    case heads(Heads)
    case joinRequest(JoinRequest)
    case joinResponse(JoinResponse)
    case comparisonQuestion(ComparisonQuestion)
    case comparisonAnswer(ComparisonAnswer)

    /// The name by which errors and logs speak of it.
    public var name: String {
        switch self {
        case .greeting: "greeting"
        case .wholeVector: "whole vector"
        case .rosterRecords: "roster records"
        case .changeSet: "change set"
        case .values: "values"
        case .streamEnd: "stream end"
        case .acknowledgement: "acknowledgement"
        case .announcement: "announcement"
        case .histories: "histories"
        case .thirdNodes: "third nodes"
        case .ping: "ping"
        case .pong: "pong"
        case .error: "error"
        case .goodbye: "goodbye"
        case .question: "question"
        case .again: "question for a change set again"
        case .answer: "answer"
        case .headsQuestion: "question for heads"
        case .heads: "heads"
        case .joinRequest: "join request"
        case .joinResponse: "join response"
        case .comparisonQuestion: "comparison question"
        case .comparisonAnswer: "comparison answer"
        }
    }
}

extension ExchangeFrame {
    /// What it counts for in flow control. Told from what it carries, so both sides count alike however it is encoded:
    /// the body and 256 bytes for what stands around it, 4 for each absent value; each piece of a value and 16 bytes.
    public var flowBytes: UInt64 {
        switch self {
        case .changeSet(let start): UInt64(start.body.count + 4 * start.absent.count + 256)
        case .values(let piece): piece.values.reduce(0) { $0 + UInt64($1.count) + 16 }
        default: 0
        }
    }
}

/// What the dialling side asks for.
public struct SyncMode: Hashable, Sendable {
    /// The dialling side receives.
    public var receive: Bool
    /// The dialling side sends.
    public var send: Bool
    /// It stays, and both tell what is committed later.
    public var live: Bool

    /// Puts one together; each parameter is the property of its name.
    public init(receive: Bool, send: Bool, live: Bool = false) {
        self.receive = receive
        self.send = send
        self.live = live
    }
    /// Receives alone.
    public static let pull = SyncMode(receive: true, send: false)
    /// Sends alone.
    public static let push = SyncMode(receive: false, send: true)
    /// Does both, and ends.
    public static let sync = SyncMode(receive: true, send: true)
    /// Does both, and stays.
    public static let live = SyncMode(receive: true, send: true, live: true)
}

/// The first frame of either side.
public struct Greeting: Hashable, Sendable {
    /// `FrameLimits.protocolVersion`; a side that speaks no other refuses any other.
    public var protocolVersion: UInt32
    /// The workspace that both are members of.
    public var workspace: WorkspaceID
    /// The node it speaks of.
    public var node: NodeID
    /// The sender's wall clock as it sends.
    public var clock: WallClock
    /// The vector of the node that is spoken of.
    public var applied: VectorDelta
    /// Where less of that is safe than is applied.
    public var safeBelow: SafeBelow
    /// Where it differs from the receiver's, both send their records.
    public var rosterDigest: [UInt8]
    /// Only observed: another schema holds or parks what it does not know.
    public var schemaDigest: [UInt8]
    /// From the dialling side alone.
    public var mode: SyncMode?
    /// From the answering side alone: what it will send.
    public var backlog: Backlog?
    /// What the sender keeps and cannot apply yet: the first of each origin.
    public var held: [HeldChangeSet]
    /// For people: "syncnode 0.1.0".
    public var software: String
    /// Zero: the default.
    public var windowBytes: UInt64
    /// Digest of the receiver's vector that the sender remembers.
    public var remembers: Identifier128?
    /// From the answering side alone: the dialling side's base is not known here.
    public var baseUnknown: Bool
    /// The first 16 bytes of SHA-256 over `Heads.digestInput` of the sender; nil: it does not say.
    public var histories: Identifier128?
    /// From the answering side alone: it has questions, and says when it has no more.
    public var asks: Bool

    /// Puts one together; each parameter is the property of its name.
    public init(
        protocolVersion: UInt32 = FrameLimits.protocolVersion, workspace: WorkspaceID, node: NodeID, clock: WallClock,
        applied: VectorDelta, safeBelow: SafeBelow = .all, rosterDigest: [UInt8] = [], schemaDigest: [UInt8] = [],
        mode: SyncMode? = nil, backlog: Backlog? = nil, held: [HeldChangeSet] = [], software: String = "",
        windowBytes: UInt64 = 0, remembers: Identifier128? = nil, baseUnknown: Bool = false,
        histories: Identifier128? = nil, asks: Bool = false
    ) {
        self.protocolVersion = protocolVersion
        self.workspace = workspace
        self.node = node
        self.clock = clock
        self.applied = applied
        self.safeBelow = safeBelow
        self.rosterDigest = rosterDigest
        self.schemaDigest = schemaDigest
        self.mode = mode
        self.backlog = backlog
        self.held = held
        self.software = software
        self.windowBytes = windowBytes
        self.remembers = remembers
        self.baseUnknown = baseUnknown
        self.histories = histories
        self.asks = asks
    }
}

/// Records of the sender's roster.
public struct RosterRecords: Hashable, Sendable {
    /// DER.
    public var records: [[UInt8]]
    /// The sender's roster digest.
    public var digest: [UInt8]
    /// More of the same roster follow.
    public var more: Bool

    /// Puts one together; each parameter is the property of its name.
    public init(records: [[UInt8]], digest: [UInt8], more: Bool = false) {
        self.records = records
        self.digest = digest
        self.more = more
    }
}

/// The beginning of a change set; its values follow in values frames.
public struct ChangeSetStart: Hashable, Sendable {
    /// What the body says of itself: always there in a frame that was decoded, and not needed to encode one.
    public var header: ChangeSetHeader?
    /// The signed bytes.
    public var body: [UInt8]
    /// Ed25519, 64 bytes.
    public var signature: [UInt8]
    /// How many values stand beside the body.
    public var valueCount: Int
    /// Which of them are absent, ascending.
    public var absent: [Int]

    /// Puts one together; each parameter is the property of its name.
    public init(header: ChangeSetHeader?, body: [UInt8], signature: [UInt8], valueCount: Int, absent: [Int]) {
        self.header = header
        self.body = body
        self.signature = signature
        self.valueCount = valueCount
        self.absent = absent
    }
}

/// Values of the change set last begun, or pieces of one.
public struct ValuesPiece: Hashable, Sendable {
    /// None is empty.
    public var values: [[UInt8]]
    /// The last of `values` goes on in the next values frame.
    public var continues: Bool

    /// Puts one together; each parameter is the property of its name.
    public init(values: [[UInt8]], continues: Bool) {
        self.values = values
        self.continues = continues
    }
}

/// What is durable at the sender's.
public struct Acknowledgement: Hashable, Sendable {
    /// Entries of the sender's vector that the receiver has not been told.
    public var applied: VersionVector
    /// Where less of that is safe than is applied.
    public var safeBelow: SafeBelow
    /// Bytes of change set and values frames dealt with since the session began.
    public var receivedBytes: UInt64
    /// What the sender keeps and cannot apply yet: the first of each origin.
    public var held: [HeldChangeSet]

    /// Puts one together; each parameter is the property of its name.
    public init(applied: VersionVector, safeBelow: SafeBelow, receivedBytes: UInt64, held: [HeldChangeSet]) {
        self.applied = applied
        self.safeBelow = safeBelow
        self.receivedBytes = receivedBytes
        self.held = held
    }
}

/// What the sender knows of a node that is not part of this session.
public struct ThirdNode: Hashable, Sendable {
    /// The node it speaks of.
    public var node: NodeID
    /// The vector of the node that is spoken of.
    public var applied: VersionVector
    /// When that was true, by the clock of the side that heard it.
    public var asOf: WallClock

    /// Puts one together; each parameter is the property of its name.
    public init(node: NodeID, applied: VersionVector, asOf: WallClock) {
        self.node = node
        self.applied = applied
        self.asOf = asOf
    }
}

/// Why a side ends the session.
public struct ErrorNotice: Hashable, Sendable {
    /// The wire's codes. One that this version does not know reads as `other`.
    public enum Code: String, Hashable, Sendable, CaseIterable {
        case `protocol`, workspace, refused, malformed, tooLarge = "too_large", busy, `internal`, timeout, fork,
            rewound,
            other
    }
    /// What a program needs to know of it.
    public var code: Code
    /// For people.
    public var message: String
    /// When to try again; nil: not by itself.
    public var retryAfterMilliseconds: UInt64?

    /// Puts one together; each parameter is the property of its name.
    public init(code: Code, message: String, retryAfterMilliseconds: UInt64? = nil) {
        self.code = code
        self.message = message
        self.retryAfterMilliseconds = retryAfterMilliseconds
    }
}

/// Asks for membership. Protocols/joining is Trust's; the exchange only carries the bytes.
public struct JoinRequest: Hashable, Sendable {
    /// PKCS #10, DER.
    public var certificateRequest: [UInt8]
    /// Names the invitation without its secret.
    public var invitation: [UInt8]
    /// That the invitation's secret is known.
    public var proof: [UInt8]

    /// Puts one together; each parameter is the property of its name.
    public init(certificateRequest: [UInt8], invitation: [UInt8], proof: [UInt8]) {
        self.certificateRequest = certificateRequest
        self.invitation = invitation
        self.proof = proof
    }
}

/// Grants membership.
public struct JoinResponse: Hashable, Sendable {
    /// The workspace that both are members of.
    public var workspace: WorkspaceID
    /// For people.
    public var workspaceName: String
    /// DER.
    public var certificate: [UInt8]
    /// The authority's certificate, DER.
    public var authority: [UInt8]
    /// DER.
    public var rosterRecords: [[UInt8]]

    /// Puts one together; each parameter is the property of its name.
    public init(
        workspace: WorkspaceID, workspaceName: String, certificate: [UInt8], authority: [UInt8],
        rosterRecords: [[UInt8]]
    ) {
        self.workspace = workspace
        self.workspaceName = workspaceName
        self.certificate = certificate
        self.authority = authority
        self.rosterRecords = rosterRecords
    }
}
