// Deleted rows under schemas that differ: what nobody wrote has its default, whichever came first, deletion or column.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct GraveyardTests {
    private static let narrow = Table("cards", columns: [Column("title")])
    private static let wide = Table(
        "cards",
        columns: [
            Column("title"), Column("priority", "TEXT NOT NULL DEFAULT 'normal'"), Column("weight", "DEFAULT 7"),
            Column("note"), Column("lat", "DEFAULT 41"), Column("lon", "DEFAULT -28.5"),
        ], groups: ["place": ["lat", "lon"]])

    private func reopen(_ replica: Replica, _ table: Table) throws -> Replica {
        try replica.close()
        return try Replica.open(at: replica.path, key: replica.key, tables: [table], clock: replica.clock)
    }

    @Test func whatNobodyWroteIsTheSameInEveryGraveyard() throws {
        let workspace = try TestWorkspace()
        var old = try workspace.replica("old", tables: [Self.narrow])
        var late = try workspace.replica("late", tables: [Self.narrow])
        let new = try workspace.replica("new", tables: [Self.wide])
        try old.execute("INSERT INTO cards VALUES ('c1', 'a'), ('c2', 'b'), ('c3', 'c'), ('c4', 'd'), ('c5', 'e')")
        for replica in [late, new] { try workspace.pull(replica, from: old) }
        // Deleted before the columns came, by another, by hand, after they came, and with fields written meanwhile.
        try old.execute("DELETE FROM cards WHERE id = 'c1'")
        try workspace.pull(new, from: old)
        try new.execute("DELETE FROM cards WHERE id = 'c2'")
        try new.execute("UPDATE cards SET priority = 'high', lat = NULL WHERE id = 'c3'")
        try new.execute("DELETE FROM cards WHERE id = 'c3'")
        try new.execute("UPDATE cards SET weight = NULL WHERE id = 'c4'")
        try old.execute("DELETE FROM cards WHERE id = 'c4'")
        // Captured under the old declarations, sealed when the new ones come.
        try late.execute("DELETE FROM cards WHERE id = 'c5'")
        late = try reopen(late, Self.wide)
        for _ in 0..<2 {
            for pair in [(old, new), (new, old), (late, new), (new, late), (old, late)] {
                try workspace.pull(pair.0, from: pair.1)
            }
        }
        old = try reopen(old, Self.wide)
        let buried = try new.contents("sync_graveyard_cards")
        #expect(buried.count == 5)
        #expect(
            buried[0] == [Value("c1"), Value("a"), Value("normal"), .integer(7), .null, .integer(41), .real(-28.5)])
        for replica in [old, late, new] {
            #expect(try replica.contents("sync_graveyard_cards") == buried, "\(replica.path)")
            try Oracle(new).check(replica, [Self.wide], "\(replica.path)")
            try replica.expectSound(workspace.authors)
        }
        // And so they come back alike.
        for id in ["c1", "c2", "c3", "c4", "c5"] { #expect(try late.undelete(table: "cards", id: RowID(id))) }
        for replica in [old, new] { try workspace.pull(replica, from: late) }
        let alive = try late.contents("cards")
        #expect(alive.count == 5)
        for replica in [old, new] { #expect(try replica.contents("cards") == alive) }
    }

    /// A row known from the write to one field alone.
    @Test func aRowThatWasNeverInsertedHasDefaultsToo() throws {
        let workspace = try TestWorkspace()
        let new = try workspace.replica("new", tables: [Self.wide])
        let old = try workspace.replica("old", tables: [Self.narrow])
        var forger = Forger(workspace.authors)
        let lone = forger.write(.update, "cards", "x1", [("title", Value("lone"))], at: workspace.stamp())
        for replica in [new, old] { _ = try replica.apply([lone], from: nil, authors: workspace.authors) }
        let reopened = try reopen(old, Self.wide)
        #expect(try reopened.contents("sync_graveyard_cards") == new.contents("sync_graveyard_cards"))
        #expect(try new.contents("sync_graveyard_cards").first?[2] == Value("normal"))
    }

    /// A replica whose graveyard an older program made.
    @Test func anOlderGraveyardIsBroughtUpToDate() throws {
        let workspace = try TestWorkspace()
        let a = try workspace.replica("a", tables: [Self.wide])
        try a.execute("INSERT INTO cards(id, title, note) VALUES ('c1', 'x', 'kept')")
        try a.execute("DELETE FROM cards")
        try a.seal()
        var forger = Forger(workspace.authors)
        let lone = forger.write(.update, "cards", "x1", [("title", Value("lone"))], at: workspace.stamp())
        _ = try a.apply([lone], from: nil, authors: workspace.authors)
        let before = try a.contents("sync_graveyard_cards")
        for sql in [
            "CREATE TABLE old AS SELECT id, title, CASE id WHEN 'c1' THEN priority END priority, "
                + "CASE id WHEN 'c1' THEN weight END weight, note, lat, lon FROM sync_graveyard_cards",
            "DROP TABLE sync_graveyard_cards",
            "CREATE TABLE sync_graveyard_cards(id TEXT PRIMARY KEY NOT NULL, title, priority, weight, note, lat, lon)",
            "INSERT INTO sync_graveyard_cards SELECT * FROM old", "DROP TABLE old",
            "DELETE FROM sync_settings WHERE name = 'declared'",
        ] { try a.damage(sql) }
        #expect(try a.contents("sync_graveyard_cards") != before)
        let reopened = try reopen(a, Self.wide)
        #expect(try reopened.contents("sync_graveyard_cards") == before)
        try reopened.expectSound(workspace.authors)
    }
}
