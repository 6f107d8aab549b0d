// `pull --plan`: what a pull would bring and what would conflict.
//
// Invariant: nothing is applied, and the peer is told of nothing that was not.

internal import Logging
internal import PeerTransport
public import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
internal import Synchronization
internal import Trust

/// Takes in change sets in place of the replica.
final class RehearsalIntake: Sendable {
    private struct State {
        var applied: VersionVector
        var changeSets: [SealedChangeSet] = []
        var bytes: UInt64 = 0
    }

    /// What a plan looks at, about: nothing is acknowledged, so that the peer sends no more than the widest window. Below
    /// this the largest change set still fits into what is left of it, its frames' own bytes included.
    private static let bytesLimit =
        FrameLimits.greatestWindowBytes - UInt64(Limits.besideBytes + 2 * Limits.acceptedBodyBytes)

    private let state: Mutex<State>

    init(applied: VersionVector) { state = Mutex(State(applied: applied)) }

    var changeSets: [SealedChangeSet] { state.withLock { $0.changeSets } }
    /// There is as much as a plan looks at.
    var isFull: Bool { state.withLock { $0.bytes >= Self.bytesLimit } }

    /// As if the batch had been applied.
    func take(_ batch: [SealedChangeSet]) -> ReplicationCore.ApplyReport {
        state.withLock { state in
            var tally = Tally()
            for sealed in batch {
                // The rehearsal proves them all, and says which does not read.
                guard let header = try? ChangeSetCodec.decodeHeader(sealed.body) else { continue }
                state.applied[header.origin] = max(state.applied[header.origin], header.sequence)
                tally += Tally(
                    changeSets: 1, changes: header.changes, bytes: UInt64(sealed.body.count) + header.besideBytes)
            }
            state.bytes += tally.bytes
            state.changeSets += batch
            return ReplicationCore.ApplyReport(applied: state.applied, received: tally)
        }
    }
}

/// What a pull from one peer would do.
public struct PullPlan: Sendable {
    public let peer: PeerSyncResult
    /// Nil where the peer could not be asked.
    public let rehearsal: Rehearsal?
    /// More would come than was looked at: a plan looks at about 28 MiB.
    public let isPartial: Bool
}

extension Node {
    public func plan(with target: SyncTarget) async -> PullPlan {
        await plan(with: target, attempts: Self.greatestRewinds)
    }

    private func plan(with target: SyncTarget, attempts: Int) async -> PullPlan {
        let began = Monotonic.now
        var result = PeerSyncResult(
            name: target.name, node: target.node, address: target.endpoint.description, summary: .init(),
            durationMilliseconds: 0)
        do {
            let applied = try await BlockingWork.run { [self] in try replica.vectors().applied }
            let intake = RehearsalIntake(applied: applied)
            let link = try await dial(target)
            guard let peer = link.peer?.nodeID else { preconditionFailure("an exchange link has a proven peer") }
            result.node = peer
            result.name = name(of: peer)
            let driver = SessionDriver(
                node: self, link: link, peer: peer, role: .dialling(.pull),
                logger: Logger(label: "syncnode.plan") { _ in SwiftLogNoOpLogHandler() }, observer: .init(),
                rehearsal: intake)
            let outcome = try await driver.run()
            // The roster is taken in whatever else is only planned; what it cuts off goes first.
            if outcome.ending.isRewound, attempts > 0 { return await plan(with: target, attempts: attempts - 1) }
            result.summary = outcome.summary
            let isPartial = intake.isFull && outcome.ending != .completed
            if !isPartial { result.failure = failure(of: outcome) }
            let rehearsal = try await BlockingWork.run { [self] in
                try replica.rehearse(intake.changeSets, from: peer, authors: refreshRoster())
            }
            result.durationMilliseconds = (Monotonic.now.microseconds - began.microseconds) / 1000
            return PullPlan(peer: result, rehearsal: rehearsal, isPartial: isPartial)
        } catch {
            result.failure = failure(of: error)
            return PullPlan(peer: result, rehearsal: nil, isPartial: false)
        }
    }
}
