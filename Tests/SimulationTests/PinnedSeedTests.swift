// Runs that once broke an invariant, each with what was wrong, and runs that together meet everything that goes wrong.
import SimulationKit
import Testing

@Suite(.timeLimit(.minutes(60))) struct PinnedSeedTests {
    struct Pinned: CustomTestStringConvertible, Sendable {
        let what: String
        let options: SimulationOptions
        var testDescription: String { "\(what): seed \(options.seed)" }

        init(
            _ what: String, _ seed: UInt64, nodes: Int = 4, steps: Int = 150, faults: Set<Fault> = PinnedSeedTests.first
        ) {
            self.what = what
            options = SimulationOptions(seed: seed, nodes: nodes, steps: steps, faults: faults)
        }
    }

    /// Those that there were when most seeds were pinned: with others the runs would be other ones.
    static let first = Set(Fault.allCases).subtracting([.rollBack, .letIn, .secondProgram, .oddWrites, .diskLost])

    static let pinned: [Pinned] = [
        Pinned("an edit waited for its row, and a clone had written over it", 12),
        Pinned("two clones, and both of their origins fork", 7),
        Pinned("what is cut off is relayed to one who knows the cut", 10),
        Pinned("change sets wait for a clock", 11),
        Pinned("a backup is put back", 14),
        Pinned("a fork and a revocation", 16),
        Pinned("another fork and revocation", 34),
        Pinned("a cut is raised", 35),
        Pinned("a node joins late, and another is put out", 38),
        Pinned("a clock is a year ahead", 43),
        Pinned("own work was forgotten beside a clone's that a cut took back", 100_633, nodes: 5, steps: 500),
        Pinned("a write lost while one of its two values was awaited", 100_940, nodes: 5, steps: 500),
        Pinned("another session brought in a certificate while a roster was merged", 611_359, nodes: 5, steps: 500),
        Pinned("a roster newer than the session knew was told without end", 1_500_889, nodes: 5, steps: 500),
        Pinned("a value of the ledger was to come, and another of its origin never", 1_201_154, nodes: 5, steps: 500),
        Pinned(
            "a peer went on from what it was sent, and was taken for one in breach", 6_020_064, nodes: 5, steps: 500,
            faults: [.slow]),
        Pinned(
            "what the ledger lacked was not asked for again while a session stayed", 6_170_067, nodes: 5, steps: 500,
            faults: Set(Fault.allCases)),
        Pinned("a machine is put back, and two of its histories fork", 344, steps: 250, faults: Set(Fault.allCases)),
        Pinned("a disk is lost, and a replica was copied in use", 334, steps: 250, faults: Set(Fault.allCases)),
        // In these it was the simulator's model that was wrong.
        Pinned("what was let in again was taken for older than it is", 400_076, nodes: 5, steps: 500),
        Pinned("what a cut had taken back was taken for what stood", 500_335, nodes: 5, steps: 500),
        Pinned("a copied disk had a transaction that failed at its commit", 600_900, nodes: 5, steps: 500),
        Pinned(
            "of transactions that failed at their commits an earlier one was there", 1_000_065, nodes: 5, steps: 500),
    ]

    /// Each is run once, for all that is asked of it.
    private static let reports = Task { await Runs.reports(of: pinned.map(\.options)) }

    @Test(arguments: pinned.indices) func holds(index: Int) async throws {
        let report = try await Self.reports.value[index].get()
        let pinned = Self.pinned[index]
        #expect(report.violation == nil, "\(pinned.what): \(Runs.command(of: pinned.options))")
    }

    /// What faults lead to, and what the checks look at.
    static let outcomes = [
        "rewinds", "rewritten", "raised", "forks-proven", "held-revoked", "held-forked", "held-clock_ahead",
        "held-unknown_table", "held-waits_for_earlier", "duplicates", "kept", "undeleted", "upgrades", "live-rings",
        "rehearsed", "verified", "copied-in-use", "lost-unsynced", "deaths-at-opening", "failures-at-opening",
        "failed-sessions", "imports",
    ]

    /// What is not met is not shown to be survived.
    @Test func togetherTheyMeetEverything() async throws {
        var met = Tallies()
        for report in await Self.reports.value { met.add(try report.get().tallies) }
        print("the pinned seeds meet: \(met.text)")
        for fault in Fault.allCases { #expect(met[fault] > 0, "\(fault)") }
        for outcome in Self.outcomes { #expect(met[outcome] > 0, "\(outcome)") }
    }
}
