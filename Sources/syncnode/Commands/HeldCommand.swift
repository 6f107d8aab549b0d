// syncnode held

import ArgumentParser
import NodeRuntime
import ReplicaStore
import ReplicationModel

struct HeldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "held", abstract: "Change sets that came and wait, and why.",
        subcommands: [List.self, Release.self],
        defaultSubcommand: List.self)

    struct Item: Encodable {
        let id: String
        let author: String
        let cause: String
        let detail: String
        @Nullable var releaseAt: JSONTime?
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List them.")
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let items = try node.replica.held().map { held in
                Item(
                    id: "\(held.dot)", author: node.name(of: held.dot.origin.node), cause: held.cause.rawValue,
                    detail: held.detail, releaseAt: held.releaseAt.map { JSONTime($0) })
            }
            var table = TextTable("author", "cause", "detail", "released by itself", "id")
            for item in items {
                table.add(
                    item.author, item.cause, item.detail, item.releaseAt.map { Figures.time($0.time) } ?? "no", item.id)
            }
            try options.print(["held": items], text: items.isEmpty ? "Nothing is held." : table.text())
        }
    }

    struct Release: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Apply one now that is held for its clock.",
            discussion: """
                Its author's clock ran ahead. Once applied, this node's own edits are stamped after it too, so that they
                still win over what they follow; peers whose clocks are right hold them until the time comes.
                """)
        @Argument(help: "The id that `syncnode held` shows.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            guard let held = try node.replica.held().first(where: { "\($0.dot)" == id }) else {
                throw CommandFailure(.noInput, "Nothing held has the id \(id). `syncnode held` lists what is.")
            }
            guard held.cause == .clockAhead else {
                throw CommandFailure(
                    .usage,
                    "\(id) is held because it \(held.detail): that cannot be released by hand. It is applied when the cause is gone."
                )
            }
            let report = try node.replica.releaseHeld([held.dot])
            try options.print(
                ["released": UInt64(report.changeSets)],
                text: "Applied \(Figures.count(report.changeSets, "change set")).")
        }
    }
}
