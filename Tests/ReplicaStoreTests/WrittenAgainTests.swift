// What a cut sets aside of honest work is written again by who wrote it, and by nobody else.
import Foundation
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct WrittenAgainTests {
    /// Each writes its own again, whoever learns first; an edit of a row that another must bring back waits for it.
    @Test func everyoneWritesItsOwnAgain() throws {
        let story = try LateRevocation()
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
        let story = try LateRevocation()
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
        try scene.write(own, "UPDATE notes SET title = 'mine', body = ? WHERE id = 'n1'", [large("m")])
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
        #expect(try own.noteRow("n1") == [Value("mine"), large("m")])
        #expect(try own.noteRow("a1") == nil)
        try own.expectSound(scene.workspace.authors)
        try scene.meet([hq, own])
        try scene.expectAgreement([hq, own])
        #expect(try hq.noteRow("n1") == [Value("mine"), large("m")])
    }

    /// What a node wrote that is revoked, and that counts, but is set aside for what it builds on, nobody writes again: so what it
    /// had won over is.
    @Test(arguments: [[0, 1], [1, 0], nil]) func ownWorkComesBackInPlaceOfWhatNobodyWritesAgain(inTurn: [Int]?) throws {
        let scene = try CutScene()
        let (hq, own) = (try scene.replica("hq"), try scene.replica("own"))
        let (antalya, izmir) = (try scene.replica("antalya"), try scene.replica("izmir"))
        try scene.write(hq, "INSERT INTO notes(id, title, body) VALUES ('n1', 'base', 'base')")
        try scene.pull(antalya, from: hq)
        try scene.write(antalya, "INSERT INTO notes(id, title) VALUES ('a1', 'void')")
        for replica in [own, izmir] { try scene.pull(replica, from: antalya) }
        try scene.write(own, "UPDATE notes SET title = 'mine' WHERE id = 'n1'")
        try scene.write(own, "INSERT INTO notes(id, title) VALUES ('n2', 'new')")
        try scene.pull(izmir, from: own)
        try scene.write(izmir, "UPDATE notes SET title = 'theirs', body = 'theirs' WHERE id = 'n1'")
        try scene.write(izmir, "UPDATE notes SET body = 'theirs' WHERE id = 'n2'")
        try scene.pull(own, from: izmir)
        #expect(try own.noteRow("n1") == [Value("theirs"), Value("theirs")])
        let cuts = [try scene.revocation(antalya, accepting: 0), try scene.revocation(izmir, accepting: 2)]
        if let inTurn {
            for place in inTurn { try own.addRosterRecords([cuts[place]]) }
        } else {
            try own.addRosterRecords(cuts)
        }
        #expect(try own.noteRow("n1") == [Value("mine"), Value("base")])
        // A row that is inserted again is as it was here, but where a first cut had taken the other's write already.
        #expect(try own.noteRow("n2")?.first == Value("new"))
        #expect(try own.held().map(\.dot.origin.node).contains(izmir.node))
        try own.expectSound(scene.workspace.authors)
        try scene.meet([hq, own])
        try scene.expectAgreement([hq, own])
    }

    /// Even a value that is there already is written again: what was written before it, and comes later, loses to it still.
    @Test func aValueThatIsThereAlreadyIsWrittenAgain() throws {
        let story = try LateRevocation()
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
        let story = try LateRevocation()
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

    /// Who brings a row back had not seen the delete: a row too many is better than one too few.
    @Test func theDeleteOfARowThatIsGoneIsNotWrittenAgain() throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try scene.write(istanbul, "DELETE FROM notes WHERE id = 'a2'")
        try scene.write(istanbul, "DELETE FROM notes WHERE id = 'a1'")
        try story.revoke()
        try scene.write(hq, "INSERT INTO notes(id, body) VALUES ('a2', 'made anew')")
        try istanbul.addRosterRecords(hq.rosterRecords())
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try hq.noteRow("a2")?.last == Value("made anew"))
        // Of a row that stays, it is.
        #expect(try hq.noteRow("a1") == nil)
        #expect(try istanbul.waitingEdits() == [])
    }

    /// What another wrote over it, and writes again, is not met by the edit that it had overwritten.
    @Test func anEditThatLostDoesNotWait() throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        let ankara = try scene.replica("ankara")
        try scene.pull(ankara, from: istanbul)
        try scene.write(ankara, "UPDATE notes SET title = 'by ankara' WHERE id = 'a2'")
        try scene.pull(istanbul, from: ankara)
        try story.revoke()
        for replica in [istanbul, ankara] { try replica.addRosterRecords(hq.rosterRecords()) }
        let title = WaitingEdit(table: "notes", id: RowID("a2"), field: "title")
        #expect(try istanbul.waitingEdits() == [])
        #expect(try ankara.waitingEdits() == [title])
        try scene.write(hq, "INSERT INTO notes(id, body) VALUES ('a2', 'made anew')")
        try scene.meet([hq, istanbul, ankara])
        try scene.expectAgreement([hq, istanbul, ankara])
        #expect(try istanbul.noteRow("a2") == [Value("by ankara"), Value("made anew")])
        #expect(try ankara.waitingEdits() == [])
    }

    /// What a clone wrote under the same name, and a cut takes back, does not put it out of mind: the row was there all the same
    /// when its insert was set aside, and is gone when the delete that it had overwritten counts again.
    @Test func anInsertOverADeleteThatComesBackOutlivesAClone() throws {
        let scene = try CutScene()
        let (hq, antalya, own) = (try scene.replica("hq"), try scene.replica("antalya"), try scene.replica("own"))
        try scene.write(hq, "INSERT INTO notes(id, title) VALUES ('h1', 'of hq')")
        try scene.pull(antalya, from: hq)
        try scene.write(antalya, "DELETE FROM notes WHERE id = 'h1'")
        try scene.pull(own, from: hq)
        let copy = try scene.copy(own, "copy")
        try scene.pull(own, from: antalya)
        try scene.write(own, "INSERT INTO notes(id, title) VALUES ('h1', 'mine')")
        try scene.write(copy, "INSERT INTO notes(id, title) VALUES ('c1', 'of the copy')")
        try hq.addRosterRecords([scene.revocation(antalya, accepting: 0)])
        try own.addRosterRecords(hq.rosterRecords())
        #expect(try own.noteRow("h1")?.first == Value("mine"))
        try scene.pull(own, from: copy)
        try scene.pull(own, from: copy)
        #expect(try own.forks().count == 1)
        try hq.addRosterRecords([scene.revocation(antalya, accepting: 1)])
        try own.addRosterRecords(hq.rosterRecords())
        #expect(try own.noteRow("h1")?.first == Value("mine"))
        try own.expectSound(scene.workspace.authors)
        try scene.meet([hq, own, copy])
        try scene.expectAgreement([hq, own, copy])
        #expect(try hq.noteRow("h1")?.first == Value("mine"))
        #expect(try hq.noteRow("c1")?.first == Value("of the copy"))
    }

    /// A row that is there already is stated to be there: a delete that was overwritten, and comes later, loses to that.
    @Test func aRowThatIsThereAlreadyIsBroughtBackAgain() throws {
        let scene = try CutScene()
        let (hq, antalya, izmir) = (try scene.replica("hq"), try scene.replica("antalya"), try scene.replica("izmir"))
        let own = try scene.replica("own")
        try scene.write(hq, "INSERT INTO notes(id, title) VALUES ('h1', 'of hq')")
        for replica in [antalya, izmir] { try scene.pull(replica, from: hq) }
        try scene.write(antalya, "DELETE FROM notes WHERE id = 'h1'")
        try scene.write(izmir, "DELETE FROM notes WHERE id = 'h1'")
        try scene.pull(own, from: antalya)
        try scene.write(own, "INSERT INTO notes(id, title) VALUES ('h1', 'mine')")
        try hq.addRosterRecords([scene.revocation(antalya, accepting: 0)])
        try own.addRosterRecords(hq.rosterRecords())
        #expect(try own.noteRow("h1")?.first == Value("mine"))
        try scene.meet([hq, izmir, own])
        try scene.expectAgreement([hq, izmir, own])
        #expect(try hq.noteRow("h1")?.first == Value("mine"))
    }

    /// A row is brought back, and what this node had written in it is forbidden by somebody's constraint: that is stated once.
    @Test func aRowThatIsBroughtBackWithoutItsEditIsBroughtBackOnce() throws {
        let scene = try CutScene()
        let (hq, antalya, own) = (try scene.replica("hq"), try scene.replica("antalya"), try scene.replica("own"))
        try scene.write(hq, "INSERT INTO notes(id, title) VALUES ('h1', 'of hq'), ('h2', 'mine')")
        try scene.pull(antalya, from: hq)
        try scene.write(antalya, "DELETE FROM notes WHERE id = 'h1'")
        try scene.write(antalya, "UPDATE notes SET title = 'void' WHERE id = 'h2'")
        try scene.pull(own, from: antalya)
        try own.execute("CREATE UNIQUE INDEX added ON notes(title)")
        try scene.write(own, "INSERT INTO notes(id, title) VALUES ('h1', 'mine')")
        try hq.addRosterRecords([scene.revocation(antalya, accepting: 0)])
        try own.addRosterRecords(hq.rosterRecords())
        #expect(try own.noteRow("h1")?.first == Value("of hq") && own.noteRow("h2")?.first == Value("mine"))
        #expect(try own.notices().map(\.kind) == [.notWrittenAgain, .rewound])
        #expect(try own.waitingEdits() == [])
        let stated = try own.vectors().applied[own.origin]
        #expect(stated == SequenceNumber(1))
        for round in 0..<3 {
            try scene.write(hq, "INSERT INTO links(id) VALUES (?)", [Value("l\(round)")])
            try scene.pull(own, from: hq)
            try own.seal()
        }
        #expect(try own.vectors().applied[own.origin] == stated)
        try scene.meet([hq, own])
        try scene.expectAgreement([hq, own])
    }

    /// What nobody would have written again comes free: own work that it had won over, and that still waits for its row, does not
    /// come over it.
    @Test func whatComesFreeStandsOverWhatItHadWonOver() throws {
        let scene = try CutScene()
        let (hq, own) = (try scene.replica("hq"), try scene.replica("own"))
        let (antalya, bursa) = (try scene.replica("antalya"), try scene.replica("bursa"))
        let izmir = try scene.replica("izmir")
        try scene.write(bursa, "INSERT INTO notes(id, title) VALUES ('b1', 'void')")
        try scene.write(antalya, "INSERT INTO notes(id, title) VALUES ('a1', 'of antalya')")
        for sender in [antalya, bursa] { try scene.pull(own, from: sender) }
        try scene.pull(izmir, from: antalya)
        try scene.write(own, "UPDATE notes SET title = 'mine' WHERE id = 'a1'")
        try scene.write(izmir, "UPDATE notes SET title = 'theirs' WHERE id = 'a1'")
        try scene.pull(own, from: izmir)
        #expect(try own.noteRow("a1")?.first == Value("theirs"))
        try own.addRosterRecords([
            scene.revocation(antalya, accepting: 0), scene.revocation(bursa, accepting: 0),
            scene.revocation(izmir, accepting: 1),
        ])
        #expect(try own.noteRow("a1") == nil)
        #expect(try own.waitingEdits() == [WaitingEdit(table: "notes", id: RowID("a1"), field: "title")])
        try own.addRosterRecords([scene.revocation(antalya, accepting: 1)])
        #expect(try own.noteRow("a1")?.first == Value("theirs"))
        #expect(try own.waitingEdits() == [])
        try scene.meet([hq, own])
        try scene.expectAgreement([hq, own])
    }
}
