// One change set as it grows while sealing.
//
// Invariant: what it holds encodes to a body within `Limits`.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

struct ChangeSetBuilder {
    private struct TableRows {
        var fieldSets: [[Int]] = []
        var rows: [RowChange] = []
    }

    /// How much of the limits some row changes take up.
    struct Size {
        private var rows = 0
        private var body = 0
        private(set) var beside = 0
        var isEmpty: Bool { rows == 0 }

        /// Counts one more; false, and unchanged, where it does not fit. One always fits alone.
        mutating func add(_ id: RowID, _ cells: [Cell]) -> Bool {
            let cost = ChangeSetBuilder.cost(id, cells)
            let fits =
                rows < Limits.rowChanges && body + cost.body <= Limits.bodyBytes
                && beside + cost.beside <= Limits.besideBytes
            guard fits || isEmpty else { return false }
            rows += 1
            body += cost.body
            beside += cost.beside
            return true
        }
    }

    private let tables: [CompiledTable]
    private var parts: [TableRows]
    private var size = Size()
    private var changes: UInt64 = 0
    private var firstStamp = Stamp.greatest
    private var lastStamp = Stamp.zero

    init(tables: [CompiledTable]) {
        self.tables = tables
        parts = tables.map { _ in TableRows() }
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

    /// An upper bound on what a row change adds: kind, field set, stamp and lengths in 24 bytes, 40 for a value beside.
    private static func cost(_ id: RowID, _ cells: [Cell]) -> (body: Int, beside: Int) {
        var body = 24 + id.bytes.count
        var beside = 0
        for cell in cells {
            switch cell {
            case .inline(let value): body += 11 + value.byteCount
            case .beside(let large):
                body += 44
                beside += Int(large.byteCount)
            }
        }
        return (body, beside)
    }

    mutating func add(table: Int, kind: RowChangeKind, id: RowID, stamp: Stamp, fields: [Int], cells: [Cell]) {
        let fits = size.add(id, cells)
        precondition(fits, "a change set is cut before it is full")
        changes += UInt64(fields.count) + (kind.writesExistence ? 1 : 0)
        firstStamp = min(firstStamp, stamp)
        lastStamp = max(lastStamp, stamp)
        var fieldSet = 0
        if kind == .insert || kind == .update {
            if let known = parts[table].fieldSets.firstIndex(of: fields) {
                fieldSet = known
            } else {
                fieldSet = parts[table].fieldSets.count
                parts[table].fieldSets.append(fields)
            }
        }
        parts[table].rows.append(RowChange(kind: kind, id: id, stamp: stamp, fieldSet: fieldSet, cells: cells))
    }

    func changeSet(
        origin: Origin, sequence: SequenceNumber, previous: Digest, contextChanges: VersionVector, totalsBefore: Totals
    ) -> ChangeSet {
        let header = ChangeSetHeader(
            origin: origin, sequence: sequence, previous: previous, contextChanges: contextChanges,
            firstStamp: firstStamp,
            lastStamp: lastStamp, totalsBefore: totalsBefore, changes: changes, besideBytes: UInt64(size.beside))
        let changed = zip(tables, parts).filter { !$0.1.rows.isEmpty }.sorted { $0.0.name < $1.0.name }
        return ChangeSet(
            header: header,
            tables: changed.map { table, part in
                TableChanges(
                    table: table.name, fields: table.fields.map { Field(name: $0.name, columns: $0.columns) },
                    fieldSets: part.fieldSets, rows: part.rows
                ).normalized()
            })
    }
}
