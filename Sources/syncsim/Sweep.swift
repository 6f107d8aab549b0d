// Many runs, some at a time, each group of them in a process of its own, so that one that traps is told by its seed.
//
// Invariant: every seed of the range was run to its end, or the sweep says which was not.

internal import Foundation
internal import ReplicationModel
internal import SimulationKit
internal import Synchronization

/// A process of a sweep: runs seeds one after another and writes a line about each.
struct Worker {
    let options: SimulationOptions
    /// Each seed has faults of its own.
    let varies: Bool

    func run(_ seeds: ClosedRange<UInt64>) throws {
        for seed in seeds {
            Self.say("begin \(seed)")
            let options = varies ? options.inSweep(seed) : options
            let report = try Simulation(options).run()
            if let violation = report.violation {
                Self.say("violation \(seed) \("\(violation)".replacing("\n", with: " | "))")
            } else {
                Self.say("done \(seed) \(report.digest) \(report.tallies.text)")
            }
        }
    }

    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

final class Sweep: Sendable {
    private let options: SimulationOptions
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

    init(options: SimulationOptions, jobs: Int, shrinks: Bool) {
        self.options = options
        self.jobs = jobs
        self.shrinks = shrinks
    }

    /// False where a run failed, or too few faults were met.
    func run(_ seeds: ClosedRange<UInt64>) throws -> Bool {
        let began = Date()
        state.withLock { $0.next = seeds.lowerBound }
        Self.tell(
            "seeds \(seeds.lowerBound)..\(seeds.upperBound), \(options.nodes) nodes, \(options.steps) steps, commit \(Failure.commit)"
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
            print(Failure.text(options.inSweep(failure.seed), failure.what))
        }
        if let first = failures.first, shrinks {
            Failure.shrink(options.inSweep(first.seed), first.what)
        }
        let missing = tallies.missing(in: done, of: options.faults)
        for (name, count) in missing where failures.isEmpty {
            print("met too few: \(name) \(count) times in \(done) runs")
        }
        return failures.isEmpty && missing.isEmpty
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
        let child = Child(Failure.arguments(options) + ["--worker", "--varied", "--seeds", "\(first)..\(last)"])
        var current = first
        var isRunning = false
        child.run { line in
            let parts = line.split(separator: " ", maxSplits: 2)
            guard parts.count >= 2, let seed = UInt64(parts[1]) else { return }
            current = seed
            isRunning = parts[0] == "begin"
            guard !isRunning else { return }
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
        guard isRunning else { return nil }
        state.withLock { $0.failures.append((current, Failure.died(child.ending))) }
        return current
    }

    private static func tell(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}
