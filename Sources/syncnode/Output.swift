// What goes to standard output: one JSON document, or text for people.

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
            if !text.isEmpty { Swift.print(text) }
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
    FileHandle.standardOutput.write(bytes)
}
