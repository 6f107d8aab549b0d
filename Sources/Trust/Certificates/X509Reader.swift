// Reads X.509 v3 certificates that strangers made.
//
// Invariant: one certificate has one encoding here: DER that OpenSSL would not write back byte for byte is refused, so
// nobody can make a second roster record out of a certificate by bending its outer bytes.

internal import COpenSSL
internal import ReplicationModel

/// What a certificate says, before anyone asked who signed it.
struct X509Contents {
    let der: [UInt8]
    /// What the signature is over.
    let signedPart: [UInt8]
    /// 64 bytes.
    let signature: [UInt8]
    let serial: [UInt8]
    let issuer: String
    let subject: String
    let notBefore: WallClock
    let notAfter: WallClock
    let publicKey: PublicKey
    let extensions: [String: X509Extension]

    init(der: [UInt8]) throws(CertificateRefusal) {
        func refusal(_ cause: String) -> CertificateRefusal {
            CertificateRefusal(.malformed, "the certificate is not one of syncnode's: \(cause); ask an admin for one")
        }
        guard der.count <= CertificateProfile.greatestBytes else { throw refusal("it is larger than 16 KiB") }
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let certificate = X509Contents.decode(der) else { throw refusal("it is not X.509 in DER") }
        let pointer = certificate.pointer
        guard let signedPart = encoded({ i2d_re_X509_tbs(pointer, $0) }), der.count > 64,
            DER.signed(signedPart, signature: der.suffix(64)) == der
        else { throw refusal("it is not DER signed with Ed25519") }
        guard X509_get_version(pointer) == 2 else { throw refusal("it is not version 3") }
        guard OBJ_obj2nid(X509Contents.algorithm(of: pointer)) == NID_ED25519,
            let key = readPublicKey(X509_get0_pubkey(pointer))
        else { throw refusal("its key is not Ed25519") }
        guard let issuer = readName(X509_get_issuer_name(pointer)),
            let subject = readName(X509_get_subject_name(pointer))
        else { throw refusal("its names are not one valid common name each") }
        guard let notBefore = readTime(X509_get0_notBefore(pointer)),
            let notAfter = readTime(X509_get0_notAfter(pointer))
        else { throw refusal("its times cannot be read") }
        guard let serial = readBytes(X509_get0_serialNumber(pointer)), (1...20).contains(serial.count) else {
            throw refusal("its serial number is not 1 to 20 bytes long")
        }
        guard let extensions = X509Contents.readExtensions(pointer) else {
            throw refusal("an extension stands in it twice or cannot be read")
        }
        self.der = der
        self.signedPart = signedPart
        signature = Array(der.suffix(64))
        self.serial = serial
        self.issuer = issuer
        self.subject = subject
        self.notBefore = notBefore
        self.notAfter = notAfter
        publicKey = key
        self.extensions = extensions
    }

    /// An `X509` of these bytes, to hand to OpenSSL. Nil where they are no certificate, or more than one.
    static func decode(_ der: [UInt8]) -> Owned<OpaquePointer>? {
        decoded(der, by: { d2i_X509(nil, $0, $1) }, free: X509_free)
    }

    /// Whether the extension is there with exactly these bytes.
    func has(_ identifier: String, _ value: [UInt8], critical: Bool) -> Bool {
        extensions[identifier] == X509Extension(identifier: identifier, isCritical: critical, value: value)
    }

    private static func algorithm(of certificate: OpaquePointer) -> OpaquePointer? {
        var object: OpaquePointer?
        X509_ALGOR_get0(&object, nil, nil, X509_get0_tbs_sigalg(certificate))
        return object
    }

    private static func readExtensions(_ certificate: OpaquePointer) -> [String: X509Extension]? {
        var result: [String: X509Extension] = [:]
        for index in 0..<max(X509_get_ext_count(certificate), 0) {
            guard let field = X509_get_ext(certificate, index),
                let identifier = readIdentifier(X509_EXTENSION_get_object(field)),
                let value = readBytes(X509_EXTENSION_get_data(field))
            else { return nil }
            let isCritical = X509_EXTENSION_get_critical(field) == 1
            let added = X509Extension(identifier: identifier, isCritical: isCritical, value: value)
            guard result.updateValue(added, forKey: identifier) == nil else { return nil }
        }
        return result
    }
}

/// The common name, where that is all there is, in UTF-8, and fit to be shown.
func readName(_ name: OpaquePointer?) -> String? {
    guard let name, X509_NAME_entry_count(name) == 1, let entry = X509_NAME_get_entry(name, 0),
        OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) == NID_commonName,
        let data = X509_NAME_ENTRY_get_data(entry), ASN1_STRING_type(data) == V_ASN1_UTF8STRING,
        let bytes = readBytes(data), let text = String(validating: bytes, as: UTF8.self)
    else { return nil }
    return CertificateProfile.isValidName(text) ? text : nil
}

func readPublicKey(_ key: OpaquePointer?) -> PublicKey? {
    guard let key, EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 32)
    var count = bytes.count
    guard EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1, count == 32 else { return nil }
    return PublicKey(bytes: bytes)
}

private func readBytes(_ string: UnsafePointer<ASN1_STRING>?) -> [UInt8]? {
    guard let string else { return nil }
    let count = ASN1_STRING_length(string)
    guard count >= 0 else { return nil }
    return Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(count)))
}

private func readTime(_ time: UnsafePointer<ASN1_TIME>?) -> WallClock? {
    guard let time, let epoch = Owned(ASN1_TIME_set(nil, 0), free: { ASN1_TIME_free($0) }) else { return nil }
    var days: Int32 = 0
    var seconds: Int32 = 0
    guard ASN1_TIME_diff(&days, &seconds, epoch.pointer, time) == 1 else { return nil }
    return WallClock(milliseconds: (Int64(days) * 86_400 + Int64(seconds)) * 1000)
}

private func readIdentifier(_ object: OpaquePointer?) -> String? {
    var buffer = [CChar](repeating: 0, count: 128)
    let length = OBJ_obj2txt(&buffer, Int32(buffer.count), object, 1)
    guard length > 0, length < buffer.count else { return nil }
    return String(decoding: buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
