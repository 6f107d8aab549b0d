// Columns with a type: what SQLite makes of a value is what is captured, and it arrives, is compared and is lost as that.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct AffinityTests {
    private static let typed = Table(
        "typed",
        columns: [
            Column("i", "INTEGER"), Column("r", "REAL"), Column("n", "NUMERIC"), Column("t", "TEXT"),
            Column("b", "BLOB"),
        ])
    private static let names = ["i", "r", "n", "t", "b"]

    /// Numbers that look like text, text that looks like numbers, and what lies on the borders between them.
    private static let values: [Value] = [
        .null, Value("abc"), Value("12"), Value(" 12 "), Value("12abc"), Value("1.0"), Value("1e3"), Value("1e999"),
        Value("inf"), Value("0x10"), Value(""), Value("-0.0"), Value("0.1"), Value("9007199254740993"),
        Value("9007199254740993.0"), Value("9223372036854775807"), Value("9223372036854775808"),
        Value("123456789012345678901234567890"), .text([0x31, 0]), .text([0x31, 0xff]),
        .text([UInt8](repeating: 0x30, count: 300) + [0x37]), .text([UInt8](repeating: 0x39, count: 300)),
        .integer(0), .integer(5), .integer(-1), .integer(.max), .integer(.min), .integer(9_007_199_254_740_993),
        .real(1.0), .real(0.0), .real(-0.0), .real(1.5), .real(-3.0), .real(1e15), .real(9_007_199_254_740_992.0),
        .real(9.2233720368547758e18), .real(-9.2233720368547758e18), .real(1e300), .real(.infinity),
        .real(.leastNonzeroMagnitude), .blob(Array("12".utf8)), .blob([]),
    ]

    private func id(_ index: Int) -> Value { Value("\(1000 + index)") }

    private func relay(_ workspace: TestWorkspace, _ replicas: [Replica]) throws {
        for (from, to) in zip(replicas, replicas.dropFirst()) { try workspace.pull(to, from: from) }
    }

    /// The same on all: bit for bit, by what was signed, and as `verify PEER` compares.
    private func expectAlike(_ replicas: [Replica], _ workspace: TestWorkspace, _ location: SourceLocation) throws {
        for replica in replicas {
            try replica.expectSound(workspace.authors, sourceLocation: location)
            for table in ["typed", "sync_graveyard_typed"] {
                #expect(try replica.contents(table) == replicas[0].contents(table), sourceLocation: location)
            }
            #expect(try differences(replicas[0], replica) == [], sourceLocation: location)
        }
    }

    private func expectAlike(
        _ replicas: Replica..., in workspace: TestWorkspace, location: SourceLocation = #_sourceLocation
    ) throws {
        try expectAlike(replicas, workspace, location)
    }

    /// One row for each value, with it in every column.
    private func fill(_ replica: Replica, _ values: [Value] = Self.values) throws {
        for (index, value) in values.enumerated() {
            try replica.execute(
                "INSERT INTO typed VALUES (?, ?, ?, ?, ?, ?)", [id(index), value, value, value, value, value])
        }
    }

    @Test func howeverTheyAreWrittenTheyArriveAsTheyWereCaptured() throws {
        let workspace = try TestWorkspace()
        let replicas = try ["a", "b", "c"].map { try workspace.replica($0, tables: [Self.typed]) }
        let (a, b, c) = (replicas[0], replicas[1], replicas[2])
        try fill(a)
        try relay(workspace, replicas)
        try expectAlike(a, b, c, in: workspace)
        // Each to the next, one column after another, and once more before it is sealed.
        for (index, _) in Self.values.enumerated() {
            for (step, name) in Self.names.enumerated() {
                let next = Self.values[(index + step + 1) % Self.values.count]
                try a.execute("UPDATE typed SET \(name) = ? WHERE id = ?", [next, id(index)])
                if step == 2 { try a.seal() }
            }
            try a.execute("UPDATE typed SET t = i, n = t, i = r WHERE id = ?", [id(index)])
        }
        try a.expectSound(workspace.authors)
        try relay(workspace, replicas)
        try expectAlike(a, b, c, in: workspace)
        // Replaced, by UPSERT and by REPLACE.
        for (index, value) in Self.values.reversed().enumerated() {
            let sql =
                index % 2 == 0
                ? "INSERT INTO typed(id, i, r, n) VALUES (?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET i = excluded.i, r = excluded.r"
                : "REPLACE INTO typed(id, i, r, n) VALUES (?, ?, ?, ?)"
            try a.execute(sql, [id(index), value, value, value])
        }
        try relay(workspace, replicas)
        try expectAlike(a, b, c, in: workspace)
        // Through the graveyard and back.
        let whole = try a.contents("typed")
        try a.execute("DELETE FROM typed")
        try relay(workspace, replicas)
        #expect(try c.contents("typed").isEmpty)
        try expectAlike(a, b, c, in: workspace)
        for index in Self.values.indices { #expect(try a.undelete(table: "typed", id: RowID("\(1000 + index)"))) }
        try relay(workspace, replicas)
        #expect(try c.contents("typed") == whole)
        try expectAlike(a, b, c, in: workspace)
    }

    /// What two programs wrote is the same where SQLite made the same of it, and only there.
    @Test func conflictsAreToldByWhatSQLiteMadeOfTheValues() throws {
        let cases: [(String, String, String, conflicts: Int)] = [
            ("i", "'12'", "12", 0), ("i", "12.0", "' 12 '", 0), ("i", "'abc'", "'abc '", 1),
            ("i", "'12'", "x'3132'", 1),
            ("i", "1.5", "'1.5'", 0), ("r", "5", "5.0", 0), ("r", "'5'", "5", 0), ("r", "-0.0", "0.0", 0),
            ("r", "9007199254740993", "9007199254740992", 0), ("r", "'x'", "5", 1), ("n", "1.0", "'1'", 0),
            ("n", "'1x'", "1", 1), ("t", "7", "'7'", 0), ("t", "7", "'7.0'", 1), ("b", "7", "'7'", 1),
            ("b", "1", "1.0", 1),
        ]
        for (column, first, second, expected) in cases {
            let workspace = try TestWorkspace()
            let (a, b) = (
                try workspace.replica("a", tables: [Self.typed]), try workspace.replica("b", tables: [Self.typed])
            )
            try a.execute("INSERT INTO typed VALUES ('x', 'old', 'old', 'old', 'old', 'old')")
            try workspace.pull(b, from: a)
            try a.execute("UPDATE typed SET \(column) = \(first)")
            try a.seal()
            try b.execute("UPDATE typed SET \(column) = \(second)")
            try workspace.pull(a, from: b)
            try workspace.pull(b, from: a)
            #expect(try a.conflicts().count == expected, "\(column): \(first) beside \(second)")
            try expectAlike(a, b, in: workspace)
            #expect(try a.ledgerText() == b.ledgerText())
            // The loser, written back, is what it was.
            guard let conflict = try b.conflicts().first else { continue }
            let lost = conflict.lostValues
            try b.keep(conflict)
            try workspace.pull(a, from: b)
            let kept = try a.read { try $0.query("SELECT \(column) FROM typed").first?[0] }
            #expect([kept] == lost, "\(column): \(first) beside \(second)")
            try expectAlike(a, b, in: workspace)
        }
    }

    /// Where the author's columns have other types, a value arrives as it was signed or stands beside: never as another.
    @Test func aColumnOfAnotherTypeKeepsAValueOrItStandsBeside() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("b", tables: [Self.typed])
        var beside = 0
        for (index, value) in Self.values.enumerated() {
            for name in Self.names {
                var author = Forger(workspace.authors)
                let id = "\(name) \(index)"
                let sent = author.write(.insert, "typed", id, [(name, value)], at: workspace.stamp())
                let report = try replica.apply([sent], from: nil, authors: workspace.authors)
                #expect(report.violation == nil && report.held.isEmpty)
                // What this column makes of it.
                try replica.execute("INSERT INTO typed(id, \(name)) VALUES ('mine \(id)', ?)", [value])
                let made = try replica.value(of: name, "mine \(id)")
                if let misfit = try replica.misfits().first(where: { $0.id == RowID(id) }) {
                    beside += 1
                    #expect(misfit.values == [name: value] && misfit.author == author.origin)
                    #expect(try replica.value(of: name, id) == .null)
                    #expect(made != value, "\(value) in \(name)")
                } else {
                    #expect(try replica.value(of: name, id) == value && made == value, "\(value) in \(name): \(made)")
                }
            }
        }
        #expect(beside > 60)
        try replica.expectSound(workspace.authors)
    }

    /// An update brings it as well; what else it writes is applied.
    @Test func anUpdateStandsBesideLikeAnInsert() throws {
        let loose = Table("typed", columns: Self.names.map { Column($0, "") })
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a", tables: [loose]), try workspace.replica("b", tables: [Self.typed]))
        try a.execute("INSERT INTO typed(id, i, r) VALUES ('x', 'text', 1.5)")
        #expect(try workspace.pull(b, from: a).held.isEmpty)
        let zeros = Value(String(repeating: "0", count: 400) + "1")
        try a.execute("UPDATE typed SET t = 'fits', i = ?", [zeros])
        #expect(try workspace.pull(b, from: a).held.isEmpty)
        #expect(try b.contents("typed") == [[Value("x"), .null, .real(1.5), .null, Value("fits"), .null]])
        #expect(try b.misfits().map(\.values) == [["i": zeros]])
        try b.expectSound(workspace.authors)
        // Passed on whole by a node whose column would not keep it.
        let c = try workspace.replica("c", tables: [loose])
        try workspace.pull(c, from: b)
        #expect(try c.contents("typed") == a.contents("typed"))
        #expect(try c.vectors().safe == a.vectors().applied)
    }

    // MARK: Registers that nobody wrote

    private static let narrow = Table("typed", columns: [Column("i", "INTEGER")])
    private static let defaults = Table(
        "typed",
        columns: [
            Column("i", "INTEGER"), Column("f", "REAL NOT NULL DEFAULT 0"), Column("d", "TEXT NOT NULL DEFAULT 0"),
            Column("k", "INTEGER NOT NULL DEFAULT '7'"), Column("s", "REAL DEFAULT '1.5'"),
            Column("z", "INTEGER DEFAULT 2.0"),
        ])

    /// A default is what the column makes of it, in the table and in the graveyard, whoever deleted the row.
    @Test func aDefaultIsWhatTheColumnMakesOfIt() throws {
        let workspace = try TestWorkspace()
        let old = try workspace.replica("old", tables: [Self.narrow])
        let (a, b) = (
            try workspace.replica("a", tables: [Self.defaults]), try workspace.replica("b", tables: [Self.defaults])
        )
        try old.execute("INSERT INTO typed VALUES ('x', 1), ('y', 2)")
        for replica in [a, b] { try workspace.pull(replica, from: old) }
        let inTable = try a.contents("typed")
        #expect(inTable[0].dropFirst(2) == [.real(0), Value("0"), .integer(7), .real(1.5), .integer(2)])
        try a.execute("DELETE FROM typed WHERE id = 'x'")
        try workspace.pull(b, from: a)
        // Known from a write to a field alone, it was never in the table here.
        let c = try workspace.replica("c", tables: [Self.defaults])
        try workspace.pull(c, from: b)
        #expect(try a.contents("sync_graveyard_typed") == [inTable[0]])
        try expectAlike(a, b, c, in: workspace)
        #expect(try a.undelete(table: "typed", id: RowID("x")))
        for replica in [b, c] { try workspace.pull(replica, from: a) }
        #expect(try c.contents("typed") == inTable)
        try expectAlike(a, b, c, in: workspace)
    }

    /// A replica of a program whose graveyards had no types.
    @Test func anOlderGraveyardIsMadeAnew() throws {
        let workspace = try TestWorkspace()
        let old = try workspace.replica("old", tables: [Self.narrow])
        let (a, b) = (
            try workspace.replica("a", tables: [Self.defaults]), try workspace.replica("b", tables: [Self.defaults])
        )
        try old.execute("INSERT INTO typed VALUES ('x', 1), ('y', 2)")
        try workspace.pull(a, from: old)
        try a.execute("DELETE FROM typed WHERE id = 'x'")
        try workspace.pull(b, from: old)
        try workspace.pull(b, from: a)
        try a.connections.engineWrite { writer in
            try writer.executeAll(
                """
                DROP TABLE sync_graveyard_typed;
                CREATE TABLE sync_graveyard_typed(id TEXT PRIMARY KEY NOT NULL, i, f DEFAULT (0), d DEFAULT (0),
                    k DEFAULT ('7'), s DEFAULT ('1.5'), z DEFAULT (2.0));
                INSERT INTO sync_graveyard_typed(id, i) VALUES ('x', 1);
                UPDATE sync_settings SET value = 'as it was declared then' WHERE name = 'declared';
                """)
        }
        #expect(try differences(a, b) != [])
        let reopened = try Replica.open(at: a.path, key: a.key, tables: [Self.defaults], clock: a.clock)
        try expectAlike(b, reopened, in: workspace)
    }

    // MARK: Values that came before their column

    /// They move in where the column keeps them.
    @Test func parkedValuesMoveIntoColumnsThatKeepThem() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a", tables: [Self.typed])
        var b = try workspace.replica("b", tables: [Self.narrow])
        try fill(a)
        #expect(try workspace.pull(b, from: a).held.isEmpty)
        b = try Replica.open(at: b.path, key: b.key, tables: [Self.typed], clock: b.clock)
        try expectAlike(a, b, in: workspace)
    }

    /// A column that would make something else of what was signed is declared all the same, and that value stands beside it.
    @Test func aColumnThatWouldChangeParkedValuesLeavesThemBeside() throws {
        let workspace = try TestWorkspace()
        let loose = Table("typed", columns: [Column("i", "INTEGER"), Column("n", "")])
        let a = try workspace.replica("a", tables: [loose])
        let b = try workspace.replica("b", tables: [Self.narrow])
        try a.execute("INSERT INTO typed VALUES ('x', 1, '12'), ('y', 2, 'abc')")
        try workspace.pull(b, from: a)
        let strict = Table("typed", columns: [Column("i", "INTEGER"), Column("n", "INTEGER")])
        let reopened = try Replica.open(at: b.path, key: b.key, tables: [strict], clock: b.clock)
        #expect(
            try reopened.contents("typed") == [
                [Value("x"), .integer(1), .null], [Value("y"), .integer(2), Value("abc")],
            ])
        #expect(try reopened.misfits().map(\.values) == [["n": Value("12")]])
        try reopened.expectSound(workspace.authors)
        let c = try workspace.replica("c", tables: [loose])
        try workspace.pull(c, from: reopened)
        try expectAlike(a, c, in: workspace)
    }
}

extension Replica {
    fileprivate func value(of column: String, _ id: String) throws -> Value {
        try #require(read { try $0.query("SELECT \"\(column)\" FROM typed WHERE id = ?", [Value(id)]).first?[0] })
    }
}
