// Seeds that nobody has run before: small runs of every size, so that some fit where the tests are built for
// debugging. Whole ones are swept by `syncsim --runs`.
import Foundation
import SimulationKit
import Testing

@Suite(.timeLimit(.minutes(60))) struct FreshSeedTests {
    /// From the clock; the message of a run that fails says which it was.
    private static let first = UInt64(Date().timeIntervalSince1970) * 1_000

    private static let runs = (0..<240).map { index in
        SimulationOptions(seed: first + UInt64(index), nodes: 2 + index % 4, steps: 40 + index % 5 * 20)
    }

    /// Each is run once, for all that is asked of it.
    private static let reports = Task { await Runs.reports(of: runs) }

    @Test func everyInvariantHolds() async {
        let reports = await Self.reports.value
        #expect(reports.count == Self.runs.count)
        var isReplayed = false
        for (options, report) in zip(Self.runs, reports) {
            switch report {
            case .failure(let error): Issue.record("\(Runs.command(of: options)): \(error)")
            case .success(let report):
                guard let violation = report.violation else { continue }
                // The program replays the first: it tells the commit, and makes it smaller.
                let replay = isReplayed ? nil : try? await Program.run(Runs.arguments(of: options))
                isReplayed = true
                Issue.record("\(violation)\n\(Runs.command(of: options))\n\(replay?.description ?? "not replayed")")
            }
        }
    }

    /// Of 720 such runs, 240 together met these 15 to 50 times: now and then less than is asked of the rest, and never not
    /// at all.
    private static let once: Set<String> = [
        "deaths-at-opening", "disk-lost", "failed-sessions", "forks-proven", "held-forked", "held-unknown_table",
        "kept", "late-join", "lost-unsynced", "undeleted",
    ]
    /// These may not be met in 240 runs so small: the pinned seeds meet them.
    private static let leftToPinned: Set<String> = [
        "clock-year", "failures-at-opening", "held-clock_ahead", "held-revoked", "let-in", "raised", "restore",
        "roll-back",
    ]

    /// What is not met is not shown to be survived.
    @Test func togetherTheyMeetEnough() async throws {
        var met = Tallies()
        for report in await Self.reports.value { met.add(try report.get().tallies) }
        print("\(Self.runs.count) fresh seeds meet: \(met.text)")
        let few = met.missing(in: Self.runs.count, of: Set(Fault.allCases)).filter { name, count in
            !Self.leftToPinned.contains(name) && (count == 0 || !Self.once.contains(name))
        }
        #expect(few.isEmpty, "\(few), from seed \(Self.first)")
        #expect(met["duplicates"] >= Self.runs.count / 20, "from seed \(Self.first)")
        #expect(Self.leftToPinned.isSubset(of: PinnedSeedTests.outcomes + Fault.allCases.map(\.rawValue)))
    }
}
