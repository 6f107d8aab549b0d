// What a change set in the log wrote to one register: asked for only where writes conflict.
//
// Invariant: what is held decoded is of a few MiB of the log at most, and what was asked for last.

internal import ReplicationModel
internal import ReplicationWire

final class LoggedContents {
    /// The content of one write, as far as equality goes: a large value is its digest.
    enum Content: Hashable {
        case existence(alive: Bool)
        case cells([Cell])
    }

    /// What one write wrote to the register.
    struct Written: Hashable {
        let content: Content
        /// An insert wrote it, together with the rest of the row.
        let isInsert: Bool
    }

    /// What a register of existence is called where fields are named.
    static let existenceName = "(row)"

    private final class Decoded {
        let changeSet: ChangeSet
        /// By table and row, the indices of the row changes.
        let rows: [String: [RowID: [Int]]]

        init(_ changeSet: ChangeSet) {
            self.changeSet = changeSet
            var rows: [String: [RowID: [Int]]] = [:]
            for table in changeSet.tables {
                rows[table.table] = Dictionary(grouping: table.rows.indices) { table.rows[$0].id }
            }
            self.rows = rows
        }
    }

    /// Of bodies: one of 1 MiB decodes to some tens of megabytes at worst. The many writes of one field, each in a change set of its
    /// own, stay all the same.
    private static let bytesLimit = 8 << 20
    private let reader: Reader
    private var decoded: [Dot: (changeSet: Decoded, bytes: Int, lastUse: Int)] = [:]
    private var decodedBytes = 0
    private var uses = 0

    init(_ reader: Reader) { self.reader = reader }

    /// Whether a lost write is shown beside a witness, which may as well have been told of something new by it.
    ///
    /// Not where both wrote the same value. Nor where the lost write was an insert that says nothing new: it left the field
    /// NULL, or wrote what another insert of the row had written that the witness had seen and replaced. So a story that
    /// two offline bureaus took in alike, and one of them then corrected, is no conflict for anybody to look at.
    ///
    /// It follows from these writes and from what the witness had seen, and so is the same on every replica.
    static func isShown(
        _ lost: Written?, beside witness: Written?, sawInsert: (Content) throws -> Bool
    ) rethrows -> Bool {
        guard lost?.content != witness?.content else { return false }
        guard let lost, lost.isInsert, case .cells(let cells) = lost.content else { return true }
        if cells.allSatisfy({ $0 == .inline(.null) }) { return false }
        return try !sawInsert(lost.content)
    }

    /// Nil where the log does not hold such a write: the replica is damaged then, and `verify` says how.
    func written(by version: Version, table: String, id: RowID, field: String) throws -> Written? {
        guard let decoded = try decoded(version.dot) else { return nil }
        guard let part = decoded.changeSet.tables.first(where: { $0.table == table }) else { return nil }
        for index in decoded.rows[table]?[id] ?? [] {
            let row = part.rows[index]
            guard row.stamp == version.stamp else { continue }
            if field == Self.existenceName {
                if row.kind.writesExistence {
                    return Written(content: .existence(alive: row.kind != .delete), isInsert: row.kind == .insert)
                }
                continue
            }
            guard row.kind == .insert || row.kind == .update else { continue }
            var start = 0
            for number in part.fieldSets[row.fieldSet] {
                let count = part.fields[number].columns.count
                if part.fields[number].name == field {
                    return Written(
                        content: .cells(Array(row.cells[start..<start + count])), isInsert: row.kind == .insert)
                }
                start += count
            }
        }
        return nil
    }

    /// The same for whoever looks for damage: nil, too, where the change set does not read as one.
    func readable(_ version: Version, table: String, id: RowID, field: String) throws -> Written? {
        do {
            return try written(by: version, table: table, id: id, field: field)
        } catch let error as ReplicaError where error.code == .damaged {
            return nil
        }
    }

    private func decoded(_ dot: Dot) throws -> Decoded? {
        uses += 1
        if let known = decoded[dot] {
            decoded[dot]?.lastUse = uses
            return known.changeSet
        }
        let statement = try reader.prepare(
            "SELECT body FROM sync_change_sets WHERE origin = (SELECT number FROM sync_origins WHERE origin = ?) AND seq = ?"
        )
        statement.bind(1, blob: dot.origin.bytes)
        statement.bind(2, Int64(bitPattern: dot.sequence.rawValue))
        guard let body = try statement.first({ statement.bytes(0) }) else { return nil }
        let result = Decoded(try ChangeSetCodec.decode(kept: body, "\(dot) in the log"))
        if decodedBytes + body.count > Self.bytesLimit { makeRoom() }
        decoded[dot] = (result, body.count, uses)
        decodedBytes += body.count
        return result
    }

    /// Half of it at once, so that looking for what is oldest costs nothing by the write.
    private func makeRoom() {
        for (dot, entry) in decoded.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
            guard decodedBytes > Self.bytesLimit / 2 else { return }
            decoded[dot] = nil
            decodedBytes -= entry.bytes
        }
    }
}
