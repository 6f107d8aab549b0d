// Whether both sides have one history of each origin: told by one digest, and where it differs by the ends of all histories.
//
// Invariant: what the peer said is checked once, as soon as this side has what it speaks of; equal vectors prove nothing.
internal import ReplicationModel

struct HistoryCheck: Sendable {
    private enum State: Hashable {
        /// Nothing was said, or it was checked.
        case done
        /// The peer's histories end with this digest, at this vector.
        case due(VersionVector, Identifier128)
        case checking
        /// They differ; the peer is asked for its heads.
        case asked
        case comparing
    }
    private var state = State.done
    /// The peer has asked for heads.
    private var isAsked = false
    private var isReading = false
    private var answered = 0
    /// How often a peer may ask in one session.
    private static let questions = 4

    /// - Parameter ours: this side's digest, where its vector is the same.
    mutating func greeted(_ vector: VersionVector, _ digest: Identifier128?, ours: Identifier128?) {
        guard let digest, digest != ours else { return }
        state = .due(vector, digest)
    }

    /// What can be checked now.
    mutating func next(applied: VersionVector) -> (VersionVector, Identifier128)? {
        guard case .due(let vector, let digest) = state, applied.covers(vector) else { return nil }
        state = .checking
        return (vector, digest)
    }

    /// Whether the peer is to be asked.
    mutating func checked(areEqual: Bool) -> Bool {
        guard state == .checking else { return false }
        state = areEqual ? .done : .asked
        return !areEqual
    }

    mutating func received() throws(Violation) {
        guard state == .asked else { throw Violation(.unexpectedFrame, "heads that were not asked for") }
        state = .comparing
    }

    mutating func compared() { state = .done }

    /// Nothing is under way; what the peer speaks of may be missing here still.
    var isSettled: Bool {
        guard !isAsked, !isReading else { return false }
        switch state {
        case .done, .due: return true
        case .checking, .asked, .comparing: return false
        }
    }

    mutating func receivedQuestion() throws(Violation) {
        answered += 1
        guard !isAsked, !isReading, answered <= Self.questions else {
            throw Violation(.unexpectedFrame, "a question for heads too many")
        }
        isAsked = true
    }

    mutating func startReading() -> Bool {
        guard isAsked, !isReading else { return false }
        isAsked = false
        isReading = true
        return true
    }

    mutating func read() -> Bool {
        defer { isReading = false }
        return isReading
    }
}
