// A node's, or an authority's, private key: made here, kept in one file that only its owner can read.
//
// Invariant: the private half never enters a Swift array or an error, and is never written where others can read it.

internal import COpenSSL
internal import Glibc

/// An Ed25519 private key (RFC 8032).
public final class SigningKey: Sendable {
    private let handle: KeyHandle
    /// Its other half.
    public let publicKey: PublicKey

    private init?(_ owned: consuming Owned<OpaquePointer>) {
        guard EVP_PKEY_get_base_id(owned.pointer) == EVP_PKEY_ED25519 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 32)
        var count = bytes.count
        guard EVP_PKEY_get_raw_public_key(owned.pointer, &bytes, &count) == 1, count == 32,
            let publicKey = PublicKey(bytes: bytes)
        else { return nil }
        handle = KeyHandle(owned)
        self.publicKey = publicKey
    }

    /// A new key, from the system's randomness.
    public static func generate() -> SigningKey {
        let key = OpenSSL.call { () -> SigningKey? in
            guard
                let context = Owned(EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil), free: { EVP_PKEY_CTX_free($0) }),
                EVP_PKEY_keygen_init(context.pointer) == 1
            else { return nil }
            var pointer: OpaquePointer?
            guard EVP_PKEY_generate(context.pointer, &pointer) == 1, let owned = Owned(pointer, free: EVP_PKEY_free)
            else { return nil }
            return SigningKey(owned)
        }
        guard let key else { OpenSSL.broken("make an Ed25519 key") }
        return key
    }

    /// The key whose private half is these bytes: for runs that must repeat to the last byte. A node's key is `generate`d.
    /// - Parameter seed: exactly 32 bytes (RFC 8032, 5.1.5).
    public convenience init?(seed: [UInt8]) {
        guard seed.count == 32 else { return nil }
        let owned = OpenSSL.call {
            Owned(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count), free: EVP_PKEY_free)
        }
        guard let owned else { return nil }
        self.init(owned)
    }

    /// Reads a key file: PKCS #8 in PEM, not encrypted.
    /// - Throws: `exposedFile` where someone other than this user could read or write it, with the `chmod` to run.
    public static func load(path: String) throws(TrustError) -> SigningKey {
        try SecureFile.withPrivateContents(path: path, operation: "load the signing key") {
            contents throws(TrustError) in
            let key = OpenSSL.call { () -> SigningKey? in
                guard let bio = memoryBIO(reading: contents) else { return nil }
                // A callback that gives no password: without one OpenSSL would ask at the terminal.
                let pointer = PEM_read_bio_PrivateKey(bio.pointer, nil, { _, _, _, _ in -1 }, nil)
                guard let owned = Owned(pointer, free: EVP_PKEY_free) else { return nil }
                return SigningKey(owned)
            }
            guard let key else {
                throw TrustError(
                    .malformed, "load the signing key", path, cause: "it holds no unencrypted Ed25519 key in PEM",
                    nextStep: "restore the file from a backup, or let the node join again with a new key")
            }
            return key
        }
    }

    /// Writes a new key file with mode 0600, synced to disk together with its directory.
    /// - Throws: `alreadyExists` rather than replace a file.
    public func save(path: String) throws(TrustError) {
        ERR_clear_error()
        guard let bio = secretMemoryBIO(),
            PEM_write_bio_PKCS8PrivateKey(bio.pointer, handle.pointer, nil, nil, 0, nil, nil) == 1
        else { OpenSSL.broken("write a key") }
        try withContents(of: bio) { contents throws(TrustError) in
            try SecureFile.create(path: path, contents: contents, mode: 0o600, operation: "save the signing key")
        }
    }

    /// Signs `message` with Ed25519; equal messages give equal signatures.
    /// - Returns: 64 bytes.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        OpenSSL.call {
            guard let context = Owned(EVP_MD_CTX_new(), free: { EVP_MD_CTX_free($0) }),
                EVP_DigestSignInit(context.pointer, nil, nil, nil, handle.pointer) == 1
            else { OpenSSL.broken("begin a signature") }
            return [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
                count = 64
                guard EVP_DigestSign(context.pointer, buffer.baseAddress, &count, message, message.count) == 1 else {
                    OpenSSL.broken("sign")
                }
            }
        }
    }

    /// Lends the private key to OpenSSL.
    func withPointer<Result>(_ body: (OpaquePointer) -> Result) -> Result { body(handle.pointer) }
}
