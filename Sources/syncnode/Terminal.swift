// What the terminal can show: colour, width, and whether there is one.
//
// Invariant: nothing but plain text goes to a file or a pipe, and no colour under NO_COLOR.

import CLinux
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

/// Standard error, a line at a time. Where nobody reads it, nobody is told: the exit code still says how it went.
func say(_ text: String) { _ = Terminal.write(Data((text + "\n").utf8), to: STDERR_FILENO) }

extension Terminal {
    /// A standard stream that whoever started the program closed stays closed: no file that is opened gets its number, and with it
    /// what is meant for the stream.
    static func keepClosedStreams() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest number that is free is this one; what is not meant to be done with it fails.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// Writes all of it, or gives the `errno` for which it could not be written; 0 where it was.
    static func write(_ bytes: Data, to descriptor: Int32) -> Int32 {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EAGAIN {
                    // Another program made the terminal that both share one that does not wait.
                    var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&ready, 1, -1)
                } else if errno != EINTR {
                    return errno
                }
            }
            return 0
        }
    }
}

/// How wide text is on a terminal, where a letter of Chinese or an emoji takes two columns and a combining accent none.
extension StringProtocol {
    var columns: Int { utf8.allSatisfy { $0 < 0x80 } ? utf8.count : reduce(0) { $0 + $1.columns } }

    /// As much of its beginning as fits, and a sign that there is more.
    func cut(to room: Int) -> String {
        guard columns > room else { return String(self) }
        var left = room - 1
        let beginning = prefix { character in
            left -= character.columns
            return left >= 0
        }
        return beginning + "…"
    }
}

extension Character {
    /// The C library knows widths once it knows that text is UTF-8.
    private static let isUTF8 = setlocale(LC_CTYPE, "C.UTF-8") != nil

    /// One where nothing is known of it.
    var columns: Int {
        guard !isASCII, Self.isUTF8 else { return 1 }
        return unicodeScalars.reduce(0) { max($0, Int(wcwidth(wchar_t(bitPattern: $1.value)))) }
    }
}
