// Restored replicas: never two change sets under one name, nothing lost, and the operator told.
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct RestoreTests {
    @Test func aRestoredBackupGoesOnUnderANewOriginAndGetsEverythingBack() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.note("n1", "one")
        try workspace.pull(b, from: a)
        try a.note("n2", "not sealed in the backup")
        let backup = workspace.directory.appendingPathComponent("backup").path
        try a.backup(to: backup)
        try a.note("n3", "three")
        try a.execute("UPDATE notes SET title = 'later' WHERE id = 'n1'")
        try workspace.pull(b, from: a)
        let (former, lost) = (try a.origin, try a.contents("notes"))
        try a.close()

        try node.restore(backup)
        let restored = try node.open()
        #expect(try restored.origin != former)
        #expect(try restored.origin.node == former.node)
        try restored.expectNotices(.restored)
        try restored.note("n4", "after the restore")
        try workspace.meet(restored, b)
        #expect(try restored.contents("notes").filter { $0[0] != Value("n4") } == lost)
        #expect(try restored.contents("notes") == b.contents("notes"))
        #expect(try restored.vectors().applied == b.vectors().applied)
        #expect(try restored.ledgerText() == b.ledgerText())
        try restored.expectSound(workspace.authors)
        try b.expectSound(workspace.authors)

        let origin = try restored.origin
        try restored.close()
        let again = try node.open()
        #expect(try again.origin == origin)
        try again.expectNotices(.restored)
        try again.dismissNotices()
        try again.expectNotices()
    }

    @Test func aBackupThatMissesNothingIsNoRestore() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.note("n1", "one")
        try workspace.pull(b, from: a)
        let backup = workspace.directory.appendingPathComponent("backup").path
        try a.note("n2", "in the backup, and never sealed")
        try a.backup(to: backup)
        try a.note("n2", "neither")
        let origin = try a.origin
        try a.close()
        try node.restore(backup)
        let restored = try node.open()
        #expect(try restored.origin == origin)
        try restored.expectNotices()
        try restored.note("n2", "another")
        try workspace.pull(b, from: restored)
        #expect(try b.contents("notes") == restored.contents("notes"))
    }

    /// A copy of the file is a way out, too: what it holds must never be sealed again by an older one.
    @Test func whatABackupHoldsIsNotSealedASecondTime() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        let (older, newer) = (
            workspace.directory.appendingPathComponent("older").path,
            workspace.directory.appendingPathComponent("newer").path
        )
        try a.note("n1", "one")
        try a.seal()
        try a.backup(to: older)
        try a.note("n2", "two")
        try a.seal()
        try a.backup(to: newer)
        try a.close()
        let watch = ForkWatch()
        for backup in [older, newer, older] {
            try node.restore(backup)
            let restored = try node.open()
            try restored.note("n3", "after \(backup)")
            try workspace.pull(b, from: restored)
            try watch.look(at: restored)
            try restored.close()
        }
        try watch.look(at: b)
        #expect(try b.contents("notes").map { $0[0] } == ["n1", "n2", "n3"].map { Value($0) })
    }

    @Test func anotherReplicaPutBesideTheIdentityIsRefused() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let (other, b) = try MarkedNode.make("b", in: workspace)
        try b.close()
        try a.close()
        try node.restore(other.path)
        let error = #expect(throws: ReplicaError.self) { _ = try node.open() }
        #expect(error?.code == .refused)
        #expect(error?.description.contains("syncnode recover") == true)
    }

    @Test func aHistoryThatWentOnBesideTheOtherIsRefused() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.note("n1", "one")
        try a.seal()
        try a.close()
        let backup = workspace.directory.appendingPathComponent("cp").path
        try FileManager.default.copyItem(atPath: node.path, toPath: backup)
        let went = try node.open()
        try went.note("n2", "sent")
        try workspace.pull(b, from: went)
        try went.close()
        // Sealed where the mark is not: by a program that was given none.
        let aside = try Replica.open(at: backup, key: node.key, tables: MarkedNode.tables, clock: went.clock)
        try aside.note("n2", "sealed aside")
        try aside.seal()
        try aside.close()
        try node.restore(backup)
        let error = #expect(throws: ReplicaError.self) { _ = try node.open() }
        #expect(error?.code == .fork)
    }

    @Test func aLostReplicaIsMadeAnew() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.note("n1", "one")
        try workspace.pull(b, from: a)
        let (former, contents) = (try a.origin, try a.contents("notes"))
        try a.close()
        for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: node.path + end) }
        let anew = try node.create(in: workspace)
        #expect(try anew.origin != former)
        try workspace.pull(anew, from: b)
        #expect(try anew.contents("notes") == contents)
        try anew.note("n2", "two")
        try workspace.pull(b, from: anew)
        #expect(try anew.contents("notes") == b.contents("notes"))
        try anew.expectSound(workspace.authors)
    }

    @Test func whatIsWrittenAfterARestoreIsStampedAfterWhatWasLost() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.note("n1", "one")
        let backup = workspace.directory.appendingPathComponent("backup").path
        try a.seal()
        try a.backup(to: backup)
        workspace.clock.advance(120_000)
        try a.execute("UPDATE sync_journal_notes SET at = at + 120000")
        try a.execute("UPDATE notes SET title = 'lost'")
        try a.execute("UPDATE sync_journal_notes SET at = at + 120000")
        try workspace.pull(b, from: a)
        try a.close()
        // The clock went back as well.
        workspace.clock.advance(-120_000)
        try node.restore(backup)
        let restored = try node.open()
        try restored.execute("UPDATE notes SET title = 'written after the restore'")
        try restored.seal()
        try workspace.meet(restored, b)
        #expect(try b.contents("notes").first?[1] == Value("written after the restore"))
    }

    /// The whole disk is taken back, mark and all, as a snapshot does it: peers remember.
    @Test(arguments: [true, false]) func aDiskThatIsTakenBackIsNoticedByWhatPeersHave(pulls: Bool) throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.note("n1", "one")
        try workspace.pull(b, from: a)
        let backup = workspace.directory.appendingPathComponent("backup").path
        try a.backup(to: backup)
        let mark = try node.markBytes
        try a.note("n2", "two")
        try workspace.pull(b, from: a)
        let former = try a.origin
        try a.close()
        try node.restore(backup)
        try node.damageMark(mark)
        let restored = try node.open()
        #expect(try restored.origin == former)
        if pulls { try workspace.pull(restored, from: b) }
        try restored.note("n3", "three")
        if !pulls { _ = try restored.outgoing(lackedBy: b.vectors().applied, maximumBytes: .max) }
        try restored.seal()
        #expect(try restored.origin != former)
        try restored.expectNotices(.restored)
        try workspace.meet(restored, b)
        #expect(try restored.contents("notes") == b.contents("notes"))
        #expect(try b.contents("notes").count == 3)
        let watch = ForkWatch()
        for replica in [restored, b] { try watch.look(at: replica) }
    }

    /// A restore in place, while a program has the replica open.
    @Test func aReplicaThatIsTakenBackUnderARunningProgramIsNoticed() throws {
        let (workspace, _, a, b) = try MarkedNode.withPeer()
        let backup = workspace.directory.appendingPathComponent("backup").path
        try a.note("n1", "one")
        try workspace.pull(b, from: a)
        try a.backup(to: backup)
        try a.note("n2", "two")
        try workspace.pull(b, from: a)
        let former = try a.origin
        let shell = try OtherProgram("sqlite3", [a.path, ".timeout 10000", ".restore \(backup)"]).end()
        #expect(shell.status == 0)
        try a.note("n3", "after")
        try workspace.meet(a, b)
        #expect(try a.origin != former)
        #expect(try a.contents("notes") == b.contents("notes"))
        #expect(try a.contents("notes").count == 3)
    }

    /// A backup that an older version made is brought to the present form when it is verified, and what it holds unsealed is sealed
    /// then: never under numbers that are used up.
    @Test func verifyingAnOlderBackupSealsNothingUnderAnOldNumber() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.execute("INSERT INTO notes(id, title) VALUES ('n', '1')")
        try workspace.pull(b, from: a)
        let origin = try a.origin
        try a.close()
        let backup = workspace.directory.appendingPathComponent("backup").path
        try FileManager.default.copyItem(atPath: node.path, toPath: backup)
        let held = try Replica.open(
            at: backup, key: node.key, tables: MarkedNode.tables, clock: { [clock = workspace.clock] in clock.now })
        try held.execute("INSERT INTO notes(id, title) VALUES ('unsealed', 'in the backup')")
        try held.damage("DELETE FROM sync_settings WHERE name = 'declared'")
        try held.close()

        let later = try node.open()
        try later.execute("UPDATE notes SET title = '2' WHERE id = 'n'")
        try workspace.pull(b, from: later)
        try later.close()
        try FileManager.default.removeItem(atPath: node.path)
        try FileManager.default.copyItem(atPath: backup, toPath: node.path)
        let restored = try Replica.open(
            at: node.path, key: node.key, tables: MarkedNode.tables, mark: node.mark, settles: false,
            clock: { [clock = workspace.clock] in clock.now })
        #expect(try restored.verify(authors: workspace.authors).isSound)
        #expect(try restored.vectors().applied[origin] == SequenceNumber(1))
        #expect(try restored.origin != origin)
        try workspace.pull(restored, from: b)
        try workspace.pull(b, from: restored)
        #expect(try b.contents("notes") == restored.contents("notes"))
        #expect(try b.contents("notes").map { $0[1].string } == ["2", "in the backup"])
        #expect(try b.held().isEmpty && restored.held().isEmpty)
    }
}
