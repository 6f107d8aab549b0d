// The sending half of a session: what the peer lacks, as fast as its window opens.
//
// Invariant: bytes in flight never exceed the peer's window, but for one change set that is sent alone.
internal import ReplicationModel
internal import ReplicationWire

/// Sends change sets, and waits where the peer has not dealt with those before.
struct OutboundStream: Sendable {
    private struct Queued {
        let dot: Dot
        let frames: [ExchangeFrame]
        let flowBytes: UInt64
        let tally: Tally
        /// The peer asked for it once more.
        var isAgain = false
    }
    private struct InFlight {
        /// `sentBytes` with it.
        let endBytes: UInt64
        let tally: Tally
    }

    let isEnabled: Bool
    var windowBytes = FrameLimits.defaultWindowBytes
    /// Read, and not sent yet for want of room.
    private var queue: [Queued] = []
    private var inFlight: [InFlight] = []
    private(set) var sentBytes: UInt64 = 0
    private(set) var acknowledgedBytes: UInt64 = 0
    /// Acknowledged by the peer, in all.
    private(set) var tally = Tally()
    /// The store is reading.
    private(set) var isReading = false
    /// The store may have something that the peer lacks.
    private var mayHaveMore = true
    private var changedWhileReading = false
    /// The end of the stream was sent, or is implied by what was.
    var isEndTold = false

    init(isEnabled: Bool) { self.isEnabled = isEnabled }

    var inFlightBytes: UInt64 { sentBytes - acknowledgedBytes }
    var isIdle: Bool { queue.isEmpty && !isReading && inFlightBytes == 0 }
    /// Everything that there is was sent.
    var isExhausted: Bool { queue.isEmpty && !isReading && !mayHaveMore }
    /// Whether to ask the store, if the peer lacks anything.
    var wantsToRead: Bool { isEnabled && mayHaveMore && !isReading && queue.isEmpty && inFlightBytes < windowBytes }
    var roomBytes: UInt64 { windowBytes > inFlightBytes ? windowBytes - inFlightBytes : 0 }

    /// The replica has more than it had, or an origin may be sent again.
    mutating func more() {
        mayHaveMore = true
        changedWhileReading = isReading
    }

    /// There is nothing that the peer lacks.
    mutating func nothingMore() { mayHaveMore = false }

    /// Drops what was read and not sent: it is read again, with what stands before it.
    mutating func forgetQueue() { queue.removeAll { !$0.isAgain } }

    /// Something waits that the peer asked for once more.
    var hasAgain: Bool { queue.contains(where: \.isAgain) }

    mutating func reading() {
        isReading = true
        changedWhileReading = false
    }

    /// The store's answer. False: nothing was asked.
    mutating func queue(_ batch: OutgoingBatch) -> Bool {
        guard isReading else { return false }
        isReading = false
        if (batch.reachedEnd || batch.changeSets.isEmpty) && !changedWhileReading { mayHaveMore = false }
        for outgoing in batch.changeSets {
            let frames = FrameCodec.frames(of: outgoing.changeSet)
            queue.append(
                Queued(
                    dot: outgoing.dot, frames: frames, flowBytes: frames.reduce(0) { $0 + $1.flowBytes },
                    tally: Tally(changeSets: 1, changes: outgoing.changes, bytes: outgoing.changeSet.contentBytes)))
        }
        return true
    }

    /// What the peer asked for once more: before everything else.
    mutating func queueAgain(_ outgoing: OutgoingChangeSet) {
        let frames = FrameCodec.frames(of: outgoing.changeSet)
        queue.insert(
            Queued(
                dot: outgoing.dot, frames: frames, flowBytes: frames.reduce(0) { $0 + $1.flowBytes }, tally: Tally(),
                isAgain: true), at: 0)
    }

    /// The next change set that the peer still lacks, if there is room for it.
    mutating func next(for peer: PeerKnowledge) -> (dot: Dot, frames: [ExchangeFrame], isAgain: Bool)? {
        var skipped = 0
        defer { queue.removeFirst(skipped) }
        for candidate in queue {
            guard candidate.isAgain || peer.wants(candidate.dot) else {
                skipped += 1
                continue
            }
            guard inFlightBytes == 0 || candidate.flowBytes <= roomBytes else { return nil }
            skipped += 1
            sentBytes += candidate.flowBytes
            inFlight.append(InFlight(endBytes: sentBytes, tally: candidate.tally))
            return (candidate.dot, candidate.frames, candidate.isAgain)
        }
        return nil
    }

    /// The peer has dealt with so many bytes since the session began. Whether that is news.
    mutating func acknowledged(_ bytes: UInt64) throws(Violation) -> Bool {
        guard bytes <= sentBytes else {
            throw Violation(.acknowledgement, "\(bytes) bytes are acknowledged, and \(sentBytes) were sent")
        }
        guard bytes >= acknowledgedBytes else {
            throw Violation(.acknowledgement, "\(bytes) bytes are acknowledged after \(acknowledgedBytes)")
        }
        guard bytes > acknowledgedBytes else { return false }
        acknowledgedBytes = bytes
        let done = inFlight.prefix { $0.endBytes <= bytes }
        for one in done { tally += one.tally }
        inFlight.removeFirst(done.count)
        return true
    }
}
