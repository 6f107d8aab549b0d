// How a joining node proves that it was invited, without sending the secret.
//
// Invariant: a proof fits one TLS session and one certificate request, so nobody in between can use it for their own.

/// The key that proofs of one invitation are made and checked with; derived from its secret.
public struct JoinProofKey: Hashable, Sendable {
    let bytes: [UInt8]

    /// The label of the TLS exporter (RFC 8446, 7.5) that a proof covers; its context is empty.
    public static let exporterLabel = "EXPORTER-syncnode-join-1"
    /// How many bytes of it.
    public static let exporterBytes = 32

    /// HMAC-SHA-256 over the exporter's bytes and the request.
    /// - Parameters:
    ///   - exporter: `exporterBytes` bytes from `TLSEngine.exportKeyingMaterial`.
    ///   - request: the certificate request's DER, as it is sent.
    /// - Returns: 32 bytes.
    public func proof(exporter: [UInt8], request: [UInt8]) -> [UInt8] {
        HMAC.authenticate(Self.message(exporter, request), key: bytes)
    }

    /// Whether `proof` is the one for this session and request; in constant time.
    public func isValid(_ proof: [UInt8], exporter: [UInt8], request: [UInt8]) -> Bool {
        exporter.count == Self.exporterBytes
            && HMAC.isValid(proof, for: Self.message(exporter, request), key: bytes)
    }

    private static func message(_ exporter: [UInt8], _ request: [UInt8]) -> [UInt8] {
        Array("syncnode join proof v1\0".utf8) + exporter + request
    }
}
