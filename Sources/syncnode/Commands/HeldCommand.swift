// syncnode held

import ArgumentParser
import NodeRuntime
import ReplicaStore
import ReplicationModel
import Trust

struct HeldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "held", abstract: "Change sets that came and wait, and why.",
        discussion: """
            Nothing that is held is lost. What waits for a clock or for a newer syncnode is applied by itself when that has \
            come; what a revocation or a fork cuts off is kept here and counts nowhere, unless an admin accepts more of it. A \
            value that a column here would make another of (a word in a column of numbers) is kept beside the table.
            """, subcommands: [List.self, Show.self, Release.self], defaultSubcommand: List.self)

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

    /// An origin of which something is cut off.
    struct CutOffItem: Encodable {
        struct Count: Encodable { let name: String, id: String, changeSets: UInt64 }
        let origin: String
        let node: String
        /// revoked or forked.
        let cause: String
        @Nullable var revokedAt: JSONTime?
        let reason: String
        let lastAccepted: UInt64
        let lastHeld: UInt64
        let changeSets: UInt64
        let builtOnThem: [Count]

        init(_ cutOff: CutOff, _ node: Node) {
            origin = "\(cutOff.origin)"
            self.node = node.name(of: cutOff.origin.node)
            cause = cutOff.cause.rawValue
            revokedAt = cutOff.revoked.map { JSONTime($0.at) }
            reason = cutOff.revoked?.reason ?? ""
            lastAccepted = cutOff.lastAccepted.rawValue
            lastHeld = cutOff.last.rawValue
            changeSets = cutOff.changeSets
            builtOnThem = cutOff.dependents.sorted { $0.key < $1.key }.map {
                Count(name: node.name(of: $0.key), id: "\($0.key)", changeSets: $0.value)
            }
        }
    }

    /// An edit of this node that waits for its row.
    struct Edit: Encodable {
        let table: String
        let id: String
        /// Null: whether the row is there.
        @Nullable var field: String?
    }

    /// A value that its column here would not keep.
    struct MisfitItem: Encodable {
        let table: String
        let id: String
        let field: String
        let values: [String: JSONValue]
        let author: String
        let at: JSONTime

        init(_ misfit: Misfit, _ node: Node) {
            table = misfit.table
            id = "\(misfit.id)"
            field = misfit.field
            values = misfit.values.mapValues { JSONValue($0) }
            author = node.name(of: misfit.author.node)
            at = JSONTime(misfit.at)
        }
    }

    struct Listing: Encodable {
        let held: [Item]
        let authors: [Author]
        let cutOff: [CutOffItem]
        let waitingEdits: [Edit]
        /// At most 1,000.
        let misfits: [MisfitItem]
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
            let authors = try node.replica.heldTallies().map {
                Author(
                    author: node.name(of: $0.author), changeSets: $0.changeSets, bytes: $0.bytes, isFull: $0.isFull)
            }
            let cutOff = try node.cutOff()
            let edits = try node.replica.waitingEdits()
            let misfits = try node.replica.misfits().map { MisfitItem($0, node) }
            let text = try HeldText.listing(node, authors, cutOff, edits, misfits)
            try options.print(
                Listing(
                    held: items, authors: authors, cutOff: cutOff.map { CutOffItem($0, node) },
                    waitingEdits: edits.map { Edit(table: $0.table, id: "\($0.id)", field: $0.field) }, misfits: misfits
                ),
                text: text)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what is in one of them, or in a run.",
            discussion:
                "As its author signed it; whatever of it is here now in another way, by way of another change set, is not shown."
        )
        @Argument(help: "The id that `syncnode held` shows: of one, or of a run.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let documents = try HeldText.find(id, node).compactMap { held in
                try node.replica.heldContents(held.dot).map { HeldContentsDocument(held, $0, node) }
            }
            guard let first = documents.first else {
                throw CommandFailure(.noInput, "\(id) is held no more: it was applied meanwhile.")
            }
            let text = documents.map { $0.text(node) }.joined(separator: "\n\n")
            if documents.count == 1 {
                try options.print(first, text: text)
            } else {
                try options.print(["held": documents], text: text)
            }
        }
    }

    struct Release: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Apply now what is held for its author's clock.",
            discussion: """
                Its author's clock ran ahead. Once applied, this node's own edits are stamped after it too, so that they \
                still win over what they follow; peers whose clocks are right hold them until the time comes, or until \
                their operators release what is held there too.
                """)
        @Argument(help: "The id that `syncnode held` shows: of one, or of a run.") var id: String?
        @Option(help: "Everything that is held of this node.") var author: String?
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            guard (id == nil) != (author == nil) else { throw ValidationError("Give an id, or --author NODE.") }
        }

        func run() async throws {
            let node = try options.openNode()
            if let author { return try release(all: author, node) }
            let id = id ?? ""
            try release(HeldText.find(id, node), node)
        }

        /// What waits for one that is ahead may be ahead as well.
        private func release(_ held: [HeldChangeSet], _ node: Node) throws {
            guard let first = held.first else { return }
            guard held.contains(where: { $0.cause == .clockAhead }) else {
                throw try HeldText.whyNotByHand(first, node)
            }
            try release(Set(held.map(\.dot)), node)
        }

        private func release(all author: String, _ node: Node) throws {
            guard let member = try node.member(named: author) else {
                throw CommandFailure(
                    .noInput, "“\(author)” is no node of this workspace. `syncnode roster` lists them.")
            }
            let held = try node.replica.held().filter { $0.dot.origin.node == member.node }
            guard !held.isEmpty else { throw CommandFailure(.noInput, "Nothing of “\(author)” is held.") }
            try release(held, node)
        }

        private func release(_ dots: Set<Dot>, _ node: Node) throws {
            let report = try node.replica.releaseHeld(dots)
            try options.print(
                ["released": UInt64(report.changeSets)],
                text: "Applied \(report.changeSets.of("change set")).")
        }
    }
}
