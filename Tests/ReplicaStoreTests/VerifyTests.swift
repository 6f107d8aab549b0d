// Verifying finds each kind of damage, names where it is, and takes nothing sound for damage.
import Foundation
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct VerifyTests {
    /// A replica with something in every table: large values, a deleted row, conflicts, a context, edits of its own.
    private func replica(_ workspace: TestWorkspace) throws -> Replica {
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let long = String(repeating: "long ", count: 500)
        try a.execute(
            "INSERT INTO notes(id, title, body, amount) VALUES ('n1', 'one', ?, 1.5), ('n2', 'two', 'short', x'00')",
            [Value(long)])
        try workspace.pull(b, from: a)
        try a.execute("UPDATE notes SET title = 'from a' WHERE id = 'n1'")
        try a.seal()
        try b.execute("UPDATE notes SET title = 'from b', body = ? WHERE id = 'n1'", [Value(long + "b")])
        try b.execute("DELETE FROM notes WHERE id = 'n2'")
        try b.execute("INSERT INTO links(id, note_id, target) VALUES ('l1', 'n1', 'n2')")
        try workspace.pull(a, from: b)
        try a.execute("UPDATE links SET target = 'n3'")
        try a.seal()
        return a
    }

    private func expect(
        _ kind: VerifyFinding.Kind, table: String? = nil, id: String? = nil, field: String? = nil,
        after damage: (Replica) throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let workspace = try TestWorkspace()
        let replica = try replica(workspace)
        let before = try replica.verify(authors: workspace.authors)
        #expect(before.findings == [], sourceLocation: sourceLocation)
        try damage(replica)
        let report = try replica.verify(authors: workspace.authors)
        #expect(
            report.findings.contains {
                $0.kind == kind && (table == nil || $0.table == table) && (id == nil || $0.id == id.map { RowID($0) })
                    && (field == nil || $0.field == field)
            }, "\(report.findings)", sourceLocation: sourceLocation)
        #expect(!report.isSound, sourceLocation: sourceLocation)
    }

    @Test func whoeverReadsADamagedLogIsToldSo() throws {
        let workspace = try TestWorkspace()
        let a = try replica(workspace)
        try a.flipBit(of: "body", in: "sync_change_sets", where: "position = 1")
        func expectDamaged(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(sourceLocation: sourceLocation) {
                try body()
            } throws: { error in
                guard let error = error as? ReplicaError else { return false }
                return error.code == .damaged && error.description.contains("position 1 of the log")
            }
        }
        expectDamaged { _ = try a.outgoing(lackedBy: VersionVector(), maximumBytes: 1 << 20) }
        expectDamaged { _ = try a.log(after: 0, limit: 10) }
    }

    @Test func aSoundReplicaIsCounted() throws {
        let workspace = try TestWorkspace()
        let replica = try replica(workspace)
        try replica.execute("UPDATE notes SET title = 'unsealed'")
        var stages: Set<VerifyProgress.Stage> = []
        let report = try replica.verify(authors: workspace.authors) { stages.insert($0.stage) }
        #expect(report.findings == [])
        #expect(report.changeSets == 4)
        #expect(report.conflicts == 1)
        #expect(report.rows == 3)
        #expect(report.unsealed == 1)
        // Existence and five columns of n1 and n2, existence and two of l1.
        #expect(report.values == 15)
        #expect(stages == [.file, .log, .rows, .journals, .ledger])
    }

    @Test func aFindingSaysWhatWhereAndWhatToDo() throws {
        let workspace = try TestWorkspace()
        let replica = try replica(workspace)
        try replica.damage("UPDATE notes SET body = 'other' WHERE id = 'n1'")
        let finding = try #require(try replica.verify(authors: workspace.authors).first)
        #expect(finding.kind == .value)
        #expect(finding.place.hasPrefix("table notes row n1 field body change set "))
        #expect(finding.description.contains("text of 5 bytes"))
        #expect(finding.description.contains(finding.kind.remedy))
    }

    // MARK: Tables

    @Test func aValueChangedBehindCaptureIsFound() throws {
        try expect(.value, table: "notes", id: "n1", field: "title") {
            try $0.damage("UPDATE notes SET title = 'forged' WHERE id = 'n1'")
        }
        try expect(.value, table: "notes", id: "n1", field: "due") {
            try $0.damage("UPDATE notes SET due_precision = 'day' WHERE id = 'n1'")
        }
    }

    @Test(arguments: [0, 7, 8_000, 20_000]) func aFlippedBitOfAnyValueIsFound(bit: Int) throws {
        try expect(.value, table: "notes", id: "n1", field: "body") {
            try $0.flipBit(bit, of: "body", in: "notes", where: "id = 'n1'")
        }
    }

    @Test func aValueOfADeletedRowIsFound() throws {
        try expect(.value, table: "notes", id: "n2", field: "amount") {
            try $0.flipBit(of: "amount", in: "sync_graveyard_notes", where: "id = 'n2'")
        }
    }

    @Test func anotherTypeOfTheSameNumberIsFound() throws {
        try expect(.value, table: "notes", id: "n1", field: "amount") {
            try $0.damage("UPDATE notes SET amount = '1.5' WHERE id = 'n1'")
        }
    }

    @Test func rowsAddedOrRemovedBehindCaptureAreFound() throws {
        try expect(.existence, table: "notes", id: "n9") { try $0.damage("INSERT INTO notes(id) VALUES ('n9')") }
        try expect(.existence, table: "notes", id: "n1") { try $0.damage("DELETE FROM notes WHERE id = 'n1'") }
        try expect(.existence, table: "notes", id: "n2") { try $0.damage("INSERT INTO notes(id) VALUES ('n2')") }
        try expect(.existence, table: "sync_graveyard_notes", id: "n2") {
            try $0.damage("DELETE FROM sync_graveyard_notes")
        }
        try expect(.existence, table: "sync_graveyard_notes", id: "n1") {
            try $0.damage("INSERT INTO sync_graveyard_notes(id) VALUES ('n1')")
        }
    }

    // MARK: The log

    @Test(arguments: [3, 40, 300, 1_000, 1_777]) func aFlippedBitOfABodyIsFound(bit: Int) throws {
        try expect(.changeSet) { try $0.flipBit(bit, of: "body", in: "sync_change_sets", where: "position = 1") }
    }

    @Test func aFlippedBitOfASignatureOrDigestIsFound() throws {
        try expect(.signature) { try $0.flipBit(9, of: "signature", in: "sync_change_sets", where: "position = 3") }
        try expect(.changeSet) { try $0.flipBit(9, of: "digest", in: "sync_change_sets", where: "position = 3") }
    }

    @Test(arguments: ["first_stamp", "last_stamp", "changes", "bytes"]) func aColumnThatIsNotTheBodysIsFound(
        column: String
    ) throws {
        try expect(.header, table: "sync_change_sets") {
            try $0.damage("UPDATE sync_change_sets SET \(column) = \(column) + 1 WHERE position = 2")
        }
    }

    @Test(arguments: 1...4) func aMissingChangeSetIsFound(position: Int) throws {
        // Of an origin's last one only the vector knows.
        try expect(position < 3 ? .chain : .vector) {
            try $0.damage("DELETE FROM sync_change_sets WHERE position = \(position)")
        }
    }

    @Test func anUnknownAuthorIsFound() throws {
        let workspace = try TestWorkspace()
        let replica = try replica(workspace)
        let kinds = try replica.verify(authors: TestAuthors()).findings.map(\.kind)
        #expect(kinds == Array(repeating: .author, count: 4))
    }

    @Test func aContextOrVectorThatNobodySignedIsFound() throws {
        try expect(.context) { try $0.damage("UPDATE sync_contexts SET of_seq = of_seq + 1 WHERE seq = 1") }
        try expect(.context) { try $0.damage("DELETE FROM sync_contexts WHERE seq = 1") }
        try expect(.context) {
            try $0.damage("INSERT INTO sync_contexts SELECT of_origin, origin, 1, 1 FROM sync_contexts WHERE seq = 1")
        }
        for column in ["applied", "last_stamp", "changes", "bytes"] {
            try expect(.vector) { try $0.damage("UPDATE sync_origins SET \(column) = \(column) - 1 WHERE number = 1") }
        }
        try expect(.vector) { try $0.flipBit(of: "digest", in: "sync_origins", where: "number = 2") }
    }

    // MARK: Metadata

    @Test func metadataThatTheLogDoesNotBearOutIsFound() throws {
        try expect(.existence, table: "notes", id: "n1") {
            try $0.damage("UPDATE sync_rows_notes SET alive = 0 WHERE id = 'n1'")
        }
        for column in ["stamp", "origin", "seq"] {
            try expect(.unknownWrite, table: "notes", id: "n1") {
                try $0.damage("UPDATE sync_rows_notes SET \(column) = \(column) - 1 WHERE id = 'n1'")
            }
        }
        for column in ["stamp", "seq"] {
            try expect(.unknownWrite, table: "notes", id: "n1", field: "title") {
                try $0.damage(
                    "UPDATE sync_versions_notes SET \(column) = \(column) + 1 WHERE field <> 0 AND stamp = (SELECT max(stamp) FROM sync_versions_notes WHERE field = (SELECT number FROM sync_fields WHERE name = 'title'))"
                )
            }
        }
        try expect(.unknownWrite, table: "links") { try $0.damage("DELETE FROM sync_versions_links") }
        try expect(.unsignedWrite, table: "links", id: "l1") {
            try $0.damage(
                "INSERT INTO sync_versions_links SELECT row, field, stamp + 1, origin, seq FROM sync_versions_links")
        }
        try expect(.unknownWrite, table: "notes", id: "n1") {
            try $0.damage("UPDATE sync_rows_notes SET shape = (SELECT shape FROM sync_rows_links) WHERE id = 'n1'")
        }
        try expect(.unknownWrite, table: "notes", id: "n1") {
            try $0.damage("DELETE FROM sync_rows_notes WHERE id = 'n1'")
        }
    }

    @Test func theLedgerIsHeldToItsDefinition() throws {
        try expect(.ledger, table: "notes", id: "n1") { try $0.flipBit(of: "key", in: "sync_conflicts", where: "1") }
        try expect(.ledger, table: "notes", id: "n1") {
            try $0.flipBit(of: "value", in: "sync_conflict_values", where: "1")
        }
        try expect(.ledger, table: "notes", id: "n1") { try $0.damage("UPDATE sync_conflicts SET shown = 0") }
        try expect(.ledger, table: "notes", id: "n1") {
            try $0.damage("UPDATE sync_conflict_witnesses SET differs = 0")
        }
        try expect(.ledger, table: "notes", id: "n1") { try $0.damage("DELETE FROM sync_conflict_witnesses") }
        try expect(.ledger, table: "notes", id: "n1") { try $0.damage("DELETE FROM sync_conflicts") }
        try expect(.ledger, table: "links", id: "l1") {
            try $0.damage(
                """
                INSERT INTO sync_conflicts(key, table_number, row, field, stamp, origin, seq, has_successor, shown)
                SELECT 'made up', (SELECT number FROM sync_tables WHERE name = 'links'), row, field, stamp, origin, seq, 1, 0
                FROM sync_versions_links
                """)
        }
    }

    // MARK: Journal, triggers, file

    @Test func aJournalThatWouldLoseEditsIsFound() throws {
        try expect(.journal) { try $0.damage("UPDATE sync_tables SET sealed = sealed + 5 WHERE name = 'notes'") }
        try expect(.journal) { try $0.damage("UPDATE sync_journal_notes SET op = 5 WHERE n = 1") }
        try expect(.value, table: "notes", id: "n1", field: "title") {
            try $0.execute("UPDATE notes SET title = 'unsealed' WHERE id = 'n1'")
            try $0.damage(
                "UPDATE sync_journal_notes SET old_title = 'forged' WHERE n = (SELECT max(n) FROM sync_journal_notes)")
        }
        try expect(.existence, table: "notes", id: "n1") {
            try $0.execute("UPDATE notes SET title = 'unsealed' WHERE id = 'n1'")
            try $0.damage("UPDATE sync_journal_notes SET op = 3 WHERE n = (SELECT max(n) FROM sync_journal_notes)")
        }
    }

    @Test(arguments: ["insert", "update", "rename", "delete"]) func aMissingTriggerIsFound(kind: String) throws {
        try expect(.capture, table: "notes") { try $0.damage("DROP TRIGGER sync_\(kind)_notes") }
    }

    @Test func anIndexOutOfStepIsFound() throws {
        try expect(.index) {
            try $0.connections.engineWrite { writer in
                try writer.executeAll(
                    """
                    PRAGMA writable_schema = ON;
                    CREATE TABLE aside(id TEXT PRIMARY KEY NOT NULL);
                    UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_aside_1')
                    WHERE name = 'sqlite_autoindex_notes_1';
                    PRAGMA writable_schema = RESET;
                    """)
            }
        }
    }

    @Test func aPageOverwrittenOnDiskIsFound() throws {
        let workspace = try TestWorkspace()
        let replica = try replica(workspace)
        // A copy is one file, with no write-ahead log that would hide what is overwritten.
        let copy = workspace.directory.appendingPathComponent("copy.sqlite").path
        try replica.backup(to: copy)
        func open() throws -> Replica {
            try Replica.open(
                at: copy, key: replica.key, tables: [TestTables.notes, TestTables.links], clock: replica.clock)
        }
        let whole = try open()
        try whole.expectSound(workspace.authors)
        let root = try whole.read { try $0.integer("SELECT rootpage FROM sqlite_master WHERE name = 'notes'") }
        try overwrite(copy, at: UInt64(try #require(root) - 1) * 8192 + 2, with: [0xff, 0xff, 0xff, 0xff])
        let reopened = try open()
        let report = try reopened.verify(authors: workspace.authors)
        #expect(report.findings.contains { $0.kind == .file })
    }

    // MARK: What is no damage

    @Test func unsealedEditsOfEveryKindAreNoDamage() throws {
        let workspace = try TestWorkspace()
        let replica = try replica(workspace)
        let statements = [
            "UPDATE notes SET title = 'a', amount = 2 WHERE id = 'n1'", "UPDATE notes SET title = 'b' WHERE id = 'n1'",
            "REPLACE INTO notes(id, title) VALUES ('n1', 'whole')", "DELETE FROM notes WHERE id = 'n1'",
            "INSERT INTO notes(id) VALUES ('n1')", "INSERT INTO notes(id) VALUES ('n2')",
            "DELETE FROM notes WHERE id = 'n2'",
            "UPDATE links SET id = 'l2'", "INSERT INTO links(id) VALUES ('l3')", "DELETE FROM links",
        ]
        for (done, statement) in statements.enumerated() {
            try replica.execute(statement)
            let report = try replica.verify(authors: workspace.authors)
            #expect(report.findings == [], "\(statement)")
            #expect(report.unsealed > Int64(done))
        }
        try replica.seal()
        try replica.expectSound(workspace.authors)
    }

    /// Another schema's column may have a space in its name.
    @Test func aFieldOfAnotherSchemaWithASpaceIsNoDamage() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        try replica.damage(
            """
            INSERT INTO sync_fields(table_number, name, columns, declared)
            SELECT number, 'theirs', ?, 0 FROM sync_tables WHERE name = 'notes'
            """, [Value(Declaration.columnList(["body text"]))])
        try replica.expectSound(workspace.authors)
    }

    /// A flipped bit that makes the log count more than the origin does.
    @Test func aDamagedCountIsSaidWhereItIsCounted() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        for id in ["n1", "n2"] {
            try replica.execute("INSERT INTO notes(id, title) VALUES (?, 'x')", [Value(id)])
            try replica.seal()
        }
        try replica.damage("UPDATE sync_change_sets SET changes = changes | (1 << 40) WHERE seq = 1")
        let known = VersionVector([try replica.origin: SequenceNumber(1)])
        #expect {
            _ = try replica.backlog(lackedBy: known)
        } throws: { error in
            (error as? ReplicaError)?.code == .damaged
        }
    }
}
