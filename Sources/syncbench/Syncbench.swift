// syncbench: every workload beside its baseline in plain SQLite, in rounds that take turns.
//
// A ratio is taken within one round, where both sides met the same machine, and the median of the rounds is what counts.

import ArgumentParser
import Foundation

@main
struct Syncbench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures a replica beside plain SQLite doing the same statements.",
        discussion: """
            Workloads:
            \(Workload.all.map { "  " + $0.name.padding(toLength: 22, withPad: " ", startingAt: 0) + $0.summary }.joined(separator: "\n"))
              live-latency          a commit at one serving process until it is visible at a live peer

            “plain” has WAL, every commit synced, and a replica's pages of 8 KiB; “4 KiB plain” is SQLite as it comes.
            Programs' writes and all baselines run through SQLite's C interface alike; sealing and applying run as shipped.
            """)

    @Flag(help: "10,000 articles instead of 100,000.")
    var quick = false
    @Flag(help: "One JSON document on standard output.")
    var json = false
    @Option(help: "How many articles.")
    var articles: Int?
    @Option(help: "How many rounds; each workload has its own number otherwise.")
    var rounds: Int?
    @Option(help: "Where the scratch files go; they are removed afterwards.")
    var directory: String?
    @Argument(help: "Which workloads; all of them where none is named.")
    var workloads: [String] = []

    func validate() throws {
        let names = Workload.all.map(\.name) + [Workload.liveLatency]
        for name in workloads where !names.contains(name) {
            throw ValidationError("There is no workload “\(name)”; `syncbench --help` lists them.")
        }
        guard (articles ?? 1) > 0, (rounds ?? 1) > 0 else { throw ValidationError("Articles and rounds count from 1.") }
    }

    func run() throws {
        let stage = try Stage(articles: articles ?? (quick ? 10_000 : 100_000), under: directory)
        var reports: [any Encodable] = []
        if !json { print(Report.header) }
        for workload in Workload.all where workloads.isEmpty || workloads.contains(workload.name) {
            let report = try measure(workload, on: stage)
            reports.append(report)
            if !json { print(report.line) }
        }
        if workloads.isEmpty || workloads.contains(Workload.liveLatency) {
            let report = LatencyReport(
                Workload.liveLatency, try LiveLatency.measure(stage, samples: quick ? 200 : 1_000), aimP50: 5,
                aimP99: 20)
            reports.append(report)
            if !json { print(report.line) }
        }
        guard json else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(reports.map(AnyReport.init)), as: UTF8.self))
    }

    private struct AnyReport: Encodable {
        let report: any Encodable
        func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }
    }

    private func measure(_ workload: Workload, on stage: Stage) throws -> Report {
        var prepared = try workload.setUp(stage)
        var measurements: [[Contender: Measurement]] = []
        for round in 0..<(rounds ?? workload.rounds) {
            var measured: [Contender: Measurement] = [:]
            // Another contender begins each round, so that none always follows the same one.
            for turn in Contender.allCases.indices {
                let contender = Contender.allCases[(turn + round) % Contender.allCases.count]
                measured[contender] = try prepared.measure(contender)
            }
            measurements.append(measured)
        }
        return Report(workload, measurements, articles: stage.articles)
    }
}
