// Articles as people read them.

import Foundation
import NewsStore
import ReplicationModel

enum ArticleText {
    static func whole(_ article: Article) -> String {
        let terminal = Terminal.output
        var lines = [terminal.styled(printableLine(article[.headline] ?? ""), .bold)]
        let line = [article[.dateline], article[.publishedOn], article[.byline]].compactMap { $0 }.filter {
            !$0.isEmpty
        }
        if !line.isEmpty { lines.append(terminal.styled(printableLine(line.joined(separator: "  ·  ")), .dim)) }
        if let body = article[.body], !body.isEmpty { lines += ["", wrapped(printable(body), terminal)] }
        lines.append("")
        let shown: Swift.Set<ArticleField> = [.headline, .body, .dateline, .publishedOn, .byline]
        let rest = ArticleField.allCases.filter { !shown.contains($0) }.compactMap { field in
            article[field].flatMap { $0.isEmpty ? nil : (field.rawValue, printableLine($0)) }
        }
        lines += labelled(
            [("id", "\(article.id)")] + rest
                + (article.subjects.isEmpty ? [] : [("subjects", article.subjects.joined(separator: "; "))]))
        for commitment in article.commitments {
            lines += [
                "", terminal.styled("commitment", .cyan) + " \(printableLine(commitment.title ?? "(not here yet)"))",
            ]
            lines += labelled([("id", "\(commitment.id)"), ("status", commitment.status ?? "?")])
            if let quote = commitment.quote, !quote.isEmpty { lines.append("  “\(printableLine(quote))”") }
        }
        return lines.joined(separator: "\n")
    }

    /// `label  value` lines, aligned, the labels dim.
    static func labelled(_ pairs: [(String, String)]) -> [String] {
        let width = pairs.map(\.0.count).max() ?? 0
        return pairs.map { label, value in
            Terminal.output.styled(label.padding(toLength: width, withPad: " ", startingAt: 0), .dim) + "  "
                + printableLine(value)
        }
    }

    /// Paragraphs broken at the terminal's width, at 80 at most: longer lines are hard to read.
    static func wrapped(_ text: String, _ terminal: Terminal) -> String {
        guard terminal.isTerminal else { return text }
        let width = min(terminal.width, 80)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { paragraph in
            var lines: [String] = []
            var line = ""
            for word in paragraph.split(separator: " ") {
                if !line.isEmpty, line.count + 1 + word.count > width {
                    lines.append(line)
                    line = ""
                }
                line += line.isEmpty ? String(word) : " \(word)"
            }
            return (lines + [line]).joined(separator: "\n")
        }.joined(separator: "\n")
    }

    /// The shortest beginnings, of 8 digits at least, that tell these ids apart.
    static func short(_ ids: [RowID]) -> [String] {
        let texts = ids.map(\.description)
        let distinct = Swift.Set(texts).count
        var length = 8
        while length < 64, Swift.Set(texts.map { $0.prefix(length) }).count < distinct { length += 1 }
        return texts.map { String($0.prefix(length)) }
    }

    static func snippet(_ snippet: Snippet) -> String {
        snippet.pieces.map { piece in
            let text = printableLine(piece.text)
            let leading = piece.text.first?.isWhitespace == true ? " " : ""
            let trailing = piece.text.last?.isWhitespace == true ? " " : ""
            return leading + (piece.isMatch ? Terminal.output.styled(text, .yellow, .bold) : text) + trailing
        }.joined()
    }
}
