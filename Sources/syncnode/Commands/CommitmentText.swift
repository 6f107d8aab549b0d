// Commitments as people read them.

import NewsStore
import ReplicationModel

enum CommitmentText {
    /// `NAME` or `NAME=ROLE`.
    static func party(_ text: String) -> CommitmentParty {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        return parts.count == 2 ? CommitmentParty(parts[0], role: parts[1]) : CommitmentParty(text)
    }

    static func table(_ commitments: [CommitmentSummary], _ today: PartialDate) -> String {
        guard !commitments.isEmpty else { return "No commitment." }
        var table = TextTable("id", "due", "status", "parties", "title")
        for (commitment, id) in zip(commitments, ArticleText.short(commitments.map(\.id))) {
            let isLate = isOverdue(commitment, today)
            table.add([
                (id, .dim), ((commitment[.dueOn] ?? "") + (isLate ? " !" : ""), isLate ? .red : nil),
                (commitment[.status] ?? "", style(commitment[.status])),
                (commitment.parties.map(\.name).joined(separator: ", "), nil), (commitment[.title] ?? "", .bold),
            ])
        }
        return table.text()
    }

    static func isOverdue(_ commitment: CommitmentSummary, _ today: PartialDate) -> Bool {
        guard let due = commitment[.dueOn].flatMap({ PartialDate($0) }) else { return false }
        let isClosed = commitment[.status].flatMap { CommitmentStatus(rawValue: $0) }?.isClosed ?? false
        return !isClosed && due.hasPassed(on: today)
    }

    static func style(_ status: String?) -> Style? {
        switch status.flatMap({ CommitmentStatus(rawValue: $0) }) {
        case .fulfilled: .green
        case .breached: .red
        case .lapsed, .withdrawn: .dim
        case .proposed, .agreed, .formalised, .inProgress: .cyan
        case nil: nil
        }
    }

    static func whole(_ commitment: Commitment) -> String {
        let terminal = Terminal.output
        let summary = commitment.summary
        var lines = [terminal.styled(printableLine(summary[.title] ?? ""), .bold)]
        if let text = summary[.text], !text.isEmpty { lines += [ArticleText.wrapped(printable(text), terminal)] }
        let late = isOverdue(summary, PartialDate.todayUTC()) ? terminal.styled("  overdue", .red) : ""
        let shown: Set<CommitmentField> = [.title, .text, .notes]
        lines.append("")
        lines += ArticleText.labelled(
            [("id", "\(summary.id)")]
                + CommitmentField.allCases.filter { !shown.contains($0) }.compactMap { field in
                    summary[field].flatMap { $0.isEmpty ? nil : (field.rawValue, $0) }
                })
        if !late.isEmpty { lines.append(late) }
        for party in summary.parties {
            lines.append(
                terminal.styled("party", .dim)
                    + "  \(printableLine(party.name))\(party.role.map { ", \(printableLine($0))" } ?? "")")
        }
        for source in commitment.sources {
            lines.append(
                terminal.styled("source", .dim)
                    + "  \(source.publishedOn ?? "")  \(printableLine(source.headline ?? "(the article is not here yet)"))"
            )
            if let quote = source.quote, !quote.isEmpty { lines.append("  “\(printableLine(quote))”") }
        }
        for event in commitment.events {
            let note = event.note.map { "  \(printableLine($0))" } ?? ""
            lines.append(
                "\(terminal.styled(event.occurredOn ?? "?", .dim))  \(event.kind)\(note)\(event.headline.map { "  (\(printableLine($0)))" } ?? "")"
            )
        }
        if let notes = summary[.notes], !notes.isEmpty {
            lines += ["", ArticleText.wrapped(printable(notes), terminal)]
        }
        return lines.joined(separator: "\n")
    }
}
