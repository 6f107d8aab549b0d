// What takes long in a test, and would take for ever where something is wrong.
//
// Invariant: it holds up no thread that other tests wait for, and whoever waits for it is told when it has no end.
import Foundation
import Synchronization

struct NoEnd: Error, CustomStringConvertible {
    let description: String
}

/// Beyond what the longest run takes under a sanitizer on a busy machine.
let secondsWithoutEnd = 600

/// As many at a time as there are processors, in the order in which they come.
private actor Turns {
    private var free = ProcessInfo.processInfo.activeProcessorCount
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
        guard free == 0 else {
            free -= 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    func give() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}

private let turns = Turns()

/// Does something on a thread of its own, in its turn.
///
/// - Parameters:
///   - what: it is, for who reads that it has no end.
///   - body: waits for no other turn.
func apart<Value: Sendable>(_ what: String, _ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    await turns.take()
    let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, any Error>, Never>) in
        let waiting = Mutex<CheckedContinuation<Result<Value, any Error>, Never>?>(continuation)
        let settle: @Sendable (Result<Value, any Error>) -> Void = { result in
            let first = waiting.withLock { waiting in
                defer { waiting = nil }
                return waiting
            }
            first?.resume(returning: result)
        }
        Thread { settle(Result { try body() }) }.start()
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(secondsWithoutEnd)) {
            settle(.failure(NoEnd(description: "no end after \(secondsWithoutEnd) s: \(what)")))
        }
    }
    await turns.give()
    return try result.get()
}
