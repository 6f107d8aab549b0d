// syncnode article import

import ArgumentParser
import Foundation
import NewsStore
import ReplicationModel
import Synchronization

extension ArticleCommand {
    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take in stories: wire text, ninjs or JSON Lines.",
            discussion: """
                The same story twice is one row: taking a file in again writes nothing, and two bureaus that take in the same \
                file make the same row. A newer version of an item (by its version and time) updates the row, in what it \
                carries itself. What was deleted stays deleted, and what was edited is never undone by an item that is not newer.

                  wire    one story a file, with whatever header the wire gives it
                  ninjs   an IPTC ninjs 1.x or 2.x item, or an array of them
                  jsonl   one object a line: ninjs, or what `article export` writes

                An error names the file and the line. What stands before it is taken in, the other files too, and the \
                command ends with an exit code that says so; mend the file and import it again.

                  syncnode article import story.txt
                  syncnode article import *.txt
                  curl -s https://wire.example/feed.json | syncnode article import -
                  syncnode article import archive.jsonl --json | jq length
                """)

        @Argument(help: ArgumentHelp("Files; - is standard input.", valueName: "file"), completion: .file())
        var files: [String]
        @Option(help: "How the files are written; guessed from their beginning if left out.") var format: ArticleFormat?
        @OptionGroup var options: GlobalOptions

        func validate() throws {
            if files.count(where: { $0 == "-" }) > 1 {
                throw ValidationError("Standard input (-) can be read once; it is named twice.")
            }
        }

        func run() async throws {
            let store = try options.openNewsToWrite()
            if files.contains("-") { NewsArguments.sayThatInputIsAwaited("a story") }
            var run = ImportRun(store: store, format: format, json: options.json, bar: ImportBar(files))
            try run.begin()
            for file in files { try run.take(file) }
            try run.end(files: files.count)
        }
    }
}

/// The progress bar of an import, by bytes read.
private final class ImportBar: Sendable {
    private let bar = ProgressBar("import")
    private let total: UInt64?
    private let state = Mutex((read: UInt64(0), articles: 0))

    init(_ files: [String]) {
        let sizes = files.map { Files.size($0) }
        total = files.contains("-") || sizes.contains(0) ? nil : sizes.reduce(0, +)
    }

    func update(bytes: Int = 0, articles: Int = 0) {
        let (read, count) = state.withLock { state in
            state.read += UInt64(bytes)
            state.articles += articles
            return state
        }
        bar.update(
            done: read / 1000, total: total.map { $0 / 1000 }, note: "kB, \(count.of("article"))")
    }

    func finish() { bar.finish() }
}

/// One import: what it has done so far, and what it says of it.
///
/// Invariant: whatever happens to a file, what was told as taken in is committed, and the JSON document is closed.
private struct ImportRun {
    /// More lines say less than their number.
    private static let lineLimit = 20

    let store: NewsStore
    let format: ArticleFormat?
    let json: Bool
    let bar: ImportBar
    private var document = JSONArrayStream()
    private var counts: [ImportedArticle.Outcome: Int] = [:]
    private var told = 0
    /// Known ones that differ from what came in.
    private var differing = 0
    private var lastDeleted: RowID?
    private var failures: [NewsError] = []

    init(store: NewsStore, format: ArticleFormat?, json: Bool, bar: ImportBar) {
        (self.store, self.format, self.json, self.bar) = (store, format, json, bar)
    }

    mutating func begin() throws { if json { try document.begin() } }

    /// Takes one file in; what is wrong with it is kept for the end.
    mutating func take(_ file: String) throws {
        do {
            let input = try ArticleInput(path: file) { [bar] in bar.update(bytes: $0) }
            var reader = try ArticleReader(input, format: format)
            let done = try store.importArticles(&reader, onArticle: { try tell($0) })
            if !done.ignored.isEmpty {
                bar.finish()
                say("\(file): left out, as an article has no place for it: \(shortList(done.ignored.sorted()))")
            }
            // An empty array, or no line: a feed with nothing in it. What should be one story and is empty is an error.
            if done.read == 0, !json {
                bar.finish()
                try emit("No article in \(file == "-" ? "standard input" : printableLine(file)).")
            }
        } catch let error as NewsError {
            bar.finish()
            fflush(nil)  // What is in stands before what is not, in a file that takes both.
            failures.append(error)
            if failures.count <= Self.lineLimit { Syncnode.report(error) }
        } catch {
            // The replica or the disk: nothing further can come in.
            bar.finish()
            // What is in stands on paper as well as that goes; what went wrong first is what is told.
            if json { try? document.end() }
            throw error
        }
    }

    private mutating func tell(_ article: ImportedArticle) throws {
        counts[article.outcome, default: 0] += 1
        if article.differs { differing += 1 }
        if article.outcome == .deleted { lastDeleted = article.id }
        bar.update(articles: 1)
        if json { return try document.add(article) }
        told += 1
        guard told <= Self.lineLimit else { return }
        bar.finish()
        let id = try store.shortIDs([article.id], .article)[article.id] ?? ""
        let (word, style): (String, Style) =
            switch article.outcome {
            case .created: ("new", .green)
            case .known: ("known", .dim)
            case .updated: ("updated", .yellow)
            case .outdated: ("outdated", .dim)
            case .deleted: ("deleted", .yellow)
            }
        let terminal = Terminal.output
        let room = terminal.isTerminal ? max(terminal.width - id.count - 12, 20) : Int.max
        let cells = [
            terminal.styled(word.padding(toLength: 8, withPad: " ", startingAt: 0), style),
            terminal.styled(printableLine(id), .bold), shortened(article.headline, to: room),
        ]
        try emit(cells.joined(separator: "  "))
    }

    private func shortList(_ names: [String]) -> String {
        names.prefix(10).map { printableLine($0) }.joined(separator: ", ") + (names.count > 10 ? ", …" : "")
    }

    private func summary() -> String {
        let total = counts.values.reduce(0, +)
        var known = "known already"
        if differing > 0 {
            let these = differing == counts[.known] ? "" : "\(differing.grouped) of them "
            known += " (\(these)differing from what is held; neither is newer)"
        }
        let words: [(ImportedArticle.Outcome, String)] = [
            (.created, "new"), (.updated, "updated"), (.known, known), (.outdated, "older than what is here"),
            (.deleted, "deleted before, and left so"),
        ]
        let parts = words.compactMap { outcome, word in counts[outcome].map { "\($0.grouped) \(word)" } }
        return "\(total.of("article")): \(parts.joined(separator: ", "))."
    }

    /// How what was deleted comes back; nil where nothing was.
    private func restoring() -> String? {
        guard let lastDeleted else { return nil }
        let one = counts[.deleted] == 1
        return
            "To bring \(one ? "it" : "one") back: syncnode article restore \(one ? printableLine("\(lastDeleted)") : "ID")"
    }

    /// Says how much came in, and fails where a file did: as that file did, or as the first of several.
    mutating func end(files: Int) throws {
        bar.finish()
        if json { try document.end() }
        let total = counts.values.reduce(0, +)
        if !json, total > 1 || differing > 0 || lastDeleted != nil {
            try emit("\(told > Self.lineLimit ? "…\n" : "")\(summary())")
            if let restoring = restoring() { try emit(restoring) }
        }
        guard let first = failures.first else { return }
        fflush(nil)
        let partly = total == 0 ? "Nothing was taken in." : "What is listed above is in."
        if files > 1 {
            let what = "\(failures.count.grouped) of \(files.grouped) files could not be taken in whole."
            say("\(what) \(json ? "The others, and what stood before an error, are in." : partly)")
        } else if total > 0 {
            say("The \(total.of("article")) before that \(total == 1 ? "is" : "are") taken in.")
        }
        throw ExitCode(Syncnode.status(news: first).rawValue)
    }
}

/// One JSON array on standard output, written while it grows.
private struct JSONArrayStream {
    private let encoder = JSONEncoder()
    private var buffer = Data()
    private var isEmpty = true

    init() { encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes] }

    mutating func begin() throws { buffer.append(contentsOf: "[".utf8) }

    mutating func add(_ item: some Encodable) throws {
        buffer.append(contentsOf: (isEmpty ? "" : ",\n").utf8)
        isEmpty = false
        buffer.append(try encoder.encode(item))
        if buffer.count >= 64 << 10 { try flush() }
    }

    mutating func end() throws {
        buffer.append(contentsOf: "]\n".utf8)
        try flush()
    }

    private mutating func flush() throws {
        try emit(buffer)
        buffer.removeAll(keepingCapacity: true)
    }
}
