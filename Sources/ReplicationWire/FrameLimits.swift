// Every bound on a frame of the exchange. A frame beyond one of them is a violation by the peer.
//
// Invariant: nothing is kept of a frame before its bounds are checked.
internal import ReplicationModel

/// Bounds on frames, which both sides of an exchange keep. Protocols/exchange.md lists them.
public enum FrameLimits {
    /// The version that `Greeting.protocolVersion` carries.
    public static let protocolVersion: UInt32 = 1
    /// The bytes of a whole frame without its 4-byte length. The largest message by far is a change set whose body is as
    /// large as accepted (2 MiB) and whose every value is absent (0.6 MiB of indices), or a vector of 16,384 origins
    /// beside another as large (1.2 MiB); 4 MiB holds both with room, and 64 KiB more the fields around them.
    public static let frameBytes = (4 << 20) + (64 << 10)
    /// The values in one values frame, and so a piece of a large one: small enough that a ping is not kept waiting long
    /// (20 ms at 100 Mbit/s), large enough that framing costs nothing.
    public static let valuesFrameBytes = 256 << 10
    /// All the values beside one change set: what sealing allows, and the one row that may go beyond it.
    public static let besideBytes = UInt64(Limits.besideBytes + Limits.rowBytes)
    /// Values beside one change set: each has more bytes than one in the body may have.
    public static let valuesBeside = Int(besideBytes) / (Limits.inlineValueBytes + 1)
    /// Elements of a repeated field that are bytes, text or messages: 4,096 items of a comparison, 1,024 change sets held,
    /// and 1,022 values of 257 bytes with a piece before and one after. Two bytes on the wire become some hundred in
    /// memory, so they are counted before a frame is decoded.
    public static let elements = 4_096
    /// The greatest sequence number. 16,384 origins (2^14) of 2^48 change sets still add up within 64 bits.
    public static let sequence: UInt64 = 1 << 48
    /// The greatest clock reading and count: any sum or difference of two stays within 64 bits. The year 287396.
    public static let number: UInt64 = 1 << 53
    /// One certificate or revocation.
    public static let rosterRecordBytes = 16 << 10
    /// What a fork proof begins with. It travels among the roster's records, holds two whole bodies, and is bounded by the
    /// frame.
    public static let forkProofMagic = Array("syncfrk1".utf8)
    /// The records in one frame, where there is more than one.
    public static let rosterFrameBytes = 4 << 20
    /// Roster records in one frame; 200 of the largest stay under 4 MiB.
    public static let rosterRecordsInFrame = 200
    /// Roster records that a peer may send in one session: 16 for each of 1,024 nodes.
    public static let rosterRecordsInSession = 16_384
    /// All their bytes: four times what so many nodes have where each was admitted 16 times, at 500 bytes.
    public static let rosterBytesInSession = 32 << 20
    /// Held change sets told in one frame.
    public static let held = 1_024
    /// Text for people, in bytes of UTF-8: a cause, an error's message.
    public static let textBytes = 1_024
    /// Nodes in one ThirdNodes frame, and all entries of their vectors together.
    public static let thirdNodes = 256
    /// See `thirdNodes`; 65,536 entries of 24 bytes and at most 8 stay under 2.2 MiB.
    public static let thirdNodeEntries = 65_536
    /// What a side may have in flight when its peer does not say otherwise.
    public static let defaultWindowBytes: UInt64 = 8 << 20
    /// More than this is never kept in flight, whatever the peer allows.
    public static let greatestWindowBytes: UInt64 = 64 << 20
    /// Ranges in one question.
    public static let comparisonRanges = 256
    /// Parts that all the boundaries of one question cut ranges into; at 255 bytes a boundary, 260 KiB.
    public static let comparisonParts = 1_024
    /// Items listed in one answer, over all its ranges; at 255 bytes a key, 1.1 MiB.
    public static let comparisonItems = 4_096
    /// Items taken apart in one answer; of 64 parts at some 250 bytes each, 1 MiB.
    public static let comparisonKeys = 64
    /// A table has at most 63 fields, and existence.
    public static let comparisonItemParts = 64
    /// Fields of all declared tables together.
    public static let declaredFields = 4_096
    /// Questions that a peer may ask in one session. A thousand differences in ten million rows take a tenth of them.
    public static let comparisonQuestions = 10_000
}
