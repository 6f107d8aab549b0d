// syncnode verify

import ArgumentParser
import NodeRuntime
import ReplicaStore

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check every signature, chain and stored value against what was signed.",
        discussion:
            "Changes nothing; others may go on writing. Exit code 65 where there is damage, the first of it named.")

    @OptionGroup var options: GlobalOptions

    struct Document: Encodable {
        struct Finding: Encodable {
            let kind: String
            @Nullable var table: String?
            @Nullable var row: String?
            @Nullable var field: String?
            @Nullable var changeSet: String?
            let what: String
            let meaning: String
            let remedy: String
        }
        let sound: Bool
        let findings: [Finding]
        let findingCount: Int
        let changeSets: Int64
        let writes: Int64
        let values: Int64
        let rows: Int64
        let conflicts: Int64
        let held: Int64
        let unsealed: Int64
        let hidden: Int64
        let awaited: Int64
        let parked: Int64
        let uncheckedRegisters: Int64
    }

    func run() async throws {
        let node = try options.openNode()
        let bar = ProgressBar("verify")
        let report = try node.replica.verify(authors: try node.refreshRoster()) { progress in
            bar.update(
                done: UInt64(max(progress.done, 0)), total: progress.total > 0 ? UInt64(progress.total) : nil,
                note: progress.stage.rawValue)
        }
        bar.finish()
        try options.print(Self.document(report), text: Self.text(report))
        if !report.isSound {
            throw CommandFailure(
                .badData,
                "The replica is damaged: \(Figures.count(report.findingCount, "finding")). The first: \(report.first.map { "\($0)" } ?? "")"
            )
        }
    }

    private static func document(_ report: VerifyReport) -> Document {
        Document(
            sound: report.isSound,
            findings: report.findings.map {
                .init(
                    kind: $0.kind.name, table: $0.table, row: $0.id.map { "\($0)" }, field: $0.field,
                    changeSet: $0.dot.map { "\($0)" }, what: $0.what, meaning: $0.kind.meaning, remedy: $0.kind.remedy)
            }, findingCount: report.findingCount, changeSets: report.changeSets, writes: report.writes,
            values: report.values,
            rows: report.rows, conflicts: report.conflicts, held: report.held, unsealed: report.unsealed,
            hidden: report.hidden,
            awaited: report.awaiting, parked: report.parked, uncheckedRegisters: report.uncheckedRegisters)
    }

    private static func text(_ report: VerifyReport) -> String {
        let counts =
            "\(Figures.count(report.changeSets, "signed change set")), \(Figures.count(report.writes, "write")), "
            + "\(Figures.count(report.values, "value")) in \(Figures.count(report.rows, "row")), \(Figures.count(report.conflicts, "conflict"))"
        if report.isSound {
            var text = Terminal.output.styled("Sound.", .green, .bold) + " Checked \(counts)."
            if report.unsealed > 0 { text += " \(Figures.count(report.unsealed, "edit")) not sealed yet." }
            if report.awaiting > 0 { text += " Catching up: \(Figures.count(report.awaiting, "value")) still to come." }
            return text
        }
        return report.findings.map { Terminal.output.styled("✗ \($0.kind.name)", .red) + "  \($0)" }.joined(
            separator: "\n")
            + "\n\nChecked \(counts)."
    }
}
