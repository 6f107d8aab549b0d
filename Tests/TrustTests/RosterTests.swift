import ReplicationModel
import Testing

@testable import Trust

@Suite struct RosterTests {
    @Test func mergingCommutesAndRepeatsWithoutEffect() throws {
        let workspace = try Workspace()
        let alice = try workspace.admit("alice")
        let renewed = try workspace.admit("alice", key: alice.key, at: now.plus(day))
        let bob = try workspace.admit("bob", .reader)
        let revocation = try workspace.authority.revoke(bob.id, lastAccepted: [:], reason: "left", now: now)
        let records = [alice.certificate.der, renewed.certificate.der, bob.certificate.der, revocation.bytes]
        let whole = workspace.roster.merging(records: records).roster
        #expect(whole.records.count == 4)

        func permutations(_ items: [[UInt8]]) -> [[[UInt8]]] {
            items.isEmpty
                ? [[]]
                : items.indices.flatMap { index in
                    var rest = items
                    let first = rest.remove(at: index)
                    return permutations(rest).map { [first] + $0 }
                }
        }
        for order in permutations(records) {
            // One by one, and in two halves merged with each other.
            let single = order.reduce(workspace.roster) { $0.merging(records: [$1]).roster }
            let left = workspace.roster.merging(records: Array(order.prefix(2))).roster
            let right = workspace.roster.merging(records: Array(order.suffix(2))).roster
            let joined = left.merging(records: right.records.map(\.bytes)).roster
            for roster in [single, joined] {
                #expect(roster == whole)
                #expect(roster.digest == whole.digest)
                #expect(roster.records == whole.records)
                #expect(roster.members == whole.members)
            }
        }
        let again = whole.merging(records: records + records)
        #expect(again.roster == whole)
        #expect(again.added.isEmpty)
        #expect(again.rejected.isEmpty)
    }

    @Test func theDigestTellsSetsApart() throws {
        let workspace = try Workspace()
        let one = workspace.roster.merging(records: [try workspace.admit("a").certificate.der]).roster
        let two = one.merging(records: [try workspace.admit("b").certificate.der]).roster
        #expect(Set([workspace.roster.digest, one.digest, two.digest]).count == 3)
        #expect(workspace.roster.digest == SHA256.digest([]))
        #expect(one.digest == SHA256.digest(SHA256.digest(one.records[0].bytes).bytes))
    }

    @Test func strangersRecordsAreRejectedWithReasons() throws {
        let workspace = try Workspace()
        let elsewhere = try Workspace()
        let impostor = try Workspace(id: workspace.certificate.workspace)
        let good = try workspace.admit()
        let forged = try impostor.authority.revoke(good.id, lastAccepted: [:], reason: "", now: now)
        let foreign = try elsewhere.authority.revoke(good.id, lastAccepted: [:], reason: "", now: now)
        let merge = workspace.roster.merging(records: [
            [1, 2, 3], try elsewhere.admit().certificate.der, good.certificate.der, forged.bytes, foreign.bytes,
            try impostor.admit().certificate.der, [UInt8](repeating: 0x30, count: 20_000),
        ])
        #expect(merge.roster.records == [.certificate(good.certificate)])
        #expect(merge.added == [.certificate(good.certificate)])
        #expect(
            merge.rejected.map(\.refusal.code) == [
                .malformed, .otherWorkspace, .otherAuthority, .otherWorkspace, .otherAuthority, .malformed,
            ])
        #expect(merge.rejected[0].bytes == [1, 2, 3])
        #expect(merge.roster.standing(of: good.id, now: now) == .member(good.certificate, role: .writer))
    }

    @Test func standingFollowsTheClock() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let roster = workspace.roster.merging(records: [node.certificate.der]).roster
        #expect(roster.standing(of: node.id, now: now) == .member(node.certificate, role: .writer))
        #expect(roster.standing(of: node.id, now: now.plus(800 * day)) == .expired(node.certificate))
        #expect(roster.standing(of: node.id, now: now.plus(-day)) == .notYetValid(node.certificate))
        #expect(roster.standing(of: SigningKey.generate().publicKey.nodeID, now: now) == .unknown)
    }

    @Test func aRenewedCertificateCarriesTheNodeOn() throws {
        let workspace = try Workspace()
        let key = SigningKey.generate()
        // The first lasts longer than the second; the second is newer and says the role.
        let first = try workspace.authority.issue(
            to: key.publicKey, name: "old name", role: .reader, notBefore: now, notAfter: now.plus(100 * day), now: now)
        let second = try workspace.authority.issue(
            to: key.publicKey, name: "new name", role: .writer, notBefore: now.plus(day), notAfter: now.plus(50 * day),
            now: now)
        let roster = workspace.roster.merging(records: [second.der, first.der]).roster
        let member = try #require(roster.member(key.publicKey.nodeID))
        #expect(member.lasting == first)
        #expect(member.newest == second)
        #expect(member.name == "new name")
        #expect(roster.standing(of: member.node, now: now.plus(70 * day)) == .member(first, role: .writer))
        #expect(roster.standing(of: member.node, now: now.plus(101 * day)) == .expired(first))
        #expect(roster.members(named: "new name") == [member])
        #expect(roster.members(named: "old name").isEmpty)
    }

    @Test func onlyThoseWhoWereAllowedToWriteAuthor() throws {
        let workspace = try Workspace()
        let nodes = try MemberRole.allCases.map { try workspace.admit($0.rawValue, $0) }
        let roster = workspace.roster.merging(records: nodes.map(\.certificate.der)).roster
        for node in nodes {
            let dot = Dot(origin: Origin(node: node.id, incarnation: 1), sequence: SequenceNumber(1))
            let expected: Authorship =
                node.certificate.role == .reader ? .notAWriter(.reader) : .allowed(node.key.publicKey)
            #expect(roster.authorship(of: dot) == expected)
            #expect(roster.mayAuthor(dot) == (node.certificate.role != .reader))
            // Without the record nobody is known.
            #expect(workspace.roster.authorship(of: dot) == .unknownAuthor)
        }
    }

    /// Else a node that learned of the reader's certificate first would refuse what another has applied.
    @Test func aLaterReadersCertificateTakesNothingBack() throws {
        let workspace = try Workspace()
        let writer = try workspace.admit("a", .writer)
        let reader = try workspace.admit("a", .reader, key: writer.key, at: now.plus(day))
        let roster = workspace.roster.merging(records: [writer.certificate.der, reader.certificate.der]).roster
        let dot = Dot(origin: Origin(node: writer.id, incarnation: 1), sequence: SequenceNumber(1))
        #expect(roster.mayAuthor(dot))
        #expect(roster.member(writer.id)?.role == .reader)
    }

    @Test func certificatesThatWouldDoHarmAreNotIssued() throws {
        let workspace = try Workspace()
        let writer = try workspace.admit("writer")
        let gone = try workspace.admit("gone")
        let revocation = try workspace.authority.revoke(gone.id, lastAccepted: [:], reason: "", now: now)
        let roster = workspace.roster.merging(
            records: [writer.certificate.der, gone.certificate.der, revocation.bytes]
        ).roster
        func refusal(_ key: PublicKey, _ name: String, _ role: MemberRole) -> TrustError.Code? {
            failure { () throws(TrustError) in try roster.checkMayIssue(to: key, name: name, role: role) }?.code
        }
        let new = SigningKey.generate().publicKey
        #expect(refusal(writer.key.publicKey, "writer", .reader) == .refused)
        #expect(refusal(writer.key.publicKey, "writer", .admin) == nil)
        #expect(refusal(gone.key.publicKey, "gone", .writer) == .refused)
        #expect(refusal(new, "writer", .writer) == .refused)
        #expect(refusal(new, "gone", .writer) == nil)
        #expect(refusal(new, "new", .reader) == nil)
    }

    @Test func theRosterSaysWhoMayConnect() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let revocation = try workspace.authority.revoke(node.id, lastAccepted: [:], reason: "stolen", now: now)
        let revoked = workspace.roster.merging(records: [revocation.bytes]).roster
        func refusal(_ roster: Roster, _ certificate: Certificate, _ time: WallClock) -> CertificateRefusal? {
            failure { () throws(CertificateRefusal) in try roster.checkMayConnect(certificate, now: time) }
        }
        #expect(refusal(workspace.roster, node.certificate, now) == nil)
        #expect(refusal(workspace.roster, node.certificate, now.plus(800 * day))?.code == .expired)
        #expect(refusal(workspace.roster, node.certificate, now.plus(-day))?.code == .notYetValid)
        #expect(refusal(workspace.roster, try Workspace().admit().certificate, now)?.code == .otherWorkspace)
        #expect(refusal(revoked, node.certificate, now)?.code == .revoked)
        #expect(refusal(revoked, node.certificate, now)?.description.contains("stolen") == true)
    }
}
