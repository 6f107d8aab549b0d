// A request to be admitted: a key, and proof that the asker holds its other half.
//
// Invariant: a value of this type carries an Ed25519 key that signed it.

internal import COpenSSL

/// A PKCS #10 certification request (RFC 2986) for an Ed25519 key.
public struct CertificateRequest: Hashable, Sendable {
    /// The request's bytes; at most 4 KiB.
    public let der: [UInt8]
    /// The name the node asks for; the admin may give it another.
    public let name: String
    /// The key that is to be admitted.
    public let publicKey: PublicKey

    /// Makes a request.
    /// - Parameter name: 1 to 64 bytes.
    /// - Throws: `invalidName`.
    public init(name: String, key: SigningKey) throws(TrustError) {
        try CertificateProfile.checkName(name, operation: "make a certificate request for")
        der = X509Template.request(subject: name, key: key)
        self.name = name
        publicKey = key.publicKey
    }

    /// Reads a request and checks the signature it carries over itself.
    /// - Throws: `malformed`.
    public init(der: [UInt8]) throws(TrustError) {
        func malformed(_ cause: String) -> TrustError {
            TrustError(
                .malformed, "read", "the certificate request", cause: cause,
                nextStep: "make a new one with `syncnode join --request FILE`")
        }
        guard der.count <= CertificateProfile.greatestRequestBytes else { throw malformed("it is larger than 4 KiB") }
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let decoded = decoded(der, by: { d2i_X509_REQ(nil, $0, $1) }, free: X509_REQ_free) else {
            throw malformed("it is not PKCS #10 in DER")
        }
        let key = X509_REQ_get0_pubkey(decoded.pointer)
        guard let publicKey = readPublicKey(key) else { throw malformed("its key is not Ed25519") }
        guard let name = readName(X509_REQ_get_subject_name(decoded.pointer)) else {
            throw malformed("its subject is not one valid common name")
        }
        guard X509_REQ_verify(decoded.pointer, key) == 1 else {
            throw malformed("it was not signed with the key it carries")
        }
        self.der = der
        self.name = name
        self.publicKey = publicKey
    }

    /// Reads the first request in PEM text.
    public init(pem: [UInt8]) throws(TrustError) {
        let blocks = PEM.decode(pem, limit: 4)
        guard let block = blocks?.first(where: { $0.label.hasSuffix("CERTIFICATE REQUEST") }) else {
            throw TrustError(
                .malformed, "read", "the certificate request", cause: "the text holds no whole request in PEM",
                nextStep: "check which file was named; `syncnode join --request FILE` makes one")
        }
        try self.init(der: block.bytes)
    }

    /// The request in PEM, as `join --request` writes it.
    public var pem: [UInt8] { PEM.encode([PEM.Block(label: "CERTIFICATE REQUEST", bytes: der)]) }
}
