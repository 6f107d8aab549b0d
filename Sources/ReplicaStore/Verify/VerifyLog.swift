// Verifying the log: every change set against its signature, its predecessor, its columns and its context.
//
// Invariant: one pass in order of arrival; what is kept is a few numbers an origin.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

/// How far one origin has been verified.
private struct VerifiedOrigin {
    var sequence = SequenceNumber.zero
    /// Nil after a change set that could not be read: what follows it cannot be compared with it.
    var end: (digest: Digest, totals: Totals)? = (.none, .zero)
    var lastStamp = Stamp.zero
    var context = VersionVector()
}

/// One row of the log.
private struct LoggedRow {
    let origin: Origin
    let sequence: SequenceNumber
    /// first_stamp, last_stamp, changes, bytes.
    let columns: [Int64]
    let digest: [UInt8]
    let signature: [UInt8]
    let body: [UInt8]
    var dot: Dot { Dot(origin: origin, sequence: sequence) }
}

extension Verification {
    func checkLog(_ origins: OriginBook, _ progress: (VerifyProgress) throws -> Void) throws {
        let total = try reader.integer("SELECT count(*) FROM sync_change_sets") ?? 0
        var verified: [Origin: VerifiedOrigin] = [:]
        let statement = try reader.prepare(
            """
            SELECT origin, seq, first_stamp, last_stamp, changes, bytes, digest, signature, body FROM sync_change_sets
            ORDER BY position
            """)
        try statement.forEach {
            try progress(VerifyProgress(stage: .log, done: report.changeSets, total: total))
            report.changeSets += 1
            guard let origin = try? origins.origin(statement.integer(0)) else {
                // `checkVectors` names the origins that are not listed.
                return
            }
            let row = LoggedRow(
                origin: origin, sequence: SequenceNumber(UInt64(bitPattern: statement.integer(1))),
                columns: (2...5).map(statement.integer), digest: statement.bytes(6), signature: statement.bytes(7),
                body: statement.bytes(8))
            var state = verified[origin] ?? VerifiedOrigin()
            try check(row, &state, verified, origins)
            verified[origin] = state
        }
        try checkContextCount(origins)
    }

    private func check(
        _ row: LoggedRow, _ state: inout VerifiedOrigin, _ others: [Origin: VerifiedOrigin], _ origins: OriginBook
    ) throws {
        let follows = row.sequence == state.sequence.next
        if !follows {
            let missing = Dot(origin: row.origin, sequence: state.sequence.next)
            report.add(.chain, "the log lacks \(missing), and goes on with \(row.sequence)", dot: missing)
        }
        state.sequence = row.sequence
        guard let changeSet = proven(row) else {
            distrusted.insert(row.dot)
            state.end = nil
            return
        }
        let header = changeSet.header
        let before = state
        if follows, let end = state.end {
            if header.previous != end.digest {
                report.add(.chain, "it names another change set before it than the log has", dot: row.dot)
            }
            if header.totalsBefore != end.totals {
                report.add(.chain, "its totals do not go on from the change set before it", dot: row.dot)
            }
        }
        let totals = header.totalsAfter(bodyBytes: row.body.count)
        let expected = [
            header.firstStamp.rawValue, header.lastStamp.rawValue, Int64(bitPattern: totals.changes),
            Int64(bitPattern: totals.bytes),
        ]
        if let index = zip(expected, row.columns).enumerated().first(where: { $1.0 != $1.1 })?.offset {
            let name = ["first_stamp", "last_stamp", "changes", "bytes"][index]
            report.add(
                .header, "\(name) is \(row.columns[index]) where the signed body says \(expected[index])",
                table: "sync_change_sets", dot: row.dot)
        }
        state.end = (SHA256.digest(row.body), totals)
        state.lastStamp = header.lastStamp
        state.context.formUnion(header.contextChanges)
        try checkContext(of: header, before, others, origins)
        for part in changeSet.tables { try checkWrites(of: part, header) }
    }

    /// The change set, where its author's signature vouches for it.
    private func proven(_ row: LoggedRow) -> ChangeSet? {
        let digest = SHA256.digest(row.body)
        let isDigest = row.digest == digest.bytes
        if !isDigest { report.add(.changeSet, "its bytes do not have the digest kept beside them", dot: row.dot) }
        let changeSet: ChangeSet
        do {
            changeSet = try ChangeSetCodec.decode(row.body)
        } catch {
            report.add(.changeSet, "its body does not read as one: \(error)", dot: row.dot)
            return nil
        }
        guard changeSet.header.dot == row.dot else {
            report.add(.header, "its body is that of \(changeSet.header.dot)", table: "sync_change_sets", dot: row.dot)
            return nil
        }
        if let cut = cuts[row.origin], row.sequence > cut.lastAccepted {
            report.add(
                .author, "its origin is cut off after \(cut.lastAccepted), \(cut.cause.rawValue), and it is in the log",
                dot: row.dot)
        }
        do {
            let key = try authors.key(of: row.dot)
            guard ChangeSetSignature.verify(row.signature, bodyDigest: digest, publicKey: key) else {
                report.add(.signature, "its signature is not its author's", dot: row.dot)
                return nil
            }
        } catch {
            report.add(.author, "\(error)", dot: row.dot)
            return isDigest ? changeSet : nil
        }
        return changeSet
    }

    // MARK: Contexts

    private func checkContext(
        of header: ChangeSetHeader, _ before: VerifiedOrigin, _ others: [Origin: VerifiedOrigin], _ origins: OriginBook
    ) throws {
        // The own predecessor, then all that is newly seen: older context was checked when it was new.
        var floor = (stamp: before.lastStamp, dot: Dot(origin: header.origin, sequence: header.sequence.previous))
        for (origin, sequence) in header.contextChanges.sorted {
            let dot = Dot(origin: origin, sequence: sequence)
            if before.context[origin] >= sequence {
                report.add(.context, "it takes back what it had seen of \(origin)", dot: header.dot)
            }
            if others[origin]?.sequence ?? .zero < sequence {
                report.add(.chain, "it builds on \(dot), which the log does not have before it", dot: header.dot)
            }
            try checkContextRow(header, dot, origins)
            let stamp = try lastStamp(of: dot, origins)
            if let stamp, stamp > floor.stamp { floor = (stamp, dot) }
        }
        if floor.stamp >= header.firstStamp {
            report.add(
                .stamp,
                "its stamps begin at \(header.firstStamp), not after \(floor.stamp) of \(floor.dot), which it had seen",
                dot: header.dot)
        }
    }

    private func checkContextRow(_ header: ChangeSetHeader, _ seen: Dot, _ origins: OriginBook) throws {
        let known = try reader.integer(
            "SELECT of_seq FROM sync_contexts WHERE origin = ? AND of_origin = ? AND seq = ?",
            .integer(origins[header.origin]?.number ?? -1), .integer(origins[seen.origin]?.number ?? -1),
            .integer(Int64(bitPattern: header.sequence.rawValue)))
        if known == Int64(bitPattern: seen.sequence.rawValue) {
            knownContexts += 1
        } else {
            let found = known.map { "it says \($0)" } ?? "it does not say so"
            report.add(
                .context, "the change set had seen \(seen), and \(found)", table: "sync_contexts", dot: header.dot)
        }
    }

    private func lastStamp(of dot: Dot, _ origins: OriginBook) throws -> Stamp? {
        let stamp = try reader.integer(
            "SELECT last_stamp FROM sync_change_sets WHERE origin = ? AND seq = ?",
            .integer(origins[dot.origin]?.number ?? -1), .integer(Int64(bitPattern: dot.sequence.rawValue)))
        return stamp.flatMap { Stamp(rawValue: $0) }
    }

    /// Every context of a body was found; what is there besides stands in no body.
    private func checkContextCount(_ origins: OriginBook) throws {
        guard try reader.integer("SELECT count(*) FROM sync_contexts") != knownContexts else { return }
        try reader.forEach(
            """
            SELECT c.origin, c.seq, c.of_origin, c.of_seq, s.body FROM sync_contexts c
            LEFT JOIN sync_change_sets s ON s.origin = c.origin AND s.seq = c.seq
            """
        ) { row in
            guard let numbers = row.values.prefix(4).map(\.integer) as? [Int64] else { return }
            let dot = try Dot(
                origin: origins.origin(numbers[0]), sequence: SequenceNumber(UInt64(bitPattern: numbers[1])))
            let seen = SequenceNumber(UInt64(bitPattern: numbers[3]))
            guard !distrusted.contains(dot) else { return }
            let header = row[4].bytes.flatMap { try? ChangeSetCodec.decodeHeader($0) }
            let other = try origins.origin(numbers[2])
            // One that states another sequence, or a body that does not read, was reported with its change set.
            guard header?.contextChanges[other] ?? .zero == .zero else { return }
            report.add(
                .context, "no signed body says that it had seen \(other):\(seen)", table: "sync_contexts", dot: dot)
        }
    }
}
