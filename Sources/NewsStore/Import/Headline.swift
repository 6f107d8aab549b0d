// A headline for a story that came without one.
//
// Invariant: at most `limit` characters, a function of the text alone.

enum Headline {
    /// What fits a line of a terminal or a table, and most headlines.
    static let limit = 120

    /// The first sentence of `body` where it fits; else the sentence up to where a clause ends; else up to a word, with
    /// an ellipsis. White space in front does not count.
    static func derived(from body: String) -> String {
        let text = TextDecoding.collapsed(firstLine(of: body.unicodeScalars.drop(while: TextDecoding.isSpace)))
        let sentence = firstSentence(of: text)
        guard sentence.count > limit else { return withoutFinalStop(String(sentence)) }
        let fitting = sentence.prefix(limit - 1)
        if let end = clauseEnd(in: fitting) { return String(sentence[..<end]) }
        let end = fitting.lastIndex(of: " ") ?? fitting.endIndex
        return withoutTrailingPunctuation(sentence[..<end]) + "…"
    }

    /// Whether `body` begins with an empty line: a headline was not derived from such a one before.
    static func beginsEmpty(_ body: String) -> Bool {
        firstLine(of: body.unicodeScalars[...]).unicodeScalars.allSatisfy(TextDecoding.isSpace)
    }

    /// As much of it as a headline could need.
    private static func firstLine(of text: Substring.UnicodeScalarView) -> String {
        String(Substring(text.prefix(4 * limit).prefix { $0 != "\n" }))
    }

    private static func withoutFinalStop(_ sentence: String) -> String {
        // A story of a single stop keeps it: it has no other headline.
        sentence.count > 1 && sentence.hasSuffix(".") && !sentence.hasSuffix("..")
            && !endsInAbbreviation(sentence.dropLast())
            ? String(sentence.dropLast()) : sentence
    }

    private static func withoutTrailingPunctuation(_ text: Substring) -> String {
        var text = text
        while let last = text.last, ",;:–—-".contains(last) || last == " " { text.removeLast() }
        return String(text)
    }

    private static func firstSentence(of text: String) -> Substring {
        var index = text.startIndex
        while index < text.endIndex {
            let character = text[index]
            var next = text.index(after: index)
            if "。！？".contains(character) { return text[..<next] }
            if ".!?".contains(character) {
                while next < text.endIndex, "\"”’')]".contains(text[next]) { next = text.index(after: next) }
                let ends = next == text.endIndex || text[next] == " "
                if ends, character != "." || !endsInAbbreviation(text[..<index]) { return text[..<next] }
            }
            index = next
        }
        return text[...]
    }

    private static let abbreviations: Set<String> = [
        "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Gen", "Lt", "Col", "Sgt", "Sen", "Rep", "Gov", "Jr", "Sr", "No", "vs",
        "Inc", "Ltd", "Co", "Corp", "Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec",
    ]

    /// Whether the stop after `text` belongs to its last word: a title, a month, an initial, `U.S`.
    private static func endsInAbbreviation(_ text: some StringProtocol) -> Bool {
        let word = text.split { $0 == " " }.last.map { String($0) } ?? ""
        let bare = word.drop { "(\"“‘'[".contains($0) }
        let lastPart = bare.split { $0 == "." }.last ?? ""
        return abbreviations.contains(String(bare)) || (lastPart.count == 1 && lastPart.first?.isUppercase == true)
    }

    private static let clauseWords: Set<Substring> = [
        "amid", "while", "when", "after", "before", "as", "following", "because", "despite", "although", "but",
        "which", "where", "since", "until", "unless", "whereas",
    ]

    /// The last place at which the sentence may be cut without leaving a clause half said; nil where that would leave
    /// too little.
    private static func clauseEnd(in text: Substring) -> Substring.Index? {
        let least = text.index(text.startIndex, offsetBy: limit / 3, limitedBy: text.endIndex) ?? text.endIndex
        var best: Substring.Index?
        var wordStart = text.startIndex
        for index in text.indices where index >= least {
            guard text[index] == " " else { continue }
            let before = text[text.index(before: index)]
            if ";:".contains(before) { best = text.index(before: index) }
            wordStart = text.index(after: index)
            let word = text[wordStart...].prefix { $0 != " " }
            let isDash = word == "-" || word == "–" || word == "—" || word == "--"
            let isWhole = word.endIndex < text.endIndex
            if isWhole, isDash || clauseWords.contains(word) {
                best = before == "," ? text.index(before: index) : index
            }
        }
        return best
    }
}
