// Verifying journals: entries that read as such, the sealed part as it was sealed, and the triggers that write them.
//
// Invariant: one run of a journal is read at a time, entry by entry.

internal import ReplicationModel

extension Verification {
    func checkJournals(_ progress: (VerifyProgress) throws -> Void) throws {
        for (done, table) in tables.values.sorted(by: { $0.number < $1.number }).enumerated() {
            try progress(VerifyProgress(stage: .journals, done: Int64(done), total: Int64(tables.count)))
            let journal = "sync_journal_\(table.name)"
            let last = try reader.integer("SELECT max(n) FROM \"\(journal)\"") ?? 0
            let sealed =
                try reader.integer("SELECT sealed FROM sync_tables WHERE number = ?", .integer(table.number)) ?? 0
            if sealed > last {
                report.add(
                    .journal,
                    "entries up to \(sealed) count as sealed, and it ends at \(last): the next edits would be lost",
                    table: journal)
            }
            let wrong = try reader.query(
                """
                SELECT n FROM "\(journal)" WHERE op NOT IN (1, 2, 3, 4, 6, 7) OR typeof(id) <> CASE op WHEN 6 THEN 'integer'
                ELSE 'text' END OR (op IN (2, 3, 6) AND typeof(mask) <> 'integer') OR (op >= 6 AND n > ?) ORDER BY n LIMIT 1
                """, [.integer(sealed)]
            ).first
            if let wrong { report.add(.journal, "entry \(wrong[0]) does not read as one", table: journal) }
            try checkRuns(of: table, journal, sealed: sealed)
            try checkCapture(of: table)
        }
    }

    /// The sealed part, run by run, against the digests taken when it was sealed.
    private func checkRuns(of table: CompiledTable, _ journal: String, sealed: Int64) throws {
        var end: Int64 = 0
        for run in try reader.query(
            "SELECT last, digest FROM sync_journal_runs WHERE table_number = ? ORDER BY last", [.integer(table.number)])
        {
            guard let last = run[0].integer else { continue }
            let first = end
            end = last
            // Sealed before there were digests.
            guard run[1] != .null else { continue }
            let digest = try JournalRuns.digest(of: table, after: first, through: last, reader)
            guard run[1].bytes != digest.bytes else { continue }
            let rows = try reader.query(
                "SELECT DISTINCT id FROM \"\(journal)\" WHERE n > ? AND n <= ? LIMIT 2",
                [.integer(first), .integer(last)])
            var id: RowID?
            if rows.count == 1, case .text(let bytes) = rows[0][0] { id = RowID(bytes: bytes) }
            report.add(
                .history,
                last - first == 1
                    ? "entry \(last) is not what it was when it was sealed"
                    : "entries \(first + 1) to \(last) are not what they were when they were sealed",
                table: journal, id: id)
        }
        if end != sealed {
            report.add(
                .journal,
                "entries up to \(sealed) count as sealed, and \(end) were: edits would be lost, or made a second time",
                table: journal)
        }
    }

    private func checkCapture(of table: CompiledTable) throws {
        let expected = Capture.triggers(for: table)
        let mark = try reader.query("SELECT capture FROM sync_tables WHERE number = ?", [.integer(table.number)])
        if mark.first?[0].string != expected {
            report.add(
                .capture, "what is noted of its triggers is not what was made here", table: table.name)
        }
        for kind in Capture.kinds where kind != "update" || !table.columns.isEmpty {
            let name = "sync_\(kind)_\(table.name)"
            let sql = try reader.query(
                "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", [Value(name)]
            ).first?[0].string
            if let sql, expected.contains(sql) { continue }
            report.add(
                .capture, "the trigger \(name) is \(sql == nil ? "missing" : "not the one made here")",
                table: table.name)
        }
    }
}
