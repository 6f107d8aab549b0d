// Runs of a journal: the part that is sealed, digested as it was when it was sealed.
//
// Invariant: the runs of a table lie end to end, and the last of them ends at `sync_tables.sealed`; so a bit that flips in
// the history or in the mark is found, though nobody signed either.

internal import ReplicationModel
internal import Trust

enum JournalRuns {
    /// Moves the mark of what is sealed, and digests what it passes.
    static func advance(_ table: CompiledTable, to last: Int64, in writer: Writer) throws {
        let ends = try writer.prepare("SELECT max(last) FROM sync_journal_runs WHERE table_number = ?")
        ends.bind(1, table.number)
        let before = try ends.first { ends.isNull(0) ? 0 : ends.integer(0) } ?? 0
        guard last > before else { return }
        let digest = try digest(of: table, after: before, through: last, writer)
        let insert = try writer.prepare("INSERT INTO sync_journal_runs(table_number, last, digest) VALUES (?, ?, ?)")
        insert.bind(1, table.number)
        insert.bind(2, last)
        insert.bind(3, blob: digest.bytes)
        try insert.run()
        let mark = try writer.prepare("UPDATE sync_tables SET sealed = ? WHERE number = ?")
        mark.bind(1, last)
        mark.bind(2, table.number)
        try mark.run()
    }

    /// SHA-256 over the entries in order. A column that was added later, and is NULL in older entries, changes nothing.
    static func digest(
        of table: CompiledTable, after first: Int64, through last: Int64, _ reader: Reader
    ) throws -> Digest {
        let columns = table.columns.map { ", \"old_\($0)\"" }.joined()
        let statement = try reader.prepare(
            "SELECT n, id, at, op, mask\(columns) FROM \"sync_journal_\(table.name)\" WHERE n > ? AND n <= ? ORDER BY n"
        )
        statement.bind(1, first)
        statement.bind(2, last)
        defer { statement.reset() }
        var hasher = SHA256.Incremental()
        var bytes: [UInt8] = []
        while try statement.step() {
            for index in 0..<statement.columnCount where !statement.isNull(index) {
                bytes.append(UInt8(truncatingIfNeeded: index))
                statement.value(index).appendDigestInput(to: &bytes)
            }
            bytes.append(0xff)
            if bytes.count > 1 << 16 {
                hasher.update(bytes)
                bytes.removeAll(keepingCapacity: true)
            }
        }
        hasher.update(bytes)
        return hasher.finalize()
    }
}

extension Value {
    /// Appends type and value, so that no two lists of values read alike.
    func appendDigestInput(to bytes: inout [UInt8]) {
        func number(_ word: UInt64) {
            withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
        }
        switch self {
        case .null: bytes.append(0)
        case .integer(let integer):
            bytes.append(1)
            number(UInt64(bitPattern: integer))
        case .real(let real):
            bytes.append(2)
            number(real.bitPattern)
        case .text(let text):
            bytes.append(3)
            number(UInt64(text.count))
            bytes += text
        case .blob(let blob):
            bytes.append(4)
            number(UInt64(blob.count))
            bytes += blob
        }
    }
}
