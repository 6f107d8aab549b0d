// Every bound on what a peer, or a program that writes, may ask of a node.

/// Limits that all nodes of a workspace share: a change set within them is understood by every node.
public enum Limits {
    /// A text or blob of at most this many bytes stands in the body; a larger one travels beside it. At 256 bytes the
    /// tag, digest and length that stand in for it (35 bytes) cost an eighth of what is saved.
    public static let inlineValueBytes = 256
    /// A larger value is refused when it is written.
    public static let valueBytes = 8 << 20
    /// All values of one row together; more is refused when it is written. A change set can then always be cut so that
    /// it fits memory.
    public static let rowBytes = 16 << 20
    /// Sealing cuts a body before it grows past this.
    public static let bodyBytes = 1 << 20
    /// What a receiver accepts: the last row before the cut may still hold 63 inline values of 256 bytes, a long id and
    /// the names of its table, and a context of many origins stands before it.
    public static let acceptedBodyBytes = 2 << 20
    /// Row changes in one change set.
    public static let rowChanges = 10_000
    /// Sealing cuts before the values beside one body grow past this; a single row of `rowBytes` always fits.
    public static let besideBytes = 32 << 20
    /// Origins in one vector or context. At 24 bytes and a number each, 16,384 stay under half a megabyte.
    public static let origins = 16_384
    /// Origins of one node: what a revocation can list, so that every node can be revoked. A node takes a new one where its
    /// replica was restored or copied, so it has a handful.
    public static let originsOfNode = 960
    /// Change sets of one node that are held: a receiver that says what it holds still gets what was under way, at most the
    /// window of 8 MiB, and the smallest change sets are of some 450 flow bytes.
    public static let heldOfNode = 32_768
    /// Bytes of them with their values: twice the largest window, so that no sender that keeps to the exchange reaches it.
    /// One more that begins below it is kept.
    public static let heldBytesOfNode = 128 << 20
    /// Tables in one change set.
    public static let tables = 256
    /// Bytes of a table's, column's or field's name.
    public static let nameBytes = 128
    /// How far a stamp may lie ahead of the receiver's clock before its change set is held.
    public static let aheadMilliseconds: Int64 = 5 * 60 * 1000
}
