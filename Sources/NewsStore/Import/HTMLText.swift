// The text of an HTML body, for providers that send no plain one.
//
// Invariant: every character of text outside tags, comments, scripts and styles is kept; what is malformed counts as
// text; the time it takes is linear in the input.

enum HTMLText {
    /// Paragraphs, parted by an empty line.
    static func plain(_ html: String) -> String {
        var reader = HTMLReader(html)
        return reader.paragraphs().joined(separator: "\n\n")
    }
}

private let paragraphTags: Set<String> = [
    "p", "br", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "tr", "table", "section",
    "article", "figure", "figcaption", "header", "footer", "hr", "pre", "title", "head", "body",
]

private let namedReferences: [String: Unicode.Scalar] = [
    "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": " ", "ndash": "\u{2013}",
    "mdash": "\u{2014}", "lsquo": "\u{2018}", "rsquo": "\u{2019}", "ldquo": "\u{201c}", "rdquo": "\u{201d}",
    "hellip": "\u{2026}", "euro": "\u{20ac}", "pound": "\u{a3}", "copy": "\u{a9}", "bull": "\u{2022}",
    "auml": "ä", "ouml": "ö", "uuml": "ü", "Auml": "Ä", "Ouml": "Ö", "Uuml": "Ü", "szlig": "ß", "aring": "å",
    "Aring": "Å", "eacute": "é", "egrave": "è", "ecirc": "ê", "agrave": "à", "aacute": "á", "ccedil": "ç",
    "ntilde": "ñ", "oacute": "ó", "iacute": "í", "uacute": "ú", "oslash": "ø", "aelig": "æ",
]

private struct HTMLReader {
    private let scalars: [Unicode.Scalar]
    /// What was searched for to the end and not found, so that nothing is searched for in vain twice.
    private var missing: Set<String> = []
    /// A tag with quotes was followed to the end and not closed: from there on quotes mean nothing, for the same reason.
    private var ignoresQuotes = false

    init(_ html: String) { scalars = Array(html.unicodeScalars) }

    mutating func paragraphs() -> [String] {
        var paragraphs: [String] = []
        var current = String.UnicodeScalarView()
        func endParagraph() {
            let text = TextDecoding.collapsed(String(current))
            if !text.isEmpty { paragraphs.append(text) }
            current.removeAll(keepingCapacity: true)
        }
        var at = 0
        while at < scalars.count {
            if scalars[at] == "<", let end = endOfComment(at: at) {
                at = end
            } else if scalars[at] == "<", let tag = tag(at: at) {
                at = tag.end
                if tag.name == "script" || tag.name == "style", let end = find("</\(tag.name)", from: at) { at = end }
                if paragraphTags.contains(tag.name) { endParagraph() }
            } else if scalars[at] == "&", let reference = reference(at: at) {
                current.append(reference.scalar)
                at = reference.end
            } else {
                current.append(scalars[at])
                at += 1
            }
        }
        endParagraph()
        return paragraphs
    }

    /// Where `text` begins next, in any case of its letters.
    private mutating func find(_ text: String, from start: Int) -> Int? {
        guard !missing.contains(text) else { return nil }
        let wanted = Array(text.unicodeScalars)
        var at = start
        while at + wanted.count <= scalars.count {
            if zip(scalars[at...], wanted).allSatisfy({ lowercased($0) == $1 }) { return at }
            at += 1
        }
        missing.insert(text)
        return nil
    }

    private func lowercased(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) + 0x20) : scalar
    }

    private func isLetter(_ scalar: Unicode.Scalar) -> Bool { ("a"..."z").contains(lowercased(scalar)) }

    private mutating func endOfComment(at start: Int) -> Int? {
        guard scalars[start...].starts(with: "<!--".unicodeScalars) else { return nil }
        return find("-->", from: start + 4).map { $0 + 3 }
    }

    /// A tag that begins at `start`; nil where the `<` is only a character.
    private mutating func tag(at start: Int) -> (name: String, end: Int)? {
        var at = start + 1
        if at < scalars.count, scalars[at] == "/" || scalars[at] == "!" || scalars[at] == "?" { at += 1 }
        guard at < scalars.count, isLetter(scalars[at]), let plainEnd = find(">", from: at) else { return nil }
        var name = String.UnicodeScalarView()
        while isLetter(scalars[at]) || ("0"..."9").contains(scalars[at]) {
            name.append(lowercased(scalars[at]))
            at += 1
        }
        guard !ignoresQuotes else { return (String(name), plainEnd + 1) }
        // A '>' in a quoted value does not end the tag, where the quote is closed.
        var quote: Unicode.Scalar?
        while at < scalars.count {
            if scalars[at] == quote {
                quote = nil
            } else if quote == nil {
                if scalars[at] == ">" { return (String(name), at + 1) }
                if scalars[at] == "\"" || scalars[at] == "'" { quote = scalars[at] }
            }
            at += 1
        }
        ignoresQuotes = true
        return (String(name), plainEnd + 1)
    }

    /// A character reference; nil for one that is not known, which then stays as it is written.
    private func reference(at start: Int) -> (scalar: Unicode.Scalar, end: Int)? {
        guard let end = scalars[start...].prefix(12).firstIndex(of: ";"), end > start + 1 else { return nil }
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars[(start + 1)..<end])
        let name = String(view)
        guard name.hasPrefix("#") else { return namedReferences[name].map { ($0, end + 1) } }
        let digits = name.dropFirst()
        let code = digits.lowercased().hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        return code.flatMap(Unicode.Scalar.init).map { ($0, end + 1) }
    }
}
