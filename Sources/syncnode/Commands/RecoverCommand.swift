// syncnode recover

import ArgumentParser
import Foundation
import NewsStore
import NodeRuntime
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire

struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover", abstract: "Make a lost replica anew, and fetch everything from peers.",
        discussion: """
            For a node whose identity/ is there and whose replica.sqlite is lost or damaged beyond use (move a damaged one \
            away first, and keep it). The new replica is of the same node under a new origin; what this node wrote before \
            comes back from peers like everybody's. Where peers are is lost with the replica: name one.
              syncnode recover hq.example:7742
            Edits that never left this machine are in the old file alone. From one that can still be read:
              syncnode recover --salvage OLD.sqlite
            """)

    @Argument(help: ArgumentHelp("Where peers can be reached, HOST:PORT.", valueName: "host:port"))
    var peers: [String] = []
    @Option(
        help: ArgumentHelp(
            "Write again what only this old file of the replica holds, once the new one has what peers have.",
            valueName: "file"))
    var salvage: String?
    @OptionGroup var options: GlobalOptions

    struct Salvaged: Encodable {
        struct Difference: Encodable {
            let table: String
            let row: String
            @Nullable var field: String?
        }
        let rows: Int
        let differing: [Difference]
    }

    func validate() throws {
        guard salvage == nil || peers.isEmpty else {
            throw ValidationError("First `syncnode recover HOST:PORT`; then, in a second step, --salvage FILE.")
        }
    }

    func run() async throws {
        if let salvage { return try write(again: salvage) }
        try await makeAnew()
    }

    private func write(again file: String) throws {
        guard FileManager.default.fileExists(atPath: file) else {
            throw CommandFailure(.noInput, "Cannot salvage from \(file): there is no such file.")
        }
        guard !Files.isDirectory(file) else {
            throw CommandFailure(
                .noInput, "Cannot salvage from \(file): it is a directory. Name the old replica.sqlite in it.")
        }
        guard access(file, R_OK) == 0 else {
            throw CommandFailure(
                .noInput,
                "Cannot salvage from \(file): \(String(cString: strerror(errno))). Let this user read it, or copy it.")
        }
        let replica = try options.openNodeToWrite().replica
        let report: SalvageReport
        do {
            report = try replica.salvage(from: file)
        } catch let error as SQLError where error.isCorrupt {
            throw CommandFailure(
                .badData,
                """
                Cannot salvage from \(file): \(error.message). Nothing was written again.
                Check that it is the old replica.sqlite, and keep it. `syncnode verify` says whether the new replica is sound; of a \
                damaged file `sqlite3 FILE .recover` reads what can be read.
                """)
        } catch let error as SQLError {
            throw CommandFailure(
                error.isBusy ? .tryAgain : .inputOutput,
                """
                Cannot salvage from \(file) into \(replica.path): \(error.message) (code \(error.code)).
                Where it is the old file that cannot be read, copy it, and the -wal beside it, to where this user may write, and \
                name the copy; where there is no room, make some. Then salvage once more: what was done so far is kept.
                """)
        }
        let differing = report.differing.map {
            Salvaged.Difference(table: $0.table, row: String(decoding: $0.row.bytes, as: UTF8.self), field: $0.field)
        }
        let lines = differing.map { "  \($0.table) \(printableLine($0.row)) \($0.field ?? "(the row)")" }
        try options.print(
            Salvaged(rows: report.rows, differing: differing),
            text: "Wrote \(report.rows.of("row")) again from \(file). Keep the file."
                + (lines.isEmpty
                    ? ""
                    : "\nLeft as others wrote them meanwhile; compare with the file:\n" + lines.joined(separator: "\n"))
        )
    }

    private func makeAnew() async throws {
        let node = try Node.recover(options.directory, peers: peers, tables: NewsTables.all)
        say("Made an empty replica for “\(node.name)”, under a new origin.")
        guard !peers.isEmpty else {
            try options.print(
                InitCommand.Document(node),
                text: "Next: `syncnode peer add HOST:PORT`, and `syncnode pull` fetches what the workspace has.")
            return
        }
        try node.replica.close()
        do {
            try await PeerExchange.run([], mode: .pull, verb: "pull", options)
        } catch let failure as CommandFailure {
            throw CommandFailure(
                failure.status,
                """
                \(failure)
                The replica is made: do not recover again. `syncnode peer add HOST:PORT`, then `syncnode pull`; `syncnode peer \
                remove HOST:PORT` forgets an address that was wrong.
                """)
        }
    }
}
