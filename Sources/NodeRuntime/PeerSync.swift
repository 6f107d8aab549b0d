// Pull, push and sync as commands do them: dial, exchange, say what came of it.
//
// Invariant: whatever the outcome, it is remembered for `lag` before it is reported.

internal import Logging
internal import NIOCore
internal import NIOPosix
public import PeerTransport
public import ReplicationCore
public import ReplicationModel
public import ReplicationWire
internal import ReplicaExchange
internal import ReplicaStore
internal import Trust

/// What came of an exchange with one peer.
public struct PeerSyncResult: Sendable {
    /// As the user named it, or its name.
    public var name: String
    /// Nil where it was never reached.
    public var node: NodeID?
    public var address: String
    public var summary: SessionSummary
    public var durationMilliseconds: Int64
    /// Nil where all went well.
    public var failure: PeerSyncFailure?
}

/// Why an exchange failed.
public struct PeerSyncFailure: Sendable, Hashable {
    public enum Kind: String, Sendable { case unreachable, refused, protocolError = "protocol", interrupted, local }
    public let kind: Kind
    public let message: String
    /// What kind of trouble it was, where it was this node's.
    public enum Trouble: Sendable, Hashable { case busy, damaged, noPeer, other }
    public let trouble: Trouble

    public init(kind: Kind, message: String, trouble: Trouble = .other) {
        self.kind = kind
        self.message = message
        self.trouble = trouble
    }

    /// The same, where more peers than one were asked.
    public func named(_ peer: PeerSyncResult) -> PeerSyncFailure {
        let saysAddress = peer.name == peer.address && message.contains(peer.address)
        return saysAddress
            ? self
            : PeerSyncFailure(kind: kind, message: "\(peer.name) (\(peer.address)): \(message)", trouble: trouble)
    }
}

/// A peer to exchange with.
public struct SyncTarget: Sendable, Hashable {
    public let name: String
    public let endpoint: Endpoint
    /// Whose address it is, where that is known: another node there is refused.
    public let node: NodeID?
}

extension Node {
    /// Finds peers by name, id or address; every known one where none is named.
    ///
    /// - Throws: `NodeError` where a name means nothing here, or no peer is known.
    public func targets(_ names: [String]) throws -> [SyncTarget] {
        let known = try replica.addresses()
        guard !names.isEmpty else {
            guard !known.isEmpty else {
                throw NodeError(
                    .noPeer, "No peer is known. Add one with `syncnode peer add HOST:PORT`, or name HOST:PORT here.")
            }
            return try known.map { try target($0) }
        }
        return try names.map { text in
            if let member = try member(named: text) {
                guard let address = known.first(where: { $0.node == member.node }) else {
                    throw NodeError(
                        .noPeer,
                        "It is not known where “\(text)” can be reached. Add its address with `syncnode peer add HOST:PORT`, or name HOST:PORT here."
                    )
                }
                return try target(address)
            }
            guard text.contains(":") else {
                throw NodeError(
                    .noPeer,
                    "“\(text)” is no node of this workspace. `syncnode roster` lists them; an address is HOST:PORT.")
            }
            let endpoint = try Endpoint(text)
            return try known.first { $0.address == endpoint.description }.map(target)
                ?? SyncTarget(name: text, endpoint: endpoint, node: nil)
        }
    }

    private func target(_ address: ReplicaStore.PeerAddress) throws -> SyncTarget {
        SyncTarget(
            name: address.node.map { name(of: $0) } ?? address.address, endpoint: try Endpoint(address.address),
            node: address.node)
    }

    /// Exchanges with one peer, to the end.
    ///
    /// - Parameter event: told what happens meanwhile.
    public func exchange(
        with target: SyncTarget, mode: SyncMode, event: @escaping @Sendable (SessionEvent) -> Void = { _ in }
    ) async -> PeerSyncResult {
        let began = Monotonic.now
        var result = PeerSyncResult(
            name: target.name, node: target.node, address: target.endpoint.description, summary: SessionSummary(),
            durationMilliseconds: 0)
        do {
            let clockWasInDoubt = try await BlockingWork.run { [replica] in
                try replica.clockDoubtMilliseconds() != nil
            }
            var outcome = try await dialUntilSettled(target, mode: mode, event: event, into: &result)
            if clockWasInDoubt, mode.send, outcome.ending == .completed {
                // The peer has said what time it is: edits that waited for that go now.
                outcome = try await dialUntilSettled(target, mode: mode, event: event, into: &result)
            }
            result.failure = failure(of: outcome)
        } catch {
            result.failure = failure(of: error)
        }
        do {
            try await record(target, result.node, result.failure)
        } catch {
            // How it ended is what the caller must hear of; that it could not be written down comes second.
            result.failure = result.failure ?? failure(of: error)
        }
        result.durationMilliseconds = (Monotonic.now.microseconds - began.microseconds) / 1000
        return result
    }

    /// Why an exchange failed; with the file where it was the replica's.
    func failure(of error: any Error) -> PeerSyncFailure {
        func local(_ trouble: PeerSyncFailure.Trouble) -> PeerSyncFailure {
            let message = (error as? SQLError)?.explained(at: replica.path)
            return PeerSyncFailure(kind: .local, message: message ?? "\(error)", trouble: trouble)
        }
        let refused = PeerSyncFailure(kind: .refused, message: "\(error)")
        switch error {
        case let error as SQLError: return local(error.isBusy ? .busy : error.isCorrupt ? .damaged : .other)
        case let error as ReplicaError:
            switch error.code {
            case .refused: return refused
            case .busy, .closed: return local(.busy)
            case .damaged, .fork: return local(.damaged)
            case .absent, .exists, .notAReplica, .tooNew, .schema, .input, .noKey, .inputOutput: return local(.other)
            }
        case let error as NodeError:
            switch error.code {
            case .refused: return refused
            case .noPeer: return local(.noPeer)
            case .busy: return local(.busy)
            case .usage, .unusable: return local(.other)
            }
        case let error as TrustError: return error.isRefusal ? refused : local(.other)
        case let error as TransportError:
            return PeerSyncFailure(kind: error.isRefusal ? .refused : .unreachable, message: error.description)
        case is CancellationError:
            return PeerSyncFailure(
                kind: .interrupted, message: "Stopped before the peer was reached; nothing was exchanged.")
        default: return local(.other)
        }
    }

    /// Why a session did not do what it was for; nil where it did.
    func failure(of outcome: SessionResult) -> PeerSyncFailure? {
        outcome.failure.map { failure(of: $0) } ?? Self.failure(of: outcome.ending, with: name(of: outcome.peer))
    }

    /// Writes down how an attempt ended, for `lag`.
    func record(_ target: SyncTarget, _ peer: NodeID?, _ failure: PeerSyncFailure?) async throws {
        let failure = failure.map { PeerFailure(kind: $0.kind.rawValue, message: $0.message) }
        try await BlockingWork.run { [self] in
            try replica.recordAttempt(at: target.endpoint.description, failure: failure)
            if let peer { try replica.recordAttempt(peer, failure: failure) }
        }
    }

    /// A revocation or a fork proof may end a session, on either side, as soon as it is learnt; the next one goes on with the
    /// vectors as they are then. So it does with what follows on something that was held and came free meanwhile. More often than
    /// this nothing honest happens in one exchange.
    static let greatestRewinds = 8

    /// - Parameter result: given what was done so far and by whom, also where a later session does not come about.
    private func dialUntilSettled(
        _ target: SyncTarget, mode: SyncMode, event: @escaping @Sendable (SessionEvent) -> Void,
        into result: inout PeerSyncResult
    ) async throws -> SessionResult {
        var rewinds = 0
        while true {
            let outcome = try await dialAndRun(target, mode: mode, event: event)
            result.node = outcome.peer
            result.name = name(of: outcome.peer)
            result.summary += outcome.summary
            rewinds += 1
            guard outcome.ending.isRewound || outcome.leavesMore, rewinds <= Self.greatestRewinds else {
                return outcome
            }
        }
    }

    private func dialAndRun(
        _ target: SyncTarget, mode: SyncMode, event: @escaping @Sendable (SessionEvent) -> Void
    ) async throws -> SessionResult {
        try await BlockingWork.run { [store] in try store.prepareToDial() }
        let link = try await dial(target)
        guard let peer = link.peer?.nodeID else { preconditionFailure("an exchange link has a proven peer") }
        let driver = SessionDriver(
            node: self, link: link, peer: peer, role: .dialling(mode),
            logger: Logger(label: "syncnode.session") { _ in SwiftLogNoOpLogHandler() },
            observer: SessionDriver.Observer(event: event))
        return try await driver.run()
    }

    /// Dials, and writes down whose address it proved to be.
    func dial(_ target: SyncTarget) async throws -> PeerLink {
        let dialer = PeerDialer(group: MultiThreadedEventLoopGroup.singleton)
        let link = try await dialer.dial(target.endpoint, context: tlsContext(), offering: .exchange)
        guard let peer = link.peer else { preconditionFailure("an exchange link has a proven peer") }
        guard peer.nodeID != id else {
            await link.close()
            throw NodeError(
                .refused, "\(target.endpoint) is this node itself: `syncnode peer remove \(target.endpoint)`.")
        }
        if let expected = target.node, expected != peer.nodeID, target.name != target.endpoint.description {
            let seen = peer.name
            await link.close()
            throw NodeError(
                .refused,
                "At \(target.endpoint) answers “\(seen)”, not “\(target.name)”. Remove the address with `syncnode peer remove \(target.endpoint)` and add the right one."
            )
        }
        try await link.closingOnFailure {
            try await BlockingWork.run { [self] in
                try store.meet(peer)
                // The handshake asked the roster as it was when dialling began.
                do {
                    try store.roster.checkMayConnect(peer, now: clock())
                } catch {
                    throw NodeError(
                        .refused, "At \(target.endpoint) answers “\(peer.name)”, which is not let in: \(error).")
                }
                try replica.setNode(peer.nodeID, at: target.endpoint.description)
            }
        }
        return link
    }

    /// - Parameter name: the peer's.
    static func failure(of ending: SessionEnding, with name: String) -> PeerSyncFailure? {
        switch ending {
        case .completed: nil
        case .incomplete(let missing):
            PeerSyncFailure(
                kind: .interrupted,
                message: "\(missing.of("change set")) did not come over, though nothing keeps them. Try again.")
        case .stopped:
            PeerSyncFailure(kind: .interrupted, message: "Stopped before it was done; what was committed stays.")
        case .peerLeft:
            PeerSyncFailure(kind: .interrupted, message: "The peer said goodbye before it was done. Try again.")
        case .violated(let violation):
            PeerSyncFailure(
                kind: .protocolError,
                message:
                    "The peer broke the protocol: \(violation.description). Try again; if it stays so, see that both run one version."
            )
        case .rewound:
            PeerSyncFailure(
                kind: .interrupted,
                message:
                    "This replica took back what it had told the peer, for a revocation or a fork cuts it off or its disk changed it. Try again."
            )
        case .peerError(let notice):
            switch notice.code {
            case .refused: PeerSyncFailure(kind: .refused, message: "“\(name)” refuses this node: \(notice.message)")
            case .busy, .internal, .timeout:
                PeerSyncFailure(
                    kind: .interrupted, message: "The peer cannot go on now: \(notice.message). Try again later.")
            default: PeerSyncFailure(kind: .protocolError, message: "The peer refused: \(notice.message)")
            }
        case .refused(let notice): PeerSyncFailure(kind: .refused, message: "Refused: \(notice.message)")
        case .failed(let notice): PeerSyncFailure(kind: .local, message: "This node could not go on: \(notice.message)")
        case .timedOut(let timer):
            PeerSyncFailure(kind: .unreachable, message: "The peer did not answer in time (\(timer)).")
        case .disconnected(let reason): PeerSyncFailure(kind: .unreachable, message: "The connection broke: \(reason)")
        }
    }
}

extension PeerLink {
    /// Does what comes before the link's first use; where that fails, the link is closed. Letting go of one closes nothing.
    func closingOnFailure<Value: Sendable>(_ body: @Sendable () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch {
            await close()
            throw error
        }
    }
}
