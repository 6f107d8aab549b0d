// How text becomes the words of a search: one rule for what is indexed and for what a person types.
//
// Invariant: FTS5 is given nothing but words from here, parted by spaces, on both sides; so a word is found in whatever script,
// case or accents it was written. A letter that is newer than SQLite's tables parts words there, on both sides alike.

internal import Foundation

enum SearchText {
    /// Counts up with every change to what comes out of here: an index of another form is made anew by the next search.
    static let form: Int64 = 2

    /// Folds nothing and keeps marks in their words: that was done here.
    static let tokenizer = "unicode61 remove_diacritics 0 categories 'L* N* Co M*'"

    /// A word as it stands in a text, and what it is in the index: mostly one word.
    struct Token {
        let words: [String]
        let range: Range<String.Index>
    }

    /// The words of a text, folded, in order. Scripts that put no space between words give each letter by itself, with its
    /// marks: a word of them is found as a phrase.
    static func words(in text: String) -> [String] {
        let folded = folded(text)
        var words: [String] = []
        cut(folded) { words.append(String(folded[$0])) }
        return words
    }

    /// The same with the places where they stand, for marking them.
    static func tokens(in text: String) -> [Token] {
        var tokens: [Token] = []
        cut(text) { range in
            let words = words(in: String(text[range]))
            if !words.isEmpty { tokens.append(Token(words: words, range: range)) }
        }
        return tokens
    }

    /// Lower case without accents, as people search: `İSTANBUL` and `ıstanbul` are `istanbul`, `Ångström` is `angstrom`, `أنقرة`
    /// needs no hamza. Voicing marks of kana, and nukta and virama of Indian scripts, make other letters and stay.
    static func folded(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.lowercased() }
        var result = String.UnicodeScalarView()
        for scalar in text.lowercased().decomposedStringWithCanonicalMapping.unicodeScalars {
            switch scalar.value {
            case 0..<0x80: result.append(scalar)
            // Full width, as East Asian keyboards type it.
            case 0xff01...0xff5e:
                result.append(Unicode.Scalar(UInt8(scalar.value - 0xfee0)))
            default:
                if let plain = plainLetters[scalar] {
                    result.append(contentsOf: plain.unicodeScalars)
                } else if !isAccent(scalar) {
                    result.append(scalar)
                }
            }
        }
        return String(result).precomposedStringWithCanonicalMapping
    }

    /// Letters that Unicode does not take apart, as those write them who lack the key; a Greek sigma is one at the end, too.
    private static let plainLetters: [Unicode.Scalar: String] = [
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t",
        "þ": "th",
        "ς": "σ", "\u{640}": "",
    ]

    private static func isAccent(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.canonicalCombiningClass {
        case .notReordered, .nukta, .kanaVoicing, .virama: false
        default: true
        }
    }

    // MARK: Cutting

    /// Calls `body` with each run of letters, digits and marks.
    private static func cut(_ text: String, _ body: (Range<String.Index>) -> Void) {
        let scalars = text.unicodeScalars
        var start: String.Index?
        var standsAlone = false
        var index = scalars.startIndex
        while index < scalars.endIndex {
            let scalar = scalars[index]
            let kind = Kind(scalar)
            if let first = start, kind == .none || (kind != .mark && (standsAlone || kind == .standsAlone)) {
                body(first..<index)
                start = nil
            }
            if kind != .none {
                if start == nil { (start, standsAlone) = (index, kind == .standsAlone) }
            }
            index = scalars.index(after: index)
        }
        if let first = start { body(first..<scalars.endIndex) }
    }

    private enum Kind {
        case none, letter, mark
        /// Of a script without spaces between words.
        case standsAlone

        init(_ scalar: Unicode.Scalar) {
            switch scalar.value {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: self = .letter
            case 0..<0x80: self = .none
            default:
                switch scalar.properties.generalCategory {
                case .nonspacingMark, .spacingMark, .enclosingMark: self = .mark
                case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .letterNumber:
                    self = Self.hasNoSpaces(scalar) ? .standsAlone : .letter
                case .decimalNumber, .otherNumber, .privateUse: self = .letter
                default: self = .none
                }
            }
        }

        private static func hasNoSpaces(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.value {
            // Thai and Lao, Burmese, Khmer, kana with their marks of length and repetition.
            case 0x0e00...0x0eff, 0x1000...0x109f, 0x1780...0x17ff, 0x3005...0x3007, 0x3031...0x3035, 0x3040...0x30ff,
                0x31f0...0x31ff, 0xff66...0xff9f:
                true
            default: scalar.properties.isIdeographic
            }
        }
    }
}
