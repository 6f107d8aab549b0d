// syncnode verify

import ArgumentParser
import NewsStore
import NodeRuntime
import ReplicaStore
import ReplicationModel

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check every signature, chain and stored value; with a peer named, compare contents with it.",
        discussion: """
            Alone: everything in the replica against what was signed. Changes nothing; others may go on writing.

            With PEER: rows, deletions, versions, conflicts and the log's ends of both replicas, by fingerprints of ranges, so \
            that little travels however much is held. It needs both to have the same change sets: --sync exchanges them \
            first.

            --repair makes anew what follows from the rest alone: SQLite's indexes, the search index, the triggers of capture. Everything else is \
            shown, with what to do.

            Exit code 65 where there is damage or a difference, the first of it named.
            """)

    @Argument(help: ArgumentHelp("A node's name, or HOST:PORT.", valueName: "peer"))
    var peer: String?
    @Flag(help: "Exchange change sets with the peer first.") var sync = false
    @Flag(help: "Make anew what follows from the rest alone: indexes, search index, triggers.") var repair = false
    @OptionGroup var options: GlobalOptions

    struct Finding: Encodable {
        let kind: String
        @Nullable var table: String?
        @Nullable var row: String?
        @Nullable var field: String?
        @Nullable var changeSet: String?
        let what: String
        let meaning: String
        let remedy: String

        init(_ finding: VerifyFinding) {
            kind = finding.kind.name
            table = finding.table
            row = finding.id.map { "\($0)" }
            field = finding.field
            changeSet = finding.dot.map { "\($0)" }
            what = finding.what
            meaning = finding.kind.meaning
            remedy = finding.kind.remedy
        }
    }

    struct Document: Encodable {
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
        /// What --repair made anew.
        let repaired: [String]
    }

    func validate() throws {
        if repair, peer != nil { throw ValidationError("--repair is for this replica alone: leave the peer out.") }
        if sync, peer == nil { throw ValidationError("--sync is for comparing with a peer: name one.") }
    }

    func run() async throws {
        if let peer { return try await PeerVerifying.run(peer, syncing: sync, try options.openNode(), options) }
        let node = try options.openNodeToVerify()
        var report = try verify(node)
        let repaired = repair ? try mend(report, node) : []
        if !repaired.isEmpty { report = try verify(node) }
        try options.print(Self.document(report, repaired), text: Self.text(report, repaired, node))
        if !report.isSound {
            throw CommandFailure(
                .badData,
                "The replica is damaged: \(report.findingCount.of("finding")). The first: \(report.first.map { node.naming("\($0)") } ?? "")"
            )
        }
    }

    private func verify(_ node: Node) throws -> VerifyReport {
        let bar = ProgressBar("verify")
        defer { bar.finish() }
        var report = try node.replica.verify(authors: try node.refreshRoster()) { Self.show($0, bar) }
        try NewsStore.verifySearchIndex(of: node.replica, into: &report) { done, total in
            bar.update(done: UInt64(done), total: UInt64(total), note: "articles in the search index")
        }
        return report
    }

    /// Makes anew what is derived; the rows are left as they are.
    private func mend(_ report: VerifyReport, _ node: Node) throws -> [String] {
        var repaired: [String] = []
        if report.findings.contains(where: { $0.kind == .index }) {
            try node.replica.rebuildIndexes()
            repaired.append("indexes")
        }
        if report.findings.contains(where: { $0.kind == .capture }) {
            try node.replica.rebuildCapture()
            repaired.append("triggers")
        }
        if report.findings.contains(where: { $0.kind == .derived }) {
            try NewsStore(node.replica).rebuildSearchIndex()
            repaired.append("search index")
        }
        if report.findings.contains(where: { $0.kind == .roster }) {
            try node.replica.dropDamagedRosterRecords()
            repaired.append(Self.roster)
        }
        return repaired
    }

    private static let roster = "roster"

    static func show(_ progress: VerifyProgress, _ bar: ProgressBar) {
        let units: [VerifyProgress.Stage: String] = [
            .log: "change sets", .rows: "tables of rows", .journals: "journals", .ledger: "conflicts", .held: "held",
        ]
        bar.update(
            done: UInt64(max(progress.done, 0)), total: progress.total > 0 ? UInt64(progress.total) : nil,
            note: units[progress.stage] ?? "\(progress.stage.rawValue)")
    }

    private static func document(_ report: VerifyReport, _ repaired: [String]) -> Document {
        Document(
            sound: report.isSound, findings: report.findings.map(Finding.init), findingCount: report.findingCount,
            changeSets: report.changeSets, writes: report.writes, values: report.values, rows: report.rows,
            conflicts: report.conflicts, held: report.held, unsealed: report.unsealed, hidden: report.hidden,
            awaited: report.awaiting, parked: report.parked, uncheckedRegisters: report.uncheckedRegisters,
            repaired: repaired)
    }

    private static func text(_ report: VerifyReport, _ repaired: [String], _ node: Node) -> String {
        let anew = repaired.filter { $0 != roster }
        let made =
            (anew.isEmpty ? "" : "Made anew: \(anew.joined(separator: ", ")).\n")
            + (repaired.contains(roster)
                ? "Let go of the roster's damaged records: pull from any peer, and they come again.\n" : "")
        let counts =
            "\(report.changeSets.of("signed change set")), \(report.writes.of("write")), "
            + "\(report.values.of("value")) in \(report.rows.of("row")), \(report.conflicts.of("conflict"))"
        if report.isSound {
            var text = made + Terminal.output.styled("Sound.", .green, .bold) + " Checked \(counts)."
            if report.unsealed > 0 { text += " \(report.unsealed.of("edit")) not sealed yet." }
            if report.awaiting > 0 { text += " Catching up: \(report.awaiting.of("value")) still to come." }
            if report.uncheckedRegisters > 0 {
                text +=
                    " Whether conflicts are missing was not looked through for \(report.uncheckedRegisters.of("field")) with 64 writes or more."
            }
            return text
        }
        return made
            + report.findings.map {
                Terminal.output.styled("✗ \($0.kind.name)", .red) + "  \(printable(node.naming("\($0)")))"
            }.joined(separator: "\n")
            + "\n\nChecked \(counts)."
    }
}
