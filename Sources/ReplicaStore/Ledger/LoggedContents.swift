// What a change set in the log wrote to one register: asked for only where writes conflict.
//
// Invariant: at most a few decoded change sets are held at once.

internal import ReplicationModel
internal import ReplicationWire

final class LoggedContents {
    /// The content of one write, as far as equality goes: a large value is its digest.
    enum Content: Hashable {
        case existence(alive: Bool)
        case cells([Cell])
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

    /// A body of 1 MiB decodes to some tens of megabytes at worst.
    private static let limit = 8
    private let reader: Reader
    private var decoded: [Dot: Decoded] = [:]

    init(_ reader: Reader) { self.reader = reader }

    /// Nil where the log does not hold such a write: the replica is damaged then, and `verify` says how.
    func content(of version: Version, table: String, id: RowID, field: String) throws -> Content? {
        guard let decoded = try decoded(version.dot) else { return nil }
        guard let part = decoded.changeSet.tables.first(where: { $0.table == table }) else { return nil }
        for index in decoded.rows[table]?[id] ?? [] {
            let row = part.rows[index]
            guard row.stamp == version.stamp else { continue }
            if field == Self.existenceName {
                if row.kind.writesExistence { return .existence(alive: row.kind != .delete) }
                continue
            }
            guard row.kind == .insert || row.kind == .update else { continue }
            var start = 0
            for number in part.fieldSets[row.fieldSet] {
                let count = part.fields[number].columns.count
                if part.fields[number].name == field { return .cells(Array(row.cells[start..<start + count])) }
                start += count
            }
        }
        return nil
    }

    private func decoded(_ dot: Dot) throws -> Decoded? {
        if let known = decoded[dot] { return known }
        let statement = try reader.prepare(
            "SELECT body FROM sync_change_sets WHERE origin = (SELECT number FROM sync_origins WHERE origin = ?) AND seq = ?"
        )
        statement.bind(1, blob: dot.origin.bytes)
        statement.bind(2, Int64(bitPattern: dot.sequence.rawValue))
        guard let body = try statement.first({ statement.bytes(0) }) else { return nil }
        if decoded.count >= Self.limit { decoded.removeAll() }
        let result = Decoded(try ChangeSetCodec.decode(body))
        decoded[dot] = result
        return result
    }
}
