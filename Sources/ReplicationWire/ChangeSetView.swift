// A change set where it stands: rows and cells are places in the body, and nothing is copied out before it is asked for.
//
// Invariant: the body was accepted whole, by the rules of `decode`, and never changes; so reading it again cannot fail.
public import ReplicationModel

/// A change set that was read and checked, and still lies in its body.
public struct ChangeSetView: Sendable {
    public let header: ChangeSetHeader
    public let tables: [TableView]
    /// What stands beside the body, in order.
    public let besideCells: [LargeValue]
    /// The bytes it lies in.
    public let body: [UInt8]

    /// Checks every rule of form that `ChangeSetCodec.decode` checks.
    public init(_ body: [UInt8]) throws(ChangeSetFormatError) {
        let (header, tables) = try ChangeSetCodec.reading(body) { (reader) throws(ChangeSetFormatError) in
            try reader.changeSet(RowPlaces.self)
        }
        self.header = header
        self.body = body
        self.tables = tables.map(TableView.init)
        besideCells = tables.count == 1 ? tables[0].rows.beside : tables.flatMap(\.rows.beside)
    }

    /// The same with its values: what `ChangeSetCodec.decode` gives of the body.
    public var changeSet: ChangeSet {
        withRows { reader in
            ChangeSet(
                header: header,
                tables: tables.map { table in
                    TableChanges(
                        table: table.table, fields: table.fields, fieldSets: table.fieldSets,
                        rows: table.rows.map { reader.row($0) })
                })
        }
    }

    /// Lends the body's bytes to be read where they are.
    public func withRows<Result>(_ read: (RowReader) throws -> Result) rethrows -> Result {
        try body.withUnsafeBytes { try read(RowReader($0)) }
    }
}

/// The row changes of one table, as places.
public struct TableView: Sendable {
    public let table: String
    /// Fields that some row change writes.
    public let fields: [Field]
    /// Each a list of indices into `fields`.
    public let fieldSets: [[Int]]
    /// In ascending order of their stamps.
    public let rows: [RowPlace]
    /// Whether some cell holds an integer or a real.
    public let holdsNumbers: Bool

    fileprivate init(_ table: ReadTable<RowPlaces>) {
        self.table = table.name
        fields = table.fields
        fieldSets = table.fieldSets.map(\.indices)
        rows = table.rows.rows
        holdsNumbers = table.rows.holdsNumbers
    }
}

/// One row change, as a place.
public struct RowPlace: Sendable {
    public let kind: RowChangeKind
    public let stamp: Stamp
    /// Index into the table's field sets; of no meaning where the kind lists no fields.
    public let fieldSet: Int
    /// How many of its cells stand beside the body.
    public let besideCount: Int
    fileprivate let cellCount: Int
    fileprivate let cells: Int
    fileprivate let id: Range<Int>
}

/// What a column is given, read where it stands.
public enum CellPlace {
    case null
    case integer(Int64)
    case real(Double)
    case inline(LargeValue.Kind, UnsafeRawBufferPointer)
    case beside(LargeValue)
}

/// Reads the rows of one body while its bytes are lent; what it gives must not outlive that.
public struct RowReader {
    private let bytes: UnsafeRawBufferPointer

    fileprivate init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The bytes of a row's id.
    public func id(of row: RowPlace) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[row.id]) }

    /// The cells of a row, in order.
    ///
    /// - Parameter take: given the cell's index and what is there.
    public func forEachCell(of row: RowPlace, _ take: (Int, CellPlace) throws -> Void) rethrows {
        var reader = ChangeSetReader(bytes, at: row.cells)
        for index in 0..<row.cellCount {
            switch Self.next(&reader) {
            case .null: try take(index, .null)
            case .integer(let value): try take(index, .integer(value))
            case .real(let value): try take(index, .real(value))
            case .inline(let kind, let range): try take(index, .inline(kind, reader[range]))
            case .beside(let value): try take(index, .beside(value))
            }
        }
    }

    /// The row change with its values.
    public func row(_ row: RowPlace) -> RowChange {
        var reader = ChangeSetReader(bytes, at: row.cells)
        return RowChange(
            kind: row.kind, id: RowID(bytes: reader.array(row.id)), stamp: row.stamp, fieldSet: row.fieldSet,
            cells: (0..<row.cellCount).map { _ in reader.cell(Self.next(&reader)) })
    }

    @inline(__always)
    private static func next(_ reader: inout ChangeSetReader) -> ChangeSetReader.CellView {
        do {
            return try reader.cellView()
        } catch {
            preconditionFailure("a body that was accepted reads otherwise: \(error)")
        }
    }
}

/// Where the rows of a table stand.
struct RowPlaces: RowCollector {
    private(set) var rows: [RowPlace] = []
    private(set) var beside: [LargeValue] = []
    private(set) var holdsNumbers = false

    init(rowCount: Int) { rows.reserveCapacity(rowCount) }

    @inline(__always)
    mutating func append(_ row: RowView, _ cells: [ChangeSetReader.CellView], _ reader: ChangeSetReader) {
        let before = beside.count
        for cell in cells {
            switch cell {
            case .beside(let value): beside.append(value)
            case .integer, .real: holdsNumbers = true
            case .null, .inline: break
            }
        }
        rows.append(
            RowPlace(
                kind: row.kind, stamp: row.stamp, fieldSet: row.fieldSet, besideCount: beside.count - before,
                cellCount: cells.count, cells: row.cells, id: row.id))
    }
}
