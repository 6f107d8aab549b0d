// From what a person types to an FTS5 expression, and from a body to the lines around a match.
//
// Invariant: every word of the person reaches FTS5 inside quotes, so no input is a syntax error or an operator.

internal import Foundation

/// A piece of text around a match.
public struct Snippet: Hashable, Sendable {
    /// A run of text, marked or not.
    public struct Piece: Hashable, Sendable {
        /// The text as it stands in the article; line breaks are spaces.
        public let text: String
        /// Whether it is one of the words searched for.
        public let isMatch: Bool
    }

    /// In order; put together they are the snippet.
    public let pieces: [Piece]
    /// Without marks.
    public var text: String { pieces.map(\.text).joined() }
}

/// What is searched for.
struct SearchTerms: Hashable {
    /// A word or a phrase, as tokens in the index's own folding.
    struct Term: Hashable {
        let tokens: [String]
        let isPrefix: Bool
    }

    /// More is no search but a paste.
    static let termLimit = 64

    let terms: [Term]
    /// All terms must occur; the last word may be only the beginning of one.
    let expression: String

    /// Words parted by white space; what stands in double quotes is a phrase.
    /// - Throws: `NewsError.Code.badArgument` where there is no letter or digit in it, or too much.
    init(_ text: String) throws(NewsError) {
        var chunks: [(text: String, isQuoted: Bool)] = []
        let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            // Every second part stands between quotes; one that is never closed is taken as plain words.
            if index % 2 == 1, index < parts.count - 1 {
                chunks.append((String(part), true))
            } else {
                let words = part.unicodeScalars.split { TextDecoding.isSpace($0) || $0 == "\0" }
                chunks += words.map { (String($0), false) }
            }
        }
        let terms = chunks.map { ($0, tokens(in: $0.text).map(\.folded)) }.filter { !$0.1.isEmpty }
        guard let last = terms.last else {
            throw NewsError(
                .badArgument, operation: "search", object: "\"\(text.prefix(40))\"", cause: "there is no word in it",
                nextStep: "Search for at least one letter or digit.")
        }
        guard terms.count <= Self.termLimit else {
            throw NewsError(
                .badArgument, operation: "search", object: "\(terms.count) words",
                cause: "a search takes at most \(Self.termLimit)", nextStep: "Search for fewer words.")
        }
        let isLastPrefix = !last.0.isQuoted
        self.terms = terms.enumerated().map { index, term in
            Term(tokens: term.1, isPrefix: isLastPrefix && index == terms.count - 1)
        }
        expression = self.terms.map { term in
            "\"\(term.tokens.joined(separator: " "))\"" + (term.isPrefix ? " *" : "")
        }.joined(separator: " ")
    }

    private func matches(_ token: String) -> Int? {
        terms.firstIndex { term in
            term.tokens.contains(token) || (term.isPrefix && term.tokens.last.map(token.hasPrefix) == true)
        }
    }

    // MARK: Snippet

    /// A match further in than this is shown by the beginning instead.
    private static let snippetScanBytes = 64 << 10
    private static let tokensBefore = 8
    private static let tokensAfter = 24

    /// The lines of `body` where most of the terms stand together; its beginning where none does; nil for no text.
    func snippet(of body: String) -> Snippet? {
        let text = TextDecoding.collapsed(
            body.utf8.count > Self.snippetScanBytes
                ? String(decoding: body.utf8.prefix(Self.snippetScanBytes), as: UTF8.self) : body)
        let tokens = tokens(in: text)
        guard !tokens.isEmpty else { return nil }
        let hits = tokens.indices.compactMap { index in matches(tokens[index].folded).map { (index: index, term: $0) } }
        var best = (index: 0, count: 0)
        for (position, hit) in hits.enumerated() {
            let near = hits[position...].prefix { $0.index < hit.index + Self.tokensAfter }
            let count = Set(near.map(\.term)).count
            if count > best.count { best = (hit.index, count) }
        }
        let first = max(0, best.index - Self.tokensBefore)
        let last = min(tokens.count - 1, best.index + Self.tokensAfter)
        let start = first == 0 ? text.startIndex : tokens[first].range.lowerBound
        let end = last == tokens.count - 1 ? text.endIndex : tokens[last].range.upperBound
        let shown = hits.filter { $0.index >= first && $0.index <= last }.map { tokens[$0.index].range }
        var pieces = Self.pieces(text[start..<end], marking: shown)
        if first > 0 { pieces.insert(Snippet.Piece(text: "… ", isMatch: false), at: 0) }
        if last < tokens.count - 1 { pieces.append(Snippet.Piece(text: " …", isMatch: false)) }
        return Snippet(pieces: pieces)
    }

    /// The whole of a line with the terms marked in it.
    func marked(_ line: String) -> Snippet {
        let text = TextDecoding.collapsed(line)
        let matches = tokens(in: text).filter { self.matches($0.folded) != nil }.map(\.range)
        return Snippet(pieces: Self.pieces(text[...], marking: matches))
    }

    private static func pieces(_ text: Substring, marking matches: [Range<String.Index>]) -> [Snippet.Piece] {
        var pieces: [Snippet.Piece] = []
        var at = text.startIndex
        for range in matches {
            if at < range.lowerBound {
                pieces.append(Snippet.Piece(text: String(text[at..<range.lowerBound]), isMatch: false))
            }
            pieces.append(Snippet.Piece(text: String(text[range]), isMatch: true))
            at = range.upperBound
        }
        if at < text.endIndex { pieces.append(Snippet.Piece(text: String(text[at...]), isMatch: false)) }
        return pieces
    }
}

/// Runs of letters, digits and marks, as FTS5's `unicode61` cuts them, folded as `remove_diacritics 2` folds them.
private func tokens(in text: String) -> [(folded: String, range: Range<String.Index>)] {
    var tokens: [(folded: String, range: Range<String.Index>)] = []
    let scalars = text.unicodeScalars
    var start: String.Index?
    func end(at index: String.Index) {
        if let first = start {
            let folded = folded(text[first..<index])
            if !folded.isEmpty { tokens.append((folded, first..<index)) }
        }
        start = nil
    }
    for index in scalars.indices {
        if isTokenScalar(scalars[index]) { start = start ?? index } else { end(at: index) }
    }
    end(at: scalars.endIndex)
    return tokens
}

private func isTokenScalar(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
        return ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
        .letterNumber, .otherNumber, .nonspacingMark, .spacingMark, .enclosingMark, .privateUse:
        return true
    default: return false
    }
}

private func folded(_ token: Substring) -> String {
    if token.utf8.allSatisfy({ $0 < 0x80 }) { return token.lowercased() }
    var result = String.UnicodeScalarView()
    for scalar in token.lowercased().decomposedStringWithCanonicalMapping.unicodeScalars
    where scalar.properties.canonicalCombiningClass == .notReordered {
        result.append(scalar)
    }
    return String(result)
}
