// Turns for peers' questions: one at a time, in the order of asking, a rest after each, and nobody who waits or leaves is forgotten.
import Synchronization
import Testing

@testable import NodeRuntime

/// Something that one task waits for and another lets happen, once.
private final class Latch: Sendable {
    private let events: AsyncStream<Void>
    private let end: AsyncStream<Void>.Continuation

    init() { (events, end) = AsyncStream.makeStream() }

    func open() { end.finish() }
    func wait() async { for await _ in events {} }
}

/// Who was answered, in that order, and how many were in the middle of it with another.
private final class Answers: Sendable {
    private let numbers = Mutex<[Int]>([])
    private let inside = Atomic(0)
    private let together = Atomic(0)

    var all: [Int] { numbers.withLock { $0 } }
    var overlaps: Int { together.load(ordering: .relaxed) }

    func begin(_ number: Int) {
        numbers.withLock { $0.append(number) }
        if inside.add(1, ordering: .relaxed).newValue > 1 { together.add(1, ordering: .relaxed) }
    }

    func end() { inside.subtract(1, ordering: .relaxed) }
}

@Suite struct QuestionGateTests {
    private struct Unanswerable: Error {}

    /// A question that has its turn until the latch opens.
    private func take(_ gate: QuestionGate, until latch: Latch) async -> Task<Void, any Error> {
        let begun = Latch()
        let task = Task<Void, any Error> {
            try await gate.run {
                begun.open()
                await latch.wait()
            }
        }
        await begun.wait()
        return task
    }

    /// A question that takes a moment.
    private func ask(_ gate: QuestionGate, _ number: Int, _ answers: Answers) -> Task<Void, any Error> {
        Task {
            try await gate.run {
                answers.begin(number)
                await Task.yield()
                answers.end()
            }
        }
    }

    private func wait(_ gate: QuestionGate, for count: Int) async throws {
        _ = try await eventually("\(count) wait") { await gate.waitingCount == count ? true : nil }
    }

    @Test(.timeLimit(.minutes(1))) func turnsComeInTheOrderOfAsking() async throws {
        let (gate, latch) = (QuestionGate(), Latch())
        let holder = await take(gate, until: latch)
        let answers = Answers()
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<5 {
            tasks.append(ask(gate, number, answers))
            try await wait(gate, for: number + 1)
        }
        #expect(answers.all == [], "it is taken")
        latch.open()
        for task in [holder] + tasks { try await task.value }
        #expect(answers.all == [0, 1, 2, 3, 4] && answers.overlaps == 0)
        #expect(await gate.waitingCount == 0)
    }

    /// Whoever asks next waits as long again as the last answer took: at least so long, on a slow machine longer.
    @Test(.timeLimit(.minutes(1))) func afterAnAnswerItRestsAsLongAsThatTook() async throws {
        let gate = QuestionGate()
        let begun = Latch()
        let holder = Task {
            try await gate.run {
                let start = ContinuousClock.now
                begun.open()
                // What it takes to answer.
                try await Task.sleep(for: .milliseconds(300))
                return (start, ContinuousClock.now)
            }
        }
        await begun.wait()
        let next = Task { try await gate.run { ContinuousClock.now } }
        let (start, end) = try await holder.value
        let rested = try await next.value - end
        // Half of it, as timers are coarse.
        #expect(rested * 2 >= end - start, "\(rested) after \(end - start)")
    }

    @Test(.timeLimit(.minutes(1))) func whoCannotBeAnsweredLeavesTheGateOpen() async throws {
        let gate = QuestionGate()
        await #expect(throws: Unanswerable.self) {
            try await gate.run { () async throws -> Void in throw Unanswerable() }
        }
        let answer = try await gate.run { 7 }
        #expect(answer == 7)
    }

    @Test(.timeLimit(.minutes(1))) func whoLeavesGivesItsPlaceUp() async throws {
        let (gate, latch) = (QuestionGate(), Latch())
        let holder = await take(gate, until: latch)
        let answers = Answers()
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<3 {
            tasks.append(ask(gate, number, answers))
            try await wait(gate, for: number + 1)
        }
        let leaver = tasks.remove(at: 1)
        leaver.cancel()
        // At once, though the gate is taken.
        await #expect(throws: CancellationError.self) { try await leaver.value }
        #expect(await gate.waitingCount == 2)
        // One that has left before it asks takes no place.
        let gone = Task<Void, any Error> {
            while !Task.isCancelled { await Task.yield() }
            try await gate.run { answers.begin(9) }
        }
        gone.cancel()
        await #expect(throws: CancellationError.self) { try await gone.value }
        #expect(await gate.waitingCount == 2)
        latch.open()
        for task in [holder] + tasks { try await task.value }
        #expect(answers.all == [0, 2])
    }

    /// Some leave in the moment in which their turn comes.
    @Test(.timeLimit(.minutes(1))) func nobodyIsForgottenWhereManyLeave() async throws {
        let gate = QuestionGate()
        let answers = Answers()
        var (answered, left) = (0, 0)
        for round in 0..<100 {
            let tasks = (0..<8).map { ask(gate, $0, answers) }
            // In every other round after some have come to the gate.
            if round.isMultiple(of: 2) { await Task.yield() }
            for (number, task) in tasks.enumerated() where number.isMultiple(of: 2) { task.cancel() }
            for task in tasks {
                switch await task.result {
                case .success: answered += 1
                case .failure(let error):
                    #expect(error is CancellationError, "\(error)")
                    left += 1
                }
            }
        }
        #expect(answered + left == 800 && answered >= 400 && left > 0, "\(answered) were answered, \(left) left")
        #expect(answers.all.count == answered && answers.overlaps == 0)
        #expect(await gate.waitingCount == 0)
        let answer = try await gate.run { 7 }
        #expect(answer == 7)
    }
}
