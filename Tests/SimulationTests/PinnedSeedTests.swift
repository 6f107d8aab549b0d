// Runs that once broke an invariant, each with what was wrong.
import SimulationKit
import Testing

@Suite struct PinnedSeedTests {
    struct Pinned: CustomTestStringConvertible, Sendable {
        let what: String
        let options: SimulationOptions
        var testDescription: String { "\(what): seed \(options.seed)" }
    }

    static let pinned: [Pinned] = [
        Pinned(what: "the first seed of all", options: SimulationOptions(seed: 1, nodes: 5, steps: 200))
    ]

    @Test(arguments: pinned) func holds(_ pinned: Pinned) throws {
        let report = try Simulation(pinned.options).run()
        #expect(report.violation == nil)
    }
}
