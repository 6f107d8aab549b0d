// Whom strangers are counted as: an IPv4 address, or the first 64 bits of an IPv6 address, however either is written.
import NIOCore
import Testing

@testable import PeerTransport

@Suite struct SourceNetworkTests {
    private func network(_ address: String, _ location: SourceLocation = #_sourceLocation) throws -> SourceNetwork {
        try #require(SourceNetwork(of: address), "\(address) is an address", sourceLocation: location)
    }

    @Test(arguments: [
        ("10.0.0.1:7742", "10.0.0.1:50123"),
        // One customer's.
        ("[2001:db8:1:2::1]:7742", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:9"),
        ("[2001:db8:1:2::]:1", "[2001:0db8:0001:0002:0000:0000:0000:0005]:1"), ("[::1]:1", "[::2]:1"),
        ("[fe80::1]:1", "[fe80::2]:1"),
        // As a socket for both families shows it.
        ("[::ffff:10.0.0.1]:1", "10.0.0.1:2"), ("[::ffff:a00:1]:1", "10.0.0.1:2"),
        ("[::ffff:0.0.0.0]:1", "0.0.0.0:1"),
    ]) func whatIsOne(_ one: String, _ other: String) throws {
        #expect(try network(one) == network(other))
        #expect(try network(one).hashValue == network(other).hashValue)
    }

    @Test(arguments: [
        ("10.0.0.1:1", "10.0.0.2:1"), ("10.0.0.1:1", "1.0.0.10:1"), ("0.0.0.0:1", "0.0.0.1:1"),
        // The last of the 64 bits, and the first.
        ("[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1"), ("[2001:db8:1:2::1]:1", "[a001:db8:1:2::1]:1"),
        // Of all IPv4 addresses each is one of its own, though they share their first 64 bits as IPv6 writes them.
        ("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:1"), ("[::ffff:10.0.0.1]:1", "[::1]:1"),
        // Not the same though the bits that count are.
        ("10.0.0.1:1", "[0:0:a00:1::1]:1"), ("0.0.0.0:1", "[::1]:1"),
        // Only all of the prefix makes it an IPv4 address.
        ("[::fffe:10.0.0.1]:1", "10.0.0.1:1"), ("[::10.0.0.1]:1", "10.0.0.1:1"),
        ("[64:ff9b::10.0.0.1]:1", "10.0.0.1:1"),
        ("[1::ffff:10.0.0.1]:1", "10.0.0.1:1"), ("[::1:ffff:10.0.0.1]:1", "10.0.0.1:1"),
    ]) func whatIsNot(_ one: String, _ other: String) throws {
        #expect(try network(one) != network(other))
    }

    @Test(arguments: [
        "hq.example:7742", "localhost:1", "10.0.0:1", "10.0.0.256:1", "", "not an address", "[::1", "2001:db8::1",
    ]) func aNameIsNone(_ text: String) {
        #expect(SourceNetwork(of: text) == nil)
    }

    /// What the listener asks of a connection, and what the log asks of its text, is one.
    @Test(arguments: ["10.0.0.1", "2001:db8:1:2::1", "::ffff:10.0.0.1", "::1"])
    func aConnectionAndItsTextAgree(_ host: String) throws {
        let address = try SocketAddress(ipAddress: host, port: 50123)
        #expect(try SourceNetwork(address) == network(Endpoint(host: host, port: 50123).description))
        #expect(try SourceNetwork(address) == network(ChannelSetup.text(address)))
    }
}
