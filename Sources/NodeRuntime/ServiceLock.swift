// One service a replica: a file lock that the system takes back when its holder ends, however that was.
//
// Invariant: whoever holds the lock is the one process that keeps live sessions; where nobody does, no session is live.

internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Held by a running `serve`. Other commands need no lock: any number may use the replica beside it.
final class ServiceLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    private static func path(_ directory: String) -> String { directory + "/serve.lock" }

    /// Takes the lock of a node's directory, for as long as the result lives.
    ///
    /// - Throws: `NodeError` of code `.busy` where another process serves; `.unusable` where the file cannot be made.
    static func take(_ directory: String) throws -> ServiceLock {
        let descriptor = open(path(directory), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw NodeError(
                .unusable,
                "Cannot serve from \(directory): \(path(directory)) cannot be opened: \(String(cString: strerror(errno))). Check who owns the directory, and its mode."
            )
        }
        let lock = ServiceLock(descriptor: descriptor)
        // Who asks whether somebody serves holds it for a moment.
        var attempts = 10
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            attempts -= 1
            if attempts > 0, errno == EWOULDBLOCK || errno == EINTR {
                usleep(20_000)
                continue
            }
            let holder = processNumber(descriptor).map { " (process \($0))" } ?? ""
            throw NodeError(
                .busy,
                "Cannot serve from \(directory): another `syncnode serve` does already\(holder). Stop that one first, or name another --data directory."
            )
        }
        lock.write(processNumber: getpid())
        return lock
    }

    /// Whether some process serves from the directory now.
    static func isHeld(_ directory: String) -> Bool {
        let descriptor = open(path(directory), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else { return errno == EWOULDBLOCK }
        return false
    }

    /// For people who wonder who serves; nothing depends on it.
    private func write(processNumber: pid_t) {
        let text = Array("\(processNumber)\n".utf8)
        guard ftruncate(descriptor, 0) == 0 else { return }
        _ = pwrite(descriptor, text, text.count, 0)
    }

    private static func processNumber(_ descriptor: Int32) -> pid_t? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return pid_t(String(decoding: buffer[..<count], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }
}
