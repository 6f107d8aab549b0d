// The pieces that stand before a wire story's first sentence: date, distributor, place, agency.
//
// Invariant: a piece is taken off the text only when it was understood whole; what is not stays in the story.

/// What was read off the front of a story.
struct WireHeader {
    var publishedOn: PartialDate?
    var distributor: String?
    /// The agency that the distributor's mark names.
    var carried: String?
    /// The agency in the dateline's parentheses.
    var agency: String?
    var place: String?
    /// The dateline's date as written, and what it says.
    var datelineDate: (text: String, date: WrittenDate)?
}

/// A date in words: the year may be left out.
struct WrittenDate: Hashable {
    let day: Int
    let month: Int
    let year: Int?

    /// Whether it is that day, as far as it says.
    func agrees(with date: PartialDate) -> Bool {
        date.text.dropFirst(4) == "-\(padded(month, 2))-\(padded(day, 2))"
            && (year.map { padded($0, 4) == date.text.prefix(4) } ?? true)
    }

    var partialDate: PartialDate? { year.flatMap { PartialDate(year: $0, month: month, day: day) } }
}

/// Reads a header off the front of a text, piece by piece.
struct WireHeaderReader {
    private(set) var rest: Substring
    private(set) var header: WireHeader

    /// - Parameter header: what earlier lines gave; it is not read again.
    init(_ text: some StringProtocol, continuing header: WireHeader = WireHeader()) {
        rest = Substring(text).drop(while: Self.isSpace)
        self.header = header
    }

    private static func isSpace(_ character: Character) -> Bool {
        character.unicodeScalars.allSatisfy(TextDecoding.isSpace)
    }

    private mutating func skipSpace() { rest = rest.drop(while: Self.isSpace) }

    /// Both, whichever comes first.
    mutating func readDateAndDistributor() {
        for _ in 0..<2 {
            if header.publishedOn == nil { readDate() }
            if header.distributor == nil { readDistributor() }
        }
    }

    /// `date 2025-04-12`, `Date: 12 April 2025`, or a bare `2025-04-12` in front.
    private mutating func readDate() {
        var text = rest.drop { $0 == "(" || $0 == "[" }
        let isBracketed = text.startIndex != rest.startIndex
        let word = text.prefix(4).lowercased() == "date"
        if word { text = text.dropFirst(4).drop { $0 == ":" || Self.isSpace($0) } }
        guard let (date, end) = Self.isoDate(in: text) ?? (word ? Self.fullDate(in: text) : nil) else { return }
        var after = text[end...]
        if isBracketed {
            guard let closing = after.first, closing == ")" || closing == "]" else { return }
            after = after.dropFirst()
        }
        // `2025-04-12T10:00` or `2025-04-120` is no date of ours.
        guard after.first.map({ !$0.isLetter && !$0.isNumber }) ?? true else { return }
        header.publishedOn = date
        rest = after.drop { Self.isSpace($0) || $0 == ":" || $0 == "," || $0 == ";" }
    }

    private static func isoDate(in text: Substring) -> (PartialDate, Substring.Index)? {
        let digits = text.prefix(10)
        guard digits.count == 10, let date = PartialDate(digits), date.precision == .day else { return nil }
        return (date, digits.endIndex)
    }

    private static func fullDate(in text: Substring) -> (PartialDate, Substring.Index)? {
        guard let (written, end) = writtenDate(in: text), let date = written.partialDate else { return nil }
        return (date, end)
    }

    /// `(MENAFN - IANS)`, `MENAFN - IANS)` with its opening lost on the way, `(MENAFN)`.
    private mutating func readDistributor() {
        let isOpened = rest.first == "("
        let text = isOpened ? rest.dropFirst() : rest
        guard let closing = text.prefix(100).firstIndex(of: ")") else { return }
        let mark = text[..<closing]
        guard !mark.contains("("), !mark.contains("\n"), mark.first?.isLetter == true else { return }
        let parts = Self.namesOfMark(mark)
        guard let name = parts.first, Self.isName(name) else { return }
        if parts.count == 2 {
            guard Self.isName(parts[1]) else { return }
            header.carried = parts[1]
        } else if !isOpened {
            return
        }
        header.distributor = name
        rest = text[text.index(after: closing)...]
        skipSpace()
    }

    /// The one or two names of a mark. A dash parts them where white space stands beside it: `MENAFN- IANS`, not `ITAR-TASS`.
    private static func namesOfMark(_ mark: Substring) -> [String] {
        let separator = mark.indices.first { index in
            if mark[index] == "/" { return true }
            guard "-–—".contains(mark[index]) else { return false }
            let isAfterSpace = index > mark.startIndex && isSpace(mark[mark.index(before: index)])
            return isAfterSpace || mark[mark.index(after: index)...].first.map(isSpace) == true
        }
        guard let separator else { return [TextDecoding.trimmed(String(mark))] }
        return [mark[..<separator], mark[mark.index(after: separator)...]].map { TextDecoding.trimmed(String($0)) }
    }

    /// A short name, of an agency or a distributor: capitalised words, or a single one (`dpa`).
    private static func isName(_ text: String) -> Bool {
        let words = text.split(separator: " ")
        guard let first = text.first, first.isLetter || first.isNumber, text.count <= 48, words.count <= 6 else {
            return false
        }
        let isCapitalised = words.allSatisfy { !($0.first?.isLowercase ?? true) || nameParticles.contains($0) }
        return (words.count == 1 || isCapitalised) && !text.contains { "!?;:\"".contains($0) } && text.last != "."
    }

    private static let nameParticles: Set<Substring> = [
        "of", "the", "de", "da", "do", "del", "la", "le", "les", "el", "al", "and", "am", "an", "der", "den", "für",
        "y",
    ]

    /// `Istanbul, April 12 (IANS) `, `LONDON (AP) — `, `New Delhi, 12 April 2025: `, `NAIROBI, May 3 - `.
    mutating func readDateline() {
        var text = rest
        guard let place = Self.place(in: text) else { return }
        text = text[place.endIndex...]
        var date: (text: String, date: WrittenDate)?
        if text.first == "," {
            let afterComma = text.dropFirst().drop(while: Self.isSpace)
            guard let (written, end) = Self.writtenDate(in: afterComma) else { return }
            date = (String(afterComma[..<end]), written)
            text = afterComma[end...]
        }
        text = text.drop(while: Self.isSpace)
        var agency: String?
        if text.first == "(", let closing = text.prefix(64).firstIndex(of: ")") {
            let name = TextDecoding.trimmed(String(text[text.index(after: text.startIndex)..<closing]))
            guard Self.isName(name) else { return }
            agency = name
            text = text[text.index(after: closing)...].drop(while: Self.isSpace)
        }
        let separator = text.prefix { "-–—:".contains($0) }
        text = text[separator.endIndex...].drop(while: Self.isSpace)
        // Without a date, `The United Nations (UN) said` looks like a dateline: the dash and the capitals tell them apart.
        let isCertain =
            date != nil
            ? agency != nil || !separator.isEmpty
            : agency != nil && !separator.isEmpty && Self.isPlaceByItself(place)
        guard isCertain else { return }
        (header.place, header.datelineDate, header.agency) = (String(place), date, agency)
        rest = text
    }

    private static func isPlaceByItself(_ place: Substring) -> Bool {
        let words = place.split(separator: " ")
        if place.allSatisfy({ !$0.isLowercase }) { return true }
        return words.count <= 3 && !["The", "A", "An", "In", "At", "On"].contains(words.first ?? "")
    }

    /// One to eight capitalised words before a comma and a date, or before a parenthesis.
    private static func place(in text: Substring) -> Substring? {
        guard text.first?.isUppercase == true else { return nil }
        let line = text.prefix(80)
        var end: Substring.Index?
        for index in line.indices {
            if line[index] == "(" {
                end = index
                break
            }
            if line[index] == ",", writtenDate(in: text[index...].dropFirst().drop(while: isSpace)) != nil {
                end = index
                break
            }
            if "\n\"“:;!?".contains(line[index]) { return nil }
        }
        guard let end else { return nil }
        var place = line[..<end]
        while place.last.map(isSpace) == true { place.removeLast() }
        let words = place.split { isSpace($0) || $0 == "/" || $0 == "," }
        let fits =
            words.count <= 8
            && words.allSatisfy { $0.first.map { !$0.isLowercase } == true || nameParticles.contains($0) }
        return fits && !place.isEmpty ? text[place.startIndex..<place.endIndex] : nil
    }

    private static let months: [String] = [
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december",
    ]

    /// `April 12`, `Apr. 12, 2025`, `12 April 2025`; and where it ends.
    static func writtenDate(in text: Substring) -> (WrittenDate, Substring.Index)? {
        var rest = text
        func number(_ digits: ClosedRange<Int>) -> Int? {
            let run = rest.prefix { $0.isASCII && $0.isNumber }
            guard digits.contains(run.count), let value = Int(run) else { return nil }
            rest = rest[run.endIndex...]
            return value
        }
        func month() -> Int? {
            let word = rest.prefix { $0.isLetter }
            guard word.count >= 3 else { return nil }
            let name = word.lowercased()
            let isShort = word.count == 3 || name == "sept"
            guard let index = months.firstIndex(where: { isShort ? $0.hasPrefix(name) : $0 == name }) else {
                return nil
            }
            rest = rest[word.endIndex...]
            if rest.first == "." { rest = rest.dropFirst() }
            return index + 1
        }
        func space() { rest = rest.drop(while: isSpace) }
        let day: Int
        let monthNumber: Int
        if let first = number(1...2) {
            space()
            guard let named = month() else { return nil }
            (day, monthNumber) = (first, named)
        } else {
            guard let named = month() else { return nil }
            space()
            guard let last = number(1...2) else { return nil }
            (day, monthNumber) = (last, named)
        }
        guard (1...dayCount(year: 2024, month: monthNumber)).contains(day) else { return nil }
        let end = rest.startIndex
        rest = rest.drop { $0 == "," || isSpace($0) }
        if let year = number(4...4), (1800...2200).contains(year),
            rest.first.map({ !$0.isLetter && !$0.isNumber }) ?? true
        {
            return (WrittenDate(day: day, month: monthNumber, year: year), rest.startIndex)
        }
        return (WrittenDate(day: day, month: monthNumber, year: nil), end)
    }
}
