// Makes X.509 v3 certificates and PKCS #10 requests through OpenSSL.
//
// Invariant: whatever is made here names its subject and issuer by one common name in UTF-8 and is signed with Ed25519.

internal import COpenSSL
public import ReplicationModel

/// An extension as it stands in a certificate.
struct X509Extension: Hashable {
    /// Dotted decimal.
    var identifier: String
    var isCritical = false
    /// DER.
    var value: [UInt8]
}

/// What tells two certificates of one authority apart: 16 bytes, which nobody should be able to foretell.
public struct CertificateSerial: Hashable, Sendable {
    /// The first has its highest bit clear and the next set, so that DER needs exactly these bytes.
    let bytes: [UInt8]

    /// From the system's randomness.
    public static func random() -> CertificateSerial {
        CertificateSerial(SHA256.digest(SecureRandom.bytes(32)).first)
    }

    /// For runs that must repeat to the last byte.
    public init(_ identifier: Identifier128) {
        var bytes = identifier.bytes
        bytes[0] = bytes[0] & 0x7f | 0x40
        self.bytes = bytes
    }
}

/// Everything in a certificate but its signature.
struct X509Template {
    var serial: CertificateSerial
    var issuer: String
    var subject: String
    var notBefore: WallClock
    var notAfter: WallClock
    var publicKey: PublicKey
    var extensions: [X509Extension]

    /// - Returns: DER.
    func signed(with key: SigningKey) -> [UInt8] {
        ERR_clear_error()
        guard let certificate = Owned(X509_new(), free: X509_free),
            X509_set_version(certificate.pointer, 2) == 1,
            ASN1_STRING_set(X509_get_serialNumber(certificate.pointer), serial.bytes, Int32(serial.bytes.count)) == 1,
            Self.setName(X509_get_issuer_name(certificate.pointer), issuer),
            Self.setName(X509_get_subject_name(certificate.pointer), subject),
            ASN1_TIME_set(X509_getm_notBefore(certificate.pointer), Self.seconds(notBefore)) != nil,
            ASN1_TIME_set(X509_getm_notAfter(certificate.pointer), Self.seconds(notAfter)) != nil,
            X509_set_pubkey(certificate.pointer, publicKey.handle.pointer) == 1,
            extensions.allSatisfy({ Self.add($0, to: certificate.pointer) }),
            key.withPointer({ X509_sign(certificate.pointer, $0, nil) }) > 0,
            let der = encoded({ i2d_X509(certificate.pointer, $0) })
        else { OpenSSL.broken("make a certificate") }
        return der
    }

    /// A PKCS #10 request for `key` that asks for the common name `subject`. DER.
    static func request(subject: String, key: SigningKey) -> [UInt8] {
        ERR_clear_error()
        guard let request = Owned(X509_REQ_new(), free: X509_REQ_free),
            X509_REQ_set_version(request.pointer, 0) == 1,
            setName(X509_REQ_get_subject_name(request.pointer), subject),
            X509_REQ_set_pubkey(request.pointer, key.publicKey.handle.pointer) == 1,
            key.withPointer({ X509_REQ_sign(request.pointer, $0, nil) }) > 0,
            let der = encoded({ i2d_X509_REQ(request.pointer, $0) })
        else { OpenSSL.broken("make a certificate request") }
        return der
    }

    /// X.509 counts seconds up to the year 9999.
    private static func seconds(_ time: WallClock) -> Int {
        Int(min(max(time.milliseconds / 1000, 0), 253_402_300_799))
    }

    private static func setName(_ name: OpaquePointer?, _ commonName: String) -> Bool {
        let text = Array(commonName.utf8)
        return X509_NAME_add_entry_by_NID(name, NID_commonName, V_ASN1_UTF8STRING, text, Int32(text.count), -1, 0) == 1
    }

    private static func add(_ field: X509Extension, to certificate: OpaquePointer) -> Bool {
        guard let object = Owned(OBJ_txt2obj(field.identifier, 1), free: { ASN1_OBJECT_free($0) }),
            let value = Owned(ASN1_OCTET_STRING_new(), free: { ASN1_OCTET_STRING_free($0) }),
            ASN1_OCTET_STRING_set(value.pointer, field.value, Int32(field.value.count)) == 1,
            let made = Owned(
                X509_EXTENSION_create_by_OBJ(nil, object.pointer, field.isCritical ? 1 : 0, value.pointer),
                free: { X509_EXTENSION_free($0) })
        else { return false }
        return X509_add_ext(certificate, made.pointer, -1) == 1
    }
}
