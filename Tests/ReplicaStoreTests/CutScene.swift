// A workspace with an authority that revokes, and replicas that exchange what counts for them.
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

final class CutScene {
    let workspace: TestWorkspace
    let authority: CertificateAuthority

    init() throws {
        workspace = try TestWorkspace()
        authority = try CertificateAuthority(
            workspace: workspace.workspace.id, workspaceName: "test", now: workspace.clock.now)
    }

    func replica(_ name: String) throws -> Replica { try workspace.replica(name) }

    /// A record that revokes the replica's node; of its present origin so much is accepted.
    func revocation(_ replica: Replica, accepting last: UInt64, origin: Origin? = nil) throws -> [UInt8] {
        let origin = try origin ?? replica.origin
        return try authority.revoke(
            replica.node, lastAccepted: [origin.incarnation: SequenceNumber(last)], reason: "", now: workspace.clock.now
        ).bytes
    }

    /// Another replica that goes on from a copy of the file, with the same key.
    func copy(_ replica: Replica, _ name: String) throws -> Replica {
        let path = workspace.directory.appendingPathComponent("\(name).sqlite").path
        try replica.backup(to: path)
        return try Replica.open(
            at: path, key: replica.key, tables: [TestTables.notes, TestTables.links], clock: replica.clock)
    }

    /// One change set, written a second after what was written before.
    func write(_ replica: Replica, _ statement: String, _ arguments: [Value] = []) throws {
        workspace.clock.advance(1_000)
        try replica.execute(statement, arguments)
        for table in ["notes", "links"] {
            try replica.setJournalTime(workspace.clock.now.milliseconds, in: table)
        }
        try replica.seal()
    }

    /// What one lacks of the other goes over, as in a session: nothing of origins of which the receiver says that it holds some.
    /// Forks that are met are searched, and the proof is kept.
    func pull(_ receiver: Replica, from sender: Replica) throws {
        try sender.seal()
        for _ in 0..<20 {
            let holds = Set(try receiver.firstHeld().map(\.dot.origin))
            let outgoing = try sender.outgoing(
                lackedBy: receiver.vectors().applied, skipping: holds, maximumBytes: 1 << 20)
            guard !outgoing.changeSets.isEmpty else { break }
            let report = try receiver.apply(
                outgoing.changeSets.map(\.sealed), from: sender.node, authors: workspace.authors)
            if let violation = report.violation { throw violation }
            for fork in report.forks { try search(fork, receiver, sender) }
        }
        for dot in try receiver.awaited() {
            guard let again = try sender.again(dot) else { continue }
            let report = try receiver.apply([again.sealed], from: sender.node, authors: workspace.authors)
            if let violation = report.violation { throw violation }
        }
        for fork in try receiver.forkSuspicions() + receiver.suspicions(comparing: sender.heads()) {
            try search(fork, receiver, sender)
        }
    }

    private func search(_ fork: ForkSuspicion, _ receiver: Replica, _ sender: Replica) throws {
        guard try receiver.cuts().mayForkLower(fork) else { return }
        var search = ForkSearch(fork)
        var step = ForkStep.ask(search.firstQuestion)
        var questions = 0
        while case .ask(let dot) = step {
            questions += 1
            #expect(questions < 50)
            step = try receiver.goOn(
                &search, answer: sender.signedChangeSet(dot), asked: dot, authors: workspace.authors)
        }
        if case .found(let proof) = step { try receiver.addForkProofs([proof]) }
    }

    /// Revocations and proofs that one knows, to the other.
    func tell(_ receiver: Replica, by sender: Replica) throws {
        try receiver.addRosterRecords(sender.rosterRecords())
        try receiver.addForkProofs(sender.forks().map { try ForkProof(bytes: $0.proof.bytes) })
    }

    /// Everyone meets everyone, until nothing more comes of it.
    func meet(_ replicas: [Replica]) throws {
        for _ in 0..<4 {
            for a in replicas {
                for b in replicas where a !== b {
                    try tell(b, by: a)
                    try pull(b, from: a)
                }
            }
        }
    }

    /// Equal vectors, tables, graveyards and ledgers, and nothing that verifying would find.
    func expectAgreement(_ replicas: [Replica], _ comment: Comment = "", _ location: SourceLocation = #_sourceLocation)
        throws
    {
        let first = try #require(replicas.first)
        let oracle = try Oracle(first)
        for replica in replicas {
            #expect(
                try replica.vectors().applied == first.vectors().applied, comment, sourceLocation: location)
            for table in ["notes", "links", "sync_graveyard_notes", "sync_graveyard_links"] {
                #expect(
                    try replica.contents(table) == first.contents(table), "\(comment) \(table)",
                    sourceLocation: location)
            }
            #expect(try replica.ledgerText() == first.ledgerText(), comment, sourceLocation: location)
            try replica.expectSound(workspace.authors, sourceLocation: location)
            try oracle.check(replica, [TestTables.notes, TestTables.links], comment)
        }
    }
}

/// hq, istanbul and antalya have antalya's first two change sets; istanbul has two more, and built on them.
struct LateRevocation {
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

/// A text that travels beside its change set.
func large(_ text: String) -> Value { Value(String(repeating: text, count: 400)) }

extension Replica {
    func noteRow(_ id: String) throws -> [Value]? {
        try read { try $0.query("SELECT title, body FROM notes WHERE id = ?", [Value(id)]).first?.values }
    }
}
