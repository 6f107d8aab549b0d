// Change sets that wait: kept whole, with their values and the cause.
//
// Invariant: what is here was proven, and is applied nowhere yet.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

enum HeldStore {
    struct Entry {
        let number: Int64
        let changeSet: ProvenChangeSet
        let from: NodeID?
    }

    static func origins(_ reader: Reader, but number: Int64 = -1) throws -> Set<Origin> {
        Set(
            try reader.query("SELECT DISTINCT origin FROM sync_held WHERE number <> ?", [.integer(number)]).compactMap {
                guard case .blob(let bytes) = $0[0] else { return nil }
                return Origin(bytes: bytes)
            })
    }

    static func all(_ reader: Reader) throws -> [HeldChangeSet] {
        try reader.query("SELECT origin, seq, cause, detail, release_at FROM sync_held ORDER BY number").map { row in
            guard case .blob(let bytes) = row[0], let origin = Origin(bytes: bytes),
                case .integer(let sequence) = row[1],
                let cause = HeldCause(rawValue: row[2].string ?? "")
            else { throw ReplicaError.damaged("sync_held") }
            var release: WallClock?
            if case .integer(let time) = row[4] { release = WallClock(milliseconds: time) }
            return HeldChangeSet(
                dot: Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence))), cause: cause,
                detail: row[3].string ?? "", releaseAt: release)
        }
    }

    static func hold(
        _ changeSet: ProvenChangeSet, _ held: HeldChangeSet, from peer: NodeID?, at time: WallClock, in writer: Writer
    ) throws {
        try writer.execute(
            """
            INSERT OR IGNORE INTO sync_held(origin, seq, cause, detail, release_at, received_at, received_from, signature,
                body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .blob(held.dot.origin.bytes), .integer(Int64(bitPattern: held.dot.sequence.rawValue)),
                Value(held.cause.rawValue), Value(held.detail),
                held.releaseAt.map { .integer($0.milliseconds) } ?? .null,
                .integer(time.milliseconds), peer.map { .blob($0.bytes) } ?? .null, .blob(changeSet.sealed.signature),
                .blob(changeSet.sealed.body),
            ])
        guard writer.changedRowCount == 1 else { return }
        let number = writer.lastInsertedRow
        for (ordinal, value) in changeSet.sealed.values.enumerated() {
            try writer.execute(
                "INSERT INTO sync_held_values(held, ordinal, value) VALUES (?, ?, ?)",
                [.integer(number), .integer(Int64(ordinal)), value.map { .blob($0) } ?? .null])
        }
    }

    static func restate(_ number: Int64, _ held: HeldChangeSet, in writer: Writer) throws {
        try writer.execute(
            "UPDATE sync_held SET cause = ?, detail = ?, release_at = ? WHERE number = ?",
            [
                Value(held.cause.rawValue), Value(held.detail),
                held.releaseAt.map { .integer($0.milliseconds) } ?? .null,
                .integer(number),
            ])
    }

    static func drop(_ number: Int64, in writer: Writer) throws {
        try writer.execute("DELETE FROM sync_held_values WHERE held = ?", [.integer(number)])
        try writer.execute("DELETE FROM sync_held WHERE number = ?", [.integer(number)])
    }

    /// In the order of their origins and sequences, so that each comes after what it builds on within its origin.
    static func load(_ reader: Reader) throws -> [Entry] {
        try reader.query("SELECT number, received_from, signature, body FROM sync_held ORDER BY origin, seq").map {
            row in
            guard case .integer(let number) = row[0], case .blob(let signature) = row[2], case .blob(let body) = row[3]
            else {
                throw ReplicaError.damaged("sync_held")
            }
            let values = try reader.query(
                "SELECT value FROM sync_held_values WHERE held = ? ORDER BY ordinal", [.integer(number)]
            ).map { row -> [UInt8]? in
                guard case .blob(let bytes) = row[0] else { return nil }
                return bytes
            }
            var from: NodeID?
            if case .blob(let bytes) = row[1] { from = NodeID(bytes: bytes) }
            return Entry(
                number: number,
                changeSet: ProvenChangeSet(
                    sealed: SealedChangeSet(body: body, signature: signature, values: values),
                    changeSet: try ChangeSetCodec.decode(body), digest: SHA256.digest(body)), from: from)
        }
    }
}
