// From a file's bytes to text, and from text to paragraphs.
//
// Invariant: no character is lost; only white space is changed, and the same bytes always give the same text.

enum TextDecoding {
    /// UTF-8; UTF-16 where a byte order mark says so; and else Windows-1252, which older wires still send and in which
    /// every byte means something. A byte order mark is taken off.
    static func text(_ bytes: [UInt8]) -> String {
        if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) {
            let littleEndian = bytes[0] == 0xff
            var units: [UInt16] = []
            units.reserveCapacity(bytes.count / 2)
            for index in stride(from: 2, to: bytes.count - 1, by: 2) {
                let (low, high) = littleEndian ? (bytes[index], bytes[index + 1]) : (bytes[index + 1], bytes[index])
                units.append(UInt16(high) << 8 | UInt16(low))
            }
            return String(decoding: units, as: UTF16.self)
        }
        let content = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes[3...] : bytes[...]
        if let text = String(validating: content, as: UTF8.self) { return text }
        var text = String.UnicodeScalarView()
        for byte in content { text.append(windows1252(byte)) }
        return String(text)
    }

    /// Whether bytes are a picture, an archive, a PDF, anything but a text: wires send control characters, but no NUL.
    static func isBinary(_ bytes: [UInt8]) -> Bool {
        if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) { return false }
        return bytes.starts(with: Array("%PDF-".utf8)) || bytes.contains(0)
    }

    private static func windows1252(_ byte: UInt8) -> Unicode.Scalar {
        guard (0x80..<0xa0).contains(byte) else { return Unicode.Scalar(byte) }
        let upper: [Unicode.Scalar] = [
            "\u{20ac}", "\u{81}", "\u{201a}", "\u{192}", "\u{201e}", "\u{2026}", "\u{2020}", "\u{2021}", "\u{2c6}",
            "\u{2030}", "\u{160}", "\u{2039}", "\u{152}", "\u{8d}", "\u{17d}", "\u{8f}", "\u{90}", "\u{2018}",
            "\u{2019}", "\u{201c}", "\u{201d}", "\u{2022}", "\u{2013}", "\u{2014}", "\u{2dc}", "\u{2122}", "\u{161}",
            "\u{203a}", "\u{153}", "\u{9d}", "\u{17e}", "\u{178}",
        ]
        return upper[Int(byte - 0x80)]
    }

    /// Lines, whatever ends them (LF, CRLF, CR, line and paragraph separator), without the space around them.
    static func lines(_ text: String) -> [String] {
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        var previous: Unicode.Scalar = " "
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n" where previous == "\r": break
            case "\n", "\r", "\u{2028}", "\u{2029}", "\u{c}":
                lines.append(trimmed(String(line)))
                line.removeAll(keepingCapacity: true)
            default: line.append(scalar)
            }
            previous = scalar
        }
        lines.append(trimmed(String(line)))
        return lines
    }

    /// What blank lines part. Where there is no blank line, every line is a block of its own.
    static func blocks(_ text: String) -> [[String]] {
        let lines = lines(text)
        let content = lines.drop { $0.isEmpty }.reversed().drop { $0.isEmpty }.reversed()
        guard content.contains("") else { return content.map { [$0] } }
        return content.split(separator: "").map(Array.init)
    }

    /// The lines of a block that a wire's line width has broken are joined again; others (tables, lists) keep their
    /// breaks.
    static func paragraph(_ block: some Collection<String>) -> String {
        block.joined(separator: isWrapped(block) ? " " : "\n")
    }

    static func isWrapped(_ block: some Collection<String>) -> Bool {
        block.dropLast().allSatisfy { $0.utf8.count >= wrappedLineBytes }
    }

    /// Wires wrap at 64 to 80 columns; a line this long that ends in mid-paragraph was cut by its width.
    private static let wrappedLineBytes = 50

    static func trimmed(_ text: String) -> String {
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !isSpace($0) }),
            let last = scalars.lastIndex(where: { !isSpace($0) })
        else { return "" }
        return String(scalars[first...last])
    }

    /// One line: every run of white space a single space.
    static func collapsed(_ text: String) -> String {
        text.unicodeScalars.split(whereSeparator: isSpace).map(String.init).joined(separator: " ")
    }

    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case " ", "\t", "\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}": true
        default: false
        }
    }
}
