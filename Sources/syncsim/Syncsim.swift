// syncsim: one simulated run, or a sweep over many seeds.
//
// Invariant: a run's arguments decide its output, to the last line; a violation prints what replays it, and ends with 1.

internal import ArgumentParser
internal import Foundation
internal import ReplicationModel
internal import SimulationKit

@main
struct Syncsim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "syncsim", abstract: "Simulates a workspace of many nodes, and all that may go wrong with it.",
        discussion: """
            A run is told by its seed, nodes, steps and the faults left out; the last line is a digest of everything that \
            happened. With --seeds or --runs many runs are made, some at a time, about half of them with few of the faults, \
            and the faults they met are counted: a sweep of 20 runs or more that met too few of a kind says which, and fails.

            A run that breaks an invariant is printed with its seed, its commit and the command that replays it, and made \
            smaller, of a sweep the first, as long as it fails alike; the smallest that was found is printed too. The status \
            is 1 then. The commit is what SYNCSIM_COMMIT in the environment says, else what git says of the source that the \
            program lies in, or is run in, as it is at that time, with “-dirty” where it was changed since.
            """)

    @Option(help: "What decides the run.")
    var seed: UInt64 = 1
    @Option(help: "How many nodes.")
    var nodes = 5
    @Option(help: "How many steps.")
    var steps = 500
    @Option(
        help: "Faults to leave out, with commas between: \(Fault.allCases.map(\.rawValue).joined(separator: ", ")).")
    var without = ""
    @Option(help: ArgumentHelp("A sweep: all seeds from A to B.", valueName: "A..B"))
    var seeds: SeedRange?
    @Option(help: "A sweep: so many seeds, beginning at one taken from the clock.")
    var runs: UInt64?
    @Option(help: "Runs at a time in a sweep.")
    var jobs = ProcessInfo.processInfo.activeProcessorCount
    @Flag(help: "Prints every line of the trace.")
    var trace = false
    @Flag(help: "Leaves a run that fails as large as it is.")
    var noShrink = false
    @Flag(help: .hidden)
    var worker = false
    @Flag(help: .hidden)
    var varied = false
    /// `violation:NAME` or `death:NAME`, for the tests of this program: a run that meets what the tallies call by that name fails so.
    @Option(help: .hidden)
    var sabotage: Sabotage?

    func validate() throws {
        guard nodes >= 2, nodes <= 64 else { throw ValidationError("--nodes is 2 to 64.") }
        guard steps >= 0, jobs >= 1 else { throw ValidationError("--steps and --jobs count things.") }
        _ = try faults()
    }

    func run() throws {
        let trial = try Trial(
            options: SimulationOptions(seed: seed, nodes: nodes, steps: steps, faults: faults()), sabotage: sabotage)
        if let range = seeds?.range ?? runs.map(Self.freshSeeds) {
            if worker { return try Worker(trial: trial, varies: varied).run(range) }
            guard try Sweep(trial: trial, jobs: jobs, shrinks: !noShrink).run(range) else { throw ExitCode(1) }
            return
        }
        let (report, violation) = try trial.run(show: trace ? { print($0) } : nil)
        if let violation {
            FileHandle.standardError.write(Data((Failure.text(trial, violation) + "\n").utf8))
            if !noShrink { Failure.shrink(trial, violation) }
        } else {
            print(report.tallies.text)
        }
        print("digest \(report.digest)")
        if violation != nil { throw ExitCode(1) }
    }

    private func faults() throws -> Set<Fault> {
        var faults = Set(Fault.allCases)
        for name in without.split(separator: ",") {
            guard let fault = Fault(rawValue: String(name)) else {
                throw ValidationError("There is no fault “\(name)”.")
            }
            faults.remove(fault)
        }
        return faults
    }

    /// Seeds that no sweep of another second has.
    private static func freshSeeds(_ count: UInt64) -> ClosedRange<UInt64> {
        let first = UInt64(Date().timeIntervalSince1970) * 100_000
        return first...first + max(count, 1) - 1
    }
}

/// `A..B`, both included.
struct SeedRange: ExpressibleByArgument {
    let range: ClosedRange<UInt64>

    init?(argument: String) {
        let ends = argument.split(separator: ".", omittingEmptySubsequences: true).compactMap { UInt64($0) }
        guard ends.count == 2, ends[0] <= ends[1] else { return nil }
        range = ends[0]...ends[1]
    }
}
