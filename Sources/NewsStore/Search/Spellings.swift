// How a name is spelt in a column, in any case of its letters.
//
// Invariant: SQLite knows the cases of ASCII alone; every other letter's are Unicode's.

internal import ReplicaStore
internal import ReplicationModel

struct Spellings {
    /// What a column is compared with.
    let values: [Value]

    /// - Parameters:
    ///   - name: as a person types it.
    ///   - column: and `table`: where it stands.
    init(of name: String, in column: String, of table: String, _ reader: Reader) throws {
        guard !name.utf8.allSatisfy({ $0 < 0x80 }) else {
            values = [Value(name)]
            return
        }
        let sought = name.lowercased()
        values = try reader.query("SELECT DISTINCT \(column) FROM \(table)").compactMap { $0.text(0) }.filter {
            $0.lowercased() == sought
        }.map { Value($0) }
    }

    /// The condition on a column, with a mark for each value.
    func condition(_ column: String) -> String {
        "\(column) COLLATE NOCASE IN (\(values.map { _ in "?" }.joined(separator: ", ")))"
    }
}
