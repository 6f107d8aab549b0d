// Large values that were superseded are not sent; who lacks one is catching up until what supersedes it arrives.
import ReplicationModel
import ReplicationWire
import Testing

@testable import ReplicaStore

@Suite struct AbsentValueTests {
    private static func large(_ letter: String) -> Value { Value(String(repeating: letter, count: 1_000)) }

    /// n1 with a large body, superseded: two change sets.
    private func superseded(_ workspace: TestWorkspace) throws -> (Replica, [SealedChangeSet]) {
        let a = try workspace.replica("a")
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'one', ?)", [Self.large("x")])
        try a.seal()
        try a.execute("UPDATE notes SET body = ?", [Self.large("y")])
        try a.seal()
        return (a, try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map(\.sealed))
    }

    private func apply(_ changeSets: [SealedChangeSet], to replica: Replica, _ workspace: TestWorkspace) throws
        -> ApplyReport
    {
        let report = try replica.apply(changeSets, from: nil, authors: workspace.authors)
        #expect(report.violation == nil)
        return report
    }

    @Test func aSupersededValueIsSentAsAbsent() throws {
        let workspace = try TestWorkspace()
        let (_, changeSets) = try superseded(workspace)
        #expect(changeSets.map { $0.values.map { $0?.first } } == [[nil], [UInt8(ascii: "y")]])
    }

    @Test func aDamagedValueIsNotSent() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'one', ?)", [Self.large("x")])
        try a.seal()
        try a.damage("UPDATE notes SET body = ?, title = 'forged' WHERE id = 'n1'", [Self.large("z")])
        let sent = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets
        // Of the large value nothing, as it has not the signed digest; of the small one what was signed.
        #expect(sent.map(\.sealed.values) == [[nil]])
        let b = try workspace.replica("b")
        _ = try apply(sent.map(\.sealed), to: b, workspace)
        #expect(try b.contents("notes").first?.prefix(3) == [Value("n1"), Value("one"), .null])
    }

    @Test func bothInOneBatchAwaitNothing() throws {
        let workspace = try TestWorkspace()
        let (a, changeSets) = try superseded(workspace)
        let b = try workspace.replica("b")
        let report = try apply(changeSets, to: b, workspace)
        #expect(report.safe == report.applied)
        #expect(try b.contents("notes") == a.contents("notes"))
        try b.expectSound(workspace.authors)
    }

    @Test func cutBetweenTheFieldIsAwaited() throws {
        let workspace = try TestWorkspace()
        let (a, changeSets) = try superseded(workspace)
        let b = try workspace.replica("b")
        let report = try apply([changeSets[0]], to: b, workspace)
        #expect(try report.applied[a.origin] == SequenceNumber(1))
        #expect(try report.safe[a.origin] == .zero)
        #expect(try b.contents("notes") == [[Value("n1"), Value("one"), .null, .null, .null, .null]])
        #expect(try b.status().awaiting == 1)
        let verified = try b.verify(authors: workspace.authors)
        #expect(verified.isSound && verified.awaiting == 1)

        let next = try apply([changeSets[1]], to: b, workspace)
        #expect(next.safe == next.applied)
        #expect(try b.contents("notes") == a.contents("notes"))
        #expect(try b.status().awaiting == 0)
        try b.expectSound(workspace.authors)
    }

    /// A field of two columns, of which one value travels in the body: that one is known, and kept, though the other is awaited.
    @Test func whatIsLostWhileAwaitedKeepsWhatItsBodyHolds() throws {
        let workspace = try TestWorkspace()
        let (a, b, c) = (try workspace.replica("a"), try workspace.replica("b"), try workspace.replica("c"))
        try a.execute("INSERT INTO notes(id, due_on, due_precision) VALUES ('n1', 'small', ?)", [Self.large("x")])
        try a.seal()
        try a.execute("UPDATE notes SET due_on = 'later', due_precision = 'day'")
        try a.seal()
        let changeSets = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map(\.sealed)
        _ = try apply([changeSets[0]], to: b, workspace)
        #expect(try b.status().awaiting == 1)
        workspace.clock.advance(10_000)
        try c.execute("INSERT INTO notes(id, due_on, due_precision) VALUES ('n1', 'of c', 'day')")
        try workspace.pull(b, from: c)
        let kept = try b.read {
            try $0.query(
                """
                SELECT v.absent, v.value FROM sync_conflict_values v JOIN sync_conflicts c ON c.number = v.conflict
                JOIN sync_fields f ON f.number = c.field WHERE f.name = 'due' ORDER BY v.ordinal
                """
            ).map(\.values)
        }
        #expect(kept == [[.integer(0), Value("small")], [.integer(1), .null]])
        try b.expectSound(workspace.authors)
        for (receiver, sender) in [(b, a), (a, b), (c, b)] { try workspace.pull(receiver, from: sender) }
        #expect(try b.ledgerText() == a.ledgerText())
        for replica in [a, b, c] {
            try replica.expectSound(workspace.authors)
            #expect(try replica.contents("notes") == b.contents("notes"))
        }
    }

    @Test func whoAwaitsSendsTheValueAsAbsentOnwards() throws {
        let workspace = try TestWorkspace()
        let (a, changeSets) = try superseded(workspace)
        let (b, c) = (try workspace.replica("b"), try workspace.replica("c"))
        _ = try apply([changeSets[0]], to: b, workspace)
        let report = try workspace.pull(c, from: b)
        #expect(try report.applied[a.origin] == SequenceNumber(1) && report.safe[a.origin] == .zero)
        try workspace.pull(c, from: a)
        try workspace.pull(b, from: c)
        for replica in [b, c] {
            #expect(try replica.contents("notes") == a.contents("notes"))
            #expect(try replica.vectors().safe == replica.vectors().applied)
        }
    }

    @Test func anEditOfAnAwaitedFieldIsANewValue() throws {
        let workspace = try TestWorkspace()
        let (a, changeSets) = try superseded(workspace)
        let b = try workspace.replica("b")
        _ = try apply([changeSets[0]], to: b, workspace)
        try b.execute("UPDATE notes SET body = 'mine'")
        try b.seal()
        #expect(try b.vectors().safe == b.vectors().applied)
        try workspace.pull(b, from: a)
        try workspace.pull(a, from: b)
        #expect(try a.contents("notes") == b.contents("notes"))
        #expect(try a.ledgerText() == b.ledgerText())
        #expect(try a.conflictCount() == 1)
        try Oracle(a).check(b, [TestTables.notes, TestTables.links], "awaited and edited")
    }

    @Test func aDeletedRowStillAwaits() throws {
        let workspace = try TestWorkspace()
        let (a, changeSets) = try superseded(workspace)
        let b = try workspace.replica("b")
        _ = try apply([changeSets[0]], to: b, workspace)
        try b.execute("DELETE FROM notes")
        try b.seal()
        #expect(try b.status().awaiting == 1)
        try workspace.pull(b, from: a)
        try workspace.pull(a, from: b)
        #expect(try b.status().awaiting == 0)
        #expect(try a.contents("sync_graveyard_notes") == b.contents("sync_graveyard_notes"))
        #expect(try a.contents("sync_graveyard_notes")[0][2] == Self.large("y"))
        try b.expectSound(workspace.authors)
    }

    @Test(arguments: ["UPDATE notes SET body = 'unsealed'", "DELETE FROM notes", "UPDATE notes SET id = 'n2'"])
    func anUnsealedEditDoesNotHideTheSealedValue(statement: String) throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'one', ?)", [Self.large("x")])
        try a.seal()
        try a.execute(statement)
        try a.execute("INSERT INTO links(id) VALUES ('another table is not asked')")
        let sent = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets
        #expect(sent.count == 1 && sent[0].sealed.values.first??.count == 1_000)
        _ = try apply(sent.map(\.sealed), to: b, workspace)
        #expect(try b.contents("notes")[0][2] == Self.large("x"))
        try workspace.pull(b, from: a)
        #expect(try b.contents("notes") == a.contents("notes"))
    }

    @Test func aLostValueIsSentFromTheLedger() throws {
        let workspace = try TestWorkspace()
        let (a, b, c) = (try workspace.replica("a"), try workspace.replica("b"), try workspace.replica("c"))
        try a.execute("INSERT INTO notes(id, title) VALUES ('n1', 'one')")
        try workspace.pull(b, from: a)
        try a.execute("UPDATE notes SET body = ?", [Self.large("x")])
        try a.seal()
        try b.execute("UPDATE notes SET body = ?", [Self.large("y")])
        try b.seal()
        try workspace.pull(b, from: a)
        try b.execute("UPDATE notes SET body = 'a later edit'")
        try workspace.pull(c, from: b)
        #expect(try c.ledgerText() == b.ledgerText())
        #expect(try c.conflicts().flatMap(\.lostValues) == b.conflicts().flatMap(\.lostValues))
        #expect(try c.conflicts().count == 1)
        #expect(try c.conflicts()[0].lostValues == [Self.large("x")])
    }

    @Test func aValueInTheGraveyardIsSent() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'one', ?)", [Self.large("x")])
        try a.seal()
        try a.execute("DELETE FROM notes")
        try workspace.pull(b, from: a)
        #expect(try b.contents("sync_graveyard_notes") == a.contents("sync_graveyard_notes"))
        #expect(try b.status().awaiting == 0)
    }
}
