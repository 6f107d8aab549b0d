// The log as peers see it: change sets in order of arrival, with the large values put back beside them.
//
// Invariant: a value is sent only where its bytes have the digest that its author signed.

public import ReplicationModel
internal import ReplicationWire
internal import Trust

/// A run of change sets that someone lacks.
public struct OutgoingChangeSets: Sendable {
    /// In order of arrival here, which respects causality.
    public var changeSets: [OutgoingChangeSet] = []
    /// Nothing more is lacked.
    public var reachedEnd = true
}

/// One change set to send.
public struct OutgoingChangeSet: Sendable {
    public let header: ChangeSetHeader
    public let sealed: SealedChangeSet
    /// Bytes of body, signature and the values present.
    public var byteCount: Int {
        sealed.body.count + sealed.signature.count + sealed.values.reduce(0) { $0 + ($1?.count ?? 0) }
    }
}

struct Log {
    private let reader: Reader
    let origins: OriginBook
    private let values: LargeValues

    init(_ reader: Reader) throws {
        self.reader = reader
        origins = try OriginBook(reader)
        values = LargeValues(reader, tables: try Declaration.load(reader), origins: origins)
    }

    /// - Parameters:
    ///   - vector: what the other has.
    ///   - skipped: origins that the other cannot take now.
    ///   - maximumBytes: where to stop; at least one change set comes.
    func outgoing(lackedBy vector: VersionVector, skipping skipped: Set<Origin>, maximumBytes: Int) throws
        -> OutgoingChangeSets
    {
        var heads = try origins.records.compactMap { record -> Head? in
            guard record.applied > vector[record.origin], !skipped.contains(record.origin) else { return nil }
            return try head(of: record, at: vector[record.origin].next)
        }
        var outgoing = OutgoingChangeSets()
        var bytes = 0
        while let index = heads.indices.min(by: { heads[$0].position < heads[$1].position }) {
            guard bytes < maximumBytes else {
                outgoing.reachedEnd = false
                return outgoing
            }
            let changeSet = try load(heads[index].position)
            bytes += changeSet.byteCount
            outgoing.changeSets.append(changeSet)
            let record = heads[index].record
            let next = heads[index].sequence.next
            if next <= record.applied {
                heads[index] = try head(of: record, at: next)
            } else {
                heads.remove(at: index)
            }
        }
        return outgoing
    }

    private struct Head {
        let record: OriginRecord
        let sequence: SequenceNumber
        let position: Int64
    }

    private func head(of record: OriginRecord, at sequence: SequenceNumber) throws -> Head {
        let position = try reader.integer(
            "SELECT position FROM sync_change_sets WHERE origin = ? AND seq = ?", .integer(record.number),
            .integer(Int64(bitPattern: sequence.rawValue)))
        guard let position else { throw ReplicaError.damaged("the log lacks \(record.origin):\(sequence)") }
        return Head(record: record, sequence: sequence, position: position)
    }

    private func load(_ position: Int64) throws -> OutgoingChangeSet {
        let statement = try reader.prepare("SELECT body, signature FROM sync_change_sets WHERE position = ?")
        statement.bind(1, position)
        guard let (body, signature) = try statement.first({ (statement.bytes(0), statement.bytes(1)) }) else {
            throw ReplicaError.damaged("the log lacks position \(position)")
        }
        let changeSet = try ChangeSetCodec.decode(kept: body, "position \(position) of the log")
        return OutgoingChangeSet(
            header: changeSet.header,
            sealed: SealedChangeSet(body: body, signature: signature, values: try values.all(of: changeSet)))
    }

    /// What this replica has that `vector` lacks, counted by what the authors signed.
    func backlog(lackedBy vector: VersionVector) throws -> Backlog {
        var backlog = Backlog.none
        for record in origins.records where record.applied > vector[record.origin] {
            let known = vector[record.origin]
            guard let before = try totals(record.origin, known),
                let first = try firstStamp(Dot(origin: record.origin, sequence: known.next)),
                record.totals.changes >= before.changes, record.totals.bytes >= before.bytes
            else { throw ReplicaError.damaged("the log of \(record.origin) after \(known)") }
            backlog.changeSets += record.applied.rawValue - known.rawValue
            backlog.changes += record.totals.changes - before.changes
            backlog.bytes += record.totals.bytes - before.bytes
            backlog.oldest = min(backlog.oldest ?? first.wallClock, first.wallClock)
        }
        return backlog
    }

    func totals(_ origin: Origin, _ sequence: SequenceNumber) throws -> Totals? {
        guard sequence > .zero else { return .zero }
        return try find("SELECT changes, bytes FROM sync_change_sets WHERE origin = ? AND seq = ?", origin, sequence) {
            Totals(changes: UInt64(bitPattern: $0.integer(0)), bytes: UInt64(bitPattern: $0.integer(1)))
        }
    }

    func firstStamp(_ dot: Dot) throws -> Stamp? {
        try find("SELECT first_stamp FROM sync_change_sets WHERE origin = ? AND seq = ?", dot.origin, dot.sequence) {
            Stamp(rawValue: $0.integer(0))
        } ?? nil
    }

    private func find<T>(
        _ sql: String, _ origin: Origin, _ sequence: SequenceNumber, _ body: (Statement) -> T
    ) throws -> T? {
        guard let record = origins[origin] else { return nil }
        let statement = try reader.prepare(sql)
        statement.bind(1, record.number)
        statement.bind(2, Int64(bitPattern: sequence.rawValue))
        return try statement.first { body(statement) }
    }
}

/// Finds large values by what was signed of them.
struct LargeValues {
    private let reader: Reader
    private let tables: [String: CompiledTable]
    private let origins: OriginBook

    init(_ reader: Reader, tables: [CompiledTable], origins: OriginBook) {
        self.reader = reader
        self.tables = Dictionary(firstOf: tables.map { ($0.name, $0) })
        self.origins = origins
    }

    /// The values beside a change set, in order; nil for those no longer kept.
    func all(of changeSet: ChangeSet) throws -> [[UInt8]?] {
        var values: [[UInt8]?] = []
        for part in changeSet.tables {
            guard let table = tables[part.table] else { throw ReplicaError.damaged("the log names \(part.table)") }
            // Where nearly every value is: prepared once, and not looked for again for each row.
            var current: [String: Statement] = [:]
            for column in part.fields.flatMap(\.columns) where table.columns.contains(column) {
                current[column] = try reader.prepare("SELECT \"\(column)\" FROM \"\(table.name)\" WHERE id = ?")
            }
            let columns = part.fieldSets.map { set in
                set.flatMap { field in part.fields[field].columns.map { (field, $0, current[$0]) } }
            }
            for row in part.rows where row.kind == .insert || row.kind == .update {
                for (cell, (field, column, current)) in zip(row.cells, columns[row.fieldSet]) {
                    guard case .beside(let large) = cell else { continue }
                    current?.bind(1, text: row.id.bytes)
                    if let current, let found = try matching(large, current) {
                        values.append(found)
                        continue
                    }
                    let version = Version(
                        stamp: row.stamp, origin: changeSet.header.origin, sequence: changeSet.header.sequence)
                    values.append(try supersededValue(large, table, row.id, part.fields[field], column, version))
                }
            }
        }
        return values
    }

    /// A value that is not in its table, or not any more.
    private func supersededValue(
        _ large: LargeValue, _ table: CompiledTable, _ id: RowID, _ field: Field, _ column: String, _ version: Version
    ) throws -> [UInt8]? {
        if table.columns.contains(column) {
            if let found = try matching(
                large, "SELECT \"\(column)\" FROM \"sync_graveyard_\(table.name)\" WHERE id = ?", [.text(id.bytes)])
            {
                return found
            }
        }
        let ordinal = Int64(field.columns.firstIndex(of: column) ?? 0)
        if let found = try matching(
            large,
            """
            SELECT v.value FROM sync_conflicts c JOIN sync_conflict_values v ON v.conflict = c.number AND v.ordinal = ?
            WHERE c.table_number = ? AND c.row = (SELECT row FROM "sync_rows_\(table.name)" WHERE id = ?) AND c.stamp = ?
            """, [.integer(ordinal), .integer(table.number), .text(id.bytes), .integer(version.stamp.rawValue)])
        {
            return found
        }
        let parked = try matching(
            large,
            """
            SELECT value FROM sync_parked WHERE table_number = ? AND ordinal = ?
            AND row = (SELECT row FROM "sync_rows_\(table.name)" WHERE id = ?)
            """, [.integer(table.number), .integer(ordinal), .text(id.bytes)])
        if parked != nil || !table.columns.contains(column) { return parked }
        // An edit that is not sealed yet hides the sealed value: the journal kept it.
        return try matching(
            large,
            """
            SELECT "old_\(column)" FROM "sync_journal_\(table.name)"
            WHERE n > (SELECT sealed FROM sync_tables WHERE number = ?) AND id = ?
            """, [.integer(table.number), .text(id.bytes)])
    }

    private func matching(_ large: LargeValue, _ sql: String, _ arguments: [Value]) throws -> [UInt8]? {
        let statement = try reader.prepare(sql)
        try statement.bind(arguments)
        return try matching(large, statement)
    }

    /// The first value of a query that is the one signed.
    private func matching(_ large: LargeValue, _ statement: Statement) throws -> [UInt8]? {
        defer { statement.reset() }
        while try statement.step() {
            if let bytes = statement.bytes(0, matching: large) { return bytes }
        }
        return nil
    }
}

/// What the log tells of origins' totals, within one snapshot. What cannot be read is not known, as a figure of lag may be.
public struct LogFigures {
    let log: Log

    /// Everything an origin wrote up to and with a change set; nil where it is not in the log.
    public func totals(_ origin: Origin, _ sequence: SequenceNumber) -> Totals? {
        (try? log.totals(origin, sequence)) ?? nil
    }

    /// When a change set was written: its first stamp; nil where it is not in the log.
    public func writtenAt(_ dot: Dot) -> WallClock? { (try? log.firstStamp(dot))??.wallClock }
}
