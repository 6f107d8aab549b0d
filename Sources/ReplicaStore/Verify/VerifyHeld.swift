// Verifying what waits: each held change set as it was proven when it came, with its values and its cause.
//
// Invariant: one held change set with its values in memory at a time.

internal import ReplicationModel
internal import ReplicationWire

extension Verification {
    func checkHeld(_ progress: (VerifyProgress) throws -> Void) throws {
        let total = try reader.integer("SELECT count(*) FROM sync_held") ?? 0
        try reader.forEach(
            """
            SELECT number, origin, seq, signature, body, cause, release_at, waits_origin, waits_seq, detail, taken_back,
                digest, received_from
            FROM sync_held ORDER BY number
            """
        ) { row in
            try progress(VerifyProgress(stage: .held, done: report.held, total: total))
            report.held += 1
            guard let number = row[0].integer, let signature = row[3].bytes, let body = row[4].bytes else {
                return report.add(.changeSet, "a held change set does not read as it was written", table: "sync_held")
            }
            let values = try reader.query(
                "SELECT value, ordinal FROM sync_held_values WHERE held = ? ORDER BY ordinal", [.integer(number)])
            if values.map({ $0[1] }) != values.indices.map({ .integer(Int64($0)) }) {
                report.add(.changeSet, "its values are not numbered 0 and on", table: "sync_held_values", dot: dot(row))
            }
            guard row[11] == .null || row[11] == .blob(HeldStore.digest(signature, body).bytes) else {
                return report.add(
                    damaged(row), "a held change set does not have the digest kept beside it", table: "sync_held",
                    dot: dot(row))
            }
            check(SealedChangeSet(body: body, signature: signature, values: values.map { $0[0].bytes }), row)
        }
        let stray = try reader.query(
            "SELECT DISTINCT held FROM sync_held_values WHERE held NOT IN (SELECT number FROM sync_held)")
        for row in stray {
            report.add(.changeSet, "it keeps values of \(row[0].number), which is not held", table: "sync_held_values")
        }
        let counted = try reader.query(
            """
            SELECT substr(origin, 1, 16), count(*), sum(\(HeldBound.bytesOfRow)) FROM sync_held GROUP BY 1 ORDER BY 1
            """
        ).map(\.values)
        let noted = try reader.query("SELECT author, change_sets, bytes FROM sync_held_authors ORDER BY author").map(
            \.values)
        if counted != noted {
            report.add(
                .header, "how much is held of each author is not what it says of it", table: "sync_held_authors")
        }
    }

    private func dot(_ row: Row) -> Dot? {
        guard let origin = row[1].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[2].integer else {
            return nil
        }
        return Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
    }

    /// What this replica sealed, or had applied, may be nowhere else.
    private func damaged(_ row: Row) -> VerifyFinding.Kind {
        row[12] != .null && row[10] == .null ? .held : .changeSet
    }

    private func check(_ sealed: SealedChangeSet, _ row: Row) {
        do {
            let proven = try replica.prove(sealed, authors: authors)
            if dot(row) != proven.dot {
                report.add(
                    .header, "a held change set is kept under another name", table: "sync_held", dot: proven.dot)
            }
            if row[10] != .null,
                HeldStore.TakenBack(row[10]).map({ .blob($0.bytes(over: sealed.body)) }) != row[10]
            {
                report.add(
                    .header, "when a cut took it back is not as it was noted", table: "sync_held", dot: proven.dot)
            }
            checkCause(proven, row)
        } catch let violation as ApplyViolation {
            let kinds: [ApplyViolation.Kind: VerifyFinding.Kind] = [.author: .author, .signature: .signature]
            report.add(
                kinds[violation.kind] ?? damaged(row), "held, and no longer sound: \(violation)", table: "sync_held",
                dot: violation.dot ?? dot(row))
        } catch {
            report.add(.changeSet, "held, and no longer sound: \(error)", table: "sync_held", dot: dot(row))
        }
    }

    /// Only a clock releases by itself, and only when the stamp is near enough.
    private func checkCause(_ proven: ProvenChangeSet, _ row: Row) {
        let release: Value
        switch HeldCause(rawValue: row[5].string ?? "") {
        case .clockAhead:
            release = .integer(
                proven.header.lastStamp.wallClock.milliseconds - Limits.aheadMilliseconds)
        case .unknownTable, .schemaDiffers, .unknownAuthor, .waitsForEarlier, .revoked, .forked: release = .null
        case nil:
            return report.add(.header, "it is held for no known cause", table: "sync_held", dot: proven.dot)
        }
        if row[7] != .null || row[8] != .null {
            // Said twice, so that a bit that flips in either is seen.
            let awaited = row[7].bytes.flatMap { Origin(bytes: $0) }.flatMap { origin in
                row[8].integer.map { Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: $0))) }
            }
            if awaited.map({ "waits for \($0)" }) != row[9].string {
                report.add(
                    .header, "what it waits for is not what is said of it", table: "sync_held", dot: proven.dot)
            }
        }
        if row[6] != release {
            report.add(
                .header, "it would be released at another time than its stamps say", table: "sync_held",
                dot: proven.dot)
        }
    }
}
