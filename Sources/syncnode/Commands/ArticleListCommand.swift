// syncnode article list, export

import ArgumentParser
import Foundation
import NewsStore
import ReplicationModel

/// `2026`, `2026-05` or `2026-05-09`.
struct DateArgument: ExpressibleByArgument {
    let date: PartialDate
    init?(argument: String) {
        guard let date = PartialDate(argument) else { return nil }
        self.date = date
    }
}

struct ArticleListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List and search articles, newest first.",
        discussion: """
            syncnode article list --search 'berth plan'        all words, in any order
            syncnode article list --search '"berth plan"'      the phrase
            The last word also matches as the beginning of a longer one.
            """)
    /// What a person reads at once; scripts get everything.
    private static let shownToPeople = 50

    @Option(help: "Words that must occur.") var search: String?
    @Option(help: "Only of this source.") var source: String?
    @Option(help: ArgumentHelp("Only published on or after that day.", valueName: "date")) var since: DateArgument?
    @Option(help: "How many at most; 0 for all.") var limit: Int?
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let news = try options.openNews()
        let limit = self.limit.map { $0 == 0 ? nil : $0 } ?? (options.json ? nil : Self.shownToPeople + 1)
        let bar = ProgressBar("indexing")
        let found = try news.articles(
            ArticleQuery(search: search, source: source, since: since?.date, limit: limit)
        ) { bar.update(done: UInt64($0.rows), total: nil, note: "articles") }
        bar.finish()
        if options.json { return try printJSON(found) }
        let isCut = self.limit == nil && found.count > Self.shownToPeople
        print(
            Self.table(
                isCut ? Array(found.prefix(Self.shownToPeople)) : found,
                nothing: search == nil ? "No article." : "Nothing found."))
        if isCut { say("The newest \(Self.shownToPeople). --limit 0 lists all, --search finds words.") }
    }

    private static func table(_ articles: [ArticleSummary], nothing: String) -> String {
        guard !articles.isEmpty else { return nothing }
        let ids = ArticleText.short(articles.map(\.id))
        var table = TextTable("id", "date", "source", "headline")
        for (article, id) in zip(articles, ids) {
            table.add([
                (id, .dim), (article[.publishedOn] ?? "", nil), (article[.source] ?? "", nil),
                (article[.headline] ?? "", .bold),
            ])
        }
        let snippets = zip(articles, ids).compactMap { article, id in
            article.snippet.map { "\(Terminal.output.styled(id, .dim))  \(ArticleText.snippet($0))" }
        }
        return snippets.isEmpty ? table.text() : table.text() + "\n\n" + snippets.joined(separator: "\n")
    }
}

struct ArticleExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write articles to standard output, for `article import` or another program.",
        discussion: "syncnode article export --format jsonl >articles.jsonl")

    /// As it is typed.
    enum Format: String, ExpressibleByArgument, CaseIterable { case ninjs, jsonl }

    @Option(help: "ninjs or jsonl.") var format = Format.ninjs
    @Option(help: "Only of this source.") var source: String?
    @Option(help: ArgumentHelp("Only published on or after that day.", valueName: "date")) var since: DateArgument?
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        try options.openNews().exportArticles(
            format == .ninjs ? .ninjs : .jsonl, ArticleQuery(source: source, since: since?.date)
        ) { FileHandle.standardOutput.write(Data($0)) }
    }
}
