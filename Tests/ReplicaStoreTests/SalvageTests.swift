// A lost replica made anew, and what only its old file holds.
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct SalvageTests {
    private func values(_ replica: Replica) throws -> [String] {
        try replica.contents("notes").map { "\($0[0].string ?? "") \($0[1].string ?? "") \($0[2].string ?? "-")" }
    }

    @Test func whatOnlyTheOldFileHasIsWrittenAgain() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        for id in ["same", "edited", "both", "gone", "gone here", "back", "deleted there"] {
            try a.execute("INSERT INTO notes(id, title, body) VALUES (?, 'old', 'old')", [Value(id)])
        }
        try a.execute("DELETE FROM notes WHERE id = 'back'")
        try workspace.pull(b, from: a)
        // Sealed, and never sent.
        try a.execute("UPDATE notes SET title = 'sealed' WHERE id IN ('edited', 'both')")
        try a.execute("INSERT INTO notes(id, title) VALUES ('new', 'sealed')")
        try a.execute("DELETE FROM notes WHERE id = 'gone'")
        #expect(try a.undelete(table: "notes", id: RowID("back")))
        try a.seal()
        // And never sealed.
        try a.execute("UPDATE notes SET body = 'unsealed' WHERE id IN ('edited', 'new', 'deleted there')")
        try a.execute("DELETE FROM notes WHERE id = 'gone here'")
        let expected = try values(a)
        try a.close()
        let old = workspace.directory.appendingPathComponent("old").path
        try FileManager.default.moveItem(atPath: node.path, toPath: old)
        let before = FileManager.default.contents(atPath: old)

        try b.execute("UPDATE notes SET title = 'by another' WHERE id = 'both'")
        try b.execute("DELETE FROM notes WHERE id = 'deleted there'")
        let anew = try node.create(in: workspace)
        try workspace.pull(anew, from: b)
        let report = try anew.salvage(from: old)
        #expect(
            report.differing == [
                SalvagedDifference(table: "notes", row: RowID("both"), field: "title"),
                SalvagedDifference(table: "notes", row: RowID("deleted there"), field: nil),
            ])
        #expect(report.rows == 5)
        #expect(
            try values(anew)
                == expected.filter { !$0.hasPrefix("deleted there") }.map {
                    $0 == "both sealed old" ? "both by another old" : $0
                })
        try workspace.pull(b, from: anew)
        #expect(try values(b) == values(anew))
        try anew.expectSound(workspace.authors)
        // A second time there is nothing left to do.
        #expect(try anew.salvage(from: old).rows == 0)
        #expect(FileManager.default.contents(atPath: old) == before)
    }

    /// An older program made the old file: a copy is brought to the present form, and is gone afterwards.
    @Test func aFileOfAnOlderFormIsReadToo() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.execute("INSERT INTO notes(id, title) VALUES ('n', 'sent')")
        try workspace.pull(b, from: a)
        try a.execute("UPDATE notes SET title = 'sealed'")
        try a.seal()
        try a.execute("UPDATE notes SET body = 'unsealed'")
        // As that program left the file: before there were misfits.
        let step = try #require(Schema.steps.firstIndex { $0.contains("ADD COLUMN misfit") })
        try a.connections.engineWrite { writer in
            try writer.executeAll(
                """
                ALTER TABLE sync_held DROP COLUMN digest; ALTER TABLE sync_tables DROP COLUMN definition;
                DROP INDEX sync_parked_misfits; ALTER TABLE sync_parked DROP COLUMN misfit;
                PRAGMA user_version = \(step)
                """)
        }
        try a.close()
        let old = workspace.directory.appendingPathComponent("old").path
        try FileManager.default.moveItem(atPath: node.path, toPath: old)
        let before = FileManager.default.contents(atPath: old)
        let anew = try node.create(in: workspace)
        try workspace.pull(anew, from: b)
        #expect(try anew.salvage(from: old).rows == 1)
        #expect(try values(anew) == ["n sealed unsealed"])
        #expect(FileManager.default.contents(atPath: old) == before)
        let left = try FileManager.default.contentsOfDirectory(atPath: workspace.directory.path)
        #expect(!left.contains { $0.contains("salvaged") })
        try anew.expectSound(workspace.authors)
    }

    @Test func aFileOfANewerFormIsRefused() throws {
        let (workspace, node, a, _) = try MarkedNode.withPeer()
        try a.damage("PRAGMA user_version = \(Schema.steps.count + 1)")
        try a.close()
        let old = workspace.directory.appendingPathComponent("old").path
        try FileManager.default.moveItem(atPath: node.path, toPath: old)
        let anew = try node.create(in: workspace)
        let error = #expect(throws: ReplicaError.self) { try anew.salvage(from: old) }
        #expect(error?.code == .tooNew)
    }

    /// What was corrected here, and is not sealed yet, was written after the old file.
    @Test func whatWasEditedHereMeanwhileStands() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        for id in ["corrected", "kept"] { try a.execute("INSERT INTO notes(id, title) VALUES (?, 'old')", [Value(id)]) }
        try workspace.pull(b, from: a)
        try a.execute("UPDATE notes SET title = 'in the old file alone'")
        try a.close()
        let old = workspace.directory.appendingPathComponent("old").path
        try FileManager.default.moveItem(atPath: node.path, toPath: old)
        let anew = try node.create(in: workspace)
        try workspace.pull(anew, from: b)
        try anew.execute("UPDATE notes SET title = 'corrected' WHERE id = 'corrected'")
        let report = try anew.salvage(from: old)
        #expect(
            report.differing == [SalvagedDifference(table: "notes", row: RowID("corrected"), field: "title")])
        #expect(try values(anew) == ["corrected corrected -", "kept in the old file alone -"])
    }

    /// Looking takes its time, and the service goes on.
    @Test func whatIsEditedWhileItLooksStands() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        for id in ["corrected", "kept"] { try a.execute("INSERT INTO notes(id, title) VALUES (?, 'old')", [Value(id)]) }
        try workspace.pull(b, from: a)
        try a.execute("UPDATE notes SET title = 'in the old file alone'")
        try a.close()
        let old = workspace.directory.appendingPathComponent("old").path
        try FileManager.default.moveItem(atPath: node.path, toPath: old)
        let anew = try node.create(in: workspace)
        try workspace.pull(anew, from: b)
        var looks = 0
        let report = try anew.salvage(from: old) {
            looks += 1
            if looks == 1 { try anew.execute("UPDATE notes SET title = 'corrected' WHERE id = 'corrected'") }
        }
        #expect(looks == 2)
        #expect(
            report.differing == [SalvagedDifference(table: "notes", row: RowID("corrected"), field: "title")])
        #expect(try values(anew) == ["corrected corrected -", "kept in the old file alone -"])
        #expect(report.rows == 1)
        // Who writes all the time is told to stop.
        let error = #expect(throws: ReplicaError.self) {
            _ = try anew.salvage(from: old) { try anew.execute("UPDATE notes SET title = title || 'x'") }
        }
        #expect(error?.code == .busy)
    }

    /// A row that is brought back is deleted once more in the same moment: that is the later word.
    @Test func aRowThatIsDeletedWhileItLooksStaysDeleted() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        for id in ["back", "gone"] {
            try a.execute("INSERT INTO notes(id, title) VALUES (?, 'old')", [Value(id)])
            try a.seal()
            try a.execute("DELETE FROM notes WHERE id = ?", [Value(id)])
        }
        try workspace.pull(b, from: a)
        for id in ["back", "gone"] { #expect(try a.undelete(table: "notes", id: RowID(id))) }
        try a.close()
        let old = workspace.directory.appendingPathComponent("old").path
        try FileManager.default.moveItem(atPath: node.path, toPath: old)
        let anew = try node.create(in: workspace)
        try workspace.pull(anew, from: b)
        var looks = 0
        let report = try anew.salvage(from: old) {
            looks += 1
            guard looks == 1 else { return }
            #expect(try anew.undelete(table: "notes", id: RowID("gone")))
            try anew.execute("DELETE FROM notes WHERE id = 'gone'")
        }
        #expect(try values(anew) == ["back old -"])
        #expect(
            report.rows == 1 && report.differing == [SalvagedDifference(table: "notes", row: RowID("gone"), field: nil)]
        )
    }

    /// Another program brought the file to a newer form while this one had it open.
    @Test func aProgramThatIsOlderThanTheFileWritesNothing() throws {
        let (_, _, a, _) = try MarkedNode.withPeer()
        try a.execute("INSERT INTO notes(id, title) VALUES ('n1', 'written meanwhile')")
        try a.damage("PRAGMA user_version = \(Schema.steps.count + 1)")
        let error = #expect(throws: ReplicaError.self) { try a.seal() }
        #expect(error?.code == .tooNew)
        try a.damage("PRAGMA user_version = \(Schema.steps.count)")
        #expect(try a.seal().changeSets == 1)
    }

    /// SQLite throws away a log that it finds beside a new file.
    @Test func aLogThatWasLeftIsNotThrownAway() throws {
        let (workspace, node, a, _) = try MarkedNode.withPeer()
        try a.close()
        try FileManager.default.removeItem(atPath: node.path)
        let log = Data("the last edits of what was here".utf8)
        try log.write(to: URL(fileURLWithPath: node.path + "-wal"))
        #expect {
            _ = try node.create(in: workspace)
        } throws: { error in
            guard let error = error as? ReplicaError else { return false }
            return error.code == .exists && error.description.contains("replica.sqlite-wal")
        }
        #expect(FileManager.default.contents(atPath: node.path + "-wal") == log)
        #expect(!FileManager.default.fileExists(atPath: node.path))
    }

    @Test func aReplicaThatCouldNotBeMadeLeavesNothing() throws {
        let workspace = try TestWorkspace()
        let path = workspace.directory.appendingPathComponent("new.sqlite").path
        func create(_ tables: [Table]) throws -> Replica {
            try Replica.create(
                at: path, workspace: workspace.workspace, key: .generate(), incarnation: 1, tables: tables,
                clock: { [clock = workspace.clock] in clock.now })
        }
        let unusable = #expect(throws: ReplicaError.self) {
            _ = try create([Table("bad\"name", columns: [Column("a")])])
        }
        #expect(unusable?.description.contains("bad\"name") == true, "\(String(describing: unusable))")
        #expect(try FileManager.default.contentsOfDirectory(atPath: workspace.directory.path) == [])
        // A crash may leave the file alone, and nothing in it.
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        #expect {
            _ = try Replica.open(
                at: path, key: .generate(), tables: [], clock: { [clock = workspace.clock] in clock.now })
        } throws: { error in
            (error as? ReplicaError)?.code == .absent
        }
        try create(MarkedNode.tables).close()
    }

    @Test func anotherNodesFileIsRefused() throws {
        let workspace = try TestWorkspace()
        let (_, a) = try MarkedNode.make("a", in: workspace)
        let (other, b) = try MarkedNode.make("b", in: workspace)
        try b.close()
        let error = #expect(throws: ReplicaError.self) { _ = try a.salvage(from: other.path) }
        #expect(error?.code == .refused)
        let text = workspace.directory.appendingPathComponent("text").path
        try Data("no database at all".utf8).write(to: URL(fileURLWithPath: text))
        let unreadable = #expect(throws: SQLError.self) { _ = try a.salvage(from: text) }
        #expect(unreadable?.description.contains("not a database") == true, "\(String(describing: unreadable))")
    }
}
