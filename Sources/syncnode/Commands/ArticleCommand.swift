// syncnode article, and what its commands share

public import ArgumentParser
import Foundation
public import NewsStore
import ReplicationModel

struct ArticleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "article", abstract: "Take in, write, find and give out articles.",
        discussion: """
            An id may be cut to any beginning that names one article; lists show one that does.

            Take in a wire story, find it, mend its byline:
              syncnode article import story.txt
              syncnode article list --search "antalya forum"
              syncnode article set 3f2a91bc byline="A. Writer"
            """,
        subcommands: [
            Import.self, Add.self, List.self, Show.self, Set.self, Delete.self, Restore.self, Export.self,
        ])
}

extension ArticleFormat: ExpressibleByArgument {}
extension NewsStore.ExportFormat: ExpressibleByArgument {}

/// The id of a row that a command made or dealt with.
struct RowDocument: Encodable {
    let id: String
    init(_ id: RowID) { self.id = id.description }
}

/// What `set` did.
struct ChangeDocument: Encodable {
    let id: String
    let changed: Bool
}

/// What the commands of articles and commitments take from people.
enum NewsArguments {
    /// - Parameter option: as the person typed it, `--since`.
    static func date(_ text: String, _ option: String) throws -> PartialDate {
        guard let date = PartialDate(text.trimmingCharacters(in: .whitespaces)) else {
            throw CommandFailure(
                .usage,
                """
                \(option) “\(text)”: this is no date.
                Write it like \(PartialDate.todayUTC().text); or only the month or the year where no more is known.
                """)
        }
        return date
    }

    static func assignments(_ texts: [String]) throws -> [FieldAssignment] {
        try texts.map { try FieldAssignment(parsing: $0) }
    }

    /// The body that was given, or standard input for `-`, as UTF-8 without a byte order mark and the line ends around it.
    static func body(_ argument: String?) throws -> String? {
        guard argument == "-" else { return argument }
        sayThatInputIsAwaited("the body")
        var bytes: [UInt8] = []
        while bytes.count <= Limits.valueBytes, let piece = try standardInputPiece() { bytes += piece }
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
        guard bytes.count <= Limits.valueBytes else {
            throw CommandFailure(
                .badData,
                """
                Standard input is longer than the \(Figures.bytes(Limits.valueBytes)) that a body may have.
                Check that it is the right file, or split it.
                """)
        }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw CommandFailure(
                .badData,
                """
                Standard input is not UTF-8 text.
                Convert it (iconv -t UTF-8), or take the file in with `syncnode article import`, which knows older encodings.
                """)
        }
        let body = text.replacing("\r\n", with: "\n").trimmingCharacters(in: .newlines)
        guard !body.isEmpty else {
            throw CommandFailure(
                .badData, "Standard input is empty, so there is no body.\nLeave --body out for an article without one.")
        }
        return body
    }

    /// Some of what comes next; nil at the end.
    private static func standardInputPiece() throws -> [UInt8]? {
        while true {
            var (count, code) = (0, Int32(0))
            let piece = [UInt8](unsafeUninitializedCapacity: 1 << 20) { buffer, used in
                guard let start = buffer.baseAddress else { return }
                count = read(STDIN_FILENO, start, buffer.count)
                code = errno
                used = max(count, 0)
            }
            if count >= 0 { return piece.isEmpty ? nil : piece }
            guard code != EINTR else { continue }
            throw CommandFailure(
                .inputOutput,
                """
                Cannot read the body from standard input: \(String(cString: strerror(code)))
                Give the text with --body TEXT, or a file: --body - < FILE
                """)
        }
    }

    /// A command that seems to hang waits for the person.
    static func sayThatInputIsAwaited(_ what: String) {
        if isatty(STDIN_FILENO) == 1 { say("Type or paste \(what); end with Ctrl-D on a line of its own.") }
    }
}
