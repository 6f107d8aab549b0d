// A look at a frame before memory is made for what is in it.
//
// Invariant: what passes decodes to a bounded multiple of its own length. Protobuf makes a message of some hundred bytes out
// of two on the wire, so a frame of 4 MiB could otherwise ask for half a gigabyte.
internal import ReplicationModel

/// Counts the elements of repeated fields in the encoding itself (protobuf's wire format, encoding.md).
struct FrameScan {
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
                    guard let shape = shape(of: part.field), let range = part.range else { continue }
                    var total = 0
                    try check(FrameScan(buffer, from: range.lowerBound, to: range.upperBound), shape, &total)
                }
            }
        }.get()
    }

    /// What a message holds: the fields that are messages with repeated fields of their own, and how many elements at most.
    private struct Shape {
        var inner: [UInt64: Shape] = [:]
        /// Of one field of one message.
        var each = FrameLimits.elements
        /// Of all fields of all messages in it.
        var total = Int.max
    }

    /// By the field's number in `Frame`; nil: not known here.
    private static func shape(of field: UInt64) -> Shape? {
        switch field {
        case 1...16: flat
        case 17: question
        case 18: answer
        default: nil
        }
    }

    private static let flat = Shape()
    private static let part = Shape(each: FrameLimits.comparisonElements)
    private static let declaredTable = Shape(inner: [2: part], each: FrameLimits.comparisonElements)
    private static let question = Shape(
        inner: [2: declaredTable, 4: part], each: FrameLimits.comparisonElements, total: FrameLimits.comparisonElements)
    private static let rangeAnswer = Shape(
        inner: [1: part, 2: part, 4: Shape(inner: [1: part], each: FrameLimits.comparisonElements)],
        each: FrameLimits.comparisonElements)
    private static let answer = Shape(
        inner: [4: declaredTable, 5: rangeAnswer], each: FrameLimits.comparisonElements,
        total: FrameLimits.comparisonElements)

    /// Each repeated field that is not of numbers within its bound; numbers take eight times their bytes at most.
    private static func check(
        _ message: consuming FrameScan, _ shape: Shape, _ total: inout Int, atMost outer: Int = .max
    ) throws(FrameError) {
        var counts = [Int](repeating: 0, count: 16)
        let most = min(outer, shape.total)
        while let part = try message.next() {
            guard let range = part.range else { continue }
            // Fields that are not known here share a place: their bytes are kept as they are.
            let place = Int(min(part.field, 15))
            counts[place] += 1
            total += 1
            guard counts[place] <= shape.each, total <= most else {
                throw .tooLarge("more than \(min(shape.each, most)) elements of one field")
            }
            guard let inner = shape.inner[part.field] else { continue }
            try check(
                FrameScan(message.bytes, from: range.lowerBound, to: range.upperBound), inner, &total, atMost: most)
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
