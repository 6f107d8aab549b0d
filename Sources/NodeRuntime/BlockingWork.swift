// Where calls that block go: SQLite and files, never on an event loop or one of Swift's own threads.
//
// Invariant: work begun is finished, whether or not anybody still waits for it, so that no transaction is cut in half.

internal import Dispatch

enum BlockingWork {
    private static let queue = DispatchQueue(label: "syncnode.blocking", qos: .userInitiated, attributes: .concurrent)

    static func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }

    static func run<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: body()) }
        }
    }
}

extension Task where Failure == any Error {
    /// Its value; nil where that takes longer. It goes on then.
    func value(within limit: Duration) async throws -> Success? {
        let (events, continuation) = AsyncStream.makeStream(of: Result<Success, any Error>?.self)
        Task<Void, Never> { continuation.yield(await result) }
        let timer = Task<Void, Never> {
            // Cancelled, it says so to nobody.
            try? await Task<Never, Never>.sleep(for: limit)
            continuation.yield(nil)
        }
        defer { timer.cancel() }
        for await event in events { return try event?.get() }
        return nil
    }
}
