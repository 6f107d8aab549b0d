// Digests and message authentication: SHA-256, HMAC-SHA-256, and random bytes.
//
// Invariant: equal bytes give equal digests whichever way they are passed in; comparing secrets takes constant time.

internal import COpenSSL
public import ReplicationModel

/// SHA-256 (FIPS 180-4).
public enum SHA256 {
    /// The digest of `bytes`.
    public static func digest(_ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { digest($0) }
    }

    /// The digest of `bytes`, which are only read during the call. The hot path: nothing is allocated for the result.
    public static func digest(_ bytes: UnsafeRawBufferPointer) -> Digest {
        withDigestWords { EVP_Digest(bytes.baseAddress, bytes.count, $0, nil, OpenSSL.sha256, nil) == 1 }
    }

    /// Digests bytes that come in pieces.
    public struct Incremental: ~Copyable {
        private let context: Owned<OpaquePointer>

        /// A hasher that has seen nothing.
        public init() {
            guard let context = Owned(EVP_MD_CTX_new(), free: { EVP_MD_CTX_free($0) }),
                EVP_DigestInit_ex2(context.pointer, OpenSSL.sha256, nil) == 1
            else { OpenSSL.broken("begin a digest") }
            self.context = context
        }

        /// Goes on with `bytes`, which are only read during the call.
        public mutating func update(_ bytes: UnsafeRawBufferPointer) {
            guard EVP_DigestUpdate(context.pointer, bytes.baseAddress, bytes.count) == 1 else {
                OpenSSL.broken("go on with a digest")
            }
        }

        /// Goes on with `bytes`.
        public mutating func update(_ bytes: [UInt8]) {
            bytes.withUnsafeBytes { update($0) }
        }

        /// The digest of everything passed in.
        public consuming func finalize() -> Digest {
            let pointer = context.pointer
            return withDigestWords { EVP_DigestFinal_ex(pointer, $0, nil) == 1 }
        }
    }
}

/// Lets `fill` write 32 bytes and reads them as four big-endian words.
private func withDigestWords(_ fill: (UnsafeMutablePointer<UInt8>) -> Bool) -> Digest {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let filled = withUnsafeMutableBytes(of: &words) { buffer in
        buffer.withMemoryRebound(to: UInt8.self) { bytes in bytes.baseAddress.map(fill) ?? false }
    }
    guard filled else { OpenSSL.broken("make a digest") }
    return Digest(
        first: Identifier128(high: UInt64(bigEndian: words.0), low: UInt64(bigEndian: words.1)),
        second: Identifier128(high: UInt64(bigEndian: words.2), low: UInt64(bigEndian: words.3)))
}

/// HMAC with SHA-256 (RFC 2104).
public enum HMAC {
    /// 32 bytes that only someone who knows `key` can make for `message`.
    public static func authenticate(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        OpenSSL.call {
            [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
                var length: UInt32 = 0
                let code = COpenSSL.HMAC(
                    EVP_sha256(), key, Int32(truncatingIfNeeded: key.count), message, message.count,
                    buffer.baseAddress, &length)
                guard code != nil, length == 32 else { OpenSSL.broken("authenticate a message") }
                count = 32
            }
        }
    }

    /// Whether `code` is the one for `message`; takes the same time wherever the first difference is.
    public static func isValid(_ code: [UInt8], for message: [UInt8], key: [UInt8]) -> Bool {
        let expected = authenticate(message, key: key)
        return code.count == expected.count && CRYPTO_memcmp(code, expected, expected.count) == 0
    }
}

/// Random bytes that nobody can foretell.
public enum SecureRandom {
    /// - Parameter count: how many, at least 0. Traps where the system has no randomness: going on would be unsafe.
    public static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            guard RAND_bytes(buffer.baseAddress, Int32(count)) == 1 else { OpenSSL.broken("draw random bytes") }
            filled = count
        }
    }
}
