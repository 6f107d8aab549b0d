// Ed25519 public keys: who a node is, and whether it signed something.
//
// Invariant: a value of this type is 32 bytes that OpenSSL takes for an Ed25519 key and that is no point of small order.

internal import COpenSSL
public import ReplicationModel

/// An Ed25519 public key (RFC 8032). Cheap to copy; OpenSSL's form of it is made once and shared.
public struct PublicKey: Sendable {
    /// 32 bytes, as RFC 8032 encodes them.
    public let bytes: [UInt8]
    let handle: KeyHandle

    /// - Parameter bytes: exactly 32. Nil for any other count, and for a point of small order: under such a key one
    ///   signature fits many messages, so it would prove nothing.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 32, !Self.isOfSmallOrder(bytes) else { return nil }
        let handle = OpenSSL.call {
            Owned(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, 32), free: EVP_PKEY_free)
        }
        guard let handle else { return nil }
        self.init(bytes: bytes, handle: KeyHandle(handle))
    }

    init(bytes: [UInt8], handle: KeyHandle) {
        self.bytes = bytes
        self.handle = handle
    }

    /// The node that has this key (replication.md, section 2).
    public var nodeID: NodeID { NodeID(publicKey: self) }

    /// Whether `signature` (64 bytes; any other count is false) was made for `message` with this key's other half.
    public func isValidSignature(_ signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == 64 else { return false }
        return OpenSSL.call {
            guard let context = Owned(EVP_MD_CTX_new(), free: { EVP_MD_CTX_free($0) }),
                EVP_DigestVerifyInit(context.pointer, nil, nil, nil, handle.pointer) == 1
            else { OpenSSL.broken("begin to verify a signature") }
            return EVP_DigestVerify(context.pointer, signature, 64, message, message.count) == 1
        }
    }

    /// The encodings of the points of small order, canonical or not, without the sign bit.
    private static func isOfSmallOrder(_ bytes: [UInt8]) -> Bool {
        var masked = bytes
        masked[31] &= 0x7f
        return smallOrder.contains(masked)
    }

    private static let smallOrder: Set<[UInt8]> = {
        func nearPrime(_ first: UInt8) -> [UInt8] { [first] + [UInt8](repeating: 0xff, count: 30) + [0x7f] }
        let orderEight = [
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ]
        let lowest: [[UInt8]] = [0, 1].map { [$0] + [UInt8](repeating: 0, count: 31) }
        return Set(lowest + orderEight.compactMap(Hexadecimal.decode) + [0xec, 0xed, 0xee].map(nearPrime))
    }()
}

extension PublicKey: Hashable, CustomStringConvertible {
    /// Keys are equal when their bytes are.
    public static func == (left: Self, right: Self) -> Bool { left.bytes == right.bytes }
    /// Feeds the key's bytes.
    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
    /// 64 lower-case hexadecimal digits.
    public var description: String { Hexadecimal.encode(bytes) }
}

extension NodeID {
    /// The first 16 bytes of SHA-256 over the key's 32 bytes (replication.md, section 2).
    public init(publicKey: PublicKey) { self.init(SHA256.digest(publicKey.bytes).first) }
}

/// One `EVP_PKEY`, public or private, never changed once made, so threads may share it.
final class KeyHandle: @unchecked Sendable {
    private let owned: Owned<OpaquePointer>
    var pointer: OpaquePointer { owned.pointer }
    init(_ owned: consuming Owned<OpaquePointer>) { self.owned = owned }
}

/// Bytes as hexadecimal digits.
enum Hexadecimal {
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Nil for anything but an even count of hexadecimal digits.
    static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let digits = text.utf8.map { UInt8(exactly: Character(Unicode.Scalar($0)).hexDigitValue ?? -1) }
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }
}
