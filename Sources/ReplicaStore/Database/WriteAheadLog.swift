// The write-ahead log as a file: a commit that programs see at once, and that is on disk before anybody is told of it.
//
// Invariant: from before such a commit until it is synced its writer holds the log locked, and whoever is about to tell a
// peer what this replica holds waits for that lock. SQLite itself never locks this file (its locks are on the database and
// the shared memory), so opening and closing it here takes nothing from SQLite.

internal import CSQLite

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

struct WriteAheadLog: Sendable {
    private let path: String

    init(replicaPath: String) { path = replicaPath + "-wal" }

    /// The log, locked until this goes.
    struct Lock: ~Copyable {
        fileprivate let descriptor: Int32
        deinit { close(descriptor) }

        /// Brings to disk whatever was committed.
        func sync() throws {
            guard fdatasync(descriptor) == 0 else { throw WriteAheadLog.failure("sync") }
        }
    }

    /// Waits until nobody else is between a commit and its sync. Nil where there is no log: nothing is unsynced then.
    func lock(shared: Bool) throws -> Lock? {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw Self.failure("open") }
            return nil
        }
        let lock = Lock(descriptor: descriptor)
        while flock(descriptor, shared ? LOCK_SH : LOCK_EX) != 0 {
            guard errno == EINTR else { throw Self.failure("lock") }
        }
        return lock
    }

    private static func failure(_ verb: String) -> SQLError {
        SQLError(
            code: SQLITE_IOERR, message: "cannot \(verb) the write-ahead log: \(String(cString: strerror(errno)))",
            sql: nil)
    }
}
