import ReplicationModel
import Testing

@testable import Trust

@Suite struct InvitationCodeTests {
    private func code(addresses: [String] = ["desk.example.org:7440", "[2001:db8::1]:7440"]) throws -> InvitationCode {
        try InvitationCode(
            workspace: .random(), authorityFingerprint: SHA256.digest([1]), secret: .random(), expiresAt: now,
            addresses: addresses)
    }

    private func refusal(_ text: String) -> TrustError? {
        failure { () throws(TrustError) in try InvitationCode(text: text) }
    }

    @Test func aCodeIsReadAsItWasWritten() throws {
        let code = try code()
        #expect(code.text.hasPrefix("syncnode-invite-1:"))
        #expect(!code.text.contains { $0.isWhitespace })
        #expect(try InvitationCode(text: code.text) == code)
        // As mail and people leave it.
        #expect(try InvitationCode(text: "  " + code.text.uppercased() + "\n") == code)
        let broken = code.text.prefix(70) + "\r\n   " + code.text.dropFirst(70)
        #expect(try InvitationCode(text: String(broken)) == code)
    }

    @Test func lookAlikesAreRead() throws {
        let code = try code()
        let body = code.text.dropFirst(InvitationCode.prefix.count)
        let typed = String(body.map { $0 == "0" ? "O" : $0 == "1" ? "l" : $0 })
        #expect(try InvitationCode(text: InvitationCode.prefix + typed) == code)
    }

    /// Every character in turn becomes another digit.
    @Test func aMistypedCharacterIsNoticed() throws {
        let text = Array(try code().text)
        let start = InvitationCode.prefix.count
        for index in start..<text.count {
            var changed = text
            changed[index] = text[index] == "7" ? "8" : "7"
            let error = refusal(String(changed))
            #expect(error?.code == .malformed, "character \(index)")
        }
        for index in start..<(text.count - 1) where text[index] != text[index + 1] {
            var changed = text
            changed.swapAt(index, index + 1)
            #expect(refusal(String(changed)) != nil, "swapped \(index)")
        }
    }

    @Test func aCutCodeIsNoticed() throws {
        let text = try code().text
        for count in 0..<text.count {
            #expect(refusal(String(text.prefix(count)))?.code == .malformed, "\(count) characters")
        }
        #expect(refusal(text + "0") != nil)
    }

    @Test func theErrorSaysWhatIsWrong() throws {
        let text = try code().text
        #expect(refusal("https://example.org")?.cause.contains("does not begin") == true)
        #expect(refusal("syncnode-invite-2:abc")?.cause.contains("version") == true)
        #expect(
            refusal(text.replacing("syncnode-invite-1:", with: "syncnode-invite-1:u"))?.cause.contains("\"u\", 1 after")
                == true)
        #expect(refusal(String(text.dropLast(8)))?.cause.contains("cut short") == true)
        #expect(refusal(String(repeating: "x", count: 10_000))?.cause.contains("longer") == true)
    }

    @Test(arguments: [[], ["desk"], ["desk:0"], ["desk:70000"], [":1"], ["a b:1"], ["dösk:1"]] as [[String]])
    func addressesMustBeDialable(_ addresses: [String]) {
        #expect(
            failure { () throws(TrustError) in
                try InvitationCode(
                    workspace: .random(), authorityFingerprint: .none, secret: .random(), expiresAt: now,
                    addresses: addresses)
            }?.code == .malformed)
    }

    @Test func limitsAreKept() throws {
        let long = String(repeating: "a", count: 250) + ":7440"
        #expect(try InvitationCode(text: code(addresses: Array(repeating: long, count: 8)).text).addresses.count == 8)
        #expect(throws: TrustError.self) { try code(addresses: Array(repeating: "a:1", count: 9)) }
        #expect(throws: TrustError.self) { try code(addresses: ["a" + long]) }
    }

    @Test func theAnswerMustComeFromTheAuthorityNamed() throws {
        let workspace = try Workspace()
        let impostor = try Workspace(id: workspace.certificate.workspace)
        func code(_ id: WorkspaceID) throws -> InvitationCode {
            try InvitationCode(
                workspace: id, authorityFingerprint: workspace.certificate.fingerprint, secret: .random(),
                expiresAt: now, addresses: ["a:1"])
        }
        let right = try code(workspace.certificate.workspace)
        try right.check(workspace.certificate)
        let other = failure { () throws(CertificateRefusal) in try right.check(impostor.certificate) }
        #expect(other?.code == .otherAuthority)
        let wrong = try code(.random())
        let elsewhere = failure { () throws(CertificateRefusal) in try wrong.check(workspace.certificate) }
        #expect(elsewhere?.code == .otherWorkspace)
    }

    @Test func aCodeExpires() throws {
        let code = try code()
        try code.check(at: now)
        #expect(failure { () throws(TrustError) in try code.check(at: now.plus(1)) }?.code == .expired)
    }
}
