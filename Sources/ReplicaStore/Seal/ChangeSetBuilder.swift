// One change set as it grows while sealing.
//
// Invariant: what it holds encodes to a body within `Limits`.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

/// Cells that were encoded one after another: their place, and an upper bound on what they add to a change set.
struct EncodedCells {
    var range: Range<Int>
    var bodyCost = 0
    var besideBytes = 0
}

extension CellEncoder {
    /// Encodes a value as it stands in a body, and counts it.
    mutating func append(_ value: Value, to cells: inout EncodedCells) {
        append(ChangeSetBuilder.cell(value), to: &cells)
    }

    /// The same of a column, whose bytes are read where SQLite holds them.
    mutating func append(_ column: Int32, of statement: Statement, to cells: inout EncodedCells) {
        guard let kind = statement.kind(column) else { return append(statement.cell(column), to: &cells) }
        let isInline = statement.withBytes(column) { bytes in
            guard bytes.count <= Limits.inlineValueBytes else { return false }
            append(kind, bytes)
            cells.countInline(bytes.count, upTo: byteCount)
            return true
        }
        if !isInline { append(statement.cell(column), to: &cells) }
    }

    private mutating func append(_ cell: Cell, to cells: inout EncodedCells) {
        append(cell)
        switch cell {
        case .inline(let value): cells.countInline(value.byteCount, upTo: byteCount)
        case .beside(let large): cells.count(large, upTo: byteCount)
        }
    }
}

extension EncodedCells {
    fileprivate mutating func countInline(_ bytes: Int, upTo end: Int) {
        bodyCost += 11 + bytes
        range = range.lowerBound..<end
    }

    fileprivate mutating func count(_ large: LargeValue, upTo end: Int) {
        bodyCost += 44
        besideBytes += Int(large.byteCount)
        range = range.lowerBound..<end
    }
}

struct ChangeSetBuilder {
    /// How much of the limits some row changes take up.
    struct Size {
        private var rows = 0
        private var body = 0
        private(set) var beside = 0
        var isEmpty: Bool { rows == 0 }

        /// Counts one more; false, and unchanged, where it does not fit. One always fits alone.
        mutating func add(_ id: RowID, _ cells: EncodedCells) -> Bool {
            // An upper bound on what stands beside the cells: kind, field set, stamp and lengths.
            let cost = 24 + id.bytes.count + cells.bodyCost
            let fits =
                rows < Limits.rowChanges && body + cost <= Limits.bodyBytes
                && beside + cells.besideBytes <= Limits.besideBytes
            guard fits || isEmpty else { return false }
            rows += 1
            body += cost
            beside += cells.besideBytes
            return true
        }
    }

    private let tables: [CompiledTable]
    private var parts: [[EncodedRowChange]]
    private var size = Size()
    private var changes: UInt64 = 0
    private var firstStamp = Stamp.greatest
    private var lastStamp = Stamp.zero

    init(tables: [CompiledTable]) {
        self.tables = tables
        parts = tables.map { _ in [] }
    }

    var isEmpty: Bool { size.isEmpty }

    /// How a value stands in a body.
    static func cell(_ value: Value) -> Cell {
        switch value {
        case .text(let bytes) where bytes.count > Limits.inlineValueBytes:
            .beside(LargeValue(kind: .text, digest: SHA256.digest(bytes), byteCount: UInt64(bytes.count)))
        case .blob(let bytes) where bytes.count > Limits.inlineValueBytes:
            .beside(LargeValue(kind: .blob, digest: SHA256.digest(bytes), byteCount: UInt64(bytes.count)))
        default: .inline(value)
        }
    }

    /// - Parameter fields: bit n: field n of the table is written.
    mutating func add(
        table: Int, kind: RowChangeKind, id: RowID, stamp: Stamp, fields: UInt64, cells: EncodedCells
    ) {
        let fits = size.add(id, cells)
        precondition(fits, "a change set is cut before it is full")
        changes += UInt64(fields.nonzeroBitCount) + (kind.writesExistence ? 1 : 0)
        firstStamp = min(firstStamp, stamp)
        lastStamp = max(lastStamp, stamp)
        parts[table].append(EncodedRowChange(kind: kind, id: id, stamp: stamp, fields: fields, cells: cells.range))
    }

    /// Header and body, of cells that were encoded with `encoder`.
    func changeSet(
        origin: Origin, sequence: SequenceNumber, previous: Digest, contextChanges: VersionVector, totalsBefore: Totals,
        encoder: CellEncoder
    ) -> (header: ChangeSetHeader, body: [UInt8]) {
        let header = ChangeSetHeader(
            origin: origin, sequence: sequence, previous: previous, contextChanges: contextChanges,
            firstStamp: firstStamp, lastStamp: lastStamp, totalsBefore: totalsBefore, changes: changes,
            besideBytes: UInt64(size.beside))
        let changed = zip(tables, parts).filter { !$0.1.isEmpty }.sorted { $0.0.name < $1.0.name }
        let body = ChangeSetCodec.encode(
            header,
            changed.map { table, rows in
                EncodedTableChanges(
                    table: table.name, fields: table.fields.map { Field(name: $0.name, columns: $0.columns) },
                    rows: rows)
            }, cells: encoder)
        return (header, body)
    }
}
