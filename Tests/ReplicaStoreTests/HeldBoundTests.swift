// What is held has a bound for each author: who floods is told to come again, and everybody else is served.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct HeldBoundTests {
    private static let day: Int64 = 86_400

    /// A change set a day ahead of the clock, with a large value.
    private func large(_ author: inout Forger, _ index: Int, _ workspace: TestWorkspace) -> SealedChangeSet {
        let value = Value.text([UInt8](repeating: UInt8(truncatingIfNeeded: index), count: Limits.valueBytes))
        return author.write(
            .insert, "links", "\(author.origin.incarnation) \(index)", [("target", value)],
            at: workspace.stamp(Self.day + Int64(index)))
    }

    @Test func bytesOfOneAuthorHaveABound() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        var flooder = Forger(workspace.authors)
        var sent: [SealedChangeSet] = []
        var refused: ApplyViolation?
        while refused == nil, sent.count < 100 {
            let next = large(&flooder, sent.count, workspace)
            let report = try replica.apply([next], from: nil, authors: workspace.authors)
            refused = report.violation
            if refused == nil { #expect(report.held.count == 1) }
            sent.append(next)
        }
        #expect(refused?.kind == .heldEnough)
        #expect(refused?.description.contains("syncnode held") == true)
        let tally = try #require(try replica.heldTallies().first)
        #expect(tally.author == flooder.origin.node && tally.isFull)
        #expect(tally.changeSets == sent.count - 1)
        #expect(tally.bytes < Limits.heldBytesOfNode + Limits.valueBytes + 1000)
        try replica.expectSound(workspace.authors)

        // Another origin of its own does not help it, and what is held already is no more.
        var second = Forger(workspace.authors, key: flooder.key, incarnation: 2)
        let other = large(&second, 0, workspace)
        #expect(try replica.apply([other], from: nil, authors: workspace.authors).violation?.kind == .heldEnough)
        let again = try replica.apply([sent[0], sent[1]], from: nil, authors: workspace.authors)
        #expect(again.violation == nil && again.held.count == 2)
        #expect(try replica.heldTallies() == [tally])
        // Everybody else is served: what is good is applied, what has to wait is held; also in the same batch, before it.
        var neighbour = Forger(workspace.authors)
        let good = neighbour.write(.insert, "links", "good", at: workspace.stamp())
        let waiting = neighbour.write(.insert, "links", "early", at: workspace.stamp(Self.day))
        let mixed = try replica.apply([good, waiting, other], from: nil, authors: workspace.authors)
        #expect(mixed.violation?.kind == .heldEnough && mixed.changeSets == 1)
        #expect(try replica.heldTallies().map(\.changeSets).sorted() == [1, tally.changeSets])
        #expect(try replica.contents("links").count == 1)

        // Nothing is lost: it is not acknowledged, so it comes again when there is room.
        #expect(try replica.vectors().applied[flooder.origin] == .zero)
        workspace.clock.advance(2 * Self.day * 1000)
        try replica.releaseHeld()
        #expect(try replica.heldTallies() == [])
        let rest = try replica.apply([sent[sent.count - 1], other], from: nil, authors: workspace.authors)
        #expect(rest.violation == nil && rest.changeSets == 2)
        #expect(try replica.contents("links").count == sent.count + 3)
        try replica.expectSound(workspace.authors)
    }

    @Test func theirNumberHasABound() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        var flooder = Forger(workspace.authors)
        func next() -> SealedChangeSet {
            flooder.write(.insert, "links", "x", at: workspace.stamp(Self.day + Int64(flooder.sequence.rawValue)))
        }
        #expect(try replica.apply([next()], from: nil, authors: workspace.authors).held.count == 1)
        // As if so many were there.
        try replica.damage(
            "UPDATE sync_held_authors SET change_sets = change_sets + ?", [.integer(Int64(Limits.heldOfNode) - 2)])
        #expect(try replica.apply([next()], from: nil, authors: workspace.authors).held.count == 1)
        #expect(try replica.heldTallies().map(\.isFull) == [true])
        #expect(try replica.apply([next()], from: nil, authors: workspace.authors).violation?.kind == .heldEnough)
        let report = try replica.verify(authors: workspace.authors)
        #expect(report.findings.map(\.table) == ["sync_held_authors"])
    }

    /// A replica of a program that did not count.
    @Test func whatAnOlderProgramHeldIsCounted() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        for _ in 0..<3 {
            var author = Forger(workspace.authors)
            for index in 0..<2 {
                let value = Value(String(repeating: "long ", count: 100 + index))
                let sent = author.write(
                    .insert, "links", "\(index)", [("target", value)], at: workspace.stamp(Self.day + Int64(index)))
                #expect(try replica.apply([sent], from: nil, authors: workspace.authors).held.count == 1)
            }
        }
        let counted = try replica.heldTallies()
        #expect(counted.count == 3)
        try replica.damage("DROP TABLE sync_held_authors")
        let step = try #require(Schema.steps.first { $0.contains("CREATE TABLE sync_held_authors") })
        try replica.connections.engineWrite { try $0.executeAll(step) }
        #expect(try replica.heldTallies() == counted)
        try replica.expectSound(workspace.authors)
    }
}
