// The receiving half of a session: what the peer sends, until the store has it.
//
// Invariant: what is kept in memory for the store never exceeds the window, or one change set that was sent alone.
internal import ReplicationModel
internal import ReplicationWire

/// Takes change sets apart from the wire, in order, and hands them on in batches.
struct InboundStream: Sendable {
    private struct Waiting {
        let changeSet: SealedChangeSet
        let flowBytes: UInt64
        let bytes: UInt64
    }

    let isEnabled: Bool
    private let windowBytes: UInt64
    private let batchBytes: UInt64
    /// The highest sequence number of each origin that came in this session.
    private var cursor = VersionVector()
    private var assembler: ChangeSetAssembler?
    /// What is being assembled is known already, and is dropped once it is complete.
    private var isDropping = false
    /// Flow bytes received before the change set that is being assembled began.
    private var receivedBeforeBytes: UInt64 = 0
    private var receivedBytes: UInt64 = 0
    private var waiting: [Waiting] = []
    /// Flow bytes of the batch that the store has.
    private var applyingBytes: UInt64?
    /// Flow bytes that are dealt with: committed, held or dropped.
    private(set) var doneBytes: UInt64 = 0
    /// How much of that the peer was told.
    private(set) var toldBytes: UInt64 = 0
    /// The peer said that it has sent everything it had.
    private(set) var isEnded = false
    private(set) var duplicates: UInt64 = 0

    init(isEnabled: Bool, limits: SessionLimits) {
        self.isEnabled = isEnabled
        windowBytes = limits.windowBytes
        batchBytes = limits.batchBytes
    }

    var isApplying: Bool { applyingBytes != nil }
    /// Nothing is being assembled, waits, or is being applied.
    var isIdle: Bool { assembler == nil && waiting.isEmpty && !isApplying }
    /// Nothing complete waits or is being applied.
    var isDrained: Bool { waiting.isEmpty && !isApplying }

    /// A change set begins. `applied` is the replica's vector now.
    ///
    /// - Parameter isWanted: it was asked for once more, though it is known.
    mutating func begin(
        _ start: ChangeSetStart, flowBytes: UInt64, applied: VersionVector, isWanted: Bool = false
    ) throws(Violation) -> ReceivedStep {
        guard isEnabled else { throw Violation(.unexpectedFrame, "a change set that was not asked for") }
        guard assembler == nil else { throw Violation(.unexpectedFrame, "a change set inside another") }
        let assembler = try ChangeSetAssembler(start)
        let dot = assembler.header.dot
        let known = max(applied[dot.origin], cursor[dot.origin])
        guard dot.sequence > .zero, dot.sequence.rawValue <= FrameLimits.sequence else {
            throw Violation(.malformed, "a change set numbered \(dot.sequence)")
        }
        guard dot.sequence.rawValue - 1 <= known.rawValue else {
            throw Violation(.sequenceGap, "\(dot) follows \(known)")
        }
        isDropping = dot.sequence <= known && !isWanted
        receivedBeforeBytes = receivedBytes
        try count(flowBytes)
        self.assembler = assembler
        return completeIfDone()
    }

    /// Values of the change set that is being assembled.
    mutating func add(_ piece: ValuesPiece, flowBytes: UInt64) throws(Violation) -> ReceivedStep {
        guard assembler != nil else { throw Violation(.unexpectedFrame, "values without a change set") }
        try count(flowBytes)
        // Not `if var`: a copy would double the values in memory.
        try assembler?.add(piece)
        return completeIfDone()
    }

    /// What a frame completed.
    enum ReceivedStep: Sendable {
        case partial
        case complete(Dot)
        case dropped(Dot)
    }

    private mutating func count(_ flowBytes: UInt64) throws(Violation) {
        receivedBytes += flowBytes
        guard receivedBytes - toldBytes <= windowBytes || receivedBeforeBytes == toldBytes else {
            throw Violation(.window, "\(receivedBytes - toldBytes) bytes in flight, of \(windowBytes)")
        }
    }

    private mutating func completeIfDone() -> ReceivedStep {
        guard let done = assembler, done.isComplete else { return .partial }
        assembler = nil
        let dot = done.header.dot
        let flowBytes = receivedBytes - receivedBeforeBytes
        if isDropping {
            duplicates += 1
            doneBytes += flowBytes
            return .dropped(dot)
        }
        cursor[dot.origin] = max(cursor[dot.origin], dot.sequence)
        let changeSet = done.finish()
        let bytes = changeSet.contentBytes
        waiting.append(Waiting(changeSet: changeSet, flowBytes: flowBytes, bytes: bytes))
        return .complete(dot)
    }

    /// The peer has sent everything it had when it began.
    mutating func end() throws(Violation) {
        guard isEnabled, assembler == nil, !isEnded else {
            throw Violation(.unexpectedFrame, "a stream end out of place")
        }
        isEnded = true
    }

    /// The next batch for the store; nil where nothing waits or one is being applied.
    mutating func nextBatch() -> [SealedChangeSet]? {
        guard applyingBytes == nil, !waiting.isEmpty else { return nil }
        var count = 0
        var bytes: UInt64 = 0
        var flowBytes: UInt64 = 0
        for next in waiting {
            guard count == 0 || bytes + next.bytes <= batchBytes else { break }
            count += 1
            bytes += next.bytes
            flowBytes += next.flowBytes
        }
        let batch = waiting.prefix(count).map(\.changeSet)
        waiting.removeFirst(count)
        applyingBytes = flowBytes
        return batch
    }

    /// The store has the batch. False: none was handed to it.
    mutating func committed() -> Bool {
        guard let bytes = applyingBytes else { return false }
        applyingBytes = nil
        doneBytes += bytes
        return true
    }

    /// The store gave the batch up.
    mutating func failed() { applyingBytes = nil }

    /// The peer is told of everything that is dealt with.
    mutating func tell() { toldBytes = doneBytes }

    /// Forgets what the store does not have yet.
    mutating func discardWaiting() {
        waiting = []
        assembler = nil
    }
}

extension SealedChangeSet {
    /// Body and the values that travel with it.
    var contentBytes: UInt64 { values.reduce(UInt64(body.count)) { $0 + UInt64($1?.count ?? 0) } }
}
