// Change sets that wait: kept whole, with their values, the cause, and what releases them.
//
// Invariant: what is here was proven, and is applied nowhere yet. Only what may be released is ever read whole, so what
// waits costs nothing while it waits; and of each author no more waits than its bound.

internal import ReplicationModel
internal import ReplicationWire
internal import Trust

/// What has to come before a held change set is tried again.
enum HeldRelease {
    /// The clock.
    case at(WallClock)
    /// The change set that it builds on.
    case after(Dot)
    /// Other declarations than the present ones.
    case declarations
    /// Nobody can tell; it is tried with every batch.
    case anything
}

enum HeldStore {
    struct Entry {
        let number: Int64
        let changeSet: ProvenChangeSet
        let from: NodeID?
    }

    // MARK: What is held

    /// A row of `sync_held`, without what was sent.
    struct Waiting {
        let held: HeldChangeSet
        /// The change set that it builds on and waits for.
        let waitsFor: Dot?

        /// Of `sync_held h`, in the order in which they are read.
        static let columns =
            "h.origin, h.seq, h.cause, h.detail, h.release_at, h.waits_origin, h.waits_seq"

        init(_ row: Row) throws {
            func dot(_ origin: Value, _ sequence: Value) -> Dot? {
                guard let origin = origin.bytes.flatMap({ Origin(bytes: $0) }), let sequence = sequence.integer else {
                    return nil
                }
                return Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
            }
            guard let own = dot(row[0], row[1]), let cause = row[2].string.flatMap({ HeldCause(rawValue: $0) }) else {
                throw ReplicaError.damaged("sync_held")
            }
            held = HeldChangeSet(
                dot: own, cause: cause, detail: row[3].string ?? "",
                releaseAt: row[4].integer.map { WallClock(milliseconds: $0) })
            waitsFor = dot(row[5], row[6])
        }
    }

    /// The first of each origin, which is what keeps the rest of it waiting.
    ///
    /// - Parameter cuts: what builds on anything beyond them is left out. It waits for good, and where its origin forked
    ///   another change set of the same number may count, which nobody would send to one who holds this one.
    static func firstOfEachOrigin(_ reader: Reader, cuts: Cuts) throws -> [HeldChangeSet] {
        let rows = try reader.query(
            """
            \(Self.distinctOrigins)
            SELECT \(Waiting.columns) FROM origins JOIN sync_held h ON h.origin = origins.origin
                AND h.seq = (SELECT min(seq) FROM sync_held WHERE origin = origins.origin)
            """)
        let firsts = try rows.map { try Waiting($0) }
        guard !cuts.isEmpty else { return firsts.map(\.held) }
        var void: [Origin: SequenceNumber] = [:]
        var count: Int
        repeat {
            count = void.count
            for first in firsts where void[first.held.dot.origin] == nil {
                guard let dot = first.waitsFor,
                    cuts.exclude(dot) || void[dot.origin].map({ dot.sequence >= $0 }) ?? false
                else { continue }
                void[first.held.dot.origin] = first.held.dot.sequence
            }
        } while void.count > count
        return firsts.map(\.held).filter { void[$0.dot.origin] == nil }
    }

    /// What is held under a name.
    struct Found {
        let number: Int64
        let body: [UInt8]
        /// This replica sealed it.
        let wasSealedHere: Bool
        /// A cut took it back.
        let wasTakenBack: Bool
        /// As it was proven: no bit flipped in it since.
        let isWhole: Bool

        func isBody(of changeSet: ProvenChangeSet) -> Bool { body == changeSet.sealed.body }
    }

    static func find(_ dot: Dot, _ reader: Reader) throws -> Found? {
        let row = try reader.query(
            """
            SELECT number, body, received_from, taken_back, signature, digest FROM sync_held WHERE origin = ? AND seq = ?
            """, [.blob(dot.origin.bytes), .integer(Int64(bitPattern: dot.sequence.rawValue))]
        ).first
        guard let row, let number = row[0].integer, let body = row[1].bytes else { return nil }
        return Found(
            number: number, body: body, wasSealedHere: row[2] == .null, wasTakenBack: row[3] != .null,
            isWhole: isWhole(body, row[4], row[5]))
    }

    /// What `sync_held.digest` is of.
    static func digest(_ signature: [UInt8], _ body: [UInt8]) -> Digest { SHA256.digest(signature + body) }

    /// - Parameter digest: null for what was held before there were digests: it is whole where it reads.
    private static func isWhole(_ body: [UInt8], _ signature: Value, _ digest: Value) -> Bool {
        guard let signature = signature.bytes else { return false }
        if digest == .null { return (try? ChangeSetCodec.check(body)) != nil }
        return digest == .blob(Self.digest(signature, body).bytes)
    }

    /// One step down the index for each origin, however much of it is held.
    private static let distinctOrigins = """
        WITH RECURSIVE origins(origin) AS (
            SELECT min(origin) FROM sync_held UNION ALL
            SELECT (SELECT min(origin) FROM sync_held WHERE origin > origins.origin) FROM origins WHERE origin IS NOT NULL)
        """

    static func origins(_ reader: Reader) throws -> Set<Origin> {
        Set(
            try reader.query("\(distinctOrigins) SELECT origin FROM origins WHERE origin IS NOT NULL").compactMap {
                $0[0].bytes.flatMap { Origin(bytes: $0) }
            })
    }

    static func holds(_ origin: Origin, _ reader: Reader) throws -> Bool {
        try reader.integer("SELECT EXISTS(SELECT 1 FROM sync_held WHERE origin = ?)", .blob(origin.bytes)) == 1
    }

    // MARK: Holding and dropping

    /// Of two contents of one name the first stays, unless it is whole no more: then others sent it again.
    ///
    /// - Parameter bound: how much may be held of its author; nil for what this node itself sets aside.
    /// - Throws: `ApplyViolation` of kind `.heldEnough` where that much is held already.
    static func hold(
        _ changeSet: ProvenChangeSet, _ held: HeldChangeSet, until release: HeldRelease, from peer: NodeID?,
        within bound: HeldBound?, at time: WallClock, in writer: Writer
    ) throws {
        if let other = try find(held.dot, writer) {
            guard !other.wasTakenBack, !other.isWhole else { return }
            try drop(other.number, in: writer)
        }
        try bound?.check(held.dot, writer)
        try writer.execute(
            """
            INSERT INTO sync_held(origin, seq, cause, detail, release_at, waits_origin, waits_seq, tried_under,
                received_at, received_from, signature, body, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [.blob(held.dot.origin.bytes), .integer(Int64(bitPattern: held.dot.sequence.rawValue))]
                + (try statement(held, release, writer)) + [
                    .integer(time.milliseconds), peer.map { .blob($0.bytes) } ?? .null,
                    .blob(changeSet.sealed.signature), .blob(changeSet.sealed.body),
                    .blob(digest(changeSet.sealed.signature, changeSet.sealed.body).bytes),
                ])
        let number = writer.lastInsertedRow
        try HeldBound.count(held.dot.origin.node, changeSets: 1, bytes: changeSet.heldBytes, in: writer)
        for (ordinal, value) in changeSet.sealed.values.enumerated() {
            try writer.execute(
                "INSERT INTO sync_held_values(held, ordinal, value) VALUES (?, ?, ?)",
                [.integer(number), .integer(Int64(ordinal)), value.map { .blob($0) } ?? .null])
        }
    }

    /// When a cut took something back, told by what this replica had sealed until then: its origins are numbered in the order
    /// they were taken. The log's positions do not tell, for what is let in again is given a new one, nor do stamps, for the
    /// clock may have been ahead.
    struct TakenBack {
        /// The number of this replica's origin then.
        let origin: Int64
        /// How much of it had been sealed.
        let sequence: SequenceNumber

        /// As `taken_back` has it: both in 8 bytes, big-endian, and SHA-256 over these and the body.
        func bytes(over body: [UInt8]) -> [UInt8] {
            let bytes = [UInt64(bitPattern: origin), sequence.rawValue].flatMap { number in
                withUnsafeBytes(of: number.bigEndian) { Array($0) }
            }
            return bytes + SHA256.digest(bytes + body).bytes
        }

        init(origin: Int64, sequence: SequenceNumber) {
            self.origin = origin
            self.sequence = sequence
        }

        init?(_ column: Value) {
            guard let bytes = column.bytes, bytes.count == 48 else { return nil }
            func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
            self.init(origin: Int64(bitPattern: number(0..<8)), sequence: SequenceNumber(number(8..<16)))
        }

        /// Whether something that this replica sealed was not sealed yet.
        func isBefore(_ origin: Int64, _ sequence: SequenceNumber) -> Bool {
            (self.origin, self.sequence) < (origin, sequence)
        }
    }

    /// Holds what was applied here, and a cut takes back. Of two contents of one name only one is held. What this replica sealed
    /// stays before all, for nobody else may have it, and every later cut is worked out from it; what a clone wrote under that
    /// name is written again like this node's own. Otherwise what was applied takes the place of what was not, where the
    /// fork is proven, for the proof keeps that.
    static func takeBack(
        _ changeSet: ProvenChangeSet, _ held: HeldChangeSet, until release: HeldRelease, from peer: NodeID?,
        _ place: TakenBack, at time: WallClock, in writer: Writer
    ) throws {
        if let other = try find(held.dot, writer), !other.isBody(of: changeSet) {
            guard peer == nil || held.cause == .forked && !other.wasSealedHere else { return }
            try drop(other.number, in: writer)
        }
        try hold(changeSet, held, until: release, from: peer, within: nil, at: time, in: writer)
        try writer.execute(
            "UPDATE sync_held SET taken_back = ? WHERE origin = ? AND seq = ? AND body = ?",
            [
                .blob(place.bytes(over: changeSet.sealed.body)), .blob(held.dot.origin.bytes),
                .integer(Int64(bitPattern: held.dot.sequence.rawValue)), .blob(changeSet.sealed.body),
            ])
    }

    /// What cuts took back before, one after the other, without its values.
    static func forEachTakenBack(
        _ writer: Writer, _ body: (_ number: Int64, ChangeSet, TakenBack, _ from: NodeID?) throws -> Void
    ) throws {
        let numbers = try writer.query(
            "SELECT number FROM sync_held WHERE taken_back IS NOT NULL ORDER BY number"
        ).compactMap(\.values[0].integer)
        for number in numbers {
            let row = try writer.query(
                "SELECT body, taken_back, received_from FROM sync_held WHERE number = ?", [.integer(number)]
            ).first
            guard let row, let bytes = row[0].bytes, let place = TakenBack(row[1]),
                .blob(place.bytes(over: bytes)) == row[1]
            else { throw ReplicaError.damaged(name(number)) }
            let changeSet = try ChangeSetCodec.decode(kept: bytes, name(number))
            try body(number, changeSet, place, row[2].bytes.flatMap { NodeID(bytes: $0) })
        }
    }

    /// One of the values kept with a held change set; nil where it never arrived.
    static func value(_ ordinal: Int, of number: Int64, _ reader: Reader) throws -> [UInt8]? {
        try reader.query(
            "SELECT value FROM sync_held_values WHERE held = ? AND ordinal = ?",
            [.integer(number), .integer(Int64(ordinal))]
        ).first?[0].bytes
    }

    static func restate(_ number: Int64, _ held: HeldChangeSet, until release: HeldRelease, in writer: Writer) throws {
        try writer.execute(
            """
            UPDATE sync_held SET cause = ?, detail = ?, release_at = ?, waits_origin = ?, waits_seq = ?, tried_under = ?
            WHERE number = ?
            """, try statement(held, release, writer) + [.integer(number)])
    }

    /// Cause, detail, and what releases it, as columns.
    private static func statement(_ held: HeldChangeSet, _ release: HeldRelease, _ reader: Reader) throws -> [Value] {
        let columns: [Value] =
            switch release {
            case .at(let time): [.integer(time.milliseconds), .null, .null, .null]
            case .after(let dot):
                [.null, .blob(dot.origin.bytes), .integer(Int64(bitPattern: dot.sequence.rawValue)), .null]
            case .declarations: [.null, .null, .null, try Settings.value("declared", reader) ?? .null]
            case .anything: [.null, .null, .null, .null]
            }
        return [Value(held.cause.rawValue), Value(held.detail)] + columns
    }

    static func drop(_ number: Int64, in writer: Writer) throws {
        let row = try writer.query(
            "SELECT origin, \(HeldBound.bytesOfRow) FROM sync_held WHERE number = ?", [.integer(number)]
        ).first
        if let row, let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let bytes = row[1].integer {
            try HeldBound.count(origin.node, changeSets: -1, bytes: -bytes, in: writer)
        }
        try writer.execute("DELETE FROM sync_held_values WHERE held = ?", [.integer(number)])
        try writer.execute("DELETE FROM sync_held WHERE number = ?", [.integer(number)])
    }

    /// Drops what is whole no more, and all of its origin that came after it: peers leave out an origin of which something is held,
    /// and so they send all of it again. What this replica sealed, or had applied before a cut took it back, stays as it is:
    /// nobody else may have it.
    ///
    /// - Returns: the first that was dropped, and how many; nil where it stays.
    static func dropDamaged(_ number: Int64, in writer: Writer) throws -> (first: Dot, count: Int)? {
        let fromPeers = "received_from IS NOT NULL AND taken_back IS NULL"
        let row = try writer.query(
            "SELECT origin, seq FROM sync_held WHERE number = ? AND \(fromPeers)", [.integer(number)]
        ).first
        guard let row, let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[1].integer else {
            return nil
        }
        let numbers = try writer.query(
            "SELECT number FROM sync_held WHERE origin = ? AND seq >= ? AND \(fromPeers)", [row[0], row[1]]
        ).compactMap(\.values[0].integer)
        for number in numbers { try drop(number, in: writer) }
        return (Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence))), numbers.count)
    }

    // MARK: What may be released

    /// Those whose time has come, that were tried under other declarations, or that the operator releases; by number, in
    /// the order of their origins and sequences.
    /// Those beyond a cut are tried only where the cuts changed.
    static func due(
        at time: WallClock, released: Set<Dot>, cutsChanged: Bool, _ reader: Reader
    ) throws -> [Int64] {
        let declared = try Settings.value("declared", reader) ?? .null
        // Two queries: of a union SQLite would read everything that is held, twice, in its order.
        let ripe = try reader.query(
            "SELECT origin, seq, number FROM sync_held WHERE release_at <= ?", [.integer(time.milliseconds)])
        let untried = try reader.query(
            """
            SELECT origin, seq, number FROM sync_held
            WHERE release_at IS NULL AND waits_origin IS NULL AND (tried_under IS NULL OR tried_under <> ?1)
            AND (?2 OR cause NOT IN ('revoked', 'forked'))
            """, [declared, .integer(cutsChanged ? 1 : 0)])
        var due = try (ripe + untried).map { row in
            guard let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[1].integer,
                let number = row[2].integer
            else { throw ReplicaError.damaged("sync_held") }
            return (origin: origin, sequence: sequence, number: number)
        }.sorted { ($0.origin, $0.sequence) < ($1.origin, $1.sequence) }.map(\.number)
        for dot in released.sorted(by: { ($0.sequence, $0.origin) < ($1.sequence, $1.origin) }) {
            let number = try reader.integer(
                "SELECT number FROM sync_held WHERE origin = ? AND seq = ?", .blob(dot.origin.bytes),
                .integer(Int64(bitPattern: dot.sequence.rawValue)))
            if let number, !due.contains(number) { due.append(number) }
        }
        return due
    }

    /// Those that waited for a change set, or for one before it, of an origin.
    static func waiting(for dot: Dot, _ reader: Reader) throws -> [Int64] {
        try reader.query(
            """
            SELECT number FROM sync_held WHERE waits_origin = ? AND waits_seq <= ? AND waits_origin IS NOT NULL
            ORDER BY origin, seq
            """, [.blob(dot.origin.bytes), .integer(Int64(bitPattern: dot.sequence.rawValue))]
        ).compactMap(\.values[0].integer)
    }

    /// One with its values; nil where it went meanwhile.
    ///
    /// - Throws: `ReplicaError` of code `.damaged` where it is not what was proven when it came.
    static func load(_ number: Int64, _ reader: Reader) throws -> Entry? {
        let rows = try reader.query(
            "SELECT received_from, signature, body, digest FROM sync_held WHERE number = ?", [.integer(number)])
        guard let row = rows.first else { return nil }
        guard let signature = row[1].bytes, let body = row[2].bytes, isWhole(body, row[1], row[3]) else {
            throw ReplicaError.damaged(name(number))
        }
        let values = try reader.query(
            "SELECT value FROM sync_held_values WHERE held = ? ORDER BY ordinal", [.integer(number)]
        ).map(\.values[0].bytes)
        let signed = SignedChangeSet(
            sealed: SealedChangeSet(body: body, signature: signature, values: values),
            view: try ChangeSetView(kept: body, name(number)), digest: SHA256.digest(body))
        do {
            return Entry(
                number: number, changeSet: try signed.proven(), from: row[0].bytes.flatMap { NodeID(bytes: $0) })
        } catch is ApplyViolation {
            throw ReplicaError.damaged("a value of \(name(number))")
        }
    }

    private static func name(_ number: Int64) -> String { "change set \(number) of those held" }
}

extension HeldCause {
    init(_ cause: Cut.Cause) { self = cause == .revoked ? .revoked : .forked }
}
