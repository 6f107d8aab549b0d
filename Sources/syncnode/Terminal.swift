// What the terminal can show: colour, width, and whether there is one.
//
// Invariant: nothing but plain text goes to a file or a pipe, and no colour under NO_COLOR.

import Foundation

enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"
}

struct Terminal: Sendable {
    let isTerminal: Bool
    let hasColour: Bool
    let width: Int

    static let output = Terminal(STDOUT_FILENO)
    static let error = Terminal(STDERR_FILENO)

    init(_ descriptor: Int32) {
        let environment = ProcessInfo.processInfo.environment
        isTerminal = isatty(descriptor) == 1
        hasColour = isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
        var size = winsize()
        let known = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        width = known ? Int(size.ws_col) : 100
    }

    func styled(_ text: String, _ styles: Style...) -> String {
        guard hasColour, !styles.isEmpty else { return text }
        return "\u{1b}[\(styles.map(\.rawValue).joined(separator: ";"))m\(text)\u{1b}[0m"
    }
}

/// Text from rows of the store, fit for a terminal: control characters, escape sequences among them, are shown, not sent.
func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar.value {
        case 0x0a: result += "\n"
        case 0x09: result += "\t"
        case 0..<0x20, 0x7f..<0xa0, 0x202a...0x202e, 0x2066...0x2069: result += "\u{fffd}"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}

/// The same on one line.
func printableLine(_ text: String) -> String {
    printable(text).split(whereSeparator: \.isWhitespace).joined(separator: " ")
}

/// Standard error, a line at a time.
func say(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
