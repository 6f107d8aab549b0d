// Damage for tests to do: SQL with capture off, bits flipped, and all tables of a file as one text.

import Foundation
import ReplicationModel
import ReplicationWire
import Testing

@testable import ReplicaStore

extension Replica {
    /// Runs SQL behind the back of capture.
    func damage(_ sql: String, _ arguments: [Value] = []) throws {
        try connections.engineWrite { try $0.execute(sql, arguments) }
    }

    /// Flips one bit of the one blob or text that a query finds.
    func flipBit(_ bit: Int = 0, of column: String, in table: String, where condition: String) throws {
        let found = try read { try $0.query("SELECT \"\(column)\" FROM \"\(table)\" WHERE \(condition)").first?[0] }
        let flipped: Value
        switch found {
        case .blob(var bytes):
            bytes[bit / 8 % bytes.count] ^= 1 << UInt8(bit % 8)
            flipped = .blob(bytes)
        case .text(var bytes):
            bytes[bit / 8 % bytes.count] ^= 1 << UInt8(bit % 8)
            flipped = .text(bytes)
        case .integer(let integer): flipped = .integer(integer ^ 1 << Int64(bit % 63))
        default:
            Issue.record("nothing to flip in \(table).\(column) where \(condition)")
            return
        }
        try damage("UPDATE \"\(table)\" SET \"\(column)\" = ? WHERE \(condition)", [flipped])
    }

    /// Every table of the file but the named, row by row.
    func dump(but left: Set<String> = []) throws -> [String: [[Value]]] {
        try read { reader in
            let names = try reader.query("SELECT name FROM sqlite_master WHERE type = 'table'").compactMap {
                $0[0].string
            }
            return Dictionary(
                uniqueKeysWithValues: try names.filter { !left.contains($0) }.map {
                    ($0, try reader.query("SELECT * FROM \"\($0)\"").map(\.values))
                })
        }
    }

    /// Asserts that verifying finds nothing.
    func expectSound(_ authors: any AuthorDirectory, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let findings = try verify(authors: authors).findings.map(\.description)
        #expect(findings == [], "\(findings)", sourceLocation: sourceLocation)
    }
}

/// Writes bytes into a file, past SQLite.
func overwrite(_ path: String, at offset: UInt64, with bytes: [UInt8]) throws {
    let file = try #require(FileHandle(forWritingAtPath: path))
    try file.seek(toOffset: offset)
    try file.write(contentsOf: Data(bytes))
    try file.close()
}

extension Replica {
    /// The last change set of the log, decoded.
    func lastChangeSet() throws -> ChangeSet {
        let body = try read {
            try $0.query("SELECT body FROM sync_change_sets ORDER BY position DESC LIMIT 1").first?[0].bytes
        }
        return try ChangeSetCodec.decode(try #require(body))
    }

    /// Sets the wall clock of captured edits that are not sealed yet.
    func setJournalTime(_ milliseconds: Int64, in table: String = "notes") throws {
        try damage(
            """
            UPDATE "sync_journal_\(table)" SET at = ?
            WHERE n > (SELECT sealed FROM sync_tables WHERE name = ?)
            """, [.integer(milliseconds), Value(table)])
    }
}
