// What a replica holds, in a form that two replicas can be compared by, and a model can say of itself.
//
// Invariant: replicas with equal vectors have equal contents; numbers that a replica gives by itself stand nowhere here.

internal import ReplicaStore
internal import ReplicationModel

struct Contents: Equatable {
    /// By section and key.
    private(set) var sections: [String: [String: [Value]]] = [:]

    subscript(section: String) -> [String: [Value]] { sections[section] ?? [:] }

    mutating func set(_ section: String, _ key: String, _ values: [Value]) {
        sections[section, default: [:]][key] = values
    }

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
    }

    private static func number(_ value: Value) -> Int64 {
        if case .integer(let number) = value { number } else { -1 }
    }

    private static func name(_ value: Value, _ origins: [Int64: String]) -> String { origins[number(value)] ?? "?" }

    private mutating func read(_ table: Table, _ reader: Reader, _ origins: [Int64: String]) throws {
        let columns = table.columns.map { ", \"\($0.name)\"" }.joined()
        for (section, home) in [("rows", table.name), ("graveyard", "sync_graveyard_\(table.name)")] {
            for row in try reader.query("SELECT id\(columns) FROM \"\(home)\"") {
                set("\(section) \(table.name)", row[0].string ?? "?", Array(row.values.dropFirst()))
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
        let versions = "versions \(table.name)"
        for row in try reader.query("SELECT id, alive, shape, stamp, origin, seq FROM \"sync_rows_\(table.name)\"") {
            let id = row[0].string ?? "?"
            set("existence \(table.name)", id, [row[1]])
            guard case .integer(let shape) = row[2] else { continue }
            for field in [0] + (shapes[shape] ?? []) {
                set(versions, Self.key(id, fields[field], row[3], Self.name(row[4], origins)), [row[5]])
            }
        }
        let written = try reader.query(
            """
            SELECT r.id, v.field, v.stamp, v.origin, v.seq FROM "sync_versions_\(table.name)" v
            JOIN "sync_rows_\(table.name)" r ON r.row = v.row
            """)
        for row in written {
            let key = Self.key(row[0].string ?? "?", fields[Self.number(row[1])], row[2], Self.name(row[3], origins))
            set(versions, key, [row[4]])
        }
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
