// What waits costs nothing while it waits: only what may be released is read.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct HeldCostTests {
    private static let day: Int64 = 86_400

    /// So many change sets of one author, the first of them a day ahead of the clock.
    private func flood(_ count: Int, _ replica: Replica, _ workspace: TestWorkspace) throws -> Forger {
        var forger = Forger(workspace.authors)
        let batch = (0..<count).map { index in
            forger.write(
                .insert, "links", "f\(index)", [("target", Value("x"))], at: workspace.stamp(Self.day + Int64(index)))
        }
        let report = try replica.apply(batch, from: forger.origin.node, authors: workspace.authors)
        #expect(report.violation == nil && report.held.count == count)
        return forger
    }

    @Test func nothingThatWaitsIsReadWithABatch() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        let forger = try flood(2_000, a, workspace)
        // Whoever reads one of these says so.
        try a.damage("UPDATE sync_held SET body = x'00'")
        var other = Forger(workspace.authors)
        for index in 0..<3 {
            let sent = other.write(
                .insert, "links", "o\(index)", [("target", Value("y"))], at: workspace.stamp(Int64(index)))
            #expect(try a.apply([sent], from: nil, authors: workspace.authors).changeSets == 1)
        }
        #expect(try a.releaseHeld().changeSets == 0)
        #expect(try a.firstHeld().map(\.dot) == [Dot(origin: forger.origin, sequence: SequenceNumber(1))])
        #expect(try a.status().held == 2_000)
        // And it is read when its time comes.
        workspace.clock.advance(Self.day * 1000)
        #expect(try a.releaseHeld().changeSets == 0)
        #expect(try a.notices().map(\.kind) == [.heldDamaged] && a.status().held == 0)
    }

    @Test func oneReleasesTheNext() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        var forger = try flood(300, a, workspace)
        // Another's builds on the last of them.
        var follower = Forger(workspace.authors)
        let builds = follower.write(
            .update, "links", "f299", [("target", Value("z"))], at: workspace.stamp(Self.day + 400),
            seen: VersionVector([forger.origin: SequenceNumber(300)]))
        #expect(try a.apply([builds], from: nil, authors: workspace.authors).held.map(\.cause) == [.waitsForEarlier])
        #expect(try a.firstHeld().count == 2)
        // Half of them: those whose time has come, and no more.
        workspace.clock.advance((Self.day + 149) * 1000 - Limits.aheadMilliseconds)
        #expect(try a.releaseHeld().changeSets == 150)
        #expect(try a.held().map(\.cause).prefix(2) == [.clockAhead, .waitsForEarlier])
        #expect(try a.status().held == 151)
        try a.expectSound(workspace.authors)
        // The next batch brings in what has come due.
        workspace.clock.advance(Self.day * 1000)
        let last = forger.write(.insert, "links", "last", at: workspace.stamp())
        #expect(try a.apply([last], from: nil, authors: workspace.authors).changeSets == 152)
        #expect(try a.held().isEmpty)
        try workspace.pull(b, from: a)
        #expect(try b.contents("links") == a.contents("links"))
        for replica in [a, b] { try replica.expectSound(workspace.authors) }
    }

    /// A replica of the first form, in which nothing said what releases what is held.
    @Test func whatAnOlderProgramHeldIsReleased() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        _ = try flood(20, a, workspace)
        for sql in [
            "DROP INDEX sync_held_forked", "DROP INDEX sync_held_by_time", "DROP INDEX sync_held_by_wait",
            "DROP INDEX sync_held_by_schema", "DROP INDEX sync_held_taken_back",
            "ALTER TABLE sync_held DROP COLUMN taken_back", "ALTER TABLE sync_held DROP COLUMN digest",
            "ALTER TABLE sync_held DROP COLUMN waits_origin", "ALTER TABLE sync_held DROP COLUMN waits_seq",
            "ALTER TABLE sync_held DROP COLUMN tried_under",
        ] { try a.damage(sql) }
        let step = try #require(Schema.steps.first { $0.contains("CREATE TABLE sync_held_2") })
        // These are of later steps.
        let index = "CREATE INDEX sync_held_forked ON sync_held(origin, seq) WHERE cause = 'forked';"
        #expect(Schema.steps.contains { $0.contains(index) })
        let last = Schema.steps.filter { $0.contains("ADD COLUMN taken_back") || $0.contains("ADD COLUMN digest") }
        #expect(last.count == 2)
        try a.connections.engineWrite { try $0.executeAll(step + index + last.joined()) }
        #expect(try a.held().count == 20)
        workspace.clock.advance(2 * Self.day * 1000)
        #expect(try a.releaseHeld().changeSets == 20)
        try a.expectSound(workspace.authors)
    }
}
