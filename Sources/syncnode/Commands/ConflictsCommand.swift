// syncnode conflicts

import ArgumentParser
import Foundation
import NewsStore
import NodeRuntime
import ReplicaStore
import ReplicationModel

struct ConflictsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conflicts", abstract: "What lost against a concurrent write, and dealing with it.",
        discussion: """
            Two nodes wrote one field, and neither had seen the other's. The later write stands; the other is kept here until \
            someone keeps it (writes it back) or accepts what stands. Either settles it for the whole workspace.
            """, subcommands: [List.self, Show.self, Keep.self, Accept.self], defaultSubcommand: List.self)

    struct Item: Encodable {
        struct Write: Encodable {
            let values: [String: JSONValue]
            let author: String
            let node: String
            let at: JSONTime
        }
        let id: String
        let table: String
        let row: String
        let field: String
        let lost: Write
        let current: Write
        let acknowledged: Bool

        init(_ conflict: Conflict, _ node: Node) {
            id = conflict.key
            table = conflict.table
            row = "\(conflict.row)"
            field = conflict.field
            let names = conflict.columns.isEmpty ? ["alive"] : conflict.columns
            lost = Self.write(names, conflict.lostValues, conflict.lost, node)
            current = Self.write(names, conflict.currentValues, conflict.current, node)
            acknowledged = conflict.isAcknowledged
        }

        private static func write(_ names: [String], _ values: [Value?], _ version: Version, _ node: Node) -> Write {
            Write(
                values: Dictionary(uniqueKeysWithValues: zip(names, values.map { JSONValue($0) })),
                author: node.name(of: version.origin.node), node: "\(version.origin.node)",
                at: JSONTime(version.stamp.wallClock))
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List open conflicts.")
        @Flag(help: "Those dealt with too.") var all = false
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let items = try node.replica.conflicts(acknowledged: all).map { Item($0, node) }
            let titles = ["id"] + (all ? ["state"] : []) + ["row", "field", "lost", "by", "stands", "by"]
            var table = TextTable(titles.map { TextTable.Column(title: $0) })
            for item in items {
                var cells: [(String, Style?)] = [(item.id, .bold)]
                if all { cells.append(item.acknowledged ? ("dealt with", .dim) : ("open", .yellow)) }
                cells += [
                    ("\(item.table) \(item.row.prefix(13))", nil), (item.field, nil),
                    (ConflictText.short(item.lost), .yellow), (item.lost.author, nil),
                    (ConflictText.short(item.current), nil), (item.current.author, nil),
                ]
                table.add(cells)
            }
            let dealing = "  ·  keep ID writes the lost value back  ·  accept ID leaves what stands"
            let hint =
                "\n\nsyncnode conflicts show ID" + (items.allSatisfy(\.acknowledged) ? "" : dealing)
            let none = all ? "There is no conflict, and none was dealt with." : "No conflict is open."
            try options.print(["conflicts": items], text: items.isEmpty ? none : table.text() + hint)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show both writes whole.")
        @Argument(help: "The conflict's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let item = Item(try ConflictText.find(id, node), node)
            try options.print(
                item,
                text: """
                    \(item.table) \(printableLine(item.row)), field \(item.field)\(item.acknowledged ? ", dealt with" : "")

                    lost    \(item.lost.author), \(Figures.time(item.lost.at.time))
                    \(ConflictText.whole(item.lost))

                    stands  \(item.current.author), \(Figures.time(item.current.at.time))
                    \(ConflictText.whole(item.current))
                    """)
        }
    }

    struct Keep: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Write the lost value back as a new edit.")
        @Argument(help: "The conflict's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNodeToWrite()
            let conflict = try ConflictText.findOpen(id, node)
            try node.replica.keep(conflict)
            try options.print(
                ["kept": conflict.key], text: "Written back: \(ConflictText.place(conflict)).")
        }
    }

    struct Accept: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Leave what stands, and say so for everyone.")
        @Argument(help: "The conflict's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNodeToWrite()
            let conflict = try ConflictText.findOpen(id, node)
            try node.replica.accept(conflict)
            try options.print(
                ["accepted": conflict.key], text: "Accepted: \(ConflictText.place(conflict)).")
        }
    }
}

enum ConflictText {
    static func find(_ prefix: String, _ node: Node) throws -> Conflict {
        try find(prefix, among: node.replica.conflicts(acknowledged: true))
    }

    /// One that nobody has dealt with: what lost long ago would overwrite everything that was written since.
    static func findOpen(_ prefix: String, _ node: Node) throws -> Conflict {
        let all = try node.replica.conflicts(acknowledged: true)
        do {
            return try find(prefix, among: all.filter { !$0.isAcknowledged })
        } catch let error as CommandFailure where error.status == .noInput {
            let settled = try find(prefix, among: all)
            throw CommandFailure(
                .usage,
                "\(place(settled)): this conflict is dealt with already; nothing was written. `syncnode conflicts show \(settled.key.prefix(12))` has both values, should the lost one be wanted after all."
            )
        }
    }

    private static func find(_ prefix: String, among conflicts: [Conflict]) throws -> Conflict {
        guard !prefix.isEmpty else {
            throw CommandFailure(.usage, "The conflict's id is empty. `syncnode conflicts list` shows them.")
        }
        let matches = conflicts.filter { $0.key.hasPrefix(prefix.lowercased()) }
        guard let conflict = matches.first else {
            throw CommandFailure(
                .noInput, "No conflict has an id that begins with “\(prefix)”. `syncnode conflicts list` shows them.")
        }
        guard matches.count == 1 else {
            throw CommandFailure(
                .usage,
                "\(matches.count) conflicts begin with “\(prefix)”: \(matches.prefix(5).map(\.key).joined(separator: ", ")). Give more of the id."
            )
        }
        return conflict
    }

    /// An id is what its author made it: anything at all.
    static func place(_ conflict: Conflict) -> String {
        "\(conflict.table) \(printableLine("\(conflict.row)")), \(conflict.field)"
    }

    static func short(_ write: ConflictsCommand.Item.Write) -> String {
        let text = write.values.sorted { $0.key < $1.key }.map { "\($0.value)" }.joined(separator: ", ")
        return text.cut(to: 40)
    }

    static func whole(_ write: ConflictsCommand.Item.Write) -> String {
        write.values.sorted { $0.key < $1.key }.map { "  \($0.key): \(printable("\($0.value)"))" }.joined(
            separator: "\n")
    }
}

/// A value of a column, as JSON shows it: blobs in base 64, what has not arrived as null.
struct JSONValue: Encodable, CustomStringConvertible {
    let value: Value?
    init(_ value: Value?) { self.value = value }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch value {
        case nil, .null: try container.encodeNil()
        case .integer(let integer): try container.encode(integer)
        case .real(let double) where double.isFinite: try container.encode(double)
        case .real(let double): try container.encode("\(double)")
        case .text(let bytes): try container.encode(String(decoding: bytes, as: UTF8.self))
        case .blob(let bytes): try container.encode(Data(bytes).base64EncodedString())
        }
    }

    var description: String {
        switch value {
        case nil: "(has not arrived)"
        case .null: "(empty)"
        case .integer(let integer): "\(integer)"
        case .real(let double): "\(double)"
        case .text(let bytes): String(decoding: bytes, as: UTF8.self)
        case .blob(let bytes): "(\(Figures.bytes(bytes.count)) of binary)"
        }
    }
}
