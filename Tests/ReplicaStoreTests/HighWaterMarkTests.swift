// Copied and moved replicas, and marks that are lost, damaged or a step behind: a new origin in time, and no more often.
import Foundation
import ReplicationModel
import Synchronization
import Testing
import Trust

@testable import ReplicaStore

@Suite struct HighWaterMarkTests {
    @Test(arguments: [true, false]) func aCopyAndItsOriginalBothGoOn(originalFirst: Bool) throws {
        let workspace = try TestWorkspace()
        let (node, first) = try MarkedNode.make("a", in: workspace)
        let b = try workspace.replica("b")
        try first.note("n1", "one")
        try workspace.pull(b, from: first)
        try first.note("n2", "sealed before the copy")
        try first.seal()
        try first.note("n3", "not sealed before the copy")
        try first.close()
        let copy = try node.copied(to: "copy")
        let nodes = originalFirst ? [node, copy] : [copy, node]
        let replicas = try nodes.map { try $0.open() }
        let (original, twin) = originalFirst ? (replicas[0], replicas[1]) : (replicas[1], replicas[0])
        #expect(try original.origin != twin.origin)
        try original.expectNotices()
        try twin.expectNotices(.copied)
        let watch = ForkWatch()
        for round in 0..<3 {
            try original.note("o\(round)", "original")
            try twin.note("t\(round)", "twin")
            try workspace.meet(original, b)
            try workspace.meet(twin, b)
            for replica in [original, twin, b] { try watch.look(at: replica) }
        }
        try workspace.meet(original, b)
        #expect(try original.contents("notes") == b.contents("notes"))
        #expect(try twin.contents("notes") == b.contents("notes"))
        for replica in [original, twin, b] { try replica.expectSound(workspace.authors) }
    }

    @Test func anotherMachineIsNoticedOnce() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try a.note("n1", "one")
        try a.seal()
        let former = try a.origin
        try a.close()
        let elsewhere = try node.moved(toMachine: "b642b4217b34b1e8d3bd915fc65c4452")
        let moved = try elsewhere.open()
        let origin = try moved.origin
        #expect(origin != former)
        try moved.expectNotices(.copied)
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
            try opened.note(UUID().uuidString, "x")
            _ = try opened.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
            #expect(try opened.origin == origin)
            try opened.close()
        }
    }

    @Test func aLostMarkCountsAsARestore() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try a.note("n1", "one")
        try a.seal()
        let former = try a.origin
        try a.close()
        try FileManager.default.removeItem(atPath: node.mark.path)
        let opened = try node.open()
        #expect(try opened.origin != former)
        try opened.expectNotices(.markLost)
    }

    /// Every byte of the mark, changed or cut off: read as it was, or as damaged, and never as another mark.
    @Test func aDamagedMarkIsNeverTakenForAnother() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try a.note("n1", "one")
        try a.seal()
        _ = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        try a.note("n2", "two")
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
        try opened.expectNotices(.markLost)
        #expect(try opened.contents("notes").count == 2)
    }

    @Test func sealingSyncsNoMarkAndSendingSyncsOne() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try a.close()
        let storage = CountingStorage(node.mark)
        let replica = try node.open(mark: storage)
        for number in 0..<20 {
            try replica.note("n\(number)", "x")
            try replica.seal()
        }
        #expect(storage.syncs == 0 && storage.writes == 20)
        for _ in 0..<3 { _ = try replica.outgoing(lackedBy: VersionVector(), maximumBytes: 1) }
        #expect(storage.syncs == 1)
        guard case .mark(let mark) = try node.mark.read() else { return #expect(Bool(false)) }
        #expect(mark.sequence == SequenceNumber(20))
        let b = try workspace.replica("b")
        try b.note("b1", "another's")
        try workspace.pull(replica, from: b)
        var vector = VersionVector()
        vector[mark.origin] = mark.sequence
        #expect(try replica.outgoing(lackedBy: vector, maximumBytes: .max).changeSets.count == 1)
        #expect(storage.syncs == 1)
    }

    @Test func aCrashBetweenMarkAndCommitCostsANewIncarnationAndNothingElse() throws {
        let (workspace, node, a, b) = try MarkedNode.withPeer()
        try a.note("n1", "one")
        try workspace.pull(b, from: a)
        let former = try a.origin
        try a.close()
        try FileManager.default.removeItem(atPath: node.mark.path)
        let storage = CountingStorage(node.mark)
        storage.crashesAfterWriting = true
        #expect(throws: CountingStorage.Crash.self) { _ = try node.open(mark: storage) }
        let opened = try node.open()
        try opened.expectNotices(.restored)
        #expect(try opened.origin != former)
        try opened.note("n2", "two")
        try workspace.meet(opened, b)
        #expect(try opened.contents("notes") == b.contents("notes"))
        // Before sending, too: the change set is sealed and the mark written, and the answer lost.
        storage.crashesAfterWriting = true
        try opened.close()
        let sender = try node.open(mark: storage)
        try sender.note("n3", "three")
        try sender.seal()
        let origin = try sender.origin
        #expect(throws: CountingStorage.Crash.self) {
            _ = try sender.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        }
        try sender.close()
        let last = try node.open()
        #expect(try last.origin == origin)
        try workspace.meet(last, b)
        #expect(try last.contents("notes") == b.contents("notes"))
    }

    @Test func severalThatOpenAtOnceAgreeOnOneNewOrigin() async throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        try a.note("n1", "one")
        try a.close()
        try FileManager.default.removeItem(atPath: node.mark.path)
        let replicas = try await withThrowingTaskGroup(of: Replica.self) { group in
            for _ in 0..<4 { group.addTask { try node.open() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(try replicas.map { try $0.origin }).count == 1)
        for (number, replica) in replicas.enumerated() {
            try replica.note("m\(number)", "x")
            _ = try replica.seal()
            _ = try replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        }
        #expect(Set(try replicas.map { try $0.origin }).count == 1)
        try replicas[0].expectNotices(.markLost)
    }

    /// Another process seals one edit after another, each before what a peer is to be sent has been read: it is sent all the
    /// same, and so is a copy made.
    @Test(.timeLimit(.minutes(2))) func whoGoesOnSealingKeepsNobodyWaiting() throws {
        let workspace = try TestWorkspace()
        let (node, a) = try MarkedNode.make("a", in: workspace)
        let text = String(repeating: "x", count: 40_000)
        for number in 0..<100 { try a.note("n\(number)", text) }
        try a.seal()
        let other = try node.open()
        let isDone = Mutex(false)
        let failure = Mutex<String?>(nil)
        let sealing = DispatchGroup()
        DispatchQueue.global().async(group: sealing) {
            do {
                var number = 0
                while !isDone.withLock({ $0 }) {
                    number += 1
                    try other.note("m", "\(number)")
                    try other.seal()
                }
            } catch {
                failure.withLock { $0 = "\(error)" }
            }
        }
        var ends: [SequenceNumber] = []
        for round in 0..<10 {
            let outgoing = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
            try ends.append(#require(outgoing.changeSets.last).header.sequence)
            try a.backup(to: workspace.directory.appendingPathComponent("copy\(round)").path)
        }
        isDone.withLock { $0 = true }
        sealing.wait()
        #expect(failure.withLock { $0 } == nil)
        #expect(zip(ends, ends.dropFirst()).allSatisfy { $0 < $1 }, "nothing was sealed meanwhile: \(ends)")
        #expect(try a.origin == other.origin)
        try a.expectNotices()
    }
}
