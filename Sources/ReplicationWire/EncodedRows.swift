// Row changes whose cells are bytes already: a body is written from them without a value ever being held.
//
// Invariant: the body is the one that `encode` gives for the same change set in the form of `normalized()`.
public import ReplicationModel

/// Cells, one after another, as they stand in a body.
public struct CellEncoder: Sendable {
    fileprivate var writer = ChangeSetWriter(capacity: 0)

    public init() {}

    /// Bytes so far: where the next cell begins.
    public var byteCount: Int { writer.bytes.count }

    public mutating func append(_ cell: Cell) { writer.write(cell) }

    /// A text or blob of at most `Limits.inlineValueBytes`, which are only read during the call.
    public mutating func append(_ kind: LargeValue.Kind, _ bytes: UnsafeRawBufferPointer) {
        writer.write(kind, bytes)
    }
}

/// One row change.
public struct EncodedRowChange: Sendable {
    public let kind: RowChangeKind
    public let id: RowID
    public let stamp: Stamp
    /// Bit n: field n of the table is written. Of no meaning where the kind lists no fields.
    public let fields: UInt64
    /// The bytes of its cells, in the encoder they were written with.
    public let cells: Range<Int>

    public init(kind: RowChangeKind, id: RowID, stamp: Stamp, fields: UInt64, cells: Range<Int>) {
        self.kind = kind
        self.id = id
        self.stamp = stamp
        self.fields = fields
        self.cells = cells
    }
}

/// The row changes of one table, in ascending order of their stamps.
public struct EncodedTableChanges: Sendable {
    public let table: String
    /// At most 63, of which some may not be written at all.
    public let fields: [Field]
    public let rows: [EncodedRowChange]

    public init(table: String, fields: [Field], rows: [EncodedRowChange]) {
        self.table = table
        self.fields = fields
        self.rows = rows
    }
}

extension ChangeSetCodec {
    /// The canonical bytes of a change set whose cells stand in `cells`. Tables ascend by name.
    public static func encode(
        _ header: ChangeSetHeader, _ tables: [EncodedTableChanges], cells: CellEncoder
    ) -> [UInt8] {
        var size = encodedSizeUpperBound(ofHeaderWithContext: header.contextChanges.count)
        for table in tables {
            size += encodedSizeUpperBound(ofTable: table.table, fields: table.fields, fieldSetCount: table.rows.count)
            for row in table.rows { size += encodedSizeUpperBound(of: row) }
        }
        var writer = ChangeSetWriter(capacity: size)
        writer.write(header, tableCount: tables.count)
        for table in tables { writer.write(table, after: header.firstStamp, cells: cells.writer.bytes) }
        return writer.bytes
    }

    private static func encodedSizeUpperBound(of row: EncodedRowChange) -> Int {
        encodedSizeUpperBound(of: RowChange(kind: row.kind, id: row.id, stamp: row.stamp, fieldSet: 0, cells: []))
            + row.cells.count
    }
}

extension ChangeSetWriter {
    fileprivate mutating func write(_ table: EncodedTableChanges, after firstStamp: Stamp, cells: [UInt8]) {
        // Most rows write what the row before wrote.
        var sets: [UInt64] = []
        for row in table.rows where row.kind.listsFields && row.fields != sets.last && !sets.contains(row.fields) {
            sets.append(row.fields)
        }
        sets.sort()
        let used = sets.reduce(0, |)
        begin(
            table.table, fields: table.fields.indices.filter { used >> UInt64($0) & 1 == 1 }.map { table.fields[$0] },
            fieldSets: sets.map { Self.compress($0, to: used) }, rowCount: table.rows.count)
        var stamp = firstStamp
        var place = 0
        for row in table.rows {
            precondition(row.stamp >= stamp, "rows of \(table.table) are not in the order of their stamps")
            begin(row.kind, row.id, step: row.stamp.rawValue - stamp.rawValue)
            stamp = row.stamp
            guard row.kind.listsFields else { continue }
            if sets[place] != row.fields { place = sets.firstIndex(of: row.fields) ?? 0 }
            append(fieldSet: place, cells: cells[row.cells])
        }
    }

    /// The bits of a mask that `used` has, moved together: a mask of the fields that are listed. Order is kept.
    private static func compress(_ mask: UInt64, to used: UInt64) -> UInt64 {
        var result: UInt64 = 0
        var rest = used
        var place: UInt64 = 0
        while rest != 0 {
            result |= (mask >> UInt64(rest.trailingZeroBitCount) & 1) << place
            rest &= rest - 1
            place += 1
        }
        return result
    }
}
