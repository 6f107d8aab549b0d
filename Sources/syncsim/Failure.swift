// A run that failed: how to name it, replay it, and make it smaller.
//
// Invariant: the command line that is printed replays what it is printed for.

internal import Foundation
internal import SimulationKit

enum Failure {
    /// Which source this was built from, as whoever runs it says.
    static var commit: String {
        ProcessInfo.processInfo.environment["SYNCSIM_COMMIT"] ?? "unknown (set SYNCSIM_COMMIT)"
    }

    static func text(_ options: SimulationOptions, _ what: String) -> String {
        "VIOLATION seed \(options.seed) commit \(commit)\n  \(what)\n  syncsim \(command(options))"
    }

    static func command(_ options: SimulationOptions) -> String {
        (["--seed", "\(options.seed)"] + arguments(options)).joined(separator: " ")
    }

    /// What decides a run beside its seed.
    static func arguments(_ options: SimulationOptions) -> [String] {
        let without = Fault.allCases.filter { !options.faults.contains($0) }.map(\.rawValue)
        return ["--nodes", "\(options.nodes)", "--steps", "\(options.steps)"]
            + (without.isEmpty ? [] : ["--without", without.joined(separator: ",")])
    }

    /// Looks for a smaller run that fails in the same way, and prints it.
    ///
    /// - Parameter what: how it fails.
    static func shrink(_ options: SimulationOptions, _ what: String) {
        let kind = Self.kind(of: what)
        var shrinker = Shrinker { options in
            var found: String?
            let child = Child(arguments(options) + ["--worker", "--seeds", "\(options.seed)..\(options.seed)"])
            child.run { line in
                if line.hasPrefix("violation ") { found = String(line.split(separator: " ", maxSplits: 2).last ?? "") }
            }
            return Self.kind(of: found ?? (child.ending == "exit 0" ? "" : died(child.ending))) == kind
        }
        print("the smallest run found that fails alike:\n  syncsim \(command(shrinker.shrink(options)))")
    }

    static func died(_ ending: String) -> String { "the process died: \(ending)" }

    /// A violation's words, without the names and numbers of the run that met it.
    private static func kind(of what: String) -> String {
        what.split(separator: " ").filter { $0.allSatisfy { $0.isLetter || $0.isPunctuation } }.prefix(8)
            .joined(separator: " ")
    }
}

/// This program, run again.
final class Child {
    private let process = Process()
    /// How it ended.
    private(set) var ending = ""

    init(_ arguments: [String]) {
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments
    }

    /// Runs it to its end, a line of its output at a time.
    func run(_ line: (String) -> Void) {
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        do {
            try process.run()
        } catch {
            ending = "it could not be started: \(error)"
            return
        }
        var rest: [UInt8] = []
        while true {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { break }
            rest += data
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                line(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeFirst(end + 1)
            }
        }
        process.waitUntilExit()
        ending = "\(process.terminationReason == .exit ? "exit" : "signal") \(process.terminationStatus)"
    }
}
