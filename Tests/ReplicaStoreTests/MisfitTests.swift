// Values and names that this schema would not keep as they were signed: kept beside the table, and nobody waits for them.
import ReplicationCore
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct MisfitTests {
    private static let narrow = Table("notes", columns: [Column("title", "TEXT NOT NULL DEFAULT ''")])
    private static let wide = Table(
        "notes",
        columns: [
            Column("title", "TEXT NOT NULL DEFAULT ''"), Column("rating", "INTEGER DEFAULT 3"), Column("lat", "REAL"),
            Column("lon", "REAL"),
        ], groups: ["place": ["lat", "lon"]])
    private static let place = Field(name: "place", columns: ["lat", "lon"])

    private func reopen(_ replica: Replica, _ tables: [Table]) throws -> Replica {
        try Replica.open(at: replica.path, key: replica.key, tables: tables, clock: replica.clock)
    }

    /// Equal tables, graveyards and ledgers, and sound by what was signed and by comparing.
    private func expectAlike(
        _ replicas: [Replica], _ workspace: TestWorkspace, _ location: SourceLocation = #_sourceLocation
    )
        throws
    {
        for replica in replicas {
            for table in ["notes", "sync_graveyard_notes"] {
                #expect(try replica.contents(table) == replicas[0].contents(table), sourceLocation: location)
            }
            #expect(try replica.ledgerText() == replicas[0].ledgerText(), sourceLocation: location)
            #expect(try replica.misfits() == replicas[0].misfits(), sourceLocation: location)
            #expect(try differences(replicas[0], replica) == [], sourceLocation: location)
            try replica.expectSound(workspace.authors, sourceLocation: location)
        }
    }

    /// SQLite makes text of a number in a column of text, and then it is not what the author signed.
    @Test func aNumberInAColumnOfTextStandsBesideIt() throws {
        for value in [Value.integer(7), .real(1.5)] {
            let workspace = try TestWorkspace()
            let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
            var forger = Forger(workspace.authors)
            let good = forger.write(
                .insert, "notes", "f1", [("body", Value("x")), ("amount", value)], at: workspace.stamp(-4))
            let bad = forger.write(.update, "notes", "f1", [("body", value)], at: workspace.stamp(-3))
            let after = forger.write(.insert, "links", "l1", at: workspace.stamp(-2))
            let report = try a.apply([good, bad, after], from: nil, authors: workspace.authors)
            #expect(report.violation == nil && report.changeSets == 3 && report.held.isEmpty)
            #expect(try a.contents("notes") == [[Value("f1"), Value(""), .null, .null, .null, value]])
            let misfit = try #require(try a.misfits().first)
            #expect(misfit.id == RowID("f1") && misfit.values == ["body": value] && misfit.author == forger.origin)
            #expect(try a.status().misfits == 1 && a.status().parked == 0)
            try workspace.pull(b, from: a)
            try expectAlike([a, b], workspace)
            // Deleted and brought back it is as it was; written anew it is settled, everywhere.
            try a.execute("DELETE FROM notes")
            try workspace.pull(b, from: a)
            try expectAlike([a, b], workspace)
            #expect(try b.undelete(table: "notes", id: RowID("f1")))
            try workspace.pull(a, from: b)
            #expect(try a.misfits() == [misfit])
            try b.execute("UPDATE notes SET body = 'settled'")
            try workspace.pull(a, from: b)
            try expectAlike([a, b], workspace)
            #expect(try a.misfits().isEmpty && a.noteRow("f1") == [Value(""), Value("settled")])
        }
    }

    /// What stands beside a table is compared like what stands in it.
    @Test func aMisfitThatADiskChangedIsADifference() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        var forger = Forger(workspace.authors)
        let bad = forger.write(.insert, "notes", "f1", [("body", .integer(7))], at: workspace.stamp(-4))
        for replica in [a, b] { _ = try replica.apply([bad], from: nil, authors: workspace.authors) }
        #expect(try a.misfits().count == 1 && differences(a, b) == [])
        try b.damage("UPDATE sync_parked SET value = 8")
        #expect(try differences(a, b).map(\.part) == ["body"] && differences(b, a).map(\.part) == ["body"])
    }

    /// Who writes under the name of a column that is yet to come spoils one value, and no column: whoever learns of the column
    /// sooner or later ends alike, and nobody's work waits.
    @Test func whatWasParkedUnderAFutureColumnDoesNotStopTheUpgrade() throws {
        let workspace = try TestWorkspace()
        var old = try workspace.replica("old", tables: [Self.narrow])
        let (new, later) = (
            try workspace.replica("new", tables: [Self.wide]), try workspace.replica("later", tables: [Self.narrow])
        )
        var liar = Forger(workspace.authors)
        let long = Value(String(repeating: "not a number ", count: 40))
        let sent = [
            liar.write(
                .insert, "notes", "fits", [("title", Value("a")), ("rating", .integer(5))], at: workspace.stamp(-9)),
            liar.write(
                .insert, "notes", "word", [("title", Value("b")), ("rating", Value("12"))], at: workspace.stamp(-8)),
            liar.write(
                .insert, "notes", "half", fields: [Self.place], [.real(41.5), Value("28.5")], at: workspace.stamp(-7)),
            liar.write(.insert, "notes", "gone", [("rating", Value("1.0"))], at: workspace.stamp(-6)),
            liar.write(.update, "notes", "fits", fields: [Self.place], [long, .integer(1)], at: workspace.stamp(-5)),
            liar.write(.delete, "notes", "gone", at: workspace.stamp(-4)),
        ]
        #expect(try old.apply(sent, from: nil, authors: workspace.authors).held.isEmpty)
        #expect(try old.status().parked == 7)
        // Honest work that has seen it.
        try old.execute("UPDATE notes SET title = 'by old' WHERE id = 'word'")
        #expect(try workspace.pull(new, from: old).held.isEmpty)
        #expect(try workspace.pull(later, from: new).held.isEmpty)

        old = try reopen(old, [Self.wide])
        #expect(try old.status().parked == 0)
        #expect(
            try old.contents("notes") == [
                [Value("fits"), Value("a"), .integer(5), .null, .null],
                [Value("half"), Value(""), .integer(3), .null, .null],
                [Value("word"), Value("by old"), .integer(3), .null, .null],
            ])
        #expect(
            try old.misfits().map { "\($0.id) \($0.field)" } == [
                "fits place", "word rating", "half place", "gone rating",
            ])
        #expect(try old.misfits()[2].values == ["lat": .real(41.5), "lon": Value("28.5")])
        try old.execute("UPDATE notes SET title = 'after' WHERE id = 'half'")
        try workspace.pull(new, from: old)
        try workspace.pull(later, from: new)
        let upgraded = try reopen(later, [Self.wide])
        try expectAlike([old, new, upgraded], workspace)

        // Passed on as it was signed, the large one too, and settled by whoever writes the field.
        let last = try workspace.replica("last", tables: [Self.wide])
        try workspace.pull(last, from: upgraded)
        try expectAlike([old, last], workspace)
        #expect(try last.vectors().safe == old.vectors().applied)
        try last.execute("UPDATE notes SET rating = 12 WHERE id = 'word'")
        try last.execute("UPDATE notes SET lat = 1.5, lon = 2.5 WHERE id = 'fits'")
        try workspace.pull(old, from: last)
        #expect(try old.misfits().map { "\($0.id) \($0.field)" } == ["half place", "gone rating"])
        try workspace.pull(new, from: old)
        try expectAlike([old, new, last], workspace)
    }

    /// Who writes under the name of a field that is yet to come, with other columns, keeps nobody from declaring it: its values
    /// stay beside the table, whatever is applied again, and where it is declared already they wait.
    @Test func aFieldThatCameWithOtherColumnsDoesNotStopTheUpgrade() throws {
        let scene = try CutScene()
        let workspace = scene.workspace
        var (old, antalya) = (
            try workspace.replica("old", tables: [Self.narrow, TestTables.links]),
            try workspace.replica("antalya", tables: [Self.narrow, TestTables.links])
        )
        let new = try workspace.replica("new", tables: [Self.wide, TestTables.links])
        try scene.write(antalya, "INSERT INTO notes(id, title) VALUES ('kept', 'a')")
        try scene.write(antalya, "UPDATE notes SET title = 'void' WHERE id = 'kept'")
        for receiver in [old, new] { try scene.pull(receiver, from: antalya) }
        var liar = Forger(workspace.authors)
        let rogue = Field(name: "place", columns: ["floor", "lon"])
        let sent = [
            liar.write(
                .insert, "notes", "his", fields: [rogue], [.integer(3), .real(28.5)], at: workspace.stamp(-4)),
            liar.write(.update, "notes", "kept", fields: [rogue], [.integer(4), .null], at: workspace.stamp(-3)),
        ]
        #expect(try old.apply(sent, from: nil, authors: workspace.authors).held.isEmpty)
        #expect(try new.apply(sent, from: nil, authors: workspace.authors).held.count == 2)
        #expect(try old.status().parked == 4)

        old = try reopen(old, [Self.wide, TestTables.links])
        #expect(try old.status().parked == 4 && old.misfits().isEmpty)
        try old.expectSound(workspace.authors)
        try old.execute("UPDATE notes SET lat = 1.5, lon = 2.5 WHERE id = 'kept'")
        let more = [liar.write(.update, "notes", "his", fields: [rogue], [.null, .null], at: workspace.stamp(-2))]
        #expect(try old.apply(more, from: nil, authors: workspace.authors).held.map(\.cause) == [.schemaDiffers])
        // Opened again, and written again on a row of which a cut takes something back.
        old = try reopen(old, [Self.wide, TestTables.links])
        #expect(try old.addRosterRecords([scene.revocation(antalya, accepting: 1)])?.isRewound == true)
        #expect(
            try old.contents("notes") == [
                [Value("his"), Value(""), .integer(3), .null, .null],
                [Value("kept"), Value("a"), .integer(3), .real(1.5), .real(2.5)],
            ])
        #expect(try old.status().parked == 4)
        try old.expectSound(workspace.authors)
        // His work that came in under that name waits elsewhere: it is declared there, and has other columns.
        try new.addRosterRecords(old.rosterRecords())
        #expect(try new.held().contains { $0.cause == .schemaDiffers })
        try new.expectSound(workspace.authors)
    }

    /// One that loses to a concurrent write is in the ledger as it was signed; one that wins hides what stood in the column.
    @Test func aConflictWithOneIsAnyOther() throws {
        for liarIsLater in [true, false] {
            let workspace = try TestWorkspace()
            let (a, b) = (
                try workspace.replica("a", tables: [Self.wide]), try workspace.replica("b", tables: [Self.wide])
            )
            try a.execute("INSERT INTO notes(id, rating) VALUES ('x', 1)")
            try workspace.pull(b, from: a)
            let seen = try a.vectors().applied
            workspace.clock.advance(10_000)
            try a.execute("UPDATE notes SET rating = 2 WHERE id = 'x'")
            try a.setJournalTime(workspace.clock.now.milliseconds, in: "notes")
            try a.seal()
            var liar = Forger(workspace.authors)
            let sent = liar.write(
                .update, "notes", "x", [("rating", Value("word 9"))], at: workspace.stamp(liarIsLater ? 5 : -5),
                seen: seen)
            // And one that the column would change, so that it loses nothing by being a word.
            let number = liar.write(
                .update, "notes", "x", [("rating", Value("9"))], at: workspace.stamp(liarIsLater ? 6 : -4))
            #expect(try b.apply([sent, number], from: nil, authors: workspace.authors).held.isEmpty)
            #expect(try a.apply([sent, number], from: nil, authors: workspace.authors).held.isEmpty)
            try workspace.pull(b, from: a)
            try expectAlike([a, b], workspace)
            let conflict = try #require(try a.conflicts().first)
            #expect(conflict.lostValues == [liarIsLater ? .integer(2) : Value("9")])
            #expect(conflict.currentValues == [liarIsLater ? Value("9") : .integer(2)])
            #expect(try a.contents("notes")[0][2] == .integer(liarIsLater ? 3 : 2))
            #expect(try a.misfits().count == (liarIsLater ? 1 : 0))
        }
    }

    /// What covered it is cut off: it stands beside its column again.
    @Test func aRewindBringsItBack() throws {
        let scene = try CutScene()
        let (hq, istanbul, antalya) = (
            try scene.replica("hq"), try scene.replica("istanbul"), try scene.replica("antalya")
        )
        var liar = Forger(scene.workspace.authors)
        let long = Value(String(repeating: "l", count: 300))
        let sent = [
            liar.write(
                .insert, "notes", "x", [("title", Value("t")), ("body", .integer(7))], at: scene.workspace.stamp(-3)),
            liar.write(.insert, "notes", "y", [("body", long)], at: scene.workspace.stamp(-2)),
        ]
        #expect(try antalya.apply(sent, from: nil, authors: scene.workspace.authors).held.isEmpty)
        try scene.pull(hq, from: antalya)
        try scene.write(antalya, "UPDATE notes SET body = 'covered'")
        try scene.pull(hq, from: antalya)
        #expect(try hq.misfits().isEmpty)
        #expect(try hq.addRosterRecords([scene.revocation(antalya, accepting: 0)])?.isRewound == true)
        #expect(try hq.noteRow("x") == [Value("t"), .null] && hq.noteRow("y")?.last == long)
        #expect(try hq.misfits().map(\.values) == [["body": .integer(7)]])
        try scene.meet([hq, istanbul])
        try scene.expectAgreement([hq, istanbul])
        #expect(try istanbul.misfits() == hq.misfits())
        // And one that is cut off itself leaves what it had covered.
        let before = try hq.vectors().applied
        var second = Forger(scene.workspace.authors)
        try scene.write(hq, "UPDATE notes SET body = 'by hq'")
        scene.workspace.clock.advance(1_000)
        let over = second.write(
            .update, "notes", "x", [("body", .integer(8))], at: scene.workspace.stamp(), seen: try hq.vectors().applied)
        #expect(try hq.apply([over], from: nil, authors: scene.workspace.authors).held.isEmpty)
        #expect(
            try hq.noteRow("x") == [Value("t"), .null] && hq.misfits().count == 1 && before != hq.vectors().applied)
        let out = try scene.authority.revoke(
            second.origin.node, lastAccepted: [:], reason: "", now: scene.workspace.clock.now)
        #expect(try hq.addRosterRecords([out.bytes])?.isRewound == true)
        #expect(try hq.noteRow("x") == [Value("t"), Value("by hq")] && hq.misfits().isEmpty)
        try hq.expectSound(scene.workspace.authors)
    }

    /// A whole change set was held for such a value by an older program: the new one takes it in as it opens the replica.
    @Test func whatAnOlderProgramHeldForOneIsTakenIn() throws {
        let workspace = try TestWorkspace()
        let tables = [TestTables.notes, TestTables.links]
        // Opened once, so that it has a mark of its declarations, under which things are held.
        var replica = try reopen(workspace.replica("a"), tables)
        var forger = Forger(workspace.authors)
        let sent = forger.write(.insert, "notes", "f1", [("body", .integer(7))], at: workspace.stamp())
        let proven = try replica.prove(sent, authors: workspace.authors)
        try replica.connections.engineWrite { writer in
            let held = HeldChangeSet(dot: proven.dot, cause: .schemaDiffers, detail: "as it was", releaseAt: nil)
            try HeldStore.hold(
                proven, held, until: .declarations, from: nil, within: .standard, at: workspace.clock.now, in: writer)
            // As that program left the file.
            let step = try #require(Schema.steps.firstIndex { $0.contains("SET tried_under = NULL") })
            try writer.executeAll(
                """
                ALTER TABLE sync_held DROP COLUMN digest; ALTER TABLE sync_tables DROP COLUMN definition;
                PRAGMA user_version = \(step)
                """)
        }
        #expect(try replica.releaseHeld().changeSets == 0)
        replica = try reopen(replica, tables)
        #expect(try replica.heldTallies().isEmpty && replica.misfits().count == 1)
        try replica.expectSound(workspace.authors)
    }

    @Test(arguments: [
        "UPDATE sync_parked SET value = 8", "UPDATE sync_parked SET misfit = 0", "UPDATE sync_parked SET misfit = 2",
        "UPDATE sync_parked SET ordinal = 1", "UPDATE sync_parked SET row = row + 1", "DELETE FROM sync_parked",
        "UPDATE sync_parked SET field = field + 1", "UPDATE notes SET body = 'x'",
    ]) func damageToOneIsFound(statement: String) throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let sent = forger.write(.insert, "notes", "f1", [("body", .integer(7))], at: workspace.stamp())
        #expect(try replica.apply([sent], from: nil, authors: workspace.authors).held.isEmpty)
        try replica.expectSound(workspace.authors)
        try replica.damage(statement)
        #expect(try !replica.verify(authors: workspace.authors).findings.isEmpty)
    }

    /// A column of another schema may have a space in its name, as it may have any character that is no control.
    @Test func anUnknownFieldWithASpaceInItsNameIsParkedEachTime() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        var forger = Forger(workspace.authors)
        let pair = [Field(name: "new pair", columns: ["new one", "another"])]
        let first = forger.write(
            .insert, "notes", "f1", fields: pair, [Value("a"), Value("b")], at: workspace.stamp(-2))
        let second = forger.write(
            .update, "notes", "f1", fields: pair, [Value("c"), Value("d")], at: workspace.stamp(-1))
        for changeSet in [first, second] {
            let report = try replica.apply([changeSet], from: nil, authors: workspace.authors)
            #expect(report.violation == nil && report.held.isEmpty && report.changeSets == 1, "\(report)")
        }
        #expect(try replica.verify(authors: workspace.authors).findings == [])
    }
}
