// syncnode watch

import ArgumentParser
import Foundation
import NodeRuntime
import ReplicaStore
import ReplicationModel

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Follow changes, one JSON object a line, for ever.",
        discussion: """
            Changes made here and changes that came, in the order in which this node has them. Each line has a cursor: give \
            the last one to --since to go on where you left off. Stopped among the rows of one transaction, it begins that \
            transaction again, so that no row is passed over.

            Ctrl-C or SIGTERM ends it. In a script's background (`syncnode watch &`) shells have programs ignore Ctrl-C, and \
            so does this one; SIGTERM ends it there too.
            """)

    @Option(help: ArgumentHelp("Begin after this cursor; 0 is the beginning, else from now on.", valueName: "cursor"))
    var since: Int64?
    @OptionGroup var options: GlobalOptions

    struct Line: Encodable {
        let cursor: Int64
        let table: String
        let id: String
        let change: String
        /// Columns, those of a field with several of them too.
        let fields: [String]
        let author: String
        let node: String
        let at: JSONTime
        @Nullable var receivedFrom: String?
    }

    func run() async throws {
        let node = try options.openNode()
        var position = try since ?? node.replica.lastLogPosition()
        let changes = node.writes()
        if try node.replica.clockDoubtMilliseconds() != nil {
            say("This clock is far past all that the replica knows of: edits come when a peer has confirmed the time.")
            say("`syncnode pull` asks one; `syncnode doctor` says how far.")
        }
        try emit(node, &position)
        for await _ in changes { try emit(node, &position) }
    }

    private func emit(_ node: Node, _ position: inout Int64) throws {
        try node.replica.sealUnlessClockIsDoubtful()
        while true {
            let entries = try node.replica.log(after: position, limit: 100)
            guard !entries.isEmpty else { return }
            for entry in entries {
                // Only the last row's cursor says that all of them were seen.
                var left = entry.changeSet.tables.reduce(0) { $0 + $1.rows.count }
                for table in entry.changeSet.tables {
                    for row in table.rows {
                        left -= 1
                        let cursor = left == 0 ? entry.position : position
                        try printJSON(Self.line(cursor, entry, table, row, node), onOneLine: true)
                    }
                }
                position = entry.position
            }
        }
    }

    private static func line(
        _ cursor: Int64, _ entry: LogEntry, _ table: TableChanges, _ row: RowChange, _ node: Node
    ) -> Line {
        let listsFields = row.kind == .insert || row.kind == .update
        return Line(
            cursor: cursor, table: table.table, id: "\(row.id)", change: row.kind.word,
            fields: listsFields ? table.fieldSets[row.fieldSet].flatMap { table.fields[$0].columns } : [],
            author: node.name(of: entry.changeSet.header.origin.node), node: "\(entry.changeSet.header.origin.node)",
            at: JSONTime(row.stamp.wallClock), receivedFrom: entry.receivedFrom.map { node.name(of: $0) })
    }
}

extension RowChangeKind {
    /// As it stands in JSON.
    var word: String {
        switch self {
        case .insert: "insert"
        case .update: "update"
        case .delete: "delete"
        case .undelete: "undelete"
        }
    }
}
