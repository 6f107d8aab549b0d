// Everything that sealing and applying share within one transaction of the engine.
//
// Invariant: made at the start of a transaction without capture, gone at its end.

internal import ReplicationModel
internal import ReplicationWire

final class EngineTransaction {
    let writer: Writer
    let tables: [CompiledTable]
    let origins: OriginBook
    let shapes: ShapeBook
    let ledger: Ledger
    /// The origin under which this replica seals.
    let own: Origin
    /// Where origins are cut off here.
    let cuts: Cuts
    let now: WallClock
    /// Where the log goes on after a rewind that left nothing in it: no position is given twice.
    private var firstPosition: Int64?
    private var stores: [Int64: TableStore] = [:]
    private var awaitsAnything: Bool
    /// Declared fields of which some value stands beside its table: mostly none.
    var misfitFields: Set<Int64>

    init(_ writer: Writer, now: WallClock) throws {
        // A newer program may have opened the file since, and keeps books that this one does not know of.
        guard try writer.integer("PRAGMA user_version") == Int64(Schema.steps.count) else {
            throw ReplicaError(
                .tooNew,
                "Cannot write to the replica: another version of syncnode has opened it since, and it has another form now. Start this program again, in that version; nothing is lost."
            )
        }
        self.writer = writer
        self.now = now
        tables = try Declaration.load(writer)
        origins = try OriginBook(writer)
        shapes = ShapeBook(writer)
        ledger = try Ledger(writer, origins: origins)
        own = try Settings.ownOrigin(writer)
        cuts = try CutStore.load(writer, own: own.node)
        if origins.records.allSatisfy({ $0.applied == .zero }) {
            firstPosition = try Settings.value(Settings.logFloor, writer)?.integer?.advanced(by: 1)
        }
        awaitsAnything = try writer.integer("SELECT EXISTS(SELECT 1 FROM sync_awaiting)") == 1
        misfitFields = try Parking.misfitFields(writer)
    }

    func store(_ table: CompiledTable) throws -> TableStore {
        if let store = stores[table.number] { return store }
        let store = try TableStore(table, writer: writer, origins: origins, shapes: shapes)
        stores[table.number] = store
        return store
    }

    func table(named name: String) -> CompiledTable? { tables.first { $0.name == name } }

    /// What a replica that was taken back had stamped before: what is written now is stamped later. A stamp from a clock
    /// that ran ahead is not gone by.
    func stampFloor() throws -> Stamp {
        guard let raw = try Settings.value("stamp_floor", writer)?.integer, let floor = Stamp(rawValue: raw),
            floor.wallClock.milliseconds <= now.milliseconds + Limits.aheadMilliseconds
        else { return .zero }
        return floor
    }

    /// What is written by a right clock after such a stamp counts on from it: 65 million writes in this time.
    private static let countingMilliseconds: Int64 = 1_000

    /// The operator has accepted stamps up to here, however far ahead of this clock.
    private func acceptedStamp() throws -> Stamp {
        try Settings.value("accepted_stamp", writer)?.integer.flatMap { Stamp(rawValue: $0) } ?? .zero
    }

    func accept(upTo stamp: Stamp) throws {
        guard try stamp > acceptedStamp() else { return }
        try Settings.set("accepted_stamp", to: .integer(stamp.rawValue), in: writer)
    }

    /// Whether a stamp is accepted since the operator accepted what it counts on from: else they would be asked about every
    /// edit that anyone makes who saw that.
    func builds(onAccepted stamp: Stamp) throws -> Bool {
        try stamp.wallClock.milliseconds - acceptedStamp().wallClock.milliseconds < Self.countingMilliseconds
    }

    /// What applying wrote into the journals is history, not edits to seal.
    func passOverJournals() throws {
        for table in tables {
            guard let last = try writer.integer("SELECT max(n) FROM \"sync_journal_\(table.name)\"") else { continue }
            try JournalRuns.advance(table, to: last, in: writer)
        }
    }

    // MARK: Values that are awaited

    func awaitValue(of version: Version, table: CompiledTable, row: Int64, field: Int64) throws {
        awaitsAnything = true
        try writer.execute(
            "INSERT OR REPLACE INTO sync_awaiting(table_number, row, field, origin, seq) VALUES (?, ?, ?, ?, ?)",
            [
                .integer(table.number), .integer(row), .integer(field),
                .integer(try origins.number(of: version.origin)),
                .integer(Int64(bitPattern: version.sequence.rawValue)),
            ])
    }

    func noLongerAwait(table: CompiledTable, row: Int64, field: Int64) throws {
        guard awaitsAnything else { return }
        try writer.execute(
            "DELETE FROM sync_awaiting WHERE table_number = ? AND row = ? AND field = ?",
            [.integer(table.number), .integer(row), .integer(field)])
    }

    func isAwaited(table: CompiledTable, row: Int64, field: Int64) throws -> Bool {
        guard awaitsAnything else { return false }
        return try writer.integer(
            "SELECT 1 FROM sync_awaiting WHERE table_number = ? AND row = ? AND field = ?", .integer(table.number),
            .integer(row), .integer(field)) == 1
    }

    // MARK: The log

    /// Appends an applied or sealed change set, and advances its origin.
    func append(_ logged: LoggedChangeSet) throws {
        let header = logged.header
        var record = try origins.record(for: header.origin, in: writer)
        record.applied = header.sequence
        record.digest = logged.digest
        record.lastStamp = header.lastStamp
        record.totals = header.totalsAfter(bodyBytes: logged.body.count)
        let statement = try writer.prepare(
            """
            INSERT INTO sync_change_sets(origin, seq, first_stamp, last_stamp, changes, bytes, received_at, received_from,
                digest, signature, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        statement.bind(1, record.number)
        statement.bind(2, Int64(bitPattern: header.sequence.rawValue))
        statement.bind(3, header.firstStamp.rawValue)
        statement.bind(4, header.lastStamp.rawValue)
        statement.bind(5, Int64(bitPattern: record.totals.changes))
        statement.bind(6, Int64(bitPattern: record.totals.bytes))
        statement.bind(7, now.milliseconds)
        if let from = logged.receivedFrom { statement.bind(8, blob: from.bytes) }
        statement.bind(9, blob: logged.digest.bytes)
        statement.bind(10, blob: logged.signature)
        try logged.body.withUnsafeBytes { body in
            statement.bindBorrowed(11, .blob, body)
            try statement.run()
        }
        if let position = firstPosition {
            try writer.execute(
                "UPDATE sync_change_sets SET position = ? WHERE position = ?",
                [.integer(position), .integer(writer.lastInsertedRow)])
            firstPosition = nil
        }
        try origins.advance(record, in: writer)
    }
}

/// A change set on its way into the log.
struct LoggedChangeSet {
    let header: ChangeSetHeader
    let body: [UInt8]
    let digest: Digest
    let signature: [UInt8]
    /// Nil for one sealed here.
    let receivedFrom: NodeID?
}
