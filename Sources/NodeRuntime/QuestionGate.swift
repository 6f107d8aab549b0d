// Turns for peers' questions about what this replica holds: each may read the whole of it.
//
// Invariant: one question is answered at a time, and after it the gate rests as long as it took, so that whoever asks, and
// however often, takes at most half of one core.

actor QuestionGate {
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    /// A question that took longer is not rested for longer: others wait, too.
    private static let longestRest = Duration.seconds(10)

    /// Runs `body` in its turn; its result is not delayed.
    func run<T: Sendable>(_ body: @Sendable () async throws -> T) async throws -> T {
        await enter()
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

    private func enter() async {
        guard isTaken else {
            isTaken = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    private func leave() {
        guard waiting.isEmpty else { return waiting.removeFirst().resume() }
        isTaken = false
    }
}
