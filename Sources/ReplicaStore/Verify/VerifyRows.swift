// Verifying what no change set leads to: rows without metadata, metadata without rows, writes that nobody signed, marks.
//
// Invariant: whole tables are compared inside SQLite; only differences come out.

internal import ReplicationModel

extension Verification {
    func checkRows(_ progress: (VerifyProgress) throws -> Void) throws {
        for (done, table) in tables.values.sorted(by: { $0.number < $1.number }).enumerated() {
            try progress(VerifyProgress(stage: .rows, done: Int64(done), total: Int64(tables.count)))
            report.rows += try reader.integer("SELECT count(*) FROM \"sync_rows_\(table.name)\"") ?? 0
            try checkPlaces(of: table)
            try checkGraveyard(of: table)
            try checkUnsigned(table)
            try checkAwaiting(table)
            try checkUnwritten(table)
            try checkBeside(table)
        }
    }

    // MARK: Where rows are

    private func checkPlaces(of table: CompiledTable) throws {
        let name = table.name
        let edits = unsealed[table.number]
        func add(_ what: String, _ row: Row) {
            guard case .text(let id) = row[0] else {
                return report.add(.existence, "a row's id is no text", table: name)
            }
            report.add(.existence, what, table: name, id: RowID(bytes: id))
        }
        func isThere(_ row: Row) -> Bool? {
            guard case .text(let id) = row[0] else { return nil }
            return edits?.isThere[RowID(bytes: id)]
        }
        try reader.forEach(
            """
            SELECT t.id, r.alive FROM "\(name)" t LEFT JOIN "sync_rows_\(name)" r ON r.id = t.id
            WHERE r.alive IS NOT 1
            """
        ) { row in
            guard isThere(row) != true else { return }
            add(row[1] == .null ? "no insert of this row was captured" : "the row is there, and it is deleted", row)
        }
        try reader.forEach(
            """
            SELECT r.id FROM "sync_rows_\(name)" r WHERE r.alive = 1
            AND NOT EXISTS(SELECT 1 FROM "\(name)" t WHERE t.id = r.id)
            """
        ) { row in
            guard isThere(row) != false else { return }
            add("the row is not there, and no delete of it was captured", row)
        }
        try reader.forEach(
            """
            SELECT r.id FROM "sync_rows_\(name)" r WHERE r.alive <> 0 AND r.shape IS NULL
            AND NOT EXISTS(SELECT 1 FROM "sync_versions_\(name)" v WHERE v.row = r.row AND v.field = 0)
            """
        ) { row in
            add("the row is alive without an insert", row)
        }
        try reader.forEach(
            // Nothing is in no list, but not where the list is empty.
            """
            SELECT id, shape FROM "sync_rows_\(name)" WHERE shape IS NOT NULL
            AND shape NOT IN (SELECT number FROM sync_shapes)
            """
        ) { row in
            guard case .text(let id) = row[0] else { return }
            report.add(
                .schema, "which fields its insert wrote is not known: there is no shape \(row[1].number)", table: name,
                id: RowID(bytes: id))
        }
        for (id, isThere) in edits?.isThere ?? [:] {
            let found = try reader.integer("SELECT 1 FROM \"\(name)\" WHERE id = ?", .text(id.bytes)) == 1
            guard found != isThere else { continue }
            let what = isThere ? "was inserted, and is not there" : "was deleted, and is there"
            report.add(.existence, "by an unsealed edit the row \(what)", table: name, id: id)
        }
    }

    private func checkGraveyard(of table: CompiledTable) throws {
        let name = table.name
        try reader.forEach(
            """
            SELECT id, 0 FROM "sync_rows_\(name)" r WHERE alive = 0
            AND NOT EXISTS(SELECT 1 FROM "sync_graveyard_\(name)" g WHERE g.id = r.id)
            UNION ALL
            SELECT g.id, 1 FROM "sync_graveyard_\(name)" g LEFT JOIN "sync_rows_\(name)" r ON r.id = g.id
            WHERE r.alive IS NOT 0
            """
        ) { row in
            guard case .text(let id) = row[0] else {
                return report.add(.existence, "an id is no text", table: "sync_graveyard_\(name)")
            }
            report.add(
                .existence, row[1] == .integer(1) ? "it keeps a row that is not deleted" : "it lacks a deleted row",
                table: "sync_graveyard_\(name)", id: RowID(bytes: id))
        }
    }

    // MARK: Writes that nobody signed

    /// Every signed write was looked for; what the metadata has besides is in no body.
    private func checkUnsigned(_ table: CompiledTable) throws {
        let name = table.name
        var count = try reader.integer("SELECT count(*) FROM \"sync_versions_\(name)\"") ?? 0
        for row in try reader.query(
            "SELECT shape, count(*) FROM \"sync_rows_\(name)\" WHERE shape IS NOT NULL GROUP BY shape")
        {
            guard let number = row[0].integer, let rows = row[1].integer else { continue }
            count += rows * Int64(try shape(number).count + 1)
        }
        guard count != knownWrites[name, default: 0] else { return }
        let contents = LoggedContents(reader)
        try reader.forEach(
            """
            SELECT r.id, v.field, v.stamp, v.origin, v.seq FROM "sync_versions_\(name)" v
            LEFT JOIN "sync_rows_\(name)" r ON r.row = v.row
            """
        ) { row in
            guard case .text(let id) = row[0], let field = row[1].integer else {
                return report.add(
                    .unsignedWrite, "it has a write of a row that it does not know", table: "sync_versions_\(name)")
            }
            try checkSigned(RowID(bytes: id), [field], row.values[2...], table, contents)
            let base = try reader.integer(
                "SELECT 1 FROM \"sync_rows_\(name)\" WHERE id = ? AND stamp = ? AND origin = ? AND shape IS NOT NULL",
                row[0],
                row[2], row[3])
            if base == 1 { report.add(.unsignedWrite, "a write is kept twice", table: name, id: RowID(bytes: id)) }
        }
        try reader.forEach(
            "SELECT id, shape, stamp, origin, seq FROM \"sync_rows_\(name)\" WHERE shape IS NOT NULL"
        ) { row in
            guard case .text(let id) = row[0], let number = row[1].integer else { return }
            try checkSigned(
                RowID(bytes: id), [CompiledField.existence] + shape(number), row.values[2...], table, contents)
        }
    }

    private func checkSigned(
        _ id: RowID, _ numbers: [Int64], _ version: ArraySlice<Value>, _ table: CompiledTable,
        _ contents: LoggedContents
    ) throws {
        let parts = version.map(\.integer)
        guard parts.count == 3, let stamp = parts[0].flatMap({ Stamp(rawValue: $0) }), let number = parts[1],
            let sequence = parts[2], let origin = try? origins?.origin(number)
        else {
            return report.add(.unsignedWrite, "the version of a write does not read as one", table: table.name, id: id)
        }
        let version = Version(stamp: stamp, origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
        guard !distrusted.contains(version.dot) else { return }
        let names = Dictionary(firstOf: (fields[table.number] ?? [:]).values.map { ($0.number, $0.name) })
        for field in numbers {
            let name =
                field == CompiledField.existence ? LoggedContents.existenceName : names[field] ?? "number \(field)"
            if try contents.readable(version, table: table.name, id: id, field: name) == nil {
                report.add(
                    .unsignedWrite, "no change set in the log writes this at \(stamp)", table: table.name, id: id,
                    field: name, dot: version.dot)
            }
        }
    }

    /// What is awaited or parked belongs to a row and a field.
    private func checkAwaiting(_ table: CompiledTable) throws {
        let name = table.name
        try reader.forEach(
            """
            SELECT row, field, 'awaited', 0 FROM sync_awaiting WHERE table_number = ?1
            UNION ALL SELECT DISTINCT row, field, 'parked', misfit FROM sync_parked WHERE table_number = ?1
            """, [.integer(table.number)]
        ) { row in
            let known = try reader.integer(
                """
                SELECT 1 FROM "sync_rows_\(name)" r WHERE row = ? AND EXISTS(SELECT 1 FROM sync_fields
                WHERE number = ? AND table_number = ? AND (declared IS ? OR ? = 'awaited'))
                """, row[0], row[1], .integer(table.number), row[3], row[2])
            guard known != 1 else { return }
            let id = try reader.query("SELECT id FROM \"sync_rows_\(name)\" WHERE row = ?", [row[0]]).first?[0]
            report.add(
                .waiting, "a value is \(row[2].string ?? "") for a row or field that has no place for it", table: name,
                id: id.flatMap(Self.rowID))
        }
    }

    static func rowID(_ value: Value) -> RowID? {
        if case .text(let bytes) = value { RowID(bytes: bytes) } else { nil }
    }

    // MARK: Values that nobody wrote

    /// A column that a row's authors did not know holds its default, or NULL.
    private func checkUnwritten(_ table: CompiledTable) throws {
        let name = table.name
        let used = try reader.query("SELECT DISTINCT shape FROM \"sync_rows_\(name)\"").map { $0[0].integer }
        let defaults = try reader.query("SELECT name, dflt_value FROM pragma_table_info(?)", [Value(name)])
        for field in table.fields {
            let without = try used.filter { try $0.map { try !shape($0).contains(field.number) } ?? true }
            guard !without.isEmpty else { continue }
            let shapes = without.map { $0.map { "r.shape = \($0)" } ?? "r.shape IS NULL" }.joined(separator: " OR ")
            for (column, position) in zip(field.columns, field.positions) {
                let value = defaults.first { $0[0].string == column }?[1].string ?? "NULL"
                for home in [name, "sync_graveyard_\(name)"] {
                    try reader.forEach(
                        """
                        SELECT r.id FROM "sync_rows_\(name)" r JOIN "\(home)" t ON t.id = r.id WHERE (\(shapes))
                        AND t."\(column)" IS NOT NULL AND t."\(column)" IS NOT (\(value))
                        AND NOT EXISTS(SELECT 1 FROM "sync_versions_\(name)" v WHERE v.row = r.row AND v.field = ?)
                        """, [.integer(field.number)]
                    ) { row in
                        guard case .text(let bytes) = row[0] else { return }
                        let id = RowID(bytes: bytes)
                        let edits = unsealed[table.number]
                        guard edits?.places[id]?[position] == nil, edits?.replaced.contains(id) != true else { return }
                        report.add(
                            .value, "column \(column) holds a value, and nobody wrote one", table: name, id: id,
                            field: field.name)
                    }
                }
            }
        }
    }

    /// Where a value stands beside its table, the column has its default.
    private func checkBeside(_ table: CompiledTable) throws {
        let fields = table.fields.filter { misfitFields.contains($0.number) }
        guard !fields.isEmpty else { return }
        let defaults = try reader.query("SELECT name, dflt_value FROM pragma_table_info(?)", [Value(table.name)])
        let edits = unsealed[table.number]
        for field in fields {
            for (column, position) in zip(field.columns, field.positions) {
                let value = defaults.first { $0[0].string == column }?[1].string ?? "NULL"
                for home in [table.name, "sync_graveyard_\(table.name)"] {
                    try reader.forEach(
                        """
                        SELECT r.id FROM "sync_rows_\(table.name)" r JOIN "\(home)" t ON t.id = r.id
                        WHERE t."\(column)" IS NOT (\(value)) AND EXISTS(SELECT 1 FROM sync_parked p
                        WHERE p.misfit AND p.table_number = ? AND p.row = r.row AND p.field = ?)
                        """, [.integer(table.number), .integer(field.number)]
                    ) { row in
                        guard case .text(let bytes) = row[0] else { return }
                        let id = RowID(bytes: bytes)
                        guard edits?.places[id]?[position] == nil, edits?.replaced.contains(id) != true else { return }
                        report.add(
                            .value,
                            "column \(column) holds a value, and the one that was signed stands beside the table",
                            table: table.name, id: id, field: field.name)
                    }
                }
            }
        }
    }
}
