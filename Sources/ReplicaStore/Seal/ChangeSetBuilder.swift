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

    private let tables: [CompiledTable]
    private var parts: [TableRows]
    private var rowCount = 0
    private var bodyBytes = 0
    private var besideBytes = 0
    private var changes: UInt64 = 0
    private var firstStamp = Stamp.greatest
    private var lastStamp = Stamp.zero

    init(tables: [CompiledTable]) {
        self.tables = tables
        parts = tables.map { _ in TableRows() }
    }

    var isEmpty: Bool { rowCount == 0 }

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

    func hasRoom(for id: RowID, _ cells: [Cell]) -> Bool {
        guard !isEmpty else { return true }
        let cost = Self.cost(id, cells)
        return rowCount < Limits.rowChanges && bodyBytes + cost.body <= Limits.bodyBytes
            && besideBytes + cost.beside <= Limits.besideBytes
    }

    mutating func add(table: Int, kind: RowChangeKind, id: RowID, stamp: Stamp, fields: [Int], cells: [Cell]) {
        let cost = Self.cost(id, cells)
        bodyBytes += cost.body
        besideBytes += cost.beside
        rowCount += 1
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
            lastStamp: lastStamp, totalsBefore: totalsBefore, changes: changes, besideBytes: UInt64(besideBytes))
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
