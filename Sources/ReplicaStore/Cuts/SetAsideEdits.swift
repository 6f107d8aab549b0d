// This node's own work that a cut set aside, written again as new edits, so that an honest node loses nothing.
//
// Invariant: an edit is written again by its author alone, once, and only where nothing that counts was written over it.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

/// Finds what of this node's set-aside work is to be written again.
struct SetAsideCollector {
    private struct Register: Hashable, Comparable {
        let table: Int64
        let id: RowID
        let field: Int64

        static func < (one: Self, other: Self) -> Bool {
            (one.table, one.id, one.field) < (other.table, other.id, other.field)
        }
    }
    private struct OwnWrite {
        let version: Version
        /// Of a field.
        let cells: [Cell]
        /// Of existence.
        let alive: Bool
        let takenBack: HeldStore.TakenBack
        /// The number of its origin, if this replica sealed it.
        let sealedHere: Int64?
        /// Where its large values are, if an earlier cut took it back.
        let held: HeldValues?

        /// Whether a program of this replica wrote it when the other was gone: then it is the later one, whatever the clock said.
        func isWritten(after other: Self) -> Bool {
            sealedHere.map { other.takenBack.isBefore($0, version.sequence) } ?? false
        }
    }
    private struct HeldValues {
        let number: Int64
        /// The first large value of the field among those of the change set.
        let ordinal: Int
    }

    private let transaction: EngineTransaction
    private let index: ValueIndex
    private let cuts: Cuts
    /// For each origin, by its number, the first change set that is set aside now.
    private let first: [Int64: SequenceNumber]
    /// For each register, those that are not known to be overwritten by others of them.
    private var own: [Register: [OwnWrite]] = [:]
    /// The greatest version that others wrote and an earlier cut took back, of what is not void.
    private var others: [Register: Version] = [:]
    /// The same of what nobody writes again, for its author is revoked.
    private var orphans: [Register: Version] = [:]
    /// The change sets that these are of.
    private(set) var orphaned: Set<Dot> = []

    /// - Parameters:
    ///   - transaction: as it was before the rewind.
    ///   - cuts: what is beyond them is void: it does not count as written over what this node wrote.
    ///   - first: what the rewind sets aside.
    init(_ transaction: EngineTransaction, _ index: ValueIndex, cuts: Cuts, first: [Int64: SequenceNumber]) {
        self.transaction = transaction
        self.index = index
        self.cuts = cuts
        self.first = first
    }

    /// Takes in one change set that is set aside.
    ///
    /// - Parameter held: its number, where it was set aside before: then the metadata does not know it any more.
    mutating func take(
        _ changeSet: ChangeSet, _ takenBack: HeldStore.TakenBack, from: NodeID?, held: Int64?
    ) {
        let header = changeSet.header
        let isOwn = header.origin.node == transaction.own.node
        guard isOwn || held != nil && !cuts.exclude(header.dot) else { return }
        let sealedHere = isOwn && from == nil ? transaction.origins[header.origin]?.number : nil
        var ordinal = 0
        for part in changeSet.tables {
            guard let table = transaction.table(named: part.table) else {
                ordinal += part.rows.reduce(0) { $0 + $1.besideCells.count }
                continue
            }
            for row in part.rows {
                let version = Version(stamp: row.stamp, origin: header.origin, sequence: header.sequence)
                func take(_ field: Int64, _ cells: [Cell], alive: Bool) {
                    let register = Register(table: table.number, id: row.id, field: field)
                    guard isOwn else {
                        if cuts.revoked[header.origin.node] == nil {
                            others[register] = max(others[register] ?? version, version)
                        } else {
                            orphans[register] = max(orphans[register] ?? version, version)
                            orphaned.insert(header.dot)
                        }
                        return
                    }
                    let write = OwnWrite(
                        version: version, cells: cells, alive: alive, takenBack: takenBack, sealedHere: sealedHere,
                        held: held.map { HeldValues(number: $0, ordinal: ordinal) })
                    let others = own[register] ?? []
                    guard !others.contains(where: { $0.isWritten(after: write) }) else { return }
                    own[register] = others.filter { !write.isWritten(after: $0) } + [write]
                }
                if row.kind.writesExistence { take(CompiledField.existence, [], alive: row.kind != .delete) }
                guard row.kind == .insert || row.kind == .update else { continue }
                var start = 0
                for place in part.fieldSets[row.fieldSet] {
                    let count = part.fields[place].columns.count
                    let cells = Array(row.cells[start..<start + count])
                    if let field = table.field(part.fields[place]) {
                        take(field.number, cells, alive: true)
                    }
                    ordinal += cells.count { if case .beside = $0 { true } else { false } }
                    start += count
                }
            }
        }
    }

    /// Writes down what won its register among the writes that count, with the values, in place of what earlier cuts made wait.
    func keep() throws {
        let registers = own.keys.sorted()
        for register in registers {
            try transaction.writer.execute(
                """
                DELETE FROM sync_set_aside_edits WHERE table_number = ?1 AND id = ?2
                AND (field = ?3 OR with_insert AND ?3 = ?4)
                """,
                [
                    .integer(register.table), .text(register.id.bytes), .integer(register.field),
                    .integer(CompiledField.existence),
                ])
        }
        for register in registers {
            guard let table = transaction.tables.first(where: { $0.number == register.table }),
                let version = try winner(register, table),
                let write = own[register]?.first(where: { $0.version == version })
            else { continue }
            if register.field == CompiledField.existence {
                try keep(register, write.version.dot, 0, .integer(write.alive ? 1 : 0))
                if write.alive { try keepRow(register, write.version.dot, table) }
                continue
            }
            guard let values = try values(write, register.id, table) else { continue }
            for (ordinal, value) in values.enumerated() {
                try keep(register, write.version.dot, Int64(ordinal), value)
            }
        }
    }

    /// Drops edits that wait and that lost to what came free since: what was nobody's to write again counts as it stands now.
    ///
    /// - Parameter orphaned: the change sets that nobody would have written again before.
    static func drop(whatLostTo orphaned: Set<Dot>, in transaction: EngineTransaction) throws {
        let writer = transaction.writer
        let waiting = try writer.query(
            "SELECT DISTINCT table_number, id, field, origin, seq FROM sync_set_aside_edits WHERE NOT with_insert")
        guard !waiting.isEmpty else { return }
        var own = Self(transaction, try ValueIndex(transaction, rows: [:]), cuts: transaction.cuts, first: [:])
        try HeldStore.forEachTakenBack(writer) { own.take($1, $2, from: $3, held: $0) }
        for row in waiting {
            guard let number = row[0].integer, case .text(let id) = row[1], let field = row[2].integer,
                let origin = row[3].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[4].integer
            else { throw ReplicaError.damaged("sync_set_aside_edits") }
            guard let table = transaction.tables.first(where: { $0.number == number }) else { continue }
            let dot = Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
            let winner = try own.winner(Register(table: number, id: RowID(bytes: id), field: field), table)
            guard let winner, winner.dot != dot, orphaned.contains(winner.dot) else { continue }
            try writer.execute(
                "DELETE FROM sync_set_aside_edits WHERE table_number = ? AND id = ? AND field = ? AND NOT with_insert",
                [row[0], row[1], row[2]])
        }
    }

    /// Of what this node itself wrote nothing is void: what a fork cuts off of it is its own work all the same.
    ///
    /// - Parameter withOrphans: what is set aside of a node that is revoked may win too. Its author, who is out, does not write it
    ///   again: this node's own, which it had won over, would be lost with it.
    private func winner(_ register: Register, _ table: CompiledTable, withOrphans: Bool = false) throws -> Version? {
        var writes = own[register] ?? []
        var versions = [others[register], withOrphans ? orphans[register] : nil].compactMap { $0 }
        let store = try transaction.store(table)
        if let state = try store.find(register.id) {
            for version in try store.known(state, field: register.field) {
                let isOwn = version.origin.node == transaction.own.node
                guard try isOwn || !cuts.exclude(version.dot) && (withOrphans || !isOrphan(version.dot)) else {
                    continue
                }
                versions.append(version)
                guard isOwn, let number = try transaction.numberOfSealer(version.dot) else { continue }
                writes.removeAll { $0.takenBack.isBefore(number, version.sequence) }
            }
        }
        return (versions + writes.map(\.version)).max()
    }

    private func isOrphan(_ dot: Dot) throws -> Bool {
        guard cuts.revoked[dot.origin.node] != nil else { return false }
        return try first[transaction.origins.number(of: dot.origin)].map { dot.sequence >= $0 } ?? false
    }

    /// Nil where one of them never arrived.
    private func values(_ write: OwnWrite, _ id: RowID, _ table: CompiledTable) throws -> [Value]? {
        var values: [Value] = []
        var ordinal = write.held?.ordinal ?? 0
        for cell in write.cells {
            switch cell {
            case .inline(let value): values.append(value)
            case .beside(let large):
                let bytes =
                    if let held = write.held {
                        try HeldStore.value(ordinal, of: held.number, transaction.writer)
                    } else {
                        try index.find(large, of: id, in: table)
                    }
                guard let bytes else { return nil }
                ordinal += 1
                values.append(large.kind == .text ? .text(bytes) : .blob(bytes))
            }
        }
        return values
    }

    /// Should the row have to be inserted again, it is inserted as this node had it, without what is void: with what a node wrote
    /// that is revoked since, too, where this one wrote nothing there itself.
    private func keepRow(_ register: Register, _ dot: Dot, _ table: CompiledTable) throws {
        let store = try transaction.store(table)
        guard let state = try store.find(register.id), let row = try index.row(register.id, of: table) else { return }
        for field in table.fields {
            let other = Register(table: register.table, id: register.id, field: field.number)
            guard let winner = try winner(other, table, withOrphans: true),
                try store.current(state, field: field.number) == winner,
                try !transaction.isAwaited(table: table, row: state.row, field: field.number)
            else { continue }
            for (ordinal, position) in field.positions.enumerated() {
                try keep(other, dot, Int64(ordinal), row[position], withInsert: true)
            }
        }
    }

    private func keep(
        _ register: Register, _ dot: Dot, _ ordinal: Int64, _ value: Value, withInsert: Bool = false
    ) throws {
        // What this node wrote itself stands before what it only had.
        let row: [Value] = [
            .integer(register.table), .text(register.id.bytes), .integer(register.field), .integer(ordinal),
            .blob(dot.origin.bytes), .integer(Int64(bitPattern: dot.sequence.rawValue)),
            .integer(withInsert ? 1 : 0), value,
        ]
        try transaction.writer.execute(
            """
            INSERT INTO sync_set_aside_edits(table_number, id, field, ordinal, origin, seq, with_insert, value, digest)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET origin = excluded.origin, seq = excluded.seq,
            with_insert = excluded.with_insert, value = excluded.value, digest = excluded.digest
            WHERE NOT excluded.with_insert OR sync_set_aside_edits.with_insert
            """, row + [.blob(SetAsideEdits.digest(of: row).bytes)])
    }
}

enum SetAsideEdits {
    private struct Edit {
        let field: Int64
        let ordinal: Int
        let withInsert: Bool
        let value: Value
        /// The change set that held it.
        let dot: Dot
    }

    /// SHA-256 over a row but for its last column, which holds this.
    static func digest(of row: some Sequence<Value>) -> Digest {
        var bytes: [UInt8] = []
        for value in row { value.appendDigestInput(to: &bytes) }
        return SHA256.digest(bytes)
    }

    /// The change set that held them counts after all.
    static func drop(_ dot: Dot, in writer: Writer) throws {
        try writer.execute(
            "DELETE FROM sync_set_aside_edits WHERE origin = ? AND seq = ?",
            [.blob(dot.origin.bytes), .integer(Int64(bitPattern: dot.sequence.rawValue))])
    }

    /// Writes what can be written, through capture, and seals it.
    ///
    /// - Returns: how many field writes were sealed.
    static func writeAgain(_ transaction: EngineTransaction, key: SigningKey) throws -> UInt64 {
        let writer = transaction.writer
        guard try writer.integer("SELECT 1 FROM sync_set_aside_edits LIMIT 1") != nil else { return 0 }
        var rows = try transaction.tables.sorted { $0.number < $1.number }.flatMap { try writable($0, writer) }
        guard !rows.isEmpty else { return 0 }
        var forbidden: [Forbidden] = []
        func attempt(_ row: Row, _ body: () throws -> Bool) throws -> Bool {
            do {
                return try writer.savepoint(undoneBy: SQLError.isConstraint, body)
            } catch let error as SQLError where error.isConstraint {
                forbidden.append(Forbidden(row: row, cause: error.message))
                return false
            }
        }
        // What triggers do not capture first: switching them makes SQLite compile every statement anew.
        let restored = try rows.filter { row in
            try row.isAlive && attempt(row) { try restore(row.id, row.table, transaction) }
        }
        rows = rows.filter { row in !forbidden.contains { $0.row.isSame(as: row) } }
        let written = try writer.capturing {
            try rows.filter { row in
                try attempt(row) { try writeAgain(row.id, row.table, transaction) }
            }
        }
        if !forbidden.isEmpty { try giveUp(forbidden, transaction) }
        guard !restored.isEmpty || !written.isEmpty else { return 0 }
        let sealer = try Sealer(transaction, key: key)
        try sealer.sealAll()
        return sealer.report.changes
    }

    private struct Row {
        let id: RowID
        let table: CompiledTable
        let isAlive: Bool

        func isSame(as other: Self) -> Bool { id == other.id && table.number == other.table.number }
    }

    /// A row of which a constraint forbids what is to be written again.
    private struct Forbidden {
        let row: Row
        let cause: String
    }

    /// What somebody's constraint forbids is not tried for ever: by the time that it is gone others may have written over what this
    /// node did. It is held, and the operator is told where.
    private static func giveUp(_ forbidden: [Forbidden], _ transaction: EngineTransaction) throws {
        let writer = transaction.writer
        var dots: Set<Dot> = []
        for row in forbidden.map(\.row) {
            let place: [Value] = [.integer(row.table.number), .text(row.id.bytes)]
            dots.formUnion(
                try writer.query(
                    "SELECT DISTINCT origin, seq FROM sync_set_aside_edits WHERE table_number = ? AND id = ?", place
                ).compactMap { row in
                    guard let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[1].integer
                    else { return nil }
                    return Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
                })
            try writer.execute("DELETE FROM sync_set_aside_edits WHERE table_number = ? AND id = ?", place)
        }
        let first = forbidden[0]
        let change = dots.min { ($0.origin, $0.sequence) < ($1.origin, $1.sequence) }
        let others = forbidden.count == 1 ? "" : " and \((forbidden.count - 1).of("row")) more"
        try ReplicaNotice.add(
            .notWrittenAgain,
            "A cut took back what this node had written to \(first.row.table.name) \(first.row.id)\(others), and it cannot be written again: a constraint that somebody added to the table forbids it (\(first.cause)). It is held, not lost: \(change.map { "`syncnode held show \($0)`" } ?? "`syncnode held`") shows it. See whether the constraint should go (`DROP INDEX`), and write it anew.",
            at: transaction.now, in: writer)
    }

    /// The rows of a table that can be dealt with now. Fields of a row that nobody brings any more wait for good: they cost each
    /// batch a look, and no more.
    private static func writable(_ table: CompiledTable, _ writer: Writer) throws -> [Row] {
        try writer.query(
            """
            SELECT id, max(CASE WHEN field = ?1 THEN value END) FROM sync_set_aside_edits AS edit WHERE table_number = ?2
            GROUP BY id HAVING max(field = ?1 OR with_insert)
            OR EXISTS (SELECT 1 FROM "sync_rows_\(table.name)" AS row WHERE row.id = edit.id AND row.alive)
            """, [.integer(CompiledField.existence), .integer(table.number)]
        ).map { row in
            guard case .text(let id) = row[0] else { throw ReplicaError.damaged("sync_set_aside_edits") }
            return Row(id: RowID(bytes: id), table: table, isAlive: row[1] == .integer(1))
        }
    }

    /// Brings a row back that is deleted here, with its values as they were. One that is there is stated to be there all the same: a
    /// delete that was overwritten, and comes later, must lose to it still.
    private static func restore(_ id: RowID, _ table: CompiledTable, _ transaction: EngineTransaction) throws -> Bool {
        let store = try transaction.store(table)
        guard let state = try store.find(id), try store.wasInserted(state) else { return false }
        if !state.alive { try store.raise(id, row: state.row) }
        try store.journalUndelete(id, at: transaction.now)
        return true
    }

    /// One row, with triggers on: inserted, then its fields, then deleted, as far as this node had done so.
    private static func writeAgain(_ id: RowID, _ table: CompiledTable, _ transaction: EngineTransaction) throws -> Bool
    {
        let writer = transaction.writer
        let store = try transaction.store(table)
        let edits = try writer.query(
            """
            SELECT field, ordinal, with_insert, value, origin, seq FROM sync_set_aside_edits
            WHERE table_number = ? AND id = ? ORDER BY field, ordinal
            """, [.integer(table.number), .text(id.bytes)]
        ).map { row -> Edit in
            guard let field = row[0].integer, let ordinal = row[1].integer,
                let origin = row[4].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[5].integer
            else { throw ReplicaError.damaged("sync_set_aside_edits") }
            return Edit(
                field: field, ordinal: Int(ordinal), withInsert: row[2] == .integer(1), value: row[3],
                dot: Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence))))
        }
        let existence = edits.first { $0.field == CompiledField.existence }?.value
        let state = try store.find(id)
        var isAlive = state?.alive ?? false
        if !isAlive, existence == .integer(1) {
            try insert(id, edits, table, writer)
            isAlive = true
        }
        guard isAlive else {
            // Whoever brought the row writes it again; until then the edits of its fields wait.
            try writer.execute(
                "DELETE FROM sync_set_aside_edits WHERE table_number = ? AND id = ? AND (field = ? OR with_insert)",
                [.integer(table.number), .text(id.bytes), .integer(CompiledField.existence)])
            return false
        }
        for field in table.fields {
            let own = edits.filter { $0.field == field.number && !$0.withInsert }
            let values = own.map(\.value)
            guard values.count == field.columns.count, let dot = own.first?.dot,
                try !wroteSince(dot, state, field, store, transaction)
            else { continue }
            // Written where it is there already, too: what others wrote at the same time was overwritten by it.
            let present = try store.values(id, alive: true)
            if let present, field.positions.map({ present[$0] }) == values {
                try store.journalUpdate(id, positions: field.positions, values: values, at: transaction.now)
                continue
            }
            let assignments = field.columns.map { "\"\($0)\" = ?" }.joined(separator: ", ")
            try writer.execute(
                "UPDATE \"\(table.name)\" SET \(assignments) WHERE id = ?", values + [.text(id.bytes)])
        }
        if existence == .integer(0) {
            try writer.execute("DELETE FROM \"\(table.name)\" WHERE id = ?", [.text(id.bytes)])
        }
        try writer.execute(
            "DELETE FROM sync_set_aside_edits WHERE table_number = ? AND id = ?",
            [.integer(table.number), .text(id.bytes)])
        return true
    }

    /// Whether the field was written here after that change set was taken back: while an edit waited for its row, a program may
    /// have made the row anew. Stamps do not tell: the clock may have been ahead before.
    private static func wroteSince(
        _ dot: Dot, _ state: RowState?, _ field: CompiledField, _ store: TableStore, _ transaction: EngineTransaction
    ) throws -> Bool {
        guard let state else { return false }
        let held = try transaction.writer.query(
            "SELECT taken_back FROM sync_held WHERE origin = ? AND seq = ?",
            [.blob(dot.origin.bytes), .integer(Int64(bitPattern: dot.sequence.rawValue))]
        ).first
        // What an older program took back does not say when.
        guard let taken = held.flatMap({ HeldStore.TakenBack($0[0]) }) else { return false }
        return try store.known(state, field: field.number).contains { version in
            guard version.origin.node == transaction.own.node else { return false }
            return try transaction.numberOfSealer(version.dot).map { taken.isBefore($0, version.sequence) } ?? false
        }
    }

    private static func insert(_ id: RowID, _ edits: [Edit], _ table: CompiledTable, _ writer: Writer) throws {
        let columns = edits.compactMap { edit -> (String, Value)? in
            guard let field = table.fields.first(where: { $0.number == edit.field }),
                field.columns.indices.contains(edit.ordinal)
            else { return nil }
            return (field.columns[edit.ordinal], edit.value)
        }
        let names = columns.map { ", \"\($0.0)\"" }.joined()
        let parameters = String(repeating: ", ?", count: columns.count)
        try writer.execute(
            "INSERT INTO \"\(table.name)\"(id\(names)) VALUES (?\(parameters))", [.text(id.bytes)] + columns.map(\.1))
    }
}

extension EngineTransaction {
    /// The number of the origin of a change set that this replica sealed. Nil for one that came from elsewhere, though it may bear
    /// this node's name: a clone's.
    fileprivate func numberOfSealer(_ dot: Dot) throws -> Int64? {
        try writer.integer(
            "SELECT origin FROM sync_change_sets WHERE origin = ? AND seq = ? AND received_from IS NULL",
            .integer(try origins.number(of: dot.origin)), .integer(Int64(bitPattern: dot.sequence.rawValue)))
    }
}
