// A certificate is no secret: everybody is shown it. What it opens without its key.
import COpenSSL
import Foundation
import Testing

@testable import Trust

@Suite struct TLSImpostorTests {
    /// Shows a node's certificate, and signs the handshake with another key that claims to be the node's.
    ///
    /// OpenSSL compares public halves alone before it uses a key, so one is put together from two.
    private func impostor(of node: Node, in workspace: Workspace) throws -> TLSContext {
        let context = TLSContext.believingAnyone(
            der: node.certificate.der, key: node.key, authority: workspace.certificate)
        var shown = node.key.publicKey.bytes
        var own = [UInt8](repeating: 7, count: 32)
        // The parameters point to their names.
        let (publicName, privateName) = (strdup("pub"), strdup("priv"))
        let begun = EVP_PKEY_CTX_new_from_name(nil, "ED25519", nil)
        let maker = try #require(begun)
        defer {
            EVP_PKEY_CTX_free(maker)
            free(publicName)
            free(privateName)
        }
        var mixed: OpaquePointer?
        try #require(EVP_PKEY_fromdata_init(maker) == 1)
        let made = shown.withUnsafeMutableBytes { shown in
            own.withUnsafeMutableBytes { own in
                var parts = [
                    OSSL_PARAM_construct_octet_string(publicName, shown.baseAddress, shown.count),
                    OSSL_PARAM_construct_octet_string(privateName, own.baseAddress, own.count),
                    OSSL_PARAM_construct_end(),
                ]
                let both = OSSL_KEYMGMT_SELECT_PRIVATE_KEY | OSSL_KEYMGMT_SELECT_PUBLIC_KEY
                return EVP_PKEY_fromdata(maker, &mixed, both, &parts)
            }
        }
        try #require(made == 1)
        let key = try #require(mixed)
        defer { EVP_PKEY_free(key) }
        try #require(SSL_CTX_use_PrivateKey(context.pointer, key) == 1)
        return context
    }

    private struct Meeting {
        let client: TLSEngine
        let server: TLSEngine
        let failures: (client: TLSFailure?, server: TLSFailure?)

        init(_ client: TLSContext, _ server: TLSContext) {
            self.client = TLSEngine(context: client, side: .client)
            self.server = TLSEngine(context: server, side: .server)
            failures = converse(self.client, self.server)
        }
    }

    /// Whoever stands between two members has seen both certificates.
    @Test func aCopiedCertificateOpensNothing() throws {
        let workspace = try Workspace()
        let (alice, bob) = (try workspace.admit("alice"), try workspace.admit("bob", .admin))
        let honest = try workspace.context(for: alice)
        let impostor = try impostor(of: bob, in: workspace)

        let answered = Meeting(honest, impostor)
        #expect(answered.failures.client?.code == .protocolViolation)
        #expect(answered.failures.client?.description.contains("bad signature") == true)
        #expect(answered.failures.server?.alert == 51)
        #expect(answered.server.state != .open)
        #expect(failure { () throws(TLSFailure) in try answered.client.write([1]) } == answered.failures.client)

        // Who dials believes that it is in until the answer comes; by then it was told nothing.
        let dialled = Meeting(impostor, honest)
        #expect(dialled.failures.server?.code == .protocolViolation)
        #expect(dialled.failures.server?.description.contains("bad signature") == true)
        #expect(dialled.failures.client?.alert == 51)
        #expect(failure { () throws(TLSFailure) in try dialled.server.write([1]) } == dialled.failures.server)

        // With the certificate's own key the same context is let in on either side.
        let sound = TLSContext.believingAnyone(
            der: bob.certificate.der, key: bob.key, authority: workspace.certificate)
        for meeting in [Meeting(honest, sound), Meeting(sound, honest)] {
            #expect(meeting.failures.client == nil && meeting.failures.server == nil)
            #expect(meeting.client.state == .open && meeting.server.state == .open)
        }
    }
}
