import Testing

@testable import Trust

@Suite struct CertificateRequestTests {
    @Test func aRequestCarriesNameAndKey() throws {
        let key = SigningKey.generate()
        let request = try CertificateRequest(name: "Büro Graz", key: key)
        for read in [request, try CertificateRequest(der: request.der), try CertificateRequest(pem: request.pem)] {
            #expect(read.name == "Büro Graz")
            #expect(read.publicKey == key.publicKey)
            #expect(read.der == request.der)
        }
    }

    /// Whatever bit is changed, either the request is refused or it is a request for the same key and name.
    @Test func everyBitCounts() throws {
        let request = try CertificateRequest(name: "node", key: .generate())
        for bit in 0..<(request.der.count * 8) {
            var changed = request.der
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(code(changed) == .malformed, "bit \(bit)")
        }
    }

    @Test func whatIsNoRequestIsRefused() throws {
        let request = try CertificateRequest(name: "node", key: .generate())
        #expect(code([]) == .malformed)
        #expect(code(request.der + [0]) == .malformed)
        #expect(code([UInt8](repeating: 0x30, count: 5000)) == .malformed)
        #expect(
            failure { () throws(TrustError) in try CertificateRequest(pem: Array("hello".utf8)) }?.code == .malformed)
        #expect(
            failure { () throws(TrustError) in try CertificateRequest(name: "a:b", key: .generate()) }?.code
                == .invalidName)
    }

    /// `openssl ecparam -genkey -name prime256v1` and `openssl req -new -subj /CN=node`.
    @Test func onlyEd25519IsAdmitted() throws {
        let error = failure { () throws(TrustError) in try CertificateRequest(pem: Array(Self.otherAlgorithm.utf8)) }
        #expect(error?.code == .malformed)
        #expect(error?.cause == "its key is not Ed25519")
    }

    /// `openssl genpkey -algorithm ED25519` and `openssl req -new -utf8 -subj /CN=node`: another program's request.
    @Test func anotherProgramsRequestIsRead() throws {
        #expect(try CertificateRequest(pem: Array(Self.byOpenSSL.utf8)).name == "node")
    }

    private static let otherAlgorithm = """
        -----BEGIN CERTIFICATE REQUEST-----
        MIHKMHECAQAwDzENMAsGA1UEAwwEbm9kZTBZMBMGByqGSM49AgEGCCqGSM49AwEH
        A0IABMxze3BltAuyU6xWHhKF9M3uXu6n7qLN5BtJq8gIwVPUAfeVihqag7HKw2Z5
        NjW+jHKhb9ni/Fg7BrPtO9imOiigADAKBggqhkjOPQQDAgNJADBGAiEA5IKZBy18
        MsOV7L76dYHHXoH8F4zfSdn0yxZcI2mu2u8CIQDJGTjKGNM4Q80KHazVQXucDFEV
        bMqgdHsz6f/jdcHPBg==
        -----END CERTIFICATE REQUEST-----
        """
    private static let byOpenSSL = """
        -----BEGIN CERTIFICATE REQUEST-----
        MIGOMEICAQAwDzENMAsGA1UEAwwEbm9kZTAqMAUGAytlcAMhALPdaJxXDZXXIQI2
        C/aSzUj8VNIrU68xb7RTeSl7ShqSoAAwBQYDK2VwA0EAGoBK6TLycsN3pU7O7f3x
        bRUYGgYtZ0q2lYWSQ/Qkp7FXozsLjXoRdHTcBwD6RlHEia/l3ca3uHcROql+AODi
        Bg==
        -----END CERTIFICATE REQUEST-----
        """

    private func code(_ der: [UInt8]) -> TrustError.Code? {
        failure { () throws(TrustError) in try CertificateRequest(der: der) }?.code
    }
}
