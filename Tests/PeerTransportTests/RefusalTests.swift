// Peers that are not let in: each learns why, each is reported with its own cause, and the next good one is served.
import NIOCore
import ReplicationModel
import ReplicationWire
import Testing

@testable import PeerTransport
@testable import Trust

@Suite(.timeLimit(.minutes(1))) struct RefusalTests {
    @Test(arguments: [
        "GET / HTTP/1.1\r\nHost: desk\r\n\r\n", "\u{0}\u{1}\u{2}garbage", "SSH-2.0-OpenSSH_9.2\r\n", "\u{16}no record",
    ]) func whatIsNotTLS(_ text: String) async throws {
        try await withServer { server in
            let stranger = try await Stranger(to: server.listener.endpoint, saying: text)
            let failure = try await server.failures.next()
            #expect(failure.code == .tls)
            #expect(failure.tls?.code == .notTLS)
            #expect(failure.description.contains("127.0.0.1:"))
            try await stranger.closed()
            try await server.serves()
        }
    }

    /// The first bytes look like TLS, and then they do not.
    @Test func whatOnlyBeginsLikeTLS() async throws {
        try await withServer { server in
            let stranger = try await Stranger(
                to: server.listener.endpoint, saying: [22, 3, 1, 0, 5] + [UInt8](repeating: 0x41, count: 300))
            #expect(try await server.failures.next().code == .tls)
            try await stranger.closed()
            try await server.serves()
        }
    }

    @Test func anOlderTLS() async throws {
        try await withServer { server in
            let said = try await openSSLClient(server.listener.endpoint, ["-tls1_2", "-alpn", "syncnode/1"])
            #expect(said.contains("protocol version"))
            let failure = try await server.failures.next()
            #expect(failure.code == .tls && failure.tls?.code == .protocolVersion)
            try await server.serves()
        }
    }

    @Test func noCertificate() async throws {
        try await withServer { server in
            let said = try await openSSLClient(server.listener.endpoint, ["-tls1_3", "-alpn", "syncnode/1"])
            #expect(said.contains("certificate required"))
            let failure = try await server.failures.next()
            #expect(failure.code == .tls && failure.tls?.code == .noCertificate)
            try await server.serves()
        }
    }

    @Test func anotherProtocol() async throws {
        try await withServer { server in
            _ = try await openSSLClient(server.listener.endpoint, ["-tls1_3", "-alpn", "h2"])
            #expect(try await server.failures.next().tls?.code == .applicationProtocol)
            try await server.serves()
        }
    }

    /// It is told why as one that offers another is, and not let in and sent home.
    @Test func noProtocol() async throws {
        try await withServer { server in
            let said = try await openSSLClient(server.listener.endpoint, ["-tls1_3"])
            #expect(said.contains("no application protocol"), "\(said)")
            #expect(try await server.failures.next().tls?.code == .applicationProtocol)
            let older = try await openSSLClient(server.listener.endpoint, ["-tls1_2"])
            #expect(older.contains("protocol version"), "\(older)")
            #expect(try await server.failures.next().tls?.code == .protocolVersion)
            try await server.serves()
        }
    }

    @Test func joiningWhereNobodyIsAdmitted() async throws {
        try await withServer(acceptsJoins: false) { server in
            let authority = server.workspace.authority.certificate
            let context = TLSContext(joining: authority.workspace, fingerprint: authority.fingerprint, clock: { now })
            let failure = await transportError {
                _ = try await PeerDialer(group: group).dial(server.listener.endpoint, context: context, offering: .join)
            }
            #expect(failure?.code == .tls && failure?.tls?.code == .applicationProtocol)
            #expect(try await server.failures.next().tls?.code == .applicationProtocol)
            try await server.serves()
        }
    }

    enum Stain: CaseIterable { case otherAuthority, expired, revoked }

    /// The client believes that it is in until the server's alert says otherwise.
    @Test(arguments: Stain.allCases, [false, true])
    func aBadCertificate(_ stain: Stain, sendingMuch: Bool) async throws {
        let workspace = try Workspace()
        let node: Node
        let (code, meaning): (CertificateRefusal.Code, String)
        switch stain {
        case .otherAuthority:
            node = try Workspace().admit("eve")
            (code, meaning) = (.otherWorkspace, "another workspace")
        case .expired:
            node = try workspace.admit("old", until: now.plus(-1000))
            (code, meaning) = (.expired, "expired")
        case .revoked:
            node = try workspace.admit("out")
            (code, meaning) = (.revoked, "revoked")
        }
        try await withServer(revoked: stain == .revoked ? [node] : [], workspace: workspace) { server in
            let client = try await server.dial(as: node)
            let failure = await transportError {
                // Back-pressure holds it until the alert comes.
                while sendingMuch { try await client.send([values(200_000)]) }
                _ = try await client.next()
            }
            #expect(failure?.code == .tls)
            #expect(failure?.tls?.code == .refusedByPeer)
            #expect(failure?.description.contains(meaning) == true)
            // It stays the reason.
            #expect(await transportError { try await client.send([.goodbye]) } == failure)
            #expect(await transportError { _ = try await client.next() } == failure)
            let reported = try await server.failures.next()
            #expect(reported.code == .tls && reported.tls?.refusal?.code == code)
            await client.close()
            try await server.serves()
        }
    }

    /// The server is not who the client wants.
    @Test func aServerOfAnotherWorkspace() async throws {
        try await withServer { server in
            let other = try Workspace()
            let context = try other.context(for: other.admit("lost"))
            let failure = await transportError {
                _ = try await PeerDialer(group: group).dial(server.listener.endpoint, context: context)
            }
            #expect(failure?.code == .tls && failure?.tls?.code == .certificateRefused)
            #expect(failure?.tls?.refusal?.code == .otherWorkspace)
            // The alert reaches the server.
            #expect(try await server.failures.next().tls?.code == .refusedByPeer)
            try await server.serves()
        }
    }

    @Test func aServerThatSpeaksNoTLS() async throws {
        let server = try await StrangeServer(saying: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("client"))
        let failure = await transportError {
            _ = try await PeerDialer(group: group).dial(server.endpoint, context: context)
        }
        #expect(failure?.code == .tls && failure?.tls?.code == .notTLS)
        await server.close()
    }

    @Test func aConnectionCutInTheHandshake() async throws {
        try await withServer { server in
            let stranger = try await Stranger(to: server.listener.endpoint, saying: [22, 3, 1])
            await stranger.close()
            let failure = try await server.failures.next()
            #expect(failure.code == .closed && failure.tls?.code == .truncated)
            #expect(failure.description.contains("handshake"))
            try await server.serves()
        }
    }
}
