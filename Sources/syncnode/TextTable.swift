// Columns of text, aligned. What of the last column does not fit on the terminal stands below its row, or is cut where enough of it
// can be read.

struct TextTable {
    enum Alignment { case left, right }

    struct Column {
        let title: String
        var alignment = Alignment.left
    }

    /// Whether the last column holds sentences: none of them is cut.
    var lastIsProse = false

    /// As an id is wide: of what has less room than that, too little can be read.
    private static let leastRoom = 32
    private static let indent = 4

    private let columns: [Column]
    private var rows: [[(text: String, style: Style?)]] = []

    init(_ columns: [Column]) { self.columns = columns }

    init(_ titles: String...) { columns = titles.map { Column(title: $0) } }

    mutating func add(_ cells: [(String, Style?)]) { rows.append(cells.map { (printableLine($0.0), $0.1) }) }

    mutating func add(_ cells: String...) { add(cells.map { ($0, nil) }) }

    func text(for terminal: Terminal = .output) -> String {
        var widths = columns.map(\.title.columns)
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.text.columns) }
        }
        let before = widths.dropLast().reduce(0) { $0 + $1 + 2 }
        let room = terminal.isTerminal ? terminal.width - before : .max
        // One at least: there is no text of no columns to cut to.
        if let last = widths.indices.last { widths[last] = max(min(widths[last], room), 1) }
        var titles: [(text: String, style: Style?)] = columns.map { ($0.title.uppercased(), .dim) }
        if let last = titles.last, last.text.columns > room { titles[titles.count - 1].text = "" }
        let heading = line(titles, widths, terminal)
        return ([heading] + rows.map { lines($0, widths, room, terminal) }).joined(separator: "\n")
    }

    /// A row, and below it what does not fit.
    private func lines(
        _ cells: [(text: String, style: Style?)], _ widths: [Int], _ room: Int, _ terminal: Terminal
    ) -> String {
        guard let last = cells.last, !last.text.isEmpty, last.text.columns > room,
            lastIsProse || room < Self.leastRoom
        else { return line(cells, widths, terminal) }
        var run = Prose.Run(last.text)
        if let style = last.style { run.styles = [style] }
        return line(Array(cells.dropLast()), widths, terminal) + "\n"
            + Prose(terminal).paragraph([run], indent: Self.indent)
    }

    private func line(_ cells: [(text: String, style: Style?)], _ widths: [Int], _ terminal: Terminal) -> String {
        // Spaces at the end of a line that is full would begin another.
        if let last = cells.last, last.text.isEmpty, cells.count > 1 {
            return line(Array(cells.dropLast()), widths, terminal)
        }
        var parts: [String] = []
        for (index, cell) in cells.enumerated() {
            let isLast = index == cells.count - 1
            let text = cell.text.cut(to: widths[index])
            let padding = String(repeating: " ", count: widths[index] - text.columns)
            let styled = cell.style.map { terminal.styled(text, $0) } ?? text
            switch columns[index].alignment {
            case .right: parts.append(padding + styled)
            case .left: parts.append(isLast ? styled : styled + padding)
            }
        }
        return parts.joined(separator: "  ")
    }
}
