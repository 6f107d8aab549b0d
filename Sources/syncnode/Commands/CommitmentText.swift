// How a commitment looks on a terminal.

import Foundation
import NewsStore
import ReplicationModel

enum CommitmentText {
    /// `in progress`.
    static func words(_ status: String) -> String { printableLine(status).replacing("_", with: " ") }

    static func style(_ status: String) -> Style? {
        switch CommitmentStatus(rawValue: status) {
        case .fulfilled: .green
        case .breached: .red
        case .agreed, .formalised: .cyan
        case .inProgress: .yellow
        case .lapsed, .withdrawn: .dim
        case .proposed, nil: nil
        }
    }

    /// Names and values in two columns.
    static func list(_ lines: [(String, String)], _ terminal: Terminal) -> String {
        let width = lines.map(\.0.count).max() ?? 0
        let prose = Prose(terminal)
        return lines.map { name, value in
            let title = name.padding(toLength: width, withPad: " ", startingAt: 0)
            return prose.paragraph([.init(value)], indent: width + 2, first: terminal.styled(title, .dim) + "  ")
        }.joined(separator: "\n")
    }

    /// - Parameter articles: the short ids of those that report it.
    static func whole(_ commitment: Commitment, _ articles: [RowID: String], _ today: PartialDate) -> String {
        let terminal = Terminal.output
        let prose = Prose()
        let summary = commitment.summary
        let status = summary[.status] ?? CommitmentStatus.proposed.rawValue
        var standing = style(status).map { terminal.styled(words(status), $0, .bold) } ?? words(status)
        if let due = summary[.dueOn] {
            let due = printableLine(due)
            standing +=
                summary.isOverdue(on: today) ? terminal.styled(" · overdue since \(due)", .red) : " · due \(due)"
        }
        var blocks = [prose.paragraph([.init(summary[.title] ?? "(no title)", .bold)]) + "\n" + standing]
        if let text = summary[.text] { blocks.append(prose.paragraphs(text)) }
        var lines: [(String, String)] = summary.parties.enumerated().map { index, party in
            (
                index == 0 ? summary.parties.count == 1 ? "party" : "parties" : "",
                party.name + (party.role.map { " (\($0))" } ?? "")
            )
        }
        if let instrument = summary[.instrument] { lines.append(("instrument", instrument)) }
        if let notes = summary[.notes] { lines.append(("notes", notes)) }
        lines.append(("id", "\(summary.id)"))
        blocks.append(list(lines, terminal))
        let moments = moments(of: commitment, today)
        if !moments.isEmpty {
            let entries = moments.map { entry($0, articles, prose, terminal) }
            blocks.append(terminal.styled("TIMELINE", .dim) + "\n" + entries.joined(separator: "\n"))
        }
        return blocks.joined(separator: "\n\n")
    }

    // MARK: Timeline

    /// Something on the timeline; texts as the store has them.
    private struct Moment {
        let date: String?
        let word: String
        var style: Style?
        var isToCome = false
        var text: String?
        var article: RowID?
        var headline: String?
    }

    /// What happened, what was reported, and what is to come, in the order of the dates; what has none comes first.
    private static func moments(of commitment: Commitment, _ today: PartialDate) -> [Moment] {
        var moments = commitment.events.map { event in
            Moment(
                date: event.occurredOn, word: words(event.kind),
                style: CommitmentEventKind(rawValue: event.kind).flatMap { style($0.status.rawValue) },
                text: event.note, article: event.article, headline: event.headline)
        }
        moments += commitment.sources.map { source in
            Moment(
                date: source.publishedOn, word: "reported", text: source.quote.map { "“\($0)”" },
                article: source.article, headline: source.headline)
        }
        let summary = commitment.summary
        let agreement = CommitmentEventKind.agreed.rawValue
        if let agreedOn = summary[.agreedOn],
            !commitment.events.contains(where: { $0.kind == agreement && $0.occurredOn == agreedOn })
        {
            moments.append(Moment(date: agreedOn, word: "agreed", style: .cyan))
        }
        if let due = summary[.dueOn] {
            let isPast = PartialDate(due)?.hasPassed(on: today) == true
            moments.append(
                Moment(date: due, word: "due", style: summary.isOverdue(on: today) ? .red : nil, isToCome: !isPast))
        }
        let order = moments.enumerated().sorted { left, right in
            let (a, b) = (left.element.date ?? "", right.element.date ?? "")
            return a == b ? left.offset < right.offset : a < b
        }
        return order.map(\.element)
    }

    private static func entry(
        _ moment: Moment, _ articles: [RowID: String], _ prose: Prose, _ terminal: Terminal
    ) -> String {
        let date = printableLine(moment.date ?? "no date").padding(toLength: 10, withPad: " ", startingAt: 0)
        let dot = moment.isToCome ? "○" : "●"
        let word = "\(dot) \(moment.word)"
        let opening = "  \(terminal.styled(date, .dim))  " + (moment.style.map { terminal.styled(word, $0) } ?? word)
        let gap = String(repeating: " ", count: max(12 - word.count, 0) + 2)
        let margin = 2 + 10 + 2 + word.count + gap.count
        var lines: [[Prose.Run]] = []
        if let text = moment.text { lines.append([.init(text)]) }
        if let article = moment.article {
            let headline = moment.headline ?? "(not here: deleted, or not arrived yet)"
            lines.append([.init("\(headline) ", .dim), .init(articles[article] ?? "\(article)", .bold)])
        }
        guard let first = lines.first else { return opening }
        let text = prose.paragraph(first, indent: margin, first: opening + gap)
        return ([text] + lines.dropFirst().map { prose.paragraph($0, indent: margin) }).joined(separator: "\n")
    }
}
