// Change sets: what an origin wrote, in the unit that is signed, sent and applied.

/// One column's value inside a change set's body.
public enum Cell: Hashable, Sendable {
    /// At most `Limits.inlineValueBytes` of text or blob.
    case inline(Value)
    /// A larger text or blob, which travels beside the body.
    case beside(LargeValue)
}

/// What the body says of a value that travels beside it.
public struct LargeValue: Hashable, Sendable {
    public enum Kind: UInt8, Sendable { case text, blob }
    public let kind: Kind
    public let digest: Digest
    public let byteCount: UInt64

    public init(kind: Kind, digest: Digest, byteCount: UInt64) {
        self.kind = kind
        self.digest = digest
        self.byteCount = byteCount
    }
}

/// What a row change does to the row's existence.
public enum RowChangeKind: UInt8, Sendable {
    /// Existence becomes alive; every field listed is written.
    case insert = 1
    /// Existence is not touched; every field listed is written.
    case update = 2
    /// Existence becomes deleted; no field is listed.
    case delete = 3
    /// Existence becomes alive with the values in the graveyard; no field is listed.
    case undelete = 4

    public var writesExistence: Bool { self != .update }
}

/// One write of one row. All of it carries one stamp. Within a change set no register is written twice.
public struct RowChange: Hashable, Sendable {
    public let kind: RowChangeKind
    public let id: RowID
    public let stamp: Stamp
    /// Which fields are written: an index into `TableChanges.fieldSets`.
    public let fieldSet: Int
    /// The values: for each field of the field set in order, for each of its columns in order.
    public let cells: [Cell]

    public init(kind: RowChangeKind, id: RowID, stamp: Stamp, fieldSet: Int, cells: [Cell]) {
        self.kind = kind
        self.id = id
        self.stamp = stamp
        self.fieldSet = fieldSet
        self.cells = cells
    }
}

/// The row changes of one table, which names what it speaks of, so that a node with another schema understands it.
public struct TableChanges: Hashable, Sendable {
    public let table: String
    public let fields: [Field]
    /// Each an ascending list of indices into `fields`.
    public let fieldSets: [[Int]]
    /// In ascending order of their stamps.
    public let rows: [RowChange]

    public init(table: String, fields: [Field], fieldSets: [[Int]], rows: [RowChange]) {
        self.table = table
        self.fields = fields
        self.fieldSets = fieldSets
        self.rows = rows
    }
}

/// How much an origin has written up to and with some change set. Signed with it, so that lag in changes and bytes is a
/// subtraction, and the same one everywhere.
public struct Totals: Hashable, Sendable {
    /// Field writes: a row change counts the fields it lists, and one more where it writes existence.
    public var changes: UInt64
    /// Bytes of bodies and of the values beside them.
    public var bytes: UInt64

    public init(changes: UInt64, bytes: UInt64) {
        self.changes = changes
        self.bytes = bytes
    }
    public static let zero = Totals(changes: 0, bytes: 0)
}

/// Everything in a change set but its rows.
public struct ChangeSetHeader: Hashable, Sendable {
    public let origin: Origin
    public let sequence: SequenceNumber
    /// Digest of the body of the origin's previous change set; `Digest.none` for the first.
    public let previous: Digest
    /// The entries of the causal context that changed since the origin's previous change set, its own origin left out.
    public let contextChanges: VersionVector
    /// The least and the greatest stamp of its row changes.
    public let firstStamp: Stamp
    public let lastStamp: Stamp
    /// Of the origin, before this change set.
    public let totalsBefore: Totals
    /// Field writes in this change set.
    public let changes: UInt64
    /// Bytes of the values beside it.
    public let besideBytes: UInt64

    public init(
        origin: Origin, sequence: SequenceNumber, previous: Digest, contextChanges: VersionVector, firstStamp: Stamp,
        lastStamp: Stamp, totalsBefore: Totals, changes: UInt64, besideBytes: UInt64
    ) {
        self.origin = origin
        self.sequence = sequence
        self.previous = previous
        self.contextChanges = contextChanges
        self.firstStamp = firstStamp
        self.lastStamp = lastStamp
        self.totalsBefore = totalsBefore
        self.changes = changes
        self.besideBytes = besideBytes
    }

    public var dot: Dot { Dot(origin: origin, sequence: sequence) }
}

/// The body of a change set, decoded.
public struct ChangeSet: Hashable, Sendable {
    public let header: ChangeSetHeader
    public let tables: [TableChanges]

    public init(header: ChangeSetHeader, tables: [TableChanges]) {
        self.header = header
        self.tables = tables
    }
}

/// A change set as it is kept and sent: the signed bytes, the signature, and the values beside them.
public struct SealedChangeSet: Hashable, Sendable {
    public let body: [UInt8]
    /// Ed25519, 64 bytes.
    public let signature: [UInt8]
    /// For each `Cell.beside` of the body, in order: its bytes, or nil where it is absent because a later change set of
    /// the same stream supersedes it.
    public let values: [[UInt8]?]

    public init(body: [UInt8], signature: [UInt8], values: [[UInt8]?]) {
        self.body = body
        self.signature = signature
        self.values = values
    }
}
