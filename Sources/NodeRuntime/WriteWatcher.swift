// Notices that some process wrote to the replica: inotify on the write-ahead log, with `PRAGMA data_version` as the check.
//
// Invariant: a commit after `changes` began is followed by an element, at the latest when the next poll is due.

internal import Foundation
internal import ReplicaStore
internal import ReplicationCore
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// An inotify descriptor on the directory of a replica.
final class WriteWatcher: Sendable {
    /// Commits are found by asking this often at the latest; where inotify is not to be had (its per-user limit is
    /// reached), only so.
    private static let pollMicroseconds = 1_000_000
    /// A commit becomes visible only after the last write to the log was synced, and that moves no file: after a write
    /// one looks again at these intervals, which are short while most disks sync. 200 ms in all: more than a slow one takes.
    private static let settlingMicroseconds =
        [Int](repeating: 250, count: 24) + [Int](repeating: 1_000, count: 8) + [6_000, 12_000, 25_000, 50_000, 100_000]
    private let descriptor: Int32
    private let walName: String
    private let stopped = Mutex(false)
    private let mustLook = Mutex(false)

    init(replicaPath: String) {
        let url = URL(fileURLWithPath: replicaPath)
        walName = url.lastPathComponent + "-wal"
        descriptor = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        if descriptor >= 0 {
            // The log is made and removed as programs come and go, so the directory is watched, not the file.
            inotify_add_watch(descriptor, url.deletingLastPathComponent().path, UInt32(IN_MODIFY | IN_CREATE))
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Elements at each burst of writes and for a moment after it, and one a second in any case.
    ///
    /// - Parameter version: what is looked at each time, on the watcher's own thread; where it gives what it gave before,
    ///   there is no element.
    func changes(of version: (@Sendable () throws -> Int64)? = nil) -> AsyncStream<Void> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let thread = Thread { [self] in
                var last: Int64?
                func look() {
                    // What cannot be read may have changed.
                    let now = try? version?()
                    guard now == nil || now != last || mustLook.withLock({ $0.take() }) else { return }
                    last = now
                    continuation.yield()
                }
                var pauses: ArraySlice<Int> = []
                func next() -> Int64 { Monotonic.now.microseconds + Int64(pauses.first ?? Self.pollMicroseconds) }
                var due = next()
                while !stopped.withLock({ $0 }) {
                    let outcome = wait(microseconds: Int(max(0, due - Monotonic.now.microseconds)))
                    // What else is written in the directory puts nothing off.
                    if outcome == .somethingElse, Monotonic.now.microseconds < due { continue }
                    pauses = outcome == .written ? Self.settlingMicroseconds[...] : pauses.dropFirst()
                    look()
                    due = next()
                }
                continuation.finish()
            }
            thread.name = "syncnode.watcher"
            thread.start()
        }
    }

    func stop() { stopped.withLock { $0 = true } }

    /// What an element was for could not be done: there is another at the next look, though nothing is written.
    func lookAgain() { mustLook.withLock { $0 = true } }

    private enum Wait { case written, timeIsUp, somethingElse }

    private func wait(microseconds: Int) -> Wait {
        // `poll` counts in milliseconds.
        if descriptor < 0 || microseconds < 1_000 { usleep(UInt32(microseconds)) }
        guard descriptor >= 0 else { return .timeIsUp }
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&poller, 1, Int32(microseconds / 1_000)) > 0 else { return .timeIsUp }
        var written = false
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            written = written || names(in: buffer[..<count]).contains(walName)
        }
        return written ? .written : .somethingElse
    }

    /// The names in a run of `struct inotify_event`: 16 bytes, the last four the length of the name that follows.
    private func names(in bytes: ArraySlice<UInt8>) -> [String] {
        var names: [String] = []
        var at = bytes.startIndex
        while at + 16 <= bytes.endIndex {
            let length = bytes[(at + 12)..<(at + 16)].reversed().reduce(0) { $0 << 8 | Int($1) }
            let end = min(at + 16 + length, bytes.endIndex)
            names.append(String(decoding: bytes[(at + 16)..<end].prefix { $0 != 0 }, as: UTF8.self))
            at = end
        }
        return names
    }
}

extension Node {
    /// One element for each burst of writes to the replica by any process, and one a second in any case.
    public func writes() -> AsyncStream<Void> { WriteWatcher(replicaPath: replica.path).changes() }
}

extension Bool {
    fileprivate mutating func take() -> Bool {
        defer { self = false }
        return self
    }
}
