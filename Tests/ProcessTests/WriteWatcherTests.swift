// Noticing that somebody wrote to a replica, beside whatever else is written in its directory.
import Foundation
import Synchronization
import Testing

@testable import NodeRuntime

@Suite struct WriteWatcherTests {
    /// A log that an application keeps beside the replica puts no look off.
    @Test(.timeLimit(.minutes(2))) func whatElseIsWrittenPutsNothingOff() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("watched-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let log = directory.appendingPathComponent("application.log")
        let isOver = Atomic(false)
        let writer = Thread {
            while !isOver.load(ordering: .relaxed) {
                try? Data("a line\n".utf8).write(to: log)
                usleep(1_000)
            }
        }
        writer.start()
        defer { isOver.store(true, ordering: .relaxed) }
        let version = Atomic<Int64>(0)
        let watcher = WriteWatcher(replicaPath: directory.appendingPathComponent("replica.sqlite").path)
        var elements = 0
        // Each look finds another version; none is announced by the write-ahead log.
        for await _ in watcher.changes(of: { version.add(1, ordering: .relaxed).newValue }) {
            elements += 1
            if elements == 3 { watcher.stop() }
        }
        #expect(elements >= 3)
    }

    @Test(.timeLimit(.minutes(2))) func whatCouldNotBeDoneIsLookedAtAgain() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("watched-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let watcher = WriteWatcher(replicaPath: directory.appendingPathComponent("replica.sqlite").path)
        var elements = 0
        // Nothing changes after the first look.
        for await _ in watcher.changes(of: { 7 }) {
            elements += 1
            if elements < 3 { watcher.lookAgain() } else { watcher.stop() }
        }
        #expect(elements == 3)
    }
}
