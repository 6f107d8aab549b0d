import Foundation
import ReplicationModel
import Testing

@testable import Trust

@Suite struct CertificateTests {
    @Test func aCertificateSaysWhatItWasMadeFor() throws {
        let workspace = try Workspace(named: "Spätausgabe")
        for role in MemberRole.allCases {
            let node = try workspace.admit("Büro Wien", role)
            for certificate in [
                node.certificate, try Certificate(der: node.certificate.der),
                try Certificate(pem: node.certificate.pem),
            ] {
                #expect(certificate.name == "Büro Wien")
                #expect(certificate.role == role)
                #expect(certificate.workspace == workspace.certificate.workspace)
                #expect(certificate.publicKey == node.key.publicKey)
                #expect(certificate.nodeID == NodeID(publicKey: node.key.publicKey))
                #expect(certificate.notBefore == now.plus(-300 * second))
                #expect(certificate.notAfter == now.plus(731 * day))
                #expect(certificate.serial.count == 16)
                #expect(certificate == node.certificate)
                try certificate.check(issuedBy: workspace.certificate)
            }
        }
    }

    @Test func anAuthoritysCertificateSaysWhatItWasMadeFor() throws {
        let id = WorkspaceID.random()
        let workspace = try Workspace(named: "Desk", id: id)
        let read = try AuthorityCertificate(pem: workspace.certificate.pem)
        #expect(read == workspace.certificate)
        #expect(read.name == "Desk")
        #expect(read.workspace == id)
        #expect(read.fingerprint == SHA256.digest(read.der))
        #expect(read.notAfter == now.plus(7305 * day))
    }

    /// Flips every bit of a certificate's bytes: none may be accepted, and none may trap.
    @Test func everyBitCounts() throws {
        let workspace = try Workspace()
        let der = try workspace.admit().certificate.der
        for bit in 0..<(der.count * 8) {
            var changed = der
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let refusal = failure { () throws(CertificateRefusal) in
                try Certificate(der: changed).check(issuedBy: workspace.certificate)
            }
            #expect(refusal != nil, "bit \(bit)")
        }
    }

    @Test func oneCertificateHasOneEncoding() throws {
        let workspace = try Workspace()
        let der = try workspace.admit().certificate.der
        #expect(refusal(der + [0]) == .malformed)
        #expect(refusal(Array(der.dropLast())) == .malformed)
        #expect(refusal([]) == .malformed)
        // The outer length in three bytes instead of two: BER, but not DER.
        #expect(der[1] == 0x82)
        #expect(refusal([0x30, 0x83, 0x00] + der[2...]) == .malformed)
        // An outer AlgorithmIdentifier with a NULL parameter.
        let contents = try X509Contents(der: der)
        let bent = DER.sequence(
            contents.signedPart + [0x30, 0x07, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x05, 0x00]
                + DER.element(0x03, [0] + contents.signature))
        #expect(refusal(bent) == .malformed)
    }

    @Test func anotherAuthorityIsRefused() throws {
        let workspace = try Workspace()
        // Same name, same workspace id, another key.
        let impostor = try Workspace(id: workspace.certificate.workspace)
        let certificate = try impostor.admit().certificate
        #expect(refusal(certificate, workspace) == .otherAuthority)
        // Signed by the right key under another issuer's name.
        #expect(refusal(try Certificate(der: workspace.odd(issuer: "Elsewhere")), workspace) == .otherAuthority)
    }

    @Test func anotherWorkspaceIsRefused() throws {
        let workspace = try Workspace()
        #expect(refusal(try Workspace().admit().certificate, workspace) == .otherWorkspace)
        // Even where this authority signed it.
        let der = workspace.odd { extensions in
            extensions.removeAll { $0.identifier == CertificateProfile.workspace }
            extensions.append(
                X509Extension(
                    identifier: CertificateProfile.workspace,
                    value: DER.octetString([UInt8](repeating: 7, count: 16))))
        }
        #expect(refusal(try Certificate(der: der), workspace) == .otherWorkspace)
    }

    @Test func datesAreChecked() throws {
        let certificate = try Workspace().admit().certificate
        func code(_ time: WallClock) -> CertificateRefusal.Code? {
            failure { () throws(CertificateRefusal) in try certificate.check(at: time) }?.code
        }
        #expect(code(certificate.notBefore.plus(-1)) == .notYetValid)
        #expect(code(certificate.notBefore) == nil)
        #expect(code(certificate.notAfter.plus(999)) == nil)
        #expect(code(certificate.notAfter.plus(1000)) == .expired)
    }

    @Test func aRoleMustBeThere() throws {
        let workspace = try Workspace()
        for value in [nil, "", "root", "Writer", "writer "] as [String?] {
            let der = workspace.odd { extensions in
                extensions.removeAll { $0.identifier == CertificateProfile.role }
                if let value {
                    extensions.append(
                        X509Extension(identifier: CertificateProfile.role, value: DER.utf8String(value)))
                }
            }
            #expect(refusal(der) == .roleMissing, "\(value ?? "none")")
        }
    }

    @Test func whatIsNotMadeForANodeIsRefused() throws {
        let workspace = try Workspace()
        _ = try Certificate(der: workspace.odd())
        #expect(refusal(workspace.certificate.der) == .malformed)
        for identifier in [
            CertificateProfile.basicConstraints, CertificateProfile.keyUsage, CertificateProfile.extendedKeyUsage,
            CertificateProfile.workspace,
        ] {
            #expect(refusal(workspace.odd { $0.removeAll { $0.identifier == identifier } }) == .malformed)
        }
        let sub = workspace.odd { $0[0].value = CertificateProfile.authorityConstraints }
        #expect(refusal(sub) == .malformed)
        let unknown = X509Extension(identifier: "1.2.3.4", isCritical: true, value: [0x05, 0x00])
        #expect(refusal(workspace.odd { $0.append(unknown) }) == .malformed)
        // One that is not critical may be ignored (RFC 5280, 4.2).
        _ = try Certificate(der: workspace.odd { $0.append(X509Extension(identifier: "1.2.3.4", value: [5, 0])) })
        #expect(refusal(workspace.odd { $0.append($0[5]) }) == .malformed)
        #expect(
            failure { () throws(CertificateRefusal) in
                try AuthorityCertificate(der: workspace.odd())
            }?.code == .malformed)
    }

    @Test(arguments: ["", " node", "node ", "a:b", "a\u{7}b", "a\nb", "a\u{202e}b", String(repeating: "x", count: 65)])
    func namesThatCannotBeShownAreRefused(_ name: String) throws {
        let workspace = try Workspace()
        let error = failure { () throws(TrustError) in
            try workspace.authority.issue(
                to: SigningKey.generate().publicKey, name: name, role: .reader, now: now)
        }
        #expect(error?.code == .invalidName)
        if !name.isEmpty { #expect(refusal(workspace.odd(name: name)) == .malformed) }
    }

    @Test func nobodyOutlivesTheAuthority() throws {
        let workspace = try Workspace()
        let late = workspace.certificate.notAfter.plus(-day)
        #expect(try workspace.admit(at: late).certificate.notAfter == workspace.certificate.notAfter)
        #expect(throws: TrustError.self) { try workspace.admit(at: workspace.certificate.notAfter.plus(day)) }
    }

    @Test func anAuthorityNeedsItsOwnKey() throws {
        let workspace = try Workspace()
        let error = failure { () throws(TrustError) in
            try CertificateAuthority(certificate: workspace.certificate, key: .generate())
        }
        #expect(error?.code == .mismatch)
    }

    /// OpenSSL's own program, which knows nothing of ours, builds the chain for both uses of a certificate.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"), "needs the openssl program"))
    func openSSLAcceptsTheChain() throws {
        try withScratchDirectory { directory in
            let workspace = try Workspace()
            let node = try workspace.admit()
            let other = try Workspace(id: workspace.certificate.workspace)
            for (name, pem) in [
                ("authority", workspace.certificate.pem), ("node", node.certificate.pem),
                ("other", other.certificate.pem),
            ] {
                try Data(pem).write(to: URL(fileURLWithPath: "\(directory)/\(name).pem"))
            }
            func verify(_ authority: String, _ purpose: String) throws -> Int32 {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
                process.arguments = [
                    "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-purpose", purpose, "-attime",
                    String(now.milliseconds / 1000), "-CAfile", "\(directory)/\(authority).pem",
                    "\(directory)/node.pem",
                ]
                process.standardOutput = FileHandle.nullDevice
                process.standardError = FileHandle.nullDevice
                try process.run()
                process.waitUntilExit()
                return process.terminationStatus
            }
            #expect(try verify("authority", "sslserver") == 0)
            #expect(try verify("authority", "sslclient") == 0)
            #expect(try verify("other", "sslclient") != 0)
        }
    }

    private func refusal(_ der: [UInt8]) -> CertificateRefusal.Code? {
        failure { () throws(CertificateRefusal) in try Certificate(der: der) }?.code
    }

    private func refusal(_ certificate: Certificate, _ workspace: Workspace) -> CertificateRefusal.Code? {
        failure { () throws(CertificateRefusal) in try certificate.check(issuedBy: workspace.certificate) }?.code
    }
}
