// From what a person types to an FTS5 expression, and from a body to the lines around a match.
//
// Invariant: every word of the person reaches FTS5 inside quotes, so no input is a syntax error or an operator.

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
    /// What was typed between spaces, or in quotes: words that stand together.
    struct Term: Hashable {
        let words: [String]
        /// The last of them may be only the beginning of one.
        let isPrefix: Bool
    }

    /// More is no search but a paste.
    static let termLimit = 64
    /// Of scripts without spaces every letter is a word.
    static let wordLimit = 512

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
        let terms = chunks.map { ($0, SearchText.words(in: $0.text)) }.filter { !$0.1.isEmpty }
        guard let last = terms.last else {
            throw NewsError(
                .badArgument, operation: "search", object: "\"\(text.prefix(40))\"", cause: "there is no word in it",
                nextStep: "Search for at least one letter or digit.")
        }
        let wordCount = terms.reduce(0) { $0 + $1.1.count }
        guard terms.count <= Self.termLimit, wordCount <= Self.wordLimit else {
            throw NewsError(
                .badArgument, operation: "search", object: "\(wordCount) words",
                cause:
                    "a search takes at most \(Self.termLimit), and \(Self.wordLimit) letters of a script without spaces",
                nextStep: "Search for fewer words.")
        }
        let isLastPrefix = !last.0.isQuoted
        self.terms = terms.enumerated().map { index, term in
            Term(words: term.1, isPrefix: isLastPrefix && index == terms.count - 1)
        }
        expression = self.terms.map { term in
            "\"\(term.words.joined(separator: " "))\"" + (term.isPrefix ? " *" : "")
        }.joined(separator: " ")
    }

    /// A term where it occurs, by the tokens that it takes.
    private struct Hit {
        let term: Int
        let tokens: Range<Int>

        func place(in all: [SearchText.Token]) -> Range<String.Index> {
            all[tokens.lowerBound].range.lowerBound..<all[tokens.upperBound - 1].range.upperBound
        }
    }

    private func hits(in tokens: [SearchText.Token]) -> [Hit] {
        tokens.indices.compactMap { first in
            for (number, term) in terms.enumerated() {
                if let end = term.end(from: first, in: tokens) { return Hit(term: number, tokens: first..<end) }
            }
            return nil
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
        let tokens = SearchText.tokens(in: text)
        guard !tokens.isEmpty else { return nil }
        let hits = hits(in: tokens)
        var best = (index: 0, count: 0)
        for (position, hit) in hits.enumerated() {
            let near = hits[position...].prefix { $0.tokens.lowerBound < hit.tokens.lowerBound + Self.tokensAfter }
            let count = Set(near.map(\.term)).count
            if count > best.count { best = (hit.tokens.lowerBound, count) }
        }
        let first = max(0, best.index - Self.tokensBefore)
        let last = min(tokens.count - 1, best.index + Self.tokensAfter)
        let start = first == 0 ? text.startIndex : tokens[first].range.lowerBound
        let end = last == tokens.count - 1 ? text.endIndex : tokens[last].range.upperBound
        let shown = hits.filter { $0.tokens.lowerBound >= first && $0.tokens.upperBound <= last + 1 }
        var pieces = Self.pieces(text[start..<end], marking: shown.map { $0.place(in: tokens) })
        if first > 0 { pieces.insert(Snippet.Piece(text: "… ", isMatch: false), at: 0) }
        if last < tokens.count - 1 { pieces.append(Snippet.Piece(text: " …", isMatch: false)) }
        return Snippet(pieces: pieces)
    }

    /// The whole of a line with the terms marked in it.
    func marked(_ line: String) -> Snippet {
        let text = TextDecoding.collapsed(line)
        let tokens = SearchText.tokens(in: text)
        return Snippet(pieces: Self.pieces(text[...], marking: hits(in: tokens).map { $0.place(in: tokens) }))
    }

    private static func pieces(_ text: Substring, marking matches: [Range<String.Index>]) -> [Snippet.Piece] {
        var pieces: [Snippet.Piece] = []
        var at = text.startIndex
        for range in matches where range.lowerBound >= at {
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

extension SearchTerms.Term {
    /// Where the term ends that begins with a token; nil where it does not stand there.
    fileprivate func end(from first: Int, in tokens: [SearchText.Token]) -> Int? {
        var matched = 0
        for index in first..<tokens.count {
            for word in tokens[index].words {
                let isLast = matched == words.count - 1
                guard word == words[matched] || (isLast && isPrefix && word.hasPrefix(words[matched])) else {
                    return nil
                }
                matched += 1
                if isLast { return index + 1 }
            }
        }
        return nil
    }
}
