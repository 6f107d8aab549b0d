// One write of another origin into one register of this replica.
//
// Invariant: who wins and what is lost is MergeRule's word alone; this file only fetches what it asks and stores what it says.

internal import ReplicationModel
internal import ReplicationWire

final class RegisterMerger {
    /// The row that is written.
    struct Row {
        let table: CompiledTable
        let store: TableStore
        let id: RowID
    }

    private let transaction: EngineTransaction
    private let contents: LoggedContents
    private var unknown: [String: CompiledField] = [:]

    init(_ transaction: EngineTransaction) {
        self.transaction = transaction
        contents = LoggedContents(transaction.writer)
    }

    private static let aliveness = (number: CompiledField.existence, name: LoggedContents.existenceName)

    // MARK: Fields by name

    /// Whether a field of a change set has the same columns here, or is unknown and shares none with a known one.
    func agrees(_ field: Field, with table: CompiledTable) throws -> Bool {
        if let known = table.field(named: field.name) { return known.columns == field.columns }
        if field.columns.contains(where: { table.columns.contains($0) }) { return false }
        let undeclared = try Declaration.fields(of: table.number, transaction.writer, declared: false)
        return undeclared.allSatisfy { other in
            if other.name == field.name { return other.columns == field.columns }
            // One that the declared field of its name put aside is as if it had not come.
            return table.field(named: other.name) != nil || !other.columns.contains { field.columns.contains($0) }
        }
    }

    func field(_ field: Field, of table: CompiledTable) throws -> CompiledField {
        if let known = table.field(field) { return known }
        // Written before the declared field of this name was, and applied again now.
        let name = table.field(named: field.name) == nil ? field.name : Declaration.asideName(of: field)
        let key = "\(table.number) \(name)"
        if let known = unknown[key] { return known }
        try transaction.writer.execute(
            "INSERT OR IGNORE INTO sync_fields(table_number, name, columns, declared) VALUES (?, ?, ?, 0)",
            [.integer(table.number), Value(name), Value(Declaration.columnList(field.columns))])
        guard
            let number = try transaction.writer.integer(
                "SELECT number FROM sync_fields WHERE table_number = ? AND name = ?", .integer(table.number),
                Value(name))
        else { throw ReplicaError.damaged("sync_fields") }
        let compiled = CompiledField(number: number, name: field.name, columns: field.columns, positions: [])
        unknown[key] = compiled
        return compiled
    }

    // MARK: Merging

    func mergeExistence(_ kind: RowChangeKind, _ version: Version, _ row: Row, _ state: inout RowState) throws {
        let before = state.alive
        let alive = kind != .delete
        let wins = try merge(
            Self.aliveness, version, .init(content: .existence(alive: alive), isInsert: kind == .insert), row, state,
            newValues: { [.present(.integer(alive ? 1 : 0))] }, oldValues: { _ in [.present(.integer(before ? 1 : 0))] }
        )
        guard wins, alive != state.alive else { return }
        if alive {
            try row.store.raise(row.id, row: state.row)
        } else {
            let table = row.table
            if let values = try row.store.values(row.id, alive: true), !table.columns.isEmpty {
                try row.store.journalOverwritten(
                    row: state.row, positions: Array(table.columns.indices), values: values, at: transaction.now)
            }
            try row.store.bury(row.id, row: state.row)
        }
        state.alive = alive
    }

    func merge(
        _ field: CompiledField, _ kind: RowChangeKind, _ version: Version, cells: [Cell], values: [LedgerValue],
        _ row: Row, _ state: RowState
    ) throws {
        let awaited = try transaction.isAwaited(table: row.table, row: state.row, field: field.number)
        let present =
            try transaction.valuesBeside(field, row: state.row, of: row.table) ?? presentValues(field, row, state)
        let wins = try merge(
            (field.number, field.name), version, .init(content: .cells(cells), isInsert: kind == .insert), row, state,
            newValues: { values },
            oldValues: { lost in
                guard !awaited, let present else { return try signedValues(lost, field, row) }
                return present.map { .present($0) }
            })
        guard wins else { return }
        guard !values.contains(.absent) else {
            // The field stays as it was until the change set that supersedes this value arrives.
            try transaction.awaitValue(of: version, table: row.table, row: state.row, field: field.number)
            return
        }
        try transaction.noLongerAwait(table: row.table, row: state.row, field: field.number)
        if field.positions.isEmpty {
            try Parking.park(values, field, row: state.row, of: row.table, in: transaction.writer)
            return
        }
        let new = values.compactMap { value -> Value? in
            guard case .present(let value) = value else { return nil }
            return value
        }
        guard new != present else { return }
        if let present, state.alive {
            try row.store.journalOverwritten(
                row: state.row, positions: field.positions, values: present, at: transaction.now)
        }
        try transaction.setValues(new, of: field, row.id, state, row.table)
    }

    /// What is known of a write whose values did not arrive: those that its signed body holds.
    private func signedValues(_ version: Version, _ field: CompiledField, _ row: Row) throws -> [LedgerValue] {
        let written = try contents.written(by: version, table: row.table.name, id: row.id, field: field.name)
        guard case .cells(let cells)? = written?.content else { return field.columns.map { _ in .absent } }
        return cells.map { if case .inline(let value) = $0 { .present(value) } else { .absent } }
    }

    private func presentValues(_ field: CompiledField, _ row: Row, _ state: RowState) throws -> [Value]? {
        field.positions.isEmpty
            ? try Parking.values(of: field, row: state.row, of: row.table, transaction.writer)
            : try row.store.values(row.id, of: field, alive: state.alive)
    }

    /// Returns whether the newcomer wins.
    private func merge(
        _ field: (number: Int64, name: String), _ version: Version, _ newcomer: LoggedContents.Written, _ row: Row,
        _ state: RowState, newValues: () -> [LedgerValue], oldValues: (Version) throws -> [LedgerValue]
    ) throws -> Bool {
        let origins = transaction.origins
        let writer = transaction.writer
        let ledger = transaction.ledger
        let entries = try ledger.entries(table: row.table, row: state.row, field: field.number)
        let outcome = try MergeRule.merge(
            version, into: try row.store.current(state, field: field.number), lost: entries.map(\.lost),
            known: { () throws(any Error) in try row.store.known(state, field: field.number) },
            saw: { (new: Version, old: Version) throws(any Error) in try origins.saw(new, old, writer) })
        try row.store.addVersion(version, row: state.row, field: field.number)

        func written(by other: Version) throws -> LoggedContents.Written? {
            other == version
                ? newcomer : try contents.written(by: other, table: row.table.name, id: row.id, field: field.name)
        }
        func differs(from lost: Version) -> (Version) throws -> Bool {
            { witness in
                try LoggedContents.isShown(written(by: lost), beside: written(by: witness)) { content in
                    try row.store.known(state, field: field.number).contains { seen in
                        guard try origins.saw(witness, seen, writer), let seen = try written(by: seen) else {
                            return false
                        }
                        return seen.isInsert && seen.content == content
                    }
                }
            }
        }
        for gone in outcome.recovered {
            if let entry = entries.first(where: { $0.lost.version == gone }) { try ledger.remove(entry.number) }
        }
        for changed in outcome.changed {
            guard let entry = entries.first(where: { $0.lost.version == changed.version }) else { continue }
            try ledger.update(LedgerEntry(number: entry.number, lost: changed), differs: differs(from: changed.version))
        }
        if let lost = outcome.newlyLost {
            try ledger.add(
                lost, table: row.table, id: row.id, row: state.row, field: field,
                values: lost.version == version ? newValues() : try oldValues(lost.version),
                differs: differs(from: lost.version))
        }
        return outcome.wins
    }
}
