import ReplicationModel
import Testing

@testable import Trust

@Suite struct RevocationTests {
    @Test func aRevocationIsReadAsItWasWritten() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let cuts: [UInt64: SequenceNumber] = [7: SequenceNumber(3), .max: SequenceNumber(.max), 0: .zero]
        let made = try workspace.authority.revoke(node.id, lastAccepted: cuts, reason: "Laptop gestohlen", now: now)
        let read = try Revocation(bytes: made.bytes)
        #expect(read == made)
        #expect(read.node == node.id)
        #expect(read.workspace == workspace.certificate.workspace)
        #expect(read.time == now)
        #expect(read.reason == "Laptop gestohlen")
        #expect(read.lastAccepted == cuts)
        try read.check(issuedBy: workspace.certificate)
        #expect(try RosterRecord(bytes: made.bytes) == .revocation(made))
    }

    /// The layout that `Protocols/trust.md` gives.
    @Test func theBytesAreTheSpecified() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let made = try workspace.authority.revoke(
            node.id, lastAccepted: [2: SequenceNumber(5), 1: SequenceNumber(0x0102)], reason: "x", now: now)
        let expected =
            Array("syncrev1".utf8) + workspace.certificate.workspace.bytes + node.id.bytes
            + [0, 0, 0x01, 0x9c, 0x1c, 0x38, 0xa4, 0x00] + [0, 1] + Array("x".utf8) + [0, 2]
            + [0, 0, 0, 0, 0, 0, 0, 1] + [0, 0, 0, 0, 0, 0, 1, 2] + [0, 0, 0, 0, 0, 0, 0, 2] + [0, 0, 0, 0, 0, 0, 0, 5]
        #expect(Array(made.bytes.dropLast(64)) == expected)
        #expect(
            workspace.certificate.publicKey.isValidSignature(
                Array(made.bytes.suffix(64)), for: Array("syncnode revocation v1\0".utf8) + expected))
    }

    @Test func everyBitCounts() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let made = try workspace.authority.revoke(
            node.id, lastAccepted: [1: SequenceNumber(2)], reason: "why", now: now)
        for bit in 0..<(made.bytes.count * 8) {
            var changed = made.bytes
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let refusal = failure { () throws(CertificateRefusal) in
                try Revocation(bytes: changed).check(issuedBy: workspace.certificate)
            }
            #expect(refusal != nil, "bit \(bit)")
        }
        for count in 0..<made.bytes.count {
            #expect(throws: CertificateRefusal.self, "\(count) bytes") {
                try Revocation(bytes: Array(made.bytes.prefix(count))).check(issuedBy: workspace.certificate)
            }
        }
    }

    /// A list in another order would be a second encoding of the same word.
    @Test func originsMustAscend() throws {
        let workspace = try Workspace()
        let made = try workspace.authority.revoke(
            try workspace.admit().id, lastAccepted: [1: SequenceNumber(1), 2: SequenceNumber(1)], reason: "", now: now)
        var swapped = made.bytes
        let first = swapped.count - 64 - 32
        swapped.swapAt(first + 7, first + 23)
        #expect(failure { () throws(CertificateRefusal) in try Revocation(bytes: swapped) }?.code == .malformed)
        var doubled = made.bytes
        doubled[first + 7] = 2
        #expect(failure { () throws(CertificateRefusal) in try Revocation(bytes: doubled) }?.code == .malformed)
    }

    @Test func whatCameBeforeTheCutStays() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let revocation = try workspace.authority.revoke(
            node.id, lastAccepted: [1: SequenceNumber(5)], reason: "", now: now)
        let roster = workspace.roster.merging(records: [node.certificate.der, revocation.bytes]).roster
        func authorship(_ incarnation: UInt64, _ sequence: UInt64) -> Authorship {
            roster.authorship(
                of: Dot(origin: Origin(node: node.id, incarnation: incarnation), sequence: SequenceNumber(sequence)))
        }
        #expect(authorship(1, 5) == .allowed(node.key.publicKey))
        #expect(authorship(1, 6) == .beyondRevocation(lastAccepted: SequenceNumber(5)))
        #expect(authorship(2, 1) == .beyondRevocation(lastAccepted: .zero))
        #expect(roster.standing(of: node.id, now: now) == .revoked(revocation))
        // A new certificate for the same key does not bring it back.
        let renewed = try workspace.admit("node", .admin, key: node.key, at: now.plus(day))
        let later = roster.merging(records: [renewed.certificate.der]).roster
        #expect(later.standing(of: node.id, now: now.plus(day)) == .revoked(revocation))
        #expect(!later.mayAuthor(Dot(origin: Origin(node: node.id, incarnation: 1), sequence: SequenceNumber(6))))
    }

    @Test func ofTwoRevocationsTheHigherCutCounts() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        let one = try workspace.authority.revoke(
            node.id, lastAccepted: [1: SequenceNumber(5), 2: SequenceNumber(9)], reason: "one", now: now)
        let two = try workspace.authority.revoke(
            node.id, lastAccepted: [1: SequenceNumber(7), 3: SequenceNumber(4)], reason: "two", now: now.plus(day))
        for records in [[one.bytes, two.bytes], [two.bytes, one.bytes]] {
            let roster = workspace.roster.merging(records: [node.certificate.der] + records).roster
            let cuts = (1...3).map { incarnation in
                roster.member(node.id)?.lastAccepted(of: Origin(node: node.id, incarnation: incarnation))
            }
            #expect(cuts == [SequenceNumber(7), SequenceNumber(9), SequenceNumber(4)])
        }
        // Without a revocation there is no cut.
        let free = workspace.roster.merging(records: [node.certificate.der]).roster
        #expect(free.member(node.id)?.lastAccepted(of: Origin(node: node.id, incarnation: 1)) == nil)
    }

    @Test func limitsAreKept() throws {
        let workspace = try Workspace()
        let node = try workspace.admit()
        func cuts(_ count: Int) -> [UInt64: SequenceNumber] {
            Dictionary(uniqueKeysWithValues: (0..<UInt64(count)).map { ($0, SequenceNumber($0)) })
        }
        let long = String(repeating: "ä", count: 2000)
        let greatest = try workspace.authority.revoke(node.id, lastAccepted: cuts(960), reason: long, now: now)
        #expect(greatest.bytes.count <= 16 << 10)
        #expect(greatest.reason == String(repeating: "ä", count: 256))
        #expect(try Revocation(bytes: greatest.bytes) == greatest)
        let error = failure { () throws(TrustError) in
            try workspace.authority.revoke(node.id, lastAccepted: cuts(961), reason: "", now: now)
        }
        #expect(error?.code == .malformed)
    }
}
