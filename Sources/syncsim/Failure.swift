// A run that failed: how to name it, replay it, and make it smaller.
//
// Invariant: the command line that is printed replays what it is printed for.

internal import SimulationKit

enum Failure {
    static func text(_ trial: Trial, _ what: String) -> String {
        "VIOLATION seed \(trial.options.seed) commit \(Commit.text)\n  \(what)\n  \(trial.command)"
    }

    /// Looks for a smaller run that fails in the same way, and prints it.
    ///
    /// - Parameter what: how it fails.
    static func shrink(_ trial: Trial, _ what: String) {
        let kind = Self.kind(of: what)
        var shrinker = Shrinker { options in
            var found: String?
            let child = Child(
                trial.with(options).arguments + ["--worker", "--seeds", "\(options.seed)..\(options.seed)"])
            child.run { line in
                if line.hasPrefix("violation ") { found = String(line.split(separator: " ", maxSplits: 2).last ?? "") }
            }
            return Self.kind(of: found ?? (child.ending == "exit 0" ? "" : died(child.ending))) == kind
        }
        print("the smallest run found that fails alike:\n  \(trial.with(shrinker.shrink(trial.options)).command)")
    }

    static func died(_ ending: String) -> String { "the process died: \(ending)" }

    /// A violation's words in one line.
    static func line(_ what: String) -> String { what.replacing("\n", with: " | ") }

    /// A violation's words, without the names and numbers of the run that met it.
    private static func kind(of what: String) -> String {
        line(what).split(separator: " ").filter { $0.allSatisfy { $0.isLetter || $0.isPunctuation } }.prefix(8)
            .joined(separator: " ")
    }
}
