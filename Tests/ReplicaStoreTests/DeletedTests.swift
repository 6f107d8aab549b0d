// Whether a row was deleted, as whoever takes something in again asks: sealed or not, here or elsewhere, and taken back.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct DeletedTests {
    private func isDeleted(_ id: String, in replica: Replica) throws -> Bool {
        let read = try replica.read { try $0.isDeleted(table: "notes", id: RowID(id)) }
        #expect(try replica.write { try $0.isDeleted(table: "notes", id: RowID(id)) } == read)
        return read
    }

    @Test func aDeleteCountsBeforeItIsSealedAndAfter() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title) VALUES ('n', 'first')")
        #expect(try !isDeleted("n", in: a))
        try a.seal()
        #expect(try !isDeleted("n", in: a))
        try a.execute("DELETE FROM notes")
        #expect(try isDeleted("n", in: a))
        try a.seal()
        #expect(try isDeleted("n", in: a))
        try workspace.pull(b, from: a)
        #expect(try isDeleted("n", in: b))
        #expect(try !isDeleted("m", in: a) && !isDeleted("", in: a))

        #expect(try b.undelete(table: "notes", id: RowID("n")))
        try workspace.pull(a, from: b)
        for replica in [a, b] { #expect(try !isDeleted("n", in: replica)) }
        // And one that a program inserts again is there.
        try a.execute("DELETE FROM notes")
        try a.seal()
        try a.execute("INSERT INTO notes(id, title) VALUES ('n', 'again')")
        #expect(try !isDeleted("n", in: a))
    }

    @Test func aDeleteIsReadWithinTheTransactionThatMakesIt() throws {
        let replica = try TestWorkspace().replica("a")
        try replica.execute("INSERT INTO notes(id) VALUES ('n')")
        try replica.seal()
        try replica.write { writer in
            try writer.execute("DELETE FROM notes")
            #expect(try writer.isDeleted(table: "notes", id: RowID("n")))
            try writer.execute("INSERT INTO notes(id) VALUES ('n')")
            #expect(try !writer.isDeleted(table: "notes", id: RowID("n")))
        }
    }

    /// Known from writes to its fields alone, it has nothing to bring back.
    @Test func aRowThatWasNeverInsertedIsNotDeleted() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let lone = forger.write(.update, "notes", "n", [("title", Value("lone"))], at: workspace.stamp())
        _ = try replica.apply([lone], from: nil, authors: workspace.authors)
        #expect(try replica.contents("sync_graveyard_notes").count == 1)
        #expect(try !isDeleted("n", in: replica))
    }

    /// The row that istanbul deleted is there no more at all, once it is known that whoever inserted it had no right to.
    @Test func aRowWhoseInsertWasTakenBackIsNotDeleted() throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try scene.write(istanbul, "DELETE FROM notes WHERE id = 'a2'")
        #expect(try isDeleted("a2", in: istanbul))
        try story.revoke()
        try istanbul.addRosterRecords(hq.rosterRecords())
        try scene.meet([hq, istanbul])
        for replica in [hq, istanbul] {
            #expect(try !isDeleted("a2", in: replica))
            #expect(try !replica.undelete(table: "notes", id: RowID("a2")))
        }
    }
}
