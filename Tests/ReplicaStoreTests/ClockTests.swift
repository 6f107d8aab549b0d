// Wrong clocks: what is written under one is stamped as peers take the time to be, waits where nobody can tell, and locks
// nobody out once the clock is set right.
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct ClockTests {
    private static let year: Int64 = 365 * 24 * 3600 * 1000
    private static let hour: Int64 = 3600 * 1000

    /// A peer greeted, and its clock was `offset` milliseconds ahead of this one.
    private func met(_ replica: Replica, offset: Int64) throws {
        try replica.observe(
            SigningKey.generate().publicKey.nodeID,
            PeerFacts(
                at: replica.clock(), applied: VersionVector(), safe: VersionVector(), told: VersionVector(),
                clockOffsetMilliseconds: offset), isLive: false)
    }

    private func note(_ replica: Replica, _ id: String) throws {
        try replica.execute("INSERT INTO notes(id, title) VALUES (?, 'x')", [Value(id)])
        // Captured by this machine's clock, which is not the test's.
        try replica.execute(
            "UPDATE sync_journal_notes SET at = ? WHERE id = ?", [.integer(replica.clock().milliseconds), Value(id)])
    }

    private func lastStamp(_ replica: Replica) throws -> Int64 { try replica.status().lastStamp.wallClock.milliseconds }

    @Test func editsUnderAClockThatRunsAheadAreStampedByItsPeers() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let truth = workspace.clock.now.milliseconds
        workspace.clock.advance(Self.year)
        for offset in [-Self.year, -Self.year + 2_000, 0] { try met(a, offset: offset) }
        try note(a, "n1")
        try a.seal()
        #expect(abs(try lastStamp(a) - truth) < 5_000)
        // Peers whose clocks are right take it in at once.
        workspace.clock.now = WallClock(milliseconds: truth + 5_000)
        #expect(try workspace.pull(b, from: a).held.isEmpty)
        #expect(try b.contents("notes").count == 1)
    }

    @Test(arguments: [0, -4 * 60_000, 2 * 3_600_000, -3 * 60_000] as [Int64])
    func aClockWithinBoundsStampsByItself(offset: Int64) throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try met(a, offset: offset)
        try note(a, "n1")
        try a.seal()
        #expect(try lastStamp(a) == workspace.clock.now.milliseconds)
    }

    /// One liar among three moves nothing.
    @Test func theMedianCounts() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        for offset in [-10 * Self.year, 0, 10] { try met(a, offset: offset) }
        try note(a, "n1")
        try a.seal()
        #expect(try lastStamp(a) == workspace.clock.now.milliseconds)
    }

    /// What was noted under the wrong clock says nothing of the right one, and an offset from long ago nothing of today's.
    @Test func anotherClocksOffsetsDoNotCount() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        workspace.clock.advance(Self.year)
        try met(a, offset: -Self.year)
        workspace.clock.advance(-Self.year)
        try note(a, "n1")
        try a.seal()
        #expect(try lastStamp(a) == workspace.clock.now.milliseconds)

        let b = try workspace.replica("b")
        try met(b, offset: -Self.hour)
        workspace.clock.advance(25 * Self.hour)
        try note(b, "n2")
        try b.seal()
        #expect(try lastStamp(b) == workspace.clock.now.milliseconds)
    }

    @Test func editsMadeBeforeTheClockWasSetBackAreStampedNow() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        workspace.clock.advance(Self.year)
        try note(a, "n1")
        workspace.clock.advance(-Self.year)
        try note(a, "n2")
        #expect(try workspace.pull(b, from: a).held.isEmpty)
        #expect(try b.contents("notes").count == 2)
        #expect(try lastStamp(a) == workspace.clock.now.milliseconds)
    }

    @Test func aClockThatJumpedFarWaitsForAPeersWord() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let truth = workspace.clock.now.milliseconds
        try note(a, "n1")
        try a.seal()
        #expect(try a.clockDoubtMilliseconds() == nil)
        workspace.clock.advance(Self.year)
        try note(a, "n2")
        #expect(try a.clockDoubtMilliseconds() == Self.year)
        #expect(try a.sealUnlessClockIsDoubtful() == nil)
        #expect(try a.status().unsealed == 1)
        // The peer says that it is a year earlier.
        try met(a, offset: -Self.year)
        #expect(try a.sealUnlessClockIsDoubtful()?.changeSets == 1)
        #expect(abs(try lastStamp(a) - truth) < 5_000)
        workspace.clock.now = WallClock(milliseconds: truth + 5_000)
        #expect(try workspace.pull(b, from: a).held.isEmpty)
        #expect(try b.contents("notes").count == 2)
    }

    @Test func aNodeThatRestedLongOnlyAsksForTheTime() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try note(a, "n1")
        try a.seal()
        workspace.clock.advance(Self.year)
        try note(a, "n2")
        #expect(try a.sealUnlessClockIsDoubtful() == nil)
        try met(a, offset: 1_500)
        #expect(try a.sealUnlessClockIsDoubtful()?.changeSets == 1)
        #expect(try lastStamp(a) == workspace.clock.now.milliseconds)
        // A month is no long rest, and a new replica knows of no time at all.
        workspace.clock.advance(29 * 24 * Self.hour)
        try note(a, "n3")
        #expect(try a.sealUnlessClockIsDoubtful()?.changeSets == 1)
        #expect(try workspace.replica("b").clockDoubtMilliseconds() == nil)
    }

    /// Once an operator has taken in what was stamped ahead, what is built on it follows without their word.
    @Test func aReleaseAcceptsWhatBuildsOnIt() throws {
        let workspace = try TestWorkspace()
        let (a, b, c) = (try workspace.replica("a"), try workspace.replica("b"), try workspace.replica("c"))
        workspace.clock.advance(Self.year)
        try note(a, "ahead")
        try a.seal()
        workspace.clock.advance(-Self.year)
        #expect(try a.stampsAhead().map(\.isHeld) == [false])
        try note(a, "after the repair")
        try a.seal()
        #expect(try workspace.pull(b, from: a).held.count == 2)
        #expect(try b.stampsAhead().map(\.isHeld) == [true])
        #expect(try b.contents("notes").isEmpty)
        let held = try #require(try b.held().first { $0.cause == .clockAhead })
        try b.releaseHeld([held.dot])
        #expect(try b.held().isEmpty)
        #expect(try b.contents("notes").count == 2)
        // The owner is not locked out, and neither is anyone who saw it.
        try note(a, "later")
        #expect(try workspace.pull(b, from: a).held.isEmpty)
        try note(b, "by another")
        #expect(!(try workspace.pull(a, from: b).held.isEmpty))
        let back = try #require(try a.held().first { $0.cause == .clockAhead })
        try a.releaseHeld([back.dot])
        #expect(try a.contents("notes") == b.contents("notes"))
        #expect(try a.contents("notes").count == 4)
        // Who has not been asked holds it all, and drops nothing.
        #expect(try workspace.pull(c, from: b).held.isEmpty == false)
        // Further ahead than what was accepted is held as before.
        workspace.clock.advance(2 * Self.year)
        try a.execute("DELETE FROM sync_peers")
        try met(a, offset: 0)
        try note(a, "further")
        try a.seal()
        workspace.clock.advance(-2 * Self.year)
        #expect(try workspace.pull(b, from: a).held.count == 1)
    }
}
