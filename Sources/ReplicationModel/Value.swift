// A value as SQLite knows it, byte for byte.

/// What one column of one row holds. Text travels as its bytes, so embedded NULs and invalid UTF-8 arrive as they were;
/// a double travels by its bit pattern.
public enum Value: Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text([UInt8])
    case blob([UInt8])

    public init(_ text: String) { self = .text(Array(text.utf8)) }

    /// The text, with invalid UTF-8 repaired for showing; nil for anything but text.
    public var string: String? {
        guard case .text(let bytes) = self else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The length of a text or blob; 0 for the rest.
    public var byteCount: Int {
        switch self {
        case .text(let bytes), .blob(let bytes): bytes.count
        case .null, .integer, .real: 0
        }
    }
}

extension Value: Hashable {
    /// Equal type and equal bytes: `-0.0` differs from `0.0`, and `1` from `1.0`.
    public static func == (left: Value, right: Value) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.integer(let a), .integer(let b)): a == b
        case (.real(let a), .real(let b)): a.bitPattern == b.bitPattern
        case (.text(let a), .text(let b)), (.blob(let a), .blob(let b)): a == b
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .integer(let value): hasher.combine(value)
        case .real(let value): hasher.combine(value.bitPattern)
        case .text(let bytes), .blob(let bytes): hasher.combine(bytes)
        }
    }
}

/// The name of a row: the bytes of its `id`, 1 to 255 of them.
public struct RowID: Hashable, Sendable, CustomStringConvertible {
    public static let byteCountLimit = 255
    public let bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// All bytes at once: hashing them one by one, as an array does, costs several times as much.
    public func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
}

extension RowID: Comparable {
    /// By bytes, as SQLite orders ids.
    public static func < (one: RowID, other: RowID) -> Bool { one.bytes.lexicographicallyPrecedes(other.bytes) }
}
