// What columns here would not keep as it was signed, and where it stands instead.
//
// Invariant: the current value of a register is bit for bit what was signed, in its table or beside it; where it is beside it, the
// table has the column's default, on every replica with such a column.

public import ReplicationModel
internal import ReplicationWire

/// The current value of a field that stands beside its table, as the column would make another value of it.
public struct Misfit: Sendable, Hashable {
    public let table: String
    public let id: RowID
    public let field: String
    /// As they were signed, by the field's columns.
    public let values: [String: Value]
    /// Who wrote it, and when.
    public let author: Origin
    public let at: WallClock
}

extension CompiledTable {
    /// Whether the columns of a declared field give its values back as they are.
    func keeps(_ values: [Value], of field: CompiledField, _ reader: Reader) throws -> Bool {
        try zip(field.columns, values).allSatisfy { try affinity(of: $0).keeps($1, reader) }
    }
}

extension EngineTransaction {
    /// The current values of a declared field that stand beside its table; nil where they are in it.
    func valuesBeside(_ field: CompiledField, row: Int64, of table: CompiledTable) throws -> [Value]? {
        guard misfitFields.contains(field.number) else { return nil }
        return try Parking.values(of: field, row: row, of: table, writer)
    }

    /// Makes these the current values of a declared field: in the table where its columns keep them, beside it where not.
    func setValues(_ values: [Value], of field: CompiledField, _ id: RowID, _ state: RowState, _ table: CompiledTable)
        throws
    {
        let store = try store(table)
        guard try table.keeps(values, of: field, writer) else {
            try setAside(values, of: field, row: state.row, table)
            return try store.setDefaults(id, of: field, alive: state.alive)
        }
        try settleIn(field, row: state.row, table)
        try store.setValues(id, of: field, to: values, alive: state.alive)
    }

    /// Keeps a declared field's current values beside the table, which has its defaults.
    func setAside(_ values: [Value], of field: CompiledField, row: Int64, _ table: CompiledTable) throws {
        try Parking.park(values.map { .present($0) }, field, row: row, of: table, isMisfit: true, in: writer)
        misfitFields.insert(field.number)
    }

    /// What stood beside the table is the field's current value no more.
    func settleIn(_ field: CompiledField, row: Int64, _ table: CompiledTable) throws {
        guard misfitFields.contains(field.number) else { return }
        try writer.execute(
            "DELETE FROM sync_parked WHERE table_number = ? AND row = ? AND field = ?",
            [.integer(table.number), .integer(row), .integer(field.number)])
    }

    /// Whether the columns here give back all of it as it was signed, and SQLite makes nothing else of it, as their types may
    /// say. A column of this declaration never held anything else.
    func keeps(_ proven: ProvenChangeSet) throws -> Bool {
        var beside = proven.sealed.values[...]
        return try proven.view.withRows { reader in
            for part in proven.view.tables {
                guard let table = self.table(named: part.table) else { continue }
                let affinities = part.fieldSets.map { set in
                    set.flatMap { part.fields[$0].columns }.map { table.affinity(of: $0) }
                }
                // Columns of text change nothing but numbers, so most parts need no second look.
                let keepsText = affinities.allSatisfy { $0.allSatisfy { $0 == .text || $0 == .none } }
                for place in part.rows {
                    var values = beside.prefix(place.besideCount)
                    beside.removeFirst(place.besideCount)
                    guard part.holdsNumbers || !keepsText else { continue }
                    let row = reader.row(place)
                    for (index, cell) in row.cells.enumerated() {
                        var large: [UInt8]?
                        if case .beside = cell { large = values.popFirst() ?? nil }
                        let affinity = affinities[row.fieldSet][index]
                        guard affinity.mayChange(cell), let value = Self.value(of: cell, large) else { continue }
                        guard try affinity.keeps(value, writer) else { return false }
                    }
                }
            }
            return true
        }
    }

    /// Nil where it has not come, or is a blob, which no column changes.
    private static func value(of cell: Cell, _ large: [UInt8]?) -> Value? {
        switch cell {
        case .inline(let value): return value
        case .beside(let cell):
            guard let large, cell.kind == .text else { return nil }
            return .text(large)
        }
    }
}

extension Replica {
    /// Values that their columns here would not keep, by table and row: at most `limit` of them.
    public func misfits(limit: Int = 1_000) throws -> [Misfit] {
        try read { reader in
            let tables = try Declaration.load(reader)
            return try reader.query(
                "SELECT DISTINCT table_number, row, field FROM sync_parked WHERE misfit ORDER BY 1, 2, 3 LIMIT ?",
                [.integer(Int64(limit))]
            ).map { place in
                guard let table = tables.first(where: { $0.number == place[0].integer }), let row = place[1].integer,
                    let field = table.fields.first(where: { $0.number == place[2].integer }),
                    let values = try Parking.values(of: field, row: row, of: table, reader),
                    let current = try Self.current(field, row, table, reader)
                else { throw ReplicaError.damaged("sync_parked") }
                return Misfit(
                    table: table.name, id: current.id, field: field.name,
                    values: Dictionary(zip(field.columns, values)) { first, _ in first }, author: current.author,
                    at: current.stamp.wallClock)
            }
        }
    }

    /// Who wrote what stands in a register.
    private static func current(
        _ field: CompiledField, _ row: Int64, _ table: CompiledTable, _ reader: Reader
    ) throws -> (id: RowID, author: Origin, stamp: Stamp)? {
        let written = try reader.query(
            """
            SELECT r.id, v.stamp, o.origin FROM "sync_versions_\(table.name)" v JOIN sync_origins o ON o.number = v.origin
            JOIN "sync_rows_\(table.name)" r ON r.row = v.row WHERE v.row = ?1 AND v.field = ?2
            UNION ALL SELECT r.id, r.stamp, o.origin FROM "sync_rows_\(table.name)" r
            JOIN sync_origins o ON o.number = r.origin JOIN sync_shapes s ON s.number = r.shape
            WHERE r.row = ?1 AND ',' || s.fields || ',' LIKE '%,' || ?2 || ',%' ORDER BY 2 DESC, 3 DESC LIMIT 1
            """, [.integer(row), .integer(field.number)]
        ).first
        guard let written, case .text(let id) = written[0],
            let stamp = written[1].integer.flatMap({ Stamp(rawValue: $0) }),
            let author = written[2].bytes.flatMap({ Origin(bytes: $0) })
        else { return nil }
        return (RowID(bytes: id), author, stamp)
    }
}
