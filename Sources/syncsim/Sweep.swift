// Many runs, some at a time, each group of them in a process of its own, so that one that traps is told by its seed.
//
// Invariant: every seed of the range was run to its end, or the sweep says which was not.

internal import Foundation
internal import ReplicationModel
internal import SimulationKit
internal import Synchronization

/// A process of a sweep, or of a search for a smaller run: runs seeds one after another and writes a line about each.
struct Worker {
    let trial: Trial
    /// Each seed has faults of its own.
    let varies: Bool

    func run(_ seeds: ClosedRange<UInt64>) throws {
        for seed in seeds {
            let (report, violation) = try (varies ? trial.inSweep(seed) : trial.with(seed: seed)).run()
            if let violation {
                Self.say("violation \(seed) \(Failure.line(violation))")
            } else {
                Self.say("done \(seed) \(report.digest) \(report.tallies.text)")
            }
        }
    }

    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

extension Trial {
    /// The same for a seed of a sweep, with the faults that it has there.
    func inSweep(_ seed: UInt64) -> Trial { with(options.inSweep(seed)) }
}

final class Sweep: Sendable {
    private let trial: Trial
    private let jobs: Int
    private let shrinks: Bool
    private let state = Mutex(State())

    private struct State {
        var next: UInt64 = 0
        var done = 0
        var tallies = Tallies()
        var failures: [(seed: UInt64, what: String)] = []
    }

    /// Seeds in one process: enough that starting it costs nothing, few enough that all jobs end together.
    private static let group: UInt64 = 20
    /// Failures after which no more are looked for.
    private static let enough = 5

    init(trial: Trial, jobs: Int, shrinks: Bool) {
        self.trial = trial
        self.jobs = jobs
        self.shrinks = shrinks
    }

    /// False where a run failed, or too few faults were met.
    func run(_ seeds: ClosedRange<UInt64>) throws -> Bool {
        let began = Date()
        state.withLock { $0.next = seeds.lowerBound }
        Self.tell(
            "seeds \(seeds.lowerBound)..\(seeds.upperBound), \(trial.options.nodes) nodes, \(trial.options.steps) steps, commit \(Commit.text)"
        )
        let threads = (0..<jobs).map { _ in
            let thread = Thread { [self] in work(seeds) }
            thread.start()
            return thread
        }
        while threads.contains(where: { !$0.isFinished }) {
            Thread.sleep(forTimeInterval: 0.2)
        }
        let (done, tallies, failures) = state.withLock { ($0.done, $0.tallies, $0.failures) }
        let seconds = Date().timeIntervalSince(began)
        print(
            "\(done) runs in \(String(format: "%.1f", seconds)) s, \(String(format: "%.3f", seconds / Double(max(done, 1)))) s a run"
        )
        print(tallies.text)
        for failure in failures {
            print(Failure.text(trial.inSweep(failure.seed), failure.what))
        }
        if let first = failures.first, shrinks {
            Failure.shrink(trial.inSweep(first.seed), first.what)
        }
        let few = missing(from: tallies, of: done)
        for (name, count) in few where failures.isEmpty {
            print("met too few: \(name) \(count) times in \(done) runs")
        }
        return failures.isEmpty && few.isEmpty
    }

    /// What was met too seldom. Of what all faults together lead to, change sets that come twice are asked for beside what
    /// `Tallies` asks for.
    private func missing(from tallies: Tallies, of runs: Int) -> [(name: String, count: Int)] {
        let missing = tallies.missing(in: runs, of: trial.options.faults)
        let twice = (name: "duplicates", count: tallies["duplicates"])
        guard trial.options.faults == Set(Fault.allCases), twice.count < runs / 20 else { return missing }
        return missing + [twice]
    }

    private func work(_ seeds: ClosedRange<UInt64>) {
        while true {
            let group: ClosedRange<UInt64>? = state.withLock { state in
                guard state.next <= seeds.upperBound, state.failures.count < Self.enough else { return nil }
                let last = min(state.next + Self.group - 1, seeds.upperBound)
                defer { state.next = last + 1 }
                return state.next...last
            }
            guard let group else { return }
            var first = group.lowerBound
            // A seed that traps ends its process; the rest of the group goes on in another.
            while first <= group.upperBound, let trapped = run(first, group.upperBound) { first = trapped + 1 }
        }
    }

    /// Returns the seed at which the process died, where it did.
    private func run(_ first: UInt64, _ last: UInt64) -> UInt64? {
        let child = Child(trial.arguments + ["--worker", "--varied", "--seeds", "\(first)..\(last)"])
        // Of which nothing was said yet.
        var next = first
        child.run { line in
            let parts = line.split(separator: " ", maxSplits: 2)
            guard parts.count >= 2, let seed = UInt64(parts[1]) else { return }
            next = seed + 1
            let rest = parts.count > 2 ? String(parts[2]) : ""
            let done = state.withLock { state in
                state.done += 1
                if parts[0] == "violation" {
                    state.failures.append((seed, rest))
                } else {
                    state.tallies.add(text: rest)
                }
                return state.done
            }
            if done.isMultiple(of: 100) { Self.tell("\(done) runs") }
        }
        guard next <= last else { return nil }
        state.withLock { $0.failures.append((next, Failure.died(child.ending))) }
        return next
    }

    private static func tell(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}
