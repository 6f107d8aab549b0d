// Reads a story as a wire sends it: header pieces in one of several shapes, then paragraphs.
//
// Invariant: all text of the input ends up in a column; what is not understood as a header piece is body.

internal import ReplicationModel

/// The parser of raw wire text: one story a file.
public enum WireParser {
    /// The longest input: a body may take `Limits.valueBytes`, and a header and a wider encoding stand around it.
    public static let inputByteLimit = 20 << 20

    /// Reads one story.
    ///
    /// Understood in front of the story, in any order that occurs: labelled lines (`Headline: …`), a date
    /// (`date 2025-04-12`), a distributor's mark (`(MENAFN - IANS)`), a headline and a `By …` line of their own, and a
    /// dateline (`City, April 12 (AGENCY)`). All of them may be missing.
    /// - Parameter name: what errors call the input.
    /// - Throws: `NewsError.Code.badInput` where there is no text at all, or too much.
    public static func parse(_ bytes: [UInt8], name: String = "wire text") throws(NewsError) -> ArticleDraft {
        guard bytes.count <= inputByteLimit else {
            throw NewsError(
                .badInput, operation: "import", object: name,
                cause: "\(bytes.count) bytes are more than one story may have (\(inputByteLimit))",
                nextStep: "Split it into one file a story.")
        }
        guard !TextDecoding.isBinary(bytes) else {
            throw NewsError(
                .badInput, operation: "import", object: name, cause: "this is not text but a binary file",
                nextStep: "Save the story as plain text (UTF-8), ninjs or JSON Lines.")
        }
        var story = WireStory(text: TextDecoding.text(bytes))
        story.readLabels()
        story.readLead()
        var draft = story.draft()
        guard draft[.headline] != nil || draft[.body] != nil else {
            throw NewsError(
                .badInput, operation: "import", object: "\(name), line 1", cause: "there is no text in it",
                nextStep: "Check that it is the right file.")
        }
        draft.completeHeadline()
        if let misfit = draft.misfit {
            throw NewsError(.badInput, operation: "import", object: name, cause: misfit, nextStep: "Split it.")
        }
        return draft
    }
}

private struct WireStory {
    /// What is not read yet. Slices: one that loses its front stays where it is.
    private var blocks: ArraySlice<ArraySlice<String>>
    private var draftSoFar = ArticleDraft()
    private var header = WireHeader()

    init(text: String) { blocks = TextDecoding.blocks(text).map { $0[...] }[...] }

    // MARK: Labelled lines

    private static let labels: [String: ArticleField] = [
        "headline": .headline, "title": .headline, "byline": .byline, "author": .byline, "by": .byline,
        "source": .source, "agency": .source, "distributor": .distributor, "dateline": .dateline, "place": .dateline,
        "summary": .summary, "language": .language, "url": .url, "link": .url,
        "date": .publishedOn, "published": .publishedOn,
    ]

    /// `Label: value` lines in front, as long as the label is a known one and there is room for what it says.
    mutating func readLabels() {
        while let line = blocks.first?.first, let colon = line.firstIndex(of: ":") {
            let label = line[..<colon].lowercased()
            let value = TextDecoding.trimmed(String(line[line.index(after: colon)...]))
            guard !value.isEmpty else { return }
            if label == "subjects" || label == "subject" || label == "keywords" {
                guard draftSoFar.addSubjects(value.split { $0 == ";" || $0 == "," }) else { return }
            } else if let field = Self.labels[label], draftSoFar[field] == nil {
                if field == .publishedOn {
                    guard let date = Self.date(value) else { return }
                    header.publishedOn = date
                    draftSoFar.set(field, date.text)
                } else {
                    draftSoFar.set(field, value)
                }
            } else {
                return
            }
            consumeLine()
        }
    }

    /// A date that the value is, whole.
    private static func date(_ value: String) -> PartialDate? {
        if let date = PartialDate(value) ?? Moment(value)?.day { return date }
        guard let (written, end) = WireHeaderReader.writtenDate(in: value[...]), end == value.endIndex else {
            return nil
        }
        return written.partialDate
    }

    private mutating func consumeLine() {
        _ = blocks[blocks.startIndex].popFirst()
        if blocks.first?.isEmpty == true { _ = blocks.popFirst() }
    }

    // MARK: The lead

    /// No wire puts more pieces than this before its first paragraph.
    private static let leadLineLimit = 8

    /// Reads pieces line by line until the first sentence is reached.
    mutating func readLead() {
        for _ in 0..<Self.leadLineLimit {
            guard let line = blocks.first?.first else { return }
            var reader = WireHeaderReader(line, continuing: header)
            reader.readDateAndDistributor()
            header = reader.header
            if reader.rest.isEmpty {
                consumeLine()
                continue
            }
            reader.readDateline()
            header = reader.header
            shortenFirstLine(to: String(reader.rest))
            if header.place != nil {
                if reader.rest.isEmpty { consumeLine() }
                return
            }
            guard readByline() || readHeadline() else { return }
        }
    }

    /// A line that loses its front no longer shows that the block was wrapped, so a wrapped one is joined here.
    private mutating func shortenFirstLine(to line: String) {
        guard var block = blocks.first, line != block.first else { return }
        let isWrapped = TextDecoding.isWrapped(block)
        block[block.startIndex] = line
        blocks[blocks.startIndex] = isWrapped ? [block.filter { !$0.isEmpty }.joined(separator: " ")] : block
    }

    /// `By Some Name`, alone on its line.
    private mutating func readByline() -> Bool {
        guard draftSoFar[.byline] == nil, let line = blocks.first?.first, Self.isByline(line) else { return false }
        draftSoFar.set(.byline, TextDecoding.trimmed(String(line.dropFirst(3))))
        consumeLine()
        return true
    }

    private static func isByline(_ line: String) -> Bool {
        line.prefix(3).lowercased() == "by " && line.count <= 100 && line.split(separator: " ").count <= 14
            && !endsSentence(line)
    }

    private static func endsSentence(_ line: String) -> Bool {
        line.last.map { ".!?…\"”:;,。".contains($0) } ?? false
    }

    /// A line of its own that does not end as a sentence does, with a story below it.
    private mutating func readHeadline() -> Bool {
        guard draftSoFar[.headline] == nil, let block = blocks.first, let line = block.first else { return false }
        guard line.count <= 200, !Self.endsSentence(line) else { return false }
        if block.count > 1 {
            // Within a block it is a headline only if the story's own head follows; else it is a wrapped line.
            guard block.dropFirst().prefix(3).contains(where: { Self.isByline($0) || Self.startsWithDateline($0) })
            else {
                return false
            }
        } else {
            let below = blocks.dropFirst().prefix(3).map { TextDecoding.paragraph($0) }
            let hasStory = below.contains { Self.startsWithDateline($0) || $0.utf8.count > line.utf8.count }
            guard hasStory else { return false }
        }
        draftSoFar.set(.headline, line)
        consumeLine()
        return true
    }

    private static func startsWithDateline(_ line: String) -> Bool {
        var reader = WireHeaderReader(line)
        reader.readDateAndDistributor()
        reader.readDateline()
        return reader.header.place != nil
    }

    // MARK: Putting together

    func draft() -> ArticleDraft {
        var draft = draftSoFar
        func setIfMissing(_ field: ArticleField, _ value: String?) {
            if draft[field] == nil { draft.set(field, value) }
        }
        var publishedOn = header.publishedOn
        var dateline = header.place
        if let written = header.datelineDate {
            if publishedOn == nil { publishedOn = written.date.partialDate }
            // A date that `published_on` does not repeat is kept as it was written.
            let isSaid = publishedOn.map { written.date.agrees(with: $0) } ?? false
            if !isSaid { dateline = header.place.map { "\($0), \(written.text)" } }
        }
        setIfMissing(.publishedOn, publishedOn?.text)
        setIfMissing(.dateline, dateline)
        setIfMissing(.source, header.agency ?? header.carried)
        var distributor = header.distributor
        if let agency = header.agency, let carried = header.carried, agency.lowercased() != carried.lowercased() {
            distributor = distributor.map { "\($0) - \(carried)" }
        }
        setIfMissing(.distributor, distributor)
        draft.set(.body, blocks.map { TextDecoding.paragraph($0) }.joined(separator: "\n\n"))
        return draft
    }
}
