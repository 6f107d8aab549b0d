// The roster's part of a session: which side still has to tell the other.
//
// Invariant: records that came before a change set are merged before it is applied, as its author may stand in them.
internal import ReplicationWire

/// Sends this side's roster where the digests differ, and queues what the peer sends.
struct RosterExchange: Sendable {
    enum Sending: Sendable { case nothing, wanted, reading }

    private(set) var sending = Sending.nothing
    /// This side's roster as it was said to be since its records are being read: they may be from before that.
    private var changedWhileReading: [UInt8]?
    /// The peer's digest differed when it greeted, so its records will come.
    private(set) var awaitsPeer = false
    private var waiting: [RosterRecords] = []
    private var merging: RosterRecords?
    private var receivedRecords = 0
    private var receivedBytes = 0
    /// This side's roster went out in this session, as it was with these digests.
    private var toldDigests: Set<[UInt8]> = []
    /// Records that went out in this session, or came: the peer has them.
    private var told: Set<[UInt8]> = []
    /// What was told, with what came of the peer since: what the peer ends with as well. Nil where other records may have come
    /// in here meanwhile, from another session.
    private var jointDigest: [UInt8]?
    private(set) var peerDigest: [UInt8] = []

    /// Both sides have nothing more to tell or merge.
    var isSettled: Bool { sending == .nothing && !awaitsPeer && isMerged }
    /// Everything that came is merged.
    var isMerged: Bool { merging == nil && waiting.isEmpty }

    /// The peer greeted.
    mutating func greeted(peer: [UInt8], ours: [UInt8]) {
        peerDigest = peer
        guard peer != ours else { return }
        awaitsPeer = true
        sending = .wanted
    }

    /// This side's roster changed by other means than this session.
    mutating func changed(to ours: [UInt8]) {
        if sending == .reading {
            changedWhileReading = ours
        } else if ours != peerDigest, !toldDigests.contains(ours) {
            sending = .wanted
        }
    }

    mutating func startReading() -> Bool {
        guard sending == .wanted else { return false }
        sending = .reading
        return true
    }

    /// The frames for this side's roster; nil where they were not asked for. What is known to have come in while it was read is
    /// told next, and nothing else: what was read may be newer than all that this session has heard of its own side.
    ///
    /// - Parameters:
    ///   - all: the roster's records; those that the peer has are left out.
    ///   - digest: of all.
    mutating func frames(_ all: [[UInt8]], digest: [UInt8]) -> [ExchangeFrame]? {
        guard sending == .reading else { return nil }
        sending = .nothing
        let records = all.filter { told.insert($0).inserted }
        toldDigests.insert(digest)
        jointDigest = digest
        if let changed = changedWhileReading.take() { self.changed(to: changed) }
        let step = FrameLimits.rosterRecordsInFrame
        var frames: [ExchangeFrame] = []
        var start = 0
        repeat {
            var end = start
            var bytes = 0
            // A fork proof may be as large as the rest of a roster.
            while end < records.count, end - start < step {
                bytes += records[end].count
                guard end == start || bytes <= FrameLimits.rosterFrameBytes else { break }
                end += 1
            }
            let part = RosterRecords(records: Array(records[start..<end]), digest: digest, more: end < records.count)
            frames.append(.rosterRecords(part))
            start = end
        } while start < records.count
        return frames
    }

    mutating func received(_ records: RosterRecords) throws(Violation) {
        receivedRecords += records.records.count
        // A frame without records counts too, so that a flood of them ends as well.
        if records.records.isEmpty { receivedRecords += 1 }
        guard receivedRecords <= FrameLimits.rosterRecordsInSession else {
            throw Violation(.tooLarge, "more than \(FrameLimits.rosterRecordsInSession) roster records")
        }
        receivedBytes += records.records.reduce(0) { $0 + $1.count }
        guard receivedBytes <= FrameLimits.rosterBytesInSession else {
            throw Violation(.tooLarge, "more than \(FrameLimits.rosterBytesInSession) bytes of roster records")
        }
        told.formUnion(records.records)
        waiting.append(records)
    }

    mutating func nextToMerge() -> [[UInt8]]? {
        guard merging == nil, !waiting.isEmpty else { return nil }
        let next = waiting.removeFirst()
        merging = next
        return next.records
    }

    /// The store has merged; `ours` is the digest now, and `before` was what nothing but these records was added to. False: nothing
    /// was asked.
    mutating func merged(before: [UInt8]?, ours: [UInt8]) -> Bool {
        guard let done = merging else { return false }
        merging = nil
        jointDigest = jointDigest != nil && jointDigest == before ? ours : nil
        guard !done.more else { return true }
        awaitsPeer = false
        peerDigest = done.digest
        if jointDigest != nil {
            // The peer has our records and merges them into its own: it ends with what we end with.
            toldDigests.insert(ours)
            peerDigest = ours
        } else {
            changed(to: ours)
        }
        return true
    }
}
