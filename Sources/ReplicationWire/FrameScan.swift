// A look at a frame before memory is made for what is in it.
//
// Invariant: what passes decodes to a bounded multiple of its own length. Protobuf makes a message of some hundred bytes out
// of two on the wire, so a frame of 4 MiB could otherwise ask for half a gigabyte.
internal import ReplicationModel

/// Counts the elements of repeated fields in the encoding itself (protobuf's wire format, encoding.md).
struct FrameScan {
    /// The greatest field number of a `Frame`.
    private static let lastField: UInt64 = 16

    private let bytes: UnsafeRawBufferPointer
    private var at: Int
    private let end: Int

    private init(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) {
        self.bytes = bytes
        at = start
        self.end = end
    }

    /// - Throws: beyond `FrameLimits.elements`, or what is no protobuf of version 3.
    static func check(_ bytes: [UInt8]) throws(FrameError) {
        try bytes.withUnsafeBytes { buffer in
            Result { () throws(FrameError) in
                var frame = FrameScan(buffer, from: 0, to: buffer.count)
                var messages = 0
                while let part = try frame.next() {
                    // One is sent. Several of one kind would be merged, each by another pass over what is there.
                    messages += 1
                    guard messages <= FrameLimits.elements else { throw .tooLarge("a frame of \(messages) messages") }
                    // What is not known here need not be a message.
                    guard (1...lastField).contains(part.field), let range = part.range else { continue }
                    try check(FrameScan(buffer, from: range.lowerBound, to: range.upperBound))
                }
                }
            }
        }.get()
    }

    /// The fields of one message: each repeated one that is not of numbers within its bound, as numbers take eight times their
    /// bytes at most.
    private static func check(_ message: consuming FrameScan) throws(FrameError) {
        var counts = [Int](repeating: 0, count: 16)
        while let part = try message.next() {
            guard part.range != nil else { continue }
            // Fields that are not known here share a place: their bytes are kept as they are.
            let place = Int(min(part.field, 15))
            counts[place] += 1
            guard counts[place] <= FrameLimits.elements else {
                throw .tooLarge("more than \(FrameLimits.elements) elements of one field")
            }
        }
    }

    /// The next field; its range, where it has bytes of its own.
    private mutating func next() throws(FrameError) -> (field: UInt64, range: Range<Int>?)? {
        guard at < end else { return nil }
        let tag = try varint()
        switch tag & 7 {
        case 0: _ = try varint()
        case 1: try skip(8)
        case 2:
            let length = try varint()
            let start = at
            guard length <= UInt64(end - at) else { throw .malformed("not a frame: it ends within a field") }
            at += Int(length)
            return (tag >> 3, start..<at)
        case 5: try skip(4)
        default: throw .malformed("not a frame: a field of no known kind")
        }
        return (tag >> 3, nil)
    }

    private mutating func skip(_ count: Int) throws(FrameError) {
        guard count <= end - at else { throw .malformed("not a frame: it ends within a field") }
        at += count
    }

    private mutating func varint() throws(FrameError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard at < end else { throw .malformed("not a frame: it ends within a number") }
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw .malformed("not a frame: a number of more than ten bytes")
    }
}
