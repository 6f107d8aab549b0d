// Addresses as people write them.
import Testing

@testable import PeerTransport

@Suite struct EndpointTests {
    @Test(arguments: [
        ("desk.example:7000", "desk.example", 7000), ("desk", "desk", 7742), ("10.0.0.1:0", "10.0.0.1", 0),
        ("[::1]:65535", "::1", 65535), ("[fe80::1%eth0]", "fe80::1%eth0", 7742),
    ]) func whatIsRead(_ text: String, _ host: String, _ port: Int) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint == Endpoint(host: host, port: port))
        #expect(try Endpoint(endpoint.description) == endpoint)
    }

    @Test(arguments: [
        "", ":7742", "desk:", "desk:x", "desk:65536", "desk:-1", "desk:+1", "::1", "[::1", "[::1]7742", "[desk]:1",
        "[]",
        "a b:1", "http://desk", "me@desk", "desk:１", "desk:1:2",
    ]) func whatIsNot(_ text: String) {
        #expect {
            _ = try Endpoint(text)
        } throws: { error in
            let error = error as? TransportError
            return error?.code == .invalidEndpoint && error?.description.contains("\"\(text)\"") == true
        }
    }
}
