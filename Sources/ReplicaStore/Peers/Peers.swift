// What is known of peers: where they are, when they were met, and the vectors they acknowledged.
//
// Invariant: a figure is kept with the time at which it was true and who told it; nothing here is a guess.

public import ReplicationModel

/// What a peer told of itself in a session.
public struct PeerFacts: Sendable, Hashable {
    /// When it was true, by this node's clock.
    public var at: WallClock
    public var applied: VersionVector
    /// The part of `applied` that counts as acknowledged.
    public var safe: VersionVector
    /// Our vector, as the peer was told it.
    public var told: VersionVector
    /// How far the peer's clock is ahead of ours.
    public var clockOffsetMilliseconds: Int64?
    public var roundTripMicroseconds: Int64?
    public var software: String
    public var schemaMatches: Bool
    /// What the peer said it had for us, when it greeted.
    public var backlog: Backlog?
    /// What the peer holds of what it was sent.
    public var held: [HeldChangeSet]

    public init(
        at: WallClock, applied: VersionVector, safe: VersionVector, told: VersionVector,
        clockOffsetMilliseconds: Int64? = nil, roundTripMicroseconds: Int64? = nil, software: String = "",
        schemaMatches: Bool = true, backlog: Backlog? = nil, held: [HeldChangeSet] = []
    ) {
        self.at = at
        self.applied = applied
        self.safe = safe
        self.told = told
        self.clockOffsetMilliseconds = clockOffsetMilliseconds
        self.roundTripMicroseconds = roundTripMicroseconds
        self.software = software
        self.schemaMatches = schemaMatches
        self.backlog = backlog
        self.held = held
    }
}

/// What another node said of it.
public struct SecondHand: Sendable, Hashable {
    public var applied: VersionVector
    public var at: WallClock
    public var from: NodeID

    public init(applied: VersionVector, at: WallClock, from: NodeID) {
        self.applied = applied
        self.at = at
        self.from = from
    }
}

/// Why a peer could not be reached, or would not talk.
public struct PeerFailure: Sendable, Hashable {
    /// A word that scripts may match: `unreachable`, `refused`, `protocol`, …
    public var kind: String
    public var message: String

    public init(kind: String, message: String) {
        self.kind = kind
        self.message = message
    }
}

/// Everything known of one peer.
public struct PeerRecord: Sendable, Hashable {
    public let node: NodeID
    public var facts: PeerFacts?
    public var secondHand: SecondHand?
    /// When bytes last came from it.
    public var lastContact: WallClock?
    public var lastAttempt: WallClock?
    /// Of the last attempt.
    public var failure: PeerFailure?
    /// A session stood open when this was written; `lastContact` says how fresh that is.
    public var isLive = false
}

/// Where a peer may be reached.
public struct PeerAddress: Sendable, Hashable {
    /// HOST:PORT.
    public let address: String
    /// Whose it was when it was last reached; nil where it never was.
    public let node: NodeID?
    /// Of the last attempt to reach it.
    public let failure: PeerFailure?
    public let lastAttempt: WallClock?
}

extension Replica {
    // MARK: Addresses

    public func addAddress(_ address: String) throws {
        try write {
            try $0.execute(
                "INSERT OR IGNORE INTO sync_addresses(address, added_at) VALUES (?, ?)",
                [Value(address), .integer(clock().milliseconds)])
        }
    }

    /// False where there was none.
    public func removeAddress(_ address: String) throws -> Bool {
        try write { writer in
            try writer.execute("DELETE FROM sync_addresses WHERE address = ?", [Value(address)])
            return writer.changedRowCount > 0
        }
    }

    /// An attempt to reach an address ended as said.
    public func recordAttempt(at address: String, failure: PeerFailure?) throws {
        try write { writer in
            try writer.execute(
                "UPDATE sync_addresses SET last_attempt = ?, failure = ?, failure_kind = ? WHERE address = ?",
                [
                    .integer(clock().milliseconds), Value(failure?.message ?? ""), Value(failure?.kind ?? ""),
                    Value(address),
                ])
        }
    }

    /// Writes down whose address it proved to be.
    public func setNode(_ node: NodeID, at address: String) throws {
        let known = try read { reader in
            try reader.integer(
                "SELECT 1 FROM sync_addresses WHERE address = ? AND node IS ?", Value(address), .blob(node.bytes))
        }
        // The peer waits for a greeting: nothing is waited for that need not be written.
        guard known == nil else { return }
        try write { writer in
            try writer.execute(
                "UPDATE sync_addresses SET node = ? WHERE address = ?", [.blob(node.bytes), Value(address)])
        }
    }

    /// In the order in which they were added.
    public func addresses() throws -> [PeerAddress] {
        try read { reader in
            try reader.query(
                "SELECT address, node, failure, failure_kind, last_attempt FROM sync_addresses ORDER BY added_at, address"
            ).map { row in
                let message = row[2].string ?? ""
                return PeerAddress(
                    address: row[0].string ?? "", node: row[1].bytes.flatMap { NodeID(bytes: $0) },
                    failure: message.isEmpty ? nil : PeerFailure(kind: row[3].string ?? "", message: message),
                    lastAttempt: Self.time(row[4]))
            }
        }
    }

    // MARK: Peers

    /// A session told this; it counts as contact. A power cut may leave what was told before: just as true, of its time.
    ///
    /// - Parameter isLive: whether it is of a session that stays; one that does not says nothing of another that may.
    public func observe(_ node: NodeID, _ facts: PeerFacts, isLive: Bool) throws {
        var values: [(column: String, value: Value)] = [
            ("applied", Self.blob(facts.applied)), ("safe", Self.blob(facts.safe)), ("told", Self.blob(facts.told)),
            ("known_at", .integer(facts.at.milliseconds)), ("last_contact", .integer(facts.at.milliseconds)),
            ("clock_offset_ms", facts.clockOffsetMilliseconds.map { .integer($0) } ?? .null),
            ("round_trip_us", facts.roundTripMicroseconds.map { .integer($0) } ?? .null),
            ("software", Value(facts.software)), ("schema_matches", .integer(facts.schemaMatches ? 1 : 0)),
            ("backlog_sets", facts.backlog.map { .integer(Int64(clamping: $0.changeSets)) } ?? .null),
            ("backlog_changes", facts.backlog.map { .integer(Int64(clamping: $0.changes)) } ?? .null),
            ("backlog_bytes", facts.backlog.map { .integer(Int64(clamping: $0.bytes)) } ?? .null),
            ("backlog_oldest", facts.backlog?.oldest.map { .integer($0.milliseconds) } ?? .null),
            ("held", Value(Self.text(facts.held))), ("failure", Value("")), ("failure_kind", Value("")),
        ]
        if isLive { values.append(("live", .integer(1))) }
        try update(node, synced: false, values)
    }

    /// What a peer said of others, of each the last word; kept where it is newer than what is known second-hand. As true after a
    /// power cut as what it takes the place of.
    public func observe(_ words: [NodeID: SecondHand]) throws {
        guard !words.isEmpty else { return }
        let (known, now) = (try peers(), clock())
        let before = Dictionary(firstOf: known.map { ($0.node, $0.secondHand?.at) })
        let news = words.filter { node, word in
            guard node != self.node else { return false }
            // What a clock that ran ahead has dated stands in nobody's way.
            guard let at = before[node] ?? nil, at <= now else { return true }
            return word.at > at
        }
        guard !news.isEmpty else { return }
        try connections.writeUnsynced { writer in
            for (node, word) in news.sorted(by: { $0.key < $1.key }) {
                try Self.update(
                    node,
                    [
                        ("second_applied", Self.blob(word.applied)), ("second_at", .integer(word.at.milliseconds)),
                        ("second_from", .blob(word.from.bytes)),
                    ], writer)
            }
        }
    }

    /// An attempt began, or ended as said.
    public func recordAttempt(_ node: NodeID, failure: PeerFailure?) throws {
        try update(
            node,
            [
                ("last_attempt", .integer(clock().milliseconds)), ("failure", Value(failure?.message ?? "")),
                ("failure_kind", Value(failure?.kind ?? "")),
            ])
    }

    /// The session with it that stayed is over.
    public func recordEnd(_ node: NodeID) throws {
        try update(node, [("live", .integer(0))])
    }

    private func update(_ node: NodeID, synced: Bool = true, _ values: [(column: String, value: Value)]) throws {
        func set(_ writer: Writer) throws { try Self.update(node, values, writer) }
        try synced ? connections.write(set) : connections.writeUnsynced(set)
    }

    private static func update(_ node: NodeID, _ values: [(column: String, value: Value)], _ writer: Writer) throws {
        try writer.execute("INSERT OR IGNORE INTO sync_peers(node) VALUES (?)", [.blob(node.bytes)])
        let assignments = values.map { "\($0.column) = ?" }.joined(separator: ", ")
        try writer.execute(
            "UPDATE sync_peers SET \(assignments) WHERE node = ?", values.map(\.value) + [.blob(node.bytes)])
    }

    public func peers() throws -> [PeerRecord] {
        try read { try $0.query("SELECT * FROM sync_peers ORDER BY node").compactMap(Self.record) }
    }

    public func peer(_ node: NodeID) throws -> PeerRecord? {
        try read {
            try $0.query("SELECT * FROM sync_peers WHERE node = ?", [.blob(node.bytes)]).first.flatMap(Self.record)
        }
    }

    /// Of each peer that was met, what it had acknowledged, and when that was true.
    static func met(_ reader: Reader) throws -> [(node: NodeID, safe: VersionVector, at: WallClock)] {
        try reader.query(
            """
            SELECT node, safe, known_at FROM sync_peers
            WHERE applied IS NOT NULL AND safe IS NOT NULL AND known_at IS NOT NULL ORDER BY node
            """
        ).compactMap { row in
            guard let node = row[0].bytes.flatMap({ NodeID(bytes: $0) }), let safe = vector(row[1]),
                let at = time(row[2])
            else { return nil }
            return (node, safe, at)
        }
    }

    private static func record(_ row: Row) -> PeerRecord? {
        guard let bytes = row["node"].bytes, let node = NodeID(bytes: bytes) else { return nil }
        var record = PeerRecord(node: node)
        if let applied = vector(row["applied"]), let safe = vector(row["safe"]), let at = time(row["known_at"]) {
            record.facts = PeerFacts(
                at: at, applied: applied, safe: safe, told: vector(row["told"]) ?? VersionVector(),
                clockOffsetMilliseconds: row["clock_offset_ms"].integer,
                roundTripMicroseconds: row["round_trip_us"].integer, software: row["software"].string ?? "",
                schemaMatches: row["schema_matches"].integer == 1, backlog: backlog(row),
                held: held(row["held"].string ?? ""))
        }
        if let applied = vector(row["second_applied"]), let at = time(row["second_at"]),
            let from = row["second_from"].bytes.flatMap({ NodeID(bytes: $0) })
        {
            record.secondHand = SecondHand(applied: applied, at: at, from: from)
        }
        record.lastContact = time(row["last_contact"])
        record.lastAttempt = time(row["last_attempt"])
        if let message = row["failure"].string, !message.isEmpty {
            record.failure = PeerFailure(kind: row["failure_kind"].string ?? "", message: message)
        }
        record.isLive = row["live"].integer == 1
        return record
    }

    private static func backlog(_ row: Row) -> Backlog? {
        // Less than nothing is damage, and as good as not known.
        func count(_ column: String) -> UInt64? { row[column].integer.flatMap { UInt64(exactly: $0) } }
        guard let sets = count("backlog_sets") else { return nil }
        return Backlog(
            changeSets: sets, changes: count("backlog_changes") ?? 0, bytes: count("backlog_bytes") ?? 0,
            oldest: time(row["backlog_oldest"]))
    }

    // MARK: Held change sets as lines: origin, sequence, cause, release or nothing, detail

    private static func text(_ held: [HeldChangeSet]) -> String {
        held.map { held in
            let release = held.releaseAt.map { String($0.milliseconds) } ?? ""
            let detail = held.detail.replacing("\n", with: " ").replacing("\t", with: " ")
            return "\(held.dot.origin)\t\(held.dot.sequence)\t\(held.cause.rawValue)\t\(release)\t\(detail)"
        }.joined(separator: "\n")
    }

    private static func held(_ text: String) -> [HeldChangeSet] {
        text.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", maxSplits: 4, omittingEmptySubsequences: false)
            guard parts.count == 5, let origin = Origin(String(parts[0])), let sequence = UInt64(parts[1]),
                let cause = HeldCause(rawValue: String(parts[2]))
            else { return nil }
            return HeldChangeSet(
                dot: Dot(origin: origin, sequence: SequenceNumber(sequence)), cause: cause, detail: String(parts[4]),
                releaseAt: Int64(parts[3]).map { WallClock(milliseconds: $0) })
        }
    }

    // MARK: Vectors as blobs: 24 bytes of origin and 8 of sequence an entry, ascending

    private static func blob(_ vector: VersionVector) -> Value {
        .blob(
            vector.sorted.flatMap { entry in
                entry.origin.bytes + withUnsafeBytes(of: entry.sequence.rawValue.bigEndian) { Array($0) }
            })
    }

    private static func vector(_ value: Value) -> VersionVector? {
        guard let bytes = value.bytes else { return nil }
        var vector = VersionVector()
        for start in stride(from: 0, to: bytes.count - 31, by: 32) {
            guard let origin = Origin(bytes: bytes[start..<start + 24]) else { return nil }
            let sequence = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start + 24, as: UInt64.self) }
            vector[origin] = SequenceNumber(UInt64(bigEndian: sequence))
        }
        return vector
    }

    private static func time(_ value: Value) -> WallClock? { value.integer.map { WallClock(milliseconds: $0) } }
}

extension Value {
    var bytes: [UInt8]? {
        guard case .blob(let bytes) = self else { return nil }
        return bytes
    }

    var integer: Int64? {
        guard case .integer(let integer) = self else { return nil }
        return integer
    }
}
