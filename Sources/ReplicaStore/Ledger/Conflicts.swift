// The conflict ledger, for people: what was lost, to what, and dealing with it.
//
// Invariant: dealing with a conflict is a replicated write, so it is dealt with once for the whole workspace.

public import ReplicationModel

/// A write that lost to a concurrent one, and what stands in its place.
public struct Conflict: Sendable, Hashable {
    /// The same on every replica; 16 hexadecimal digits.
    public let key: String
    public let table: String
    public let row: RowID
    /// The field, or `(row)` where it is about the row's being there or deleted.
    public let field: String
    public let columns: [String]
    public let lost: Version
    /// For each column; nil where the value has not arrived. For `(row)`: 1 alive, 0 deleted.
    public let lostValues: [Value?]
    /// The register's version now: the winner, or what was written since.
    public let current: Version
    public let currentValues: [Value]
    /// Dealt with: accepted, or written back.
    public let isAcknowledged: Bool
}

extension Replica {
    /// - Parameter acknowledged: those dealt with too.
    public func conflicts(acknowledged: Bool = false) throws -> [Conflict] {
        try read { try ConflictReader($0).all(acknowledged: acknowledged) }
    }

    /// Open conflicts, counted.
    public func conflictCount() throws -> Int {
        try read {
            Int(
                try $0.integer(
                    """
                    SELECT count(*) FROM sync_conflicts
                    WHERE shown AND key NOT IN (SELECT id FROM "\(Acknowledgements.table.name)")
                    """) ?? 0)
        }
    }

    /// Acknowledges: what won stands.
    public func accept(_ conflict: Conflict) throws {
        try write { try Self.acknowledge(conflict, $0) }
    }

    /// Writes the losing value back as a new edit, and acknowledges.
    ///
    /// - Throws: `ReplicaError` of code `.input` where the value has not arrived, or the row is deleted now.
    public func keep(_ conflict: Conflict) throws {
        guard !conflict.lostValues.contains(nil) else {
            throw ReplicaError(
                .input,
                "Cannot keep \(conflict.key): its value has not arrived yet. Pull from \(conflict.lost.origin.node) or another node that has it."
            )
        }
        let values = conflict.lostValues.compactMap { $0 }
        if conflict.field == LoggedContents.existenceName, values == [.integer(1)] {
            _ = try undelete(table: conflict.table, id: conflict.row)
            try accept(conflict)
            return
        }
        try write { writer in
            if conflict.field == LoggedContents.existenceName {
                try writer.execute("DELETE FROM \"\(conflict.table)\" WHERE id = ?", [.text(conflict.row.bytes)])
            } else {
                let table = try Declaration.load(writer).first { $0.name == conflict.table }
                guard let table, conflict.columns.allSatisfy(table.columns.contains) else {
                    throw ReplicaError(
                        .input,
                        "Cannot keep \(conflict.key): this program does not know \(conflict.table).\(conflict.field), which a newer one wrote. Keep it with that program, or on a node that has it."
                    )
                }
                let assignments = conflict.columns.map { "\"\($0)\" = ?" }.joined(separator: ", ")
                try writer.execute(
                    "UPDATE \"\(conflict.table)\" SET \(assignments) WHERE id = ?", values + [.text(conflict.row.bytes)]
                )
                guard writer.changedRowCount == 1 else {
                    throw ReplicaError(
                        .input,
                        "Cannot keep \(conflict.key): \(conflict.table) \(conflict.row) is deleted. Restore the row first, then keep the value."
                    )
                }
            }
            try Self.acknowledge(conflict, writer)
        }
    }

    private static func acknowledge(_ conflict: Conflict, _ writer: Writer) throws {
        try writer.execute(
            "INSERT OR IGNORE INTO \"\(Acknowledgements.table.name)\"(id, subject) VALUES (?, ?)",
            [Value(conflict.key), Value("\(conflict.table) \(conflict.row) \(conflict.field) \(conflict.lost)")])
    }

    /// Brings a deleted row back with the values in the graveyard; they keep their versions. False where the row is not
    /// deleted, or not known.
    public func undelete(table name: String, id: RowID) throws -> Bool {
        try seal()
        return try engineWrite { writer in
            let transaction = try engineTransaction(writer)
            try Sealer(transaction, key: key).sealAll()
            guard try transaction.undelete(table: name, id) else { return false }
            try Sealer(transaction, key: key).sealAll()
            return true
        }
    }
}

extension EngineTransaction {
    /// False where the row is not deleted, or not known.
    func undelete(table name: String, _ id: RowID) throws -> Bool {
        guard let table = table(named: name) else { return false }
        let store = try store(table)
        guard let state = try store.find(id), !state.alive, try store.wasInserted(state) else { return false }
        try store.raise(id, row: state.row)
        try store.journalUndelete(id, at: now)
        return true
    }
}

struct ConflictReader {
    let reader: Reader
    let origins: OriginBook
    let tables: [Int64: CompiledTable]
    let fieldsByNumber: [Int64: CompiledField]
    let shapes: ShapeBook

    init(_ reader: Reader) throws {
        self.reader = reader
        origins = try OriginBook(reader)
        let tables = try Declaration.load(reader)
        self.tables = Dictionary(firstOf: tables.map { ($0.number, $0) })
        var fields: [Int64: CompiledField] = [:]
        for table in tables {
            for field in table.fields + (try Declaration.fields(of: table.number, reader, declared: false)) {
                fields[field.number] = field
            }
        }
        fieldsByNumber = fields
        shapes = ShapeBook(reader)
    }

    func all(acknowledged: Bool) throws -> [Conflict] {
        let rows = try reader.query(
            """
            SELECT number, key, table_number, row, field, stamp, origin, seq,
                key IN (SELECT id FROM "\(Acknowledgements.table.name)")
            FROM sync_conflicts WHERE shown ORDER BY stamp
            """)
        return try rows.compactMap { row in
            let isAcknowledged = row[8] == .integer(1)
            return acknowledged || !isAcknowledged ? try conflict(row, isAcknowledged) : nil
        }
    }

    private func conflict(_ row: Row, _ isAcknowledged: Bool) throws -> Conflict {
        guard case .integer(let number) = row[0], case .integer(let tableNumber) = row[2],
            case .integer(let rowNumber) = row[3],
            case .integer(let fieldNumber) = row[4], let table = tables[tableNumber]
        else { throw ReplicaError.damaged("sync_conflicts") }
        let field = fieldsByNumber[fieldNumber]
        let values = try reader.query(
            "SELECT absent, value FROM sync_conflict_values WHERE conflict = ? ORDER BY ordinal", [.integer(number)]
        ).map { $0[0] == .integer(1) ? nil : $0[1] }
        guard
            let state = try reader.query(
                "SELECT id, alive, shape, stamp, origin, seq FROM \"sync_rows_\(table.name)\" WHERE row = ?",
                [.integer(rowNumber)]
            ).first, case .text(let id) = state[0]
        else { throw ReplicaError.damaged("sync_rows_\(table.name)") }
        let alive = state[1] == .integer(1)
        return Conflict(
            key: row[1].string ?? "", table: table.name, row: RowID(bytes: id),
            field: field?.name ?? LoggedContents.existenceName, columns: field?.columns ?? [],
            lost: try version(row.values[5...7]), lostValues: values,
            current: try current(table, rowNumber, fieldNumber, state),
            currentValues: try present(field, table, id, alive, rowNumber),
            isAcknowledged: isAcknowledged)
    }

    private func current(_ table: CompiledTable, _ row: Int64, _ field: Int64, _ state: Row) throws -> Version {
        var known = try reader.query(
            "SELECT stamp, origin, seq FROM \"sync_versions_\(table.name)\" WHERE row = ? AND field = ?",
            [.integer(row), .integer(field)]
        ).map { try version($0.values[0...2]) }
        if case .integer(let shape) = state[2],
            try field == CompiledField.existence || shapes.contains(field, in: shape)
        {
            known.append(try version(state.values[3...5]))
        }
        guard let current = known.max() else { throw ReplicaError.damaged("sync_versions_\(table.name)") }
        return current
    }

    private func present(
        _ field: CompiledField?, _ table: CompiledTable, _ id: [UInt8], _ alive: Bool, _ row: Int64
    ) throws -> [Value] {
        guard let field else { return [.integer(alive ? 1 : 0)] }
        if field.positions.isEmpty {
            return try Parking.values(of: field, row: row, of: table, reader) ?? field.columns.map { _ in .null }
        }
        if let beside = try Parking.values(of: field, row: row, of: table, reader) { return beside }
        let home = alive ? table.name : "sync_graveyard_\(table.name)"
        let columns = field.columns.map { "\"\($0)\"" }.joined(separator: ", ")
        return try reader.query("SELECT \(columns) FROM \"\(home)\" WHERE id = ?", [.text(id)]).first?.values
            ?? field.columns.map { _ in .null }
    }

    private func version(_ values: ArraySlice<Value>) throws -> Version {
        let numbers = values.compactMap(\.integer)
        guard numbers.count == 3, let stamp = Stamp(rawValue: numbers[0]) else {
            throw ReplicaError.damaged("a version")
        }
        return Version(
            stamp: stamp, origin: try origins.origin(numbers[1]),
            sequence: SequenceNumber(UInt64(bitPattern: numbers[2])))
    }
}
