// Verifying finds a flipped bit wherever it is: in each column of each table, and anywhere in the file.
//
// The columns are read from the file, so a table that is added later is tested or must be argued for in `Unverifiable`.
import Chance
import Foundation
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct EveryBitTests {
    private struct Column {
        let table: String
        let name: String
    }

    /// Every column of the engine's tables and of the replicated ones.
    private func columns(_ reader: Reader) throws -> [Column] {
        let tables = try reader.query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
        ).compactMap { $0[0].string }
        return try tables.flatMap { table in
            try reader.query("SELECT name FROM pragma_table_info(?)", [Value(table)]).compactMap { row in
                row[0].string.map { Column(table: table, name: $0) }
            }
        }
    }

    /// A copy with one bit flipped in one row's column; nil where no row has anything to flip there.
    private func damage(
        _ column: Column, _ fixture: DamageFixture, _ random: inout SeededRandom
    ) throws -> (Replica, String, row: [String: Value], flipped: Value)? {
        let path = try fixture.copyFile()
        let replica = try fixture.open(path)
        let (candidates, isArgued) = try replica.read { reader in
            let rows = try reader.query("SELECT * FROM \"\(column.table)\"").map { row in
                Dictionary(uniqueKeysWithValues: zip(row.columns, row.values))
            }
            let candidates = try rows.filter { row in
                guard let value = row[column.name], value != .null, value != .text([]), value != .blob([]) else {
                    return false
                }
                return try !Unverifiable.covers(column.table, column.name, row, reader)
            }
            return (candidates, !rows.isEmpty || Unverifiable.reasons[column.table] != nil)
        }
        guard let row = candidates.randomElement(using: &random), let value = row[column.name] else {
            #expect(
                isArgued,
                "the fixture has nothing in \(column.table).\(column.name): put a row there, or argue in Unverifiable")
            fixture.remove(path)
            return nil
        }
        let keys = row.keys.sorted()
        for _ in 0..<100 {
            let flipped = flip(value, &random)
            do {
                try replica.damage(
                    "UPDATE \"\(column.table)\" SET \"\(column.name)\" = ? WHERE "
                        + keys.map { "\"\($0)\" IS ?" }.joined(separator: " AND "),
                    [flipped] + keys.compactMap { row[$0] })
                let kept = try replica.read { try $0.query("SELECT \"\(column.name)\" FROM \"\(column.table)\"") }
                // A column of text may turn a flipped value back into the same text.
                if kept.contains(where: { $0[0] == flipped }) { return (replica, path, row, flipped) }
            } catch let error as SQLError where error.isConstraint {
                // Another row has that value: another bit.
                continue
            }
        }
        Issue.record("no bit of \(column.table).\(column.name) can be flipped")
        return nil
    }

    private func flip(_ value: Value, _ random: inout SeededRandom) -> Value {
        switch value {
        case .null: return .null
        case .integer(let integer):
            // A bit of the bytes that SQLite stores it in.
            let bits = max(8, (64 - min(integer.magnitude.leadingZeroBitCount, 63) + 8) / 8 * 8)
            return .integer(integer ^ 1 << Int64.random(in: 0..<Int64(min(bits, 64)), using: &random))
        case .real(let real):
            return .real(Double(bitPattern: real.bitPattern ^ 1 << UInt64.random(in: 0..<62, using: &random)))
        case .text(var bytes):
            bytes[Int.random(in: bytes.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            return .text(bytes)
        case .blob(var bytes):
            bytes[Int.random(in: bytes.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            return .blob(bytes)
        }
    }

    @Test(arguments: 0..<2) func aFlippedBitInAnyColumnIsFoundAndPlaced(round: Int) throws {
        var random = SeededRandom.ofTest()
        let fixture = try DamageFixture()
        let whole = try fixture.open(try fixture.copyFile())
        try whole.expectSound(fixture.workspace.authors)
        let columns = try whole.read(columns)
        #expect(columns.count > 120)
        var flipped = 0
        var inRows = 0
        for column in columns {
            guard let (replica, path, row, value) = try damage(column, fixture, &random) else { continue }
            flipped += 1
            let place = try #require(
                try whole.read { try DamagedPlace.of(column.name, in: column.table, row, now: value, $0) },
                "what has to be named of \(column.table).\(column.name)? Say so in DamagedPlace: \(row)")
            if place.isRow { inRows += 1 }
            // Nothing that reads it may trap, whatever the bit.
            let report = try replica.verify(authors: fixture.workspace.authors)
            let was = row[column.name] ?? .null
            #expect(
                !report.isSound,
                "seed \(random.seed): \(column.table).\(column.name) was \(was), is \(value), in \(row)")
            #expect(
                report.isSound || report.findings.contains { place.isNamed(by: $0) },
                "seed \(random.seed): \(column.table).\(column.name) was \(was), is \(value), and nothing names \(place): \(report.findings)"
            )
            try replica.close()
            fixture.remove(path)
        }
        #expect(flipped > 100)
        // Most of what a replica keeps is of some row of the workspace, and found to be.
        #expect(inRows > 60, "\(inRows)")
    }

    // MARK: Anywhere in the file

    /// Every table as text, what nothing rests on left out.
    private func contents(_ replica: Replica) throws -> [String: [String]] {
        try replica.read { reader in
            var contents: [String: [String]] = [:]
            for (table, columns) in Dictionary(grouping: try columns(reader), by: \.table) {
                // To SQLite a name is the same in other letters.
                contents[table.lowercased()] = try reader.query("SELECT * FROM \"\(table)\"").map { row in
                    let values = Dictionary(uniqueKeysWithValues: zip(row.columns, row.values))
                    return try columns.map { column in
                        try Unverifiable.covers(
                            table.lowercased(), column.name.lowercased(), values, reader)
                            ? "-" : "\(values[column.name] ?? .null)"
                    }.joined(separator: "|")
                }.sorted()
            }
            return contents
        }
    }

    /// What the disk made of a captured edit is not sealed, and said to be damage.
    @Test func anEditThatLostItsIdIsDamage() throws {
        let replica = try TestWorkspace().replica("a")
        try replica.execute("INSERT INTO notes(id, title) VALUES ('n1', 'x')")
        try replica.damage("UPDATE sync_journal_notes SET id = ''")
        let error = #expect(throws: ReplicaError.self) { try replica.seal() }
        #expect(error?.code == .damaged)
        #expect(error?.description.contains("an edit that is to be sealed") == true)
    }

    @Test func aFlippedBitAnywhereInTheFileIsFoundOrChangesNothing() throws {
        var random = SeededRandom.ofTest()
        let fixture = try DamageFixture()
        let original = try fixture.open(try fixture.copyFile())
        let expected = try contents(original)
        var found = 0
        for _ in 0..<150 {
            let path = try fixture.copyFile()
            defer { fixture.remove(path) }
            // Most of a small file is unused, and holds zeros.
            let bytes = [UInt8](try #require(FileManager.default.contents(atPath: path)))
            let place = try #require(bytes.indices.filter { bytes[$0] != 0 }.randomElement(using: &random))
            let bit = UInt8.random(in: 0..<8, using: &random)
            try overwrite(path, at: UInt64(place), with: [bytes[place] ^ 1 << bit])
            do {
                let replica = try fixture.open(path)
                defer { try? replica.close() }
                let report = try replica.verify(authors: fixture.workspace.authors)
                if !report.isSound {
                    found += 1
                    continue
                }
                // In unused space, or in a column that nothing rests on.
                let now = try contents(replica)
                for (table, rows) in expected where now[table] != rows {
                    Issue.record(
                        "seed \(random.seed): bit \(bit) of byte \(place) changed \(table), and verify found nothing: \(Set(now[table] ?? []).symmetricDifference(rows))"
                    )
                }
            } catch let error as ReplicaError {
                #expect(!error.description.isEmpty)
                found += 1
            } catch let error as SQLError {
                #expect(error.isCorrupt || error.primaryCode == 1 || error.primaryCode == 10, "\(error)")
                found += 1
            } catch {
                Issue.record("seed \(random.seed): bit \(bit) of byte \(place): \(error)")
            }
        }
        #expect(found > 75, "\(found)")
    }

    // MARK: What has no bit to flip

    private func expect(
        _ kind: VerifyFinding.Kind, _ table: String?, after damage: String, location: SourceLocation = #_sourceLocation
    ) throws {
        let fixture = try DamageFixture()
        let replica = try fixture.open(try fixture.copyFile())
        try replica.damage(damage)
        let report = try replica.verify(authors: fixture.workspace.authors)
        #expect(
            report.findings.contains { $0.kind == kind && (table == nil || $0.table == table) }, "\(report.findings)",
            sourceLocation: location)
    }

    @Test func aValueInAColumnThatNobodyWroteIsFound() throws {
        // The author of p1 knew neither body nor amount.
        try expect(.value, "notes", after: "UPDATE notes SET body = 'made up' WHERE id = 'p1'")
        try expect(.value, "notes", after: "UPDATE notes SET amount = 1 WHERE id = 'p1'")
    }

    @Test func theCutOfANodeNamesNoSequence() throws {
        try expect(.author, "sync_cuts", after: "UPDATE sync_cuts SET seq = 16 WHERE length(origin) = 16")
    }

    @Test func historyIsHeldToWhatItWas() throws {
        try expect(
            .history, "sync_journal_notes",
            after: "UPDATE sync_journal_notes SET at = at + 1 WHERE n = (SELECT min(n) FROM sync_journal_notes)")
        try expect(
            .history, "sync_journal_notes",
            after: "DELETE FROM sync_journal_notes WHERE n = (SELECT min(n) FROM sync_journal_notes)")
        // Edits that are sealed already would be sealed again, as if they were new.
        try expect(
            .journal, "sync_journal_notes", after: "UPDATE sync_tables SET sealed = sealed - 1 WHERE name = 'notes'")
    }

    @Test func aStampAmongTheSettingsIsHeldToWhatWasWritten() throws {
        let fixture = try DamageFixture()
        for name in DamageFixture.stamps {
            for damage in ["value = value + 1", "value = value | (1 << 62)", "name = 'x' || name", "value = NULL"] {
                let path = try fixture.copyFile()
                let replica = try fixture.open(path)
                try replica.damage("UPDATE sync_settings SET \(damage) WHERE name = ?", [Value(name)])
                let findings = try replica.verify(authors: fixture.workspace.authors).findings
                #expect(findings.map(\.table) == ["sync_settings"], "\(name): \(damage): \(findings)")
                try replica.close()
                fixture.remove(path)
            }
        }
    }

    /// One bit makes a text a blob, or the kind of an index a word that SQLite does not mind.
    @Test(arguments: [
        "name = CAST(name AS BLOB) WHERE name = 'sync_graveyard_links'",
        "tbl_name = CAST(tbl_name AS BLOB) WHERE name = 'sync_graveyard_links'",
        "sql = CAST(sql AS BLOB) WHERE name = 'sync_graveyard_links'",
        "type = CAST(type AS BLOB) WHERE name = 'sync_graveyard_links'",
        "type = 'indey' WHERE name = 'sqlite_autoindex_sync_graveyard_links_1'",
    ])
    func theCatalogueIsHeldToItsForm(damage: String) throws {
        let fixture = try DamageFixture()
        let replica = try fixture.open(try fixture.copyFile())
        try replica.damage("PRAGMA writable_schema = 1")
        try replica.damage("UPDATE sqlite_master SET \(damage)")
        let report = try replica.verify(authors: fixture.workspace.authors)
        #expect(
            report.findings.contains { $0.kind == .schema && $0.table == "sync_graveyard_links" }, "\(report.findings)")
    }

    /// Of another type a column makes other values of what programs write. Triggers and graveyard follow the type, and so they
    /// do not tell.
    @Test(arguments: [("TEXT", "VEXT"), ("DEFAULT ''", "DEFAULT 'p'")])
    func aReplicatedTableIsHeldToItsStatement(word: String, other: String) throws {
        let fixture = try DamageFixture()
        let path = try fixture.copyFile()
        let replica = try fixture.open(path)
        try replica.damage("PRAGMA writable_schema = 1")
        try replica.damage(
            "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'notes'", [Value(word), Value(other)])
        try replica.damage("PRAGMA writable_schema = RESET")
        try replica.close()
        let again = try fixture.open(path)
        let findings = try again.verify(authors: fixture.workspace.authors).findings
        #expect(findings.contains { $0.kind == .schema && $0.table == "notes" }, "\(findings)")
        // Nothing else is taken for damaged by it, but for values that SQLite would not have put into such a column.
        #expect(findings.allSatisfy { $0.table == "notes" || $0.kind == .file }, "\(findings)")
        #expect(word == "TEXT" || findings.count == 1, "\(findings)")
    }

    @Test func aTableOfTheEngineThatIsGoneIsNamed() throws {
        try expect(.schema, "sync_awaiting", after: "DROP TABLE sync_awaiting")
        try expect(.schema, "sync_change_sets_by_dot", after: "DROP INDEX sync_change_sets_by_dot")
        try expect(.schema, "sync_graveyard_notes", after: "DROP TABLE sync_graveyard_notes")
        try expect(.schema, "notes", after: "ALTER TABLE notes ADD COLUMN extra")
    }
}
