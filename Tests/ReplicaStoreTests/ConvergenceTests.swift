// Two and three replicas meet: what each wrote is everywhere, and what lost is kept.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct ConvergenceTests {
    @Test func aRowArrivesAsItWasWritten() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let long = String(repeating: "long ", count: 500)
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'first', ?)", [Value(long)])
        try workspace.pull(b, from: a)
        #expect(try b.contents("notes") == a.contents("notes"))
        #expect(try b.contents("notes").count == 1)
        #expect(try b.vectors().applied == a.vectors().applied)
    }

    @Test func differentFieldsBothSurvive() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'first', 'text')")
        try workspace.pull(b, from: a)
        try a.execute("UPDATE notes SET title = 'from a'")
        try b.execute("UPDATE notes SET body = 'from b'")
        try workspace.pull(b, from: a)
        try workspace.pull(a, from: b)
        for replica in [a, b] {
            #expect(
                try replica.contents("notes") == [[Value("n1"), Value("from a"), Value("from b"), .null, .null, .null]])
            #expect(try replica.ledgerText().isEmpty)
        }
    }

    @Test func theSameFieldHasOneWinnerAndOneKeptLoser() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title) VALUES ('n1', 'first')")
        try workspace.pull(b, from: a)
        try a.execute("UPDATE notes SET title = 'from a'")
        try a.seal()
        try b.execute("UPDATE notes SET title = 'from b'")
        try b.seal()
        try workspace.pull(b, from: a)
        try workspace.pull(a, from: b)
        #expect(try a.contents("notes") == b.contents("notes"))
        #expect(try a.ledgerText() == b.ledgerText())
        #expect(try a.ledgerText().count == 1)
    }

    @Test func aDeletedRowStaysDeletedUnderAConcurrentEdit() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title) VALUES ('n1', 'first')")
        try workspace.pull(b, from: a)
        try a.execute("DELETE FROM notes")
        try b.execute("UPDATE notes SET title = 'edited'")
        try workspace.pull(b, from: a)
        try workspace.pull(a, from: b)
        for replica in [a, b] {
            #expect(try replica.contents("notes").isEmpty)
            #expect(try replica.contents("sync_graveyard_notes").first?[1] == Value("edited"))
        }
    }
}
