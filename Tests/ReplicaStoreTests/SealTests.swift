// Sealing: stamped when written, cut within the limits, and the same however often it is done.
import ReplicationModel
import ReplicationWire
import Testing

@testable import ReplicaStore

@Suite struct SealTests {
    private static let monday: Int64 = 1_700_000_000_000
    private static let wednesday: Int64 = monday + 2 * 86_400_000

    @Test func anEditIsStampedWhenItWasMade() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try a.execute("INSERT INTO notes(id) VALUES ('n1')")
        try a.setJournalTime(Self.monday)
        try a.execute("INSERT INTO links(id) VALUES ('l1')")
        try a.setJournalTime(Self.wednesday, in: "links")
        try a.seal()
        let changeSet = try a.lastChangeSet()
        #expect(changeSet.header.firstStamp == Stamp(WallClock(milliseconds: Self.monday)))
        #expect(changeSet.header.lastStamp == Stamp(WallClock(milliseconds: Self.wednesday)))
        #expect(changeSet.tables.map(\.table) == ["links", "notes"])
    }

    @Test func stampsFollowTheOrderOfWritingAcrossTables() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        for (index, table) in ["notes", "links", "links", "notes", "links"].enumerated() {
            try a.execute("INSERT INTO \(table)(id) VALUES (?)", [Value("\(index)")])
            try a.damage(
                "UPDATE sync_journal_\(table) SET at = ? WHERE id = ?",
                [.integer(Self.monday + Int64(index)), Value("\(index)")])
        }
        try a.seal()
        let rows = try a.lastChangeSet().tables.flatMap(\.rows).sorted { $0.stamp < $1.stamp }
        #expect(rows.map(\.id.description) == ["0", "1", "2", "3", "4"])
        #expect(rows.map(\.stamp.wallClock.milliseconds) == (0..<5).map { Self.monday + $0 })
    }

    @Test func aClockThatWentBackDoesNotTakeStampsBack() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try b.execute("INSERT INTO notes(id) VALUES ('n1')")
        try b.setJournalTime(Self.wednesday)
        try workspace.pull(a, from: b)
        try a.execute("UPDATE notes SET title = 'x'")
        try a.execute("UPDATE notes SET body = 'y'")
        try a.setJournalTime(Self.monday)
        try a.seal()
        let header = try a.lastChangeSet().header
        #expect(header.firstStamp.rawValue == Stamp(WallClock(milliseconds: Self.wednesday)).rawValue + 1)
        #expect(header.lastStamp.rawValue == header.firstStamp.rawValue + 1)
    }

    @Test func oneTransactionIsOneChangeSetWhereItFits() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try a.write { writer in
            for index in 0..<4_000 {
                try writer.execute("INSERT INTO notes(id, title) VALUES (?, 'x')", [Value("n\(index)")])
                try writer.execute(
                    "INSERT INTO links(id, note_id) VALUES (?, ?)", [Value("l\(index)"), Value("n\(index)")])
            }
            try writer.execute("UPDATE notes SET body = 'y' WHERE id < 'n2'")
        }
        #expect(try a.seal().changeSets == 1)
    }

    @Test func aChangeSetIsCutAtTenThousandRows() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try insert(10_000, from: 0, a)
        #expect(try a.seal().changeSets == 1)
        try insert(10_001, from: 10_000, a)
        #expect(try a.seal().changeSets == 2)
        try a.expectSound(workspace.authors)
    }

    // MARK: Where a long backlog is cut

    /// Transactions of these sizes, a moment apart, and within each a millisecond passes now and then.
    private func transactions(_ sizes: [Int], pause: Int64, value: String = "", _ replica: Replica) throws {
        var at = Self.monday
        for (number, size) in sizes.enumerated() {
            try replica.write { writer in
                for index in 0..<size {
                    try writer.execute(
                        "INSERT INTO notes(id, title) VALUES (?, ?)", [Value("\(number)-\(index)"), Value(value)])
                }
            }
            try replica.damage(
                "UPDATE sync_journal_notes SET at = ? + n / 100 WHERE at > ?",
                [
                    .integer(at), .integer(Self.wednesday),
                ])
            at += Int64(size / 100) + pause
        }
    }

    /// For each change set, which transactions stand in it.
    private func transactionsByChangeSet(_ replica: Replica) throws -> [Set<Substring>] {
        try replica.read {
            try $0.query("SELECT body FROM sync_change_sets ORDER BY seq").compactMap(\.values[0].bytes)
        }
        .map { body in
            Set(
                try ChangeSetCodec.decode(body).tables.flatMap(\.rows).compactMap {
                    "\($0.id)".split(separator: "-").first
                })
        }
    }

    @Test(arguments: [[6_000, 6_000, 6_000], [1, 9_998, 2, 9_999, 1], [7_000, 2_999, 2, 10_000, 5_000]])
    func aBacklogIsCutBetweenTransactions(sizes: [Int]) throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try transactions(sizes, pause: 5, a)
        #expect(try a.status().unsealed == Int64(sizes.reduce(0, +)))
        try a.seal()
        let whole = try transactionsByChangeSet(a)
        for number in sizes.indices {
            #expect(whole.count { $0.contains("\(number)") } == 1, "transaction \(number) of \(sizes): \(whole)")
        }
        try a.expectSound(workspace.authors)
    }

    /// Bodies of a megabyte are full long before 10,000 rows.
    @Test func aBodyIsCutBetweenTransactions() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let sizes = [1_500, 1_500, 1_500, 1_500, 1_500, 1_500]
        try transactions(sizes, pause: 3, value: String(repeating: "v", count: 240), a)
        try a.seal()
        let whole = try transactionsByChangeSet(a)
        #expect(whole.count == 3 && whole.allSatisfy { $0.count == 2 }, "\(whole)")
        try workspace.pull(b, from: a)
        #expect(try b.contents("notes") == a.contents("notes"))
        try b.expectSound(workspace.authors)
    }

    /// One that fits no change set is cut, and what stands beside it is not.
    @Test func aTransactionThatFitsNowhereIsCutAlone() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a")
        try transactions([3_000, 25_000, 3_000], pause: 50, a)
        try a.seal()
        let whole = try transactionsByChangeSet(a)
        #expect(whole.count { $0.contains("1") } >= 3)
        #expect(whole.count { $0.contains("0") } == 1 && whole.count { $0.contains("2") } == 1, "\(whole)")
    }

    private func insert(_ count: Int, from first: Int, _ replica: Replica) throws {
        try replica.execute(
            """
            WITH RECURSIVE c(x) AS (SELECT ?1 UNION ALL SELECT x + 1 FROM c WHERE x + 1 < ?1 + ?2)
            INSERT INTO links(id) SELECT printf('%06d', x) FROM c
            """, [.integer(Int64(first)), .integer(Int64(count))])
    }

    @Test func bodiesAndWhatIsBesideThemAreCut() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.write { writer in
            let inline = Value(String(repeating: "x", count: 250))
            for index in 0..<3_000 {
                try writer.execute(
                    "INSERT INTO notes(id, title, body) VALUES (?, ?2, ?2)", [Value("n\(index)"), inline])
            }
            for index in 0..<9 {
                try writer.execute(
                    "INSERT INTO notes(id, amount) VALUES (?, zeroblob(8388608))", [Value("large\(index)")])
            }
        }
        try a.seal()
        let bodies = try a.read {
            try $0.query("SELECT body FROM sync_change_sets ORDER BY seq").compactMap(\.values[0].bytes)
        }
        let headers = try bodies.map { try ChangeSetCodec.decodeHeader($0) }
        #expect(bodies.allSatisfy { $0.count <= Limits.bodyBytes })
        #expect(bodies.count >= 3)
        #expect(headers.allSatisfy { $0.besideBytes <= UInt64(Limits.besideBytes) })
        #expect(headers.reduce(0) { $0 + $1.besideBytes } == UInt64(9 * Limits.valueBytes))
        try workspace.pull(b, from: a)
        #expect(try b.contents("notes") == a.contents("notes"))
    }

    // MARK: However often it is done

    private static let backlog = [
        "INSERT INTO notes(id, title, body) SELECT printf('%05d', x), 't' || x, 'b' || x FROM numbers WHERE x < 7000",
        "UPDATE notes SET title = title || '!', due_on = id WHERE id >= '03000'",
        "DELETE FROM notes WHERE id BETWEEN '00500' AND '02499'",
        "INSERT INTO links(id, note_id) SELECT 'l' || x, printf('%05d', x) FROM numbers WHERE x < 3000",
        "UPDATE notes SET body = body || body, amount = id",
        "INSERT INTO notes(id, body) SELECT printf('%05d', x), 'again' FROM numbers WHERE x BETWEEN 1000 AND 1999",
        "REPLACE INTO notes(id, title) SELECT printf('%05d', x), 'replaced' FROM numbers WHERE x BETWEEN 1500 AND 3999",
        "UPDATE notes SET id = id || 'r' WHERE id BETWEEN '04000' AND '04999'",
        "DELETE FROM notes WHERE id > '06000'",
        "DELETE FROM links WHERE id > 'l2'",
        "UPDATE notes SET title = 'last' WHERE id LIKE '%7'",
    ]

    @Test func aLongBacklogEqualsTheSameWorkSealedAtOnce() throws {
        let workspace = try TestWorkspace()
        let (late, prompt) = (try workspace.replica("late"), try workspace.replica("prompt"))
        for statement in Self.backlog {
            for replica in [late, prompt] {
                try replica.write { writer in
                    try writer.execute("CREATE TEMP TABLE IF NOT EXISTS numbers(x INTEGER PRIMARY KEY)")
                    try writer.execute(
                        """
                        INSERT OR IGNORE INTO numbers WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c LIMIT 8000)
                        SELECT x FROM c
                        """)
                    try writer.execute(statement)
                }
            }
            try prompt.seal()
        }
        #expect(try late.status().unsealed > 25_000)
        try late.seal()
        #expect(try late.status().unsealed == 0)
        for (index, replica) in [late, prompt].enumerated() {
            let peer = try workspace.replica("peer\(index)")
            try workspace.pull(peer, from: replica)
            for table in ["notes", "links"] {
                let expected = try prompt.contents(table)
                #expect(try replica.contents(table) == expected)
                #expect(try peer.contents(table) == expected)
                #expect(try peer.contents("sync_graveyard_\(table)") == replica.contents("sync_graveyard_\(table)"))
            }
            try Oracle(replica).check(peer, [TestTables.notes, TestTables.links], "peer \(index)")
            try peer.expectSound(workspace.authors)
            try replica.expectSound(workspace.authors)
        }
    }

    @Test(arguments: [1, 3]) func whereChunksEndMakesNoDifference(limit: Int) throws {
        for (index, script) in CaptureTests.scripts.enumerated() {
            let recursive = (index + limit).isMultiple(of: 2)
            let workspace = try TestWorkspace()
            let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
            try a.write { writer in
                try writer.execute("PRAGMA recursive_triggers = \(recursive ? "ON" : "OFF")")
                try writer.execute(
                    "INSERT INTO notes(id, title, body) VALUES ('n1', '1', 'b'), ('n2', '2', 'b'), ('n3', '3', NULL)"
                )
                try writer.execute("INSERT INTO links(id, note_id, target) VALUES ('l1', 'n1', 't1')")
                try writer.execute("UPDATE notes SET title = 'before', due_on = 'd' WHERE id = 'n1'")
                for statement in script {
                    do { try writer.execute(statement) } catch let error as SQLError where error.isConstraint {}
                }
                try writer.execute("UPDATE notes SET body = 'after' WHERE id <> 'n1'")
            }
            try a.sealChunks(of: limit)
            try workspace.pull(b, from: a)
            for table in ["notes", "links", "sync_graveyard_links"] {
                #expect(try b.contents(table) == a.contents(table), "\(script)")
            }
            try Oracle(a).check(b, [TestTables.notes, TestTables.links], "\(script)")
            try Oracle(a).check(a, [TestTables.notes, TestTables.links], "\(script)")
            try a.expectSound(workspace.authors)
        }
    }

    @Test func whatComesAndGoesBetweenSealsIsGone() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title) VALUES ('n1', 'x')")
        try a.execute("UPDATE notes SET body = 'y'")
        try a.execute("DELETE FROM notes")
        try workspace.pull(b, from: a)
        for replica in [a, b] {
            #expect(try replica.contents("notes").isEmpty)
            #expect(
                try replica.contents("sync_graveyard_notes")
                    == [[Value("n1"), Value("x"), Value("y"), .null, .null, .null]])
            try replica.expectSound(workspace.authors)
        }
        #expect(try a.undelete(table: "notes", id: RowID("n1")))
        try workspace.pull(b, from: a)
        #expect(try b.contents("notes") == a.contents("notes"))
        #expect(try b.contents("notes").count == 1)
    }
}

extension Replica {
    /// Seals so many edits a transaction.
    func sealChunks(of limit: Int) throws {
        var reachedEnd = false
        while !reachedEnd {
            try connections.engineWrite { writer in
                let sealer = try Sealer(try EngineTransaction(writer, now: clock()), key: key)
                reachedEnd = try sealer.sealChunk(limit: limit)
            }
        }
    }
}
