// Simulated runs of a test.
import Foundation
import SimulationKit

enum Runs {
    typealias Report = Result<SimulationReport, any Error>

    /// What `syncsim` calls a run.
    static func arguments(of options: SimulationOptions) -> [String] {
        let without = Fault.allCases.filter { !options.faults.contains($0) }
        return ["--seed", "\(options.seed)", "--nodes", "\(options.nodes)", "--steps", "\(options.steps)"]
            + (without.isEmpty ? [] : ["--without", names(without)])
    }

    static func command(of options: SimulationOptions) -> String {
        (["syncsim"] + arguments(of: options)).joined(separator: " ")
    }

    static func names(_ faults: [Fault]) -> String { faults.map(\.rawValue).joined(separator: ",") }

    /// What came of each, in their order.
    static func reports(of all: [SimulationOptions]) async -> [Report] {
        await withTaskGroup(of: (place: Int, report: Report).self) { group in
            var reports: [Int: Report] = [:]
            for (place, options) in all.enumerated() {
                // No more wait for a turn at a time than there are turns, so that other tests come between.
                if place >= ProcessInfo.processInfo.activeProcessorCount, let done = await group.next() {
                    reports[done.place] = done.report
                }
                group.addTask { (place, await report(of: options)) }
            }
            for await done in group { reports[done.place] = done.report }
            return all.indices.compactMap { reports[$0] }
        }
    }

    private static func report(of options: SimulationOptions) async -> Report {
        do {
            return .success(try await apart(command(of: options)) { try Simulation(options).run() })
        } catch {
            return .failure(error)
        }
    }
}
