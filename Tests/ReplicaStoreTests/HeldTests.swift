// What cannot be applied yet is held or parked, says why, and is applied when it can be.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct HeldTests {
    private static let year: Int64 = 365 * 86_400

    private func apply(
        _ changeSets: [SealedChangeSet], to replica: Replica, _ workspace: TestWorkspace, from peer: NodeID? = nil
    ) throws -> ApplyReport {
        let report = try replica.apply(changeSets, from: peer, authors: workspace.authors)
        #expect(report.violation == nil)
        return report
    }

    private func reopen(_ replica: Replica, with tables: [Table]) throws -> Replica {
        try Replica.open(at: replica.path, key: replica.key, tables: tables, clock: replica.clock)
    }

    // MARK: Stamps ahead

    @Test func aStampAYearAheadIsHeldUntilItsTimeComes() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let ahead = forger.write(.insert, "links", "f1", [("target", Value("x"))], at: workspace.stamp(Self.year))
        let report = try apply([ahead], to: a, workspace)
        let held = try #require(report.held.first)
        #expect(report.held.count == 1 && report.changeSets == 0 && report.applied[forger.origin] == .zero)
        #expect(held.cause == .clockAhead)
        #expect(held.dot == Dot(origin: forger.origin, sequence: SequenceNumber(1)))
        #expect(
            held.releaseAt?.milliseconds == workspace.clock.now.milliseconds + Self.year * 1000
                - Limits.aheadMilliseconds)
        #expect(try a.held() == report.held)
        #expect(try a.contents("links").isEmpty)
        let verified = try a.verify(authors: workspace.authors)
        #expect(verified.isSound && verified.held == 1)

        // A moment before, and then in time.
        workspace.clock.advance(Self.year * 1000 - Limits.aheadMilliseconds - 1)
        #expect(try a.releaseHeld().changeSets == 0)
        #expect(try a.contents("links").isEmpty)
        workspace.clock.advance(1)
        #expect(try a.releaseHeld().changeSets == 1)
        #expect(try a.contents("links").count == 1)
        #expect(try a.held().isEmpty)
        try a.expectSound(workspace.authors)
    }

    // MARK: Bits that flip in what is held

    /// A bit of what is held: one without which it does not read, or one that nothing but a digest shows.
    enum Flip: CaseIterable {
        case format, content, signature, value

        private static let first = "seq = 1"

        func damage(_ replica: Replica) throws {
            switch self {
            case .format: try replica.flipBit(of: "body", in: "sync_held", where: Self.first)
            case .content:
                let body = try replica.read {
                    try $0.query("SELECT body FROM sync_held ORDER BY seq")[0][0].bytes ?? []
                }
                let place = try #require(body.firstRange(of: Array("short".utf8)))
                try replica.flipBit(8 * place.lowerBound, of: "body", in: "sync_held", where: Self.first)
            case .signature: try replica.flipBit(of: "signature", in: "sync_held", where: Self.first)
            case .value: try replica.flipBit(of: "value", in: "sync_held_values", where: "1")
            }
        }
    }

    private func ahead(_ forger: inout Forger, _ workspace: TestWorkspace) -> SealedChangeSet {
        forger.write(
            .insert, "notes", "f1",
            [("title", Value("short")), ("body", Value(String(repeating: "long ", count: 100)))],
            at: workspace.stamp(Self.year))
    }

    @Test(arguments: Flip.allCases) func whatIsWholeNoMoreIsNotAppliedAndComesAgain(flip: Flip) throws {
        let workspace = try TestWorkspace()
        var a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let changeSets = [ahead(&forger, workspace), forger.write(.delete, at: workspace.stamp(Self.year + 1))]
        let held = try apply(changeSets, to: a, workspace, from: forger.origin.node).held.map(\.dot)
        try flip.damage(a)
        let findings = try a.verify(authors: workspace.authors).findings
        #expect(findings.contains { $0.dot == held[0] } && findings.allSatisfy { $0.dot == held[0] }, "\(findings)")
        #expect { try a.heldContents(held[0]) } throws: { ($0 as? ReplicaError)?.code == .damaged }
        try a.close()

        // Its time comes: the replica opens, says what it dropped, and takes whatever else comes.
        workspace.clock.advance(Self.year * 1000)
        a = try reopen(a, with: [TestTables.notes, TestTables.links])
        #expect(try a.held().isEmpty)
        let notices = try a.notices()
        let text = try #require(notices.first?.text)
        #expect(
            notices.map(\.kind) == [.heldDamaged] && text.contains("\(held[0])") && text.contains("1 change set of"))
        try a.expectSound(workspace.authors)
        var other = Forger(workspace.authors)
        #expect(
            try apply([other.write(at: workspace.stamp(1))], to: a, workspace, from: forger.origin.node).changeSets == 1
        )

        // Sent again, all of it is applied, and nobody is said to have written two histories.
        let report = try apply(changeSets, to: a, workspace, from: forger.origin.node)
        #expect(report.changeSets == 2 && report.forks.isEmpty)
        try a.expectSound(workspace.authors)
    }

    @Test func whatIsWholeNoMoreAndCameAsItIsMeanwhileIsNoFork() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let ahead = ahead(&forger, workspace)
        _ = try apply([ahead], to: a, workspace, from: forger.origin.node)
        try Flip.content.damage(a)
        workspace.clock.advance(Self.year * 1000)
        let report = try apply([ahead], to: a, workspace, from: forger.origin.node)
        #expect(report.changeSets == 1 && report.forks.isEmpty)
        #expect(try a.held().isEmpty)
        try a.expectSound(workspace.authors)
    }

    @Test(arguments: [Flip.format, .content, .signature])
    func whatIsWholeNoMoreIsHeldAnewWhenItComesAgain(flip: Flip) throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let ahead = ahead(&forger, workspace)
        _ = try apply([ahead], to: a, workspace, from: forger.origin.node)
        try flip.damage(a)
        _ = try apply([ahead], to: a, workspace, from: forger.origin.node)
        try a.expectSound(workspace.authors)
        workspace.clock.advance(Self.year * 1000)
        #expect(try a.releaseHeld().changeSets == 1)
        #expect(try a.held().isEmpty)
        try a.expectSound(workspace.authors)
    }

    @Test func exactlyTheBoundIsTaken() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let bound = Stamp(WallClock(milliseconds: workspace.clock.now.milliseconds + Limits.aheadMilliseconds))
        #expect(try apply([forger.write(at: bound)], to: a, workspace).changeSets == 1)
    }

    @Test func theOperatorReleasesAStampAhead() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let first = forger.write(at: workspace.stamp(Self.year))
        let second = forger.write(.update, "links", "f1", [("target", Value("x"))], at: workspace.stamp(Self.year + 1))
        let third = forger.write(.delete, at: workspace.stamp(Self.year + 2))
        let report = try apply([first, second, third], to: a, workspace)
        #expect(report.held.map(\.cause) == [.clockAhead, .waitsForEarlier, .waitsForEarlier])
        // Nothing is released for being asked after another.
        #expect(try a.releaseHeld([Dot(origin: forger.origin, sequence: SequenceNumber(2))]).changeSets == 0)
        #expect(try a.releaseHeld([Dot(origin: forger.origin, sequence: SequenceNumber(1))]).changeSets == 1)
        #expect(try a.held().map(\.cause) == [.clockAhead, .waitsForEarlier])
        let rest = Set(try a.held().map(\.dot))
        #expect(try a.releaseHeld(rest).changeSets == 2)
        #expect(try a.held().isEmpty)
        #expect(try a.contents("links").isEmpty)
        #expect(try a.vectors().applied[forger.origin] == SequenceNumber(3))
        // An edit made here now is stamped after what was let in.
        try a.execute("INSERT INTO links(id) VALUES ('mine')")
        try a.seal()
        #expect(try a.lastChangeSet().header.firstStamp > workspace.stamp(Self.year + 2))
        try a.expectSound(workspace.authors)
    }

    @Test func othersGoOnWhileOneIsHeld() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        var forger = Forger(workspace.authors)
        _ = try apply([forger.write(at: workspace.stamp(Self.year))], to: a, workspace)
        try b.execute("INSERT INTO links(id) VALUES ('l1')")
        try workspace.pull(a, from: b)
        #expect(try a.contents("links").count == 1)
        #expect(try a.held().count == 1)
        // What is held here is not passed on.
        try workspace.pull(b, from: a)
        #expect(try b.vectors().applied[forger.origin] == .zero)
    }

    @Test func whatBuildsOnAHeldOneWaits() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var (early, later) = (Forger(workspace.authors), Forger(workspace.authors))
        let held = early.write(at: workspace.stamp(Self.year))
        let seen = VersionVector([early.origin: SequenceNumber(1)])
        let building = later.write(.insert, "links", "f2", at: workspace.stamp(Self.year + 1), seen: seen)
        let report = try apply([held, building], to: a, workspace)
        #expect(report.held.map(\.cause) == [.clockAhead, .waitsForEarlier])
        workspace.clock.advance((Self.year + 1) * 1000)
        #expect(try a.releaseHeld().changeSets == 2)
        #expect(try a.contents("links").count == 2)
    }

    /// The peer left an origin out, for it was held here, and is not to blame that it was released meanwhile.
    @Test func whatBuildsOnWhatAPeerLeftOutWaits() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var (early, later) = (Forger(workspace.authors), Forger(workspace.authors))
        let first = early.write(at: workspace.stamp(1))
        let leftOut = early.write(.update, "links", "f1", [("target", Value("x"))], at: workspace.stamp(2))
        let seen = VersionVector([early.origin: SequenceNumber(2)])
        let building = later.write(.insert, "links", "f2", at: workspace.stamp(3), seen: seen)
        _ = try apply([first], to: a, workspace)
        let blamed = try a.apply([building], from: nil, authors: workspace.authors)
        #expect(blamed.violation?.kind == .gap)
        let report = try a.apply([building], from: nil, leftOut: [early.origin], authors: workspace.authors)
        #expect(report.violation == nil)
        #expect(report.held.map(\.cause) == [.waitsForEarlier])
        #expect(try apply([leftOut], to: a, workspace).changeSets == 2)
        #expect(try a.contents("links").count == 2)
        #expect(try a.held().isEmpty)
    }

    @Test func theSameHeldTwiceIsHeldOnce() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let ahead = forger.write(at: workspace.stamp(Self.year))
        _ = try apply([ahead, ahead], to: a, workspace)
        _ = try apply([ahead], to: a, workspace)
        #expect(try a.held().count == 1)
    }

    // MARK: Schemas

    @Test func anUnknownTableIsHeldUntilItIsDeclared() throws {
        let workspace = try TestWorkspace()
        let newer = [TestTables.links, Table("photos", columns: [Column("caption"), Column("pixels", "BLOB")])]
        let (a, b) = (try workspace.replica("a", tables: newer), try workspace.replica("b", tables: [TestTables.links]))
        try a.execute("INSERT INTO photos VALUES ('p1', 'A harbour', zeroblob(5000))")
        try a.seal()
        try a.execute("INSERT INTO links(id) VALUES ('l1')")
        try a.seal()
        let sent = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map(\.sealed)
        let report = try apply(sent, to: b, workspace)
        #expect(report.held.map(\.cause) == [.unknownTable, .waitsForEarlier])
        #expect(report.held[0].detail.contains("photos"))
        let reopened = try reopen(b, with: newer)
        #expect(try reopened.held().isEmpty)
        #expect(try reopened.contents("photos") == a.contents("photos"))
        #expect(try reopened.contents("links").count == 1)
        try reopened.expectSound(workspace.authors)
    }

    @Test func otherGroupsAreHeld() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        for (id, field) in [
            ("1", Field(name: "due_on", columns: ["due_on"])), ("2", Field(name: "due", columns: ["due_on"])),
            ("3", Field(name: "due", columns: ["due_precision", "due_on"])),
            ("4", Field(name: "new", columns: ["new", "title"])),
        ] {
            let sent = forger.write(
                .insert, "notes", id, fields: [field], field.columns.map { _ in Value("x") }, at: workspace.stamp())
            let report = try apply([sent], to: a, workspace)
            #expect(report.held.map(\.cause) == [.schemaDiffers], "\(field)")
            forger = Forger(workspace.authors)
        }
        #expect(try a.contents("notes").isEmpty)
    }

    // MARK: Parked columns

    private static let wide = Table(
        "links", columns: TestTables.links.columns + [Column("weight", ""), Column("lat"), Column("lon")],
        groups: ["place": ["lat", "lon"]])

    @Test func anUnknownColumnIsParkedAndFilledInLater() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a", tables: [Self.wide])
        let b = try workspace.replica("b", tables: [TestTables.links])
        let c = try workspace.replica("c", tables: [Self.wide])
        let long = Value(String(repeating: "l", count: 999))
        try a.execute("INSERT INTO links VALUES ('l1', 'n1', 't1', 1.5, ?, '28.9')", [long])
        try a.execute("INSERT INTO links VALUES ('l2', 'n2', NULL, x'00ff', NULL, NULL)")
        try workspace.pull(b, from: a)
        #expect(
            try b.contents("links") == [[Value("l1"), Value("n1"), Value("t1")], [Value("l2"), Value("n2"), .null]])
        #expect(try b.status().parked == 6)
        try a.execute("UPDATE links SET weight = 7 WHERE id = 'l1'")
        try a.execute("DELETE FROM links WHERE id = 'l2'")
        try workspace.pull(b, from: a)
        try b.expectSound(workspace.authors)
        // Passed on whole by a node that does not know the columns.
        try workspace.pull(c, from: b)
        #expect(try c.contents("links") == a.contents("links"))
        #expect(try c.contents("sync_graveyard_links") == a.contents("sync_graveyard_links"))
        #expect(try c.vectors().safe == a.vectors().applied)

        let followed = try b.changedRows(in: "links", after: .start, limit: 100)
        #expect(followed.reachedEnd)
        let reopened = try reopen(b, with: [Self.wide])
        #expect(try reopened.contents("links") == a.contents("links"))
        #expect(try reopened.contents("sync_graveyard_links") == a.contents("sync_graveyard_links"))
        #expect(try reopened.status().parked == 0)
        // Whoever follows the table is told of the row that was filled in.
        #expect(try reopened.changedRows(in: "links", after: followed.next, limit: 100).ids == [RowID("l1")])
        try reopened.expectSound(workspace.authors)
        #expect(try reopened.seal() == SealReport())
        try Oracle(a).check(reopened, [Self.wide], "parked")
    }

    @Test(arguments: [
        "UPDATE links SET target = 'edited' WHERE id = 'l1'", "DELETE FROM links WHERE id = 'l1'",
        "REPLACE INTO links(id, target) VALUES ('l1', 'whole')", "UPDATE links SET id = 'l9' WHERE id = 'l1'",
        "DELETE FROM links; INSERT INTO links(id, target) VALUES ('l1', 'again')",
    ]) func unsealedEditsMeetAParkedValue(statement: String) throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a", tables: [Self.wide])
        let b = try workspace.replica("b", tables: [TestTables.links])
        try a.execute("INSERT INTO links VALUES ('l1', 'n1', 't1', 1.5, '41', '28')")
        try workspace.pull(b, from: a)
        for part in statement.split(separator: ";") { try b.execute(String(part)) }
        let reopened = try reopen(b, with: [Self.wide])
        try reopened.expectSound(workspace.authors)
        try workspace.pull(a, from: reopened)
        #expect(try a.contents("links") == reopened.contents("links"))
        #expect(try a.contents("sync_graveyard_links") == reopened.contents("sync_graveyard_links"))
        try Oracle(a).check(reopened, [Self.wide], "\(statement)")
    }

    @Test func aConflictOnAParkedFieldIsRecorded() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a", tables: [Self.wide])
        let b = try workspace.replica("b", tables: [TestTables.links])
        let c = try workspace.replica("c", tables: [Self.wide])
        try a.execute("INSERT INTO links VALUES ('l1', 'n1', 't1', 1, '41', '28')")
        try workspace.pull(c, from: a)
        try a.execute("UPDATE links SET weight = 2, lat = '42'")
        try a.seal()
        try c.execute("UPDATE links SET weight = 3, lon = '29'")
        try c.seal()
        try workspace.pull(b, from: a)
        try workspace.pull(b, from: c)
        try workspace.pull(a, from: c)
        try workspace.pull(c, from: a)
        #expect(try a.ledgerText() == c.ledgerText())
        #expect(try b.ledgerText() == a.ledgerText())
        #expect(try b.conflictCount() == 2)
        // A program that does not know the field cannot write it.
        for conflict in try b.conflicts() {
            #expect {
                try b.keep(conflict)
            } throws: {
                ($0 as? ReplicaError)?.code == .input
            }
        }
        #expect(try b.conflictCount() == 2)
        try b.expectSound(workspace.authors)
        let reopened = try reopen(b, with: [Self.wide])
        try Oracle(a).check(reopened, [Self.wide], "parked and in conflict")
        for conflict in try reopened.conflicts() { try reopened.keep(conflict) }
        try workspace.pull(a, from: reopened)
        #expect(try a.contents("links") == reopened.contents("links"))
        #expect(try a.conflictCount() == 0)
    }

    @Test func aParkedFieldIsAwaited() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a", tables: [Self.wide])
        let b = try workspace.replica("b", tables: [TestTables.links])
        for letter in ["x", "y"] {
            try a.execute(
                "INSERT INTO links(id, lat) VALUES ('l1', ?) ON CONFLICT DO UPDATE SET lat = excluded.lat",
                [Value(String(repeating: letter, count: 500))])
            try a.seal()
        }
        try workspace.pull(b, from: a, atMost: 1)
        #expect(try b.status().awaiting == 1)
        let reopened = try reopen(b, with: [Self.wide])
        #expect(try reopened.status().awaiting == 1)
        try reopened.expectSound(workspace.authors)
        try workspace.pull(reopened, from: a)
        #expect(try reopened.contents("links") == a.contents("links"))
        #expect(try reopened.status().awaiting == 0)
    }
}
