// Ids as people read and type them: cut to a beginning that names one row here.
//
// Invariant: `resolve` turns every short id given out back into its row, until rows come that begin like it.

public import ReplicationModel
internal import ReplicaStore

extension NewsStore {
    /// The first group of a UUID: short to type, and seldom ambiguous later.
    private static let shortIDBytes = 8

    /// The shortest beginning of each id, of at least eight characters, that no other row of its table shares.
    ///
    /// Ids of rows that are not here, such as the missing end of a link, are cut all the same.
    public func shortIDs(_ ids: some Sequence<RowID>, _ kind: Kind) throws -> [RowID: String] {
        try replica.read { reader in
            var short: [RowID: String] = [:]
            for id in ids where short[id] == nil {
                let neighbours = try reader.query(
                    """
                    SELECT (SELECT max(id) FROM \(kind.table) WHERE id < ?1),
                        (SELECT min(id) FROM \(kind.table) WHERE id > ?1)
                    """, [id.sqlValue]
                ).first
                let others = [neighbours?.text(0), neighbours?.text(1)].compactMap { $0 }
                short[id] = Self.shortened(id.description, beside: others)
            }
            return short
        }
    }

    private static func shortened(_ id: String, beside others: [String]) -> String {
        let bytes = Array(id.utf8)
        var count = shortIDBytes
        for other in others {
            let shared = zip(bytes, other.utf8).prefix { $0 == $1 }.count
            count = max(count, shared + 1)
        }
        // Never within a character, and never with a dash at the end.
        while count < bytes.count, bytes[count] & 0xc0 == 0x80 || bytes[count - 1] == UInt8(ascii: "-") { count += 1 }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
