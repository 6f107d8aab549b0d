// Where a damaged value is, as whoever has to mend it must be told.
//
// Invariant: it is told from the sound file and the keys of its tables alone, never from what verifying says. A table that is not
// here has no place, so one that is added later must be argued for.
import ReplicationModel

@testable import ReplicaStore

/// What some finding has to name of one damaged row of one table.
enum DamagedPlace {
    /// A row of a replicated table, dead or alive; any of several where what is damaged speaks of all of them.
    case row(table: String, Set<RowID>)
    /// A change set of the log, or one that is held.
    case changeSet(Dot)
    /// An origin; where its own name is damaged, by either name.
    case origin(Set<Origin>)
    /// The part of a journal that was sealed at once, and the row where all of it is of one.
    case run(journal: String, entries: ClosedRange<Int64>, RowID?)
    /// A replicated table or its journal: what is damaged says how all of it is read.
    case table(String)
    /// What is verified as a whole, so that only the table can be named.
    case whole(VerifyFinding.Kind, table: String)
    /// A table that cannot be read past the damage, so that nothing in it can be named.
    case unreadable(table: String)

    /// Whether it leads to one row of the workspace's own.
    var isRow: Bool { if case .row = self { true } else { false } }

    func isNamed(by finding: VerifyFinding) -> Bool {
        switch self {
        case .row(let table, let ids):
            guard let id = finding.id, ids.contains(id) else { return false }
            return finding.table == table || finding.table == "sync_graveyard_\(table)"
        case .changeSet(let dot): return finding.dot == dot
        case .origin(let names):
            guard let origin = finding.dot?.origin else { return false }
            return names.contains(origin)
        case .run(let journal, let entries, let id):
            let words =
                entries.count == 1
                ? "entry \(entries.upperBound) is not"
                : "entries \(entries.lowerBound) to \(entries.upperBound) are not"
            return finding.kind == .history && finding.table == journal && finding.what.hasPrefix(words)
                && (id == nil || finding.id == id)
        case .table(let name): return finding.table == name
        case .whole(let kind, let table): return finding.kind == kind && finding.table == table
        case .unreadable(let table): return finding.kind == .file && finding.what.contains(table)
        }
    }

    /// - Parameters:
    ///   - row: as it was.
    ///   - now: what the column holds since.
    ///   - reader: of the sound file.
    /// - Returns: nil where it is not known what has to be named.
    static func of(
        _ column: String, in table: String, _ row: [String: Value], now: Value, _ reader: Reader
    ) throws -> DamagedPlace? {
        let row = SoundRow(table: table, values: row, reader: reader)
        switch table {
        case "sync_settings": return .whole(.vector, table: table)
        case "sync_roster": return .whole(.roster, table: table)
        case "sync_held_authors": return .whole(.header, table: table)
        case "sync_set_aside_edits": return .whole(.history, table: table)
        case "sync_cuts": return column == "cause" ? .unreadable(table: table) : .whole(.author, table: table)
        case "sync_forks", "sync_held": return row.changeSet(row.origin("origin"))
        case "sync_held_values": return try row.held()
        case "sync_change_sets", "sync_contexts": return try row.changeSet(row.numberedOrigin())
        // No stamp is less than nothing: such a row reads as none.
        case "sync_origins" where column == "last_stamp" && (now.integer ?? 0) < 0: return .unreadable(table: table)
        case "sync_origins":
            let names = [row.origin("origin"), column == "origin" ? now.bytes.flatMap { Origin(bytes: $0) } : nil]
            return .origin(Set(names.compactMap { $0 }))
        case "sync_tables": return row["name"].string.map { .table(column == "sealed" ? "sync_journal_\($0)" : $0) }
        case "sync_columns", "sync_fields": return try row.numberedTable().map { .table($0) }
        case "sync_journal_runs": return try row.numberedTable().map { .table("sync_journal_\($0)") }
        case "sync_shapes": return try row.shape()
        case "sync_parked", "sync_awaiting", "sync_conflicts": return try row.numberedRow()
        case "sync_conflict_values", "sync_conflict_witnesses": return try row.conflict()
        default: return try row.ofReplicatedTable(column)
        }
    }
}

/// A row of the sound file, and what its keys lead to.
private struct SoundRow {
    let table: String
    let values: [String: Value]
    let reader: Reader

    subscript(_ column: String) -> Value { values[column] ?? .null }

    private func first(_ sql: String, _ arguments: [Value]) throws -> Row? { try reader.query(sql, arguments).first }

    private func tables() throws -> [String] {
        try reader.query("SELECT name FROM sync_tables").compactMap { $0[0].string }
    }

    // MARK: Change sets

    func origin(_ column: String) -> Origin? { self[column].bytes.flatMap { Origin(bytes: $0) } }

    func numberedOrigin() throws -> Origin? {
        try first("SELECT origin FROM sync_origins WHERE number = ?", [self["origin"]])?[0].bytes
            .flatMap { Origin(bytes: $0) }
    }

    func changeSet(_ origin: Origin?) -> DamagedPlace? {
        guard let origin, let sequence = self["seq"].integer else { return nil }
        return .changeSet(Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence))))
    }

    func held() throws -> DamagedPlace? {
        guard let held = try first("SELECT origin, seq FROM sync_held WHERE number = ?", [self["held"]]) else {
            return nil
        }
        let row = SoundRow(table: "sync_held", values: ["origin": held[0], "seq": held[1]], reader: reader)
        return row.changeSet(row.origin("origin"))
    }

    // MARK: Rows

    func numberedTable() throws -> String? {
        try first("SELECT name FROM sync_tables WHERE number = ?", [self["table_number"]])?[0].string
    }

    private func row(_ number: Value, of name: String) throws -> DamagedPlace? {
        guard case .text(let id)? = try first("SELECT id FROM \"sync_rows_\(name)\" WHERE row = ?", [number])?[0]
        else { return nil }
        return .row(table: name, [RowID(bytes: id)])
    }

    func numberedRow() throws -> DamagedPlace? { try numberedTable().flatMap { try row(self["row"], of: $0) } }

    func conflict() throws -> DamagedPlace? {
        guard
            let entry = try first("SELECT table_number, row FROM sync_conflicts WHERE number = ?", [self["conflict"]])
        else { return nil }
        return try SoundRow(
            table: "sync_conflicts", values: ["table_number": entry[0], "row": entry[1]], reader: reader
        ).numberedRow()
    }

    func shape() throws -> DamagedPlace? {
        for name in try tables() {
            let rows = try reader.query("SELECT id FROM \"sync_rows_\(name)\" WHERE shape = ?", [self["number"]])
            let ids = rows.compactMap { row -> RowID? in
                guard case .text(let id) = row[0] else { return nil }
                return RowID(bytes: id)
            }
            if !ids.isEmpty { return .row(table: name, Set(ids)) }
        }
        return nil
    }

    // MARK: Replicated tables, and what stands beside them

    func ofReplicatedTable(_ column: String) throws -> DamagedPlace? {
        for name in try tables() {
            switch table {
            case name, "sync_rows_\(name)", "sync_graveyard_\(name)":
                guard case .text(let id) = self["id"] else { return nil }
                return .row(table: name, [RowID(bytes: id)])
            case "sync_versions_\(name)": return try row(self["row"], of: name)
            case "sync_journal_\(name)": return try run(of: name, column)
            default: continue
            }
        }
        return nil
    }

    private func run(of name: String, _ column: String) throws -> DamagedPlace? {
        guard let n = self["n"].integer else { return nil }
        let ends = try reader.query(
            """
            SELECT last FROM sync_journal_runs WHERE table_number = (SELECT number FROM sync_tables WHERE name = ?)
            ORDER BY last
            """, [Value(name)]
        ).compactMap { $0[0].integer }
        guard let end = ends.first(where: { $0 >= n }) else { return nil }
        let start = (ends.last { $0 < n } ?? 0) + 1
        let rows = try reader.query(
            "SELECT DISTINCT id FROM \"\(table)\" WHERE n BETWEEN ? AND ?", [.integer(start), .integer(end)])
        var id: RowID?
        // Where its row or its place in the journal is what is damaged, the run may be of others than it was.
        if rows.count == 1, column != "id", column != "n", case .text(let bytes) = rows[0][0] {
            id = RowID(bytes: bytes)
        }
        return .run(journal: table, entries: start...end, id)
    }
}
