// The sessions that are open now.
//
// Invariant: of two live sessions with one peer, both sides keep the one that the smaller node id dialled.

internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
internal import Synchronization
internal import Trust

final class SessionBoard: Sendable {
    /// Sessions that one peer may have dialled: a live one, and its user's scripts beside it.
    static let sessionsOfPeer = 32

    struct Ticket: Hashable {
        fileprivate let number: UInt64
    }

    private struct State {
        var next: UInt64 = 0
        var sessions: [Ticket: SessionDriver] = [:]
        /// How many of each peer are answered, from before they begin, and what waits in them.
        var answered: [NodeID: (count: Int, frames: PeerFrames)] = [:]
        var isStopping = false
    }

    private let state = Mutex(State())

    func add(_ driver: SessionDriver) -> Ticket {
        let (ticket, isStopping) = state.withLock { state in
            state.next += 1
            let ticket = Ticket(number: state.next)
            state.sessions[ticket] = driver
            return (ticket, state.isStopping)
        }
        if isStopping { driver.stop() }
        return ticket
    }

    func remove(_ ticket: Ticket) { state.withLock { $0.sessions[ticket] = nil } }

    /// The replica has more than it had.
    func changed() {
        for driver in state.withLock({ Array($0.sessions.values) }) { driver.localChanged() }
    }

    /// Ends the sessions of peers that are no longer let in: admission is asked at the handshake only.
    func enforce(_ roster: Roster, at now: WallClock) {
        for driver in state.withLock({ Array($0.sessions.values) }) {
            guard let member = roster.member(driver.peer) else { continue }
            if member.isRevoked {
                driver.refuse(ErrorNotice(code: .refused, message: "this node was revoked"))
            } else if let lasting = member.lasting, lasting.notAfter < now {
                driver.refuse(ErrorNotice(code: .refused, message: "the certificate of this node has run out"))
            }
        }
    }

    /// Counts one more session that a peer dialled, until `leave`. Nil where it has as many as it may.
    func enter(_ peer: NodeID) -> PeerFrames? {
        state.withLock { state in
            let (count, frames) = state.answered[peer] ?? (0, PeerFrames())
            guard count < Self.sessionsOfPeer else { return nil }
            state.answered[peer] = (count + 1, frames)
            return frames
        }
    }

    /// The session that `enter` counted is over.
    func leave(_ peer: NodeID) {
        state.withLock { state in
            guard let (count, frames) = state.answered[peer] else { preconditionFailure("who leaves has entered") }
            state.answered[peer] = count == 1 ? nil : (count - 1, frames)
        }
    }

    func hasLive(_ peer: NodeID, but other: Ticket? = nil) -> Bool {
        state.withLock { $0.sessions.contains { $0.key != other && $0.value.peer == peer && $0.value.isLive } }
    }

    /// Ends what is twofold. Each side stops only what it dialled itself, so both agree without a word: of sessions that it dialled
    /// at several addresses of the peer it keeps the first.
    func settle(_ peer: NodeID, own: NodeID) {
        let live = state.withLock { state in
            state.sessions.filter { $0.value.peer == peer && $0.value.isLive }
                .sorted { $0.key.number < $1.key.number }.map(\.value)
        }
        let dialled = live.filter { $0.role != .answering }
        let answered = live.filter { $0.role == .answering }
        let kept = answered.isEmpty || own < peer ? 1 : 0
        for driver in dialled.dropFirst(kept) { driver.stop() }
    }

    /// Stops every session, and waits for their ends, but not longer than said.
    func stopAll(within limit: Duration) async {
        let open = state.withLock { state in
            state.isStopping = true
            return Array(state.sessions.values)
        }
        for driver in open { driver.stop() }
        let deadline = ContinuousClock.now.advanced(by: limit)
        while ContinuousClock.now < deadline, state.withLock({ !$0.sessions.isEmpty }) {
            await pauseFully(for: .milliseconds(20))
        }
    }
}
