// Why a connection could not be made, or ended.
//
// Invariant: an error says what was tried, with whom, why it failed and what to do next.
public import ReplicationWire
public import Trust

/// A connection failed, or ended otherwise than by a goodbye.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of failure, for programs. More codes may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// A stable word, fit for JSON.
        public let description: String
        private init(_ description: String) { self.description = description }

        /// Text that names no endpoint.
        public static let invalidEndpoint = Code("invalid_endpoint")
        /// Nothing answers there, or the name is not known.
        public static let unreachable = Code("unreachable")
        /// The peer was silent for too long.
        public static let timedOut = Code("timed_out")
        /// TLS failed; `tls` says how. A connection that was merely cut is `closed`.
        public static let tls = Code("tls")
        /// The connection is gone without a goodbye (then `tls` is `truncated`, where TLS noticed), or this side closed it.
        public static let closed = Code("closed")
        /// What the peer sent is no frame; `frame` says why, unless the length alone told.
        public static let badFrame = Code("bad_frame")
        /// A limit on connections was reached.
        public static let tooMany = Code("too_many")
        /// This node cannot listen there.
        public static let bind = Code("bind")
        /// The listener was closed meanwhile.
        public static let shuttingDown = Code("shutting_down")
    }

    /// What kind of failure.
    public let code: Code
    /// For people, in one line: what was tried, on what, why it failed, what to do next.
    public let description: String
    /// What TLS says, where it is TLS that noticed.
    public let tls: TLSFailure?
    /// What is wrong with the frame, where it is a frame that could be delimited.
    public let frame: FrameError?

    public init(_ code: Code, _ description: String, tls: TLSFailure? = nil, frame: FrameError? = nil) {
        self.code = code
        self.description = description
        self.tls = tls
        self.frame = frame
    }
}

extension TransportError {
    /// Whether one side does not believe the other's certificate: trying again will not help. A cut connection, or a program
    /// that is no syncnode, is no refusal.
    public var isRefusal: Bool {
        tls.map { [.certificateRefused, .refusedByPeer, .noCertificate].contains($0.code) } ?? false
    }
}

/// How far a connection was when it failed.
enum ConnectionStage: Sendable {
    case handshake
    case session

    var name: String {
        switch self {
        case .handshake: "TLS handshake"
        case .session: "session"
        }
    }
}

extension TransportError {
    static func tls(_ failure: TLSFailure, with remote: String, during stage: ConnectionStage) -> TransportError {
        // A cut connection says nothing about trust: those who retry treat it as the network's fault.
        guard failure.code != .truncated else { return cut(remote, during: stage, tls: failure) }
        return TransportError(.tls, "the \(stage.name) with \(remote) failed: \(failure)", tls: failure)
    }

    static func cut(
        _ remote: String, during stage: ConnectionStage, reason: String? = nil, tls: TLSFailure? = nil
    ) -> TransportError {
        let reason = reason.map { " (\($0))" } ?? ""
        let next =
            switch stage {
            case .handshake: "check that a syncnode listens there, or try again later"
            case .session: "what was not acknowledged is sent again; connect again"
            }
        return TransportError(
            .closed, "\(remote) cut the connection during the \(stage.name)\(reason); \(next)", tls: tls)
    }

    static func handshakeTimeout(_ remote: String, milliseconds: Int) -> TransportError {
        TransportError(
            .timedOut,
            "the TLS handshake with \(remote) was not done after \(milliseconds) ms; "
                + "check that a syncnode listens there, or try again later")
    }

    static func idle(_ remote: String, milliseconds: Int) -> TransportError {
        TransportError(
            .timedOut, "\(remote) sent nothing for \(milliseconds) ms; check the network between, and connect again")
    }

    static func joinTimeout(_ remote: String, milliseconds: Int) -> TransportError {
        TransportError(
            .timedOut, "\(remote) did not finish joining within \(milliseconds) ms; join again")
    }

    static func closedHere(_ remote: String) -> TransportError {
        TransportError(.closed, "this node has closed the session with \(remote); connect again to go on")
    }

    static func badFrame(_ why: String, from remote: String, frame: FrameError? = nil) -> TransportError {
        TransportError(
            .badFrame, "\(remote) sent what is no frame: \(why); check that both nodes run matching versions",
            frame: frame)
    }
}
