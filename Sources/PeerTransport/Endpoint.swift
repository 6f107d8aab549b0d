// Where a node listens, as people write it.
//
// Invariant: what `description` writes, `init(_:)` reads back as the same endpoint.

/// A host and a port: `HOST:PORT`, with an IPv6 address in brackets, and the port left out where it is the default.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address; an IPv6 address without its brackets.
    public let host: String
    /// 0 to 65535; 0 only makes sense for listening, and means any free port.
    public let port: Int

    /// The port of a node that was not told another.
    public static let defaultPort = 7742

    public init(host: String, port: Int = Endpoint.defaultPort) {
        self.host = host
        self.port = port
    }

    /// Reads `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`.
    /// - Throws: `invalid_endpoint`.
    public init(_ text: String) throws(TransportError) {
        func refused(_ why: String) -> TransportError {
            TransportError(
                .invalidEndpoint, "cannot use the address \"\(text)\": \(why); write HOST:PORT, or [IPV6]:PORT")
        }
        let host: Substring
        let rest: Substring
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw refused("the bracket is not closed") }
            host = text[text.index(after: text.startIndex)..<end]
            rest = text[text.index(after: end)...]
            guard host.contains(":") else { throw refused("only an IPv6 address stands in brackets") }
        } else {
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            host = text[..<colon]
            rest = text[colon...]
            guard rest.dropFirst().firstIndex(of: ":") == nil else {
                throw refused("an IPv6 address must stand in brackets")
            }
        }
        guard !host.isEmpty else { throw refused("it names no host") }
        guard !host.contains(where: { $0.isWhitespace || $0 == "/" || $0 == "@" || $0 == "\0" }) else {
            throw refused("a host has no such character")
        }
        var port = Self.defaultPort
        if !rest.isEmpty {
            let digits = rest.dropFirst()
            guard rest.first == ":", digits.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt16(digits)
            else { throw refused("a port is a number from 0 to 65535") }
            port = Int(number)
        }
        self.init(host: String(host), port: port)
    }

    /// `HOST:PORT`, always with the port.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
