// Turns for peers' questions about what this replica holds: each may read the whole of it.
//
// Invariant: one question is answered at a time, and after it the gate rests as long as it took, so that whoever asks, and
// however often, takes at most half of one core.

actor QuestionGate {
    private var isTaken = false
    private var waiting: [(number: UInt64, turn: CheckedContinuation<Void, any Error>)] = []
    private var last: UInt64 = 0
    /// How many wait for their turn.
    var waitingCount: Int { waiting.count }
    /// A question that took longer is not rested for longer: others wait, too.
    private static let longestRest = Duration.seconds(10)

    /// Runs `body` in its turn; its result is not delayed.
    ///
    /// - Throws: `CancellationError` where the task is cancelled before its turn.
    func run<T: Sendable>(_ body: @Sendable () async throws -> T) async throws -> T {
        try await enter()
        let began = ContinuousClock.now
        defer {
            let rest = min(ContinuousClock.now - began, Self.longestRest)
            Task {
                await pause(for: rest)
                leave()
            }
        }
        return try await body()
    }

    private func enter() async throws {
        guard isTaken else {
            isTaken = true
            return
        }
        last += 1
        let number = last
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (turn: CheckedContinuation<Void, any Error>) in
                guard !Task.isCancelled else { return turn.resume(throwing: CancellationError()) }
                waiting.append((number, turn))
            }
        } onCancel: {
            Task { await giveUp(number) }
        }
    }

    /// Whoever has left keeps no place, and nothing of its session, here.
    private func giveUp(_ number: UInt64) {
        guard let place = waiting.firstIndex(where: { $0.number == number }) else { return }
        waiting.remove(at: place).turn.resume(throwing: CancellationError())
    }

    private func leave() {
        guard waiting.isEmpty else { return waiting.removeFirst().turn.resume() }
        isTaken = false
    }
}
