// Running text on a terminal: paragraphs broken between words, some of them coloured.
//
// Invariant: a file or a pipe gets every paragraph on one line, as it is stored.

struct Prose {
    /// A run of text in one style.
    struct Run {
        let text: String
        var styles: [Style] = []

        init(_ text: String, _ styles: Style...) {
            self.text = text
            self.styles = styles
        }
    }

    /// Longer lines are hard to read, however wide the terminal is.
    private static let measure = 100

    private let terminal: Terminal
    private let width: Int?

    init(_ terminal: Terminal = .output) {
        self.terminal = terminal
        width = terminal.isTerminal ? max(min(terminal.width, Self.measure), 20) : nil
    }

    /// Text of the store: its paragraphs, each line of them indented.
    func paragraphs(_ text: String, indent: Int = 0, _ styles: Style...) -> String {
        let margin = String(repeating: " ", count: indent)
        let lines = printable(text).split(separator: "\n", omittingEmptySubsequences: false)
        return lines.map { line in
            if line.isEmpty { return "" }
            if indent + line.columns <= width ?? .max { return margin + styled(String(line), styles) }
            return wrapped([Word(line, styles)], indent: indent)
        }.joined(separator: "\n")
    }

    /// One paragraph of runs; white space is where lines may break.
    /// - Parameter first: what stands in the margin of the first line, as wide as `indent`.
    func paragraph(_ runs: [Run], indent: Int = 0, first: String? = nil) -> String {
        let text = wrapped(runs.map { Word($0.text[...], $0.styles) }, indent: indent)
        guard let first else { return text }
        return first + text.dropFirst(indent)
    }

    private struct Word {
        let text: Substring
        let styles: [Style]
        init(_ text: Substring, _ styles: [Style]) {
            self.text = text
            self.styles = styles
        }
    }

    private func styled(_ text: String, _ styles: [Style]) -> String {
        styles.reduce(text) { terminal.styled($0, $1) }
    }

    private func wrapped(_ runs: [Word], indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        let room = max((width ?? .max) - indent, 16)
        var lines: [String] = []
        var line: [(text: String, styles: [Style])] = []
        var length = 0
        /// Neighbours in one style share its escape sequences, the space between them too.
        func add(_ text: String, _ styles: [Style]) {
            if let last = line.last, last.styles == styles {
                line[line.count - 1].text += text
            } else {
                line.append((text, styles))
            }
            length += text.columns
        }
        func end() {
            lines.append(margin + line.map { styled($0.text, $0.styles) }.joined())
            (line, length) = ([], 0)
        }
        for word in words(runs) {
            if length > 0, length + 1 + word.reduce(0, { $0 + $1.text.columns }) > room { end() }
            if let last = line.last { add(" ", last.styles == word.first?.styles ? last.styles : []) }
            for part in word { add(String(part.text), part.styles) }
        }
        if length > 0 { end() }
        return lines.joined(separator: "\n")
    }

    /// What stands between white space; a word may change its style within.
    private func words(_ runs: [Word]) -> [[Word]] {
        var words: [[Word]] = []
        var current: [Word] = []
        for run in runs {
            let safe = printable(String(run.text))
            var start = safe.startIndex
            for index in safe.indices where safe[index].isWhitespace {
                if start < index { current.append(Word(safe[start..<index], run.styles)) }
                if !current.isEmpty { words.append(current) }
                current = []
                start = safe.index(after: index)
            }
            if start < safe.endIndex { current.append(Word(safe[start...], run.styles)) }
        }
        if !current.isEmpty { words.append(current) }
        return words
    }
}

/// Text of the store cut to a number of columns, on one line.
func shortened(_ text: String, to columns: Int) -> String { printableLine(text).cut(to: columns) }
