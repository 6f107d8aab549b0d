// The store's answers to a session: SQLite's outcomes and the engine's violations in the session's own terms.
//
// Invariant: a peer learns that this node cannot go on, and never why: paths, SQL and messages stay in this node's log.

public import ReplicationWire
internal import ReplicaStore
public import ReplicationCore
public import ReplicationModel
internal import Trust

/// An answer of the store, for the session that asked.
public struct StoreAnswer: Sendable {
    /// What the session is to be given next, in order.
    public let inputs: [SessionInput]
    /// What went wrong here, for this node's log; nil where nothing did.
    public let failure: (any Error)?
}

extension SessionStore {
    /// Does what an output asks of the store.
    ///
    /// - Parameters:
    ///   - peer: with whom the session is.
    ///   - exchange: of the session.
    /// - Returns: the answer; nil for an output that asks nothing of the store.
    public func answer(_ output: SessionOutput, with peer: NodeID, _ exchange: ExchangeState) -> StoreAnswer? {
        switch output {
        case .applyBatch(let batch, let leftOut):
            answering({ .applyFailed(.ours(Self.notice(of: $0))) }) {
                try self.apply(batch, leftOut: leftOut, from: peer, exchange)
            }
        case .readOutgoing(let request): answering { [.outgoing(try self.outgoing(request))] }
        case .countBacklog(let vector, let skipping):
            answering { [.backlogCounted(try self.backlog(lackedBy: vector, skipping: skipping))] }
        case .readRoster:
            answering {
                let (records, digest) = try self.rosterRecords()
                return [.rosterRead(records, digest: digest)]
            }
        case .mergeRoster(let records): answering { [try self.merge(records, exchange, with: peer)] }
        case .readSigned(let dot): answering { [.signedRead(try self.replica.signedChangeSet(dot))] }
        case .checkHistories(let vector, let digest):
            answering {
                let heads = try self.replica.heads(at: vector)
                return [
                    .historiesChecked(areEqual: heads.map { SHA256.digest($0.digestInput).first == digest } ?? true)
                ]
            }
        case .readHeads: answering { [.headsRead(try self.replica.heads())] }
        case .compareHeads(let heads):
            answering {
                let suspicions = try self.replica.suspicions(comparing: heads)
                return [.headsCompared(suspicions.compactMap { exchange.search(for: $0)?.firstQuestion })]
            }
        case .readAgain(let dot):
            answering {
                // Who lacks its values too has nothing to give.
                let again = try self.replica.again(dot).flatMap { $0.sealed.values.contains { $0 != nil } ? $0 : nil }
                return [.againRead(again.map(Self.outgoing))]
            }
        case .examineAnswer(let dot, let changeSet): answering { [try self.examine(dot, changeSet, exchange)] }
        case .compare(let question): answer(question)
        case .send, .setTimer, .cancelTimer, .rememberPeer, .rememberThirdNodes, .event, .close: nil
        }
    }

    /// Reads what a peer asks for.
    ///
    /// - Parameter isCancelled: asked as it goes: nobody waits for the answer any more.
    /// - Returns: nil where it was cancelled.
    public func answer(
        _ question: ComparisonQuestion, isCancelled: @escaping () -> Bool = { false }
    ) -> StoreAnswer? {
        do {
            return StoreAnswer(
                inputs: [.compared(try replica.answer(question, isCancelled: isCancelled))], failure: nil)
        } catch is CancellationError {
            return nil
        } catch let error as ReplicaError where error.code == .input {
            return StoreAnswer(
                inputs: [.refuse(ErrorNotice(code: .malformed, message: error.description))], failure: nil)
        } catch {
            return StoreAnswer(inputs: [.failed(Self.notice(of: error))], failure: error)
        }
    }

    private func answering(
        _ failed: (any Error) -> SessionInput = { .failed(SessionStore.notice(of: $0)) },
        _ body: () throws -> [SessionInput]
    ) -> StoreAnswer {
        do {
            return StoreAnswer(inputs: try body(), failure: nil)
        } catch {
            return StoreAnswer(inputs: [failed(error)], failure: error)
        }
    }

    private func apply(
        _ batch: [SealedChangeSet], leftOut: Set<Origin>, from peer: NodeID, _ exchange: ExchangeState
    ) throws -> [SessionInput] {
        let report = try replica.apply(batch, from: peer, leftOut: leftOut, authors: refreshRoster())
        // What no longer fits since is not the peer's fault.
        if exchange.isVoid(report.rewinds) { return [.rewound] }
        if let violation = report.violation {
            let notice = Self.notice(of: violation)
            return [.applyFailed(violation.kind == .heldEnough ? .ours(notice) : .peer(notice))]
        }
        // Before the acknowledgement, which may be the last that the peer waits for.
        let questions = report.forks.compactMap { exchange.search(for: $0) }.map {
            SessionInput.askSigned($0.firstQuestion)
        }
        return questions + [
            .applied(
                ReplicationCore.ApplyReport(
                    applied: report.applied, safeBelow: SafeBelow(applied: report.applied, safe: report.safe),
                    held: report.held,
                    received: Tally(
                        changeSets: UInt64(report.changeSets), changes: report.changes, bytes: report.bytes),
                    conflicts: UInt64(max(report.conflicts, 0))))
        ]
    }

    private func merge(
        _ records: [[UInt8]], _ exchange: ExchangeState, with peer: NodeID
    ) throws -> SessionInput {
        let merged: RosterMerge
        do {
            merged = try mergeRoster(records)
        } catch let refusal as CertificateRefusal {
            return .rosterRefused("\(refusal)")
        } catch let refusal as ForkProofError {
            return .rosterRefused("\(refusal)")
        }
        let standing = try replica.standing()
        if exchange.isVoid(standing.rewinds) { return .rewound }
        let hasReleased = merged.rewind.map { $0.released > 0 || $0.rewritten > 0 } ?? false
        return .rosterMerged(
            digest: merged.digest, before: merged.before,
            released: hasReleased ? try localState(standing, for: peer) : nil)
    }

    /// Goes on with the search for a fork; a proof that is found cuts its origin off here, and ends the session.
    private func examine(_ dot: Dot, _ answer: SealedChangeSet?, _ exchange: ExchangeState) throws -> SessionInput {
        var search = exchange.search(in: dot)
        let step: ForkStep
        do {
            step = try replica.goOn(&search, answer: answer, asked: dot, authors: refreshRoster())
        } catch is ApplyViolation {
            step = .nothing
        }
        exchange.keep(search, for: dot.origin)
        switch step {
        case .ask(let next): return .examined(next: next)
        case .nothing: return .examined(next: nil)
        case .found(let proof):
            try replica.addForkProofs([proof])
            try refreshRoster()
            return exchange.isVoid(try replica.rewinds()) ? .rewound : .examined(next: nil)
        }
    }

    private static func outgoing(_ changeSet: ReplicaStore.OutgoingChangeSet) -> ReplicationCore.OutgoingChangeSet {
        ReplicationCore.OutgoingChangeSet(
            dot: changeSet.header.dot, changes: changeSet.header.changes, changeSet: changeSet.sealed)
    }

    private func outgoing(_ request: OutgoingRequest) throws -> OutgoingBatch {
        let run = try replica.outgoing(
            lackedBy: request.lackedBy, skipping: request.skipping, maximumBytes: Int(clamping: request.maxBytes))
        // After the change sets, whose authors stand in it.
        return OutgoingBatch(
            changeSets: run.changeSets.map(Self.outgoing), reachedEnd: run.reachedEnd,
            rosterDigest: try rosterDigest())
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
            case .heldEnough: .busy
            }
        return ErrorNotice(
            code: code, message: violation.description, retryAfterMilliseconds: code == .busy ? 300_000 : 0)
    }

    /// What a peer is told where the store fails.
    public static func notice(of error: any Error) -> ErrorNotice {
        let isFull = (error as? SQLError)?.isFull == true
        return ErrorNotice(
            code: isFull ? .busy : .internal,
            message: isFull ? "this node's disk is full" : "this node's replica failed; its log says how",
            retryAfterMilliseconds: 60_000)
    }
}
