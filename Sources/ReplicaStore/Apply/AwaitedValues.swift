// Values that are awaited though no later change set brings them: the one that would have was cut off, or its sender was.
//
// Invariant: only a value that the author signed for the awaited write is put in its place.

public import ReplicationModel
internal import ReplicationWire

/// A field whose winning write is known and whose value has yet to come.
public struct AwaitedValue: Hashable, Sendable {
    public let table: String
    /// The row.
    public let id: String
    public let field: String
    /// The change set that wrote it.
    public let dot: Dot
}

extension Replica {
    /// Change sets of which a value is awaited, or is lacking in the ledger: a peer that has them may have the values. At most
    /// 256, each minute others, so that those that nobody has stand in nobody's way.
    public func awaited() throws -> [Dot] {
        let now = clock()
        return try read { try Self.awaited($0, at: now) }
    }

    static func awaited(_ reader: Reader, at now: WallClock) throws -> [Dot] {
        // Who meets every ten minutes must not get the same each time.
        let minute = UInt32(truncatingIfNeeded: now.milliseconds / 60_000)
        let scattered = Int64((minute &* 0x9E37_79B1) >> 16)
        return try reader.query(
            """
            WITH a AS MATERIALIZED (SELECT origin, seq FROM sync_awaiting
            UNION SELECT c.origin, c.seq FROM sync_conflicts c JOIN sync_conflict_values v ON v.conflict = c.number
            WHERE v.absent)
            SELECT o.origin, a.seq FROM a JOIN sync_origins o ON o.number = a.origin
            LIMIT 256 OFFSET (SELECT ? % max(1, (count(*) + 255) / 256) * 256 FROM a)
            """, [.integer(scattered)]
        ).compactMap { row in
            guard let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[1].integer else {
                return nil
            }
            return Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
        }
    }

    /// Values of origins that are cut off, and that no later change set brings: unless a peer has them, nobody does. Whoever
    /// writes the field anew ends the wait, here and everywhere.
    public func awaitedOfCutOrigins() throws -> [AwaitedValue] {
        try read { reader in
            let cuts = try CutStore.load(reader, own: nil)
            let rows = try reader.query(
                """
                SELECT t.name, a.row, f.name, o.origin, a.seq FROM sync_awaiting a
                JOIN sync_tables t ON t.number = a.table_number
                JOIN sync_fields f ON f.table_number = a.table_number AND f.number = a.field
                JOIN sync_origins o ON o.number = a.origin ORDER BY t.name, a.row, f.name
                """)
            return try rows.compactMap { row in
                guard let table = row[0].string, let field = row[2].string, let sequence = row[4].integer,
                    let origin = row[3].bytes.flatMap({ Origin(bytes: $0) })
                else { throw ReplicaError.damaged("sync_awaiting") }
                guard cuts[origin] != nil else { return nil }
                let id = try reader.query("SELECT id FROM \"sync_rows_\(table)\" WHERE row = ?", [row[1]]).first?[0]
                guard let id = id?.string else { throw ReplicaError.damaged("sync_awaiting") }
                return AwaitedValue(
                    table: table, id: id, field: Declaration.fieldName(field),
                    dot: Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence))))
            }
        }
    }

    /// One change set of the log, with the values that are here; nil where it is not in the log.
    public func again(_ dot: Dot) throws -> OutgoingChangeSet? {
        guard try vectors().applied.contains(dot) else { return nil }
        var before = VersionVector()
        before[dot.origin] = dot.sequence.previous
        let others = Set(try vectors().applied.entries.keys).subtracting([dot.origin])
        return try outgoing(lackedBy: before, skipping: others, maximumBytes: 1).changeSets.first
    }
}

enum AwaitedValues {
    /// Takes values of a change set that was applied without them.
    static func fill(_ proven: ProvenChangeSet, _ transaction: EngineTransaction, _ merger: RegisterMerger) throws {
        var values = proven.sealed.values[...]
        for part in proven.changeSet.tables {
            guard let table = transaction.table(named: part.table) else { return }
            for row in part.rows {
                let received = Applier.take(row.cells, from: &values)
                guard
                    received.contains(where: { if case .present(let value) = $0 { value.byteCount > 0 } else { false } }
                    ),
                    row.kind == .insert || row.kind == .update,
                    let state = try transaction.store(table).find(row.id)
                else { continue }
                let version = Version(
                    stamp: row.stamp, origin: proven.dot.origin, sequence: proven.dot.sequence)
                var start = 0
                for place in part.fieldSets[row.fieldSet] {
                    let field = try merger.field(part.fields[place], of: table)
                    let own = Array(received[start..<start + field.columns.count])
                    start += field.columns.count
                    guard !own.contains(.absent) else { continue }
                    try fill(own, field, version, row.id, state, table, transaction)
                }
            }
        }
    }

    private static func fill(
        _ values: [LedgerValue], _ field: CompiledField, _ version: Version, _ id: RowID, _ state: RowState,
        _ table: CompiledTable, _ transaction: EngineTransaction
    ) throws {
        let writer = transaction.writer
        let present = values.compactMap { value -> Value? in
            guard case .present(let value) = value else { return nil }
            return value
        }
        for entry in try transaction.ledger.entries(table: table, row: state.row, field: field.number)
        where entry.lost.version == version {
            for (ordinal, value) in present.enumerated() {
                try writer.execute(
                    "UPDATE sync_conflict_values SET absent = 0, value = ? WHERE conflict = ? AND ordinal = ? AND absent",
                    [value, .integer(entry.number), .integer(Int64(ordinal))])
            }
        }
        let awaited = try writer.integer(
            "SELECT 1 FROM sync_awaiting WHERE table_number = ? AND row = ? AND field = ? AND origin = ? AND seq = ?",
            .integer(table.number), .integer(state.row), .integer(field.number),
            .integer(try transaction.origins.number(of: version.origin)),
            .integer(Int64(bitPattern: version.sequence.rawValue)))
        guard awaited == 1 else { return }
        try transaction.noLongerAwait(table: table, row: state.row, field: field.number)
        if field.positions.isEmpty {
            try Parking.park(values, field, row: state.row, of: table, in: writer)
            return
        }
        try transaction.setValues(present, of: field, id, state, table)
        try writer.execute(
            "INSERT INTO \"sync_journal_\(table.name)\"(id, at, op) VALUES (?, ?, ?)",
            [.text(id.bytes), .integer(transaction.now.milliseconds), .integer(JournalOperation.rebuilt.rawValue)])
    }
}
