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

    /// The last message of a frame that is known here (exchange.proto).
    private static let greatestMessageField: UInt64 = 18
    /// Pieces of one message that are still merged.
    private static let greatestMessages = 1_024

    /// - Throws: beyond `FrameLimits.elements`, or what is no protobuf of version 3.
    static func check(_ bytes: [UInt8]) throws(FrameError) {
        try bytes.withUnsafeBytes { buffer in
            Result { () throws(FrameError) in
                var frame = FrameScan(buffer, from: 0, to: buffer.count)
                var messages = 0
                while let part = try frame.next() {
                    // One is sent. Several of one kind would be merged, each by another pass over what is there.
                    messages += 1
                    guard messages <= greatestMessages else { throw .tooLarge("a frame of \(messages) messages") }
                    // What is not known here may be anything; its bytes are kept as they are.
                    if let range = part.range, part.field <= greatestMessageField {
                        var counts: [Int: Int] = [:]
                        try check(
                            FrameScan(buffer, from: range.lowerBound, to: range.upperBound),
                            Nesting.ofFrames[part.field] ?? .none, path: 0, &counts)
                    }
                }
            }
        }.get()
    }

    /// Which fields of a message hold messages that have repeated fields themselves.
    private struct Nesting {
        let inside: [UInt64: Nesting]
        static let none = Nesting(inside: [:])

        /// By the fields of a frame; those of other frames are one level deep (exchange.proto).
        static let ofFrames: [UInt64: Nesting] = {
            let tables = Nesting(inside: [2: .none])
            let ranges = Nesting(inside: [4: .none])
            return [17: Nesting(inside: [2: tables, 4: .none]), 18: Nesting(inside: [4: tables, 5: ranges])]
        }()
    }

    /// The fields of one message: each repeated one that is not of numbers within its bound, as numbers take eight times their
    /// bytes at most. Elements of one field count together, in however many messages of a frame they stand.
    ///
    /// - Parameter path: names the message: the fields that lead to it, four bits each.
    private static func check(
        _ message: consuming FrameScan, _ nesting: Nesting, path: Int, _ counts: inout [Int: Int]
    ) throws(FrameError) {
        let bytes = message.bytes
        while let part = try message.next() {
            guard let range = part.range else { continue }
            // Fields that are not known here share a place: their bytes are kept as they are.
            let place = path << 4 | Int(min(part.field, 15))
            let count = counts[place, default: 0] + 1
            counts[place] = count
            guard count <= FrameLimits.elements else {
                throw .tooLarge("more than \(FrameLimits.elements) elements of one field")
            }
            if let inner = nesting.inside[part.field] {
                try check(
                    FrameScan(bytes, from: range.lowerBound, to: range.upperBound), inner, path: place, &counts)
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
