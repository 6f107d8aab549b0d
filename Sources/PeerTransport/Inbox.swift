// Frames that arrived and were not asked for yet, between the event loop and the one task that reads.
//
// Invariant: frames leave in the order they came; after the end nothing comes; reading is asked for only while there is room
// or somebody waits.
internal import NIOCore

/// The receiving half of a link: a value, kept under a lock.
struct Inbox {
    typealias Waiter = CheckedContinuation<[UInt8]?, any Error>

    /// Why no frame comes after those that are here.
    enum End {
        /// The peer said goodbye.
        case goodbye
        case failed(TransportError)
    }

    /// What a reader gets.
    enum Taken {
        case frame([UInt8])
        case end(End)
        /// It must wait.
        case nothing
    }

    /// What a frame that waits costs besides its bytes.
    private static let frameOverhead = 64

    private let limit: Int
    private var frames = CircularBuffer<[UInt8]>()
    private var bufferedBytes = 0
    private var waiter: Waiter?
    private var end: End?
    /// The event loop stopped reading for want of room.
    private var isPaused = false
    /// Of frames that were given out, with their lengths.
    private(set) var deliveredBytes: UInt64 = 0

    /// - Parameter limit: of memory in bytes, before reading stops.
    init(limit: Int) { self.limit = limit }

    /// Of frames that wait to be asked for.
    var waitingBytes: Int { bufferedBytes }

    private var memory: Int { bufferedBytes + frames.count * Self.frameOverhead }

    // MARK: The reader's side

    /// - Returns: also whether the event loop must read again.
    mutating func take() -> (taken: Taken, resumesReading: Bool) {
        guard let frame = frames.popFirst() else { return (end.map { .end($0) } ?? .nothing, false) }
        bufferedBytes -= frame.count
        deliver(frame)
        let resumes = isPaused && memory <= limit / 2
        if resumes { isPaused = false }
        return (.frame(frame), resumes)
    }

    /// Takes what came meanwhile, or keeps the reader until something does.
    mutating func takeOrWait(_ waiter: Waiter) -> (taken: Taken, resumesReading: Bool) {
        let result = take()
        guard case .nothing = result.taken else { return result }
        precondition(self.waiter == nil, "a link has one reader")
        self.waiter = waiter
        defer { isPaused = false }
        return (.nothing, isPaused)
    }

    /// - Returns: the reader that waited, for the caller to resume.
    mutating func stopWaiting() -> Waiter? {
        defer { waiter = nil }
        return waiter
    }

    // MARK: The event loop's side

    /// - Returns: the reader that gets this frame, for the caller to resume.
    mutating func append(_ frame: [UInt8]) -> Waiter? {
        guard end == nil else { return nil }
        guard let waiter = stopWaiting() else {
            frames.append(frame)
            bufferedBytes += frame.count
            return nil
        }
        deliver(frame)
        return waiter
    }

    /// Whether to read on; where not, the reader's side says when.
    /// - Parameter partialBytes: of a frame that is not whole yet.
    mutating func wantsMore(partialBytes: Int) -> Bool {
        guard end == nil else { return false }
        let wants = waiter != nil || memory + partialBytes < limit
        isPaused = !wants
        return wants
    }

    /// Nothing comes after what is here. The first end stays.
    /// - Returns: the reader that waited, for the caller to resume.
    mutating func finish(_ end: End) -> Waiter? {
        guard self.end == nil else { return nil }
        self.end = end
        return stopWaiting()
    }

    /// Nothing more is given out, not even what is here.
    /// - Returns: the reader that waited, for the caller to resume.
    mutating func abandon(_ error: TransportError) -> Waiter? {
        frames.removeAll()
        bufferedBytes = 0
        end = .failed(error)
        return stopWaiting()
    }

    private mutating func deliver(_ frame: [UInt8]) {
        deliveredBytes += UInt64(frame.count + FrameAssembler.headerBytes)
    }
}
