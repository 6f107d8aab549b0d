// Turns a stream of bytes into article drafts, one at a time.
//
// Invariant: holds at most one line of JSON Lines, or one file of the other formats, in memory, whatever its encoding; every
// error names the input and the line or item in it.

/// How an input is written.
public enum ArticleFormat: String, Sendable, CaseIterable {
    /// A story as a wire sends it: one a file.
    case wire
    /// IPTC ninjs: one item, or an array of them.
    case ninjs
    /// JSON Lines: one object a line, ninjs or our own columns.
    case jsonl
}

/// Where an importer's bytes come from.
public struct ArticleInput {
    /// What errors call it.
    public let name: String
    private let nextChunk: () throws -> [UInt8]?

    /// - Parameter nextChunk: the next bytes, of any number but none; nil at the end.
    public init(name: String, nextChunk: @escaping () throws -> [UInt8]?) {
        self.name = name
        self.nextChunk = nextChunk
    }

    /// Bytes at hand.
    public init(name: String, bytes: [UInt8]) {
        var rest: [UInt8]? = bytes.isEmpty ? nil : bytes
        self.init(name: name) {
            defer { rest = nil }
            return rest
        }
    }

    /// A file, read in pieces; `-` is standard input.
    /// - Parameter onRead: told how many bytes each piece has.
    /// - Throws: `NewsError.Code.notFound` or `.inputOutput`.
    public init(path: String, onRead: @escaping (Int) -> Void = { _ in }) throws(NewsError) {
        let file = path == "-" ? InputFile() : try InputFile(path: path)
        self.init(name: path == "-" ? "standard input" : path) {
            let bytes = try file.read()
            onRead(bytes?.count ?? 0)
            return bytes
        }
    }

    func next() throws -> [UInt8]? { try nextChunk() }

    /// The same in UTF-8, where a byte order mark in front says that it is UTF-16; a piece at a time.
    func inUTF8() throws -> ArticleInput {
        var beginning: [UInt8] = []
        while beginning.count < 2, let chunk = try next() { beginning += chunk }
        var waiting: [UInt8]? = beginning.isEmpty ? nil : beginning
        func nextRaw() throws -> [UInt8]? {
            defer { waiting = nil }
            return try waiting ?? next()
        }
        guard var transcoder = UTF16Transcoder(beginning: beginning) else {
            return ArticleInput(name: name, nextChunk: nextRaw)
        }
        waiting = Array(beginning.dropFirst(2))
        var isAtEnd = false
        return ArticleInput(name: name) {
            while !isAtEnd {
                let chunk = try nextRaw()
                isAtEnd = chunk == nil
                let bytes = chunk.map { transcoder.utf8($0[...]) } ?? transcoder.finish()
                if !bytes.isEmpty { return bytes }
            }
            return nil
        }
    }
}

/// Reads articles from an input, in its order.
public struct ArticleReader {
    /// One line of JSON Lines: a row may hold `Limits.rowBytes`.
    public static let lineByteLimit = 16 << 20
    /// One ninjs file: it is held in memory whole, several times over.
    public static let documentByteLimit = 64 << 20

    /// How the input is written: as told, or as guessed from its beginning.
    public let format: ArticleFormat
    private let input: ArticleInput
    private var lines: LineReader
    /// Of an array of items, those to come, the next one last; each is made a draft in its turn, so that what stands before a
    /// bad one is taken in.
    private var waiting: [(item: JSON, place: String)] = []
    private var isAtEnd = false

    /// - Parameter format: nil guesses.
    public init(_ input: ArticleInput, format: ArticleFormat? = nil) throws {
        let input = try input.inUTF8()
        self.input = input
        lines = LineReader(input)
        let beginning = try lines.peek(byteCount: Self.guessByteCount)
        self.format = format ?? Self.guess(beginning, name: input.name)
    }

    /// Enough to see whether the first line of JSON Lines is whole.
    private static let guessByteCount = 1 << 20

    /// `{` or `[` in front is JSON, and one object on the first line is JSON Lines, as is nothing at all in a file that is called
    /// so; anything else is a wire story.
    static func guess(_ beginning: [UInt8], name: String) -> ArticleFormat {
        var content = beginning[...]
        if content.starts(with: [0xef, 0xbb, 0xbf]) { content = content.dropFirst(3) }
        content = content.drop { $0 == 0x20 || $0 == 0x0a || $0 == 0x0d || $0 == 0x09 }
        let isCalledLines = [".jsonl", ".ndjson"].contains { name.lowercased().hasSuffix($0) }
        switch content.first {
        case nil: return isCalledLines ? .jsonl : .wire
        case UInt8(ascii: "{"):
            if isCalledLines { return .jsonl }
            guard let lineEnd = content.firstIndex(of: 0x0a) else {
                // A single item either way; but a line this long had better be read as a line.
                return beginning.count < guessByteCount ? .ninjs : .jsonl
            }
            // Lines of JSON, where the first of them is JSON by itself.
            return (try? JSON(parsing: content[..<lineEnd])) == nil ? .ninjs : .jsonl
        case UInt8(ascii: "["):
            // `[Update] Ministers …` is a wire story; an array of items goes on with an object.
            let inside = content.dropFirst().drop { $0 == 0x20 || $0 == 0x0a || $0 == 0x0d || $0 == 0x09 }
            return inside.first == UInt8(ascii: "{") || inside.first == UInt8(ascii: "]") ? .ninjs : .wire
        default: return .wire
        }
    }

    /// The next article; nil at the end.
    /// - Throws: `NewsError.Code.badInput` where the input is malformed, and what the input's source throws.
    public mutating func next() throws -> ArticleDraft? { try nextPlaced()?.draft }

    /// The next article and where it stands.
    mutating func nextPlaced() throws -> (draft: ArticleDraft, place: String)? {
        if let next = waiting.popLast() { return (try Self.draft(next.item, place: next.place), next.place) }
        if format == .jsonl { return try nextLine() }
        guard !isAtEnd else { return nil }
        isAtEnd = true
        if format == .wire {
            let bytes = try lines.rest(limit: WireParser.inputByteLimit)
            return (try WireParser.parse(bytes, name: input.name), input.name)
        }
        waiting = try documentItems().reversed()
        return try nextPlaced()
    }

    // MARK: JSON

    private mutating func nextLine() throws -> (draft: ArticleDraft, place: String)? {
        while let line = try lines.next(limit: Self.lineByteLimit) {
            var content = line.bytes[...]
            if line.number == 1, content.starts(with: [0xef, 0xbb, 0xbf]) { content = content.dropFirst(3) }
            if content.allSatisfy({ $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }) { continue }
            let place = "\(input.name), line \(line.number)"
            let json: JSON
            do { json = try JSON(parsing: content) } catch {
                throw malformed(place, "column \(error.column): \(error.cause)")
            }
            return (try Self.draft(json, place: place), place)
        }
        return nil
    }

    private mutating func documentItems() throws -> [(item: JSON, place: String)] {
        let bytes = try lines.rest(limit: Self.documentByteLimit)
        let content = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes[3...] : bytes[...]
        let json: JSON
        do { json = try JSON(parsing: content) } catch {
            throw malformed("\(input.name), line \(error.line)", "column \(error.column): \(error.cause)")
        }
        guard let items = json.elements else { return [(json, input.name)] }
        return items.enumerated().map { ($1, "\(input.name), item \($0 + 1)") }
    }

    private static func draft(_ json: JSON, place: String) throws(NewsError) -> ArticleDraft {
        do { return try NewsItemReader.draft(from: json) } catch {
            throw NewsError(
                .badInput, operation: "import", object: place, cause: error.cause,
                nextStep: "Mend it and import again; what was taken in before it is recognised.")
        }
    }

    private func malformed(_ place: String, _ cause: String) -> NewsError {
        NewsError(
            .badInput, operation: "import", object: place, cause: "this is not JSON: \(cause)",
            nextStep: "Mend it, or name another --format (wire, ninjs, jsonl).")
    }
}

/// Cuts an input into lines, within a limit.
struct LineReader {
    private let input: ArticleInput
    private var buffer: [UInt8] = []
    private var start = 0
    private var number = 0
    private var sourceEnded = false

    init(_ input: ArticleInput) { self.input = input }

    private mutating func fill() throws -> Bool {
        guard !sourceEnded, let chunk = try input.next() else {
            sourceEnded = true
            return false
        }
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer += chunk
        return true
    }

    /// What comes next, without taking it: `byteCount` bytes, or what there is.
    mutating func peek(byteCount: Int) throws -> [UInt8] {
        while buffer.count - start < byteCount, try fill() {}
        return Array(buffer[start...].prefix(byteCount))
    }

    /// The next line without its end; nil after the last.
    mutating func next(limit: Int) throws -> (bytes: [UInt8], number: Int)? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0a) {
                guard end - start <= limit else { throw tooLong(limit) }
                number += 1
                defer { start = end + 1 }
                return (Array(buffer[start..<end]), number)
            }
            guard buffer.count - start <= limit else { throw tooLong(limit) }
            let offset = buffer.count - start
            if try !fill() { break }
            searched = start + offset
        }
        guard start < buffer.count else { return nil }
        number += 1
        defer { start = buffer.count }
        return (Array(buffer[start...]), number)
    }

    /// All that is left.
    mutating func rest(limit: Int) throws -> [UInt8] {
        while buffer.count - start <= limit, try fill() {}
        guard buffer.count - start <= limit else {
            throw NewsError(
                .badInput, operation: "import", object: input.name, cause: "it is longer than \(limit) bytes",
                nextStep: "Split it, or bring it as JSON Lines, which are read line by line.")
        }
        defer { start = buffer.count }
        return Array(buffer[start...])
    }

    private func tooLong(_ limit: Int) -> NewsError {
        NewsError(
            .badInput, operation: "import", object: "\(input.name), line \(number + 1)",
            cause: "the line is longer than \(limit) bytes",
            nextStep: "Check that the file is JSON Lines: one object a line.")
    }
}
