// Two copies of one replica that went on under one origin: found by whoever meets both, proven to everyone, and mended.
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct ForkTests {
    /// istanbul and its copy share two change sets and then wrote on, each on its own; hq met one and ankara the other.
    private struct Story {
        let scene: CutScene
        let hq: Replica
        let ankara: Replica
        let istanbul: Replica
        let copy: Replica
        let origin: Origin

        init(common: Int = 2, alone: Int = 3) throws {
            scene = try CutScene()
            hq = try scene.replica("hq")
            ankara = try scene.replica("ankara")
            istanbul = try scene.replica("istanbul")
            for number in 1...common {
                try scene.write(istanbul, "INSERT INTO notes(id, title) VALUES (?, 'common')", [Value("c\(number)")])
            }
            for replica in [hq, ankara] { try scene.pull(replica, from: istanbul) }
            copy = try scene.copy(istanbul, "copy")
            origin = try istanbul.origin
            for number in 1...alone {
                try scene.write(
                    istanbul, "INSERT INTO notes(id, title, body) VALUES (?, 'one', ?)",
                    [Value("one\(number)"), Value(String(repeating: "1", count: 500))])
                try scene.write(copy, "INSERT INTO notes(id, title) VALUES (?, 'other')", [Value("other\(number)")])
            }
            try scene.write(copy, "UPDATE notes SET title = 'last' WHERE id = 'c1'")
            try scene.pull(hq, from: istanbul)
            try scene.pull(ankara, from: copy)
            try scene.write(hq, "UPDATE notes SET amount = 1 WHERE id = 'one1'")
            try scene.write(ankara, "INSERT INTO links(id) VALUES ('of ankara')")
        }
    }

    /// A machine that is put back once more, to where the fork begins: nothing of it is taken back, and nothing that it writes
    /// under that origin would count.
    @Test func aCopyThatEndsWhereTheForkBeginsGoesOnUnderAnotherOrigin() throws {
        let scene = try CutScene()
        let (hq, istanbul) = (try scene.replica("hq"), try scene.replica("istanbul"))
        try scene.write(istanbul, "INSERT INTO notes(id, title) VALUES ('c1', 'common')")
        let (copy, idle) = (try scene.copy(istanbul, "copy"), try scene.copy(istanbul, "idle"))
        let origin = try istanbul.origin
        for replica in [istanbul, copy] {
            try scene.write(
                replica, "INSERT INTO notes(id, title) VALUES (?, 'x')", [Value("of \(replica.path.suffix(9))")])
            try scene.pull(hq, from: replica)
        }
        let proof = try #require(try hq.forks().first).proof
        #expect(proof.fork.sequence == SequenceNumber(2))
        try idle.execute("INSERT INTO notes(id, title) VALUES ('before', 'unsealed as the proof comes')")
        try idle.addForkProofs([proof])
        try scene.write(idle, "INSERT INTO notes(id, title) VALUES ('after', 'and after it')")
        #expect(try idle.origin != origin)
        #expect(try idle.vectors().applied[origin] == SequenceNumber(1))
        try idle.expectSound(scene.workspace.authors)
        try scene.meet([hq, istanbul, copy, idle])
        try scene.expectAgreement([hq, istanbul, copy, idle])
        for id in ["before", "after"] { #expect(try hq.noteRow(id) != nil, "\(id)") }
    }

    @Test(arguments: [(2, 3), (1, 1), (5, 60)]) func whoMeetsBothProvesItAndEveryoneHeals(lengths: (Int, Int)) throws {
        let story = try Story(common: lengths.0, alone: lengths.1)
        let (scene, hq, ankara) = (story.scene, story.hq, story.ankara)
        try scene.pull(hq, from: ankara)
        let fork = try #require(try hq.forks().first)
        // Where they parted, not where it was noticed.
        #expect(fork.proof.fork == Dot(origin: story.origin, sequence: SequenceNumber(UInt64(lengths.0) + 1)))
        #expect(try hq.vectors().applied[story.origin] == SequenceNumber(UInt64(lengths.0)))
        try hq.expectSound(scene.workspace.authors)
        #expect(try ForkProof(bytes: fork.proof.bytes) == fork.proof)

        let all = [hq, ankara, story.istanbul, story.copy]
        try scene.meet(all)
        try scene.expectAgreement(all)
        for replica in all { #expect(try replica.forks().map(\.proof) == [fork.proof]) }
        #expect(try story.istanbul.origin != story.origin)
        #expect(try story.istanbul.origin != story.copy.origin)
        for number in 1...lengths.1 {
            #expect(try hq.noteRow("one\(number)")?.first == Value("one"))
            #expect(try hq.noteRow("other\(number)")?.first == Value("other"))
        }
        #expect(try hq.noteRow("c1")?.first == Value("last"))
        #expect(try ankara.contents("links").count == 1)
        #expect(try ankara.read { try $0.query("SELECT amount FROM notes WHERE id = 'one1'") }.first?[0] == .integer(1))
        // The copies may go on.
        try scene.write(story.copy, "INSERT INTO notes(id, title) VALUES ('later', 'x')")
        try scene.meet(all)
        try scene.expectAgreement(all)
    }

    /// What a replica had applied of one history, and a cut took back, does not keep the other from it.
    @Test func aForkIsFoundThoughOneOfItsHistoriesWasSetAside() throws {
        let scene = try CutScene()
        let hq = try scene.replica("hq")
        let ankara = try scene.replica("ankara")
        let istanbul = try scene.replica("istanbul")
        try scene.write(ankara, "INSERT INTO notes(id, title) VALUES ('c1', 'common')")
        let secondAnkara = try scene.copy(ankara, "second ankara")
        let secondIstanbul = try scene.copy(istanbul, "second istanbul")
        let former = try istanbul.origin
        try scene.write(ankara, "UPDATE notes SET title = 'one' WHERE id = 'c1'")
        try scene.write(secondAnkara, "UPDATE notes SET title = 'other' WHERE id = 'c1'")
        try scene.write(secondAnkara, "INSERT INTO links(id) VALUES ('longer')")
        // istanbul builds on one of ankara's histories, its copy on neither.
        try scene.pull(istanbul, from: ankara)
        try scene.write(istanbul, "INSERT INTO notes(id, title) VALUES ('i1', 'on one')")
        try scene.write(secondIstanbul, "INSERT INTO notes(id, title) VALUES ('i2', 'on neither')")
        try scene.pull(hq, from: ankara)
        try scene.pull(hq, from: secondAnkara)
        #expect(try hq.forks().count == 1)
        try scene.tell(istanbul, by: hq)
        #expect(try istanbul.vectors().applied[former] == .zero)
        #expect(try istanbul.held().contains { $0.dot.origin == former })
        try scene.pull(hq, from: secondIstanbul)
        #expect(try hq.vectors().applied[former] == SequenceNumber(1))

        let all = [hq, ankara, secondAnkara, istanbul, secondIstanbul]
        try scene.meet(all)
        #expect(try hq.cuts().forked[former] == SequenceNumber(1))
        try scene.expectAgreement(all)
        for id in ["i1", "i2"] { #expect(try hq.noteRow(id) != nil) }
    }

    /// A peer that answers nothing is proof enough: what it sent cannot follow what is known.
    @Test func whoDoesNotAnswerIsCutOffWhereItWasMet() throws {
        let story = try Story()
        let (scene, hq) = (story.scene, story.hq)
        let sent = try story.copy.outgoing(lackedBy: hq.vectors().applied, maximumBytes: 1 << 20).changeSets
        let report = try hq.apply(sent.map(\.sealed), from: nil, authors: scene.workspace.authors)
        let suspicion = try #require(report.forks.first)
        var search = ForkSearch(suspicion)
        let step = try hq.goOn(
            &search, answer: nil, asked: search.firstQuestion, authors: scene.workspace.authors)
        guard case .found(let proof) = step else {
            Issue.record("\(step)")
            return
        }
        #expect(proof.fork.sequence == SequenceNumber(5))
        try hq.addForkProofs([proof])
        // What is found out later goes lower.
        let all = [hq, story.ankara, story.istanbul, story.copy]
        try scene.meet(all)
        try scene.pull(story.ankara, from: story.istanbul)
        try scene.meet(all)
        try scene.expectAgreement(all)
    }

    /// Two histories that part at the third change set, and one that left them at the second.
    private struct ThreeHistories {
        let origin: Origin
        let first, second, otherSecond: SealedChangeSet
        /// Of the two thirds.
        let proof: ForkProof

        init(_ scene: CutScene) throws {
            var one = Forger(scene.workspace.authors)
            func write(_ forger: inout Forger, _ id: String, _ seconds: Int64) -> SealedChangeSet {
                forger.write(.insert, "notes", id, [("title", Value("of it"))], at: scene.workspace.stamp(seconds))
            }
            func half(_ sealed: SealedChangeSet) throws -> ForkProof.Half {
                try ForkProof.Half(body: sealed.body, signature: sealed.signature)
            }
            origin = one.origin
            first = write(&one, "n1", 0)
            var third = one
            otherSecond = write(&third, "n3", 1)
            second = write(&one, "n2", 1)
            var two = one
            proof = try ForkProof(
                half(write(&one, "n4", 2)), half(write(&two, "n5", 2)), key: one.key.publicKey)
        }
    }

    /// What is proven already is not the lowest fork where one holds a third history, which parted from both before.
    @Test(arguments: [false, true]) func aThirdHistoryIsProvenToo(proofFirst: Bool) throws {
        let scene = try CutScene()
        let (hq, ankara) = (try scene.replica("hq"), try scene.replica("ankara"))
        let histories = try ThreeHistories(scene)
        func take(_ changeSets: [SealedChangeSet], _ replica: Replica) throws {
            #expect(try replica.apply(changeSets, from: nil, authors: scene.workspace.authors).violation == nil)
        }
        for replica in [hq, ankara] { try take([histories.first, histories.second], replica) }
        if proofFirst { try hq.addForkProofs([histories.proof]) }
        try take([histories.otherSecond], hq)
        if !proofFirst { try hq.addForkProofs([histories.proof]) }
        #expect(try hq.cuts().forked[histories.origin] == SequenceNumber(3))
        #expect(
            try hq.forkSuspicions() == [ForkSuspicion(origin: histories.origin, differs: SequenceNumber(2))])
        // Whoever has what hq has may answer.
        try scene.meet([hq, ankara])
        for replica in [hq, ankara] {
            #expect(try replica.cuts().forked[histories.origin] == SequenceNumber(2))
            #expect(try replica.forkSuspicions().isEmpty)
        }
        try scene.expectAgreement([hq, ankara])
    }

    /// A third history that came after the proof is one that the proof lets in.
    @Test func aThirdHistoryIsMetByComparing() throws {
        let scene = try CutScene()
        let (hq, ankara) = (try scene.replica("hq"), try scene.replica("ankara"))
        let histories = try ThreeHistories(scene)
        for (replica, second) in [(hq, histories.second), (ankara, histories.otherSecond)] {
            try replica.addForkProofs([histories.proof])
            let report = try replica.apply(
                [histories.first, second], from: nil, authors: scene.workspace.authors)
            #expect(report.changeSets == 2 && report.forks.isEmpty)
        }
        #expect(try hq.vectors().applied == ankara.vectors().applied)
        #expect(
            try hq.suspicions(comparing: ankara.heads())
                == [ForkSuspicion(origin: histories.origin, differs: SequenceNumber(2))])
        try scene.meet([hq, ankara])
        #expect(try hq.cuts().forked[histories.origin] == SequenceNumber(2))
        try scene.expectAgreement([hq, ankara])
    }

    @Test func aForgedProofIsRefused() throws {
        let story = try Story()
        let (scene, hq) = (story.scene, story.hq)
        let honest = try #require(
            try story.istanbul.signedChangeSet(Dot(origin: story.origin, sequence: SequenceNumber(1))))
        let next = try #require(
            try story.istanbul.signedChangeSet(Dot(origin: story.origin, sequence: SequenceNumber(2))))
        let third = try #require(
            try story.istanbul.signedChangeSet(Dot(origin: story.origin, sequence: SequenceNumber(3))))
        func half(_ sealed: SealedChangeSet) throws -> ForkProof.Half {
            try ForkProof.Half(body: sealed.body, signature: sealed.signature)
        }
        let key = story.istanbul.key.publicKey
        // One history, one change set twice, and places that are not beside each other.
        for (one, other) in [(honest, next), (honest, honest), (honest, third)] {
            #expect(throws: ForkProofError.self) { try ForkProof(half(one), half(other), key: key) }
        }
        // Another's signature, or key.
        var forger = Forger(scene.workspace.authors)
        let forged = forger.write(at: scene.workspace.stamp())
        #expect(throws: ForkProofError.self) {
            try ForkProof(half(honest), ForkProof.Half(body: next.body, signature: forged.signature), key: key)
        }
        #expect(throws: ForkProofError.self) { try ForkProof(half(honest), half(forged), key: forger.key.publicKey) }
        // Every bit of a proof counts.
        try scene.pull(hq, from: story.ankara)
        let proof = try #require(try hq.forks().first?.proof)
        for place in 0..<proof.bytes.count * 8 {
            var changed = proof.bytes
            changed[place / 8] ^= 1 << UInt8(place % 8)
            #expect(throws: ForkProofError.self, "bit \(place)") { try ForkProof(bytes: changed) }
        }
        for count in [0, 8, 40, proof.bytes.count - 1] {
            #expect(throws: ForkProofError.self) { try ForkProof(bytes: Array(proof.bytes.prefix(count))) }
        }
        #expect(throws: ForkProofError.self) { try ForkProof(bytes: proof.bytes + [0]) }
    }
}
