// syncnode article: one article at a time

import ArgumentParser
import Foundation
import NewsStore
import ReplicationModel

struct ArticleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "article", abstract: "Take in, find, read and edit articles.",
        discussion: """
            Everything here works on this node's own replica, with or without a network. An ID may be cut to any beginning
            that only one article has.
            """,
        subcommands: [
            ArticleImportCommand.self, Add.self, ArticleListCommand.self, Show.self, Set.self, Delete.self,
            Restore.self,
            ArticleExportCommand.self,
        ])

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write an article.",
            discussion: """
                syncnode article add --headline "Talks open" --body - source=DESK dateline=Istanbul <text.txt
                Fields: \(FieldNames.articles). subjects=a; b sets the subjects.
                """)
        @Option(help: "The headline.") var headline: String
        @Option(help: ArgumentHelp("The text; - reads it from standard input.", valueName: "text|-")) var body: String?
        @Argument(help: ArgumentHelp("Further fields.", valueName: "field=value")) var fields: [String] = []
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let news = try options.openNews()
            let id = try news.addArticle(
                headline: headline, body: TextArgument.read(body),
                assignments: fields.map { try FieldAssignment(parsing: $0) })
            try options.print(["id": "\(id)"], text: "\(id)")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show an article whole, with the commitments it reports.")
        @Argument(help: "The article's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let article = try options.openNews().article(id)
            try options.print(article, text: ArticleText.whole(article))
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change fields.",
            discussion: """
                syncnode article set 0198a headline="A better one" byline="A. Writer"
                FIELD= empties a field. Fields: \(FieldNames.articles); subjects=a; b sets the subjects.
                Only the fields named are written: what others change meanwhile in other fields stays.
                """)
        @Argument(help: "The article's id, or its beginning.") var id: String
        @Argument(help: ArgumentHelp("What to set.", valueName: "field=value")) var fields: [String]
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let (id, changed) = try options.openNews().setArticle(id, fields.map { try FieldAssignment(parsing: $0) })
            try options.print(
                Changed(id: "\(id)", changed: changed),
                text: changed ? "Changed \(id)." : "\(id) has these values already.")
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete an article.", discussion: "`syncnode article restore ID` brings it back, on every node.")
        @Argument(help: "The article's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let id = try options.openNews().delete(.article, id)
            try options.print(["id": "\(id)"], text: "Deleted \(id). `syncnode article restore \(id)` brings it back.")
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Bring a deleted article back.")
        @Argument(help: "The article's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let id = try options.openNews().restore(.article, id)
            try options.print(["id": "\(id)"], text: "Restored \(id).")
        }
    }
}

/// What `set` answers.
struct Changed: Encodable {
    let id: String
    let changed: Bool
}

/// Field names, for help.
enum FieldNames {
    static let articles = ArticleField.settable.map(\.rawValue).joined(separator: ", ")
    static let commitments = CommitmentField.allCases.map(\.rawValue).joined(separator: ", ")
}

/// A text given on the command line, or on standard input as `-`.
enum TextArgument {
    /// As much as a value may hold.
    private static let limit = Limits.valueBytes

    static func read(_ text: String?) throws -> String? {
        guard text == "-" else { return text }
        let data = try FileHandle.standardInput.read(upToCount: limit + 1) ?? Data()
        guard data.count <= limit else {
            throw CommandFailure(
                .badData, "Standard input is longer than 8 MiB, the most that one field holds. Give a shorter text.")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw CommandFailure(
                .badData, "Standard input is not text in UTF-8. Convert it first, for example with `iconv`.")
        }
        return text
    }
}
