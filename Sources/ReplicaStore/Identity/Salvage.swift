// Salvaging: what only an old file of this node's replica holds is written again in the present one.
//
// Invariant: the old file is only read, and nothing is overwritten that the old file's writer had not seen.

public import ReplicationModel

/// What salvaging did.
public struct SalvageReport: Sendable, Hashable {
    /// Rows inserted, changed, restored or deleted here.
    public var rows = 0
    /// What stands here was written by someone who had not seen what the old file holds, nor the other way round; it stays,
    /// and the old file's value is for a person to look at.
    public var differing: [SalvagedDifference] = []
}

/// A field, or a row's existence, that was not salvaged.
public struct SalvagedDifference: Sendable, Hashable {
    public let table: String
    public let row: RowID
    /// Nil for the row as a whole.
    public let field: String?
}

extension Replica {
    /// Writes again what an old replica file of this node holds and nobody else has: edits that were never sealed, and
    /// change sets that were never sent. To be called when everything was pulled that peers have.
    ///
    /// - Throws: `ReplicaError`: `.notAReplica`, `.tooNew`, or `.refused` where it is another node's or workspace's.
    public func salvage(from path: String) throws -> SalvageReport { try salvage(from: path, beforeWriting: {}) }

    /// - Parameter beforeWriting: what a test does between looking and writing.
    func salvage(from path: String, beforeWriting: () throws -> Void) throws -> SalvageReport {
        let version = try Self.form(of: path, at: path)
        return try reading(path, ofForm: version) { reader in
            guard try Settings.value("workspace", reader) == .blob(workspace.id.bytes),
                try Settings.ownOrigin(reader).node == node
            else {
                throw ReplicaError(
                    .refused,
                    "Cannot salvage from \(path): it is the replica of another node or workspace. Only its own node can write again what it wrote."
                )
            }
            var rows: Set<SalvagedRow> = []
            for _ in 0..<Self.salvageAttempts {
                // What was edited here since is to be compared with: nothing of the old file may take its place unseen.
                try seal()
                var report = SalvageReport()
                let (actions, state) = try read { present in
                    let plan = SalvagePlan(old: try Side(reader), present: try Side(present), node: node)
                    return (try plan.actions(&report), try WrittenState(present))
                }
                try beforeWriting()
                let deleted = actions.filter(\.undeletes).map(\.row)
                guard deleted.isEmpty else {
                    // Bringing rows back is written by itself; then there is more to look at.
                    if try undelete(deleted, ifStill: state) { rows.formUnion(deleted) }
                    continue
                }
                guard try perform(actions, ifStill: state) else { continue }
                try seal()
                report.rows = rows.union(actions.map(\.row)).count
                return report
            }
            throw ReplicaError(
                .busy,
                "Cannot salvage from \(path): the present replica is written to again and again meanwhile. Stop `syncnode serve` and whatever else writes to it, and salvage once more; what was done so far is kept."
            )
        }
    }

    /// How often what was looked at may have been written over before it was acted on.
    private static let salvageAttempts = 8

    /// False where somebody has written meanwhile: nothing is done.
    private func perform(_ actions: [SalvageAction], ifStill state: WrittenState) throws -> Bool {
        try write { writer in
            guard try WrittenState(writer) == state else { return false }
            for action in actions { try action.perform(writer) }
            return true
        }
    }

    /// The same, for rows that are deleted here.
    private func undelete(_ rows: [SalvagedRow], ifStill state: WrittenState) throws -> Bool {
        try engineWrite { writer in
            guard try WrittenState(writer) == state else { return false }
            let transaction = try engineTransaction(writer)
            for row in rows { _ = try transaction.undelete(table: row.table, row.id) }
            try Sealer(transaction, key: key).sealAll()
            return true
        }
    }

    /// Reads an old file, which is left as it is: where an older program made it, a copy is brought to the present form.
    private func reading<T>(_ path: String, ofForm version: Int64, _ body: (Reader) throws -> T) throws -> T {
        guard version < Schema.steps.count else {
            let old = try Connections(path: path, readOnly: true)
            // It was only read: there is nothing to lose.
            defer { try? old.close() }
            return try old.read(body)
        }
        // Beside the replica: a directory that only this user reads, and that has room for one.
        let copy = "\(self.path).salvaged-\(UInt64.random(in: 0...UInt64.max))"
        defer { for end in ["", "-wal", "-shm"] { FileSystem.system.remove(copy + end) } }
        FileSystem.system.createPrivate(copy)
        try Connections.copy(path, to: copy)
        let old = try Connections(path: copy)
        defer { try? old.close() }
        do {
            try old.engineWrite(Self.migrate)
        } catch let error as SQLError where error.isConstraint || error.isUnknownName {
            throw ReplicaError.form(path, error)
        }
        return try old.read(body)
    }
}

/// What was written to a replica so far, by its programs and by others.
private struct WrittenState: Equatable {
    private let applied: VersionVector
    private let journaled: [Int64]

    init(_ reader: Reader) throws {
        applied = try OriginBook(reader).applied
        journaled = try Declaration.load(reader).map { table in
            try reader.integer("SELECT ifnull(max(n), 0) FROM \"sync_journal_\(table.name)\"") ?? 0
        }
    }
}

private struct SalvagedRow: Hashable {
    let table: String
    let id: RowID
}

/// One replica as salvaging reads it.
private struct Side {
    let transaction: EngineTransaction

    /// The writer is only read with: the stores' statements are prepared on one.
    init(_ reader: Reader) throws {
        transaction = try EngineTransaction(
            Writer(reader.database, reader.declarations), now: WallClock(milliseconds: 0))
    }

    /// The greatest write known of a register; nil for none.
    func current(_ store: TableStore, _ id: RowID, _ field: Int64) throws -> Version? {
        try store.find(id).flatMap { try store.current($0, field: field) }
    }
}

private enum SalvageAction {
    case insert(table: String, RowID, [(column: String, value: Value)])
    case update(table: String, RowID, [(column: String, value: Value)])
    case undelete(table: String, RowID, [(column: String, value: Value)])
    case delete(table: String, RowID)

    var row: SalvagedRow {
        switch self {
        case .insert(let table, let id, _), .update(let table, let id, _), .undelete(let table, let id, _),
            .delete(let table, let id):
            SalvagedRow(table: table, id: id)
        }
    }

    var undeletes: Bool { if case .undelete = self { true } else { false } }

    func perform(_ writer: Writer) throws {
        switch self {
        case .insert(let table, let id, let cells):
            let names = cells.map { ", \"\($0.column)\"" }.joined()
            let marks = cells.map { _ in ", ?" }.joined()
            try writer.execute(
                "INSERT INTO \"\(table)\"(id\(names)) VALUES (?\(marks))", [.text(id.bytes)] + cells.map(\.value))
        case .update(let table, let id, let cells), .undelete(let table, let id, let cells):
            guard !cells.isEmpty else { return }
            let assignments = cells.map { "\"\($0.column)\" = ?" }.joined(separator: ", ")
            try writer.execute(
                "UPDATE \"\(table)\" SET \(assignments) WHERE id = ?", cells.map(\.value) + [.text(id.bytes)])
        case .delete(let table, let id):
            try writer.execute("DELETE FROM \"\(table)\" WHERE id = ?", [.text(id.bytes)])
        }
    }
}

private struct SalvagePlan {
    let old: Side
    let present: Side
    let node: NodeID

    /// Registers of one row that only the old file has; fields by name.
    private struct Wanted {
        var existence = false
        var fields: Set<String> = []
    }

    func actions(_ report: inout SalvageReport) throws -> [SalvageAction] {
        var actions: [SalvageAction] = []
        for table in old.transaction.tables {
            guard let here = present.transaction.table(named: table.name) else { continue }
            for (id, wanted) in try wanted(table).sorted(by: { $0.key < $1.key }) {
                if let action = try action(id, wanted, table, here, &report) { actions.append(action) }
            }
        }
        return actions
    }

    // MARK: What only the old file has

    private func wanted(_ table: CompiledTable) throws -> [RowID: Wanted] {
        var rows: [RowID: Wanted] = [:]
        let reader = old.transaction.writer
        for row in try reader.query(
            """
            SELECT id, op, ifnull(mask, 0) FROM "sync_journal_\(table.name)"
            WHERE n > (SELECT sealed FROM sync_tables WHERE number = ?) AND op <> ?
            """, [.integer(table.number), .integer(JournalOperation.overwritten.rawValue)])
        {
            guard case .text(let bytes) = row[0], let mask = row[2].integer,
                let operation = row[1].integer.flatMap({ JournalOperation(rawValue: $0) }), operation.isEdit
            else { continue }
            let id = RowID(bytes: bytes)
            switch operation {
            case .update:
                rows[id, default: Wanted()].fields.formUnion(
                    table.fields(touchedBy: mask).map { table.fields[$0].name })
            case .insert: rows[id] = Wanted(existence: true, fields: Set(table.fields.map(\.name)))
            default: rows[id, default: Wanted()].existence = true
            }
        }
        for record in old.transaction.origins.records where record.origin.node == node {
            let sent = present.transaction.origins[record.origin]?.applied ?? .zero
            guard record.applied > sent else { continue }
            try addSealed(record.number, after: sent, table, &rows)
        }
        return rows
    }

    /// Registers whose current write is in one of those change sets.
    private func addSealed(
        _ origin: Int64, after sent: SequenceNumber, _ table: CompiledTable, _ rows: inout [RowID: Wanted]
    ) throws {
        let store = try old.transaction.store(table)
        let names = Dictionary(firstOf: table.fields.map { ($0.number, $0.name) })
        let numbers = [CompiledField.existence] + table.fields.map(\.number)
        for row in try old.transaction.writer.query(
            """
            SELECT DISTINCT r.id FROM "sync_rows_\(table.name)" r WHERE r.origin = ?1 AND r.seq > ?2
            UNION SELECT r.id FROM "sync_versions_\(table.name)" v JOIN "sync_rows_\(table.name)" r ON r.row = v.row
            WHERE v.origin = ?1 AND v.seq > ?2
            """, [.integer(origin), .integer(Int64(bitPattern: sent.rawValue))])
        {
            guard case .text(let bytes) = row[0] else { continue }
            let id = RowID(bytes: bytes)
            for number in numbers {
                guard let version = try old.current(store, id, number), version.sequence > sent,
                    try old.transaction.origins.number(of: version.origin) == origin
                else { continue }
                if let name = names[number] {
                    rows[id, default: Wanted()].fields.insert(name)
                } else {
                    rows[id, default: Wanted()].existence = true
                }
            }
        }
    }

    // MARK: What to do about one row

    private func action(
        _ id: RowID, _ wanted: Wanted, _ table: CompiledTable, _ here: CompiledTable, _ report: inout SalvageReport
    ) throws -> SalvageAction? {
        let (theirs, ours) = (try old.transaction.store(table), try present.transaction.store(here))
        let before = try theirs.values(id, alive: true)
        let now = try ours.values(id, alive: true)
        /// What stands here was seen by the old file's writer, so writing over it goes on from it.
        func wasSeen(_ field: Int64) throws -> Bool {
            guard let version = try present.current(ours, id, field) else { return true }
            return old.transaction.origins.applied[version.origin] >= version.sequence
        }
        func differs(_ field: String?) {
            report.differing.append(SalvagedDifference(table: here.name, row: id, field: field))
        }
        guard let before else {
            guard now != nil, wanted.existence else { return nil }
            let numbers = [CompiledField.existence] + here.fields.map(\.number)
            guard try numbers.allSatisfy(wasSeen) else {
                differs(nil)
                return nil
            }
            return .delete(table: here.name, id)
        }
        var cells: [(column: String, value: Value)] = []
        for field in here.fields {
            guard let known = table.field(named: field.name), known.columns == field.columns,
                now == nil || wanted.fields.contains(field.name)
            else { continue }
            let values = known.positions.map { before[$0] }
            if let now, field.positions.map({ now[$0] }) == values { continue }
            guard try wasSeen(field.number) else {
                differs(field.name)
                continue
            }
            cells += zip(field.columns, values).map { ($0, $1) }
        }
        if now != nil { return cells.isEmpty ? nil : .update(table: here.name, id, cells) }
        guard try ours.find(id) != nil else { return .insert(table: here.name, id, cells) }
        guard wanted.existence, try wasSeen(CompiledField.existence) else {
            differs(nil)
            return nil
        }
        return .undelete(table: here.name, id, cells)
    }
}
