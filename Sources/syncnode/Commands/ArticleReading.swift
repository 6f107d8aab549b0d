// syncnode article list, show, export

import ArgumentParser
import Foundation
import NewsStore
import ReplicationModel

/// Rows that a list shows a person who did not say how many.
enum ListLimit {
    static let articles = 25
    static let matches = 10
    static let commitments = 50

    /// Nil for all of them, which is what programs get.
    static func shown(_ limit: Int?, _ options: GlobalOptions, usual: Int) -> Int? {
        if let limit { return limit == 0 ? nil : limit }
        return options.json ? nil : usual
    }

    /// One more than a person is shown tells whether there are more.
    static func asked(_ shown: Int?, _ options: GlobalOptions) -> Int? {
        options.json ? shown : shown.map { $0 < .max ? $0 + 1 : $0 }
    }

    static func check(_ limit: Int?) throws {
        if let limit, limit < 0 { throw ValidationError("--limit \(limit): give the number of rows, or 0 for all.") }
    }
}

extension ArticleCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List articles, the newest first; or search them, the best match first.",
            discussion: """
                Every word of --search must occur, in any case and with or without accents; the last may be only begun, and \
                words in double quotes must stand side by side.

                  syncnode article list --since 2026-05
                  syncnode article list --source IANS --search "foreign minister"
                  syncnode article list --search '"exchange of letters" odesa'
                  syncnode article list --json | jq -r '.[] | .headline'
                """)

        @Option(help: ArgumentHelp("Words that must occur.", valueName: "words")) var search: String?
        @Option(help: ArgumentHelp("The agency or distributor, as the list shows it.", valueName: "source"))
        var source: String?
        @Option(help: ArgumentHelp("Published on that date or later.", valueName: "date")) var since: String?
        @Option(
            help: ArgumentHelp(
                "At most so many, 0 for all; else \(ListLimit.articles), or \(ListLimit.matches) matches, and all with --json.",
                valueName: "number"
            ))
        var limit: Int?
        @OptionGroup var options: GlobalOptions

        func validate() throws { try ListLimit.check(limit) }

        func run() async throws {
            let since = try since.map { try NewsArguments.date($0, "--since") }
            let store = try options.openNews()
            let usual = search == nil ? ListLimit.articles : ListLimit.matches
            let shown = ListLimit.shown(limit, options, usual: usual)
            let bar = ProgressBar("search index")
            let query = ArticleQuery(
                search: search, source: source, since: since, limit: ListLimit.asked(shown, options))
            var articles = try store.articles(query) { bar.update(done: UInt64($0.rows), total: nil, note: "articles") }
            bar.finish()
            if options.json { return try printJSON(articles) }
            let hasMore = shown.map { articles.count > $0 } ?? false
            if let shown { articles = Array(articles.prefix(shown)) }
            let ids = try store.shortIDs(articles.map(\.id), .article)
            try emit(articles.isEmpty ? nothing() : search == nil ? table(articles, ids) : hits(articles, ids))
            if hasMore { try emit(more(articles.count)) }
        }

        private func nothing() -> String {
            if search == nil, source == nil, since == nil {
                return "There is no article yet. Take one in: syncnode article import FILE"
            }
            let conditions = [
                search.map { "has the words “\(printableLine($0))”" }, source.map { "is from “\(printableLine($0))”" },
                since.map { "is dated \($0) or later" },
            ].compactMap { $0 }
            return "No article \(conditions.joined(separator: " and "))."
        }

        private func more(_ count: Int) -> String {
            Terminal.output.styled(
                "\nShown: the \(search == nil ? "newest" : "best") \(count.grouped). All: --limit 0. Fewer: --search, --source, --since.",
                .dim)
        }

        private func table(_ articles: [ArticleSummary], _ ids: [RowID: String]) -> String {
            var table = TextTable("id", "date", "source", "headline")
            for article in articles {
                table.add([
                    (ids[article.id] ?? "\(article.id)", .bold), (article[.publishedOn] ?? "", nil),
                    (shortened(article[.source] ?? article[.distributor] ?? "", to: 20), .cyan),
                    (ArticleText.marked(article) + (article[.headline] ?? ""), nil),
                ])
            }
            return table.text()
        }

        private func hits(_ articles: [ArticleSummary], _ ids: [RowID: String]) -> String {
            let prose = Prose()
            return articles.map { article in
                let id = ids[article.id] ?? "\(article.id)"
                let margin = id.count + 2
                let first = Terminal.output.styled(printableLine(id), .bold) + "  "
                var lines = [
                    prose.paragraph(
                        ArticleText.runs(article.markedHeadline, .bold), indent: margin, first: first)
                ]
                let about = ArticleText.marked(article) + ArticleText.credits(article.fields)
                if !about.isEmpty { lines.append(prose.paragraph([.init(about, .dim)], indent: margin)) }
                if let snippet = article.snippet {
                    lines.append(prose.paragraph(ArticleText.runs(snippet), indent: margin))
                }
                return lines.joined(separator: "\n")
            }.joined(separator: "\n\n")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show an article whole, with the commitments it reports.")

        @Argument(help: "The article's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let store = try options.openNews()
            let article = try store.article(id)
            if options.json { return try printJSON(article) }
            let commitments = try store.shortIDs(article.commitments.map(\.id), .commitment)
            try emit(ArticleText.whole(article, commitments))
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write articles to standard output, as ninjs or JSON Lines.",
            discussion: """
                What is written can be taken in again by `syncnode article import`, and makes the same rows.

                  syncnode article export > articles.json
                  syncnode article export --format jsonl --since 2026-05 | gzip > may.gz
                """)

        @Option(help: "ninjs: one JSON array of items; jsonl: one object of columns a line.")
        var format = NewsStore.ExportFormat.ninjs
        @Option(help: ArgumentHelp("The agency or distributor.", valueName: "source")) var source: String?
        @Option(help: ArgumentHelp("Published on that date or later.", valueName: "date")) var since: String?
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let since = try since.map { try NewsArguments.date($0, "--since") }
            let store = try options.openNews()
            try store.exportArticles(format, ArticleQuery(source: source, since: since)) {
                try emit(Data($0))
            }
        }
    }
}
