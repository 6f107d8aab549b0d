// Reads the elements a body is made of: bytes, integers, names, cells.
//
// Invariant: `offset` never passes the end, and nothing is read before it is known to be there. The memory is the
// caller's and outlives the reader.
import ReplicationModel

struct ChangeSetReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset: Int

    init(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    var count: Int { bytes.count }
    var remaining: Int { bytes.count - offset }

    /// The error for something that ends where the reader stands, or that begins at `start`.
    @inline(never)
    func failure(
        _ rule: ChangeSetFormatError.Rule, _ description: @autoclosure () -> String, at start: Int? = nil
    ) -> ChangeSetFormatError {
        ChangeSetFormatError(rule, description(), at: start ?? offset)
    }

    @inline(never)
    private func truncation(_ wanted: Int) -> ChangeSetFormatError {
        ChangeSetFormatError(.truncated, "the body ends where \(wanted) more bytes should be", at: offset)
    }

    @inline(__always)
    private func need(_ wanted: Int) throws(ChangeSetFormatError) {
        if wanted > remaining { throw truncation(wanted) }
    }

    @inline(__always)
    mutating func byte() throws(ChangeSetFormatError) -> UInt8 {
        try need(1)
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func bigEndian() throws(ChangeSetFormatError) -> UInt64 {
        try need(8)
        defer { offset += 8 }
        return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// Passes so many bytes by.
    @inline(__always)
    mutating func range(_ length: Int) throws(ChangeSetFormatError) -> Range<Int> {
        try need(length)
        defer { offset += length }
        return offset..<offset + length
    }

    /// Bytes that were passed by, where they stand.
    @inline(__always)
    subscript(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[range]) }

    /// The same, copied.
    @inline(__always)
    func array(_ range: Range<Int>) -> [UInt8] {
        guard !range.isEmpty else { return [] }
        return [UInt8](unsafeUninitializedCapacity: range.count) { target, initialized in
            UnsafeMutableRawBufferPointer(target).copyMemory(from: self[range])
            initialized = range.count
        }
    }

    /// LEB128, seven bits a byte from the least, of at most 64 bits, and no longer than it need be.
    @inline(__always)
    mutating func varint() throws(ChangeSetFormatError) -> UInt64 {
        let first = try byte()
        return first < 0x80 ? UInt64(first) : try varint(after: first)
    }

    private mutating func varint(after first: UInt8) throws(ChangeSetFormatError) -> UInt64 {
        let start = offset - 1
        var value = UInt64(first & 0x7f)
        var shift: UInt64 = 7
        while true {
            let next = try byte()
            // The tenth byte holds the one bit that is left of 64.
            if shift == 63, next > 1 {
                throw failure(.varint, "an integer does not fit 64 bits", at: start)
            }
            value |= UInt64(next & 0x7f) << shift
            if next < 0x80 {
                if next == 0 { throw failure(.varint, "an integer is longer than it need be", at: start) }
                return value
            }
            shift += 7
        }
    }

    /// A varint of at most 63 bits: what a signed integer of SQLite can hold.
    mutating func natural(_ what: StaticString) throws(ChangeSetFormatError) -> UInt64 {
        let start = offset
        let value = try varint()
        guard value <= UInt64(Int64.max) else {
            throw failure(.varint, "the \(what) does not fit 63 bits", at: start)
        }
        return value
    }

    /// How many things follow. Refused where so many cannot stand in the rest of the body, so that the caller may reserve.
    mutating func count(
        of what: StaticString, _ range: ClosedRange<Int>, leastBytes: Int = 1
    ) throws(ChangeSetFormatError) -> Int {
        let start = offset
        let value = try varint()
        guard value >= UInt64(range.lowerBound), value <= UInt64(range.upperBound) else {
            throw failure(
                .limit, "\(value) \(what), allowed are \(range.lowerBound) to \(range.upperBound)", at: start)
        }
        let count = Int(value)
        guard count <= remaining / leastBytes else {
            throw failure(.truncated, "\(count) \(what) cannot stand in the \(remaining) bytes left", at: start)
        }
        return count
    }

    /// The name of a table, column or field. Names reach logs and terminals, hence no control characters.
    mutating func name(of what: StaticString) throws(ChangeSetFormatError) -> String {
        let start = offset
        let length = try varint()
        guard length >= 1, length <= UInt64(Limits.nameBytes) else {
            throw failure(
                length == 0 ? .name : .limit,
                "a \(what)'s name has \(length) bytes, allowed are 1 to \(Limits.nameBytes)", at: start)
        }
        try need(Int(length))
        let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(length)])
        guard let name = String(validating: slice, as: UTF8.self),
            slice.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else {
            throw failure(.name, "a \(what)'s name is not UTF-8 or holds a control character", at: start)
        }
        offset += Int(length)
        return name
    }

    mutating func identifier() throws(ChangeSetFormatError) -> Identifier128 {
        Identifier128(high: try bigEndian(), low: try bigEndian())
    }

    mutating func origin() throws(ChangeSetFormatError) -> Origin {
        Origin(node: NodeID(try identifier()), incarnation: try bigEndian())
    }

    mutating func digest() throws(ChangeSetFormatError) -> Digest {
        Digest(first: try identifier(), second: try identifier())
    }

    /// A cell where it stands: text and blob as a place in the body.
    enum CellView {
        case null
        case integer(Int64)
        case real(Double)
        case inline(LargeValue.Kind, Range<Int>)
        case beside(LargeValue)
    }

    /// The cell that was seen, with its bytes.
    func cell(_ view: CellView) -> Cell {
        switch view {
        case .null: .inline(.null)
        case .integer(let value): .inline(.integer(value))
        case .real(let value): .inline(.real(value))
        case .inline(.text, let range): .inline(.text(array(range)))
        case .inline(.blob, let range): .inline(.blob(array(range)))
        case .beside(let value): .beside(value)
        }
    }

    @inline(__always)
    mutating func cellView() throws(ChangeSetFormatError) -> CellView {
        typealias Tag = ChangeSetFormat.Tag
        let start = offset
        let tag = try byte()
        switch tag {
        case Tag.null: return .null
        case Tag.integer:
            let zigzag = try varint()
            return .integer(Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1))
        case Tag.real:
            let value = Double(bitPattern: try bigEndian())
            guard !value.isNaN else { throw failure(.cell, "a real is no number", at: start) }
            return .real(value)
        case Tag.longText: return .inline(.text, try longBytes(from: start))
        case Tag.longBlob: return .inline(.blob, try longBytes(from: start))
        case Tag.besideText: return .beside(try largeValue(.text, from: start))
        case Tag.besideBlob: return .beside(try largeValue(.blob, from: start))
        case Tag.shortText..<Tag.shortBlob: return .inline(.text, try range(Int(tag & 0x3f)))
        case Tag.shortBlob..<Tag.shortBlob + 0x40: return .inline(.blob, try range(Int(tag & 0x3f)))
        default: throw failure(.cell, "a cell has the unknown tag \(tag)", at: start)
        }
    }

    private mutating func longBytes(from start: Int) throws(ChangeSetFormatError) -> Range<Int> {
        let length = ChangeSetFormat.shortBytes + Int(try byte())
        guard length <= Limits.inlineValueBytes else {
            throw failure(
                .limit, "\(length) bytes stand in the body; more than \(Limits.inlineValueBytes) travel beside it",
                at: start)
        }
        return try range(length)
    }

    private mutating func largeValue(
        _ kind: LargeValue.Kind, from start: Int
    ) throws(ChangeSetFormatError) -> LargeValue {
        let digest = try digest()
        let length = try varint()
        guard length > UInt64(Limits.inlineValueBytes), length <= UInt64(Limits.valueBytes) else {
            throw failure(
                .limit,
                "a value of \(length) bytes is beside the body; "
                    + "allowed are more than \(Limits.inlineValueBytes) and at most \(Limits.valueBytes)",
                at: start)
        }
        return LargeValue(kind: kind, digest: digest, byteCount: length)
    }
}
