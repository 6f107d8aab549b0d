// Columns of text, aligned, the last one cut to the terminal's width.

struct TextTable {
    enum Alignment { case left, right }

    struct Column {
        let title: String
        var alignment = Alignment.left
    }

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
        if let last = widths.indices.last, terminal.isTerminal {
            widths[last] = max(min(widths[last], terminal.width - before), 10)
        }
        let heading = line(columns.map { ($0.title.uppercased(), Style.dim) }, widths, terminal)
        return ([heading] + rows.map { line($0, widths, terminal) }).joined(separator: "\n")
    }

    private func line(_ cells: [(text: String, style: Style?)], _ widths: [Int], _ terminal: Terminal) -> String {
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
