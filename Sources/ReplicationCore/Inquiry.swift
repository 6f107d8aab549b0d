// Questions between the two sides of a session: single change sets as they were signed, to find where two histories of one
// origin part.
//
// Invariant: every answer is to a question, and neither side ends a session while the other still asks.
internal import ReplicationModel
internal import ReplicationWire

/// What was asked and not answered, on both sides.
struct Inquiry: Sendable {
    /// Two histories of 2^48 change sets are told apart with 49 questions; this many origins at once.
    static let searches = 16
    /// What a peer may ask in a day.
    private static let questions = 1_024
    /// How often a change set is asked for once more in a day: half of what the searches leave of that.
    static let awaited = (questions - searches * 49) / 2

    private var asked: [Dot] = []
    /// An answer is being examined.
    private var isExamining = false
    private var answers: [(Dot, SealedChangeSet?)] = []
    /// The peer asks, or said that it will, and did not say yet that it was enough.
    private(set) var peerAsks = false
    /// The greeting said that this side asks.
    private(set) var isPromised = false
    /// The peer waits to hear that it was enough.
    private var owesEnough = false
    private var waiting: [Dot] = []
    private var reading: Dot?
    private var isReading: Bool { reading != nil }
    private var taken = Budget()
    /// Asked for once more, and on the way.
    private var wanted: Set<Dot> = []
    /// Asked for once more in this session, whether it came or not.
    private var wantedOnce: Set<Dot> = []
    private var budget = Budget()
    private var againWaiting: [Dot] = []
    private var againReading: Dot?

    /// Nothing is asked by either side.
    var isSettled: Bool {
        isAnswered && !peerAsks && waiting.isEmpty && !isReading && wanted.isEmpty && againWaiting.isEmpty
            && againReading == nil
    }
    /// What this side asked for as it was signed is answered.
    private var isAnswered: Bool { asked.isEmpty && answers.isEmpty && !isExamining }

    /// The peer greeted so: it stays to ask.
    mutating func peerPromised() { peerAsks = true }

    /// This side greets so, and owes the peer a word when it has asked everything.
    mutating func promise() {
        isPromised = true
        owesEnough = true
    }

    mutating func ask(_ dot: Dot) {
        asked.append(dot)
        owesEnough = true
    }

    /// Whether the peer is to be told that it was enough: once, when everything is answered.
    mutating func saysEnough() -> Bool {
        guard owesEnough, isAnswered, wanted.isEmpty else { return false }
        owesEnough = false
        return true
    }

    mutating func answered(_ dot: Dot, _ changeSet: SealedChangeSet?) throws(Violation) {
        if changeSet == nil, wanted.remove(dot) != nil { return }
        guard let place = asked.firstIndex(of: dot) else {
            // It came by itself before this said that it would not.
            if changeSet == nil, wantedOnce.contains(dot) { return }
            throw Violation(.unexpectedFrame, "an answer that was not asked for")
        }
        asked.remove(at: place)
        answers.append((dot, changeSet))
    }

    // MARK: Change sets once more, with values that are awaited

    /// False: it is on the way, or enough was asked for today.
    mutating func want(_ dot: Dot, at now: Uptime) -> Bool {
        guard !wanted.contains(dot), budget.take(of: Self.awaited, at: now, each: .askersDay) else { return false }
        wanted.insert(dot)
        wantedOnce.insert(dot)
        return true
    }
    mutating func came(_ dot: Dot) { wanted.remove(dot) }
    func wants(_ dot: Dot) -> Bool { wanted.contains(dot) }

    mutating func receivedAgain(_ dot: Dot, at now: Uptime) throws(Violation) {
        try take(at: now)
        againWaiting.append(dot)
    }

    private mutating func take(at now: Uptime) throws(Violation) {
        guard taken.take(of: Self.questions, at: now, each: .day) else {
            throw Violation(.tooLarge, "more than \(Self.questions) questions in a day")
        }
    }

    mutating func nextToReadAgain() -> Dot? {
        guard againReading == nil, !againWaiting.isEmpty else { return nil }
        againReading = againWaiting.removeFirst()
        return againReading
    }

    /// The store has read; nil: nothing was asked.
    mutating func readAgain() -> Dot? {
        defer { againReading = nil }
        return againReading
    }

    mutating func nextToExamine() -> (Dot, SealedChangeSet?)? {
        guard !isExamining, !answers.isEmpty else { return nil }
        isExamining = true
        return answers.removeFirst()
    }

    mutating func examined() { isExamining = false }

    mutating func received(_ question: Dot?, at now: Uptime) throws(Violation) {
        peerAsks = question != nil
        guard let question else { return }
        try take(at: now)
        waiting.append(question)
    }

    mutating func nextToRead() -> Dot? {
        guard !isReading, !waiting.isEmpty else { return nil }
        reading = waiting.removeFirst()
        return reading
    }

    /// The store has read; nil: nothing was asked.
    mutating func read() -> Dot? {
        defer { reading = nil }
        return reading
    }
}
