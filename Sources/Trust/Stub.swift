internal import COpenSSL
public import ReplicationModel
public enum SHA256 {
    public static func digest(_ bytes: [UInt8]) -> Digest {
        var out = [UInt8](repeating: 0, count: 32)
        _ = COpenSSL.SHA256(bytes, bytes.count, &out)
        return Digest(bytes: out)!
    }
}
public final class SigningKey: @unchecked Sendable {
    let k: OpaquePointer
    public init() { k = EVP_PKEY_Q_keygen_ed() }
    public static func generate() throws -> SigningKey { SigningKey() }
    public var publicKey: PublicKey { var b = [UInt8](repeating: 0, count: 32); var n = 32; EVP_PKEY_get_raw_public_key(k, &b, &n); return PublicKey(bytes: b) }
}
func EVP_PKEY_Q_keygen_ed() -> OpaquePointer {
    let c = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil); EVP_PKEY_keygen_init(c); var p: OpaquePointer?; EVP_PKEY_keygen(c, &p); return p!
}
public struct PublicKey: Sendable { public let bytes: [UInt8] }
public extension NodeID { init(_ k: PublicKey) { self.init(bytes: SHA256.digest(k.bytes).bytes.prefix(16))! } }
public enum ChangeSetSignature {
    public static func sign(bodyDigest: Digest, with key: SigningKey) throws -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 64); var n = 64
        let m = Array("syncnode change set v1\0".utf8) + bodyDigest.bytes
        let c = EVP_MD_CTX_new(); EVP_DigestSignInit(c, nil, nil, nil, key.k); EVP_DigestSign(c, &out, &n, m, m.count); EVP_MD_CTX_free(c); return out
    }
    public static func verify(_ s: [UInt8], bodyDigest: Digest, by key: PublicKey) -> Bool {
        let p = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, key.bytes, 32)
        let m = Array("syncnode change set v1\0".utf8) + bodyDigest.bytes
        let c = EVP_MD_CTX_new(); EVP_DigestVerifyInit(c, nil, nil, nil, p); let r = EVP_DigestVerify(c, s, s.count, m, m.count); EVP_MD_CTX_free(c); EVP_PKEY_free(p); return r == 1
    }
}
