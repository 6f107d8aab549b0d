// syncnode article add, set, delete, restore

import ArgumentParser
import NewsStore
import ReplicationModel

extension ArticleCommand {
    private static var fieldNames: String {
        (ArticleField.settable.map(\.rawValue) + ["subjects"]).joined(separator: ", ")
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write an article of one's own.",
            discussion: """
                  syncnode article add --headline "Port talks open" byline="A. Writer"
                  syncnode article add --headline "Port talks open" --body - < draft.txt

                Fields: \(ArticleCommand.fieldNames). \
                published_on is YYYY-MM-DD, today (UTC) if left out; subjects are parted by semicolons; pubstatus is usable, withheld \
                or canceled.
                """)

        @Option(help: "What it is called.") var headline: String
        @Option(help: ArgumentHelp("Its text; - reads it from standard input.", valueName: "text|-")) var body: String?
        @Argument(help: ArgumentHelp("Further fields.", valueName: "field=value")) var fields: [String] = []
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            // First, so that a date among the fields stands in its place; an empty one leaves it out.
            let today = FieldAssignment(field: ArticleField.publishedOn.rawValue, value: PartialDate.todayUTC().text)
            let assignments = try [today] + NewsArguments.assignments(fields)
            let store = try options.openNewsToWrite()
            let id = try store.addArticle(
                headline: headline, body: try NewsArguments.body(body), assignments: assignments)
            let text = try NewsText.added(.article, id, headline, store)
            try options.print(RowDocument(id), text: text)
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change fields of an article.",
            discussion: """
                Only what differs is written, so edits of different fields by different people never collide. An empty value \
                clears a field; subjects= replaces the whole list, parted by semicolons.

                  syncnode article set 3f2a91bc headline="Talks end" byline="A. Writer"
                  syncnode article set 3f2a91bc pubstatus=withheld
                  syncnode article set 3f2a91bc summary=
                  syncnode article set 3f2a91bc --body - < corrected.txt

                Fields: \(ArticleCommand.fieldNames).
                """)

        @Argument(help: "The article's id, or its beginning.") var id: String
        @Argument(help: ArgumentHelp("What to change.", valueName: "field=value")) var fields: [String] = []
        @Option(help: ArgumentHelp("A new text; - reads it from standard input.", valueName: "text|-"))
        var body: String?
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            if fields.isEmpty, body == nil {
                throw ValidationError(
                    "Nothing to change: give FIELD=VALUE, for instance headline=\"A better headline\".")
            }
        }

        func run() async throws {
            var assignments = try NewsArguments.assignments(fields)
            let store = try options.openNewsToWrite()
            if let body = try NewsArguments.body(body) {
                assignments.append(FieldAssignment(field: "body", value: body))
            }
            let result = try store.setArticle(id, assignments)
            let text = try NewsText.changed(.article, result.id, assignments.map(\.field), result.changed, store)
            try options.print(ChangeDocument(id: "\(result.id)", changed: result.changed), text: text)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete an article, on every node.",
            discussion: "Its values are kept: `syncnode article restore ID` brings it back, here or elsewhere.")

        @Argument(help: "The article's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let id = try options.openNewsToWrite().delete(.article, id)
            try options.print(RowDocument(id), text: NewsText.deleted(.article, id))
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring a deleted article back, with the values it had.",
            discussion:
                "It may have been deleted on any node. What links to it, its subjects and commitments, is whole again.")

        @Argument(help: "The id it had, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let store = try options.openNewsToWrite()
            let id = try store.restore(.article, id)
            let headline = try store.article("\(id)")[.headline] ?? ""
            let text = try NewsText.restored(.article, id, headline, store)
            try options.print(RowDocument(id), text: text)
        }
    }
}

/// What commands say after a write.
enum NewsText {
    /// On a terminal a sentence; elsewhere the id alone, for `id=$(syncnode article add …)`.
    static func added(_ kind: NewsStore.Kind, _ id: RowID, _ title: String, _ store: NewsStore) throws -> String {
        guard Terminal.output.isTerminal else { return "\(id)" }
        return try "Added \(name(kind, id, store))  \(printableLine(title))"
    }

    static func changed(
        _ kind: NewsStore.Kind, _ id: RowID, _ fields: [String], _ changed: Bool, _ store: NewsStore
    ) throws -> String {
        let name = try name(kind, id, store)
        guard changed else { return "Nothing to change: \(name) has these values already." }
        var names: [String] = []
        for field in fields where !names.contains(field) { names.append(field) }
        return "Changed \(names.joined(separator: ", ")) of \(name)."
    }

    static func deleted(_ kind: NewsStore.Kind, _ id: RowID) -> String {
        let id = printableLine("\(id)")
        return "Deleted \(kind.rawValue) \(id).\nTo bring it back: syncnode \(kind.rawValue) restore \(id)"
    }

    static func restored(_ kind: NewsStore.Kind, _ id: RowID, _ title: String, _ store: NewsStore) throws -> String {
        try "Restored \(name(kind, id, store))  \(printableLine(title))"
    }

    /// `article 3f2a91bc`.
    static func name(_ kind: NewsStore.Kind, _ id: RowID, _ store: NewsStore) throws -> String {
        let short = try store.shortIDs([id], kind)[id] ?? "\(id)"
        return "\(kind.rawValue) \(Terminal.output.styled(printableLine(short), .bold))"
    }
}
