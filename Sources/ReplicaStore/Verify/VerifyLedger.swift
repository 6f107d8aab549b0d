// Verifying the conflict ledger against its definition (replication.md, section 2), not against how merging keeps it.
//
// Invariant: for each register, the lost writes are found by looking at all pairs of its writes.

internal import ReplicationModel

extension Verification {
    /// Pairs are looked at, and for each pair all writes: more than this in one register is only counted.
    private static let registerLimit = 64

    func checkLedger(_ origins: OriginBook, _ progress: (VerifyProgress) throws -> Void) throws {
        let names = try fieldNames()
        let contents = LoggedContents(reader)
        let total = try reader.integer("SELECT count(*) FROM sync_conflicts") ?? 0
        try reader.forEach(
            """
            SELECT number, key, table_number, row, field, stamp, origin, seq, shown, has_successor FROM sync_conflicts
            ORDER BY number
            """
        ) { row in
            try progress(VerifyProgress(stage: .ledger, done: report.conflicts, total: total))
            report.conflicts += 1
            try checkEntry(row, names, origins, contents)
        }
        for part in ["values", "witnesses"] {
            let stray = try reader.query(
                "SELECT DISTINCT conflict FROM sync_conflict_\(part) WHERE conflict NOT IN (SELECT number FROM sync_conflicts)"
            )
            for row in stray {
                report.add(
                    .ledger, "it keeps \(part) of an entry \(row[0].number) that is not there",
                    table: "sync_conflict_\(part)")
            }
        }
        for table in tables.values.sorted(by: { $0.number < $1.number }) {
            try checkCompleteness(table, names, origins)
        }
    }

    private func fieldNames() throws -> [Int64: CompiledField] {
        var names: [Int64: CompiledField] = [:]
        for field in fields.values.flatMap(\.values) { names[field.number] = field }
        return names
    }

    // MARK: One entry

    private func checkEntry(
        _ row: Row, _ names: [Int64: CompiledField], _ origins: OriginBook, _ contents: LoggedContents
    ) throws {
        let numbers = row.values.map(\.integer)
        guard let number = numbers[0], let table = tables.values.first(where: { $0.number == numbers[2] }),
            let rowNumber = numbers[3], let fieldNumber = numbers[4], let version = version(row.values[5...7], origins),
            case .text(let id)? = try reader.query(
                "SELECT id FROM \"sync_rows_\(table.name)\" WHERE row = ?", [.integer(rowNumber)]
            ).first?[0]
        else {
            return report.add(.ledger, "entry \(row[0].number) does not read as one", table: "sync_conflicts")
        }
        let field =
            fieldNumber == CompiledField.existence ? LoggedContents.existenceName : names[fieldNumber]?.name ?? ""
        let rowID = RowID(bytes: id)
        func add(_ what: String) {
            report.add(.ledger, what, table: table.name, id: rowID, field: field, dot: version.dot)
        }
        let key = Ledger.key(table: table.name, id: rowID, field: field, version: version)
        if row[1].string != key { add("its key is \(row[1].string ?? "none") where the lost write makes it \(key)") }
        guard !distrusted.contains(version.dot) else { return }
        func written(_ version: Version) throws -> LoggedContents.Written? {
            try contents.readable(version, table: table.name, id: rowID, field: field)
        }
        guard let lost = try written(version) else { return add("the lost write is not in the log") }
        try checkValues(of: number, lost.content, add)
        let known = try writes(of: rowNumber, fieldNumber, table, origins)

        var shown = false
        for witness in try reader.query(
            "SELECT stamp, origin, seq, differs FROM sync_conflict_witnesses WHERE conflict = ?", [.integer(number)])
        {
            guard let other = self.version(witness.values[0...2], origins) else {
                add("a witness does not read as one")
                continue
            }
            guard !distrusted.contains(other.dot) else { return }
            let winner = try written(other)
            if winner == nil { add("the write it lost to, \(other), is not in the log") }
            let isShown = try LoggedContents.isShown(lost, beside: winner) { content in
                try known.contains { seen in
                    try origins.saw(other, seen, reader)
                        && written(seen) == LoggedContents.Written(content: content, isInsert: true)
                }
            }
            if witness[3].flag != isShown { add("whether it is shown beside \(other) is kept wrongly") }
            shown = shown || isShown
        }
        if row[8].flag != shown { add("whether the conflict is shown is kept wrongly") }
    }

    private func checkValues(of conflict: Int64, _ content: LoggedContents.Content, _ add: (String) -> Void) throws {
        let values = try reader.query(
            "SELECT absent, value, ordinal FROM sync_conflict_values WHERE conflict = ? ORDER BY ordinal",
            [.integer(conflict)])
        let signed: [Cell] =
            switch content {
            case .existence(let alive): [.inline(.integer(alive ? 1 : 0))]
            case .cells(let cells): cells
            }
        guard values.count == signed.count else {
            return add("it keeps \(values.count) values where \(signed.count) were lost")
        }
        if values.map({ $0[2] }) != values.indices.map({ .integer(Int64($0)) }) {
            add("its values are not numbered 0 and on")
        }
        for (value, cell) in zip(values, signed) {
            switch (value[0].flag, cell) {
            case (true?, .beside) where value[1] == .null: report.awaiting += 1
            case (false?, _) where matches(value[1], cell): continue
            case (false?, _): add("it keeps another value than the one that was signed")
            default: add("whether its value arrived is kept wrongly")
            }
        }
    }

    // MARK: All entries

    private func checkCompleteness(
        _ table: CompiledTable, _ names: [Int64: CompiledField], _ origins: OriginBook
    ) throws {
        // Lost writes need two origins; where only one wrote a register beside its insert, the insert's may be the other.
        try reader.forEach(
            """
            SELECT v.row, v.field, count(*), r.id FROM "sync_versions_\(table.name)" v
            JOIN "sync_rows_\(table.name)" r ON r.row = v.row GROUP BY v.row, v.field
            HAVING count(DISTINCT v.origin) > 1 OR min(v.origin) IS NOT r.origin
            """
        ) { row in
            guard let number = row[0].integer, let field = row[1].integer, let count = row[2].integer,
                case .text(let id) = row[3]
            else { return }
            guard count < Self.registerLimit else {
                report.uncheckedRegisters += 1
                return
            }
            let writes = try writes(of: number, field, table, origins)
            guard !writes.contains(where: { distrusted.contains($0.dot) }) else { return }
            let name = field == CompiledField.existence ? LoggedContents.existenceName : names[field]?.name ?? ""
            try compare(lost: lost(among: writes, origins), number, field, table, RowID(bytes: id), name, origins)
        }
    }

    /// Every write of one register: those of its own, and the insert that stands for its fields.
    private func writes(
        of row: Int64, _ field: Int64, _ table: CompiledTable, _ origins: OriginBook
    ) throws -> [Version] {
        var writes = try reader.query(
            "SELECT stamp, origin, seq FROM \"sync_versions_\(table.name)\" WHERE row = ? AND field = ?",
            [.integer(row), .integer(field)]
        ).compactMap { version($0.values[...], origins) }
        let insert = try reader.query(
            "SELECT shape, stamp, origin, seq FROM \"sync_rows_\(table.name)\" WHERE row = ?", [.integer(row)]
        ).first
        if let insert, let known = insert[0].integer,
            try field == CompiledField.existence || shape(known).contains(field),
            let base = version(insert.values[1...3], origins)
        {
            writes.append(base)
        }
        return writes
    }

    /// What follows from the writes of one lost write.
    private struct Lost: Equatable {
        /// The writes it lost to.
        var witnesses: Set<Version> = []
        /// Whether some write had seen it.
        var hasSuccessor: Bool?
    }

    private func lost(among writes: [Version], _ origins: OriginBook) throws -> [Version: Lost] {
        func saw(_ new: Version, _ old: Version) throws -> Bool { try origins.saw(new, old, reader) }
        var lost: [Version: Lost] = [:]
        for candidate in writes {
            let later = try writes.filter { try $0 != candidate && saw($0, candidate) }
            for other in writes where candidate < other {
                if try saw(other, candidate) || saw(candidate, other) { continue }
                let wentOn = try later.contains { next in
                    try next != other && !saw(next, other) && !saw(other, next)
                }
                if !wentOn { lost[candidate, default: Lost(hasSuccessor: !later.isEmpty)].witnesses.insert(other) }
            }
        }
        return lost
    }

    private func compare(
        lost: [Version: Lost], _ row: Int64, _ field: Int64, _ table: CompiledTable, _ id: RowID,
        _ name: String,
        _ origins: OriginBook
    ) throws {
        var kept: [Version: Lost] = [:]
        for entry in try reader.query(
            "SELECT stamp, origin, seq, number, has_successor FROM sync_conflicts WHERE table_number = ? AND row = ? AND field = ?",
            [.integer(table.number), .integer(row), .integer(field)])
        {
            guard let version = version(entry.values[0...2], origins) else { continue }
            let witnesses = try reader.query(
                "SELECT stamp, origin, seq FROM sync_conflict_witnesses WHERE conflict = ?", [entry[3]])
            kept[version] = Lost(
                witnesses: Set(witnesses.compactMap { self.version($0.values[...], origins) }),
                hasSuccessor: entry[4].flag)
        }
        for (version, expected) in lost where kept[version] != expected {
            let what =
                switch kept[version] {
                case nil: "a lost write is not in the ledger"
                case let found? where found.witnesses != expected.witnesses:
                    "it is kept with other winners than it lost to"
                default: "whether its author went on is kept wrongly"
                }
            report.add(
                .ledger, what,
                table: table.name, id: id, field: name, dot: version.dot)
        }
        for version in kept.keys where lost[version] == nil {
            report.add(
                .ledger, "the ledger keeps a write that was not lost", table: table.name, id: id, field: name,
                dot: version.dot)
        }
    }

    private func version(_ values: ArraySlice<Value>, _ origins: OriginBook) -> Version? {
        let parts = values.map(\.integer)
        guard parts.count >= 3, let stamp = parts[0].flatMap({ Stamp(rawValue: $0) }), let number = parts[1],
            let sequence = parts[2], let origin = try? origins.origin(number)
        else { return nil }
        return Version(stamp: stamp, origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
    }
}
