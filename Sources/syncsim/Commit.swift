// Which source a run was made of.
//
// Invariant: git is not asked about the source of anything else.

internal import Foundation

enum Commit {
    /// As whoever runs the program says; else as git has it now where the program lies, or where it is run.
    static let text = said ?? found ?? "unknown (set SYNCSIM_COMMIT)"

    private static var said: String? {
        ProcessInfo.processInfo.environment["SYNCSIM_COMMIT"].flatMap { $0.isEmpty ? nil : $0 }
    }

    private static var found: String? {
        for place in [Child.program.deletingLastPathComponent().path, FileManager.default.currentDirectoryPath] {
            if let commit = found(at: place) { return commit }
        }
        return nil
    }

    /// Nil where there is no git, or no repository, or that of something else.
    private static func found(at place: String) -> String? {
        guard let lines = git(["rev-parse", "--show-toplevel", "--short", "HEAD"], at: place), lines.count == 2,
            FileManager.default.fileExists(atPath: lines[0] + "/Sources/syncsim"),
            let changes = git(["status", "--porcelain"], at: place)
        else { return nil }
        return lines[1] + (changes.isEmpty ? "" : "-dirty")
    }

    /// What it says, by line; nil where it fails.
    private static func git(_ arguments: [String], at place: String) -> [String]? {
        // Whoever works in the repository meanwhile is not to meet a lock.
        let child = Child(
            ["git", "--no-optional-locks", "-C", place] + arguments, of: URL(fileURLWithPath: "/usr/bin/env"))
        var lines: [String] = []
        child.run { lines.append($0) }
        return child.ending == "exit 0" ? lines : nil
    }
}
