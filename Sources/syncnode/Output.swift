// What goes to standard output: one JSON document, or text for people.
//
// Invariant: what could not be written is no success. A full disk is an error; a reader that has seen enough, as `head` has, ends
// the command as it ends any other.

import Foundation
import ReplicationModel

/// An optional that JSON shows as `null` where it is unknown, instead of leaving the key out.
@propertyWrapper
struct Nullable<Wrapped: Encodable & Sendable>: Encodable, Sendable {
    var wrappedValue: Wrapped?

    init(wrappedValue: Wrapped?) { self.wrappedValue = wrappedValue }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
    }
}

/// A time, as JSON shows it.
struct JSONTime: Encodable, Sendable {
    let time: WallClock
    init(_ time: WallClock) { self.time = time }
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(Figures.time(time))
    }
}

extension GlobalOptions {
    /// Prints `document` under `--json`, and `text` otherwise.
    func print(_ document: some Encodable, text: @autoclosure () -> String) throws {
        if json {
            try printJSON(document)
        } else {
            let text = text()
            if !text.isEmpty { try emit(text) }
        }
    }
}

/// One document on standard output, keys in snake_case and in order; spread over lines on a terminal.
func printJSON(_ document: some Encodable, onOneLine: Bool = false) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if Terminal.output.isTerminal, !onOneLine { encoder.outputFormatting.insert(.prettyPrinted) }
    var bytes = try encoder.encode(document)
    bytes.append(0x0a)
    try emit(bytes)
}

/// A line of text, or several, on standard output.
func emit(_ text: String) throws { try emit(Data((text + "\n").utf8)) }

/// - Throws: `CommandFailure`; `ReaderLeft` where nobody reads any more.
func emit(_ bytes: Data) throws {
    switch Terminal.write(bytes, to: STDOUT_FILENO) {
    case 0: break
    case EPIPE: throw ReaderLeft()
    case let code:
        throw CommandFailure(
            .inputOutput,
            """
            Cannot write to standard output: \(String(cString: strerror(code)))
            What was written is not whole: make room, then run the command again.
            """)
    }
}

/// Whoever read standard output has closed it.
struct ReaderLeft: Error {
    /// Ends the program as a program is ended that minds nothing; the network's library has it ignored.
    static func end() -> Never {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
        Foundation.exit(128 + SIGPIPE)
    }
}
