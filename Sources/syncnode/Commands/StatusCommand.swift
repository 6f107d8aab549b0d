// syncnode status, backup

import ArgumentParser
import Foundation
import NodeRuntime
import ReplicaStore
import ReplicationModel
import Trust

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "This node in a few numbers.")

    @OptionGroup var options: GlobalOptions

    struct Document: Encodable {
        struct Named: Encodable { let id: String, name: String }
        let node: Named
        let role: String
        let workspace: Named
        let data: String
        let origin: String
        let versionVector: [String: UInt64]
        let rows: [String: Int64]
        let unsealed: Int64
        let held: Int64
        /// Edits of this node that wait for rows which a cut took away.
        let waitingEdits: Int
        /// Origins that are proven to have forked.
        let forks: Int
        let parked: Int64
        /// Values that stand beside their table, as its column would make others of them.
        let misfits: Int64
        let conflicts: Int
        let catchingUp: Bool
        let awaited: Int64
        let changeSets: Int64
        let sizeBytes: UInt64
        let walBytes: UInt64
        @Nullable var lastChangeAt: JSONTime?
        let certificateValidUntil: JSONTime
        let notices: [Notice]
        /// Origins stamped ahead of this clock, furthest first.
        let stampsAhead: [StampsAhead]
    }

    struct Notice: Encodable { let at: JSONTime, kind: String, text: String }
    struct StampsAhead: Encodable { let origin: String, node: String, until: JSONTime, seconds: Double, held: Bool }

    func run() async throws {
        let node = try options.openNode()
        let status = try node.replica.status()
        let notices = try node.replica.notices()
        let ahead = try node.replica.stampsAhead()
        let edits = try node.replica.waitingEdits().count
        let document = Document(
            node: .init(id: "\(node.id)", name: node.name), role: node.certificate.role.rawValue,
            workspace: .init(id: "\(node.replica.workspace.id)", name: node.replica.workspace.name),
            data: node.directory,
            origin: "\(status.origin)",
            versionVector: Dictionary(
                uniqueKeysWithValues: status.applied.sorted.map { ("\($0.origin)", $0.sequence.rawValue) }),
            rows: Dictionary(uniqueKeysWithValues: status.rows.map { ($0.table, $0.count) }), unsealed: status.unsealed,
            held: status.held, waitingEdits: edits, forks: node.forks.count, parked: status.parked,
            misfits: status.misfits,
            conflicts: status.conflicts,
            catchingUp: status.awaiting > 0,
            awaited: status.awaiting, changeSets: status.changeSets, sizeBytes: status.sizeBytes,
            walBytes: status.walBytes,
            lastChangeAt: status.lastStamp == .zero ? nil : JSONTime(status.lastStamp.wallClock),
            certificateValidUntil: JSONTime(node.certificate.notAfter),
            notices: notices.map(Notice.init),
            stampsAhead: ahead.map {
                StampsAhead(
                    origin: "\($0.origin)", node: node.name(of: $0.origin.node), until: JSONTime($0.until),
                    seconds: Double($0.milliseconds) / 1000, held: $0.isHeld)
            })
        let warnings =
            notices.map {
                "\(Figures.time($0.at)): \(node.naming($0.text)) (`syncnode doctor` says more, `syncnode doctor --dismiss` when read)"
            }
            + ahead.map {
                "“\(node.name(of: $0.origin.node))” stamped edits \(Figures.duration(seconds: Double($0.milliseconds) / 1000)) ahead of this clock (`syncnode doctor`)"
            }
        try options.print(
            document,
            text: ([Self.text(status, edits, node)] + warnings.map { Terminal.output.styled("! " + $0, .yellow) })
                .joined(
                    separator: "\n"))
    }

    private static func text(_ status: ReplicaStatus, _ edits: Int, _ node: Node) -> String {
        let terminal = Terminal.output
        func count(_ value: Int64, _ hint: String) -> String {
            value == 0 ? "0" : terminal.styled("\(value.grouped)  \(hint)", .yellow)
        }
        var lines = [
            ("node", "\(node.name), \(node.certificate.role.rawValue) of “\(node.replica.workspace.name)”"),
            ("data", node.directory),
        ]
        lines += status.rows.filter { $0.count > 0 }.map { ($0.table, $0.count.grouped) }
        lines += [
            ("change sets", "\(status.changeSets.grouped) of \(status.applied.count.of("origin"))"),
            ("unsealed", count(status.unsealed, "(sealed when the node next meets another)")),
            ("conflicts", count(Int64(status.conflicts), "(syncnode conflicts)")),
            ("held", count(status.held, "(syncnode held)")),
            ("waiting edits", count(Int64(edits), "(for rows that are cut off: syncnode held)")),
            ("forks", count(Int64(node.forks.count), "(syncnode forks)")),
            ("parked", count(status.parked, "(a newer syncnode knows these columns)")),
            ("misfits", count(status.misfits, "(values that their columns would not keep: syncnode held)")),
            ("awaited", count(status.awaiting, "(values still to come: catching up)")),
            ("size", "\(Figures.bytes(status.sizeBytes)), log \(Figures.bytes(status.walBytes))"),
        ]
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map {
            terminal.styled($0.0.padding(toLength: width, withPad: " ", startingAt: 0), .dim) + "  " + $0.1
        }
        .joined(separator: "\n")
    }
}

extension StatusCommand.Notice {
    init(_ notice: ReplicaNotice) {
        self.init(at: JSONTime(notice.at), kind: notice.kind.rawValue, text: notice.text)
    }
}

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copy the replica to a file, while others go on writing.",
        discussion: """
            The copy is consistent and compact. It does not hold this node's key: keep a copy of identity/ apart, in a safe \
            place. To look into a copy, open it with any SQLite program.
            """)

    @Argument(help: ArgumentHelp("Where to; it must not exist.", valueName: "file"), completion: .file())
    var file: String
    @OptionGroup var options: GlobalOptions

    struct Document: Encodable {
        let file: String
        let sizeBytes: UInt64
    }

    func run() async throws {
        let node = try options.openNode()
        do {
            try node.replica.backup(to: file)
        } catch let error as SQLError where !error.isCorrupt && !error.isBusy {
            throw CommandFailure(
                .inputOutput,
                """
                Cannot back up to \(file): \(error.message). Nothing is left there.
                See that its directory is there, that you may write in it, and that it has room for \
                \(Figures.bytes(Files.size(node.replica.path))).
                """)
        } catch let error as ReplicaError where error.code == .inputOutput {
            // The copy was made, and how far it goes could not be noted: put back one day, it might give out a number again.
            try? FileManager.default.removeItem(atPath: file)
            throw CommandFailure(
                .inputOutput,
                """
                Cannot back up to \(file): \(error) Nothing is left there.
                From a disk that cannot be written any more, copy \(node.replica.path) with the -wal beside it, as they are.
                """)
        }
        let size = Files.size(file)
        try options.print(Document(file: file, sizeBytes: size), text: "Backed up to \(file), \(Figures.bytes(size)).")
    }
}
