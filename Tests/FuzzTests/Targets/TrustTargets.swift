// What a stranger shows or sends to be believed: TLS records, certificates, revocations, requests, files, codes.
import ReplicationModel
import ReplicationWire

@testable import Trust

/// One workspace for all inputs, the same to the byte in every process.
private enum Desk {
    static let now = WallClock(milliseconds: 1_770_000_000_000)
    static let key = SampleKeys.key(1)
    static let authority: CertificateAuthority = made {
        let made = try CertificateAuthority(workspace: SampleFrames.workspace, workspaceName: "Desk", now: now)
        let key = SampleKeys.key(2)
        let template = X509Template(
            serial: [0x40, 1], issuer: "Desk", subject: "Desk", notBefore: made.certificate.notBefore,
            notAfter: made.certificate.notAfter, publicKey: key.publicKey,
            extensions: CertificateAuthority.authorityExtensions(SampleFrames.workspace, key.publicKey))
        return try CertificateAuthority(
            certificate: AuthorityCertificate(der: template.signed(with: key)), key: key)
    }
    static let certificate: Certificate = made {
        let template = X509Template(
            serial: [0x40, 2], issuer: "Desk", subject: "hq", notBefore: now,
            notAfter: WallClock(milliseconds: now.milliseconds + 86_400_000), publicKey: key.publicKey,
            extensions: CertificateAuthority.nodeExtensions(
                SampleFrames.workspace, role: .admin, publicKey: key.publicKey,
                authority: authority.certificate.publicKey))
        return try Certificate(der: template.signed(with: SampleKeys.key(2)))
    }
    static let revocation: Revocation = made {
        try authority.revoke(
            SampleFrames.node(9), lastAccepted: [1: SequenceNumber(7), 2: SequenceNumber(1)], reason: "lost", now: now)
    }
    static let request: CertificateRequest = made { try CertificateRequest(name: "node", key: key) }
    static let roster = Roster(authority: authority.certificate).merging(records: [certificate.der, revocation.bytes])
        .roster

    private static func made<Result>(_ make: () throws -> Result) -> Result {
        do { return try make() } catch { preconditionFailure("cannot make a sample: \(error)") }
    }
}

extension FuzzTarget {
    /// Records to a listening node, before it knows who sends them: raw ones, or a client's first flight with some bytes
    /// changed.
    static let tls = FuzzTarget(
        "tls", testRuns: 200, seeds: { [[0, 3, 0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], [1, 200, 9, 4, 7]] }
    ) { bytes in
        let context = try TLSContext(
            certificate: Desk.certificate, key: Desk.key, authority: Desk.authority.certificate, acceptsJoins: true,
            clock: { Desk.now },
            admission: { certificate, now throws(CertificateRefusal) in
                try Desk.roster.checkMayConnect(certificate, now: now)
            })
        var source = ByteSource(bytes)
        let server = TLSEngine(context: context, side: .server)
        let isClient = source.flag()
        let pieceBytes = Int(source.byte()) + 1
        var flight: [UInt8]
        if isClient {
            let client = TLSEngine(context: context, side: .client, offering: source.flag() ? .join : .exchange)
            flight = client.takeOutput()
            while !source.isEmpty {
                flight[(Int(source.byte()) << 8 | Int(source.byte())) % flight.count] ^= source.byte()
            }
        } else {
            flight = source.all()
        }
        for start in stride(from: 0, to: flight.count, by: pieceBytes) {
            do {
                try server.feed(Array(flight[start..<min(start + pieceBytes, flight.count)]))
            } catch {
                break
            }
            _ = server.takeOutput()
        }
        // A client's first flight proves nothing: only one who may join, and then without a name, gets anywhere.
        try expect(server.peerCertificate == nil, "a peer is believed that proved nothing")
        if case .open = server.state { throw Finding("a session is open after half a handshake") }
    }

    /// Records of the roster.
    static let roster = FuzzTarget(
        "roster", testRuns: 1500,
        seeds: { [Desk.certificate.der, Desk.authority.certificate.der, Desk.revocation.bytes] }
    ) { bytes in
        _ = try? AuthorityCertificate(der: bytes)
        let record = try? RosterRecord(bytes: bytes)
        let known = Desk.roster
        let merge = known.merging(records: [bytes, bytes])
        if let record {
            try expect(record.bytes == bytes, "a record is not its bytes")
            // Nothing but what the authority signed gets in.
            let isKnown = known[record.digest] != nil
            try expect(isKnown || merge.added.isEmpty, "a record that nobody signed is taken in")
        } else {
            try expect(merge.added.isEmpty, "what cannot be read is taken in")
        }
    }

    /// A request to be admitted, as it stands in a join request.
    static let request = FuzzTarget(
        "request", testRuns: 1500,
        seeds: {
            [
                FrameCodec.encode(
                    .joinRequest(
                        JoinRequest(
                            certificateRequest: Desk.request.der, invitation: [UInt8](repeating: 1, count: 16),
                            proof: [UInt8](repeating: 2, count: 32)))), Desk.request.der,
            ]
        }
    ) { bytes in
        var der = bytes
        if case .joinRequest(let wish)? = try? FrameCodec.decode(bytes) { der = wish.certificateRequest }
        guard let request = try? CertificateRequest(der: der) else { return }
        try expect(request.publicKey == Desk.key.publicKey, "a request that its key did not sign is believed")
        try expect(CertificateProfile.isValidName(request.name), "a name that must not be shown")
        _ = try CertificateRequest(pem: request.pem)
    }

    /// Files that are carried by hand: text as it stands, or blocks of which the contents are mutated.
    static let admission = FuzzTarget(
        "admission", testRuns: 800,
        seeds: {
            let file = AdmissionFile(
                certificate: Desk.certificate, authority: Desk.authority.certificate, roster: Desk.roster)
            var sink = ByteSink()
            sink.byte(1)
            for block in [Desk.certificate.der, Desk.authority.certificate.der, Desk.revocation.bytes] {
                sink.byte(block == Desk.revocation.bytes ? 1 : 0)
                sink.run(block)
            }
            return [[0] + file.pem, [0] + Desk.request.pem, [0] + Desk.certificate.pem, sink.bytes]
        }
    ) { bytes in
        var source = ByteSource(bytes)
        var pem: [UInt8]
        if source.flag() {
            var blocks: [PEM.Block] = []
            while !source.isEmpty, blocks.count < 8 {
                let label = source.pick(["CERTIFICATE", "SYNCNODE REVOCATION", "CERTIFICATE REQUEST", "X"])
                let content = source.run()
                if !content.isEmpty { blocks.append(PEM.Block(label: label, bytes: content)) }
            }
            pem = PEM.encode(blocks)
        } else {
            pem = source.all()
        }
        _ = try? CertificateRequest(pem: pem)
        _ = try? Certificate(pem: pem)
        _ = try? AuthorityCertificate(pem: pem)
        guard let file = try? AdmissionFile(pem: pem) else { return }
        let again = try AdmissionFile(pem: file.pem)
        try expect(again == file, "an admission file changes as it is written and read")
    }

    /// Codes that are pasted: text as it stands, or contents under a checksum that fits.
    static let invitation = FuzzTarget(
        "invitation", maximumBytes: 9000, testRuns: 1500,
        seeds: {
            let code = try InvitationCode(
                workspace: SampleFrames.workspace, authorityFingerprint: Desk.authority.certificate.fingerprint,
                secret: .random(), expiresAt: Desk.now, addresses: ["hq.example:7742", "[::1]:7742"])
            let digits = code.text.dropFirst(InvitationCode.prefix.count)
            let payload = try Base32.decode(digits).dropLast(4)
            return [[0] + Array(code.text.utf8), [1] + payload, [0] + Array("syncnode-invite-2:0".utf8)]
        }
    ) { bytes in
        var source = ByteSource(bytes)
        var text: String
        if source.flag() {
            let payload = source.all()
            let sum = SHA256.digest(Array(InvitationCode.prefix.utf8) + payload).bytes.prefix(4)
            text = InvitationCode.prefix + Base32.encode(payload + sum)
        } else {
            text = String(decoding: source.all(), as: UTF8.self)
        }
        guard let code = try? InvitationCode(text: text) else { return }
        let again = try InvitationCode(text: code.text)
        try expect(again == code, "a code changes as it is written and read")
        try expect((1...8).contains(code.addresses.count), "\(code.addresses.count) addresses")
        try? code.check(at: Desk.now)
    }
}
