// A cut that meets damage in what it is worked out from does nothing, says where the damage is, and is done once that is mended.
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct DamagedCutTests {
    /// Where a bit flips, and what is said of it.
    struct Flip: CustomTestStringConvertible {
        let column: String
        let table: String
        let condition: String
        var bit = 0
        let said: String

        var testDescription: String { "\(table).\(column), bit \(bit)" }
        func flip(_ replica: Replica) throws { try replica.flipBit(bit, of: column, in: table, where: condition) }
    }

    /// The cut throws, changes nothing but what is sealed before it, and is done as ever when the bit has flipped back.
    private func expectStopped(
        _ replica: Replica, _ scene: CutScene, by flip: Flip, _ cut: () throws -> Rewind?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try replica.expectSound(scene.workspace.authors, sourceLocation: sourceLocation)
        try flip.flip(replica)
        let before = try replica.dump()
        #expect(sourceLocation: sourceLocation) {
            _ = try cut()
        } throws: { error in
            guard let error = error as? ReplicaError else { return false }
            return error.code == .damaged && error.description.contains(flip.said)
        }
        #expect(try replica.dump() == before, sourceLocation: sourceLocation)
        let findings = try replica.verify(authors: scene.workspace.authors).findings
        #expect(!findings.isEmpty, sourceLocation: sourceLocation)
        // Who edits meanwhile goes on.
        try scene.write(replica, "INSERT INTO notes(id, title) VALUES ('meanwhile', 'written')")

        try flip.flip(replica)
        #expect(try cut() != nil, sourceLocation: sourceLocation)
        try replica.expectSound(scene.workspace.authors, sourceLocation: sourceLocation)
        #expect(try replica.noteRow("meanwhile")?.first == Value("written"), sourceLocation: sourceLocation)
    }

    @Test(arguments: [
        Flip(column: "body", table: "sync_change_sets", condition: "position = 4", said: "in the log"),
        // The first of what istanbul built on it.
        Flip(column: "body", table: "sync_change_sets", condition: "position = 6", said: "in the log"),
    ]) func whatItTakesBack(flip: Flip) throws {
        let story = try LateRevocation()
        try story.revoke()
        let records = try story.hq.rosterRecords()
        try expectStopped(story.istanbul, story.scene, by: flip) { try story.istanbul.addRosterRecords(records) }
        try story.scene.meet([story.hq, story.istanbul])
        try story.scene.expectAgreement([story.hq, story.istanbul])
        #expect(try story.istanbul.noteRow("i1") == [Value("mine"), large("i")])
    }

    private static let takenBack = "number = (SELECT min(number) FROM sync_held WHERE taken_back IS NOT NULL)"

    @Test(arguments: [
        Flip(column: "body", table: "sync_held", condition: Self.takenBack, said: "of those held"),
        Flip(column: "body", table: "sync_held", condition: Self.takenBack, bit: 400, said: "of those held"),
        Flip(column: "taken_back", table: "sync_held", condition: Self.takenBack, said: "of those held"),
    ]) func whatAnotherTookBack(flip: Flip) throws {
        let story = try LateRevocation()
        let (scene, hq, istanbul) = (story.scene, story.hq, story.istanbul)
        try story.revoke()
        try istanbul.addRosterRecords(hq.rosterRecords())
        let raised = try scene.revocation(story.antalya, accepting: 4)
        try expectStopped(istanbul, scene, by: flip) { try istanbul.addRosterRecords([raised]) }
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try istanbul.held().isEmpty)
        #expect(try istanbul.noteRow("i1") == [Value("mine"), large("i")])
        #expect(try istanbul.noteRow("a2")?.first == Value("on void"))
    }

    /// A proof that comes is held to the one that is known.
    @Test func theProofThatIsKnown() throws {
        let scene = try CutScene()
        var forked = Forger(scene.workspace.authors)
        let replica = try scene.replica("replica")
        var histories: [[SealedChangeSet]] = [[], []]
        for sequence in 1...3 {
            let start = forked
            for history in 0..<2 {
                forked = start
                histories[history].append(
                    forked.write(
                        .insert, "notes", "n\(sequence)", [("title", Value("of \(history)"))],
                        at: scene.workspace.stamp(Int64(sequence))))
            }
        }
        func proof(_ sequence: Int) throws -> ForkProof {
            let halves = try histories.map {
                try ForkProof.Half(body: $0[sequence - 1].body, signature: $0[sequence - 1].signature)
            }
            return try ForkProof(halves[0], halves[1], key: forked.key.publicKey)
        }
        #expect(try replica.apply([histories[1][0]], from: nil, authors: scene.workspace.authors).changeSets == 1)
        try replica.addForkProofs([proof(3)])
        let flip = Flip(column: "proof", table: "sync_forks", condition: "1", said: "a proof in sync_forks")
        let lower = try proof(1)
        try expectStopped(replica, scene, by: flip) { try replica.addForkProofs([lower]) }
        #expect(try replica.forks().map(\.proof.fork.sequence) == [SequenceNumber(1)])
        #expect(try replica.noteRow("n1") == nil)
    }
}
