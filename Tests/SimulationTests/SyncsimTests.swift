// The program `syncsim` where something is wrong: what it tells of a run that fails, and of a sweep that shows too little.
// Runs that fail are right ones, judged by a false invariant: `--sabotage`.
import Foundation
import SimulationKit
import Testing

@Suite(.timeLimit(.minutes(60))) struct SyncsimTests {
    private static func allBut(_ faults: Set<Fault>) -> String {
        Runs.names(Fault.allCases.filter { !faults.contains($0) })
    }

    /// The arguments of the smallest run that was found.
    private func argumentsOfSmallest(in outcome: Program.Outcome) throws -> [String] {
        let lines = outcome.output.split(separator: "\n")
        let heading = try #require(
            lines.firstIndex(of: "the smallest run found that fails alike:"), "\(outcome)")
        let words = try #require(lines.dropFirst(heading + 1).first).split(separator: " ").map(String.init)
        #expect(words.first == "syncsim")
        return Array(words.dropFirst())
    }

    /// Where an option's value stands.
    private func place(of option: String, in arguments: [String]) throws -> Int {
        let place = try #require(arguments.firstIndex(of: option)) + 1
        try #require(place < arguments.count)
        return place
    }

    @Test func aRunThatFailsIsToldAndMadeSmaller() async throws {
        // A clock is set back in it. Where the simulation comes to draw otherwise, that is so with another seed.
        let arguments = [
            "--seed", "19", "--nodes", "3", "--steps", "24", "--without", Self.allBut([.clockBack, .partition]),
            "--sabotage", "violation:clock-back",
        ]
        let what = "sabotage: the run met clock-back, and none may"
        let outcome = try await Program.run(arguments, environment: ["SYNCSIM_COMMIT": "0123abc"])
        #expect(outcome.status == 1)
        let command = (["syncsim"] + arguments).joined(separator: " ")
        #expect(outcome.errors == "VIOLATION seed 19 commit 0123abc\n  \(what)\n  \(command)\n")

        var smallest = try argumentsOfSmallest(in: outcome)
        #expect(try smallest[place(of: "--seed", in: smallest)] == "19")
        #expect(try smallest[place(of: "--nodes", in: smallest)] == "2")
        #expect(try smallest[place(of: "--without", in: smallest)] == Self.allBut([.clockBack]))
        let steps = try place(of: "--steps", in: smallest)
        let count = try #require(Int(smallest[steps]))
        #expect(count < 24)

        let again = try await Program.run(smallest + ["--no-shrink"])
        #expect(again.status == 1)
        #expect(again.errors.contains("\n  \(what)\n"), "\(again)")
        // With a step less it holds.
        smallest[steps] = "\(count - 1)"
        let less = try await Program.run(smallest)
        #expect(less.status == 0, "\(less)")
    }

    /// Of three runs the one in the middle fails. Where it ends the process that makes them, another makes the third.
    @Test(arguments: [
        ("violation", "sabotage: the run met conflicts, and none may", 3, 1),
        ("death", "the process died: signal 9", 2, 137),
    ])
    func aSweepTellsWhichRunFailed(ending: String, what: String, done: Int, status: Int) async throws {
        let sweep = try await Program.run(
            [
                "--seeds", "4..6", "--nodes", "2", "--steps", "12", "--without", Self.allBut([]), "--jobs", "1",
                "--sabotage", "\(ending):conflicts",
            ], environment: ["SYNCSIM_COMMIT": "0123abc"])
        #expect(sweep.status == 1)
        let lines = sweep.output.split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("VIOLATION") } == ["VIOLATION seed 5 commit 0123abc"], "\(sweep)")
        #expect(lines.contains("  \(what)"), "\(sweep)")
        #expect(lines.first?.hasPrefix("\(done) runs in ") == true, "\(sweep)")

        let smallest = try argumentsOfSmallest(in: sweep)
        #expect(try smallest[place(of: "--seed", in: smallest)] == "5")
        let again = try await Program.run(smallest + ["--no-shrink"])
        #expect(Int(again.status) == status, "\(again)")
        // A process that dies says nothing any more.
        #expect(ending == "death" ? again.output.isEmpty : again.errors.contains("\n  \(what)\n"), "\(again)")
    }

    @Test func aSweepThatMeetsTooLittleFails() async throws {
        // In no steps nothing goes wrong, but that some nodes begin with an older schema.
        let arguments = ["--seeds", "1..20", "--nodes", "2", "--steps", "0"]
        let poor = try await Program.run(arguments)
        #expect(poor.status == 1)
        let tooFew = poor.output.split(separator: "\n").filter { $0.hasPrefix("met too few: ") }
        for name in ["clock-back", "fork", "rewinds", "duplicates"] {
            #expect(tooFew.contains("met too few: \(name) 0 times in 20 runs"), "\(poor)")
        }
        #expect(!tooFew.contains { $0.contains("old-schema") }, "\(poor)")

        let enough = try await Program.run(arguments + ["--without", Self.allBut([.oldSchema])])
        #expect(enough.status == 0, "\(enough)")
        #expect(enough.output.contains(" old-schema="), "\(enough)")
        #expect(!enough.output.contains("met too few"), "\(enough)")
    }

    // MARK: The commit

    /// What a copy of the program takes for its commit, where nobody says it.
    private func commit(_ program: URL, in directory: URL) async throws -> String {
        let outcome = try await Program.run(
            ["--seed", "1", "--nodes", "2", "--steps", "0", "--sabotage", "violation:sessions", "--no-shrink"],
            in: directory, program: program.path)
        #expect(outcome.status == 1)
        let line = try #require(outcome.errors.split(separator: "\n").first, "\(outcome)")
        try #require(line.hasPrefix("VIOLATION seed 1 commit "), "\(outcome)")
        return String(line.dropFirst("VIOLATION seed 1 commit ".count))
    }

    @Test func theCommitIsThatOfTheSource() async throws {
        let files = FileManager.default
        let root = files.temporaryDirectory.appendingPathComponent("syncsim-commit-\(UUID().uuidString)")
        let source = root.appendingPathComponent("source")
        let (inside, outside) = (source.appendingPathComponent("bin"), root.appendingPathComponent("bin"))
        let text = source.appendingPathComponent("Sources/syncsim/text")
        try files.createDirectory(at: inside, withIntermediateDirectories: true)
        try files.createDirectory(at: outside, withIntermediateDirectories: true)
        defer { try? files.removeItem(at: root) }
        try files.createDirectory(at: text.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data("bin\n".utf8).write(to: source.appendingPathComponent(".gitignore"))
        try Data("one\n".utf8).write(to: text)
        var program = inside.appendingPathComponent("syncsim")
        try files.copyItem(at: Program.url, to: program)
        let unknown = "unknown (set SYNCSIM_COMMIT)"
        #expect(try await commit(program, in: source) == unknown)

        func git(_ arguments: String...) async throws -> String {
            let outcome = try await Program.run(
                ["-c", "user.name=test", "-c", "user.email=test@example.invalid"] + arguments,
                environment: ["GIT_CONFIG_GLOBAL": "/dev/null"], in: source, program: "git")
            try #require(outcome.status == 0, "\(outcome)")
            return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        _ = try await git("init", "--quiet")
        _ = try await git("add", ".")
        _ = try await git("commit", "--quiet", "--message", "one")
        let head = try await git("rev-parse", "--short", "HEAD")
        #expect(try await commit(program, in: root) == head)

        try Data("two\n".utf8).write(to: text)
        #expect(try await commit(program, in: root) == "\(head)-dirty")

        let moved = outside.appendingPathComponent("syncsim")
        try files.moveItem(at: program, to: moved)
        program = moved
        #expect(try await commit(program, in: source) == "\(head)-dirty")
        #expect(try await commit(program, in: root) == unknown)

        // A repository of something else.
        try files.removeItem(at: source.appendingPathComponent("Sources"))
        #expect(try await commit(program, in: source) == unknown)
    }
}
