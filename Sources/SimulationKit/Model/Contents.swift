// What a replica holds, in a form that two replicas can be compared by, and a model can say of itself.
//
// Invariant: replicas with equal vectors have equal contents; numbers that a replica gives by itself stand nowhere here.

internal import ReplicaStore
internal import ReplicationModel

struct Contents: Equatable {
    /// By section and key.
    private(set) var sections: [String: [String: [Value]]] = [:]
    /// The change sets that wrote a register.
    private var writers: [String: Set<String>] = [:]
    /// Change sets of which a value is not there, and may never come: what they decide is not compared.
    private(set) var awaited: Set<String> = []

    subscript(section: String) -> [String: [Value]] { sections[section] ?? [:] }

    mutating func set(_ section: String, _ key: String, _ values: [Value]) {
        sections[section, default: [:]][key] = values
    }

    static func == (left: Contents, right: Contents) -> Bool { left.sections == right.sections }

    /// How a row is named here: ids that only look alike are two.
    static func name(_ id: RowID) -> String {
        id.description.unicodeScalars.map { $0.escaped(asASCII: true) }.joined()
    }

    /// Whether what stands in a register depends on a value that is awaited.
    func isMasked(_ register: Register) -> Bool {
        isMasked(register.table, Self.name(register.id), register.field)
    }

    private func isMasked(_ table: String, _ id: String, _ field: String) -> Bool {
        !awaited.isEmpty && writers["\(table) \(field) \(id)"].map { !$0.isDisjoint(with: awaited) } ?? false
    }

    /// Whether a value that lost is awaited.
    func isMasked(ledger entry: [Value]) -> Bool {
        awaited.contains("\(entry[1].string ?? "?"):\(Self.number(entry[2]))")
    }

    /// The same, without the values that depend on what is awaited here or elsewhere.
    ///
    /// - Returns: how many values were left out.
    mutating func mask(_ others: Set<String>, _ tables: [Table]) -> Int {
        awaited.formUnion(others)
        guard !awaited.isEmpty else { return 0 }
        var count = 0
        for table in tables {
            for (place, column) in table.columns.enumerated() {
                let field = table.fields.first { $0.columns.contains(column.name) }?.name ?? column.name
                for section in ["rows \(table.name)", "graveyard \(table.name)"] {
                    for id in self[section].keys where isMasked(table.name, id, field) {
                        sections[section]?[id]?[place] = Self.masked
                        count += 1
                    }
                }
            }
        }
        for (key, entry) in self["ledger"] where isMasked(ledger: entry) {
            sections["ledger"]?[key] = entry.prefix(5) + [Self.masked]
            count += 1
        }
        return count
    }

    private static let masked = Value("awaited")

    /// Where the two differ first; nil where they do not.
    func difference(from other: Contents) -> String? {
        for section in Set(sections.keys).union(other.sections.keys).sorted() {
            let (ours, theirs) = (self[section], other[section])
            guard ours != theirs else { continue }
            for key in Set(ours.keys).union(theirs.keys).sorted() where ours[key] != theirs[key] {
                return "\(section) \(key): \(Self.text(ours[key])) and \(Self.text(theirs[key]))"
            }
        }
        return nil
    }

    static func text(_ values: [Value]?) -> String {
        guard let values else { return "nothing" }
        let texts = values.map { value in
            switch value {
            case .text(let bytes): "'\(String(decoding: bytes.prefix(40), as: UTF8.self))'(\(bytes.count))"
            case .blob(let bytes): "blob(\(bytes.count))"
            default: "\(value)"
            }
        }
        return "[\(texts.joined(separator: ", "))]"
    }

    // MARK: Of a replica

    init() {}

    init(_ reader: Reader, _ tables: [Table]) throws {
        var origins: [Int64: String] = [:]
        for row in try reader.query("SELECT number, origin FROM sync_origins") {
            guard case .integer(let number) = row[0], case .blob(let bytes) = row[1] else { continue }
            origins[number] = Origin(bytes: bytes).map { "\($0)" } ?? "?"
        }
        for row in try reader.query("SELECT origin, seq, digest FROM sync_change_sets") {
            set("log", "\(Self.name(row[0], origins)):\(Self.number(row[1]))", [row[2]])
        }
        for table in tables { try read(table, reader, origins) }
        try readLedger(reader, origins)
        let lacking = try reader.query(
            """
            SELECT origin, seq FROM sync_awaiting UNION SELECT c.origin, c.seq FROM sync_conflicts c
            JOIN sync_conflict_values v ON v.conflict = c.number WHERE v.absent
            """)
        awaited = Set(lacking.map { "\(Self.name($0[0], origins)):\(Self.number($0[1]))" })
    }

    private static func number(_ value: Value) -> Int64 {
        if case .integer(let number) = value { number } else { -1 }
    }

    private static func name(_ id: Value) -> String {
        if case .text(let bytes) = id { name(RowID(bytes: bytes)) } else { "?" }
    }

    private static func name(_ value: Value, _ origins: [Int64: String]) -> String { origins[number(value)] ?? "?" }

    private mutating func read(_ table: Table, _ reader: Reader, _ origins: [Int64: String]) throws {
        let columns = table.columns.map { ", \"\($0.name)\"" }.joined()
        for (section, home) in [("rows", table.name), ("graveyard", "sync_graveyard_\(table.name)")] {
            for row in try reader.query("SELECT id\(columns) FROM \"\(home)\"") {
                set("\(section) \(table.name)", Self.name(row[0]), Array(row.values.dropFirst()))
            }
        }
        var fields: [Int64: String] = [0: Register.existence]
        let names = try reader.query(
            "SELECT f.number, f.name FROM sync_fields f JOIN sync_tables t ON t.number = f.table_number WHERE t.name = ?",
            [Value(table.name)])
        for row in names { fields[Self.number(row[0])] = row[1].string }
        var shapes: [Int64: [Int64]] = [:]
        for row in try reader.query("SELECT number, fields FROM sync_shapes") {
            shapes[Self.number(row[0])] = (row[1].string ?? "").split(separator: ",").compactMap { Int64($0) }
        }
        for row in try reader.query("SELECT id, alive, shape, stamp, origin, seq FROM \"sync_rows_\(table.name)\"") {
            let id = Self.name(row[0])
            set("existence \(table.name)", id, [row[1]])
            guard case .integer(let shape) = row[2] else { continue }
            for field in [0] + (shapes[shape] ?? []) {
                note(table, id, fields[field], [row[3], row[4], row[5]], origins)
            }
        }
        let written = try reader.query(
            """
            SELECT r.id, v.field, v.stamp, v.origin, v.seq FROM "sync_versions_\(table.name)" v
            JOIN "sync_rows_\(table.name)" r ON r.row = v.row
            """)
        for row in written {
            note(table, Self.name(row[0]), fields[Self.number(row[1])], [row[2], row[3], row[4]], origins)
        }
    }

    /// A write of a field: its stamp, its origin, its sequence.
    private mutating func note(
        _ table: Table, _ id: String, _ field: String?, _ write: [Value], _ origins: [Int64: String]
    ) {
        let origin = Self.name(write[1], origins)
        set("versions \(table.name)", Self.key(id, field, write[0], origin), [write[2]])
        writers["\(table.name) \(field ?? "?") \(id)", default: []].insert("\(origin):\(Self.number(write[2]))")
    }

    /// How a write is named among the versions.
    static func key(_ id: String, _ field: String?, _ stamp: Value, _ origin: String) -> String {
        "\(id) \(field ?? "?") \(number(stamp)) \(origin)"
    }

    private mutating func readLedger(_ reader: Reader, _ origins: [Int64: String]) throws {
        for row in try reader.query("SELECT number, key, stamp, origin, seq, shown FROM sync_conflicts") {
            let values = try reader.query(
                "SELECT absent, value FROM sync_conflict_values WHERE conflict = ? ORDER BY ordinal", [row[0]])
            let witnesses = try reader.query(
                "SELECT stamp, origin, differs FROM sync_conflict_witnesses WHERE conflict = ?", [row[0]]
            ).map { "\(Self.number($0[0])) \(Self.name($0[1], origins)) \(Self.number($0[2]))" }.sorted()
            let head = [
                row[2], Value(Self.name(row[3], origins)), row[4], row[5], Value(witnesses.joined(separator: ";")),
            ]
            set("ledger", row[1].string ?? "?", head + values.flatMap { [$0[0], $0[1]] })
        }
    }
}
