// A revocation that is learnt late: what it cuts off is set aside, with all that builds on it, and honest work is written
// again by who wrote it.
import Foundation
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct RewindTests {
    /// Somebody made a table stricter by plain SQL. What a cut leaves is said to be forbidden by it; what this node would write again
    /// stays held, the operator is told where, and all else goes on.
    @Test(arguments: [false, true]) func aConstraintThatSomebodyAddedIsNamed(forbidsWhatIsLeft: Bool) throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        if forbidsWhatIsLeft {
            try scene.write(hq, "INSERT INTO notes(id, title) VALUES ('u1', 'of hq')")
            try scene.pull(istanbul, from: hq)
        } else {
            try scene.write(istanbul, "INSERT INTO notes(id, title) VALUES ('u1', 'of hq')")
        }
        try istanbul.execute("CREATE UNIQUE INDEX added ON notes(title)")
        try story.revoke()
        if forbidsWhatIsLeft {
            let before = try istanbul.contents("notes")
            let error = #expect(throws: ReplicaError.self) { try istanbul.addRosterRecords(hq.rosterRecords()) }
            #expect(error?.code == .refused)
            #expect(error?.description.contains("notes.title") == true, "\(String(describing: error))")
            #expect(try istanbul.contents("notes") == before)
        } else {
            try istanbul.addRosterRecords(hq.rosterRecords())
            #expect(try istanbul.noteRow("u1") == nil)
            #expect(try istanbul.waitingEdits().map(\.id) == [RowID("a2")])
            let notice = try #require(try istanbul.notices().first { $0.kind == .notWrittenAgain })
            let held = try #require(
                try istanbul.held().filter { $0.dot.origin.node == istanbul.node }.max {
                    $0.dot.sequence < $1.dot.sequence
                })
            #expect(notice.text.contains("notes u1") && notice.text.contains("held show \(held.dot)"), "\(notice.text)")
            #expect(try istanbul.noteRow("i1") == [Value("mine"), large("i")])
            // Nothing comes of it any more, whatever comes.
            let before = try istanbul.vectors().applied
            try scene.write(hq, "INSERT INTO links(id) VALUES ('something else')")
            try scene.pull(istanbul, from: hq)
            #expect(try istanbul.vectors().applied[istanbul.origin] == before[istanbul.origin])
        }
        try istanbul.execute("DROP INDEX added")
        try scene.write(hq, "INSERT INTO links(id) VALUES ('something to pull')")
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try hq.noteRow("u1")?.first == (forbidsWhatIsLeft ? Value("of hq") : nil))
        #expect(try hq.noteRow("h1")?.first == Value("of hq"))
    }

    @Test func whatWasBuiltOnWhatIsCutOffIsWrittenAgain() throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try story.revoke()
        // hq takes nothing of it, and nothing is refused: it is held.
        try scene.pull(hq, from: istanbul)
        #expect(try hq.vectors().applied == story.before)
        #expect(
            try hq.held().map(\.cause) == [.revoked, .revoked, .waitsForEarlier, .waitsForEarlier, .waitsForEarlier])
        try hq.expectSound(scene.workspace.authors)

        let former = try istanbul.origin
        let rewind = try #require(try istanbul.addRosterRecords(hq.rosterRecords()))
        #expect(rewind.beyondCuts == 2 && rewind.dependent == 3)
        #expect(rewind.newOrigin != nil)
        #expect(try rewind.newOrigin == istanbul.origin)
        #expect(try istanbul.vectors().applied[former] == .zero)
        #expect(try istanbul.noteRow("h1") == [Value("of hq"), large("b")])
        #expect(try istanbul.noteRow("i1") == [Value("mine"), large("i")])
        #expect(try istanbul.noteRow("a1")?.first == Value("by istanbul"))
        #expect(try istanbul.noteRow("a2") == nil)
        try istanbul.expectSound(scene.workspace.authors)

        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try hq.noteRow("i1") == [Value("mine"), large("i")])
        #expect(try hq.noteRow("a1")?.first == Value("by istanbul"))
        // A node that joins now sees the same.
        let late = try scene.replica("late")
        try scene.meet([hq, late])
        try scene.expectAgreement([hq, istanbul, late])
    }

    @Test func aCutThatIsRaisedLetsInWhatWasHeld() throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try story.revoke()
        try scene.pull(hq, from: istanbul)
        try scene.meet([hq, istanbul])
        try scene.write(hq, "UPDATE notes SET title = 'after' WHERE id = 'i1'")
        try scene.meet([hq, istanbul])
        let raised = try #require(try hq.addRosterRecords([scene.revocation(story.antalya, accepting: 4)]))
        #expect(raised.released == 5 && !raised.isRewound)
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try hq.held().isEmpty)
        #expect(try istanbul.held().isEmpty)
        #expect(try hq.noteRow("i1")?.first == Value("after"))
        #expect(try hq.noteRow("h1") == [Value("void"), large("void")])
        // The edit of a row that was not there is in force again, once.
        #expect(try hq.noteRow("a2")?.first == Value("on void"))
        #expect(try istanbul.read { try $0.query("SELECT * FROM sync_set_aside_edits") }.isEmpty)
    }

    /// A revocation that accepts less than another takes nothing back.
    @Test func aLowerCutAfterAHigherOneChangesNothing() throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try scene.pull(hq, from: istanbul)
        try hq.addRosterRecords([scene.revocation(story.antalya, accepting: 4)])
        let applied = try hq.vectors().applied
        #expect(try hq.addRosterRecords([scene.revocation(story.antalya, accepting: 1)]) == nil)
        #expect(try hq.vectors().applied == applied)
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
    }

    /// The feed that an index follows tells of every row that changed, and no position comes twice.
    @Test func whoFollowsTheFeedIsTold() throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        let cursor = try istanbul.changedRows(in: "notes", after: .start, limit: 1_000).next
        let position = try istanbul.lastLogPosition()
        try story.revoke()
        try istanbul.addRosterRecords(hq.rosterRecords())
        let changed = try istanbul.changedRows(in: "notes", after: cursor, limit: 1_000).ids
        #expect(Set(changed) == Set(["h1", "a1", "a2", "i1"].map { RowID($0) }))
        #expect(try istanbul.lastLogPosition() > position)

        // With nothing left of the log, too.
        let empty = try scene.replica("empty")
        try scene.pull(empty, from: story.antalya)
        let last = try empty.lastLogPosition()
        try empty.addRosterRecords([scene.revocation(hq, accepting: 0), scene.revocation(story.antalya, accepting: 0)])
        #expect(try empty.read { try $0.query("SELECT * FROM sync_change_sets") }.isEmpty)
        try scene.write(empty, "INSERT INTO notes(id) VALUES ('e1')")
        #expect(try empty.lastLogPosition() > last)
        try empty.expectSound(scene.workspace.authors)
    }

    /// A node that was revoked itself keeps what it wrote: it is out, and may still be read.
    @Test func theRevokedNodeKeepsItsOwn() throws {
        let story = try LateRevocation()
        try story.revoke()
        let applied = try story.antalya.vectors().applied
        let rewind = try story.antalya.addRosterRecords(story.hq.rosterRecords())
        #expect(rewind?.isRewound != true)
        #expect(try story.antalya.vectors().applied == applied)
        try story.antalya.expectSound(story.scene.workspace.authors)
    }

    /// The value was superseded before anyone asked, and what superseded it is cut off: nobody who is left has it.
    @Test func aValueThatNobodyIsLeftToGiveIsNamedAndWrittenAnew() throws {
        let scene = try CutScene()
        let (hq, istanbul, antalya) = (
            try scene.replica("hq"), try scene.replica("istanbul"), try scene.replica("antalya")
        )
        try scene.write(antalya, "INSERT INTO notes(id, title, body) VALUES ('a1', 'kept', ?)", [large("one")])
        try scene.write(antalya, "UPDATE notes SET body = ? WHERE id = 'a1'", [large("two")])
        let place = Dot(origin: try antalya.origin, sequence: SequenceNumber(1))
        try scene.pull(hq, from: antalya)
        #expect(try hq.awaitedOfCutOrigins() == [])
        try hq.addRosterRecords([scene.revocation(antalya, accepting: 1)])
        #expect(
            try hq.awaitedOfCutOrigins() == [AwaitedValue(table: "notes", id: "a1", field: "body", dot: place)])
        #expect(try hq.vectors().safe[place.origin] == .zero)
        try scene.write(hq, "UPDATE notes SET body = 'by hq' WHERE id = 'a1'")
        #expect(try hq.awaitedOfCutOrigins() == [])
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try istanbul.noteRow("a1") == [Value("kept"), Value("by hq")])
        for replica in [hq, istanbul] { #expect(try replica.vectors().safe == replica.vectors().applied) }
    }

    /// Records of cuts in any order, and change sets between them: the end is the same.
    @Test(arguments: 0..<24) func everyOrderOfLearningEndsAlike(permutation: Int) throws {
        let story = try LateRevocation()
        let (scene, istanbul, antalya) = (story.scene, story.istanbul, story.antalya)
        let late = try scene.replica("late")
        let former = try antalya.origin
        var steps: [() throws -> Void] = [
            { try late.addRosterRecords([scene.revocation(antalya, accepting: 1, origin: former)]) },
            { try late.addRosterRecords([scene.revocation(antalya, accepting: 3, origin: former)]) },
            { try scene.pull(late, from: istanbul) },
            { try scene.write(late, "INSERT OR REPLACE INTO notes(id, title) VALUES ('l1', 'late')") },
        ]
        var order: [() throws -> Void] = []
        var rest = permutation
        while !steps.isEmpty {
            order.append(steps.remove(at: rest % steps.count))
            rest /= steps.count + 1
        }
        for step in order { try step() }
        #expect(try late.cuts().revoked[antalya.node] == [former.incarnation: SequenceNumber(3)])
        try scene.meet([late, istanbul, story.hq])
        try scene.expectAgreement([late, istanbul, story.hq], "order \(permutation)")
        #expect(try late.vectors().applied[former] == SequenceNumber(3))
        #expect(try late.noteRow("h1") == [Value("void"), large("void")])
        #expect(try late.noteRow("a2") == nil)
        #expect(try late.noteRow("l1") == [Value("late"), .null])
        #expect(try late.noteRow("i1") == [Value("mine"), large("i")])
    }

    @Test func theBlastRadiusIsToldBefore() throws {
        let story = try LateRevocation()
        let (istanbul, antalya) = (story.istanbul, story.antalya)
        let radius = try istanbul.blastRadius(
            revoking: antalya.node, lastAccepted: [antalya.origin.incarnation: SequenceNumber(2)])
        #expect(radius.beyond == 2 && radius.dependent == [istanbul.node: 3])
        #expect(
            try istanbul.blastRadius(
                revoking: antalya.node, lastAccepted: [antalya.origin.incarnation: SequenceNumber(4)]) == BlastRadius())
    }
}
