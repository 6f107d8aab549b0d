// The signature of a change set: what is signed, and how it is checked.
//
// Invariant: the bytes signed begin with a context that no other signature of the system begins with.

public import ReplicationModel

/// Ed25519 over `"syncnode change set v1\0" || SHA-256(body)` (replication.md, section 4).
public enum ChangeSetSignature {
    /// Signs the body that has this digest.
    /// - Returns: 64 bytes.
    public static func sign(bodyDigest: Digest, key: SigningKey) -> [UInt8] {
        key.sign(message(bodyDigest))
    }

    /// Whether `signature` vouches for the body that has this digest. A signature that is not 64 bytes does not.
    public static func verify(_ signature: [UInt8], bodyDigest: Digest, publicKey: PublicKey) -> Bool {
        publicKey.isValidSignature(signature, for: message(bodyDigest))
    }

    /// The 55 bytes that are signed.
    static func message(_ bodyDigest: Digest) -> [UInt8] { context + bodyDigest.bytes }

    private static let context = Array("syncnode change set v1\0".utf8)
}
