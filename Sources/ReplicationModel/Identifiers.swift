// The names of nodes, origins and places in an origin's sequence.
//
// Invariant: each is a value of fixed width, ordered by its big-endian bytes, so that every node orders them alike.

/// A 128-bit name: the first 16 bytes of a digest, or a UUID. Ordered by its bytes.
public struct Identifier128: Hashable, Comparable, Sendable {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter bytes: exactly 16 bytes; anything else gives nil.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        self = bytes.withContiguousBytes { Self(loadedFrom: $0, at: 0) }
    }

    /// 16 bytes from `offset` on.
    fileprivate init(loadedFrom bytes: UnsafeRawBufferPointer, at offset: Int) {
        high = bytes.bigEndianWord(at: offset)
        low = bytes.bigEndianWord(at: offset + 8)
    }

    public var bytes: [UInt8] { bigEndianBytes([high, low]) }

    public static func < (left: Self, right: Self) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }
}

extension Identifier128: CustomStringConvertible {
    /// 32 lower-case hexadecimal digits.
    public var description: String { hexadecimal(high) + hexadecimal(low) }

    /// Reads 32 hexadecimal digits of either case.
    public init?(_ text: some StringProtocol) {
        guard let bytes = hexadecimalBytes(text) else { return nil }
        self.init(bytes: bytes)
    }
}

/// A node: the first 16 bytes of SHA-256 over its Ed25519 public key.
public struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let identifier: Identifier128
    public init(_ identifier: Identifier128) { self.identifier = identifier }
    public init?(bytes: some Collection<UInt8>) {
        guard let identifier = Identifier128(bytes: bytes) else { return nil }
        self.identifier = identifier
    }
    public init?(_ text: some StringProtocol) {
        guard let identifier = Identifier128(text) else { return nil }
        self.identifier = identifier
    }
    public var bytes: [UInt8] { identifier.bytes }
    public var description: String { identifier.description }
    public static func < (left: Self, right: Self) -> Bool { left.identifier < right.identifier }
}

/// A workspace: one replicated store, named at random when it is made.
public struct WorkspaceID: Hashable, Sendable, CustomStringConvertible {
    public let identifier: Identifier128
    public init(_ identifier: Identifier128) { self.identifier = identifier }
    public init?(bytes: some Collection<UInt8>) {
        guard let identifier = Identifier128(bytes: bytes) else { return nil }
        self.identifier = identifier
    }
    public init?(_ text: some StringProtocol) {
        guard let identifier = Identifier128(text) else { return nil }
        self.identifier = identifier
    }
    public var bytes: [UInt8] { identifier.bytes }
    public var description: String { identifier.description }
}

/// One life of one replica of one node. A replica that may have been rolled back or copied takes a new incarnation, so
/// that no sequence number is ever given out twice.
public struct Origin: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let node: NodeID
    /// Random; minted with the replica.
    public let incarnation: UInt64

    public init(node: NodeID, incarnation: UInt64) {
        self.node = node
        self.incarnation = incarnation
    }

    /// - Parameter bytes: exactly 24: the node's 16, then the incarnation, big-endian.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 24 else { return nil }
        self = bytes.withContiguousBytes { bytes in
            Self(node: NodeID(Identifier128(loadedFrom: bytes, at: 0)), incarnation: bytes.bigEndianWord(at: 16))
        }
    }

    /// Reads what `description` writes.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let node = NodeID(parts[0]), parts[1].utf8.count == 16,
            let bytes = hexadecimalBytes(parts[1])
        else { return nil }
        self.node = node
        incarnation = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    public var bytes: [UInt8] { bigEndianBytes([node.identifier.high, node.identifier.low, incarnation]) }

    /// The node's 32 digits, a hyphen, and the incarnation's 16.
    public var description: String { "\(node)-\(hexadecimal(incarnation))" }

    public static func < (left: Self, right: Self) -> Bool {
        left.node != right.node ? left.node < right.node : left.incarnation < right.incarnation
    }
}

/// The place of a change set among those of its origin: 1, 2, 3, … 0 stands before the first.
public struct SequenceNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    public static let zero = SequenceNumber(0)
    /// The one after it; of the greatest, which nothing but a damaged disk has, itself.
    public var next: SequenceNumber { rawValue == .max ? self : SequenceNumber(rawValue + 1) }
    /// The one before it; of zero, itself.
    public var previous: SequenceNumber { rawValue == 0 ? self : SequenceNumber(rawValue - 1) }
    public var description: String { String(rawValue) }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A SHA-256 digest: 32 bytes.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    public let first: Identifier128
    public let second: Identifier128

    public init(first: Identifier128, second: Identifier128) {
        self.first = first
        self.second = second
    }

    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        self = bytes.withContiguousBytes { bytes in
            Self(first: Identifier128(loadedFrom: bytes, at: 0), second: Identifier128(loadedFrom: bytes, at: 16))
        }
    }

    public var bytes: [UInt8] { bigEndianBytes([first.high, first.low, second.high, second.low]) }
    public var description: String { first.description + second.description }

    /// What stands for "no change set before this one".
    public static let none = Digest(first: Identifier128(high: 0, low: 0), second: Identifier128(high: 0, low: 0))
}

/// Names are read and written by the thousand, for every origin in every transaction: as words, not byte by byte.
private func bigEndianBytes(_ words: [UInt64]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: words.count * 8) { buffer, count in
        for (index, word) in words.enumerated() {
            UnsafeMutableRawBufferPointer(buffer).storeBytes(
                of: word.bigEndian, toByteOffset: index * 8, as: UInt64.self)
        }
        count = words.count * 8
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func bigEndianWord(at offset: Int) -> UInt64 {
        UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

extension Collection<UInt8> {
    /// Lends the bytes where they are; a collection that keeps them elsewhere is copied.
    fileprivate func withContiguousBytes<T>(_ body: (UnsafeRawBufferPointer) -> T) -> T {
        withContiguousStorageIfAvailable { body(UnsafeRawBufferPointer($0)) } ?? Array(self).withUnsafeBytes(body)
    }
}

func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

func hexadecimalBytes(_ text: some StringProtocol) -> [UInt8]? {
    let digits = text.utf8.map { digit -> UInt8? in
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
        guard let high = digits[index], let low = digits[index + 1] else { return nil }
        bytes.append(high << 4 | low)
    }
    return bytes
}
