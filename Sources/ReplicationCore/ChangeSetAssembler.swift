// Puts a change set together from its frame and the values frames after it.
//
// Invariant: what it has taken never exceeds what the signed header says, which never exceeds the limits; so a peer makes
// this side keep no more than it could have sent honestly.
internal import ReplicationModel
internal import ReplicationWire

/// One change set on its way in.
struct ChangeSetAssembler: Sendable {
    /// The least length of a value that travels beside its body.
    private static let leastValueBytes = UInt64(Limits.inlineValueBytes + 1)

    let header: ChangeSetHeader
    private let start: ChangeSetStart
    private let presentCount: Int
    /// Bytes that the values present may take, at most.
    private let allowedBytes: UInt64
    private var values: [[UInt8]] = []
    private var partial: [UInt8]?
    private var takenBytes: UInt64 = 0

    init(_ start: ChangeSetStart) throws(Violation) {
        guard let header = start.header else { throw Violation(.malformed, "a change set without its header") }
        guard header.besideBytes <= FrameLimits.besideBytes else {
            throw Violation(.tooLarge, "\(header.dot): \(header.besideBytes) bytes beside the body")
        }
        guard start.valueCount >= 0, UInt64(start.valueCount) <= header.besideBytes / Self.leastValueBytes,
            (start.valueCount == 0) == (header.besideBytes == 0), start.absent.count <= start.valueCount
        else {
            throw Violation(.values, "\(header.dot): \(start.valueCount) values in \(header.besideBytes) bytes")
        }
        self.header = header
        self.start = start
        presentCount = start.valueCount - start.absent.count
        allowedBytes = header.besideBytes - UInt64(start.absent.count) * Self.leastValueBytes
    }

    /// Every value has come.
    var isComplete: Bool { partial == nil && values.count == presentCount }

    /// Takes the next values frame.
    mutating func add(_ piece: ValuesPiece) throws(Violation) {
        for (index, bytes) in piece.values.enumerated() {
            guard partial != nil || values.count < presentCount else {
                throw Violation(.values, "\(header.dot): more than \(presentCount) values")
            }
            takenBytes += UInt64(bytes.count)
            guard takenBytes <= allowedBytes else {
                throw Violation(.values, "\(header.dot): values of more than \(allowedBytes) bytes")
            }
            var value = partial ?? []
            partial = nil
            guard value.count + bytes.count <= Limits.valueBytes else {
                throw Violation(.tooLarge, "\(header.dot): a value of more than \(Limits.valueBytes) bytes")
            }
            value += bytes
            if piece.continues && index == piece.values.count - 1 {
                partial = value
            } else {
                guard value.count > Limits.inlineValueBytes else {
                    throw Violation(.values, "\(header.dot): a value of \(value.count) bytes beside the body")
                }
                values.append(value)
            }
        }
        if isComplete && start.absent.isEmpty && takenBytes != header.besideBytes {
            throw Violation(.values, "\(header.dot): values of \(takenBytes) bytes, not \(header.besideBytes)")
        }
    }

    /// The change set; only once it is complete.
    func finish() -> SealedChangeSet {
        precondition(isComplete, "a change set is finished before its values have come")
        var present = values.makeIterator()
        let absent = Set(start.absent)
        let all = (0..<start.valueCount).map { absent.contains($0) ? nil : present.next() }
        return SealedChangeSet(body: start.body, signature: start.signature, values: all)
    }
}
