// The store's answers to a session: SQLite's outcomes and the engine's violations in the session's own terms.
//
// Invariant: a peer learns that this node cannot go on, and never why: paths, SQL and messages stay in this node's log.

internal import ReplicaStore
public import ReplicationCore
public import ReplicationModel
public import ReplicationWire
internal import Trust

/// An answer of the store, for the session that asked.
public struct StoreAnswer: Sendable {
    /// What the session is to be given next.
    public let input: SessionInput
    /// What went wrong here, for this node's log; nil where nothing did.
    public let failure: (any Error)?
}

extension SessionStore {
    /// Does what an output asks of the store.
    ///
    /// - Parameter peer: with whom the session is.
    /// - Returns: the answer; nil for an output that asks nothing of the store.
    public func answer(_ output: SessionOutput, with peer: NodeID) -> StoreAnswer? {
        switch output {
        case .applyBatch(let batch, let leftOut):
            answering({ .applyFailed(.ours(Self.notice(of: $0))) }) {
                try self.apply(batch, leftOut: leftOut, from: peer)
            }
        case .readOutgoing(let request): answering { .outgoing(try self.outgoing(request)) }
        case .countBacklog(let vector, let skipping):
            answering { .backlogCounted(try self.backlog(lackedBy: vector, skipping: skipping)) }
        case .readRoster: answering { .rosterRead(try self.replica.rosterRecords()) }
        case .mergeRoster(let records):
            answering {
                do {
                    return .rosterMerged(digest: try self.mergeRoster(records).digest.bytes)
                } catch let refusal as CertificateRefusal {
                    return .rosterRefused("\(refusal)")
                }
            }
        // A peer's questions about contents take their turn, and their time: the driver sees to it.
        case .compare, .send, .setTimer, .cancelTimer, .rememberPeer, .rememberThirdNodes, .event, .close: nil
        }
    }

    private func answering(
        _ failed: (any Error) -> SessionInput = { .refuse(SessionStore.notice(of: $0)) },
        _ body: () throws -> SessionInput
    ) -> StoreAnswer {
        do {
            return StoreAnswer(input: try body(), failure: nil)
        } catch {
            return StoreAnswer(input: failed(error), failure: error)
        }
    }

    private func apply(_ batch: [SealedChangeSet], leftOut: Set<Origin>, from peer: NodeID) throws -> SessionInput {
        let report = try replica.apply(batch, from: peer, leftOut: leftOut, authors: refreshRoster())
        if let violation = report.violation { return .applyFailed(.peer(Self.notice(of: violation))) }
        return .applied(
            ReplicationCore.ApplyReport(
                applied: report.applied, safeBelow: SafeBelow(applied: report.applied, safe: report.safe),
                held: report.held,
                received: Tally(changeSets: UInt64(report.changeSets), changes: report.changes, bytes: report.bytes),
                conflicts: UInt64(max(report.conflicts, 0))))
    }

    private func outgoing(_ request: OutgoingRequest) throws -> OutgoingBatch {
        let run = try replica.outgoing(
            lackedBy: request.lackedBy, skipping: request.skipping, maximumBytes: Int(clamping: request.maxBytes))
        return OutgoingBatch(
            changeSets: run.changeSets.map {
                ReplicationCore.OutgoingChangeSet(
                    dot: $0.header.dot, changes: $0.header.changes, changeSet: $0.sealed)
            }, reachedEnd: run.reachedEnd)
    }

    private func backlog(lackedBy vector: VersionVector, skipping: Set<Origin>) throws -> Backlog {
        var lacked = vector
        if !skipping.isEmpty {
            let applied = try replica.vectors().applied
            for origin in skipping { lacked[origin] = applied[origin] }
        }
        return try replica.backlog(lackedBy: lacked)
    }

    private static func notice(of violation: ApplyViolation) -> ErrorNotice {
        let code: ErrorNotice.Code =
            switch violation.kind {
            case .malformed, .signature, .gap: .malformed
            case .author: .refused
            case .fork: .fork
            }
        return ErrorNotice(code: code, message: violation.description)
    }

    /// A peer learns that this node cannot go on, and when to come back; the rest is in this node's log.
    public static func notice(of error: any Error) -> ErrorNotice {
        let isFull = (error as? SQLError)?.isFull == true
        return ErrorNotice(
            code: isFull ? .busy : .internal,
            message: isFull ? "this node's disk is full" : "this node's replica failed; its log says how",
            retryAfterMilliseconds: 60_000)
    }
}
