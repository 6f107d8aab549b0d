import ReplicationModel
import Testing

@testable import Trust

@Suite struct TLSJoinTests {
    private func meet(_ client: TLSContext, _ server: TLSContext) -> (
        client: TLSEngine, server: TLSEngine, failures: (client: TLSFailure?, server: TLSFailure?)
    ) {
        let client = TLSEngine(context: client, side: .client, offering: .join)
        let server = TLSEngine(context: server, side: .server)
        let failures = converse(client, server)
        return (client, server, failures)
    }

    /// The whole way: code, pinned session, proof, certificate, and then a session as a member.
    @Test func anInvitedNodeGetsIn() throws {
        try withScratchDirectory { scratch in
            let admin = try IdentityDirectory.initialize(
                path: scratch + "/admin", workspaceName: "Desk", nodeName: "Wien", now: now)
            let (certificate, authority) = try admin.membership()
            let roster = Roster(authority: authority)
            let serverContext = try TLSContext(
                certificate: certificate, key: admin.key, authority: authority, acceptsJoins: true, clock: { now },
                admission: { certificate, now throws(CertificateRefusal) in
                    try roster.checkMayConnect(certificate, now: now)
                })
            let (invitation, secret) = try admin.invitations.create(
                name: "Graz", role: .writer, now: now, expiresAt: now.plus(day))
            let text = try InvitationCode(
                workspace: authority.workspace, authorityFingerprint: authority.fingerprint, secret: secret,
                expiresAt: invitation.expiresAt, addresses: ["desk:7440"]
            ).text

            let code = try InvitationCode(text: text)
            var node = try IdentityDirectory.prepareToJoin(path: scratch + "/node")
            let (client, server, failures) = meet(
                TLSContext(joining: code.workspace, fingerprint: code.authorityFingerprint, clock: { now }),
                serverContext)
            #expect(failures.client == nil && failures.server == nil)
            #expect(server.negotiatedProtocol == .join && client.negotiatedProtocol == .join)
            #expect(server.peerCertificate == nil)
            #expect(client.peerCertificate == certificate)

            let request = try node.request(name: "new")
            let proof = code.secret.proofKey.proof(
                exporter: try client.exportKeyingMaterial(label: JoinProofKey.exporterLabel, count: 32),
                request: request.der)
            let redeemed = try admin.invitations.redeem(
                code.secret.invitationID, proof: proof,
                exporter: try server.exportKeyingMaterial(label: JoinProofKey.exporterLabel, count: 32),
                request: try CertificateRequest(der: request.der), now: now)
            let issued = try admin.certificateAuthority().issue(
                to: request.publicKey, name: redeemed.name, role: redeemed.role, now: now)
            try node.install(issued, authority: authority)

            let member = try TLSContext(
                certificate: issued, key: node.key, authority: authority, acceptsJoins: false, clock: { now },
                admission: { _, _ in })
            let (dialler, answerer) = (
                TLSEngine(context: member, side: .client), TLSEngine(context: serverContext, side: .server)
            )
            converse(dialler, answerer)
            #expect(answerer.peerCertificate?.name == "Graz")
        }
    }

    @Test func anotherAuthorityThanTheCodesIsRefused() throws {
        let workspace = try Workspace()
        let impostor = try Workspace(id: workspace.certificate.workspace)
        let server = try impostor.context(for: try impostor.admit("x", .admin), acceptsJoins: true)
        let client = TLSContext(
            joining: workspace.certificate.workspace, fingerprint: workspace.certificate.fingerprint, clock: { now })
        let failures = meet(client, server).failures
        #expect(failures.client?.refusal?.code == .otherAuthority)
        #expect(failures.server?.alert == 48)
    }

    /// It sends the right authority's certificate along with one that this authority never signed.
    @Test func aBorrowedAuthorityDoesNotHelp() throws {
        let workspace = try Workspace()
        let impostor = try Workspace(id: workspace.certificate.workspace)
        let node = try impostor.admit("x", .admin)
        let server = TLSContext.believingAnyone(
            der: node.certificate.der, key: node.key, authority: workspace.certificate, acceptsJoins: true)
        let client = TLSContext(
            joining: workspace.certificate.workspace, fingerprint: workspace.certificate.fingerprint, clock: { now })
        #expect(meet(client, server).failures.client?.refusal?.code == .otherAuthority)
    }

    @Test func theCodesWorkspaceMustBeTheAuthoritys() throws {
        let workspace = try Workspace()
        let server = try workspace.context(for: try workspace.admit("x", .admin), acceptsJoins: true)
        let client = TLSContext(
            joining: .random(), fingerprint: workspace.certificate.fingerprint, clock: { now })
        #expect(meet(client, server).failures.client?.refusal?.code == .otherWorkspace)
    }

    @Test func onlyAnAdminIsJoinedThrough() throws {
        let workspace = try Workspace()
        let server = try workspace.context(for: try workspace.admit("x", .writer), acceptsJoins: true)
        let client = TLSContext(
            joining: workspace.certificate.workspace, fingerprint: workspace.certificate.fingerprint, clock: { now })
        #expect(meet(client, server).failures.client?.refusal?.code == .role)
    }
}
