// Ratios within one round, their medians, and both as a table and as JSON.

import Foundation

/// What one workload came to. Its JSON keys are a contract: more may come, none goes.
struct Report: Encodable {
    let workload: String
    let unit: String
    /// Medians over the rounds, in seconds; for a workload that measures a file, its bytes stand in `ours` instead.
    let ours_seconds: Double?
    let baseline_seconds: Double?
    let ours_bytes: Double?
    let baseline_bytes: Double?
    /// The median of the rounds' ratios to plain SQLite with a replica's page size.
    let ratio: Double
    /// The same to plain SQLite as it comes.
    let ratio_as_it_comes: Double
    let as_it_comes_seconds: Double?
    let as_it_comes_bytes: Double?
    /// As `ratio`, of processor time: what a busy machine disturbs least.
    let processor_ratio: Double?
    let aim: Double?
    let rounds: Int
    let articles: Int

    init(_ workload: Workload, _ measurements: [[Contender: Measurement]], articles: Int) {
        func values(_ contender: Contender) -> [Double] { measurements.compactMap { $0[contender]?.value } }
        func ratios(_ baseline: Contender) -> Double { median(zip(values(.ours), values(baseline)).map { $0 / $1 }) }
        let isTime = workload.unit == .seconds
        self.workload = workload.name
        unit = workload.unit.rawValue
        let (ours, plain, asItComes) = (
            median(values(.ours)), median(values(.plain)), median(values(.plainAsItComes))
        )
        ours_seconds = isTime ? ours : nil
        baseline_seconds = isTime ? plain : nil
        as_it_comes_seconds = isTime ? asItComes : nil
        ours_bytes = isTime ? nil : ours
        baseline_bytes = isTime ? nil : plain
        as_it_comes_bytes = isTime ? nil : asItComes
        ratio = ratios(.plain)
        ratio_as_it_comes = ratios(.plainAsItComes)
        let processor = measurements.compactMap { round -> Double? in
            guard let ours = round[.ours]?.processorSeconds, let plain = round[.plain]?.processorSeconds else {
                return nil
            }
            return ours / plain
        }
        processor_ratio = processor.isEmpty ? nil : median(processor)
        aim = workload.aim
        rounds = measurements.count
        self.articles = articles
    }

    static let header =
        "workload                 ours     plain   ratio    cpu   4 KiB plain   ratio     aim   rounds"

    /// One line of the table.
    var line: String {
        func amount(_ seconds: Double?, _ bytes: Double?) -> String {
            seconds.map { String(format: "%7.2f s", $0) } ?? bytes.map { String(format: "%6.1f MB", $0 / 1e6) } ?? ""
        }
        let aim = aim.map { String(format: "%5.2f %@", $0, ratio <= $0 ? "✓" : "✗") } ?? "      –"
        let processor = processor_ratio.map { String(format: "%5.2f", $0) } ?? "    –"
        return workload.padding(toLength: 20, withPad: " ", startingAt: 0)
            + amount(ours_seconds, ours_bytes) + " " + amount(baseline_seconds, baseline_bytes)
            + String(format: "   %5.2f  ", ratio) + processor + "     "
            + amount(as_it_comes_seconds, as_it_comes_bytes) + String(format: "   %5.2f   ", ratio_as_it_comes) + aim
            + String(format: "   %6d", rounds)
    }
}

/// How long it took, over many times. Its JSON keys are a contract: more may come, none goes.
struct LatencyReport: Encodable {
    let workload: String
    let unit = "milliseconds"
    let p50_milliseconds: Double
    let p99_milliseconds: Double
    let aim_p50_milliseconds: Double
    let aim_p99_milliseconds: Double
    let samples: Int

    init(_ workload: String, _ milliseconds: [Double], aimP50: Double, aimP99: Double) {
        self.workload = workload
        let sorted = milliseconds.sorted()
        // The nearest rank: the least value that so many percent do not exceed.
        func percentile(_ percent: Int) -> Double { sorted[max(0, (sorted.count * percent + 99) / 100 - 1)] }
        p50_milliseconds = percentile(50)
        p99_milliseconds = percentile(99)
        aim_p50_milliseconds = aimP50
        aim_p99_milliseconds = aimP99
        samples = sorted.count
    }

    private enum CodingKeys: CodingKey {
        case workload, unit, p50_milliseconds, p99_milliseconds, aim_p50_milliseconds, aim_p99_milliseconds, samples
    }

    var line: String {
        func part(_ name: String, _ value: Double, _ aim: Double) -> String {
            name + String(format: " %.1f ms (aim %.0f %@)", value, aim, value <= aim ? "✓" : "✗")
        }
        return workload.padding(toLength: 20, withPad: " ", startingAt: 0)
            + part("  p50", p50_milliseconds, aim_p50_milliseconds) + "   "
            + part("p99", p99_milliseconds, aim_p99_milliseconds) + "   over \(samples) commits"
    }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return .nan }
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
