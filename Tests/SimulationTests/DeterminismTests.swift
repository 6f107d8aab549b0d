// Same seed, same run, to the last byte of the trace: in one process, and in two, whose hash tables are in another order.
import Foundation
import Testing

@testable import SimulationKit

@Suite struct DeterminismTests {
    @Test func oneProcessGivesTheSameTraceTwice() throws {
        func lines() throws -> [String] {
            var lines: [String] = []
            let report = try Simulation(SimulationOptions(seed: 7, nodes: 4, steps: 120)) { lines.append($0) }.run()
            return lines + ["\(report.digest)"]
        }
        let (first, second) = (try lines(), try lines())
        for (a, b) in zip(first, second) where a != b {
            Issue.record("\(a)\nand\n\(b)")
            break
        }
        #expect(first.count == second.count && first.count > 100)
    }

    @Test func anotherSeedGivesAnotherTrace() throws {
        let reports = try [1, 2].map { try Simulation(SimulationOptions(seed: $0, nodes: 3, steps: 30)).run() }
        #expect(reports[0].digest != reports[1].digest)
    }

    /// The last two had written to their disks in the order of hash tables: in rewinding, and in what an operator releases.
    @Test(arguments: [(11, 4, 120), (12, 4, 120), (50_002, 5, 500), (60_008, 5, 500)])
    func twoProcessesGiveTheSameDigest(seed: Int, nodes: Int, steps: Int) throws {
        let arguments = ["--seed", "\(seed)", "--nodes", "\(nodes)", "--steps", "\(steps)"]
        let (first, second) = (try Program.run(arguments), try Program.run(arguments))
        #expect(first.status == 0, "\(first.output)")
        #expect(first.output == second.output)
        #expect(first.output.split(separator: "\n").last?.hasPrefix("digest ") == true)
    }
}

/// The program `syncsim`, as it was built with these tests.
enum Program {
    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = url
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    /// It stands beside the tests.
    private static let url: URL = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        for start in [own, bundle ?? ""] {
            var place = URL(fileURLWithPath: start)
            for _ in 0..<4 {
                place.deleteLastPathComponent()
                let candidate = place.appendingPathComponent("syncsim")
                if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
            }
        }
        return URL(fileURLWithPath: "syncsim")
    }()
}
