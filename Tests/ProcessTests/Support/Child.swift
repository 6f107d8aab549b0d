// A process of the system, started and ended by a test.
//
// Invariant: what it writes goes to files, so that no pipe fills up; and no child outlives the object that stands for it.
import Foundation
import Synchronization

/// How a process ended, and what it said.
struct Outcome: Sendable, CustomStringConvertible {
    /// The exit code; 128 and the signal's number where a signal ended it.
    let status: Int32
    let output: [UInt8]
    let errors: String

    var text: String { String(decoding: output, as: UTF8.self) }
    var description: String { "exit \(status)\nstdout: \(text.prefix(2000))\nstderr: \(errors.prefix(2000))" }
}

/// A test that cannot go on.
struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

final class Child: Sendable {
    let pid: pid_t
    let name: String
    private let directory: URL
    private let ended = Mutex<Int32?>(nil)

    var outputPath: String { directory.appendingPathComponent("stdout").path }
    var errorPath: String { directory.appendingPathComponent("stderr").path }
    var output: [UInt8] { Array(FileManager.default.contents(atPath: outputPath) ?? Data()) }
    var errors: String { String(decoding: FileManager.default.contents(atPath: errorPath) ?? Data(), as: UTF8.self) }

    /// - Parameters:
    ///   - program: a path, or a name to be found in PATH.
    ///   - input: what it reads on standard input.
    ///   - environment: beside this process's own.
    init(
        _ program: String, _ arguments: [String], input: [UInt8] = [], environment: [String: String] = [:]
    ) throws {
        name = ([program.split(separator: "/").last.map(String.init) ?? program] + arguments).joined(separator: " ")
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("syncnode-child-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let inputPath = directory.appendingPathComponent("stdin").path
        guard FileManager.default.createFile(atPath: inputPath, contents: Data(input)) else {
            throw TestFailure("cannot write \(inputPath)")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, directory.appendingPathComponent("stdout").path, flags, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, directory.appendingPathComponent("stderr").path, flags, 0o600)
        // Other tests' pipes must not stay open in it; closing what is not open does no harm.
        for descriptor in Int32(3)..<256 { posix_spawn_file_actions_addclose(&actions, descriptor) }
        let variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("SYNCNODE") }
            .merging(environment) { $1 }
        let words = ([program] + arguments).map { strdup($0) } + [nil]
        let settings = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in words + settings { free(pointer) } }
        var pid: pid_t = 0
        // Tests run on threads that block signals, which a child would take over: it is started as a shell starts it.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var nothing = sigset_t()
        sigemptyset(&nothing)
        posix_spawnattr_setsigmask(&attributes, &nothing)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let code = posix_spawnp(&pid, program, &actions, &attributes, words, settings)
        guard code == 0 else { throw TestFailure("cannot run \(program): \(String(cString: strerror(code)))") }
        self.pid = pid
    }

    deinit {
        if status == nil {
            kill(pid, SIGKILL)
            var ignored: Int32 = 0
            waitpid(pid, &ignored, 0)
        }
        try? FileManager.default.removeItem(at: directory)
    }

    /// Nil while it runs.
    var status: Int32? {
        ended.withLock { ended in
            if let ended { return ended }
            var raw: Int32 = 0
            guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
            ended = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
            return ended
        }
    }

    func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

    /// Waits for the end; a child that does not end in time is killed, and the test fails.
    func wait(seconds: Double = 120) async throws -> Outcome {
        let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
        while status == nil {
            if ContinuousClock.now > deadline {
                signal(SIGKILL)
                throw TestFailure("\(name) did not end within \(seconds) s; stderr: \(errors.suffix(2000))")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
        return Outcome(status: status ?? -1, output: output, errors: errors)
    }

    /// Whether a program of that name is in PATH.
    static func isInstalled(_ program: String) -> Bool {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
        }
    }

    /// Runs to the end.
    static func run(
        _ program: String, _ arguments: [String], input: [UInt8] = [], environment: [String: String] = [:]
    ) async throws -> Outcome {
        try await Child(program, arguments, input: input, environment: environment).wait()
    }
}

/// Asks again and again until there is an answer.
///
/// - Parameter what: put into words only where it did not come, so that it may quote what was said until then.
/// - Throws: `TestFailure` when the time is over.
func eventually<T>(
    _ what: @autoclosure () -> String, within seconds: Double = 20, every pauseMilliseconds: Int = 20,
    _ body: () async throws -> T?
) async throws -> T {
    let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
    while true {
        if let result = try await body() { return result }
        guard ContinuousClock.now < deadline else { throw TestFailure("not within \(seconds) s: \(what())") }
        try await Task.sleep(for: .milliseconds(pauseMilliseconds))
    }
}
