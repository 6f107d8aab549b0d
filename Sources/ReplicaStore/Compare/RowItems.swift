// The rows of a replicated table as items: existence, values and the versions of all their writes.
//
// Invariant: a row that is kept as one insert and a row that is kept write by write give the same bytes.

internal import ReplicationModel

final class RowItems: SectionItems {
    private let table: CompiledTable
    /// Compared, in the order of their names.
    private let fields: [CompiledField]
    private let reader: Reader
    private let names: OriginNames
    private let shapes: ShapeBook
    private let columns: String
    private let buried: Statement
    private let versionsOfRow: Statement
    /// Of which some row's value stands beside the table.
    private let misfits: Set<Int64>
    private var buffer = CanonicalBytes()

    init(_ table: CompiledTable, _ fields: [CompiledField], _ reader: Reader, _ names: OriginNames) throws {
        self.table = table
        self.fields = fields
        self.reader = reader
        self.names = names
        shapes = ShapeBook(reader)
        misfits = try Parking.misfitFields(reader).intersection(fields.map(\.number))
        let list = fields.flatMap(\.columns).map { ", t.\"\($0)\"" }.joined()
        columns = list
        buried = try reader.prepare("SELECT 1\(list) FROM \"sync_graveyard_\(table.name)\" t WHERE id = ?")
        versionsOfRow = try reader.prepare(
            "SELECT field, stamp, origin, seq FROM \"sync_versions_\(table.name)\" WHERE row = ?")
    }

    func keys(from: [UInt8], to: [UInt8]) -> (sql: String, arguments: [Value]) {
        keyRange("SELECT id FROM \"sync_rows_\(table.name)\" WHERE 1", "id", from: from, to: to, asText: true)
    }

    func walk(from: [UInt8], to: [UInt8], _ body: ([UInt8], Identifier128) throws -> Bool) throws {
        var strays = try self.strays(from: from, to: to)[...]
        var goesOn = true
        func give(strayBefore key: [UInt8]?) throws {
            while goesOn, let stray = strays.first, key.map({ stray.lexicographicallyPrecedes($0) }) ?? true {
                strays.removeFirst()
                goesOn = try body(stray, Self.strayPart.value)
            }
        }
        try rows(from: from, to: to) { key, row in
            try give(strayBefore: key)
            guard goesOn else { return false }
            buffer.clear()
            try encode(row) { _, _, _, _ in }
            goesOn = try body(key, buffer.fingerprint)
            return goesOn
        }
        try give(strayBefore: nil)
    }

    func parts(of key: [UInt8]) throws -> [ItemPart] {
        var parts: [ItemPart] = []
        try rows(from: key, to: key + [0]) { found, row in
            guard found == key else { return false }
            try encode(row) { name, value, versions, current in
                parts.append(
                    ItemPart(
                        name: name, value: Self.fingerprint(buffer.bytes[value]),
                        versions: Self.fingerprint(buffer.bytes[versions]), current: current))
            }
            return false
        }
        return try parts.isEmpty && strays(from: key, to: key + [0]) == [key] ? [Self.strayPart] : parts
    }

    private static func fingerprint(_ bytes: ArraySlice<UInt8>) -> Identifier128 {
        var canonical = CanonicalBytes()
        canonical.append(Array(bytes))
        return canonical.fingerprint
    }

    // MARK: Rows that no metadata knows

    private static let strayPart: ItemPart = {
        var bytes = CanonicalBytes()
        bytes.append("a row that no write made")
        return ItemPart(
            name: LoggedContents.existenceName, value: bytes.fingerprint, versions: Identifier128(high: 0, low: 0),
            current: nil)
    }()

    /// More than these are found when they are mended.
    private static let strayLimit = 1_000

    private func strays(from: [UInt8], to: [UInt8]) throws -> [[UInt8]] {
        let (sql, arguments) = keyRange(
            """
            SELECT t.id FROM "\(table.name)" t WHERE NOT EXISTS(SELECT 1 FROM "sync_rows_\(table.name)" r WHERE r.id = t.id)
            """, "t.id", from: from, to: to, asText: true)
        return try reader.query(sql + " LIMIT \(Self.strayLimit)", arguments).compactMap { row in
            guard case .text(let id) = row[0] else { return nil }
            return id
        }
    }

    // MARK: Rows

    /// A row of the metadata and where its values stand.
    private struct KnownRow {
        let row: Int64
        let alive: Int64
        let shape: Int64?
        let base: Version?
        let hasVersions: Bool
        /// Positioned on the row; its values begin at `firstColumn`.
        let statement: Statement
    }

    private static let firstColumn: Int32 = 9

    private func rows(from: [UInt8], to: [UInt8], _ body: ([UInt8], KnownRow) throws -> Bool) throws {
        let name = table.name
        let (sql, arguments) = keyRange(
            """
            SELECT r.id, r.row, r.alive, r.shape, r.stamp, r.origin, r.seq,
                EXISTS(SELECT 1 FROM "sync_versions_\(name)" v WHERE v.row = r.row), t.id IS NOT NULL\(columns)
            FROM "sync_rows_\(name)" r LEFT JOIN "\(name)" t ON t.id = r.id WHERE 1
            """, "r.id", from: from, to: to, asText: true)
        let statement = try reader.prepare(sql)
        try statement.bind(arguments)
        defer { statement.reset() }
        while try statement.step() {
            let row = KnownRow(
                row: statement.integer(1), alive: statement.integer(2),
                shape: statement.isNull(3) ? nil : statement.integer(3),
                base: statement.isNull(4)
                    ? nil : names.version(statement.integer(4), statement.integer(5), statement.integer(6)),
                hasVersions: statement.integer(7) == 1, statement: statement)
            guard try body(statement.bytes(0), row) else { return }
        }
    }

    // MARK: Bytes

    /// Appends a row's bytes, and tells where in them each part's value and versions are.
    private func encode(
        _ row: KnownRow, _ part: (String, _ value: Range<Int>, _ versions: Range<Int>, Version?) -> Void
    ) throws {
        let written = row.hasVersions ? try versions(of: row.row) : [:]
        func add(_ name: String, _ number: Int64, isInserted: Bool, _ value: () throws -> Void) throws {
            buffer.append(name)
            let start = buffer.bytes.count
            try value()
            let middle = buffer.bytes.count
            var all = written[number] ?? []
            if isInserted, let base = row.base { all.append(base) }
            if all.count > 1 { all.sort() }
            buffer.append(all)
            part(name, start..<middle, middle..<buffer.bytes.count, all.last)
        }
        try add(LoggedContents.existenceName, CompiledField.existence, isInserted: row.shape != nil) {
            // Deleted by all that was written, and in the table all the same.
            let isBack = row.alive == 0 && row.statement.integer(Self.firstColumn - 1) == 1
            buffer.append(isBack ? 2 : UInt64(bitPattern: row.alive))
        }
        try withValues(of: row) { statement, first in
            var column = first
            for field in fields {
                let isInserted = try row.shape.map { try shapes.contains(field.number, in: $0) } ?? false
                let beside =
                    misfits.contains(field.number)
                    ? try Parking.values(of: field, row: row.row, of: table, reader) : nil
                try add(field.name, field.number, isInserted: isInserted) {
                    if let beside {
                        for value in beside { buffer.append(ChangeSetBuilder.cell(value)) }
                        column += Int32(field.columns.count)
                        return
                    }
                    for _ in field.columns {
                        if let statement {
                            buffer.append(statement.cell(column))
                        } else {
                            buffer.append(UInt8(0xee))
                        }
                        column += 1
                    }
                }
            }
        }
    }

    /// The statement that stands on the row's values, in its table or the graveyard; nil where they are nowhere.
    private func withValues(of row: KnownRow, _ body: (Statement?, _ first: Int32) throws -> Void) throws {
        guard row.alive == 0 else {
            return try body(row.statement.integer(8) == 1 ? row.statement : nil, Self.firstColumn)
        }
        buried.bind(1, text: row.statement.bytes(0))
        defer { buried.reset() }
        try body(try buried.step() ? buried : nil, 1)
    }

    private func versions(of row: Int64) throws -> [Int64: [Version]] {
        var versions: [Int64: [Version]] = [:]
        versionsOfRow.bind(1, row)
        try versionsOfRow.forEach {
            guard
                let version = names.version(
                    versionsOfRow.integer(1), versionsOfRow.integer(2), versionsOfRow.integer(3))
            else { return }
            versions[versionsOfRow.integer(0), default: []].append(version)
        }
        return versions
    }
}
