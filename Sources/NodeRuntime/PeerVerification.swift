// `verify PEER`: whether two replicas with equal vectors hold the same, and where they do not.
//
// Invariant: a difference is reported only where both sides answered for one and the same vector, each from one snapshot
// with nothing unsealed and nothing awaited in it; so a peer that goes on writing raises no false alarm.

internal import Logging
internal import PeerTransport
public import ReplicaStore
public import ReplicationCore
public import ReplicationModel
internal import ReplicationWire
internal import Trust

/// What comparing with a peer came to.
public struct PeerVerification: Sendable {
    /// Whether they could be compared, and are equal.
    public enum Outcome: Sendable, Hashable {
        case equal
        case differs
        /// One side has change sets that the other lacks.
        case unequalVectors(lackedHere: UInt64, lackedThere: UInt64)
        /// Values have yet to arrive on one side.
        case catchingUp
        /// One side went on writing whenever it was asked.
        case unsettled
        case failed(PeerSyncFailure)
    }
    public var name: String
    public var node: NodeID?
    public let address: String
    public var outcome = Outcome.unsettled
    /// In the order in which they were found.
    public var differences: [PeerDifference] = []
    /// There are more.
    public var isCutShort = false
    /// Items compared, here.
    public var items: [ComparisonSection: UInt64] = [:]
    /// What could not be compared, and why; no damage.
    public var notCompared: [String] = []
    public var questions = 0
    public var bytesSent: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var durationMilliseconds: Int64 = 0
    /// What verifying this side found, where something differs.
    public var local: VerifyReport?
}

/// A difference, and which side is wrong.
public struct PeerDifference: Sendable {
    public enum Side: String, Sendable { case here, there, unknown }
    public let difference: ContentDifference
    public let side: Side
    /// What was found here at that place.
    public let finding: VerifyFinding?
}

/// How far a comparison has come.
public enum PeerVerifyProgress: Sendable {
    case connecting
    case exchanging(SessionEvent)
    case comparing(questions: Int)
    case verifyingHere(VerifyProgress)
}

extension Node {
    private static let verifyAttempts = 5

    /// Compares this replica with a peer's, as often as it takes for both to stand still a moment.
    ///
    /// - Parameter syncing: whether to exchange change sets first; otherwise nothing is changed on either side.
    public func verify(
        with target: SyncTarget, syncing: Bool, progress: @escaping @Sendable (PeerVerifyProgress) -> Void = { _ in }
    ) async -> PeerVerification {
        let began = Monotonic.now
        var result = PeerVerification(name: target.name, node: target.node, address: target.endpoint.description)
        var before: PeerVerification.Outcome?
        for attempt in 0..<Self.verifyAttempts {
            do {
                try await compare(with: target, syncing: syncing, &result, progress)
            } catch let ended as SessionEnded {
                result.outcome = .failed(ended.failure)
            } catch {
                result.outcome = .failed(failure(of: error))
            }
            switch result.outcome {
            case .equal, .differs, .failed: break
            // The same again: they stand still, and will not meet by waiting.
            case .unequalVectors where before == result.outcome: break
            case .unequalVectors, .catchingUp, .unsettled:
                before = result.outcome
                guard attempt + 1 < Self.verifyAttempts else { break }
                do {
                    try await Task.sleep(for: .milliseconds(200 << attempt))
                    continue
                } catch {
                    result.outcome = .failed(
                        PeerSyncFailure(kind: .interrupted, message: "Stopped before it was done; nothing was changed.")
                    )
                }
            }
            break
        }
        result.durationMilliseconds = (Monotonic.now.microseconds - began.microseconds) / 1000
        return result
    }

    private struct SessionEnded: Error {
        let failure: PeerSyncFailure
    }

    private func compare(
        with target: SyncTarget, syncing: Bool, _ result: inout PeerVerification,
        _ progress: @escaping @Sendable (PeerVerifyProgress) -> Void
    ) async throws {
        progress(.connecting)
        try await BlockingWork.run { [self] in
            try refreshRoster()
            try replica.sealUnlessClockIsDoubtful()
        }
        let link = try await dial(target)
        guard let peer = link.peer?.nodeID else { preconditionFailure("an exchange link has a proven peer") }
        result.node = peer
        result.name = name(of: peer)
        defer {
            result.bytesSent += link.bytesSent
            result.bytesReceived += link.bytesReceived
        }
        let (events, end) = AsyncStream.makeStream(of: SessionEvent.self)
        let mode = syncing ? SyncMode.sync : SyncMode(receive: false, send: false)
        let driver = SessionDriver(
            node: self, link: link, peer: peer, role: .dialling(mode),
            logger: Logger(label: "syncnode.session") { _ in SwiftLogNoOpLogHandler() },
            observer: SessionDriver.Observer(event: {
                end.yield($0)
                progress(.exchanging($0))
            }), staysToAsk: true)
        let session = Task {
            defer { end.finish() }
            return try await driver.run()
        }
        let asker = PeerAsker(driver: driver, events: events.makeAsyncIterator(), node: self)
        do {
            try await withTaskCancellationHandler {
                try await asker.compare(&result, progress)
            } onCancel: {
                driver.stop()
            }
        } catch is PeerAsker.Ended {
            let outcome = try await session.value
            // It learnt of a cut, or took in what follows on something held: the next one goes on from there.
            if outcome.ending.isRewound || outcome.leavesMore {
                result.outcome = .unsettled
                return
            }
            throw SessionEnded(
                failure: failure(of: outcome)
                    ?? PeerSyncFailure(kind: .interrupted, message: "The peer left before it was done."))
        } catch {
            driver.stop()
            // What went wrong first is what is told.
            _ = try? await session.value
            throw error
        }
        driver.stop()
        _ = try await session.value
    }
}
