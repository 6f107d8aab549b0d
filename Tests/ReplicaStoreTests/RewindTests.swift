// A revocation that is learnt late: what it cuts off is set aside, with all that builds on it, and honest work is written
// again by who wrote it.
import Foundation
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct RewindTests {
    private static func large(_ text: String) -> Value { Value(String(repeating: text, count: 400)) }

    /// hq, istanbul and antalya have antalya's first two change sets; istanbul has two more, and built on them.
    private struct Story {
        let scene: CutScene
        let hq: Replica
        let istanbul: Replica
        let antalya: Replica
        let before: VersionVector

        init() throws {
            scene = try CutScene()
            hq = try scene.replica("hq")
            istanbul = try scene.replica("istanbul")
            antalya = try scene.replica("antalya")
            try scene.write(hq, "INSERT INTO notes(id, title, body) VALUES ('h1', 'of hq', ?)", [large("h")])
            try scene.pull(antalya, from: hq)
            try scene.write(antalya, "INSERT INTO notes(id, title, body) VALUES ('a1', 'kept', ?)", [large("a")])
            try scene.write(antalya, "UPDATE notes SET body = ? WHERE id = 'h1'", [large("b")])
            for replica in [hq, istanbul] { try scene.pull(replica, from: antalya) }
            before = try hq.vectors().applied
            try scene.write(antalya, "UPDATE notes SET body = ?, title = 'void' WHERE id = 'h1'", [large("void")])
            try scene.write(antalya, "INSERT INTO notes(id, title) VALUES ('a2', 'void')")
            try scene.pull(istanbul, from: antalya)
            try scene.write(istanbul, "INSERT INTO notes(id, title, body) VALUES ('i1', 'mine', ?)", [large("i")])
            try scene.write(istanbul, "UPDATE notes SET title = 'by istanbul' WHERE id = 'a1'")
            try scene.write(istanbul, "UPDATE notes SET title = 'on void' WHERE id = 'a2'")
        }

        func revoke() throws { try hq.addRosterRecords([scene.revocation(antalya, accepting: 2)]) }
    }

    @Test func whatWasBuiltOnWhatIsCutOffIsWrittenAgain() throws {
        let story = try Story()
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
        #expect(try istanbul.noteRow("h1") == [Value("of hq"), Self.large("b")])
        #expect(try istanbul.noteRow("i1") == [Value("mine"), Self.large("i")])
        #expect(try istanbul.noteRow("a1")?.first == Value("by istanbul"))
        #expect(try istanbul.noteRow("a2") == nil)
        try istanbul.expectSound(scene.workspace.authors)

        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try hq.noteRow("i1") == [Value("mine"), Self.large("i")])
        #expect(try hq.noteRow("a1")?.first == Value("by istanbul"))
        // A node that joins now sees the same.
        let late = try scene.replica("late")
        try scene.meet([hq, late])
        try scene.expectAgreement([hq, istanbul, late])
    }

    @Test func aCutThatIsRaisedLetsInWhatWasHeld() throws {
        let story = try Story()
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
        #expect(try hq.noteRow("h1") == [Value("void"), Self.large("void")])
        // The edit of a row that was not there is in force again, once.
        #expect(try hq.noteRow("a2")?.first == Value("on void"))
        #expect(try istanbul.read { try $0.query("SELECT * FROM sync_set_aside_edits") }.isEmpty)
    }

    /// A revocation that accepts less than another takes nothing back.
    @Test func aLowerCutAfterAHigherOneChangesNothing() throws {
        let story = try Story()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try scene.pull(hq, from: istanbul)
        try hq.addRosterRecords([scene.revocation(story.antalya, accepting: 4)])
        let applied = try hq.vectors().applied
        #expect(try hq.addRosterRecords([scene.revocation(story.antalya, accepting: 1)]) == nil)
        #expect(try hq.vectors().applied == applied)
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
    }

    /// Each writes its own again, whoever learns first; an edit of a row that another must bring back waits for it.
    @Test func everyoneWritesItsOwnAgain() throws {
        let story = try Story()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        let ankara = try scene.replica("ankara")
        try scene.pull(ankara, from: istanbul)
        try scene.write(ankara, "UPDATE notes SET body = 'by ankara' WHERE id = 'i1'")
        try scene.write(ankara, "DELETE FROM notes WHERE id = 'a1'")
        try scene.pull(istanbul, from: ankara)
        try scene.write(istanbul, "UPDATE notes SET amount = 7 WHERE id = 'i1'")
        try story.revoke()
        let rewind = try ankara.addRosterRecords(hq.rosterRecords())
        #expect(rewind?.isRewound == true)
        #expect(try ankara.noteRow("i1") == nil)
        #expect(try ankara.noteRow("a1") == nil)
        try scene.meet([hq, ankara, istanbul])
        try scene.expectAgreement([hq, ankara, istanbul])
        #expect(try hq.noteRow("i1") == [Value("mine"), Value("by ankara")])
        #expect(try hq.noteRow("a1") == nil)
        #expect(try ankara.read { try $0.query("SELECT * FROM sync_set_aside_edits WHERE id <> 'a2'") }.isEmpty)
    }

    /// An edit that waits for its row does not come over what its author wrote since, though the clock was ahead before.
    @Test(arguments: [0, 3_600_000]) func aRowThatIsMadeAnewKeepsWhatItWasMadeWith(millisecondsAhead: Int64) throws {
        let story = try Story()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        scene.workspace.clock.advance(millisecondsAhead)
        try scene.write(istanbul, "UPDATE notes SET title = 'on void, again' WHERE id = 'a2'")
        scene.workspace.clock.advance(-millisecondsAhead)
        try story.revoke()
        try istanbul.addRosterRecords(hq.rosterRecords())
        #expect(try istanbul.noteRow("a2") == nil)
        try scene.write(istanbul, "INSERT INTO notes(id, title) VALUES ('a2', 'made anew')")
        try scene.write(hq, "INSERT INTO links(id) VALUES ('something to pull')")
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try hq.noteRow("a2")?.first == Value("made anew"))
        #expect(try istanbul.read { try $0.query("SELECT * FROM sync_set_aside_edits") }.isEmpty)
    }

    /// Own work that lost to what a first cut took back comes back where a second one voids that.
    @Test(arguments: [false, true]) func cutsInTurnEndLikeCutsAtOnce(atOnce: Bool) throws {
        let scene = try CutScene()
        let (hq, own) = (try scene.replica("hq"), try scene.replica("own"))
        let (antalya, izmir) = (try scene.replica("antalya"), try scene.replica("izmir"))
        try scene.write(hq, "INSERT INTO notes(id, title, body) VALUES ('n1', 'base', 'base')")
        try scene.pull(antalya, from: hq)
        try scene.write(antalya, "INSERT INTO notes(id, title) VALUES ('a1', 'void')")
        for replica in [own, izmir] { try scene.pull(replica, from: antalya) }
        try scene.write(own, "UPDATE notes SET title = 'mine', body = ? WHERE id = 'n1'", [Self.large("m")])
        try scene.write(own, "DELETE FROM notes WHERE id = 'a1'")
        try scene.write(izmir, "UPDATE notes SET title = 'theirs', body = 'theirs' WHERE id = 'n1'")
        try scene.pull(own, from: izmir)
        #expect(try own.noteRow("n1") == [Value("theirs"), Value("theirs")])
        let cuts = [try scene.revocation(antalya, accepting: 0), try scene.revocation(izmir, accepting: 0)]
        if atOnce {
            try own.addRosterRecords(cuts)
        } else {
            try own.addRosterRecords([cuts[0]])
            #expect(try own.noteRow("n1") == [Value("base"), Value("base")])
            try own.expectSound(scene.workspace.authors)
            try own.addRosterRecords([cuts[1]])
        }
        #expect(try own.noteRow("n1") == [Value("mine"), Self.large("m")])
        #expect(try own.noteRow("a1") == nil)
        try own.expectSound(scene.workspace.authors)
        try scene.meet([hq, own])
        try scene.expectAgreement([hq, own])
        #expect(try hq.noteRow("n1") == [Value("mine"), Self.large("m")])
    }

    /// Even a value that is there already is written again: what was written before it, and comes later, loses to it still.
    @Test func aValueThatIsThereAlreadyIsWrittenAgain() throws {
        let story = try Story()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        let ankara = try scene.replica("ankara")
        try scene.pull(ankara, from: hq)
        try scene.write(ankara, "UPDATE notes SET title = 'earlier' WHERE id = 'h1'")
        try scene.write(istanbul, "UPDATE notes SET title = 'of hq' WHERE id = 'h1'")
        try story.revoke()
        try istanbul.addRosterRecords(hq.rosterRecords())
        try scene.meet([hq, istanbul, ankara])
        try scene.expectAgreement([hq, istanbul, ankara])
        #expect(try hq.noteRow("h1")?.first == Value("of hq"))
    }

    /// Edits that are not sealed yet rest on what was there when they were made.
    @Test func unsealedEditsSurvive() throws {
        let story = try Story()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try istanbul.execute("UPDATE notes SET title = 'not sealed' WHERE id = 'i1'")
        try istanbul.execute("DELETE FROM notes WHERE id = 'h1'")
        try story.revoke()
        try istanbul.addRosterRecords(hq.rosterRecords())
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try hq.noteRow("i1")?.first == Value("not sealed"))
        #expect(try hq.noteRow("h1") == nil)
    }

    /// The feed that an index follows tells of every row that changed, and no position comes twice.
    @Test func whoFollowsTheFeedIsTold() throws {
        let story = try Story()
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
        let story = try Story()
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
        try scene.write(antalya, "INSERT INTO notes(id, title, body) VALUES ('a1', 'kept', ?)", [Self.large("one")])
        try scene.write(antalya, "UPDATE notes SET body = ? WHERE id = 'a1'", [Self.large("two")])
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
        let story = try Story()
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
        #expect(try late.noteRow("h1") == [Value("void"), Self.large("void")])
        #expect(try late.noteRow("a2") == nil)
        #expect(try late.noteRow("l1") == [Value("late"), .null])
        #expect(try late.noteRow("i1") == [Value("mine"), Self.large("i")])
    }

    @Test func theBlastRadiusIsToldBefore() throws {
        let story = try Story()
        let (istanbul, antalya) = (story.istanbul, story.antalya)
        let radius = try istanbul.blastRadius(
            revoking: antalya.node, lastAccepted: [antalya.origin.incarnation: SequenceNumber(2)])
        #expect(radius.beyond == 2 && radius.dependent == [istanbul.node: 3])
        #expect(
            try istanbul.blastRadius(
                revoking: antalya.node, lastAccepted: [antalya.origin.incarnation: SequenceNumber(4)]) == BlastRadius())
    }
}
