// Why a TLS session failed, in terms of what to do about it.
//
// Invariant: every way a session can fail has one code, and OpenSSL's own words are kept beside it.

internal import COpenSSL

/// A TLS session failed; it cannot be used any more. What the engine still has to send (an alert) should be sent.
public struct TLSFailure: Error, Hashable, Sendable {
    /// What kind of failure, for programs. More codes may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// A stable word, fit for JSON.
        public let description: String
        private init(_ description: String) { self.description = description }

        /// The peer showed no certificate, and the protocol wants one.
        public static let noCertificate = Code("no_certificate")
        /// The peer's certificate is not accepted here; `refusal` says why.
        public static let certificateRefused = Code("certificate_refused")
        /// The peer did not accept this node's certificate; `alert` says why, in its terms.
        public static let refusedByPeer = Code("refused_by_peer")
        /// The peer does not speak TLS 1.3.
        public static let protocolVersion = Code("protocol_version")
        /// The peer speaks TLS 1.3, but no application protocol that is wanted here.
        public static let applicationProtocol = Code("application_protocol")
        /// What answers is not TLS at all.
        public static let notTLS = Code("not_tls")
        /// Bytes were changed on the way, or by the peer.
        public static let corrupted = Code("corrupted")
        /// The connection ended without TLS's own goodbye: something may be missing.
        public static let truncated = Code("truncated")
        /// The session is not open: not yet, or not any more.
        public static let notOpen = Code("not_open")
        /// Anything else that breaks the protocol.
        public static let protocolViolation = Code("protocol_violation")
    }

    /// What kind of failure.
    public let code: Code
    /// For people: what happened, why, and what to do next, in one line.
    public let description: String
    /// Why the peer's certificate is refused here, with `certificateRefused`.
    public let refusal: CertificateRefusal?
    /// The number of the alert that the peer sent (RFC 8446, 6.2), if it sent one.
    public let alert: UInt8?

    init(_ code: Code, _ description: String, refusal: CertificateRefusal? = nil, alert: UInt8? = nil) {
        self.code = code
        self.description = description
        self.refusal = refusal
        self.alert = alert
    }
}

extension TLSFailure: CustomStringConvertible {
    static func refused(_ refusal: CertificateRefusal) -> TLSFailure {
        TLSFailure(.certificateRefused, "the peer is refused: \(refusal)", refusal: refusal)
    }

    static let notTLS = TLSFailure(
        .notTLS, "what answers does not speak TLS; check host and port, and that a syncnode listens there")

    static let otherProtocol = TLSFailure(
        .applicationProtocol, "the peer speaks TLS, but not the protocol asked for; check host, port and its version")

    /// Reads OpenSSL's error queue as a failure of a session.
    static func fromErrors(_ errors: [(code: UInt, text: String)]) -> TLSFailure {
        let text = errors.last?.text ?? "no reason given"
        guard let first = errors.first(where: { ERR_GET_LIB(UInt($0.code)) == ERR_LIB_SSL }) else {
            return TLSFailure(.protocolViolation, "the TLS session failed: \(text)")
        }
        let reason = ERR_GET_REASON(UInt(first.code))
        // OpenSSL reports the alert N that a peer sent as reason 1000 + N.
        if let alert = UInt8(exactly: reason - 1000) { return fromAlert(alert) }
        switch reason {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return TLSFailure(.noCertificate, "the peer showed no certificate; it must join the workspace first")
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_WRONG_SSL_VERSION, SSL_R_NO_PROTOCOLS_AVAILABLE,
            SSL_R_UNKNOWN_PROTOCOL, SSL_R_VERSION_TOO_LOW:
            return version
        case SSL_R_NO_APPLICATION_PROTOCOL:
            return otherProtocol
        case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, SSL_R_BAD_RECORD_TYPE, SSL_R_WRONG_VERSION_NUMBER,
            SSL_R_ENCRYPTED_LENGTH_TOO_LONG, SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_DATA_LENGTH_TOO_LONG:
            return TLSFailure(.corrupted, "a TLS record was changed on its way (\(first.text)); connect again")
        default:
            return TLSFailure(.protocolViolation, "the TLS session failed: \(first.text)")
        }
    }

    private static let version = TLSFailure(
        .protocolVersion, "the peer does not speak TLS 1.3; update it, or check that it is a syncnode")

    private static func fromAlert(_ alert: UInt8) -> TLSFailure {
        func refused(_ why: String) -> TLSFailure {
            TLSFailure(.refusedByPeer, "the peer refused this node: \(why)", alert: alert)
        }
        switch Int32(alert) {
        case SSL_AD_CERTIFICATE_REVOKED:
            return refused("it was revoked; to come back it must join again with a new key")
        case SSL_AD_CERTIFICATE_EXPIRED:
            return refused("its certificate has expired; ask an admin for a new one, and check both clocks")
        case SSL_AD_UNKNOWN_CA:
            return refused("its certificate is of another workspace or authority; check the address")
        case SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_UNKNOWN,
            SSL_AD_ACCESS_DENIED:
            return refused("it does not accept this node's certificate; its log says why")
        case TLS13_AD_CERTIFICATE_REQUIRED:
            return refused("it wants a certificate; join the workspace first")
        case SSL_AD_PROTOCOL_VERSION:
            return TLSFailure(.protocolVersion, version.description, alert: alert)
        case TLS1_AD_NO_APPLICATION_PROTOCOL:
            return TLSFailure(.applicationProtocol, otherProtocol.description, alert: alert)
        case SSL_AD_BAD_RECORD_MAC, SSL_AD_DECRYPT_ERROR, SSL_AD_RECORD_OVERFLOW:
            return TLSFailure(
                .corrupted, "the peer received a TLS record that was changed on its way; connect again", alert: alert)
        default:
            let name = SSL_alert_desc_string_long(Int32(alert)).map { String(cString: $0) } ?? "unknown"
            return TLSFailure(.protocolViolation, "the peer ended the session with TLS alert \"\(name)\"", alert: alert)
        }
    }
}
