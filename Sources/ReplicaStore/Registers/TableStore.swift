// One replicated table's rows, versions and graveyard, in one transaction.
//
// Invariant: the current version of a register is the greatest of its rows in `sync_versions_…` and, where the row's
// shape holds the field (or the register is existence), the row's own version.

internal import ReplicationModel

/// What is known of one row before a write to it.
struct RowState {
    let row: Int64
    var alive: Bool
    /// Number of the shape that `base` stands for; nil where the row was never inserted here.
    let shape: Int64?
    let base: Version?
}

final class TableStore {
    let table: CompiledTable
    private let writer: Writer
    private let origins: OriginBook
    private let shapes: ShapeBook

    private let insertRowStatement: Statement
    private let findRowStatement: Statement
    private let setAliveStatement: Statement
    private let insertVersionStatement: Statement
    private let versionsStatement: Statement
    private let latestStatement: Statement
    private let insertStatement: Statement
    private let selectStatement: Statement
    private let selectBuriedStatement: Statement
    private let journalStatement: Statement
    private var fieldStatements: [FieldHome: FieldStatements] = [:]

    private struct FieldHome: Hashable {
        let field: Int64
        let alive: Bool
    }

    /// Reading and writing one field where its row lives.
    private struct FieldStatements {
        let select: Statement
        let update: Statement
    }

    init(_ table: CompiledTable, writer: Writer, origins: OriginBook, shapes: ShapeBook) throws {
        self.table = table
        self.writer = writer
        self.origins = origins
        self.shapes = shapes
        let name = table.name
        insertRowStatement = try writer.prepare(
            "INSERT OR IGNORE INTO \"sync_rows_\(name)\"(id, alive, shape, stamp, origin, seq) VALUES (?, ?, ?, ?, ?, ?)"
        )
        findRowStatement = try writer.prepare(
            "SELECT row, alive, shape, stamp, origin, seq FROM \"sync_rows_\(name)\" WHERE id = ?")
        setAliveStatement = try writer.prepare("UPDATE \"sync_rows_\(name)\" SET alive = ? WHERE row = ?")
        insertVersionStatement = try writer.prepare(
            "INSERT INTO \"sync_versions_\(name)\"(row, field, stamp, origin, seq) VALUES (?, ?, ?, ?, ?)")
        versionsStatement = try writer.prepare(
            "SELECT stamp, origin, seq FROM \"sync_versions_\(name)\" WHERE row = ? AND field = ?")
        latestStatement = try writer.prepare(
            "SELECT stamp, origin, seq FROM \"sync_versions_\(name)\" WHERE row = ? AND field = ? ORDER BY stamp DESC")
        // Columns follow the id, so that a table without any has a query all the same.
        let columns = table.columns.map { ", \"\($0)\"" }.joined()
        selectStatement = try writer.prepare(
            "SELECT id\(columns) FROM \(Self.home(of: table, alive: true)) WHERE id = ?")
        selectBuriedStatement = try writer.prepare(
            "SELECT id\(columns) FROM \(Self.home(of: table, alive: false)) WHERE id = ?")
        let parameters = String(repeating: ", ?", count: table.columns.count)
        insertStatement = try writer.prepare("INSERT INTO \"\(name)\"(id\(columns)) VALUES (?\(parameters))")
        let old = table.columns.map { ", \"old_\($0)\"" }.joined()
        journalStatement = try writer.prepare(
            "INSERT INTO \"sync_journal_\(name)\"(id, at, op, mask\(old)) VALUES (?, ?, ?, ?\(parameters))")
    }

    // MARK: Rows

    /// Makes the row of an insert. Nil where the id is known already: the insert is then a write among others.
    func insertRow(_ id: RowID, shape: Int64, version: Version) throws -> RowState? {
        try id.bytes.withUnsafeBytes { try insertRow($0, shape: shape, version: version) }
    }

    /// The same, by the id's bytes.
    func insertRow(_ id: UnsafeRawBufferPointer, shape: Int64, version: Version) throws -> RowState? {
        let statement = insertRowStatement
        statement.bindBorrowed(1, .text, id)
        statement.bind(2, 1)
        statement.bind(3, shape)
        statement.bind(4, version.stamp.rawValue)
        statement.bind(5, try origins.number(of: version.origin))
        statement.bind(6, Int64(bitPattern: version.sequence.rawValue))
        try statement.run()
        guard writer.changedRowCount == 1 else { return nil }
        return RowState(row: writer.lastInsertedRow, alive: true, shape: shape, base: version)
    }

    func find(_ id: RowID) throws -> RowState? {
        let statement = findRowStatement
        statement.bind(1, text: id.bytes)
        return try statement.first {
            let base: Version? =
                statement.isNull(3)
                ? nil
                : try version(stamp: statement.integer(3), origin: statement.integer(4), sequence: statement.integer(5))
            return RowState(
                row: statement.integer(0), alive: statement.integer(1) == 1,
                shape: statement.isNull(2) ? nil : statement.integer(2), base: base)
        }
    }

    /// The row of an id, made (dead, never inserted) where there is none.
    func findOrMake(_ id: RowID) throws -> RowState {
        if let state = try find(id) { return state }
        let statement = insertRowStatement
        statement.bind(1, text: id.bytes)
        statement.bind(2, 0)
        for index in Int32(3)...6 { statement.bindNull(index) }
        try statement.run()
        try writer.execute("INSERT OR IGNORE INTO \"sync_graveyard_\(table.name)\"(id) VALUES (?)", [.text(id.bytes)])
        let row = try find(id)
        guard let row else { throw ReplicaError.damaged("sync_rows_\(table.name)") }
        return row
    }

    // MARK: Versions

    private func version(stamp: Int64, origin: Int64, sequence: Int64) throws -> Version {
        guard let stamp = Stamp(rawValue: stamp) else { throw ReplicaError.damaged("sync_versions_\(table.name)") }
        return Version(
            stamp: stamp, origin: try origins.origin(origin), sequence: SequenceNumber(UInt64(bitPattern: sequence)))
    }

    func addVersion(_ version: Version, row: Int64, field: Int64) throws {
        let statement = insertVersionStatement
        statement.bind(1, row)
        statement.bind(2, field)
        statement.bind(3, version.stamp.rawValue)
        statement.bind(4, try origins.number(of: version.origin))
        statement.bind(5, Int64(bitPattern: version.sequence.rawValue))
        try statement.run()
    }

    /// The greatest write known of one register: a look at the end of its versions, however many there are.
    func current(_ state: RowState, field: Int64) throws -> Version? {
        var current: Version?
        if let base = state.base, let shape = state.shape,
            try field == CompiledField.existence || shapes.contains(field, in: shape)
        {
            current = base
        }
        let statement = latestStatement
        statement.bind(1, state.row)
        statement.bind(2, field)
        defer { statement.reset() }
        var latest: Int64?
        // Those of one stamp are ordered by origin, and not by the origin's number.
        while try statement.step(), latest == nil || statement.integer(0) == latest {
            latest = statement.integer(0)
            let other = try version(
                stamp: statement.integer(0), origin: statement.integer(1), sequence: statement.integer(2))
            current = current.map { max($0, other) } ?? other
        }
        return current
    }

    /// Every write known of one register.
    func known(_ state: RowState, field: Int64) throws -> [Version] {
        var known: [Version] = []
        if let base = state.base, let shape = state.shape,
            try field == CompiledField.existence || shapes.contains(field, in: shape)
        {
            known.append(base)
        }
        let statement = versionsStatement
        statement.bind(1, state.row)
        statement.bind(2, field)
        try statement.forEach {
            known.append(
                try version(stamp: statement.integer(0), origin: statement.integer(1), sequence: statement.integer(2)))
        }
        return known
    }

    // MARK: Values

    /// The statement that inserts a row into the table: parameter 1 is the id, 2 and on the columns by position.
    func insert(_ id: RowID, _ bindColumns: (Statement) throws -> Void) throws {
        insertStatement.bind(1, text: id.bytes)
        try bindColumns(insertStatement)
        try insertStatement.run()
    }

    private static func home(of table: CompiledTable, alive: Bool) -> String {
        alive ? "\"\(table.name)\"" : "\"sync_graveyard_\(table.name)\""
    }

    private func home(_ alive: Bool) -> String { Self.home(of: table, alive: alive) }

    /// All columns of a row where it lives; nil where there is none.
    func values(_ id: RowID, alive: Bool) throws -> [Value]? {
        let statement = alive ? selectStatement : selectBuriedStatement
        statement.bind(1, text: id.bytes)
        return try statement.first { statement.values(1..<Int32(table.columns.count + 1)) }
    }

    /// Reads a row that is alive where SQLite holds it: column 0 is the id, 1 and on the columns by position. Nil where
    /// there is no such row.
    func withRow<T>(_ id: RowID, _ body: (Statement) throws -> T) throws -> T? {
        selectStatement.bind(1, text: id.bytes)
        return try selectStatement.first { try body(selectStatement) }
    }

    private func statements(_ field: CompiledField, alive: Bool) throws -> FieldStatements {
        let key = FieldHome(field: field.number, alive: alive)
        if let known = fieldStatements[key] { return known }
        let columns = field.columns.map { "\"\($0)\"" }.joined(separator: ", ")
        let assignments = field.columns.map { "\"\($0)\" = ?" }.joined(separator: ", ")
        let statements = FieldStatements(
            select: try writer.prepare("SELECT \(columns) FROM \(home(alive)) WHERE id = ?"),
            update: try writer.prepare("UPDATE \(home(alive)) SET \(assignments) WHERE id = ?"))
        fieldStatements[key] = statements
        return statements
    }

    func values(_ id: RowID, of field: CompiledField, alive: Bool) throws -> [Value]? {
        let statement = try statements(field, alive: alive).select
        statement.bind(1, text: id.bytes)
        return try statement.first { statement.values(0..<Int32(field.columns.count)) }
    }

    func setValues(_ id: RowID, of field: CompiledField, to values: [Value], alive: Bool) throws {
        let statement = try statements(field, alive: alive).update
        for (index, value) in values.enumerated() { statement.bind(Int32(index + 1), value) }
        statement.bind(Int32(values.count + 1), text: id.bytes)
        try statement.run()
        guard writer.changedRowCount == 1 else {
            throw ReplicaError.damaged("\(table.name) lacks a row that its metadata has")
        }
    }

    /// Gives a field's columns what a row has that nobody wrote them in.
    func setDefaults(_ id: RowID, of field: CompiledField, alive: Bool) throws {
        let defaults = try writer.query("SELECT name, dflt_value FROM pragma_table_info(?)", [Value(table.name)])
        let assignments = field.columns.map { column in
            "\"\(column)\" = (\(defaults.first { $0[0].string == column }?[1].string ?? "NULL"))"
        }.joined(separator: ", ")
        try writer.execute("UPDATE \(home(alive)) SET \(assignments) WHERE id = ?", [.text(id.bytes)])
    }

    /// Moves a row's values to the graveyard.
    func bury(_ id: RowID, row: Int64) throws {
        try move(id, from: home(true), to: home(false))
        try setAlive(false, row: row)
    }

    /// Moves a row's values back from the graveyard.
    func raise(_ id: RowID, row: Int64) throws {
        try move(id, from: home(false), to: home(true))
        try setAlive(true, row: row)
    }

    func setAlive(_ alive: Bool, row: Int64) throws {
        setAliveStatement.bind(1, alive ? 1 : 0)
        setAliveStatement.bind(2, row)
        try setAliveStatement.run()
    }

    /// Puts values that a program deleted into the graveyard, by column position. Registers that nobody wrote have their
    /// defaults there.
    func buryValues(_ id: RowID, of state: RowState, _ values: [Value]) throws {
        let positions = try table.fields.filter { try isWritten(state, field: $0.number) }.flatMap(\.positions)
        let columns = positions.map { ", \"\(table.columns[$0])\"" }.joined()
        let parameters = String(repeating: ", ?", count: positions.count)
        try writer.execute(
            "INSERT OR REPLACE INTO \(home(false))(id\(columns)) VALUES (?\(parameters))",
            [.text(id.bytes)] + positions.map { values[$0] })
    }

    private func isWritten(_ state: RowState, field: Int64) throws -> Bool {
        if let shape = state.shape, try shapes.contains(field, in: shape) { return true }
        return try current(state, field: field) != nil
    }

    func clearGrave(_ id: RowID) throws {
        try writer.execute("DELETE FROM \(home(false)) WHERE id = ?", [.text(id.bytes)])
    }

    private func move(_ id: RowID, from: String, to: String) throws {
        let columns = table.columns.map { ", \"\($0)\"" }.joined()
        // A column that may not be NULL has a default; the graveyard may hold NULL there, where no insert was ever seen.
        let select = try writer.prepare("SELECT id\(columns) FROM \(from) WHERE id = ?")
        select.bind(1, text: id.bytes)
        guard let values = try select.first({ select.values(0..<Int32(table.columns.count + 1)) }) else {
            throw ReplicaError.damaged("\(from) lacks a row that its metadata has")
        }
        let present = values.enumerated().filter { $1 != .null }
        let names = present.map { $0.offset == 0 ? "id" : "\"\(table.columns[$0.offset - 1])\"" }.joined(
            separator: ", ")
        let parameters = present.map { _ in "?" }.joined(separator: ", ")
        try writer.execute("INSERT INTO \(to)(\(names)) VALUES (\(parameters))", present.map(\.element))
        let absent = zip(table.columns, values.dropFirst()).filter { $1 == .null }.map(\.0)
        for column in absent {
            // NULL over a default that is not: kept where the column allows it.
            try writer.execute(
                "UPDATE OR IGNORE \(to) SET \"\(column)\" = NULL WHERE id = ?", [.text(id.bytes)])
        }
        try writer.execute("DELETE FROM \(from) WHERE id = ?", [.text(id.bytes)])
    }

    /// Whether the row was ever inserted: known only from field writes, it has nothing to bring back.
    func wasInserted(_ state: RowState) throws -> Bool {
        try !known(state, field: CompiledField.existence).isEmpty
    }

    /// An undelete is captured here, not by a trigger: in SQL it is an insert, which would write every field.
    func journalUndelete(_ id: RowID, at time: WallClock) throws {
        try writer.execute(
            "INSERT INTO \"sync_journal_\(table.name)\"(id, at, op) VALUES (?, ?, ?)",
            [.text(id.bytes), .integer(time.milliseconds), .integer(JournalOperation.undelete.rawValue)])
    }

    /// An update to the values that are there already, which no trigger captures.
    func journalUpdate(_ id: RowID, positions: [Int], values: [Value], at time: WallClock) throws {
        let mask = positions.reduce(Int64(0)) { $0 | 1 << Int64($1) }
        let columns = positions.map { ", \"old_\(table.columns[$0])\"" }.joined()
        let parameters = String(repeating: ", ?", count: positions.count)
        try writer.execute(
            "INSERT INTO \"sync_journal_\(table.name)\"(id, at, op, mask\(columns)) VALUES (?, ?, ?, ?\(parameters))",
            [
                .text(id.bytes), .integer(time.milliseconds), .integer(JournalOperation.update.rawValue),
                .integer(mask),
            ] + values)
    }

    /// Keeps, in the local history, what applying is about to overwrite.
    func journalOverwritten(row: Int64, positions: [Int], values: [Value], at time: WallClock) throws {
        var mask: Int64 = 0
        for position in positions { mask |= 1 << Int64(position) }
        journalStatement.bind(1, row)
        journalStatement.bind(2, time.milliseconds)
        journalStatement.bind(3, JournalOperation.overwritten.rawValue)
        journalStatement.bind(4, mask)
        for (position, value) in zip(positions, values) { journalStatement.bind(Int32(5 + position), value) }
        try journalStatement.run()
    }
}

/// Which fields an insert wrote, numbered.
final class ShapeBook {
    private let writer: Reader
    private var numbers: [[Int64]: Int64] = [:]
    private var fields: [Int64: Set<Int64>] = [:]
    /// What inserts one after another mostly ask for.
    private var latest: (table: Int64, mask: UInt64, number: Int64)?

    init(_ reader: Reader) { writer = reader }

    func number(of fields: [Int64], in writer: Writer) throws -> Int64 {
        if let number = numbers[fields] { return number }
        let text = fields.sorted().map(String.init).joined(separator: ",")
        try writer.execute("INSERT OR IGNORE INTO sync_shapes(fields) VALUES (?)", [Value(text)])
        guard let number = try writer.integer("SELECT number FROM sync_shapes WHERE fields = ?", Value(text)) else {
            throw ReplicaError.damaged("sync_shapes")
        }
        numbers[fields] = number
        return number
    }

    /// - Parameter mask: bit n: field n of the table.
    func number(of mask: UInt64, _ table: CompiledTable, in writer: Writer) throws -> Int64 {
        if let latest, latest.table == table.number, latest.mask == mask { return latest.number }
        let fields = table.fields.indices.filter { mask >> UInt64($0) & 1 == 1 }.map { table.fields[$0].number }
        let number = try number(of: fields, in: writer)
        latest = (table.number, mask, number)
        return number
    }

    func contains(_ field: Int64, in shape: Int64) throws -> Bool {
        if let known = fields[shape] { return known.contains(field) }
        guard
            let text = try writer.query("SELECT fields FROM sync_shapes WHERE number = ?", [.integer(shape)]).first?[0]
                .string
        else { throw ReplicaError.damaged("sync_shapes lacks number \(shape)") }
        let set = Set(text.split(separator: ",").compactMap { Int64($0) })
        fields[shape] = set
        return set.contains(field)
    }
}
