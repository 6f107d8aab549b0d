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
                  syncnode article add --headline "Port talks open" byline="A. Writer" dateline=Istanbul
                  pandoc -t plain draft.docx | syncnode article add --headline "Port talks open" --body -

                Fields: \(ArticleCommand.fieldNames).
                Dates are YYYY-MM-DD; subjects are parted by semicolons; pubstatus is usable, withheld or canceled.
                """)

        @Option(help: "What it is called.") var headline: String
        @Option(help: ArgumentHelp("Its text; - reads it from standard input.", valueName: "text|-")) var body: String?
        @Argument(help: ArgumentHelp("Further fields.", valueName: "field=value")) var fields: [String] = []
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let assignments = try NewsArguments.assignments(fields)
            let store = try options.openNews()
            let id = try store.addArticle(
                headline: headline, body: try NewsArguments.body(body), assignments: assignments)
            let short = try store.shortIDs([id], .article)[id] ?? "\(id)"
            try options.print(
                RowDocument(id),
                text: "Added article \(Terminal.output.styled(short, .bold))  \(printableLine(headline))")
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change fields of an article.",
            discussion: """
                Only what differs is written, so edits of different fields by different people never collide. An empty value
                clears a field; subjects= replaces the whole list, parted by semicolons.

                  syncnode article set 3f2a91bc headline="A better headline" byline="A. Writer"
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
            let store = try options.openNews()
            if let body = try NewsArguments.body(body) {
                assignments.append(FieldAssignment(field: "body", value: body))
            }
            let result = try store.setArticle(id, assignments)
            try options.print(
                ChangeDocument(id: "\(result.id)", changed: result.changed),
                text: NewsText.changed("article", result.id, assignments.map(\.field), result.changed))
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete an article, on every node.",
            discussion: "Its values are kept: `syncnode article restore ID` brings it back, here or elsewhere.")

        @Argument(help: "The article's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let id = try options.openNews().delete(.article, id)
            try options.print(RowDocument(id), text: NewsText.deleted("article", id))
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
            let store = try options.openNews()
            let id = try store.restore(.article, id)
            let headline = try store.article("\(id)")[.headline] ?? ""
            try options.print(RowDocument(id), text: NewsText.restored("article", id, headline))
        }
    }
}

/// What commands say after a write.
enum NewsText {
    static func changed(_ kind: String, _ id: RowID, _ fields: [String], _ changed: Bool) -> String {
        let id = printableLine("\(id)")
        guard changed else { return "Nothing to change: \(kind) \(id) holds these values already." }
        var names: [String] = []
        for field in fields where !names.contains(field) { names.append(field) }
        return "Changed \(names.joined(separator: ", ")) of \(kind) \(id)."
    }

    static func deleted(_ kind: String, _ id: RowID) -> String {
        let id = printableLine("\(id)")
        return "Deleted \(kind) \(id).\nTo bring it back: syncnode \(kind) restore \(id)"
    }

    static func restored(_ kind: String, _ id: RowID, _ title: String) -> String {
        "Restored \(kind) \(printableLine("\(id)"))  \(printableLine(title))"
    }
}
