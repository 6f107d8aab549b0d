// syncnode commitment add, set, log, delete, restore

import ArgumentParser
import NewsStore
import ReplicationModel

extension CommitmentCommand {
    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Record a commitment.",
            discussion: """
                  syncnode commitment add --title "Joint list of dangerous cargoes" \\
                    --party "Port of Istanbul=host" --party "Port of Odesa" \\
                    --instrument "exchange of letters" --status agreed \\
                    --agreed-on 2026-05-09 --due-on 2026-12 \\
                    --article 3f2a91bc --quote "agreed to keep a joint list"

                Where of a date only the month or the year is known, write 2026-12 or 2026.
                """)

        @Option(help: "What was undertaken, in one line.") var title: String
        @Option(
            help: ArgumentHelp(
                "Who is bound by it, or to whom; with a role as NAME=ROLE. May be repeated.", valueName: "party"))
        var party: [String]
        @Option(help: "The terms, in full.") var text: String?
        @Option(help: "What it was made by: a treaty, an exchange of letters, a speech.") var instrument: String?
        @Option(help: ArgumentHelp("When it was made.", valueName: "date")) var agreedOn: String?
        @Option(help: ArgumentHelp("By when it is to be done.", valueName: "date")) var dueOn: String?
        @Option(help: "Where it stands; proposed if left out.") var status: CommitmentStatus?
        @Option(help: "Anything else worth knowing.") var notes: String?
        @Option(help: ArgumentHelp("The article that reports it.", valueName: "id")) var article: String?
        @Option(help: "The words of that article.") var quote: String?
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            if quote != nil, article == nil {
                throw ValidationError("--quote needs --article ID: the article whose words they are.")
            }
        }

        func run() async throws {
            if let agreedOn { _ = try NewsArguments.date(agreedOn, "--agreed-on") }
            if let dueOn { _ = try NewsArguments.date(dueOn, "--due-on") }
            let given: [(CommitmentField, String?)] = [
                (.text, text), (.instrument, instrument), (.agreedOn, agreedOn), (.dueOn, dueOn),
                (.status, status?.rawValue), (.notes, notes),
            ]
            let parties = try party.map { try CommitmentCommand.party($0) }
            let store = try options.openNewsToWrite()
            let id = try store.addCommitment(
                NewCommitment(
                    title: title, parties: parties,
                    assignments: given.compactMap { field, value in
                        value.map { FieldAssignment(field: field.rawValue, value: $0) }
                    }, article: article, quote: quote))
            let text = try NewsText.added(.commitment, id, title, store)
            try options.print(RowDocument(id), text: text)
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change fields of a commitment, or add a party or an article to it.",
            discussion: """
                Only what differs is written. An empty value clears a field. To say that something happened to it, rather \
                than to correct it, use `syncnode commitment log`, which moves the status too.

                  syncnode commitment set 0198f3a2 due_on=2026-10-01 notes="Put off."
                  syncnode commitment set 0198f3a2 --party "Port of Odesa=guest"
                  syncnode commitment set 0198f3a2 --article 3f2a91bc --quote "by winter"

                Fields: \(CommitmentField.allCases.map(\.rawValue).joined(separator: ", ")).
                Statuses: \(CommitmentStatus.allCases.map(\.rawValue).joined(separator: ", ")).
                """)

        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @Argument(help: ArgumentHelp("What to change.", valueName: "field=value")) var fields: [String] = []
        @Option(help: "One more party, as NAME or NAME=ROLE; a party it has gets the role. May be repeated.")
        var party: [String] = []
        @Option(help: ArgumentHelp("One more article that reports it.", valueName: "id")) var article: String?
        @Option(help: "The words of that article.") var quote: String?
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            if quote != nil, article == nil {
                throw ValidationError("--quote needs --article ID: the article whose words they are.")
            }
            if fields.isEmpty, party.isEmpty, article == nil {
                throw ValidationError("Nothing to change: give FIELD=VALUE, --party or --article.")
            }
        }

        func run() async throws {
            let assignments = try NewsArguments.assignments(fields)
            let parties = try party.map { try CommitmentCommand.party($0) }
            let store = try options.openNewsToWrite()
            let result = try store.setCommitment(
                id, assignments, parties: parties, article: article, quote: quote)
            let names =
                assignments.map(\.field) + (parties.isEmpty ? [] : ["parties"]) + (article == nil ? [] : ["sources"])
            let text = try NewsText.changed(.commitment, result.id, names, result.changed, store)
            try options.print(ChangeDocument(id: "\(result.id)", changed: result.changed), text: text)
        }
    }

    struct Log: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write down that something happened to a commitment.",
            discussion: """
                The status follows: fulfilled, breached, lapsed and withdrawn take effect at once; agreed, formalised and \
                progress move it forward, never back. What is written down belatedly, with a later event on record, is \
                history and moves nothing.

                  syncnode commitment log 0198f3a2 --kind progress --note "A draft is out."
                  syncnode commitment log 0198f3a2 --kind fulfilled --on 2026-08-30
                """)

        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @Option(help: "What happened.") var kind: CommitmentEventKind
        @Option(help: ArgumentHelp("When; today (UTC) if left out.", valueName: "date")) var on: String?
        @Option(help: "In a few words.") var note: String?
        @Option(help: ArgumentHelp("The article that reports it.", valueName: "id")) var article: String?
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let date = try on.map { try NewsArguments.date($0, "--on") } ?? .todayUTC()
            let store = try options.openNewsToWrite()
            let event = try store.log(kind, for: id, on: date, note: note, article: article)
            let status = Terminal.output.styled(
                CommitmentText.words(event.status), CommitmentText.style(event.status) ?? .bold)
            let name = try NewsText.name(.commitment, event.commitment, store)
            try options.print(
                event,
                text:
                    "Logged \(kind.rawValue) on \(date.text); \(name) is \(event.movedStatus ? "now" : "still") \(status)."
            )
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a commitment, on every node.",
            discussion: """
                One that came to nothing is better logged as lapsed or withdrawn; delete what should never have been recorded. \
                Its values are kept: `syncnode commitment restore ID` brings it back.
                """)

        @Argument(help: "The commitment's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let id = try options.openNewsToWrite().delete(.commitment, id)
            try options.print(RowDocument(id), text: NewsText.deleted(.commitment, id))
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring a deleted commitment back, with the values it had.",
            discussion: "It may have been deleted on any node. Its parties, sources and events are whole again.")

        @Argument(help: "The id it had, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let store = try options.openNewsToWrite()
            let id = try store.restore(.commitment, id)
            let title = try store.commitment("\(id)").summary[.title] ?? ""
            let text = try NewsText.restored(.commitment, id, title, store)
            try options.print(RowDocument(id), text: text)
        }
    }
}
