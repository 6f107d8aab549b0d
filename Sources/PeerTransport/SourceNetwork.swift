// Whose a connection is, as far as an address tells.
internal import NIOCore

/// What strangers are counted by: an IPv4 address, or the first 64 bits of an IPv6 address, which is what one customer commonly
/// has.
public struct SourceNetwork: Hashable, Sendable {
    private let bytes: UInt64
    private let isIPv6: Bool

    /// Of an address as `PeerLink.remoteAddress` and failures tell it; nil where it is a name.
    public init?(of remote: String) {
        guard let host = try? Endpoint(remote).host, let address = try? SocketAddress(ipAddress: host, port: 0) else {
            return nil
        }
        self.init(address)
    }

    init(_ address: SocketAddress?) {
        // `sockaddr_in` holds its address from byte 4, `sockaddr_in6` from byte 8.
        guard let address else {
            (bytes, isIPv6) = (0, false)
            return
        }
        let raw = address.withSockAddr { pointer, count in
            [UInt8](UnsafeRawBufferPointer(start: pointer, count: count))
        }
        func number(_ range: Range<Int>) -> UInt64 { raw[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch address {
        case .v4: (bytes, isIPv6) = (number(4..<8), false)
        // An IPv4 address as a socket for both families shows it.
        case .v6 where raw[8..<20].elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]):
            (bytes, isIPv6) = (number(20..<24), false)
        case .v6: (bytes, isIPv6) = (number(8..<16), true)
        case .unixDomainSocket: (bytes, isIPv6) = (0, false)
        }
    }
}
