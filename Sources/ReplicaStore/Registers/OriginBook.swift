// The origins this replica knows, and how far each is applied.
//
// Invariant: read whole at the start of a transaction and written back within it, so that it never outlives what it says.

internal import ReplicationModel

struct OriginRecord {
    let number: Int64
    let origin: Origin
    var applied: SequenceNumber
    /// Digest of the last applied change set's body.
    var digest: Digest
    var lastStamp: Stamp
    var totals: Totals
}

final class OriginBook {
    private(set) var records: [OriginRecord] = []
    private var indexOfOrigin: [Origin: Int] = [:]
    private var indexOfNumber: [Int64: Int] = [:]
    private var seen: [SawKey: UInt64] = [:]
    /// What was asked for last, and mostly is asked for next.
    private var latest: (origin: Origin, number: Int64)?

    private struct SawKey: Hashable {
        let origin: Int64
        let sequence: UInt64
        let other: Int64
    }

    init(_ reader: Reader) throws {
        let statement = try reader.prepare(
            "SELECT number, origin, applied, digest, last_stamp, changes, bytes FROM sync_origins ORDER BY number")
        try statement.forEach {
            guard let origin = statement.withBytes(1, { Origin(bytes: $0) }),
                let stamp = Stamp(rawValue: statement.integer(4))
            else {
                throw ReplicaError.damaged("sync_origins")
            }
            append(
                OriginRecord(
                    number: statement.integer(0), origin: origin,
                    applied: SequenceNumber(UInt64(bitPattern: statement.integer(2))),
                    digest: statement.withBytes(3) { Digest(bytes: $0) } ?? .none, lastStamp: stamp,
                    totals: Totals(
                        changes: UInt64(bitPattern: statement.integer(5)),
                        bytes: UInt64(bitPattern: statement.integer(6)))))
        }
    }

    private func append(_ record: OriginRecord) {
        indexOfOrigin[record.origin] = records.count
        indexOfNumber[record.number] = records.count
        records.append(record)
    }

    var applied: VersionVector {
        VersionVector(Dictionary(firstOf: records.map { ($0.origin, $0.applied) }))
    }

    var heads: Heads {
        var heads = Heads()
        for record in records {
            heads.insert(Dot(origin: record.origin, sequence: record.applied), record.digest.first)
        }
        return heads
    }

    var greatestStamp: Stamp { records.map(\.lastStamp).max() ?? .zero }

    subscript(origin: Origin) -> OriginRecord? { indexOfOrigin[origin].map { records[$0] } }

    func origin(_ number: Int64) throws -> Origin {
        guard let index = indexOfNumber[number] else {
            throw ReplicaError.damaged("sync_origins lacks number \(number)")
        }
        return records[index].origin
    }

    func number(of origin: Origin) throws -> Int64 {
        if let latest, latest.origin == origin { return latest.number }
        guard let record = self[origin] else { throw ReplicaError.damaged("sync_origins lacks \(origin)") }
        latest = (origin, record.number)
        return record.number
    }

    /// The origin's record, made where there is none.
    func record(for origin: Origin, in writer: Writer) throws -> OriginRecord {
        if let record = self[origin] { return record }
        try writer.execute("INSERT INTO sync_origins(origin) VALUES (?)", [.blob(origin.bytes)])
        let record = OriginRecord(
            number: writer.lastInsertedRow, origin: origin, applied: .zero, digest: .none, lastStamp: .zero,
            totals: .zero)
        append(record)
        return record
    }

    /// Writes down that one more change set of an origin is applied.
    func advance(_ record: OriginRecord, in writer: Writer) throws {
        guard let index = indexOfOrigin[record.origin] else { preconditionFailure("only known origins advance") }
        records[index] = record
        let statement = try writer.prepare(
            "UPDATE sync_origins SET applied = ?, digest = ?, last_stamp = ?, changes = ?, bytes = ? WHERE number = ?")
        statement.bind(1, Int64(bitPattern: record.applied.rawValue))
        statement.bind(2, blob: record.digest.bytes)
        statement.bind(3, record.lastStamp.rawValue)
        statement.bind(4, Int64(bitPattern: record.totals.changes))
        statement.bind(5, Int64(bitPattern: record.totals.bytes))
        statement.bind(6, record.number)
        try statement.run()
    }

    /// Writes down what changed in an origin's causal context.
    func extendContext(of number: Int64, at sequence: SequenceNumber, by changes: VersionVector, in writer: Writer)
        throws
    {
        let statement = try writer.prepare(
            "INSERT INTO sync_contexts(origin, of_origin, seq, of_seq) VALUES (?, ?, ?, ?)")
        for (origin, seen) in changes.sorted {
            statement.bind(1, number)
            statement.bind(2, try record(for: origin, in: writer).number)
            statement.bind(3, Int64(bitPattern: sequence.rawValue))
            statement.bind(4, Int64(bitPattern: seen.rawValue))
            try statement.run()
        }
    }

    /// What an origin's latest change set had seen, itself left out.
    func context(of number: Int64, _ reader: Reader) throws -> VersionVector {
        var context = VersionVector()
        for record in records where record.number != number {
            context[record.origin] = try lastSeen(of: record.origin, by: number, reader)
        }
        return context
    }

    /// The last change set of one origin that another's latest had seen: one look-up, however long their histories are.
    func lastSeen(of origin: Origin, by number: Int64, _ reader: Reader) throws -> SequenceNumber {
        guard let other = self[origin]?.number else { return .zero }
        let statement = try reader.prepare(
            "SELECT of_seq FROM sync_contexts WHERE origin = ? AND of_origin = ? ORDER BY seq DESC LIMIT 1")
        statement.bind(1, number)
        statement.bind(2, other)
        return SequenceNumber(try statement.first { UInt64(bitPattern: statement.integer(0)) } ?? 0)
    }

    /// Whether the author of `new` had seen `old` when it wrote. Both are applied, or `new` is being applied and its
    /// context written down.
    func saw(_ new: Version, _ old: Version, _ reader: Reader) throws -> Bool {
        if new.origin == old.origin { return old.sequence < new.sequence || old.stamp < new.stamp }
        let key = SawKey(
            origin: try number(of: new.origin), sequence: new.sequence.rawValue, other: try number(of: old.origin))
        if let known = seen[key] { return known >= old.sequence.rawValue }
        let statement = try reader.prepare(
            "SELECT of_seq FROM sync_contexts WHERE origin = ? AND of_origin = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
        )
        statement.bind(1, key.origin)
        statement.bind(2, key.other)
        statement.bind(3, Int64(bitPattern: key.sequence))
        let sequence = try statement.first { UInt64(bitPattern: statement.integer(0)) } ?? 0
        seen[key] = sequence
        return sequence >= old.sequence.rawValue
    }
}
