// A run as this program makes it and judges it.
//
// Invariant: equal trials end alike, in this process and in another that is given `arguments` and the seed. Without sabotage it is the
// simulation alone that judges.

internal import ArgumentParser
internal import Foundation
internal import SimulationKit

/// What decides a run, and what counts as its failure.
struct Trial: Sendable {
    var options: SimulationOptions
    /// For the tests of this program.
    var sabotage: Sabotage?

    /// The same with other options.
    func with(_ options: SimulationOptions) -> Trial { Trial(options: options, sabotage: sabotage) }

    /// The same for another seed.
    func with(seed: UInt64) -> Trial {
        var trial = self
        trial.options.seed = seed
        return trial
    }

    /// What decides it beside its seed.
    var arguments: [String] {
        let without = Fault.allCases.filter { !options.faults.contains($0) }.map(\.rawValue)
        return ["--nodes", "\(options.nodes)", "--steps", "\(options.steps)"]
            + (without.isEmpty ? [] : ["--without", without.joined(separator: ",")])
            + (sabotage.map { ["--sabotage", $0.text] } ?? [])
    }

    /// What replays it.
    var command: String { (["syncsim", "--seed", "\(options.seed)"] + arguments).joined(separator: " ") }

    /// - Parameter show: given each line of the trace.
    /// - Returns: what came of it, and what broke, where something did.
    func run(show: ((String) -> Void)? = nil) throws -> (report: SimulationReport, violation: String?) {
        let report = try Simulation(options, show: show).run()
        return (report, report.violation.map { "\($0)" } ?? sabotage?.violation(in: report.tallies))
    }
}

/// A false invariant: no run meets what many do meet. With it a run fails that is right, so that tests see what this program does
/// about one that is not.
struct Sabotage: Sendable, ExpressibleByArgument {
    /// How the run that meets it ends.
    enum Ending: String {
        case violation
        /// With its process, as if the system had killed it.
        case death
    }

    let ending: Ending
    /// What no run may meet: a name among the tallies.
    let met: String

    init?(argument: String) {
        let parts = argument.split(separator: ":")
        guard parts.count == 2, let ending = Ending(rawValue: String(parts[0])) else { return nil }
        self.ending = ending
        met = String(parts[1])
    }

    var text: String { "\(ending.rawValue):\(met)" }

    func violation(in tallies: Tallies) -> String? {
        guard tallies[met] > 0 else { return nil }
        if ending == .death { kill(getpid(), SIGKILL) }
        return "sabotage: the run met \(met), and none may"
    }
}
