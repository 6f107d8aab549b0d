// A disk of its own for one node: small, and full or read-only when a test wants it so.
//
// Invariant: it is mounted below the test's own directory, and gone with the object that stands for it.
import Foundation

final class SmallDisk: Sendable {
    let path: String

    /// Whether this user may mount; asked once.
    static let isPermitted: Bool = {
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("syncnode-disk-\(UUID().uuidString)")
        try? FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        guard run("mount", ["-t", "tmpfs", "-o", "size=64k", "none", place.path]) else {
            print("SKIPPED: tmpfs may not be mounted here, so that nothing is tested on full and read-only disks")
            return false
        }
        return run("umount", [place.path])
    }()

    init(_ path: String, megabytes: Int) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard Self.run("mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m,mode=0700", "none", path]) else {
            throw TestFailure("cannot mount a tmpfs at \(path)")
        }
    }

    deinit { _ = Self.run("umount", ["-l", path]) }

    func resize(megabytes: Int) throws { try remount("size=\(megabytes)m") }
    func makeReadOnly() throws { try remount("ro") }
    func makeWritable() throws { try remount("rw") }

    private func remount(_ options: String) throws {
        guard Self.run("mount", ["-o", "remount,\(options)", path]) else {
            throw TestFailure("cannot remount \(path) with \(options)")
        }
    }

    private static func run(_ program: String, _ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
