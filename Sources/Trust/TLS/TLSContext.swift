// What all TLS sessions of a node have in common: its certificate, its authority, its rules.
//
// Invariant: TLS 1.3 only, no resumption, and no certificate is believed but the workspace authority's.

internal import COpenSSL
public import ReplicationModel

/// What is spoken inside a session, as ALPN names it (RFC 7301).
public enum SessionProtocol: String, Hashable, Sendable, CaseIterable {
    /// The exchange: both sides show certificates.
    case exchange = "syncnode/1"
    /// Joining: the client has no certificate yet, and may do nothing but join.
    case join = "syncnode-join/1"
}

/// The settings of TLS sessions; made once and shared by all of them, from any thread.
///
/// A new roster needs no new context, since `admission` is asked at every handshake; a new certificate of this node does.
public final class TLSContext: @unchecked Sendable {
    /// Refuses a peer that the authority vouched for: `Roster.checkMayConnect` of the roster as it is now. Called during
    /// the handshake, on the thread that feeds the engine.
    public typealias Admission = @Sendable (Certificate, WallClock) throws(CertificateRefusal) -> Void

    /// Checks what a peer showed, in DER, its own certificate first.
    typealias Verification = @Sendable ([[UInt8]], WallClock) throws(CertificateRefusal) -> Certificate

    private let verification: Verification
    let acceptsJoins: Bool
    let clock: @Sendable () -> WallClock
    private let context: Owned<OpaquePointer>
    var pointer: OpaquePointer { context.pointer }

    /// For a member of a workspace, dialling or answering.
    /// - Parameters:
    ///   - certificate: this node's, and `key` its key; `authority` signed it. Both certificates are sent to peers.
    ///   - acceptsJoins: whether answering sessions let nodes in that want to join.
    ///   - clock: the time at which certificates are checked.
    ///   - admission: see `Admission`.
    /// - Throws: `mismatch` where key and certificate do not belong together.
    public convenience init(
        certificate: Certificate, key: SigningKey, authority: AuthorityCertificate, acceptsJoins: Bool,
        clock: @escaping @Sendable () -> WallClock, admission: @escaping Admission
    ) throws(TrustError) {
        guard certificate.publicKey == key.publicKey else {
            throw TrustError(
                .mismatch, "open TLS sessions as", "\"\(certificate.name)\"",
                cause: "the private key does not belong to the certificate",
                nextStep: "restore key.pem and certificate.pem from the same backup")
        }
        self.init(
            acceptsJoins: acceptsJoins, clock: clock,
            verification: { chain, now throws(CertificateRefusal) in
                try Self.checkMember(chain, of: authority, now: now, admission: admission)
            })
        show(certificate.der, key: key, authority: authority)
    }

    /// For a node that wants to join and knows its workspace's authority by an invitation code alone.
    /// - Parameters:
    ///   - fingerprint: SHA-256 over the authority's certificate, which the peer must send and must be signed by.
    ///   - workspace: the workspace that the code names.
    public convenience init(
        joining workspace: WorkspaceID, fingerprint: Digest, clock: @escaping @Sendable () -> WallClock
    ) {
        self.init(
            acceptsJoins: false, clock: clock,
            verification: { chain, now throws(CertificateRefusal) in
                try Self.checkPinned(chain, fingerprint: fingerprint, workspace: workspace, now: now)
            })
    }

    /// - Parameter versions: for tests, which play peers of another age.
    init(
        acceptsJoins: Bool, clock: @escaping @Sendable () -> WallClock,
        versions: ClosedRange<Int32> = TLS1_3_VERSION...TLS1_3_VERSION, verification: @escaping Verification
    ) {
        ERR_clear_error()
        guard let context = Owned(SSL_CTX_new(TLS_method()), free: SSL_CTX_free),
            shim_SSL_CTX_set_versions(context.pointer, versions.lowerBound, versions.upperBound) == 1,
            // AES-128 first: as strong as the curve, and a third faster than AES-256.
            SSL_CTX_set_ciphersuites(
                context.pointer, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384") == 1,
            shim_SSL_CTX_set1_groups_list(context.pointer, "X25519:P-256") == 1,
            shim_SSL_CTX_set1_sigalgs_list(context.pointer, "ed25519") == 1
        else { OpenSSL.broken("make a TLS context") }
        shim_SSL_CTX_set_stateless(context.pointer)
        // Two certificates of less than 1 KiB each are sent; this bounds what a stranger can make a node hold.
        shim_SSL_CTX_set_max_cert_list(context.pointer, 2 * CertificateProfile.greatestBytes)
        SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        SSL_CTX_set_cert_verify_callback(context.pointer, { store, _ in verifyPeer(store) }, nil)
        SSL_CTX_set_alpn_select_cb(
            context.pointer,
            { session, chosen, chosenCount, offered, offeredCount, _ in
                selectProtocol(session, chosen, chosenCount, offered, offeredCount)
            }, nil)
        SSL_CTX_set_client_hello_cb(context.pointer, { session, alert, _ in checkHello(session, alert) }, nil)
        self.context = context
        self.verification = verification
        self.acceptsJoins = acceptsJoins
        self.clock = clock
    }

    /// What peers are shown: this node's certificate, and its authority's for those who only know a fingerprint.
    func show(_ certificate: [UInt8], key: SigningKey, authority: AuthorityCertificate) {
        ERR_clear_error()
        guard let leaf = X509Contents.decode(certificate), let issuer = X509Contents.decode(authority.der),
            SSL_CTX_use_certificate(pointer, leaf.pointer) == 1,
            key.withPointer({ SSL_CTX_use_PrivateKey(pointer, $0) }) == 1,
            shim_SSL_CTX_add1_chain_cert(pointer, issuer.pointer) == 1
        else { OpenSSL.broken("use this node's certificate for TLS") }
    }

    func check(_ chain: [[UInt8]]) throws(CertificateRefusal) -> Certificate { try verification(chain, clock()) }

    /// Checks that the authority signed it, that the roster admits it, and the dates, in this order: the reason that
    /// lasts longest is the one given.
    private static func checkMember(
        _ chain: [[UInt8]], of authority: AuthorityCertificate, now: WallClock, admission: Admission
    ) throws(CertificateRefusal) -> Certificate {
        let certificate = try leaf(of: chain)
        try certificate.check(issuedBy: authority)
        try admission(certificate, now)
        try authority.check(at: now)
        try certificate.check(at: now)
        return certificate
    }

    private static func checkPinned(
        _ chain: [[UInt8]], fingerprint: Digest, workspace: WorkspaceID, now: WallClock
    ) throws(CertificateRefusal) -> Certificate {
        let certificate = try leaf(of: chain)
        guard let der = chain.first(where: { SHA256.digest($0) == fingerprint }) else {
            throw CertificateRefusal(
                .otherAuthority,
                "the peer \"\(certificate.name)\" does not show the authority that the invitation code names; "
                    + "check the address, or ask for a new code")
        }
        let authority = try AuthorityCertificate(der: der)
        guard authority.workspace == workspace else {
            throw CertificateRefusal(
                .otherWorkspace, "the invitation code names another workspace than its authority; ask for a new code")
        }
        try certificate.check(issuedBy: authority)
        guard certificate.role == .admin else {
            throw CertificateRefusal(
                .role, "the peer \"\(certificate.name)\" is no admin, and only admins admit nodes; check the address")
        }
        try authority.check(at: now)
        try certificate.check(at: now)
        return certificate
    }

    private static func leaf(of chain: [[UInt8]]) throws(CertificateRefusal) -> Certificate {
        guard let leaf = chain.first else {
            throw CertificateRefusal(.malformed, "the peer sent no certificate that can be read")
        }
        return try Certificate(der: leaf)
    }
}

/// The engine whose session this is. Set before any callback can run, and the engine outlives its session.
private func engine(of session: OpaquePointer?) -> TLSEngine? {
    session.flatMap { SSL_get_ex_data($0, 0) }.map { Unmanaged<TLSEngine>.fromOpaque($0).takeUnretainedValue() }
}

/// OpenSSL's question whether to go on with a peer.
private func verifyPeer(_ store: OpaquePointer?) -> Int32 {
    let session = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    guard let engine = engine(of: session.map { OpaquePointer($0) }) else { return 0 }
    var chain: [[UInt8]] = []
    if let leaf = X509_STORE_CTX_get0_cert(store), let der = encoded({ i2d_X509(leaf, $0) }) { chain.append(der) }
    let others = X509_STORE_CTX_get0_untrusted(store)
    // A workspace's chain has two.
    for index in 0..<min(shim_sk_X509_num(others), 8) {
        if let other = shim_sk_X509_value(others, index), let der = encoded({ i2d_X509(other, $0) }) {
            chain.append(der)
        }
    }
    do {
        engine.peerCertificate = try engine.context.check(chain)
        return 1
    } catch {
        engine.refusal = error
        X509_STORE_CTX_set_error(store, verificationError(error.code))
        return 0
    }
}

/// OpenSSL makes the alert that the peer sees from this.
private func verificationError(_ code: CertificateRefusal.Code) -> Int32 {
    switch code {
    case .revoked: X509_V_ERR_CERT_REVOKED
    case .expired: X509_V_ERR_CERT_HAS_EXPIRED
    case .otherAuthority, .otherWorkspace: X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    default: X509_V_ERR_CERT_REJECTED
    }
}

/// OpenSSL's question whether to go on with a client. It asks which protocol is spoken only where the client offers any; one
/// that offers none would get its session, and a goodbye. One that knows no TLS 1.3 is told that first.
private func checkHello(_ session: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?) -> Int32 {
    func has(_ kind: Int32) -> Bool { SSL_client_hello_get0_ext(session, UInt32(kind), nil, nil) == 1 }
    guard has(TLSEXT_TYPE_supported_versions), !has(TLSEXT_TYPE_application_layer_protocol_negotiation) else {
        return SSL_CLIENT_HELLO_SUCCESS
    }
    engine(of: session)?.offersNoProtocol = true
    alert?.pointee = TLS1_AD_NO_APPLICATION_PROTOCOL
    return SSL_CLIENT_HELLO_ERROR
}

/// OpenSSL's question which of the protocols that a client offers is spoken.
private func selectProtocol(
    _ session: OpaquePointer?, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenCount: UnsafeMutablePointer<UInt8>?, _ offered: UnsafePointer<UInt8>?, _ offeredCount: UInt32
) -> Int32 {
    guard let engine = engine(of: session), let offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    let list = UnsafeBufferPointer(start: offered, count: Int(offeredCount))
    for wanted in SessionProtocol.allCases where wanted == .exchange || engine.context.acceptsJoins {
        var index = 0
        while index < list.count {
            let end = index + 1 + Int(list[index])
            guard end <= list.count else { return SSL_TLSEXT_ERR_ALERT_FATAL }
            if list[(index + 1)..<end].elementsEqual(wanted.rawValue.utf8) {
                chosen?.pointee = offered + index + 1
                chosenCount?.pointee = list[index]
                // The request for a certificate is sent after this.
                if wanted == .join { SSL_set_verify(session, SSL_VERIFY_NONE, nil) }
                return SSL_TLSEXT_ERR_OK
            }
            index = end
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
}
