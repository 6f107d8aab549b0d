// What a peer did that it must not.
//
// Invariant: a violation ends the session and nothing of what it was found in is applied. It is never a trap.
public import ReplicationWire

/// A peer's breach of the protocol.
public struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
    /// Which rule. More may come.
    public struct Rule: RawRepresentable, Hashable, Sendable {
        /// A word for logs and programs.
        public let rawValue: String
        /// - Parameter rawValue: the word.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// It speaks another version.
        public static let protocolVersion = Rule(rawValue: "protocol_version")
        /// It belongs to another workspace.
        public static let workspace = Rule(rawValue: "workspace")
        /// The node that it greets as is not the one whose key it proved.
        public static let node = Rule(rawValue: "node")
        /// A frame that is not allowed in this state.
        public static let unexpectedFrame = Rule(rawValue: "unexpected_frame")
        /// Bytes that are no frame, or a frame that contradicts itself.
        public static let malformed = Rule(rawValue: "malformed")
        /// Beyond a limit.
        public static let tooLarge = Rule(rawValue: "too_large")
        /// More in flight than the window allows.
        public static let window = Rule(rawValue: "window")
        /// A change set of an origin that does not follow the one before it.
        public static let sequenceGap = Rule(rawValue: "sequence_gap")
        /// Values that do not match what their change set says of them.
        public static let values = Rule(rawValue: "values")
        /// An acknowledgement of what was never sent, or that takes an earlier one back.
        public static let acknowledgement = Rule(rawValue: "acknowledgement")
        /// Roster records that do not prove themselves.
        public static let roster = Rule(rawValue: "roster")
        /// A change set that the store found to break a rule.
        public static let changeSet = Rule(rawValue: "change_set")
    }
    /// What it broke.
    public let rule: Rule
    /// One line for people.
    public let description: String
    /// What the peer is told.
    public let notice: ErrorNotice

    init(_ rule: Rule, _ description: String, code: ErrorNotice.Code? = nil) {
        self.rule = rule
        self.description = description
        let implied: ErrorNotice.Code =
            switch rule {
            case .protocolVersion: .protocol
            case .workspace: .workspace
            case .node: .refused
            case .tooLarge, .window: .tooLarge
            default: .malformed
            }
        notice = ErrorNotice(code: code ?? implied, message: description)
    }

    init(_ rule: Rule, notice: ErrorNotice) {
        self.rule = rule
        description = notice.message
        self.notice = notice
    }
}
