// A connection between two nodes: bytes each way, in order, late, and perhaps not to the end.
//
// Invariant: what arrives is a prefix of what was sent; once an end is closed nothing arrives there any more.

internal import Chance
internal import ReplicationWire

/// Which end.
enum Side: Int {
    case dialling, answering
    var other: Side { self == .dialling ? .answering : .dialling }
}

final class Connection {
    /// What an end is told.
    enum Arrival {
        case frame(ExchangeFrame, bytes: [UInt8])
        case undecodable(FrameError)
        case closed(String)
    }

    /// One way.
    private struct Pipe {
        var arrivesAt = VirtualTime(microseconds: 0)
        /// Sent while the way was blocked.
        var stuck: [[UInt8]] = []
        var isBlocked = false
        /// At the receiving end, what is no whole frame yet.
        var partial: [UInt8] = []
        /// The sender closed its end; told after what it sent.
        var closing: String?
    }

    private let scheduler: Scheduler
    private let latencyMicroseconds: Int
    private var random: SeededRandom
    /// By receiving side.
    private var pipes = [Pipe(), Pipe()]
    private var isOpen = [true, true]
    private var receivers: [((Arrival) throws -> Void)?] = [nil, nil]
    /// Bytes that it will still carry, both ways together; nil: as many as there are.
    private var bytesUntilCut: Int?
    private let onCut: () -> Void
    private var isCut = false

    /// - Parameter bytesUntilCut: where it breaks.
    init(
        scheduler: Scheduler, latencyMicroseconds: Int, bytesUntilCut: Int?, random: SeededRandom,
        onCut: @escaping () -> Void
    ) {
        self.scheduler = scheduler
        self.latencyMicroseconds = latencyMicroseconds
        self.bytesUntilCut = bytesUntilCut
        self.random = random
        self.onCut = onCut
    }

    func receive(at side: Side, _ body: @escaping (Arrival) throws -> Void) { receivers[side.rawValue] = body }

    /// Sends one frame, with its length before it.
    func send(_ frame: [UInt8], from side: Side) {
        guard isOpen[side.rawValue], !isCut else { return }
        var bytes = withUnsafeBytes(of: UInt32(frame.count).bigEndian) { Array($0) } + frame
        if let left = bytesUntilCut {
            bytesUntilCut = max(0, left - bytes.count)
            if bytes.count >= left {
                bytes = Array(bytes.prefix(left))
                onCut()
                carry(bytes, to: side.other)
                return cut("the connection was cut")
            }
        }
        carry(bytes, to: side.other)
    }

    private func carry(_ bytes: [UInt8], to side: Side) {
        guard !pipes[side.rawValue].isBlocked else { return pipes[side.rawValue].stuck.append(bytes) }
        let delay = latencyMicroseconds / 2 + random.below(latencyMicroseconds + 1)
        let arrival = max(scheduler.now.advanced(by: Int64(delay)), pipes[side.rawValue].arrivesAt)
        pipes[side.rawValue].arrivesAt = arrival
        scheduler.at(arrival) { [self] in try arrived(bytes, at: side) }
    }

    private func arrived(_ bytes: [UInt8], at side: Side) throws {
        guard isOpen[side.rawValue] else { return }
        pipes[side.rawValue].partial += bytes
        while isOpen[side.rawValue], let frame = nextFrame(at: side) {
            do {
                try receivers[side.rawValue]?(.frame(FrameCodec.decode(frame), bytes: frame))
            } catch let error as FrameError {
                try receivers[side.rawValue]?(.undecodable(error))
            }
        }
    }

    private func nextFrame(at side: Side) -> [UInt8]? {
        let partial = pipes[side.rawValue].partial
        guard partial.count >= 4 else { return nil }
        let length = partial.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        guard partial.count >= 4 + length else { return nil }
        pipes[side.rawValue].partial.removeFirst(4 + length)
        return Array(partial[4..<4 + length])
    }

    // MARK: Ending

    /// An end is done: the other hears of it after what was sent before.
    func close(_ side: Side, _ reason: String) {
        guard isOpen[side.rawValue] else { return }
        isOpen[side.rawValue] = false
        guard !pipes[side.other.rawValue].isBlocked else { return pipes[side.other.rawValue].closing = reason }
        tellClosed(side.other, reason)
    }

    /// A process is gone without a word; the other end hears nothing, or that the connection was reset.
    func abandon(_ side: Side, silently: Bool) {
        guard isOpen[side.rawValue] else { return }
        isOpen[side.rawValue] = false
        if !silently, !pipes[side.other.rawValue].isBlocked { tellClosed(side.other, "the connection was reset") }
    }

    /// Both ends hear of it, each after what had been sent to it.
    func cut(_ reason: String) {
        guard !isCut else { return }
        isCut = true
        for side in [Side.dialling, .answering] where isOpen[side.rawValue] { tellClosed(side, reason) }
    }

    private func tellClosed(_ side: Side, _ reason: String) {
        let arrival = max(scheduler.now.advanced(by: Int64(latencyMicroseconds)), pipes[side.rawValue].arrivesAt)
        pipes[side.rawValue].arrivesAt = arrival
        scheduler.at(arrival) { [self] in
            guard isOpen[side.rawValue] else { return }
            isOpen[side.rawValue] = false
            try receivers[side.rawValue]?(.closed(reason))
        }
    }

    /// Bytes towards an end get stuck, or get through again.
    func setBlocked(towards side: Side, _ isBlocked: Bool) {
        guard pipes[side.rawValue].isBlocked != isBlocked else { return }
        pipes[side.rawValue].isBlocked = isBlocked
        guard !isBlocked else { return }
        let stuck = pipes[side.rawValue].stuck
        pipes[side.rawValue].stuck = []
        for bytes in stuck { carry(bytes, to: side) }
        if let reason = pipes[side.rawValue].closing { tellClosed(side, reason) }
    }

    /// Neither end takes part any more.
    var isOver: Bool { !isOpen[0] && !isOpen[1] }

    /// Lets go of both ends.
    func forget() {
        isOpen = [false, false]
        receivers = [nil, nil]
    }
}
