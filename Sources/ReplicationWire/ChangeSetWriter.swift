// Writes a change set as its canonical bytes, and tells beforehand how many they can be.
//
// Invariant: there is one way to write each value, and it is the shortest; nothing here depends on anything but the
// change set.
public import ReplicationModel

extension ChangeSetCodec {
    /// The most bytes a varint of 63 bits takes.
    private static let greatestVarint = 9

    /// The bytes that `cell` takes, exactly.
    public static func encodedSize(of cell: Cell) -> Int {
        switch cell {
        case .inline(.null): 1
        case .inline(.integer(let value)): 1 + varintSize(zigzag(value))
        case .inline(.real): 9
        case .inline(.text(let bytes)), .inline(.blob(let bytes)):
            bytes.count + (bytes.count < ChangeSetFormat.shortBytes ? 1 : 2)
        case .beside(let value): 33 + varintSize(value.byteCount)
        }
    }

    /// At least the bytes that a row change takes, and at most 10 more: the sealer cuts by the sum.
    public static func encodedSizeUpperBound(of row: RowChange) -> Int {
        // A kind and a length; a stamp; a field set out of at most `Limits.rowChanges`.
        row.cells.reduce(2 + row.id.bytes.count + greatestVarint + 2) { $0 + encodedSize(of: $1) }
    }

    /// At least the bytes that a table's names and field sets take: what stands before its rows.
    public static func encodedSizeUpperBound(ofTable name: String, fields: [Field], fieldSetCount: Int) -> Int {
        let names = fields.reduce(nameSize(name)) { sum, field in
            field.columns.reduce(sum + nameSize(field.name) + 1) { $0 + nameSize($1) }
        }
        // The counts of fields, field sets and rows.
        return names + 1 + 2 + 2 + fieldSetCount * greatestVarint
    }

    /// At least the bytes of everything before the first table, with so many entries in the context.
    public static func encodedSizeUpperBound(ofHeaderWithContext entries: Int) -> Int {
        // Magic, origin, previous; sequence, first stamp, range, two totals, changes, bytes beside; two counts.
        4 + 24 + 32 + 7 * greatestVarint + 3 + 2 + entries * (24 + greatestVarint)
    }

    /// At least the bytes of the whole body.
    public static func encodedSizeUpperBound(of changeSet: ChangeSet) -> Int {
        var size = encodedSizeUpperBound(ofHeaderWithContext: changeSet.header.contextChanges.count)
        for table in changeSet.tables {
            size += encodedSizeUpperBound(
                ofTable: table.table, fields: table.fields, fieldSetCount: table.fieldSets.count)
            for row in table.rows { size += encodedSizeUpperBound(of: row) }
        }
        return size
    }

    private static func nameSize(_ name: String) -> Int { 2 + name.utf8.count }

    fileprivate static func varintSize(_ value: UInt64) -> Int {
        value < 0x80 ? 1 : (70 - (value | 1).leadingZeroBitCount) / 7
    }

    @inline(__always)
    fileprivate static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }
}

struct ChangeSetWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func write(_ changeSet: ChangeSet) {
        write(changeSet.header, tableCount: changeSet.tables.count)
        for table in changeSet.tables { write(table, after: changeSet.header.firstStamp) }
    }

    mutating func write(_ header: ChangeSetHeader, tableCount: Int) {
        bytes += ChangeSetFormat.magic
        write(header.origin)
        varint(header.sequence.rawValue)
        write(header.previous)
        varint(header.contextChanges.count)
        for (origin, sequence) in header.contextChanges.sorted {
            write(origin)
            varint(sequence.rawValue)
        }
        varint(UInt64(header.firstStamp.rawValue))
        precondition(header.lastStamp >= header.firstStamp, "the last stamp is before the first")
        varint(UInt64(header.lastStamp.rawValue - header.firstStamp.rawValue))
        varint(header.totalsBefore.changes)
        varint(header.totalsBefore.bytes)
        varint(header.changes)
        varint(header.besideBytes)
        varint(tableCount)
    }

    private mutating func write(_ table: TableChanges, after firstStamp: Stamp) {
        begin(
            table.table, fields: table.fields, fieldSets: table.fieldSets.map(fieldSetMask), rowCount: table.rows.count)
        let columnCounts = table.fieldSets.map { $0.reduce(0) { $0 + table.fields[$1].columns.count } }
        var stamp = firstStamp
        for row in table.rows {
            precondition(row.stamp >= stamp, "rows of \(table.table) are not in the order of their stamps")
            write(row, after: stamp, columnCounts)
            stamp = row.stamp
        }
    }

    /// What stands before a table's rows.
    mutating func begin(_ table: String, fields: [Field], fieldSets: [UInt64], rowCount: Int) {
        write(name: table)
        varint(fields.count)
        for field in fields {
            write(name: field.name)
            varint(field.columns.count)
            for column in field.columns { write(name: column) }
        }
        varint(fieldSets.count)
        for fieldSet in fieldSets { varint(fieldSet) }
        varint(rowCount)
    }

    /// What every row change begins with.
    @inline(__always)
    mutating func begin(_ kind: RowChangeKind, _ id: RowID, step: Int64) {
        bytes.append(kind.rawValue)
        precondition(id.bytes.count <= RowID.byteCountLimit, "a row's id is too long")
        bytes.append(UInt8(id.bytes.count))
        bytes += id.bytes
        varint(UInt64(step))
    }

    /// The rest of a row change that lists fields.
    mutating func append(fieldSet: Int, cells: ArraySlice<UInt8>) {
        varint(fieldSet)
        bytes += cells
    }

    @inline(__always)
    private mutating func write(_ row: RowChange, after stamp: Stamp, _ columnCounts: [Int]) {
        begin(row.kind, row.id, step: row.stamp.rawValue - stamp.rawValue)
        guard row.kind.listsFields else {
            precondition(row.cells.isEmpty, "a row change that lists no field has cells")
            return
        }
        precondition(row.cells.count == columnCounts[row.fieldSet], "a row change has not one cell a column")
        varint(row.fieldSet)
        for cell in row.cells { write(cell) }
    }

    @inline(__always)
    mutating func write(_ cell: Cell) {
        typealias Tag = ChangeSetFormat.Tag
        switch cell {
        case .inline(.null): bytes.append(Tag.null)
        case .inline(.integer(let value)):
            bytes.append(Tag.integer)
            varint(ChangeSetCodec.zigzag(value))
        case .inline(.real(let value)):
            bytes.append(Tag.real)
            bigEndian(value.bitPattern)
        case .inline(.text(let text)): text.withUnsafeBytes { write(.text, $0) }
        case .inline(.blob(let blob)): blob.withUnsafeBytes { write(.blob, $0) }
        case .beside(let value):
            bytes.append(value.kind == .text ? Tag.besideText : Tag.besideBlob)
            write(value.digest)
            varint(value.byteCount)
        }
    }

    /// A text or blob that stands in the body.
    mutating func write(_ kind: LargeValue.Kind, _ value: UnsafeRawBufferPointer) {
        typealias Tag = ChangeSetFormat.Tag
        if value.count < ChangeSetFormat.shortBytes {
            bytes.append((kind == .text ? Tag.shortText : Tag.shortBlob) | UInt8(value.count))
        } else {
            precondition(value.count <= Limits.inlineValueBytes, "a large value stands in the body")
            bytes.append(kind == .text ? Tag.longText : Tag.longBlob)
            bytes.append(UInt8(value.count - ChangeSetFormat.shortBytes))
        }
        bytes += value
    }

    private func fieldSetMask(_ fieldSet: [Int]) -> UInt64 {
        fieldSet.reduce(0) { mask, index in
            precondition(
                (0..<Table.columnLimit).contains(index) && mask >> UInt64(index) == 0, "a field set does not ascend")
            return mask | 1 << UInt64(index)
        }
    }

    private mutating func write(name: String) {
        varint(name.utf8.count)
        bytes += name.utf8
    }

    private mutating func write(_ origin: Origin) {
        write(origin.node.identifier)
        bigEndian(origin.incarnation)
    }

    private mutating func write(_ digest: Digest) {
        write(digest.first)
        write(digest.second)
    }

    private mutating func write(_ identifier: Identifier128) {
        bigEndian(identifier.high)
        bigEndian(identifier.low)
    }

    private mutating func bigEndian(_ value: UInt64) {
        withUnsafeBytes(of: value.bigEndian) { bytes += $0 }
    }

    private mutating func varint(_ value: Int) { varint(UInt64(value)) }

    @inline(__always)
    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
