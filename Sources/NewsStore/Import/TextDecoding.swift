// From a file's bytes to text, and from text to paragraphs.
//
// Invariant: no character is lost; only white space is changed, and the same bytes always give the same text.

enum TextDecoding {
    /// UTF-8; UTF-16 where a byte order mark says so; and what is neither is Windows-1252, which older wires still send and in
    /// which every byte means something. A byte order mark is taken off.
    static func text(_ bytes: [UInt8]) -> String {
        if var transcoder = UTF16Transcoder(beginning: bytes) {
            return String(decoding: transcoder.utf8(bytes[2...]) + transcoder.finish(), as: UTF8.self)
        }
        let content = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes[3...] : bytes[...]
        return String(validating: content, as: UTF8.self) ?? mixed(content)
    }

    /// A text in which some bytes are no UTF-8: damaged on the way, cut off, pasted together, or Windows-1252 as a whole.
    ///
    /// Each byte that is no UTF-8 is a character of Windows-1252. In a text of that encoding two bytes may look like UTF-8
    /// by chance, a capital with a quotation mark behind it; so where there are more faults than characters of several
    /// bytes, only those of three and four count, which chance hardly makes.
    private static func mixed(_ bytes: ArraySlice<UInt8>) -> String {
        var (sequences, faults) = (0, 0)
        forEachPiece(of: bytes) { piece, isUTF8 in
            if !isUTF8 { faults += 1 } else if piece.count > 1 { sequences += 1 }
        }
        let shortest = faults > sequences ? 3 : 2
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count + bytes.count / 4)
        forEachPiece(of: bytes) { piece, isUTF8 in
            if isUTF8, piece.count == 1 || piece.count >= shortest {
                text += piece
            } else {
                for byte in piece { text += String(windows1252(byte)).utf8 }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Gives every character of UTF-8, and between them every fault: a byte that begins none, or as much as there is of
    /// one that is not whole (the Unicode Standard, 3.9, calls it the maximal subpart).
    private static func forEachPiece(of bytes: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>, _ isUTF8: Bool) -> Void) {
        var at = bytes.startIndex
        while at < bytes.endIndex {
            let (length, second): (Int, ClosedRange<UInt8>) =
                switch bytes[at] {
                case 0x00...0x7f: (1, 0x80...0xbf)
                case 0xc2...0xdf: (2, 0x80...0xbf)
                case 0xe0: (3, 0xa0...0xbf)
                case 0xed: (3, 0x80...0x9f)
                case 0xe1...0xef: (3, 0x80...0xbf)
                case 0xf0: (4, 0x90...0xbf)
                case 0xf1...0xf3: (4, 0x80...0xbf)
                case 0xf4: (4, 0x80...0x8f)
                default: (0, 0x80...0xbf)
                }
            var end = at + 1
            while end < bytes.endIndex, end - at < length,
                (end == at + 1 ? second : 0x80...0xbf).contains(bytes[end])
            { end += 1 }
            body(bytes[at..<end], end - at == length)
            at = end
        }
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

/// UTF-16 of either byte order, as it arrives, to UTF-8.
///
/// Half a surrogate pair becomes U+FFFD, as it stands for no character; half a code unit at the end is dropped.
struct UTF16Transcoder {
    private let isLittleEndian: Bool
    /// The first byte of a code unit whose second has not come.
    private var halfUnit: UInt8?
    /// The first unit of a pair whose second has not come.
    private var high: UInt16?

    /// Nil where `bytes` do not begin with a byte order mark of UTF-16, which is then to be left out.
    init?(beginning bytes: some Collection<UInt8>) {
        guard bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) else { return nil }
        isLittleEndian = bytes.first == 0xff
    }

    mutating func utf8(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 2)
        for byte in bytes {
            guard let first = halfUnit else {
                halfUnit = byte
                continue
            }
            halfUnit = nil
            take(isLittleEndian ? UInt16(byte) << 8 | UInt16(first) : UInt16(first) << 8 | UInt16(byte), &output)
        }
        return output
    }

    private mutating func take(_ unit: UInt16, _ output: inout [UInt8]) {
        if let high {
            self.high = nil
            if UTF16.isTrailSurrogate(unit) {
                let code = 0x10000 + (UInt32(high - 0xd800) << 10) + UInt32(unit - 0xdc00)
                return Self.append(Unicode.Scalar(code), &output)
            }
            Self.append(nil, &output)
        }
        if UTF16.isLeadSurrogate(unit) { high = unit } else { Self.append(Unicode.Scalar(unit), &output) }
    }

    private static func append(_ scalar: Unicode.Scalar?, _ output: inout [UInt8]) {
        output += String(scalar ?? "\u{fffd}").utf8
    }

    /// What is left at the end of the input.
    mutating func finish() -> [UInt8] {
        var output: [UInt8] = []
        if high != nil { Self.append(nil, &output) }
        high = nil
        return output
    }
}
