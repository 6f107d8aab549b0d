// The rows of a body as they are read: where they stand, what becomes of them, and that no register is written twice.
//
// Invariant: whether a body is accepted does not depend on what becomes of its rows.
import ReplicationModel

/// A row change where it stands.
struct RowView {
    let kind: RowChangeKind
    /// The bytes of its id.
    let id: Range<Int>
    let stamp: Stamp
    let fieldSet: Int
    /// Where its first cell begins, or would.
    let cells: Int
}

/// What becomes of the rows of a table as they are read.
protocol RowCollector {
    init(rowCount: Int)
    mutating func append(_ row: RowView, _ cells: [ChangeSetReader.CellView], _ reader: ChangeSetReader)
}

/// Rows that outlive the body.
struct RowArray: RowCollector {
    private(set) var rows: [RowChange] = []

    init(rowCount: Int) { rows.reserveCapacity(rowCount) }

    @inline(__always)
    mutating func append(_ row: RowView, _ cells: [ChangeSetReader.CellView], _ reader: ChangeSetReader) {
        rows.append(
            RowChange(
                kind: row.kind, id: RowID(bytes: reader.array(row.id)), stamp: row.stamp, fieldSet: row.fieldSet,
                cells: cells.map { reader.cell($0) }))
    }
}

/// Rows that are only looked at.
struct NoRows: RowCollector {
    init(rowCount: Int) {}
    @inline(__always)
    mutating func append(_ row: RowView, _ cells: [ChangeSetReader.CellView], _ reader: ChangeSetReader) {}
}

/// A table as it was read.
struct ReadTable<Rows: RowCollector> {
    let name: String
    let fields: [Field]
    let fieldSets: [FieldSet]
    let rows: Rows
}

/// Tells whether a register is written twice in one table.
///
/// While ids ascend, as those of rows made one after another do, they are distinct and nothing is stored; from the first
/// that does not, every id stands in a dictionary with the registers written.
struct RegisterCheck {
    /// Fields use the lower 63 bits.
    static let existence: UInt64 = 1 << 63

    private let rowCount: Int
    private var written: [RowID: UInt64] = [:]
    private var ascending = true
    private var admitted: [(id: Range<Int>, mask: UInt64)] = []

    init(rowCount: Int) {
        self.rowCount = rowCount
        admitted.reserveCapacity(rowCount)
    }

    /// - Parameter body: where the ids stand.
    mutating func admit(_ id: Range<Int>, _ mask: UInt64, _ body: ChangeSetReader) -> Bool {
        if ascending {
            guard let last = admitted.last, !Self.precedes(body[last.id], body[id]) else {
                admitted.append((id, mask))
                return true
            }
            ascending = false
            written.reserveCapacity(rowCount)
            for (id, mask) in admitted { written[RowID(bytes: body.array(id))] = mask }
        }
        return add(mask, to: RowID(bytes: body.array(id)))
    }

    /// Byte order.
    private static func precedes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        for index in 0..<min(left.count, right.count) where left[index] != right[index] {
            return left[index] < right[index]
        }
        return left.count < right.count
    }

    private mutating func add(_ mask: UInt64, to id: RowID) -> Bool {
        let before = written[id, default: 0]
        written[id] = before | mask
        return before & mask == 0
    }
}
