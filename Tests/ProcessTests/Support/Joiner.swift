// Somebody with a code who asks to be admitted, with this package's own TLS and frames.
import Foundation
import NIOPosix
import PeerTransport
import ReplicationWire
import Trust

struct Joiner: Sendable {
    let code: InvitationCode
    let request: CertificateRequest

    /// - Parameter path: where its key is made, or was.
    init(_ code: String, _ path: String) throws {
        self.code = try InvitationCode(text: code)
        request = try IdentityDirectory.prepareToJoin(path: path).request(name: "whatever")
    }

    /// As one who has no certificate yet.
    func dial(_ address: String) async throws -> PeerLink {
        try await PeerDialer(group: MultiThreadedEventLoopGroup.singleton).dial(
            Endpoint(address),
            context: TLSContext(joining: code.workspace, fingerprint: code.authorityFingerprint, clock: { now() }),
            offering: .join)
    }

    /// What the node at an address answers.
    func ask(_ address: String) async throws -> ExchangeFrame? {
        let link = try await dial(address)
        do {
            let exporter = try await link.exportKeyingMaterial(
                label: JoinProofKey.exporterLabel, count: JoinProofKey.exporterBytes)
            let proof = code.secret.proofKey.proof(exporter: exporter, request: request.der)
            try await link.send([
                .joinRequest(
                    JoinRequest(
                        certificateRequest: request.der, invitation: code.secret.invitationID.bytes, proof: proof))
            ])
            let answer = try await link.next()?.frame
            await link.close()
            return answer
        } catch {
            await link.close()
            throw error
        }
    }

    /// The answer of one that admits it.
    func join(_ address: String) async throws -> JoinResponse {
        let answer = try await ask(address)
        guard case .joinResponse(let response) = answer else {
            throw TestFailure("not admitted: \(String(describing: answer))")
        }
        return response
    }
}
