// The high-water mark: what this node had sealed, kept beside the replica and not in it.
//
// Invariant: no peer has a change set of the mark's origin that lies beyond the mark; nor, but for the moment after a
// commit and what a power cut takes, has any replica.

public import ReplicationModel

/// How far an origin had sealed. A replica that does not reach it was
/// restored from a copy, and would give out sequence numbers a second time.
public struct HighWaterMark: Hashable, Sendable {
    /// Under which the replica seals.
    public let origin: Origin
    /// Of its last change set; zero stands before the first.
    public let sequence: SequenceNumber
    /// Of that change set's body.
    public let digest: Digest
    /// The last stamp given out: what is written later is stamped later, even where the replica forgot.
    public let lastStamp: Stamp

    public init(origin: Origin, sequence: SequenceNumber, digest: Digest, lastStamp: Stamp) {
        self.origin = origin
        self.sequence = sequence
        self.digest = digest
        self.lastStamp = lastStamp
    }
}

/// What is found where the mark should be.
public enum HighWaterReading: Hashable, Sendable {
    case mark(HighWaterMark)
    case absent
    /// It does not read as it was written.
    case damaged(cause: String)
    /// It was written elsewhere: on another machine, or into the file that this one is a copy of.
    case copied(cause: String, HighWaterMark)
}

/// Where a high-water mark is kept. It must outlive the replica: whatever takes the replica back must not take this back.
public protocol HighWaterMarkStorage: Sendable {
    /// - Throws: where it cannot be told what is there.
    func read() throws -> HighWaterReading

    /// Reads, and writes what `body` returns, if anything: durable when this returns, and with no other process's
    /// `update` between.
    func update(_ body: (HighWaterReading) throws -> HighWaterMark?) throws

    /// The same, but a power cut may take it back; the end of the program does not.
    func updateUnsynced(_ body: (HighWaterReading) throws -> HighWaterMark?) throws
}

extension HighWaterMarkStorage {
    public func updateUnsynced(_ body: (HighWaterReading) throws -> HighWaterMark?) throws { try update(body) }
}
