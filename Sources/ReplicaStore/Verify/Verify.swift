// Verifying: every signature, every chain, every stored value against what was signed, the log against the tables.
//
// Invariant: reads one snapshot, changes nothing, and holds one change set at a time. It shares no code with merging, so
// that a mistake there is found here.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

extension Replica {
    /// Compares everything in the replica with what was signed. Others may go on writing meanwhile.
    ///
    /// - Parameters:
    ///   - authors: the keys that signatures are checked with.
    ///   - progress: told how far it has come, often; throwing from it is how to stop.
    /// - Throws: `SQLError` where the file cannot be read at all; damage is reported, not thrown.
    public func verify(
        authors: any AuthorDirectory, progress: (VerifyProgress) throws -> Void = { _ in }
    ) throws -> VerifyReport {
        var report: VerifyReport?
        do {
            try read { reader in
                let verification = Verification(reader, self, authors)
                try withoutActuallyEscaping(progress) { try verification.run($0) }
                report = verification.report
            }
        } catch let error as SQLError where error.isCorrupt && report != nil {
            // A damaged file may fail even to end the transaction; what was found stands.
        }
        guard let report else { preconditionFailure("a read that did not throw has a result") }
        return report
    }
}

/// One verification within one snapshot.
final class Verification {
    let reader: Reader
    let replica: Replica
    let authors: any AuthorDirectory
    var report = VerifyReport()
    var tables: [String: CompiledTable] = [:]
    /// Tables whose declaration is damaged: their rows cannot be read as what they were.
    var broken: Set<String> = []
    /// By table number, the fields that are known here, declared or not.
    var fields: [Int64: [Field: CompiledField]] = [:]
    var unsealed: [Int64: UnsealedEdits] = [:]
    /// For each table, the signed writes that the metadata knows.
    var knownWrites: [String: Int64] = [:]
    /// Contexts of signed bodies that `sync_contexts` has.
    var knownContexts: Int64 = 0
    /// Change sets that are not as they were signed: nothing is concluded from them.
    var distrusted: Set<Dot> = []
    var origins: OriginBook?
    var own: Origin?
    /// Beyond them nothing is to be in the log.
    var cuts = Cuts()
    var awaitsAnything = true
    /// Declared fields of which some value stands beside its table.
    var misfitFields: Set<Int64> = []
    private var shapes: [Int64: [Int64]] = [:]

    var workspace: Workspace { replica.workspace }
    var node: NodeID { replica.node }

    init(_ reader: Reader, _ replica: Replica, _ authors: any AuthorDirectory) {
        self.reader = reader
        self.replica = replica
        self.authors = authors
    }

    func run(_ progress: (VerifyProgress) throws -> Void) throws {
        try stage { try checkFile(progress) }
        try stage { try checkSchema() }
        try stage { try load() }
        // Without tables and origins nothing else can be understood; what is wrong with them stands in the report.
        guard let origins else { return }
        try stage { try checkCuts() }
        try stage { try checkLog(origins, progress) }
        try stage { try checkRows(progress) }
        try stage { try checkVectors(origins) }
        try stage { try checkJournals(progress) }
        try stage { try checkLedger(origins, progress) }
        try stage { try checkHeld(progress) }
    }

    /// What cannot be read any more is a finding, and ends its stage only.
    private func stage(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as SQLError where error.isCorrupt {
            report.add(.file, error.description)
        } catch let error as SQLError where error.isUnknownName {
            report.add(.schema, error.description)
        } catch let error as ReplicaError where error.code == .damaged {
            report.add(.file, error.description)
        }
    }

    private func checkFile(_ progress: (VerifyProgress) throws -> Void) throws {
        try progress(VerifyProgress(stage: .file, done: 0, total: 0))
        for row in try reader.query("PRAGMA integrity_check(\(VerifyReport.findingLimit))") {
            let message = row[0].string ?? ""
            guard message != "ok" else { continue }
            guard let place = try place(ofIndexIn: message) else {
                report.add(message.contains("index") ? .index : .file, "SQLite says: \(message)")
                continue
            }
            report.add(.index, "SQLite says: \(message)", table: place.table, id: place.id)
        }
    }

    /// The table of the index that SQLite speaks of; and of its rows, which SQLite counts as they stand in the file, the one.
    private func place(ofIndexIn message: String) throws -> (table: String, id: RowID?)? {
        guard let match = message.firstMatch(of: /(?:row (\d+) missing from|in) index (.+)$/),
            let table = try reader.query(
                "SELECT tbl_name FROM sqlite_schema WHERE type = 'index' AND name = ?", [Value(String(match.output.2))]
            ).first?[0].string
        else { return nil }
        guard let row = match.output.1.flatMap({ Int64($0) }), row > 0,
            try reader.integer("SELECT 1 FROM pragma_table_info(?) WHERE name = 'id'", Value(table)) == 1,
            try reader.integer("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", Value(table)) == 0
        else { return (table, nil) }
        let found = try reader.query(
            "SELECT id FROM \"\(table)\" NOT INDEXED ORDER BY rowid LIMIT 1 OFFSET ?", [.integer(row - 1)])
        return (table, found.first.flatMap { Self.rowID($0[0]) })
    }

    private func load() throws {
        for table in try Declaration.read(reader) where !broken.contains(table.name) {
            tables[table.name] = table
            fields[table.number] = [:]
            for field in table.fields + (try Declaration.fields(of: table.number, reader, declared: false)) {
                fields[table.number, default: [:]][Field(name: field.name, columns: field.columns)] = field
            }
            unsealed[table.number] = try UnsealedEdits(of: table, reader)
            report.unsealed += unsealed[table.number]?.count ?? 0
        }
        report.parked = try reader.integer("SELECT count(*) FROM sync_parked") ?? 0
        misfitFields = try Parking.misfitFields(reader)
        awaitsAnything = try reader.integer("SELECT EXISTS(SELECT 1 FROM sync_awaiting)") == 1
        own = try Settings.ownOrigin(reader)
        cuts = try CutStore.load(reader, own: own?.node)
        origins = try OriginBook(reader)
    }

    /// The fields that the inserts of a shape wrote; none where it is not listed, which `checkRows` reports with its rows.
    func shape(_ number: Int64) throws -> [Int64] {
        if let known = shapes[number] { return known }
        let text = try reader.query("SELECT fields FROM sync_shapes WHERE number = ?", [.integer(number)]).first?[0]
        let shape = text?.string?.split(separator: ",").compactMap { Int64($0) } ?? []
        shapes[number] = shape
        return shape
    }

    // MARK: The ends of origins

    private func checkVectors(_ origins: OriginBook) throws {
        if let own, origins[own] == nil { report.add(.vector, "the replica's own origin \(own) is not listed") }
        for record in origins.records {
            let end = try reader.query(
                """
                SELECT seq, digest, last_stamp, changes, bytes FROM sync_change_sets WHERE origin = ?
                ORDER BY seq DESC LIMIT 1
                """, [.integer(record.number)]
            ).first
            let known: [Value] = [
                .integer(Int64(bitPattern: record.applied.rawValue)), .blob(record.digest.bytes),
                .integer(record.lastStamp.rawValue), .integer(Int64(bitPattern: record.totals.changes)),
                .integer(Int64(bitPattern: record.totals.bytes)),
            ]
            let nothing: [Value] = [
                .integer(0), .blob(Digest.none.bytes), .integer(0), .integer(0), .integer(0),
            ]
            guard let difference = zip(known, end?.values ?? nothing).enumerated().first(where: { $1.0 != $1.1 }) else {
                continue
            }
            let name = ["its sequence", "its digest", "its last stamp", "its total of changes", "its total of bytes"]
            report.add(
                .vector, "\(name[difference.offset]) is not that of the last change set in the log",
                table: "sync_origins", dot: Dot(origin: record.origin, sequence: record.applied))
        }
        for row in try reader.query(
            "SELECT DISTINCT origin FROM sync_change_sets WHERE origin NOT IN (SELECT number FROM sync_origins)")
        {
            report.add(.vector, "the log holds change sets of origin number \(row[0].number), which is not listed")
        }
    }
}
