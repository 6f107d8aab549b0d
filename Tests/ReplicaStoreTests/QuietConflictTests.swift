// What nobody has to look at: an insert that says nothing new loses without a conflict being shown, on every replica alike.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct QuietConflictTests {
    private static let monday: Int64 = 1_700_000_000_000

    /// Runs scripts at two offline replicas, minutes apart, lets them and a third meet in two orders, and gives what is
    /// shown, as `FIELD=lost value`.
    private func shown(_ first: [String], _ second: [String], at minutes: (first: Int64, second: Int64) = (0, 60))
        throws
        -> [String]
    {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        for (replica, script, minute) in [(a, first, minutes.first), (b, second, minutes.second)] {
            for (index, sql) in script.enumerated() {
                try replica.execute(sql)
                try replica.setJournalTime(Self.monday + minute * 60_000 + Int64(index))
                try replica.seal()
            }
        }
        let (c, d) = (try workspace.replica("c"), try workspace.replica("d"))
        for (receiver, senders) in [(c, [a, b]), (d, [b, a])] {
            for sender in senders { try workspace.pull(receiver, from: sender) }
        }
        try workspace.pull(a, from: b)
        try workspace.pull(b, from: a)
        let all = [a, b, c, d]
        for replica in all {
            #expect(try replica.ledgerText() == a.ledgerText())
            #expect(try replica.contents("notes") == a.contents("notes"))
            try Oracle(a).check(replica, [TestTables.notes], "\(first) beside \(second)")
            try replica.expectSound(workspace.authors)
            #expect(try replica.conflictCount() == replica.conflicts().count)
        }
        return try a.conflicts().map { conflict in
            "\(conflict.field)=\(conflict.lostValues.map { $0?.string ?? "-" }.joined(separator: ","))"
        }.sorted()
    }

    private static let story = "INSERT INTO notes(id, title, body) VALUES ('n1', 'Ferry', 'Long')"

    @Test(arguments: [
        "UPDATE notes SET due_on = '2024-05-01'", "UPDATE notes SET amount = 7", "UPDATE notes SET title = 'Ferries'",
        "UPDATE notes SET body = NULL",
    ]) func theSameStoryTakenInTwiceAndEditedOnce(edit: String) throws {
        // The edit is the later write, or the edit comes first and its value is what is lost.
        #expect(try shown([Self.story, edit], [Self.story], at: (60, 0)) == [])
        let lost = try shown([Self.story, edit], [Self.story], at: (0, 60))
        #expect(lost.count == 1, "a person's edit is lost to an insert: \(lost)")
    }

    @Test func severalEditsOfIt() throws {
        let edits = ["UPDATE notes SET title = 'Ferries'", "UPDATE notes SET title = 'Boats', amount = 1"]
        #expect(try shown([Self.story] + edits, [Self.story], at: (60, 0)) == [])
    }

    @Test func anInsertThatLeavesAFieldOut() throws {
        #expect(
            try shown(["INSERT INTO notes(id, title, amount) VALUES ('n1', 'Ferry', 1)"], [Self.story], at: (60, 0))
                == ["body=Long"])
        #expect(
            try shown([Self.story], ["INSERT INTO notes(id, title, amount) VALUES ('n1', 'Ferry', 1)"], at: (60, 0))
                == ["amount=-"])
    }

    @Test func whatWasNotKnownIsShown() throws {
        let other = "INSERT INTO notes(id, title, body) VALUES ('n1', 'Ship', 'Long')"
        #expect(try shown([Self.story, "UPDATE notes SET title = 'Boat'"], [other], at: (60, 0)) == ["title=Ship"])
        // Both edited: what either wrote is a person's, also where the other had it once.
        #expect(
            try shown(
                [Self.story, "UPDATE notes SET title = 'A'", "UPDATE notes SET title = 'B'"],
                [Self.story, "UPDATE notes SET title = 'A'"], at: (60, 0)) == ["title=A"])
        #expect(
            try shown(
                [Self.story, "UPDATE notes SET body = 'x'"], [Self.story, "UPDATE notes SET body = NULL"], at: (60, 0))
                == ["body=-"])
    }

    @Test func aDeletedStoryThatAnotherTookInIsShown() throws {
        #expect(try shown([Self.story, "DELETE FROM notes"], [Self.story], at: (60, 0)) == ["(row)=-"])
    }

    /// A key is made of 64 bits that a writer can work on: two conflicts with one key are no reason to hold anybody's work.
    @Test func twoLostWritesWithOneKeyHoldNobodysWork() throws {
        let scene = try CutScene()
        let (a, b) = (try scene.replica("a"), try scene.replica("b"))
        let (c, d) = (try scene.replica("c"), try scene.replica("d"))
        func write(_ id: String) throws {
            for replica in [a, b] {
                try scene.write(replica, "INSERT INTO notes(id, title) VALUES (?, hex(randomblob(8)))", [Value(id)])
            }
        }
        try write("r1")
        for sender in [a, b] { try scene.pull(c, from: sender) }
        #expect(try c.conflicts().map(\.row) == [RowID("r1")])
        try write("r2")
        for sender in [a, b] { try scene.pull(d, from: sender) }
        let second = try #require(try d.conflicts().first { $0.row == RowID("r2") })
        try c.damage("UPDATE sync_conflicts SET key = ?", [Value(second.key)])
        for sender in [a, b] { try scene.pull(c, from: sender) }
        #expect(try c.held().isEmpty && c.vectors().applied == d.vectors().applied)
        let conflicts = try c.conflicts()
        #expect(Set(conflicts.map(\.row)) == [RowID("r1"), RowID("r2")] && Set(conflicts.map(\.key)) == [second.key])
        try c.accept(conflicts[0])
        #expect(try c.conflictCount() == 0)
    }
}
