// Bytes to the frames in them: four bytes of length, big-endian, then as many bytes.
//
// Invariant: a length is checked before a single byte of its frame is kept, and after a bad one nothing is.
internal import NIOCore

/// Cuts a stream of bytes into frames.
struct FrameAssembler {
    /// A length that no frame has.
    enum BadLength: Error, Hashable, CustomStringConvertible {
        case zero
        case tooLarge(announced: Int, limit: Int)

        var description: String {
            switch self {
            case .zero: "a frame of 0 bytes"
            case .tooLarge(let announced, let limit):
                "a frame of \(announced) bytes is announced, and \(limit) is the limit"
            }
        }
    }

    /// The bytes of the length.
    static let headerBytes = 4
    private let limit: Int
    private var header: UInt32 = 0
    private var headerCount = 0
    private var body: [UInt8] = []

    /// - Parameter limit: on a frame without its length.
    init(limit: Int) { self.limit = limit }

    /// What is kept of a frame that is not whole yet.
    var partialBytes: Int { headerCount + body.count }

    /// How many bytes of body the frame has; nil while its length is not known.
    var announcedBytes: Int? { headerCount == Self.headerBytes ? Int(header) : nil }

    /// Takes bytes from `buffer` up to the end of a frame, or all of them.
    /// - Returns: a frame without its length; nil: more bytes are needed.
    mutating func next(from buffer: inout ByteBuffer) throws(BadLength) -> [UInt8]? {
        if headerCount < Self.headerBytes {
            while headerCount < Self.headerBytes {
                guard let byte = buffer.readInteger(as: UInt8.self) else { return nil }
                header = header << 8 | UInt32(byte)
                headerCount += 1
            }
            guard header > 0 else { throw .zero }
            guard Int(header) <= limit else { throw .tooLarge(announced: Int(header), limit: limit) }
        }
        let length = Int(header)
        let part = min(length - body.count, buffer.readableBytes)
        // Only what is there is made room for: an announcement costs the peer as much as it costs this node.
        if body.isEmpty { body.reserveCapacity(part) }
        buffer.readWithUnsafeReadableBytes { bytes in
            body.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes.prefix(part)))
            return part
        }
        guard body.count == length else { return nil }
        defer {
            header = 0
            headerCount = 0
            body = []
        }
        return body
    }
}
