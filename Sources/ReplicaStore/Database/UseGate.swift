// Closing waits for whoever is still inside, and turns away whoever comes later.
//
// Invariant: no connection is closed while a call uses it: SQLite's own check of that is undefined behaviour.

internal import Dispatch
internal import Synchronization

final class UseGate: Sendable {
    private let isClosed = Mutex(false)
    private let users = DispatchGroup()

    /// Runs `body` unless the gate was closed.
    ///
    /// - Throws: `ReplicaError.closed`, and what `body` throws.
    func pass<T>(_ body: () throws -> T) throws -> T {
        try isClosed.withLock { isClosed in
            guard !isClosed else { throw ReplicaError.closed }
            users.enter()
        }
        defer { users.leave() }
        return try body()
    }

    /// Whoever comes from now on is turned away.
    func beginClosing() { isClosed.withLock { $0 = true } }

    var isClosing: Bool { isClosed.withLock { $0 } }

    /// Returns when the last user has left. Never call it from inside `pass`.
    func close() {
        beginClosing()
        users.wait()
    }
}
