// Whether both sides have one history of each origin: told by one digest, and where it differs by the ends of all histories.
//
// Invariant: what the peer said last is checked as soon as this side has what it speaks of; equal vectors prove nothing.
internal import ReplicationModel

struct HistoryCheck: Sendable {
    private enum State: Hashable {
        case idle
        case checking
        /// They differ; the peer is asked for its heads.
        case asked
        case comparing
    }
    private var state = State.idle
    /// Not checked yet: the peer's histories end with this digest, at this vector.
    private var due: (vector: VersionVector, digest: Identifier128)?
    /// How often this side has asked for heads.
    private var asks = Budget()
    /// The peer has asked for heads.
    private var isAsked = false
    private var isReading = false
    private var answered = Budget()
    /// How often either may ask in a day, and be asked.
    private static let questions = 4

    /// How the peer's histories end at its vector; what it said before is of no account any more.
    mutating func said(_ digest: Identifier128, at vector: VersionVector) { due = (vector, digest) }

    /// What can be checked now.
    ///
    /// - Parameter ours: this side's digest at `applied`; where both are the peer's, nothing need be looked up.
    mutating func next(applied: VersionVector, ours: Identifier128?) -> (VersionVector, Identifier128)? {
        guard state == .idle, let (vector, digest) = due, applied.covers(vector) else { return nil }
        due = nil
        if vector == applied, digest == ours { return nil }
        state = .checking
        return (vector, digest)
    }

    /// Whether the peer is to be asked.
    mutating func checked(areEqual: Bool, at now: Uptime) -> Bool {
        guard state == .checking else { return false }
        guard !areEqual, asks.take(of: Self.questions, at: now, each: .askersDay) else {
            state = .idle
            return false
        }
        state = .asked
        return true
    }

    mutating func received() throws(Violation) {
        guard state == .asked else { throw Violation(.unexpectedFrame, "heads that were not asked for") }
        state = .comparing
    }

    mutating func compared() { state = .idle }

    /// Nothing is under way; what the peer speaks of may be missing here still.
    var isSettled: Bool { !isAsked && !isReading && state == .idle }

    mutating func receivedQuestion(at now: Uptime) throws(Violation) {
        guard !isAsked, !isReading, answered.take(of: 2 * Self.questions, at: now, each: .day) else {
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
