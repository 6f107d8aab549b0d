// Verifying what change sets wrote: each write against the metadata, and each current value against the signed cell.
//
// Invariant: every write of the log is looked up once, and compared where it is its register's current one.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

/// What unsealed edits hide of the sealed values of one table.
struct UnsealedEdits {
    /// For each row, by column position: the journal entry that keeps the sealed value.
    private(set) var places: [RowID: [Int: Int64]] = [:]
    /// Rows written whole by an insert: what was sealed of them, and is in no place, is kept nowhere.
    private(set) var replaced: Set<RowID> = []
    /// Whether the row is there after the edits; nil where they do not say.
    private(set) var isThere: [RowID: Bool] = [:]
    private(set) var count: Int64 = 0

    init(of table: CompiledTable, _ reader: Reader) throws {
        var closed: Set<RowID> = []
        let statement = try reader.prepare(
            """
            SELECT n, id, op, mask FROM "sync_journal_\(table.name)"
            WHERE n > (SELECT sealed FROM sync_tables WHERE number = ?) ORDER BY n
            """)
        statement.bind(1, table.number)
        try statement.forEach {
            let id = RowID(bytes: statement.bytes(1))
            let n = statement.integer(0)
            let mask = statement.integer(3)
            switch JournalOperation(rawValue: statement.integer(2)) {
            case .update:
                if !closed.contains(id) { keep(id, table, mask, n) }
            case .delete:
                isThere[id] = false
                if closed.insert(id).inserted { keep(id, table, mask, n) }
            case .insert:
                isThere[id] = true
                if closed.insert(id).inserted { replaced.insert(id) }
            case .undelete: isThere[id] = true
            // Neither is an edit: `checkJournals` says what is wrong.
            case .overwritten, .rebuilt, nil: return
            }
            count += 1
        }
    }

    private mutating func keep(_ id: RowID, _ table: CompiledTable, _ mask: Int64, _ n: Int64) {
        for position in table.columns.indices where mask >> Int64(position) & 1 == 1 {
            if places[id]?[position] == nil { places[id, default: [:]][position] = n }
        }
    }
}

/// A row of the metadata.
struct KnownRow {
    let row: Int64
    let alive: Bool
    let shape: Int64?
    let stamp: Int64
    let origin: Int64
    let sequence: Int64
    /// Whether there are writes besides the insert that the row stands for.
    let hasVersions: Bool
}

extension Verification {
    func checkWrites(of part: TableChanges, _ header: ChangeSetHeader) throws {
        guard !broken.contains(part.table) else { return }
        guard let table = tables[part.table], let known = fields[table.number],
            let number = origins?[header.origin]?.number
        else {
            report.writes += Int64(part.changes)
            return report.add(
                .unknownWrite, "it writes a table that is not declared here", table: part.table, dot: header.dot)
        }
        let sets = part.fieldSets.map { set in set.map { part.fields[$0] } }
        for row in part.rows {
            let write = SignedWrite(
                table: table, id: row.id, stamp: row.stamp.rawValue, origin: number,
                sequence: Int64(bitPattern: header.sequence.rawValue), dot: header.dot)
            let found = try knownRow(row.id, table)
            let listed = row.kind == .insert || row.kind == .update ? sets[row.fieldSet] : []
            report.writes += Int64(listed.count) + (row.kind.writesExistence ? 1 : 0)
            guard let found else {
                report.add(
                    .unknownWrite, "the metadata does not know this row", table: table.name, id: row.id, dot: header.dot
                )
                continue
            }
            if row.kind.writesExistence {
                try checkExistence(row.kind != .delete, write, found)
            }
            var cells = row.cells[...]
            var current: [(field: CompiledField, cells: [Cell])] = []
            for field in listed {
                let own = Array(cells.prefix(field.columns.count))
                cells = cells.dropFirst(field.columns.count)
                guard let compiled = known[field] else {
                    report.add(
                        .unknownWrite, "the metadata does not know this field", table: table.name, id: row.id,
                        field: field.name, dot: header.dot)
                    continue
                }
                if try isCurrent(write, found, compiled.number, field.name) { current.append((compiled, own)) }
            }
            try compare(current, write, found)
        }
    }

    /// One write as it is looked up.
    struct SignedWrite {
        let table: CompiledTable
        let id: RowID
        let stamp: Int64
        /// The origin's number here.
        let origin: Int64
        let sequence: Int64
        let dot: Dot
    }

    private func knownRow(_ id: RowID, _ table: CompiledTable) throws -> KnownRow? {
        let name = table.name
        let statement = try reader.prepare(
            """
            SELECT row, alive, shape, stamp, origin, seq, EXISTS(SELECT 1 FROM "sync_versions_\(name)" v WHERE v.row = r.row)
            FROM "sync_rows_\(name)" r WHERE id = ?
            """)
        statement.bind(1, text: id.bytes)
        return try statement.first {
            KnownRow(
                row: statement.integer(0), alive: statement.integer(1) == 1,
                shape: statement.isNull(2) ? nil : statement.integer(2), stamp: statement.integer(3),
                origin: statement.integer(4), sequence: statement.integer(5), hasVersions: statement.integer(6) == 1)
        }
    }

    /// Whether a write, which the metadata must know, is its register's current one.
    private func isCurrent(
        _ write: SignedWrite, _ row: KnownRow, _ field: Int64, _ name: String
    ) throws -> Bool {
        let isInserted =
            try row.shape.map { try field == CompiledField.existence || shape($0).contains(field) } ?? false
        let isBase =
            isInserted && row.stamp == write.stamp && row.origin == write.origin && row.sequence == write.sequence
        if !row.hasVersions, isBase {
            knownWrites[write.table.name, default: 0] += 1
            return true
        }
        var isKnown = isBase
        var isGreatest = !isInserted || isBase || precedes((row.stamp, row.origin), (write.stamp, write.origin))
        let versions = try reader.prepare(
            """
            SELECT stamp, origin, seq FROM "sync_versions_\(write.table.name)" WHERE row = ? AND field = ? AND stamp >= ?
            ORDER BY stamp DESC
            """)
        versions.bind(1, row.row)
        versions.bind(2, field)
        versions.bind(3, write.stamp)
        defer { versions.reset() }
        while try versions.step() {
            let other = (stamp: versions.integer(0), origin: versions.integer(1))
            if other == (write.stamp, write.origin) {
                isKnown = isKnown || versions.integer(2) == write.sequence
            } else if precedes((write.stamp, write.origin), other) {
                isGreatest = false
                // Later ones of a much-written register are not walked through: one look says whether it is known.
                if other.stamp > write.stamp { break }
            }
        }
        if !isKnown, !isGreatest { isKnown = try hasVersion(write, row.row, field) }
        guard isKnown else {
            report.add(
                .unknownWrite, "the metadata does not know this write", table: write.table.name, id: write.id,
                field: name,
                dot: write.dot)
            return false
        }
        knownWrites[write.table.name, default: 0] += 1
        return isGreatest
    }

    private func hasVersion(_ write: SignedWrite, _ row: Int64, _ field: Int64) throws -> Bool {
        try reader.integer(
            """
            SELECT 1 FROM "sync_versions_\(write.table.name)" WHERE row = ? AND field = ? AND stamp = ? AND origin = ?
            AND seq = ?
            """, .integer(row), .integer(field), .integer(write.stamp), .integer(write.origin), .integer(write.sequence)
        )
            == 1
    }

    /// The order of winners: stamp, then origin by its name.
    private func precedes(_ left: (stamp: Int64, origin: Int64), _ right: (stamp: Int64, origin: Int64)) -> Bool {
        guard left.stamp == right.stamp else { return left.stamp < right.stamp }
        // Numbers that lead to no origin are `checkVectors`' to report.
        guard let a = try? origins?.origin(left.origin), let b = try? origins?.origin(right.origin) else {
            return false
        }
        return a < b
    }

    // MARK: Current values

    private func checkExistence(_ alive: Bool, _ write: SignedWrite, _ row: KnownRow) throws {
        let name = LoggedContents.existenceName
        guard try isCurrent(write, row, CompiledField.existence, name) else { return }
        report.values += 1
        guard alive != row.alive else { return }
        report.add(
            .existence, "its author left the row \(alive ? "alive" : "deleted"), and the metadata has it otherwise",
            table: write.table.name, id: write.id, field: name, dot: write.dot)
    }

    private func compare(
        _ current: [(field: CompiledField, cells: [Cell])], _ write: SignedWrite, _ row: KnownRow
    ) throws {
        guard !current.isEmpty else { return }
        var stored: [Value?]?
        for (field, cells) in current {
            if try isAwaited(field, write, row) { continue }
            var values: [Value?]
            if try field.positions.isEmpty || isBeside(field, write, row) {
                values = try parked(field, write, row)
            } else {
                let all = try stored ?? sealedValues(write, row)
                stored = all
                values = field.positions.map { all[$0] }
            }
            for (index, cell) in cells.enumerated() {
                guard let value = values[index] else {
                    report.hidden += 1
                    continue
                }
                report.values += 1
                guard !matches(value, cell) else { continue }
                report.add(
                    .value, "column \(field.columns[index]) holds \(kind(of: value)) and not the value that was signed",
                    table: write.table.name, id: write.id, field: field.name, dot: write.dot)
            }
        }
    }

    private func isAwaited(_ field: CompiledField, _ write: SignedWrite, _ row: KnownRow) throws -> Bool {
        guard awaitsAnything else { return false }
        let awaited = try reader.query(
            "SELECT origin, seq FROM sync_awaiting WHERE table_number = ? AND row = ? AND field = ?",
            [.integer(write.table.number), .integer(row.row), .integer(field.number)]
        ).first
        guard let awaited else { return false }
        report.awaiting += 1
        if awaited.values != [.integer(write.origin), .integer(write.sequence)] {
            report.add(
                .waiting, "what is awaited is not the field's current write", table: write.table.name, id: write.id,
                field: field.name, dot: write.dot)
        }
        return true
    }

    /// Whether a declared field's value stands beside its table, which then has the column's default.
    private func isBeside(_ field: CompiledField, _ write: SignedWrite, _ row: KnownRow) throws -> Bool {
        guard misfitFields.contains(field.number) else { return false }
        return try Parking.values(of: field, row: row.row, of: write.table, reader) != nil
    }

    private func parked(_ field: CompiledField, _ write: SignedWrite, _ row: KnownRow) throws -> [Value?] {
        let rows = try reader.query(
            "SELECT ordinal, value FROM sync_parked WHERE table_number = ? AND row = ? AND field = ?",
            [.integer(write.table.number), .integer(row.row), .integer(field.number)])
        var values = [Value?](repeating: nil, count: field.columns.count)
        for row in rows {
            guard let ordinal = row[0].integer, values.indices.contains(Int(ordinal)) else { continue }
            values[Int(ordinal)] = row[1]
        }
        if values.contains(where: { $0 == nil }) {
            report.add(
                .waiting, "its parked value is missing", table: write.table.name, id: write.id, field: field.name,
                dot: write.dot)
        }
        return values
    }

    /// The row's columns as they were sealed; nil for a value that an unsealed edit hides.
    private func sealedValues(_ write: SignedWrite, _ row: KnownRow) throws -> [Value?] {
        let table = write.table
        let nothing = [Value?](repeating: nil, count: table.columns.count)
        let columns = table.columns.map { "\"\($0)\"" }.joined(separator: ", ")
        let home = row.alive ? table.name : "sync_graveyard_\(table.name)"
        let statement = try reader.prepare("SELECT \(columns) FROM \"\(home)\" WHERE id = ?")
        statement.bind(1, text: write.id.bytes)
        // A row that is nowhere is `checkRows`' to report.
        var values: [Value?] = try statement.first { statement.values(0..<Int32(table.columns.count)) } ?? nothing
        guard row.alive, let edits = unsealed[table.number], edits.count > 0 else { return values }
        if edits.replaced.contains(write.id) { values = nothing }
        let places = edits.places[write.id] ?? [:]
        for n in Set(places.values) {
            let old = try JournalReader.oldValues(of: table, n: n, reader)
            for (position, place) in places where place == n { values[position] = old[position] }
        }
        return values
    }

    /// Equal as far as capture can see: SQL takes 0.0 and -0.0 for one value, so a change between them is not captured.
    func matches(_ value: Value, _ cell: Cell) -> Bool {
        switch (value, cell) {
        case (.real(let a), .inline(.real(let b))): a.bitPattern == b.bitPattern || (a == 0 && b == 0)
        case (_, .inline(let signed)): value == signed
        case (.text(let bytes), .beside(let large)):
            large.kind == .text && UInt64(bytes.count) == large.byteCount && SHA256.digest(bytes) == large.digest
        case (.blob(let bytes), .beside(let large)):
            large.kind == .blob && UInt64(bytes.count) == large.byteCount && SHA256.digest(bytes) == large.digest
        default: false
        }
    }

    /// Names a value without showing it.
    private func kind(of value: Value) -> String {
        switch value {
        case .null: "NULL"
        case .integer: "an integer"
        case .real: "a real"
        case .text(let bytes): "text of \(bytes.count) bytes"
        case .blob(let bytes): "a blob of \(bytes.count) bytes"
        }
    }
}
