// The conflict ledger: lost writes, kept with their values until they are acknowledged or written back.
//
// Invariant: its entries follow from the writes known alone (MergeRule), so replicas with equal vectors have equal ledgers.

internal import ReplicationModel
internal import Trust

/// One entry, as merging needs it.
struct LedgerEntry {
    let number: Int64
    var lost: LostWrite
}

/// A value in the ledger; absent where it did not arrive.
enum LedgerValue: Hashable {
    case present(Value)
    case absent
}

final class Ledger {
    private let writer: Writer
    private let origins: OriginBook
    /// False while there is no entry at all, which saves a look-up a write.
    private(set) var mayHoldEntries: Bool

    init(_ writer: Writer, origins: OriginBook) throws {
        self.writer = writer
        self.origins = origins
        mayHoldEntries = try writer.integer("SELECT EXISTS(SELECT 1 FROM sync_conflicts)") == 1
    }

    func entries(table: CompiledTable, row: Int64, field: Int64) throws -> [LedgerEntry] {
        guard mayHoldEntries else { return [] }
        let statement = try writer.prepare(
            """
            SELECT number, stamp, origin, seq, has_successor FROM sync_conflicts
            WHERE table_number = ? AND row = ? AND field = ?
            """)
        statement.bind(1, table.number)
        statement.bind(2, row)
        statement.bind(3, field)
        var entries: [LedgerEntry] = []
        try statement.forEach {
            entries.append(
                LedgerEntry(
                    number: statement.integer(0),
                    lost: LostWrite(
                        version: try version(statement, 1), witnesses: [], hasSuccessor: statement.integer(4) == 1)))
        }
        for index in entries.indices {
            let witnesses = try writer.prepare(
                "SELECT stamp, origin, seq FROM sync_conflict_witnesses WHERE conflict = ?")
            witnesses.bind(1, entries[index].number)
            try witnesses.forEach { entries[index].lost.witnesses.append(try version(witnesses, 0)) }
        }
        return entries
    }

    /// - Parameter differs: whether the lost write is shown beside a witness (`LoggedContents.isShown`).
    func add(
        _ lost: LostWrite, table: CompiledTable, id: RowID, row: Int64, field: (number: Int64, name: String),
        values: [LedgerValue], differs: (Version) throws -> Bool
    ) throws {
        mayHoldEntries = true
        try writer.execute(
            """
            INSERT INTO sync_conflicts(key, table_number, row, field, stamp, origin, seq, has_successor, shown)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)
            """,
            [
                Value(Self.key(table: table.name, id: id, field: field.name, version: lost.version)),
                .integer(table.number), .integer(row), .integer(field.number), .integer(lost.version.stamp.rawValue),
                .integer(try origins.number(of: lost.version.origin)),
                .integer(Int64(bitPattern: lost.version.sequence.rawValue)), .integer(lost.hasSuccessor ? 1 : 0),
            ])
        let number = writer.lastInsertedRow
        for (ordinal, value) in values.enumerated() {
            let (absent, value): (Int64, Value) =
                switch value {
                case .absent: (1, .null)
                case .present(let value): (0, value)
                }
            try writer.execute(
                "INSERT INTO sync_conflict_values(conflict, ordinal, absent, value) VALUES (?, ?, ?, ?)",
                [.integer(number), .integer(Int64(ordinal)), .integer(absent), value])
        }
        try setWitnesses(lost.witnesses, of: number, differs: differs)
    }

    func update(_ entry: LedgerEntry, differs: (Version) throws -> Bool) throws {
        try writer.execute(
            "UPDATE sync_conflicts SET has_successor = ? WHERE number = ?",
            [.integer(entry.lost.hasSuccessor ? 1 : 0), .integer(entry.number)])
        try setWitnesses(entry.lost.witnesses, of: entry.number, differs: differs)
    }

    func remove(_ number: Int64) throws {
        try writer.execute("DELETE FROM sync_conflict_witnesses WHERE conflict = ?", [.integer(number)])
        try writer.execute("DELETE FROM sync_conflict_values WHERE conflict = ?", [.integer(number)])
        try writer.execute("DELETE FROM sync_conflicts WHERE number = ?", [.integer(number)])
    }

    private func setWitnesses(_ witnesses: [Version], of conflict: Int64, differs: (Version) throws -> Bool) throws {
        var known: [Version: Bool] = [:]
        let present = try writer.prepare(
            "SELECT stamp, origin, seq, differs FROM sync_conflict_witnesses WHERE conflict = ?")
        present.bind(1, conflict)
        try present.forEach { known[try version(present, 0)] = present.integer(3) == 1 }
        // What stays is left as it is: of a field that one side writes often and the other wrote once, there are many.
        let gone = Set(known.keys).subtracting(witnesses)
        for witness in gone.sorted() {
            try writer.execute(
                "DELETE FROM sync_conflict_witnesses WHERE conflict = ? AND stamp = ? AND origin = ?",
                [
                    .integer(conflict), .integer(witness.stamp.rawValue),
                    .integer(try origins.number(of: witness.origin)),
                ])
        }
        var shown = false
        for witness in witnesses {
            if let other = known[witness] {
                shown = shown || other
                continue
            }
            let other = try differs(witness)
            shown = shown || other
            try writer.execute(
                "INSERT INTO sync_conflict_witnesses(conflict, stamp, origin, seq, differs) VALUES (?, ?, ?, ?, ?)",
                [
                    .integer(conflict), .integer(witness.stamp.rawValue),
                    .integer(try origins.number(of: witness.origin)),
                    .integer(Int64(bitPattern: witness.sequence.rawValue)), .integer(other ? 1 : 0),
                ])
        }
        try writer.execute(
            "UPDATE sync_conflicts SET shown = ? WHERE number = ?", [.integer(shown ? 1 : 0), .integer(conflict)])
    }

    private func version(_ statement: Statement, _ first: Int32) throws -> Version {
        guard let stamp = Stamp(rawValue: statement.integer(first)) else {
            throw ReplicaError.damaged("sync_conflicts")
        }
        return Version(
            stamp: stamp, origin: try origins.origin(statement.integer(first + 1)),
            sequence: SequenceNumber(UInt64(bitPattern: statement.integer(first + 2))))
    }

    /// The same conflict has the same key on every replica: 16 hexadecimal digits of a digest over table, row, field and
    /// the lost write's version.
    static func key(table: String, id: RowID, field: String, version: Version) -> String {
        var bytes = Array("syncnode conflict v1\0".utf8)
        for part in [Array(table.utf8), id.bytes, Array(field.utf8), version.origin.bytes] {
            bytes += withUnsafeBytes(of: UInt64(part.count).bigEndian) { Array($0) } + part
        }
        bytes += withUnsafeBytes(of: version.stamp.rawValue.bigEndian) { Array($0) }
        return String(SHA256.digest(bytes).description.prefix(16))
    }
}
