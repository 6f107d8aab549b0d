// The rows of a change set, into table, graveyard and ledger.
//
// Invariant: a row of which nothing was known takes everything its insert brings; any other goes register by register.

internal import ReplicationModel
internal import ReplicationWire

extension Applier {
    /// How the cells of one field set fall to fields, and how a fresh row is inserted with them.
    private struct Plan {
        /// Each with the range of its cells.
        let fields: [(field: CompiledField, cells: Range<Int>)]
        let shape: Int64
        /// Nil where some field is not declared here.
        let insert: Statement?
    }

    /// A table of a change set, as rows are applied to it.
    private struct Target {
        let table: CompiledTable
        let store: TableStore
        /// One a field set.
        let plans: [Plan]
    }

    private func target(_ name: String, _ fields: [Field], _ fieldSets: [[Int]]) throws -> Target {
        guard let table = transaction.table(named: name) else { preconditionFailure("unknown tables were held") }
        let fields = try fields.map { try merger.field($0, of: table) }
        return Target(
            table: table, store: try transaction.store(table),
            plans: try fieldSets.map { try plan($0.map { fields[$0] }, table) })
    }

    /// - Parameter isKept: the tables' columns keep all that is in it.
    func apply(
        _ part: TableView, _ reader: RowReader, _ header: ChangeSetHeader, isKept: Bool,
        _ values: inout ArraySlice<[UInt8]?>
    ) throws {
        let target = try target(part.table, part.fields, part.fieldSets)
        for row in part.rows {
            var beside = values.prefix(row.besideCount)
            values.removeFirst(row.besideCount)
            let version = Version(stamp: row.stamp, origin: header.origin, sequence: header.sequence)
            if row.kind == .insert, isKept, try insertWhole(row, reader, beside, version, target) { continue }
            let row = reader.row(row)
            try apply(row, Self.take(row.cells, from: &beside), version, target)
        }
    }

    /// Applies some rows of a change set that is in the log already.
    ///
    /// - Parameter values: those beside the rows' cells, in order.
    func replay(_ part: TableChanges, _ header: ChangeSetHeader, values: [[UInt8]?]) throws {
        let target = try target(part.table, part.fields, part.fieldSets)
        var values = values[...]
        for row in part.rows {
            let version = Version(stamp: row.stamp, origin: header.origin, sequence: header.sequence)
            try apply(row, Self.take(row.cells, from: &values), version, target)
        }
    }

    private func apply(_ row: RowChange, _ received: [LedgerValue], _ version: Version, _ target: Target) throws {
        let (table, store) = (target.table, target.store)
        let plan = row.kind == .insert || row.kind == .update ? target.plans[row.fieldSet] : nil
        if row.kind == .insert, let plan,
            let state = try store.insertRow(row.id, shape: plan.shape, version: version)
        {
            return try insertFresh(row, received, plan, state, version, table, store)
        }
        var state = try store.findOrMake(row.id)
        let place = RegisterMerger.Row(table: table, store: store, id: row.id)
        if row.kind.writesExistence {
            try merger.mergeExistence(row.kind, version, place, &state)
        }
        for (field, range) in plan?.fields ?? [] {
            try merger.merge(
                field, row.kind, version, cells: Array(row.cells[range]), values: Array(received[range]), place, state)
        }
    }

    /// Inserts a row that is new here, all of it arrived and all of it declared: the many rows of a first sync. SQLite reads
    /// the values where they lie. False, with nothing done, where it is not such a row.
    private func insertWhole(
        _ row: RowPlace, _ reader: RowReader, _ beside: ArraySlice<[UInt8]?>, _ version: Version, _ target: Target
    ) throws -> Bool {
        let plan = target.plans[row.fieldSet]
        guard let insert = plan.insert, !beside.contains(where: { $0 == nil }) else { return false }
        let id = reader.id(of: row)
        guard try target.store.insertRow(id, shape: plan.shape, version: version) != nil else { return false }
        insert.bindBorrowed(1, .text, id)
        besidePlaces.removeAll(keepingCapacity: true)
        reader.forEachCell(of: row) { index, cell in
            let place = Int32(index + 2)
            switch cell {
            case .null: insert.bindNull(place)
            case .integer(let value): insert.bind(place, value)
            case .real(let value): insert.bind(place, value)
            case .inline(let kind, let bytes): insert.bindBorrowed(place, kind, bytes)
            case .beside(let large): besidePlaces.append((place, large.kind))
            }
        }
        try run(insert, beside)
        return true
    }

    /// Runs an insert once the values beside the body are bound, each lent until it has run.
    private func run(_ insert: Statement, _ beside: ArraySlice<[UInt8]?>) throws {
        guard let bytes = beside.first ?? nil else { return try insert.run() }
        let (place, kind) = besidePlaces[besidePlaces.count - beside.count]
        try bytes.withUnsafeBytes { bytes in
            insert.bindBorrowed(place, kind, bytes)
            try run(insert, beside.dropFirst())
        }
    }

    private func plan(_ fields: [CompiledField], _ table: CompiledTable) throws -> Plan {
        var ranges: [(CompiledField, Range<Int>)] = []
        var start = 0
        for field in fields {
            ranges.append((field, start..<start + field.columns.count))
            start += field.columns.count
        }
        let shape = try transaction.shapes.number(of: fields.map(\.number), in: writer)
        guard fields.allSatisfy({ !$0.positions.isEmpty }) else {
            return Plan(fields: ranges, shape: shape, insert: nil)
        }
        let columns = fields.flatMap(\.columns).map { ", \"\($0)\"" }.joined()
        let parameters = String(repeating: ", ?", count: start)
        let insert = try writer.prepare("INSERT INTO \"\(table.name)\"(id\(columns)) VALUES (?\(parameters))")
        return Plan(fields: ranges, shape: shape, insert: insert)
    }

    private func insertFresh(
        _ row: RowChange, _ received: [LedgerValue], _ plan: Plan, _ state: RowState, _ version: Version,
        _ table: CompiledTable, _ store: TableStore
    ) throws {
        // The row with what there is and what its columns keep; the rest is awaited or parked.
        var columns: [(String, Value)] = []
        var misfits: [(CompiledField, [Value])] = []
        for (field, range) in plan.fields where !field.positions.isEmpty && !received[range].contains(.absent) {
            let values = received[range].compactMap { value -> Value? in
                guard case .present(let value) = value else { return nil }
                return value
            }
            if try table.keeps(values, of: field, writer) {
                columns += zip(field.columns, values)
            } else {
                misfits.append((field, values))
            }
        }
        let names = columns.map { ", \"\($0.0)\"" }.joined()
        let parameters = String(repeating: ", ?", count: columns.count)
        try writer.execute(
            "INSERT INTO \"\(table.name)\"(id\(names)) VALUES (?\(parameters))",
            [.text(row.id.bytes)] + columns.map(\.1))
        for (field, values) in misfits { try transaction.setAside(values, of: field, row: state.row, table) }
        for (field, range) in plan.fields {
            if received[range].contains(.absent) {
                try transaction.awaitValue(of: version, table: table, row: state.row, field: field.number)
            } else if field.positions.isEmpty {
                try Parking.park(Array(received[range]), field, row: state.row, of: table, in: writer)
            }
        }
    }

    /// The values of a row's cells, those beside the body taken from `values`.
    static func take(_ cells: [Cell], from values: inout ArraySlice<[UInt8]?>) -> [LedgerValue] {
        cells.map { cell in
            switch cell {
            case .inline(let value): return .present(value)
            case .beside(let large):
                guard let bytes = values.popFirst() ?? nil else { return .absent }
                return .present(large.kind == .text ? .text(bytes) : .blob(bytes))
            }
        }
    }
}
