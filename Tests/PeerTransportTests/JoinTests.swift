// Sessions with peers that have no certificate yet.
import NIOCore
import ReplicationModel
import ReplicationWire
import Testing

@testable import PeerTransport
@testable import Trust

@Suite(.timeLimit(.minutes(1))) struct JoinTests {
    private func join(_ server: Server) async throws -> (client: PeerLink, server: PeerLink) {
        let authority = server.workspace.authority.certificate
        let context = TLSContext(joining: authority.workspace, fingerprint: authority.fingerprint, clock: { now })
        let client = try await PeerDialer(group: group).dial(
            server.listener.endpoint, context: context, offering: .join)
        return (client, try await server.links.next())
    }

    @Test func aStrangerWithAnInvitation() async throws {
        try await withServer(acceptsJoins: true, role: .admin) { server in
            let (client, answering) = try await join(server)
            #expect(client.negotiatedProtocol == .join && answering.negotiatedProtocol == .join)
            #expect(client.peer == server.node.certificate)
            #expect(answering.peer == nil)
            let label = JoinProofKey.exporterLabel
            let secret = try await client.exportKeyingMaterial(label: label, count: JoinProofKey.exporterBytes)
            #expect(secret.count == 32)
            #expect(try await answering.exportKeyingMaterial(label: label, count: 32) == secret)

            let request = ExchangeFrame.joinRequest(
                JoinRequest(
                    certificateRequest: [UInt8](repeating: 1, count: 200), invitation: [UInt8](repeating: 2, count: 16),
                    proof: [UInt8](repeating: 3, count: 32)))
            try await client.send([request])
            #expect(try await answering.next()?.frame == request)
            // The answer carries the roster, so that the bound on a stranger's frames is not on it.
            let response = ExchangeFrame.joinResponse(
                JoinResponse(
                    workspace: server.workspace.authority.certificate.workspace, workspaceName: "Desk",
                    certificate: server.node.certificate.der, authority: server.workspace.authority.certificate.der,
                    rosterRecords: [[UInt8]](repeating: [UInt8](repeating: 9, count: 1000), count: 100)))
            try await answering.send([response])
            #expect(try await client.next()?.frame == response)
            await closeBoth(client, answering)
            #expect(
                await transportError { _ = try await client.exportKeyingMaterial(label: label, count: 32) }?.code
                    == .closed)
            try await server.serves()
        }
    }

    @Test func aStrangerSendsSmallFramesOnly() async throws {
        try await withServer(acceptsJoins: true, role: .admin) { server in
            let (client, answering) = try await join(server)
            try await client.send([values((64 << 10) + 1)])
            let failure = await transportError { _ = try await answering.next() }
            #expect(failure?.code == .badFrame && failure?.description.contains("65536 is the limit") == true)
            await closeBoth(client, answering)
            try await server.serves()
        }
    }

    @Test func aStrangerDoesNotStay() async throws {
        var limits = TransportLimits()
        limits.joinMilliseconds = 50
        try await withServer(limits: limits, acceptsJoins: true, role: .admin) { server in
            let (client, answering) = try await join(server)
            let failure = await transportError { _ = try await answering.next() }
            #expect(failure?.code == .timedOut && failure?.description.contains("joining within 50 ms") == true)
            #expect(try await client.next() == nil)
            await closeBoth(client, answering)
        }
    }

    @Test func theWrongAuthority() async throws {
        try await withServer(acceptsJoins: true, role: .admin) { server in
            let other = try Workspace().authority.certificate
            let context = TLSContext(
                joining: server.workspace.authority.certificate.workspace, fingerprint: other.fingerprint,
                clock: { now })
            let failure = await transportError {
                _ = try await PeerDialer(group: group).dial(server.listener.endpoint, context: context, offering: .join)
            }
            #expect(failure?.tls?.refusal?.code == .otherAuthority)
        }
    }
}
