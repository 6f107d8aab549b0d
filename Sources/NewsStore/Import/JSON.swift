// A small JSON reader and writer (RFC 8259), for three things the common one does not give: errors that name the line,
// a bound on nesting, and objects written in the order they were made, so that an export is the same bytes everywhere.
//
// Invariant: reading never recurses deeper than `depthLimit` nor makes more than `valueLimit` values, whatever the input.

enum JSON: Hashable {
    case null
    case bool(Bool)
    /// As it was written: `1.0` stays `1.0`.
    case number(String)
    case string(String)
    case array([JSON])
    case object([Member])

    struct Member: Hashable {
        let name: String
        let value: JSON
    }

    /// Deep enough for any news item (ninjs associations nest a few levels), shallow enough for any thread's stack.
    static let depthLimit = 128

    /// Values in one text: each takes some 40 bytes however short it is written, and a news item has a hundred.
    static let valueLimit = 2_000_000

    /// The first member of that name; nil for anything but an object.
    subscript(_ name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// A string, or a number as it was written.
    var text: String? {
        switch self {
        case .string(let text), .number(let text): text
        default: nil
        }
    }

    var elements: [JSON]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }
}

/// Where and why a text is not JSON.
struct JSONSyntaxError: Error, Hashable {
    let line: Int
    let column: Int
    let cause: String
}

// MARK: - Reading

extension JSON {
    /// Reads one value and nothing but white space around it.
    init(
        parsing bytes: ArraySlice<UInt8>, firstLine: Int = 1, valueLimit: Int = JSON.valueLimit
    ) throws(JSONSyntaxError) {
        var reader = JSONReader(bytes: bytes, firstLine: firstLine, valueLimit: valueLimit)
        self = try reader.document()
    }
}

private struct JSONReader {
    let bytes: ArraySlice<UInt8>
    var at: Int
    let firstLine: Int
    private let valueLimit: Int
    private var valueCount = 0

    init(bytes: ArraySlice<UInt8>, firstLine: Int, valueLimit: Int) {
        self.bytes = bytes
        at = bytes.startIndex
        self.firstLine = firstLine
        self.valueLimit = valueLimit
    }

    var next: UInt8? { at < bytes.endIndex ? bytes[at] : nil }

    func failure(_ cause: String) -> JSONSyntaxError {
        let before = bytes[bytes.startIndex..<min(at, bytes.endIndex)]
        let line = firstLine + before.count { $0 == 0x0a }
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? before.startIndex
        return JSONSyntaxError(line: line, column: before.endIndex - lineStart + 1, cause: cause)
    }

    mutating func document() throws(JSONSyntaxError) -> JSON {
        let value = try value(depth: 0)
        skipSpace()
        guard next == nil else { throw failure("something follows the value") }
        return value
    }

    mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { at += 1 }
    }

    mutating func value(depth: Int) throws(JSONSyntaxError) -> JSON {
        skipSpace()
        guard depth <= JSON.depthLimit else { throw failure("nested deeper than \(JSON.depthLimit) levels") }
        valueCount += 1
        guard valueCount <= valueLimit else { throw failure("more than \(valueLimit) values") }
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"): return try number()
        case .some(let byte) where (0x30...0x39).contains(byte): return try number()
        case nil: throw failure("the text ends where a value should stand")
        default: throw failure("no value begins with this character")
        }
    }

    mutating func word(_ word: String, _ value: JSON) throws(JSONSyntaxError) -> JSON {
        guard bytes[at...].starts(with: word.utf8) else { throw failure("expected \(word)") }
        at += word.utf8.count
        return value
    }

    mutating func object(depth: Int) throws(JSONSyntaxError) -> JSON {
        at += 1
        var members: [JSON.Member] = []
        skipSpace()
        if next == UInt8(ascii: "}") {
            at += 1
            return .object(members)
        }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw failure("expected a member's name in quotes") }
            let name = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw failure("expected ':' after the name of a member") }
            at += 1
            members.append(JSON.Member(name: name, value: try value(depth: depth + 1)))
            if try closes(UInt8(ascii: "}")) { return .object(members) }
        }
    }

    mutating func array(depth: Int) throws(JSONSyntaxError) -> JSON {
        at += 1
        var elements: [JSON] = []
        skipSpace()
        if next == UInt8(ascii: "]") {
            at += 1
            return .array(elements)
        }
        while true {
            elements.append(try value(depth: depth + 1))
            if try closes(UInt8(ascii: "]")) { return .array(elements) }
        }
    }

    /// Steps over a comma, or over the closing bracket.
    mutating func closes(_ bracket: UInt8) throws(JSONSyntaxError) -> Bool {
        skipSpace()
        guard let byte = next, byte == bracket || byte == UInt8(ascii: ",") else {
            throw failure("expected ',' or '\(Character(Unicode.Scalar(bracket)))'")
        }
        at += 1
        return byte == bracket
    }

    mutating func number() throws(JSONSyntaxError) -> JSON {
        let start = at
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { (0x30...0x39).contains($0) } ?? false }
        func digits(_ reader: inout JSONReader) -> Bool {
            let first = reader.at
            while isDigit(reader.next) { reader.at += 1 }
            return reader.at > first
        }
        if next == UInt8(ascii: "-") { at += 1 }
        let leadsWithZero = next == UInt8(ascii: "0")
        let integerStart = at
        guard digits(&self), !leadsWithZero || at == integerStart + 1 else { throw failure("not a number") }
        if next == UInt8(ascii: ".") {
            at += 1
            guard digits(&self) else { throw failure("a digit must follow the decimal point") }
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            at += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
            guard digits(&self) else { throw failure("a digit must follow the exponent") }
        }
        return .number(String(decoding: bytes[start..<at], as: UTF8.self))
    }

    mutating func string() throws(JSONSyntaxError) -> String {
        at += 1
        let start = at
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { at += 1 }
        var text = Array(bytes[start..<at])
        while let byte = next, byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw failure("a control character in a string must be escaped") }
            at += 1
            if byte == UInt8(ascii: "\\") { try escape(into: &text) } else { text.append(byte) }
        }
        guard next != nil else { throw failure("a string is not closed") }
        at += 1
        guard let string = String(validating: text, as: UTF8.self) else { throw failure("a string is not UTF-8") }
        return string
    }

    mutating func escape(into text: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = next else { throw failure("a string is not closed") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            let unit = try hexadecimalUnit()
            guard (0xd800...0xdfff).contains(unit) else {
                text += Array(String(Unicode.Scalar(unit).map(Character.init) ?? "\u{fffd}").utf8)
                return
            }
            guard unit < 0xdc00, bytes[at...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
                throw failure("half a surrogate pair")
            }
            at += 2
            let low = try hexadecimalUnit()
            guard (0xdc00...0xdfff).contains(low) else { throw failure("half a surrogate pair") }
            let code = 0x10000 + (UInt32(unit - 0xd800) << 10) + UInt32(low - 0xdc00)
            text += Array(String(Unicode.Scalar(code).map(Character.init) ?? "\u{fffd}").utf8)
        default: throw failure("no such escape")
        }
    }

    mutating func hexadecimalUnit() throws(JSONSyntaxError) -> UInt16 {
        guard at + 4 <= bytes.endIndex, bytes[at..<at + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let unit = UInt16(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16)
        else { throw failure("four hexadecimal digits must follow \\u") }
        at += 4
        return unit
    }
}

// MARK: - Writing

extension JSON {
    /// An object of the members that have a value, in order.
    static func members(_ pairs: KeyValuePairs<String, JSON?>) -> JSON {
        .object(pairs.compactMap { pair in pair.value.map { Member(name: pair.key, value: $0) } })
    }

    /// Appends the value on one line.
    func write(into output: inout [UInt8]) {
        switch self {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .number(let text): output += text.utf8
        case .string(let text): JSON.writeString(text, into: &output)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                element.write(into: &output)
            }
            output.append(UInt8(ascii: "]"))
        case .object(let members):
            output.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                JSON.writeString(member.name, into: &output)
                output.append(UInt8(ascii: ":"))
                member.value.write(into: &output)
            }
            output.append(UInt8(ascii: "}"))
        }
    }

    private static func writeString(_ text: String, into output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): output += "\\\"".utf8
            case UInt8(ascii: "\\"): output += "\\\\".utf8
            case 0x0a: output += "\\n".utf8
            case 0x0d: output += "\\r".utf8
            case 0x09: output += "\\t".utf8
            case 0..<0x20: output += "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
