// Same seed, same run, to the last byte of the trace: in one process, and in two, whose hash tables are in another order.
import Testing

@testable import SimulationKit

@Suite(.timeLimit(.minutes(60))) struct DeterminismTests {
    @Test func oneProcessGivesTheSameTraceTwice() async throws {
        func lines() async throws -> [String] {
            let options = SimulationOptions(seed: 7, nodes: 4, steps: 120)
            return try await apart(Runs.command(of: options)) {
                var lines: [String] = []
                let report = try Simulation(options) { lines.append($0) }.run()
                return lines + ["\(report.digest)"]
            }
        }
        let (first, second) = (try await lines(), try await lines())
        for (a, b) in zip(first, second) where a != b {
            Issue.record("\(a)\nand\n\(b)")
            break
        }
        #expect(first.count == second.count && first.count > 100)
    }

    @Test func anotherSeedGivesAnotherTrace() async throws {
        let reports = await Runs.reports(of: [1, 2].map { SimulationOptions(seed: $0, nodes: 3, steps: 30) })
        #expect(try reports[0].get().digest != reports[1].get().digest)
    }

    /// The last two had written to their disks in the order of hash tables: in rewinding, and in what an operator releases.
    @Test(arguments: [(11, 4, 120), (12, 4, 120), (50_002, 5, 500), (60_008, 5, 500)])
    func twoProcessesGiveTheSameDigest(seed: Int, nodes: Int, steps: Int) async throws {
        let arguments = ["--seed", "\(seed)", "--nodes", "\(nodes)", "--steps", "\(steps)"]
        let (first, second) = (try await Program.run(arguments), try await Program.run(arguments))
        #expect(first.status == 0, "\(first)")
        #expect(first.output == second.output)
        #expect(first.output.split(separator: "\n").last?.hasPrefix("digest ") == true)
    }
}
