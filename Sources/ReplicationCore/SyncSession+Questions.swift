// Questions about what the other side holds, beside whatever else a session does.
//
// Invariant: in each direction at most one question is open, so a peer can ask for no more work than one at a time.
internal import ReplicationModel
internal import ReplicationWire

/// The questions of one session.
struct QuestionExchange: Sendable {
    /// This side asked, and the answer is to come.
    private(set) var isAsking = false
    /// The peer asked, and the store is at it.
    private(set) var isAnswering = false
    private var taken = 0
    private var isSettled = false

    /// True the first time.
    mutating func settle() -> Bool {
        defer { isSettled = true }
        return !isSettled
    }

    /// False where one is open already.
    mutating func ask() -> Bool {
        guard !isAsking else { return false }
        isAsking = true
        return true
    }

    mutating func answered() throws(Violation) {
        guard isAsking else { throw Violation(.unexpectedFrame, "an answer that nobody asked for") }
        isAsking = false
    }

    mutating func take() throws(Violation) {
        guard !isAnswering else { throw Violation(.unexpectedFrame, "a question before the last was answered") }
        taken += 1
        guard taken <= FrameLimits.comparisonQuestions else {
            throw Violation(.tooLarge, "more than \(FrameLimits.comparisonQuestions) questions in a session")
        }
        isAnswering = true
    }

    mutating func answer() -> Bool {
        defer { isAnswering = false }
        return isAnswering
    }
}

extension SyncSession {
    mutating func ask(_ question: ComparisonQuestion) {
        guard phase == .exchanging, questions.ask() else { return }
        send(.comparisonQuestion(question))
    }

    mutating func received(_ question: ComparisonQuestion) throws(Violation) {
        try questions.take()
        outputs.append(.compare(question))
    }

    mutating func compared(_ answer: ComparisonAnswer) {
        guard questions.answer(), phase == .exchanging else { return }
        send(.comparisonAnswer(answer))
    }

    mutating func received(_ answer: ComparisonAnswer) throws(Violation) {
        try questions.answered()
        emit(.answered(answer))
    }
}
