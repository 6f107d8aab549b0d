// How an article looks on a terminal.

import Foundation
import NewsStore
import ReplicationModel

enum ArticleText {
    /// In front of a headline: what may not be used says so.
    static func marked(_ article: ArticleSummary) -> String { marked(article[.pubstatus]) }

    private static func marked(_ status: String?) -> String {
        guard let status, status != PublicationStatus.usable.rawValue else { return "" }
        return "[\(printableLine(status).uppercased())] "
    }

    /// `IANS via MENAFN · Istanbul · 2025-04-12 · A. Writer`.
    static func credits(_ fields: [ArticleField: String]) -> String {
        let source = [fields[.source], fields[.distributor].map { "via \($0)" }].compactMap { $0 }
        return [
            source.isEmpty ? nil : source.joined(separator: " "), fields[.dateline], fields[.publishedOn],
            fields[.byline],
        ].compactMap { $0 }.map { printableLine($0) }.joined(separator: " · ")
    }

    /// A piece of text with the words searched for in colour.
    static func runs(_ snippet: Snippet?, _ styles: Style...) -> [Prose.Run] {
        (snippet?.pieces ?? []).map { piece in
            var run = Prose.Run(piece.text)
            run.styles = styles + (piece.isMatch ? [.yellow] : [])
            return run
        }
    }

    /// - Parameter commitments: the short ids of those it reports.
    static func whole(_ article: Article, _ commitments: [RowID: String]) -> String {
        let terminal = Terminal.output
        let prose = Prose()
        var blocks: [String] = []
        var head = prose.paragraph([.init(article[.headline] ?? "(no headline)", .bold)])
        let status = marked(article[.pubstatus])
        if !status.isEmpty { head = terminal.styled(status, .red) + "\n" + head }
        let credits = credits(article.fields)
        if !credits.isEmpty { head += "\n" + prose.paragraph([.init(credits, .cyan)]) }
        blocks.append(head)
        if let summary = article[.summary] { blocks.append(prose.paragraphs(summary, .bold)) }
        if let body = article[.body] { blocks.append(prose.paragraphs(body)) }
        if !article.commitments.isEmpty {
            let items = article.commitments.map { self.commitment($0, commitments, prose, terminal) }
            blocks.append(terminal.styled("COMMITMENTS", .dim) + "\n" + items.joined(separator: "\n"))
        }
        blocks.append(colophon(article, terminal))
        return blocks.joined(separator: "\n\n")
    }

    private static func commitment(
        _ link: Article.LinkedCommitment, _ ids: [RowID: String], _ prose: Prose, _ terminal: Terminal
    ) -> String {
        let id = printableLine(ids[link.id] ?? "\(link.id)")
        var runs: [Prose.Run] = [.init(link.title ?? "(not here: deleted, or not arrived yet)")]
        if let status = link.status {
            runs.append(.init(" · ", .dim))
            var run = Prose.Run(CommitmentText.words(status))
            run.styles = CommitmentText.style(status).map { [$0] } ?? []
            runs.append(run)
        }
        let margin = id.count + 4
        var text = prose.paragraph(runs, indent: margin, first: "  \(terminal.styled(id, .bold))  ")
        if let quote = link.quote { text += "\n" + prose.paragraph([.init("“\(quote)”", .dim)], indent: margin) }
        return text
    }

    /// What names the article, rather than being it.
    private static func colophon(_ article: Article, _ terminal: Terminal) -> String {
        var lines = [("id", "\(article.id)")]
        if !article.subjects.isEmpty { lines.append(("subjects", article.subjects.joined(separator: "; "))) }
        for field in [ArticleField.language, .url, .uri, .version, .versioncreated] {
            if let value = article[field] { lines.append((field.rawValue, value)) }
        }
        return CommitmentText.list(lines, terminal)
    }
}
