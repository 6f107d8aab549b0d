// syncnode held

import ArgumentParser
import NodeRuntime
import ReplicaStore
import ReplicationModel
import Trust

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

    /// What waits of one author.
    struct Author: Encodable {
        let author: String
        let changeSets: Int64
        let bytes: Int64
        /// Nothing more of it is kept until some of it is applied.
        let isFull: Bool
    }

    struct Listing: Encodable {
        let held: [Item]
        let authors: [Author]
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
            let authors = try node.replica.heldTallies().map {
                Author(
                    author: node.name(of: $0.author), changeSets: $0.changeSets, bytes: $0.bytes, isFull: $0.isFull)
            }
            let lines = authors.map { author in
                "\(author.author): \(Figures.count(author.changeSets, "change set")), \(Figures.bytes(UInt64(max(author.bytes, 0))))"
                    + (author.isFull
                        ? "; that is the most that is kept: what else comes of it is refused until some is applied"
                        : "")
            }
            try options.print(
                Listing(held: items, authors: authors),
                text: items.isEmpty
                    ? "Nothing is held." : table.text() + "\n\n" + printable(lines.joined(separator: "\n")))
        }
    }

    struct Release: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Apply now what is held for its author's clock.",
            discussion: """
                Its author's clock ran ahead. Once applied, this node's own edits are stamped after it too, so that they
                still win over what they follow; peers whose clocks are right hold them until the time comes, or until
                their operators release what is held there too.
                """)
        @Argument(help: "The id that `syncnode held` shows.") var id: String?
        @Option(help: "Everything that is held of this node.") var author: String?
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            guard (id == nil) != (author == nil) else { throw ValidationError("Give an id, or --author NODE.") }
        }

        func run() async throws {
            let node = try options.openNode()
            if let author { return try release(all: author, node) }
            let id = id ?? ""
            guard let held = try node.replica.held().first(where: { "\($0.dot)" == id }) else {
                throw CommandFailure(.noInput, "Nothing held has the id \(id). `syncnode held` lists what is.")
            }
            guard held.cause == .clockAhead else {
                throw CommandFailure(
                    .usage,
                    "\(id) is held because it \(held.detail): that cannot be released by hand. It is applied when the cause is gone."
                )
            }
            try release([held.dot], node)
        }

        private func release(all author: String, _ node: Node) throws {
            guard let member = node.member(named: author) else {
                throw CommandFailure(
                    .noInput, "“\(author)” is no node of this workspace. `syncnode roster` lists them.")
            }
            let dots = try node.replica.held().map(\.dot).filter { $0.origin.node == member.node }
            guard !dots.isEmpty else { throw CommandFailure(.noInput, "Nothing of “\(author)” is held.") }
            try release(Set(dots), node)
        }

        private func release(_ dots: Set<Dot>, _ node: Node) throws {
            let report = try node.replica.releaseHeld(dots)
            try options.print(
                ["released": UInt64(report.changeSets)],
                text: "Applied \(Figures.count(report.changeSets, "change set")).")
        }
    }
}
