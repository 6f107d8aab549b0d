// Seeds that nobody has run before: small runs of every size, so that some fit where the tests are built for
// debugging. Whole ones are swept by `syncsim --runs`.
import Foundation
import SimulationKit
import Testing

@Suite struct FreshSeedTests {
    /// From the clock; the message of a run that fails says which it was.
    private static let first = UInt64(Date().timeIntervalSince1970) * 1_000

    @Test(arguments: 0..<240) func everyInvariantHolds(index: Int) throws {
        let options = SimulationOptions(
            seed: Self.first + UInt64(index), nodes: 2 + index % 4, steps: 40 + index % 5 * 20)
        let report = try Simulation(options).run()
        let replay = "syncsim --seed \(options.seed) --nodes \(options.nodes) --steps \(options.steps)"
        #expect(report.violation == nil, "\(replay)")
    }
}
