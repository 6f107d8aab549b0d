// syncnode commitment: who undertook what to whom, by which instrument, due when, fulfilled or not

import ArgumentParser
import NewsStore
import ReplicationModel

struct CommitmentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commitment", abstract: "Track who undertook what, due when, fulfilled or not.",
        discussion: """
            Statuses: \(CommitmentStatus.allCases.map(\.rawValue).joined(separator: ", ")).
            An ID may be cut to any beginning that only one commitment has.
            """,
        subcommands: [
            Add.self, CommitmentListCommand.self, Show.self, Set.self, Log.self, Delete.self, Restore.self,
        ])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Record a commitment.",
            discussion: """
                syncnode commitment add --title "Open the timetable" --party "Port of Istanbul" --due-on 2026-09-01 \\
                  --article 0198a --quote "to open its pilots' timetable"
                A date may be a day, a month (2026-09) or a year. A party may have a role: --party "Port of Odesa=beneficiary".
                """)
        @Option(help: "What was undertaken, in a few words.") var title: String
        @Option(help: ArgumentHelp("Who undertook it, or to whom; may be repeated.", valueName: "name[=role]"))
        var party: [String]
        @Option(help: "The wording.") var text: String?
        @Option(help: "By what: a treaty, an exchange of letters, a statement.") var instrument: String?
        @Option(name: .customLong("agreed-on"), help: ArgumentHelp("When it was agreed.", valueName: "date"))
        var agreedOn: DateArgument?
        @Option(name: .customLong("due-on"), help: ArgumentHelp("When it is due.", valueName: "date")) var dueOn:
            DateArgument?
        @Option(help: "Where it stands; proposed where left out.") var status: String?
        @Option(help: ArgumentHelp("The article that reports it.", valueName: "id")) var article: String?
        @Option(help: "The words in the article.") var quote: String?
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            guard quote == nil || article != nil else {
                throw ValidationError("--quote goes with --article: say whose words they are.")
            }
        }

        func run() async throws {
            let given: [(CommitmentField, String?)] = [
                (.text, text), (.instrument, instrument), (.agreedOn, agreedOn?.date.text), (.dueOn, dueOn?.date.text),
                (.status, status),
            ]
            let assignments = given.compactMap { field, value in
                value.map { FieldAssignment(field: field.rawValue, value: $0) }
            }
            let id = try options.openNews().addCommitment(
                NewCommitment(
                    title: title, parties: party.map(CommitmentText.party), assignments: assignments, article: article,
                    quote: quote))
            try options.print(["id": "\(id)"], text: "\(id)")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a commitment with its parties, sources and events.")
        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let commitment = try options.openNews().commitment(id)
            try options.print(commitment, text: CommitmentText.whole(commitment))
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change fields.",
            discussion: """
                syncnode commitment set 0198b due_on=2026-10 status=in_progress
                FIELD= empties a field. Fields: \(FieldNames.commitments).
                """)
        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @Argument(help: ArgumentHelp("What to set.", valueName: "field=value")) var fields: [String]
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let (id, changed) = try options.openNews().setCommitment(
                id, fields.map { try FieldAssignment(parsing: $0) })
            try options.print(
                Changed(id: "\(id)", changed: changed),
                text: changed ? "Changed \(id)." : "\(id) has these values already.")
        }
    }

    struct Log: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Record what became of it; the status follows.",
            discussion: """
                syncnode commitment log 0198b --kind fulfilled --on 2026-08-30 --note "Timetable published" --article 0199c
                Kinds: \(CommitmentEventKind.allCases.map(\.rawValue).joined(separator: ", ")).
                """)

        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @Option(help: "What happened.") var kind: String
        @Option(help: ArgumentHelp("When; today where left out.", valueName: "date")) var on: DateArgument?
        @Option(help: "A remark.") var note: String?
        @Option(help: ArgumentHelp("The article that reports it.", valueName: "id")) var article: String?
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            guard let kind = CommitmentEventKind(rawValue: kind) else {
                throw ValidationError(
                    "“\(kind)” is no kind of event: \(CommitmentEventKind.allCases.map(\.rawValue).joined(separator: ", "))."
                )
            }
            let event = try options.openNews().log(
                kind, for: id, on: on?.date ?? PartialDate.todayUTC(), note: note, article: article)
            try options.print(
                event,
                text: event.movedStatus
                    ? "Logged; \(event.commitment) is \(event.status) now."
                    : "Logged; \(event.commitment) stays \(event.status).")
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a commitment.",
            discussion: "`syncnode commitment restore ID` brings it back, on every node.")
        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let id = try options.openNews().delete(.commitment, id)
            try options.print(
                ["id": "\(id)"], text: "Deleted \(id). `syncnode commitment restore \(id)` brings it back.")
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Bring a deleted commitment back.")
        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let id = try options.openNews().restore(.commitment, id)
            try options.print(["id": "\(id)"], text: "Restored \(id).")
        }
    }
}

struct CommitmentListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List commitments, those due first before the rest.",
        discussion: "syncnode commitment list --party \"Port of Odesa\" --overdue")

    @Option(help: "Only those of a party whose name has this in it.") var party: String?
    @Option(help: "Only those that stand so.") var status: String?
    @Flag(help: "Only those past their date and not settled.") var overdue = false
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let wanted = try status.map { text -> CommitmentStatus in
            guard let status = CommitmentStatus(rawValue: text) else {
                throw ValidationError(
                    "“\(text)” is no status: \(CommitmentStatus.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            return status
        }
        let today = PartialDate.todayUTC()
        let found = try options.openNews().commitments(
            CommitmentQuery(party: party, status: wanted, overdueOn: overdue ? today : nil))
        try options.print(found, text: CommitmentText.table(found, today))
    }
}
