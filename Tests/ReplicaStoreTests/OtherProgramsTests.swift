// Programs that know nothing of syncnode write into a replica: the sqlite3 shell, Python, several at once.
import Foundation
import ReplicationModel
import Testing

@testable import ReplicaStore

/// A program of the system, run to its end.
struct OtherProgram {
    let process = Process()
    private let errors = Pipe()
    private let output = Pipe()

    /// - Throws: where there is no such program: a test that needs it must not pass without it.
    init(_ name: String, _ arguments: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [name] + arguments
        process.standardError = errors
        process.standardOutput = output
        try process.run()
    }

    /// What it said on stderr; the status is 127 where there is no such program.
    func end() -> (status: Int32, errors: String, output: String) {
        let text = errors.fileHandleForReading.readDataToEndOfFile()
        let printed = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (
            process.terminationStatus, String(decoding: text, as: UTF8.self), String(decoding: printed, as: UTF8.self)
        )
    }
}

@Suite struct OtherProgramsTests {
    private static let python = """
        import sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
        me, count = sys.argv[2], int(sys.argv[3])
        for i in range(count):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO notes(id, title) VALUES (?, ?)", (f"{me}-{i}", "from " + me))
            if i % 3 == 0:
                connection.execute("UPDATE notes SET body = ? WHERE id = ?", ("again", f"{me}-{i}"))
            if i % 5 == 4:
                connection.execute("DELETE FROM notes WHERE id = ?", (f"{me}-{i - 1}",))
            connection.execute("COMMIT")
        """

    @Test func theShellIsCaptured() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let shell = try OtherProgram(
            "sqlite3",
            [
                a.path,
                """
                .timeout 60000
                """,
                """
                BEGIN;
                INSERT INTO notes(id, title, amount) VALUES ('n1', 'from the shell', 9223372036854775807);
                INSERT INTO notes(id) VALUES ('n2');
                UPDATE notes SET body = 'ünïcode' WHERE id = 'n2';
                DELETE FROM notes WHERE id = 'n1'; INSERT INTO notes(id, amount) VALUES ('n1', -1.5e300);
                COMMIT; VACUUM; UPDATE notes SET title = 'after the vacuum' WHERE id = 'n2';
                """,
            ]
        ).end()
        #expect(shell.status == 0 && shell.errors.isEmpty, "\(shell)")
        try workspace.pull(b, from: a)
        #expect(
            try b.contents("notes") == [
                [Value("n1"), Value(""), .null, .null, .null, .real(-1.5e300)],
                [Value("n2"), Value("after the vacuum"), Value("ünïcode"), .null, .null, .null],
            ])
        try a.expectSound(workspace.authors)
        #expect(try b.vectors().applied[a.origin] == SequenceNumber(1))
    }

    @Test func theShellIsToldWhatIsRefused() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        let shell = try OtherProgram(
            "sqlite3", [a.path, "INSERT INTO notes(id, body) VALUES ('n1', zeroblob(8388609))"]
        ).end()
        #expect(shell.status != 0)
        #expect(shell.errors.contains("syncnode: a value of notes is over 8 MiB"), "\(shell)")
        #expect(try a.contents("notes").isEmpty)
    }

    @Test func aScriptIsCaptured() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let script = try OtherProgram("python3", ["-c", Self.python, a.path, "p", "10"]).end()
        #expect(script.status == 0 && script.errors.isEmpty, "\(script)")
        try workspace.pull(b, from: a)
        let ids = try b.contents("notes").map { $0[0].string }
        #expect(ids == ["p-0", "p-1", "p-2", "p-4", "p-5", "p-6", "p-7", "p-9"])
        #expect(try b.contents("sync_graveyard_notes").count == 2)
        #expect(try b.contents("notes").map { $0[2].string } == ["again", nil, nil, nil, nil, "again", nil, "again"])
    }

    @Test func severalWriteAtOnceAndNothingIsLost() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let count = 150
        let scripts = try ["p", "q"].map { try OtherProgram("python3", ["-c", Self.python, a.path, $0, "\(count)"]) }
        // Meanwhile this process writes, seals, and takes in what a peer writes.
        var round = 0
        while scripts.contains(where: { $0.process.isRunning }) || round < 10 {
            try a.execute("INSERT INTO notes(id, title) VALUES (?, 'own')", [Value("own-\(round)")])
            try b.execute("INSERT INTO notes(id, title) VALUES (?, 'peer')", [Value("peer-\(round)")])
            try workspace.pull(a, from: b)
            round += 1
        }
        for script in scripts {
            let end = script.end()
            #expect(end.status == 0 && end.errors.isEmpty, "\(end)")
        }
        try workspace.pull(b, from: a)
        let kept = (count - count / 5) * 2 + round * 2
        #expect(try a.contents("notes").count == kept)
        #expect(try a.contents("sync_graveyard_notes").count == count / 5 * 2)
        #expect(try b.contents("notes") == a.contents("notes"))
        #expect(try b.contents("sync_graveyard_notes") == a.contents("sync_graveyard_notes"))
        try a.expectSound(workspace.authors)
        try b.expectSound(workspace.authors)
        try Oracle(b).check(a, [TestTables.notes, TestTables.links], "several at once")
    }
}
