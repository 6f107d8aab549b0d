// syncnode commitment list, show

import ArgumentParser
import NewsStore
import ReplicationModel

extension CommitmentCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List commitments, the first due first.",
            discussion: """
                Overdue is what should be done by now and is neither fulfilled nor lapsed nor withdrawn; a due date known to \
                the month has passed when the month has.

                  syncnode commitment list --overdue
                  syncnode commitment list --party "Port of Odesa" --status in_progress
                  syncnode commitment list --json | jq '.[] | select(.overdue) | .title'
                """)

        @Option(help: "One party's, by its whole name.") var party: String?
        @Option(help: "Those that stand there.") var status: CommitmentStatus?
        @Flag(help: "Those past their due date and still open.") var overdue = false
        @Option(
            help: ArgumentHelp(
                "At most so many, 0 for all; else \(ListLimit.commitments), and all with --json.", valueName: "number"))
        var limit: Int?
        @OptionGroup var options: GlobalOptions

        func validate() throws { try ListLimit.check(limit) }

        func run() async throws {
            let store = try options.openNews()
            let today = PartialDate.todayUTC()
            let shown = ListLimit.shown(limit, options, usual: ListLimit.commitments)
            var commitments = try store.commitments(
                CommitmentQuery(
                    party: party, status: status, overdueOn: overdue ? today : nil,
                    limit: ListLimit.asked(shown, options)))
            if options.json {
                return try printJSON(commitments.map { CommitmentDocument($0, $0, on: today) })
            }
            let hasMore = shown.map { commitments.count > $0 } ?? false
            if let shown { commitments = Array(commitments.prefix(shown)) }
            let ids = try store.shortIDs(commitments.map(\.id), .commitment)
            try emit(commitments.isEmpty ? nothing(store) : table(commitments, ids, today))
            if hasMore {
                try emit(
                    Terminal.output.styled(
                        "\nShown: the first \(commitments.count.grouped). All: --limit 0. Fewer: --party, --status, --overdue.",
                        .dim))
            }
        }

        private func nothing(_ store: NewsStore) throws -> String {
            if let party {
                let names = try store.partyNames(containing: party, limit: 6)
                if !names.contains(where: { $0.lowercased() == party.lowercased() }) {
                    let meant = names.prefix(5).map { "“\(printableLine($0))”" }.joined(separator: ", ")
                    return "No commitment names “\(printableLine(party))” as a party."
                        + (names.isEmpty ? "" : " Meant, perhaps: \(meant)\(names.count > 5 ? ", …" : "").")
                }
            }
            if party == nil, status == nil {
                return overdue
                    ? "Nothing is overdue."
                    : "There is no commitment yet. Record one: syncnode commitment add --title … --party …"
            }
            return "No commitment matches."
        }

        private func table(_ commitments: [CommitmentSummary], _ ids: [RowID: String], _ today: PartialDate) -> String {
            var table = TextTable("id", "due", "status", "parties", "title")
            let terminal = Terminal.output
            let room = terminal.isTerminal ? max(min(terminal.width / 4, 32), 12) : Int.max
            for commitment in commitments {
                let isLate = commitment.isOverdue(on: today)
                let status = commitment[.status] ?? CommitmentStatus.proposed.rawValue
                table.add([
                    (ids[commitment.id] ?? "\(commitment.id)", .bold),
                    ((commitment[.dueOn] ?? "") + (isLate ? " overdue" : ""), isLate ? .red : nil),
                    (CommitmentText.words(status), CommitmentText.style(status)),
                    (shortened(commitment.parties.map(\.name).joined(separator: ", "), to: room), nil),
                    (commitment[.title] ?? "", nil),
                ])
            }
            return table.text()
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a commitment whole: parties, terms, and what was reported and happened, as a timeline.")

        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let store = try options.openNews()
            let commitment = try store.commitment(id)
            let today = PartialDate.todayUTC()
            if options.json { return try printJSON(CommitmentDocument(commitment, commitment.summary, on: today)) }
            let articles = commitment.sources.map(\.article) + commitment.events.compactMap(\.article)
            try emit(CommitmentText.whole(commitment, try store.shortIDs(articles, .article), today))
        }
    }
}

/// A commitment as JSON, and whether it is overdue today.
private struct CommitmentDocument<Body: Encodable>: Encodable {
    private enum Key: String, CodingKey { case overdue }
    private let body: Body
    private let overdue: Bool

    init(_ body: Body, _ summary: CommitmentSummary, on day: PartialDate) {
        self.body = body
        overdue = summary.isOverdue(on: day)
    }

    func encode(to encoder: any Encoder) throws {
        try body.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(overdue, forKey: .overdue)
    }
}
