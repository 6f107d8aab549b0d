// What `syncnode held` says to people: runs of change sets, what cuts keep out, and what is in one of them.

import NodeRuntime
import ReplicaStore
import ReplicationModel

enum HeldText {
    /// The held change sets that a person means, in order: by the id of one, or of a run, FIRST…LAST; with the origin whole, or
    /// shortened as it is shown.
    static func find(_ id: String, _ node: Node) throws -> [HeldChangeSet] {
        let parts = id.split(separator: ":", omittingEmptySubsequences: false)
        let sequences = parts.count == 2 ? Self.sequences(parts[1]) : nil
        let matches = try node.replica.held().filter { held in
            sequences?.contains(held.dot.sequence.rawValue) == true && held.dot.origin.isMeant(by: parts[0])
        }
        guard !matches.isEmpty else {
            throw CommandFailure(.noInput, "Nothing held has the id \(id). `syncnode held` lists what is.")
        }
        let origins = Set(matches.map(\.dot.origin))
        guard origins.count == 1 else {
            let meant = origins.map { "\($0):\(parts[1])" }.sorted()
            throw CommandFailure(.usage, "\(id) means \(meant.joined(separator: " or ")): give more of it.")
        }
        return matches.sorted { $0.dot.sequence < $1.dot.sequence }
    }

    /// `2`, or `2…4`; three dots are easier to type.
    private static func sequences(_ text: Substring) -> ClosedRange<UInt64>? {
        let ends = text.replacing("...", with: "…").split(separator: "…", omittingEmptySubsequences: false)
            .map { UInt64($0) }
        guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last else {
            return nil
        }
        return first...last
    }

    static func listing(
        _ node: Node, _ authors: [HeldCommand.Author], _ cutOff: [CutOff], _ edits: [WaitingEdit],
        _ misfits: [HeldCommand.MisfitItem]
    ) throws -> String {
        let runs = try node.replica.heldRuns()
        guard !runs.isEmpty || !edits.isEmpty || !misfits.isEmpty else { return "Nothing is held." }
        var parts: [String] = []
        if !runs.isEmpty {
            var table = TextTable("author", "change sets", "released by itself", "id", "why")
            table.lastIsProse = true
            for run in runs {
                table.add(
                    node.name(of: run.origin.node), run.count.grouped, release(of: run),
                    "\(Node.short(incarnationOf: run.origin)):\(run.first)" + (run.count > 1 ? "…\(run.last)" : ""),
                    node.naming(why(run)))
            }
            parts.append(table.text())
        }
        parts += cutOff.map { printable(node.naming(node.sentence($0) + "\n" + node.advice($0))) }
        if !edits.isEmpty { parts.append(printable(waiting(edits))) }
        if !misfits.isEmpty { parts.append(printable(beside(misfits))) }
        if !authors.isEmpty { parts.append(printable(authors.map(tally).joined(separator: "\n"))) }
        return parts.joined(separator: "\n\n")
    }

    /// In which case it is applied by itself.
    private static func release(of run: HeldRun) -> String {
        if run.isCutOff { return "no" }
        if let time = run.releaseAt { return Figures.time(time) }
        switch run.cause {
        case .unknownTable, .schemaDiffers: return "with a newer syncnode"
        default: return run.root == nil ? "no" : "with what it waits for"
        }
    }

    private static func why(_ run: HeldRun) -> String {
        guard let root = run.root else {
            switch run.cause {
            case .revoked: return "comes after what the revocation of its author accepts"
            case .forked: return run.detail.isEmpty ? "its origin forked" : run.detail
            default: return run.detail
            }
        }
        switch root.cause {
        case nil: return "waits for \(root.dot), which has not come"
        case .revoked, .forked: return "builds on \(root.dot), which is cut off"
        case .some: return "builds on \(root.dot), which is held"
        }
    }

    private static func waiting(_ edits: [WaitingEdit]) -> String {
        let shown = edits.prefix(10).map { "  \($0.table) \($0.id)\($0.field.map { ", \($0)" } ?? "")" }
        let more = edits.count > shown.count ? "\n  and \((edits.count - shown.count).grouped) more" : ""
        return
            "Written here on rows that are set aside, and written again when these come back:\n\(shown.joined(separator: "\n"))\(more)"
    }

    private static func beside(_ misfits: [HeldCommand.MisfitItem]) -> String {
        let shown = misfits.prefix(10).map { misfit in
            let values = misfit.values.sorted { $0.key < $1.key }.map {
                "\($0.key) = \(shortened("\($0.value)", to: 40))"
            }
            return
                "  \(misfit.table) \(misfit.id), \(values.joined(separator: ", "))  (by “\(misfit.author)”, \(Figures.time(misfit.at.time)))"
        }
        let more = misfits.count > shown.count ? "\n  and \((misfits.count - shown.count).grouped) more" : ""
        return
            "Values that their columns here would make others of, kept beside their tables, which have defaults there. They hold nothing up; to settle one, write the field anew:\n\(shown.joined(separator: "\n"))\(more)"
    }

    private static func tally(_ author: HeldCommand.Author) -> String {
        "\(author.author): \(author.changeSets.of("change set")), \(Figures.bytes(max(author.bytes, 0)))"
            + (author.isFull
                ? "; that is the most that is kept: what else comes of it is refused until some is applied" : "")
    }

    /// Why the operator cannot release it, and what can be done.
    static func whyNotByHand(_ held: HeldChangeSet, _ node: Node) throws -> CommandFailure {
        let run = try node.replica.heldRuns().first {
            $0.origin == held.dot.origin && $0.first <= held.dot.sequence && held.dot.sequence <= $0.last
        }
        let origin = run?.root?.dot.origin ?? held.dot.origin
        if run?.isCutOff == true, let cutOff = try node.cutOff().first(where: { $0.origin == origin }) {
            return CommandFailure(
                .refused,
                node.naming("\(held.dot) cannot be released by hand. \(node.sentence(cutOff))\n\(node.advice(cutOff))"))
        }
        return CommandFailure(
            .usage,
            node.naming(
                "\(held.dot) cannot be released by hand: \(held.detail). It is applied when that is no more."
            ))
    }
}

/// What is in a held change set.
struct HeldContentsDocument: Encodable {
    struct Change: Encodable {
        let table: String
        let id: String
        /// insert, update, delete or undelete.
        let change: String
        let at: JSONTime
        /// By column; null for what is empty, and for what has not come.
        let values: [String: JSONValue]
    }
    let id: String
    let author: String
    let cause: String
    let detail: String
    /// Null where it was applied here before.
    @Nullable var receivedFrom: String?
    let changes: [Change]

    init(_ held: HeldChangeSet, _ contents: HeldContents, _ node: Node) {
        id = "\(held.dot)"
        author = node.name(of: held.dot.origin.node)
        cause = held.cause.rawValue
        detail = held.detail
        receivedFrom = contents.receivedFrom.map { node.name(of: $0) }
        var beside = contents.values[...]
        changes = contents.changeSet.tables.flatMap { table in
            table.rows.map { row in
                let columns =
                    row.cells.isEmpty ? [] : table.fieldSets[row.fieldSet].flatMap { table.fields[$0].columns }
                let values = row.cells.map { cell -> JSONValue in
                    switch cell {
                    case .inline(let value): return JSONValue(value)
                    case .beside(let large):
                        guard let bytes = beside.popFirst() ?? nil else { return JSONValue(nil) }
                        return JSONValue(large.kind == .text ? .text(bytes) : .blob(bytes))
                    }
                }
                return Change(
                    table: table.table, id: "\(row.id)", change: row.kind.word, at: JSONTime(row.stamp.wallClock),
                    values: Dictionary(zip(columns, values)) { first, _ in first })
            }
        }
    }

    func text(_ node: Node) -> String {
        let heading = "\(node.naming(id)), held: \(node.naming(detail))"
        let rows = changes.map { change in
            let values = change.values.sorted { $0.key < $1.key }.filter { $0.value.value != .null }.map {
                "\n  \($0.key): \(shortened("\($0.value)", to: 120))"
            }
            return "\(change.change) \(change.table) \(change.id)  \(Figures.time(change.at.time))\(values.joined())"
        }
        return printable(([heading] + rows).joined(separator: "\n\n"))
    }
}
