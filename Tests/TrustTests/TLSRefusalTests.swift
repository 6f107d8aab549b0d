import ReplicationModel
import Testing

@testable import Trust

@Suite struct TLSRefusalTests {
    /// What each side says when `client` dials `server`.
    private func meet(_ client: TLSContext, _ server: TLSContext, offering: SessionProtocol = .exchange)
        -> (client: TLSFailure?, server: TLSFailure?)
    {
        let client = TLSEngine(context: client, side: .client, offering: offering)
        let server = TLSEngine(context: server, side: .server)
        let failures = converse(client, server)
        for (engine, failure) in [(client, failures.client), (server, failures.server)] where failure != nil {
            #expect(failure.map { engine.state == .failed($0) } == true)
        }
        return failures
    }

    /// Refuses `node` on whichever side it is.
    private func expectRefused(
        _ code: CertificateRefusal.Code, _ bad: TLSContext, by good: TLSContext, alert: UInt8,
        _ location: SourceLocation = #_sourceLocation
    ) {
        let dialled = meet(bad, good)
        #expect(dialled.server?.code == .certificateRefused, sourceLocation: location)
        #expect(dialled.server?.refusal?.code == code, sourceLocation: location)
        #expect(dialled.client?.alert == alert, sourceLocation: location)
        #expect(dialled.client?.code == .refusedByPeer, sourceLocation: location)
        let answered = meet(good, bad)
        #expect(answered.client?.refusal?.code == code, sourceLocation: location)
        #expect(answered.server?.alert == alert, sourceLocation: location)
    }

    @Test func aRevokedNodeIsRefused() throws {
        let workspace = try Workspace()
        let (good, bad) = (try workspace.admit("good"), try workspace.admit("bad"))
        let revocation = try workspace.authority.revoke(bad.id, lastAccepted: [:], reason: "stolen", now: now)
        let roster = workspace.roster.merging(records: [revocation.bytes]).roster
        expectRefused(
            .revoked, try workspace.context(for: bad), by: try workspace.context(for: good, roster: roster), alert: 44)
    }

    @Test func aReloadedRosterCountsAtTheNextHandshake() throws {
        let workspace = try Workspace()
        let (good, bad) = (try workspace.admit("good"), try workspace.admit("bad"))
        let current = RosterBox(workspace.roster)
        let server = try TLSContext(
            certificate: good.certificate, key: good.key, authority: workspace.certificate, acceptsJoins: false,
            clock: { now },
            admission: { certificate, now throws(CertificateRefusal) in
                try current.value.checkMayConnect(certificate, now: now)
            })
        let client = try workspace.context(for: bad)
        #expect(meet(client, server).server == nil)
        let revocation = try workspace.authority.revoke(bad.id, lastAccepted: [:], reason: "", now: now)
        current.value = current.value.merging(records: [revocation.bytes]).roster
        #expect(meet(client, server).server?.refusal?.code == .revoked)
    }

    @Test func anExpiredNodeIsRefused() throws {
        let workspace = try Workspace()
        let good = try workspace.admit("good")
        let key = SigningKey.generate()
        let bad = Node(
            key: key,
            certificate: try workspace.authority.issue(
                to: key.publicKey, name: "bad", role: .writer, notBefore: now.plus(-2 * day), notAfter: now.plus(-day),
                now: now))
        expectRefused(
            .expired, try workspace.context(for: bad), by: try workspace.context(for: good), alert: 45)
    }

    @Test func aNodeFromTheFutureIsRefused() throws {
        let workspace = try Workspace()
        let good = try workspace.admit("good")
        let bad = try workspace.admit("bad", at: now.plus(day))
        expectRefused(
            .notYetValid, try workspace.context(for: bad), by: try workspace.context(for: good), alert: 42)
    }

    @Test func anotherAuthorityIsRefused() throws {
        let workspace = try Workspace()
        let impostor = try Workspace(id: workspace.certificate.workspace)
        // It believes us; we must not believe it.
        let node = try impostor.admit()
        let bad = TLSContext.believingAnyone(
            der: node.certificate.der, key: node.key, authority: impostor.certificate)
        expectRefused(.otherAuthority, bad, by: try workspace.context(for: try workspace.admit()), alert: 48)
    }

    @Test func anotherWorkspaceIsRefused() throws {
        let workspace = try Workspace()
        let other = try Workspace()
        let node = try other.admit()
        let bad = TLSContext.believingAnyone(der: node.certificate.der, key: node.key, authority: other.certificate)
        expectRefused(.otherWorkspace, bad, by: try workspace.context(for: try workspace.admit()), alert: 48)
    }

    @Test func aNodeWithoutARoleIsRefused() throws {
        let workspace = try Workspace()
        let key = SigningKey.generate()
        let der = workspace.odd(key: key) { $0.removeAll { $0.identifier == CertificateProfile.role } }
        let bad = TLSContext.believingAnyone(der: der, key: key, authority: workspace.certificate)
        expectRefused(.roleMissing, bad, by: try workspace.context(for: try workspace.admit()), alert: 42)
    }

    @Test func anExpiredAuthorityAdmitsNobody() throws {
        let workspace = try Workspace()
        let late = workspace.certificate.notAfter.plus(day)
        let context = try workspace.context(for: try workspace.admit(), at: late)
        #expect(meet(context, context).client?.refusal?.code == .expired)
    }

    @Test func aClientWithoutACertificateIsRefused() throws {
        let workspace = try Workspace()
        let server = try workspace.context(for: try workspace.admit(), acceptsJoins: true)
        let client = TLSContext.believingAnyone()
        let failures = meet(client, server)
        #expect(failures.server?.code == .noCertificate)
        #expect(failures.client?.code == .refusedByPeer)
        #expect(failures.client?.alert == 116)
    }

    @Test func protocolsMustFit() throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit(), acceptsJoins: false)
        let failures = meet(context, context, offering: .join)
        #expect(failures.server?.code == .applicationProtocol)
        #expect(failures.client?.code == .applicationProtocol)
        #expect(failures.client?.alert == 120)
    }

    @Test func olderTLSIsRefused() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let modern = try workspace.context(for: node)
        let old = TLSContext.believingAnyone(
            der: node.certificate.der, key: node.key, authority: workspace.certificate, versions: 0x0303...0x0303)
        let dialled = meet(old, modern)
        #expect(dialled.server?.code == .protocolVersion)
        #expect(dialled.client?.code == .protocolVersion)
        #expect(dialled.client?.alert == 70)
        let answered = meet(modern, old)
        #expect(answered.server?.code == .protocolVersion)
        #expect(answered.client?.code == .protocolVersion)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{16}GET", "\0", "HTTP/1.1 400 Bad Request",
    ])
    func whatIsNotTLSIsSaidNotToBe(_ text: String) throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit())
        for side in [TLSEngine.Side.client, .server] {
            let engine = TLSEngine(context: context, side: side)
            let whole = failure { () throws(TLSFailure) in try engine.feed(Array(text.utf8)) }
            #expect(whole?.code == .notTLS)
            let again = TLSEngine(context: context, side: side)
            let single = failure { () throws(TLSFailure) in
                for byte in text.utf8 { try again.feed([byte]) }
            }
            #expect(single?.code == .notTLS)
        }
    }

    @Test func garbageAfterATLSBeginningFails() throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit())
        for side in [TLSEngine.Side.client, .server] {
            let engine = TLSEngine(context: context, side: side)
            let bytes = [0x16, 0x03, 0x01, 0x00, 0x40] + [UInt8](repeating: 0xab, count: 64)
            let failure = failure { () throws(TLSFailure) in try engine.feed(bytes) }
            #expect(failure?.code == .protocolViolation || failure?.code == .corrupted)
            #expect(engine.outputCount > 0, "an alert")
        }
    }

    /// A handshake with one byte changed anywhere never ends in two sides that both are open.
    @Test func aChangedHandshakeFails() throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit())
        let length = TLSEngine(context: context, side: .client).outputCount
        for index in stride(from: 5, to: length, by: 3) {
            let client = TLSEngine(context: context, side: .client)
            let server = TLSEngine(context: context, side: .server)
            var hello = client.takeOutput()
            hello[index] ^= 0x01
            let early = failure { () throws(TLSFailure) in try server.feed(hello) }
            let late = converse(client, server)
            #expect(early ?? late.server ?? late.client != nil, "byte \(index)")
            #expect(server.state != .open, "byte \(index)")
        }
    }
}

/// A roster that is replaced while contexts use it.
final class RosterBox: @unchecked Sendable {
    var value: Roster
    init(_ value: Roster) { self.value = value }
}

extension TLSContext {
    /// A peer that believes everyone, and shows nothing.
    static func believingAnyone(acceptsJoins: Bool = false, versions: ClosedRange<Int32> = 0x0304...0x0304)
        -> TLSContext
    {
        TLSContext(
            acceptsJoins: acceptsJoins, clock: { now }, versions: versions,
            verification: { chain, _ throws(CertificateRefusal) in try Certificate(der: chain.first ?? []) })
    }

    /// A peer that believes everyone, and shows `der` without asking whether it is any good.
    static func believingAnyone(
        der: [UInt8], key: SigningKey, authority: AuthorityCertificate, acceptsJoins: Bool = false,
        versions: ClosedRange<Int32> = 0x0304...0x0304
    ) -> TLSContext {
        let context = believingAnyone(acceptsJoins: acceptsJoins, versions: versions)
        context.show(der, key: key, authority: authority)
        return context
    }
}
