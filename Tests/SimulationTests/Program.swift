// The program `syncsim`, as it was built with these tests, and programs beside it.
import Foundation

enum Program {
    struct Outcome: Sendable, CustomStringConvertible {
        /// The exit code; 128 and the signal's number where a signal ended it.
        let status: Int32
        let output: String
        let errors: String

        var description: String { "exit \(status)\n\(errors)\(output)" }
    }

    /// - Parameters:
    ///   - environment: beside that of the tests, without what that says of commits and repositories.
    ///   - directory: where it is run.
    ///   - program: a path, or a name to be found in PATH.
    static func run(
        _ arguments: [String], environment: [String: String] = [:], in directory: URL? = nil,
        program: String = Program.url.path
    ) async throws -> Outcome {
        try await apart(([program] + arguments).joined(separator: " ")) {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            // Where it has no end it is killed, with all that it started, before whoever waits for it gives up.
            process.arguments = ["timeout", "--signal=KILL", "\(secondsWithoutEnd - 10)", program] + arguments
            process.environment = ProcessInfo.processInfo.environment
                .filter { !$0.key.hasPrefix("SYNCSIM") && !$0.key.hasPrefix("GIT_") }
                .merging(environment) { $1 }
            if let directory { process.currentDirectoryURL = directory }
            let (output, errors) = (Pipe(), Pipe())
            process.standardOutput = output
            process.standardError = errors
            try process.run()
            // Less is said of errors than a pipe holds.
            let texts = [output, errors].map {
                String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            }
            process.waitUntilExit()
            return Outcome(
                status: process.terminationStatus + (process.terminationReason == .exit ? 0 : 128), output: texts[0],
                errors: texts[1])
        }
    }

    /// It stands beside the tests.
    static let url: URL = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        for start in [own, bundle ?? ""] {
            var place = URL(fileURLWithPath: start)
            for _ in 0..<4 {
                place.deleteLastPathComponent()
                let candidate = place.appendingPathComponent("syncsim")
                if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
            }
        }
        return URL(fileURLWithPath: "syncsim")
    }()
}
