// Restored, copied and moved replicas: never two change sets under one name, nothing lost, and the operator told.
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct RestoreTests {
    private func note(_ replica: Replica, _ id: String, _ title: String) throws {
        try replica.execute("INSERT OR REPLACE INTO notes(id, title) VALUES (?, ?)", [Value(id), Value(title)])
    }

    /// Both have what either has.
    private func meet(_ workspace: TestWorkspace, _ one: Replica, _ other: Replica) throws {
        try workspace.pull(one, from: other)
        try workspace.pull(other, from: one)
        try workspace.pull(one, from: other)
    }

    private func expectKinds(
        _ replica: Replica, _ kinds: ReplicaNotice.Kind..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let notices = try replica.notices()
        #expect(notices.map(\.kind) == kinds, "\(notices)", sourceLocation: sourceLocation)
    }

    @Test func aRestoredBackupGoesOnUnderANewOriginAndGetsEverythingBack() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(a, "n1", "one")
        try workspace.pull(b, from: a)
        try note(a, "n2", "not sealed in the backup")
        let backup = workspace.directory.appendingPathComponent("backup").path
        try a.backup(to: backup)
        try note(a, "n3", "three")
        try a.execute("UPDATE notes SET title = 'later' WHERE id = 'n1'")
        try workspace.pull(b, from: a)
        let (former, lost) = (try a.origin, try a.contents("notes"))
        try a.close()

        try node.restore(backup)
        let restored = try node.open()
        #expect(try restored.origin != former)
        #expect(try restored.origin.node == former.node)
        try expectKinds(restored, .restored)
        try note(restored, "n4", "after the restore")
        try meet(workspace, restored, b)
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
        try expectKinds(again, .restored)
        try again.dismissNotices()
        try expectKinds(again)
    }

    @Test func aBackupThatMissesNothingIsNoRestore() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(a, "n1", "one")
        try workspace.pull(b, from: a)
        let backup = workspace.directory.appendingPathComponent("backup").path
        try note(a, "n2", "in the backup, and never sealed")
        try a.backup(to: backup)
        try note(a, "n2", "neither")
        let origin = try a.origin
        try a.close()
        try node.restore(backup)
        let restored = try node.open()
        #expect(try restored.origin == origin)
        try expectKinds(restored)
        try note(restored, "n2", "another")
        try workspace.pull(b, from: restored)
        #expect(try b.contents("notes") == restored.contents("notes"))
    }

    /// A copy of the file is a way out, too: what it holds must never be sealed again by an older one.
    @Test func whatABackupHoldsIsNotSealedASecondTime() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        let (older, newer) = (
            workspace.directory.appendingPathComponent("older").path,
            workspace.directory.appendingPathComponent("newer").path
        )
        try note(a, "n1", "one")
        try a.seal()
        try a.backup(to: older)
        try note(a, "n2", "two")
        try a.seal()
        try a.backup(to: newer)
        try a.close()
        let watch = ForkWatch()
        for backup in [older, newer, older] {
            try node.restore(backup)
            let restored = try node.open()
            try note(restored, "n3", "after \(backup)")
            try workspace.pull(b, from: restored)
            try watch.look(at: restored)
            try restored.close()
        }
        try watch.look(at: b)
        #expect(try b.contents("notes").map { $0[0] } == ["n1", "n2", "n3"].map { Value($0) })
    }

    @Test(arguments: [true, false]) func aCopyAndItsOriginalBothGoOn(originalFirst: Bool) throws {
        let workspace = try TestWorkspace()
        let (node, first) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(first, "n1", "one")
        try workspace.pull(b, from: first)
        try note(first, "n2", "sealed before the copy")
        try first.seal()
        try note(first, "n3", "not sealed before the copy")
        try first.close()
        let copy = try node.copied(to: "copy")
        let nodes = originalFirst ? [node, copy] : [copy, node]
        let replicas = try nodes.map { try $0.open() }
        let (original, twin) = originalFirst ? (replicas[0], replicas[1]) : (replicas[1], replicas[0])
        #expect(try original.origin != twin.origin)
        try expectKinds(original)
        try expectKinds(twin, .copied)
        let watch = ForkWatch()
        for round in 0..<3 {
            try note(original, "o\(round)", "original")
            try note(twin, "t\(round)", "twin")
            try meet(workspace, original, b)
            try meet(workspace, twin, b)
            for replica in [original, twin, b] { try watch.look(at: replica) }
        }
        try meet(workspace, original, b)
        #expect(try original.contents("notes") == b.contents("notes"))
        #expect(try twin.contents("notes") == b.contents("notes"))
        for replica in [original, twin, b] { try replica.expectSound(workspace.authors) }
    }

    @Test func anotherMachineIsNoticedOnce() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try note(a, "n1", "one")
        try a.seal()
        let former = try a.origin
        try a.close()
        let elsewhere = try node.moved(toMachine: "b642b4217b34b1e8d3bd915fc65c4452")
        let moved = try elsewhere.open()
        let origin = try moved.origin
        #expect(origin != former)
        try expectKinds(moved, .copied)
        try moved.close()
        let again = try elsewhere.open()
        #expect(try again.origin == origin)
        #expect(!String(decoding: try node.markBytes, as: UTF8.self).contains("b642b4217b34"))
    }

    @Test func aMachineWithoutAnIdIsNoOtherMachine() throws {
        let workspace = try TestWorkspace()
        let empty = workspace.directory.appendingPathComponent("empty").path
        let pending = workspace.directory.appendingPathComponent("pending").path
        try Data().write(to: URL(fileURLWithPath: empty))
        try Data("uninitialized\n".utf8).write(to: URL(fileURLWithPath: pending))
        let node = SigningKey.generate().publicKey.nodeID
        let ids = [[], ["/nonexistent"], [empty], [pending]].map { MachineID(readingFirstOf: $0).digest(for: node) }
        #expect(Set(ids).count == 1)
        #expect(MachineID(readingFirstOf: [empty, "/etc/hostname"]).digest(for: node) != ids[0])
        // A container and its host, on one directory.
        let (host, a) = try MarkedNode.make("a", in: workspace)
        let (origin, container) = (try a.origin, try host.moved(toMachine: ""))
        try a.close()
        for place in [container, host, container] {
            let opened = try place.open()
            try note(opened, UUID().uuidString, "x")
            _ = try opened.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
            #expect(try opened.origin == origin)
            try opened.close()
        }
    }

    @Test func aLostMarkCountsAsARestore() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try note(a, "n1", "one")
        try a.seal()
        let former = try a.origin
        try a.close()
        try FileManager.default.removeItem(atPath: node.mark.path)
        let opened = try node.open()
        #expect(try opened.origin != former)
        try expectKinds(opened, .markLost)
    }

    /// Every byte of the mark, changed or cut off: read as it was, or as damaged, and never as another mark.
    @Test func aDamagedMarkIsNeverTakenForAnother() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try note(a, "n1", "one")
        try a.seal()
        _ = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        try note(a, "n2", "two")
        try a.seal()
        _ = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        try a.close()
        let whole = try node.markBytes
        let good = try node.mark.read()
        guard case .mark(let mark) = good else { return #expect(Bool(false), "\(good)") }
        #expect(mark.sequence == SequenceNumber(2))
        var damaged = 0
        for index in whole.indices {
            var bytes = whole
            bytes[index] ^= 1 << UInt8(index % 8)
            try node.damageMark(bytes)
            switch try node.mark.read() {
            case .damaged: damaged += 1
            case let reading: #expect(reading == good, "byte \(index)")
            }
        }
        // All but what follows the checksums, which means nothing.
        #expect(damaged > 400)
        for length in stride(from: 0, to: whole.count, by: 37) {
            try node.damageMark(Array(whole[..<length]))
            guard case .damaged = try node.mark.read() else {
                Issue.record("\(length) bytes")
                continue
            }
        }
        let opened = try node.open()
        try expectKinds(opened, .markLost)
        #expect(try opened.contents("notes").count == 2)
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
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(a, "n1", "one")
        try a.seal()
        try a.close()
        let backup = workspace.directory.appendingPathComponent("cp").path
        try FileManager.default.copyItem(atPath: node.path, toPath: backup)
        let went = try node.open()
        try note(went, "n2", "sent")
        try workspace.pull(b, from: went)
        try went.close()
        // Sealed where the mark is not: by a program that was given none.
        let aside = try Replica.open(at: backup, key: node.key, tables: MarkedNode.tables, clock: went.clock)
        try note(aside, "n2", "sealed aside")
        try aside.seal()
        try aside.close()
        try node.restore(backup)
        let error = #expect(throws: ReplicaError.self) { _ = try node.open() }
        #expect(error?.code == .fork)
    }

    @Test func aLostReplicaIsMadeAnew() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(a, "n1", "one")
        try workspace.pull(b, from: a)
        let (former, contents) = (try a.origin, try a.contents("notes"))
        try a.close()
        for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: node.path + end) }
        let anew = try node.create(in: workspace)
        #expect(try anew.origin != former)
        try workspace.pull(anew, from: b)
        #expect(try anew.contents("notes") == contents)
        try note(anew, "n2", "two")
        try workspace.pull(b, from: anew)
        #expect(try anew.contents("notes") == b.contents("notes"))
        try anew.expectSound(workspace.authors)
    }

    @Test func whatIsWrittenAfterARestoreIsStampedAfterWhatWasLost() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(a, "n1", "one")
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
        try meet(workspace, restored, b)
        #expect(try b.contents("notes").first?[1] == Value("written after the restore"))
    }

    @Test func sealingSyncsNoMarkAndSendingSyncsOne() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try a.close()
        let storage = CountingStorage(node.mark)
        let replica = try node.open(mark: storage)
        for number in 0..<20 {
            try note(replica, "n\(number)", "x")
            try replica.seal()
        }
        #expect(storage.syncs == 0 && storage.writes == 20)
        for _ in 0..<3 { _ = try replica.outgoing(lackedBy: VersionVector(), maximumBytes: 1) }
        #expect(storage.syncs == 1)
        guard case .mark(let mark) = try node.mark.read() else { return #expect(Bool(false)) }
        #expect(mark.sequence == SequenceNumber(20))
        let b = try workspace.replica("b")
        try note(b, "b1", "another's")
        try workspace.pull(replica, from: b)
        var vector = VersionVector()
        vector[mark.origin] = mark.sequence
        #expect(try replica.outgoing(lackedBy: vector, maximumBytes: .max).changeSets.count == 1)
        #expect(storage.syncs == 1)
    }

    @Test func aCrashBetweenMarkAndCommitCostsANewIncarnationAndNothingElse() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(a, "n1", "one")
        try workspace.pull(b, from: a)
        let former = try a.origin
        try a.close()
        try FileManager.default.removeItem(atPath: node.mark.path)
        let storage = CountingStorage(node.mark)
        storage.crashesAfterWriting = true
        #expect(throws: CountingStorage.Crash.self) { _ = try node.open(mark: storage) }
        let opened = try node.open()
        try expectKinds(opened, .restored)
        #expect(try opened.origin != former)
        try note(opened, "n2", "two")
        try meet(workspace, opened, b)
        #expect(try opened.contents("notes") == b.contents("notes"))
        // Before sending, too: the change set is sealed and the mark written, and the answer lost.
        storage.crashesAfterWriting = true
        try opened.close()
        let sender = try node.open(mark: storage)
        try note(sender, "n3", "three")
        try sender.seal()
        let origin = try sender.origin
        #expect(throws: CountingStorage.Crash.self) {
            _ = try sender.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        }
        try sender.close()
        let last = try node.open()
        #expect(try last.origin == origin)
        try meet(workspace, last, b)
        #expect(try last.contents("notes") == b.contents("notes"))
    }

    @Test func severalThatOpenAtOnceAgreeOnOneNewOrigin() async throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try note(a, "n1", "one")
        try a.close()
        try FileManager.default.removeItem(atPath: node.mark.path)
        let replicas = try await withThrowingTaskGroup(of: Replica.self) { group in
            for _ in 0..<4 { group.addTask { try node.open() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(try replicas.map { try $0.origin }).count == 1)
        for (number, replica) in replicas.enumerated() {
            try note(replica, "m\(number)", "x")
            _ = try replica.seal()
            _ = try replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        }
        #expect(Set(try replicas.map { try $0.origin }).count == 1)
        try expectKinds(replicas[0], .markLost)
    }

    /// The whole disk is taken back, mark and all, as a snapshot does it: peers remember.
    @Test(arguments: [true, false]) func aDiskThatIsTakenBackIsNoticedByWhatPeersHave(pulls: Bool) throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try note(a, "n1", "one")
        try workspace.pull(b, from: a)
        let backup = workspace.directory.appendingPathComponent("backup").path
        try a.backup(to: backup)
        let mark = try node.markBytes
        try note(a, "n2", "two")
        try workspace.pull(b, from: a)
        let former = try a.origin
        try a.close()
        try node.restore(backup)
        try node.damageMark(mark)
        let restored = try node.open()
        #expect(try restored.origin == former)
        if pulls { try workspace.pull(restored, from: b) }
        try note(restored, "n3", "three")
        if !pulls { _ = try restored.outgoing(lackedBy: b.vectors().applied, maximumBytes: .max) }
        try restored.seal()
        #expect(try restored.origin != former)
        try expectKinds(restored, .restored)
        try meet(workspace, restored, b)
        #expect(try restored.contents("notes") == b.contents("notes"))
        #expect(try b.contents("notes").count == 3)
        let watch = ForkWatch()
        for replica in [restored, b] { try watch.look(at: replica) }
    }

    /// A restore in place, while a program has the replica open.
    @Test func aReplicaThatIsTakenBackUnderARunningProgramIsNoticed() throws {
        let workspace = try TestWorkspace()
        let (_, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        let backup = workspace.directory.appendingPathComponent("backup").path
        try note(a, "n1", "one")
        try workspace.pull(b, from: a)
        try a.backup(to: backup)
        try note(a, "n2", "two")
        try workspace.pull(b, from: a)
        let former = try a.origin
        let shell = try OtherProgram("sqlite3", [a.path, ".timeout 10000", ".restore \(backup)"]).end()
        #expect(shell.status == 0)
        try note(a, "n3", "after")
        try meet(workspace, a, b)
        #expect(try a.origin != former)
        #expect(try a.contents("notes") == b.contents("notes"))
        #expect(try a.contents("notes").count == 3)
    }
}

@Suite struct SalvageTests {
    private func values(_ replica: Replica) throws -> [String] {
        try replica.contents("notes").map { "\($0[0].string ?? "") \($0[1].string ?? "") \($0[2].string ?? "-")" }
    }

    @Test func whatOnlyTheOldFileHasIsWrittenAgain() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        for id in ["same", "edited", "both", "gone", "gone here", "back", "deleted there"] {
            try a.execute("INSERT INTO notes(id, title, body) VALUES (?, 'old', 'old')", [Value(id)])
        }
        try a.execute("DELETE FROM notes WHERE id = 'back'")
        try workspace.pull(b, from: a)
        // Sealed, and never sent.
        try a.execute("UPDATE notes SET title = 'sealed' WHERE id IN ('edited', 'both')")
        try a.execute("INSERT INTO notes(id, title) VALUES ('new', 'sealed')")
        try a.execute("DELETE FROM notes WHERE id = 'gone'")
        #expect(try a.undelete(table: "notes", id: RowID("back")))
        try a.seal()
        // And never sealed.
        try a.execute("UPDATE notes SET body = 'unsealed' WHERE id IN ('edited', 'new', 'deleted there')")
        try a.execute("DELETE FROM notes WHERE id = 'gone here'")
        let expected = try values(a)
        try a.close()
        let old = workspace.directory.appendingPathComponent("old").path
        try FileManager.default.moveItem(atPath: node.path, toPath: old)
        let before = FileManager.default.contents(atPath: old)

        try b.execute("UPDATE notes SET title = 'by another' WHERE id = 'both'")
        try b.execute("DELETE FROM notes WHERE id = 'deleted there'")
        let anew = try node.create(in: workspace)
        try workspace.pull(anew, from: b)
        let report = try anew.salvage(from: old)
        #expect(
            report.differing == [
                SalvagedDifference(table: "notes", row: RowID("both"), field: "title"),
                SalvagedDifference(table: "notes", row: RowID("deleted there"), field: nil),
            ])
        #expect(report.rows == 5)
        #expect(
            try values(anew)
                == expected.filter { !$0.hasPrefix("deleted there") }.map {
                    $0 == "both sealed old" ? "both by another old" : $0
                })
        try workspace.pull(b, from: anew)
        #expect(try values(b) == values(anew))
        try anew.expectSound(workspace.authors)
        // A second time there is nothing left to do.
        #expect(try anew.salvage(from: old).rows == 0)
        #expect(FileManager.default.contents(atPath: old) == before)
    }

    @Test func anotherNodesFileIsRefused() throws {
        let workspace = try TestWorkspace()
        let (_, a) = try MarkedNode.make("a", in: workspace)
        let (other, b) = try MarkedNode.make("b", in: workspace)
        try b.close()
        let error = #expect(throws: ReplicaError.self) { _ = try a.salvage(from: other.path) }
        #expect(error?.code == .refused)
        let text = workspace.directory.appendingPathComponent("text").path
        try Data("no database at all".utf8).write(to: URL(fileURLWithPath: text))
        #expect(throws: (any Error).self) { _ = try a.salvage(from: text) }
    }
}
