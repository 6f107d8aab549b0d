// A replica that cannot be brought to the present form: said as damage, with what to do, and the file is as it was.
import Foundation
import Testing

@Suite struct MigrationTests {
    /// Takes the replica back to the second form, with two rows in what was held that contradict each other.
    private static let contradiction = """
        DROP TABLE sync_held; DROP TABLE sync_journal_runs; DROP TABLE sync_cuts; DROP TABLE sync_forks;
        DROP TABLE sync_set_aside_edits; DROP TABLE sync_held_authors; DROP INDEX sync_conflict_values_absent;
        DROP INDEX sync_parked_misfits; ALTER TABLE sync_parked DROP COLUMN misfit;
        ALTER TABLE sync_tables DROP COLUMN definition;
        CREATE TABLE sync_held(
            number INTEGER PRIMARY KEY, origin BLOB NOT NULL, seq INTEGER NOT NULL, cause TEXT NOT NULL,
            detail TEXT NOT NULL, release_at INTEGER, received_at INTEGER NOT NULL, received_from BLOB,
            signature BLOB NOT NULL, body BLOB NOT NULL);
        INSERT INTO sync_held(origin, seq, cause, detail, received_at, signature, body)
            VALUES (x'01', 1, 'clock_ahead', '', 0, x'', x''), (x'01', 1, 'clock_ahead', '', 0, x'', x'');
        PRAGMA user_version = 2;
        """

    @Test(.timeLimit(.minutes(3))) func aContradictionIsDamageAndNothingChanges() async throws {
        let bureaus = try Bureaus()
        let node = try await bureaus.found()
        try await node.insertArticle("a", "there before")
        try await node.sql(Self.contradiction)
        let before = try await node.sql(".dump")
        for command in [["status"], ["article", "list"], ["sync", "127.0.0.1:1"]] {
            let outcome = try await node.attempt(command)
            #expect(outcome.status == 65, "\(command): \(outcome)")
            for word in ["UNIQUE constraint failed", node.replica, "syncnode recover HOST:PORT"] {
                #expect(outcome.errors.contains(word), "\(word): \(outcome)")
            }
        }
        #expect(try await node.sql(".dump") == before)
        #expect(try await node.headline("a") == "there before")
        // Once they agree, it opens.
        try await node.sql("DELETE FROM sync_held")
        #expect(try await node.attempt("status").status == 0)
        try await node.expectSound()
    }

    /// Each value is as long as it may be, and the row they make is longer: capture says so, and that is the user's own mistake.
    @Test(.timeLimit(.minutes(3))) func whatCaptureRefusesIsWrongUsage() async throws {
        let bureaus = try Bureaus()
        let node = try await bureaus.found()
        try await node.sql("INSERT INTO articles(id, headline, summary) VALUES ('a', 'long', hex(zeroblob(4194304)))")
        let outcome = try await node.attempt(
            ["article", "set", "a", "--body", "-"], input: String(repeating: "x", count: 8 << 20))
        #expect(outcome.status == 64 && outcome.errors.contains("16 MiB"), "\(outcome)")
        #expect(try await node.sql("SELECT body IS NULL OR body = '' FROM articles") == "1")
    }

    @Test(.timeLimit(.minutes(3))) func aBodyThatIsTooLongIsBadInput() async throws {
        let bureaus = try Bureaus()
        let node = try await bureaus.found()
        let outcome = try await node.attempt(
            ["article", "add", "--headline", "long", "--body", "-"],
            input: String(repeating: "x", count: (8 << 20) + 1))
        #expect(outcome.status == 65 && outcome.errors.contains("a body may have"), "\(outcome)")
        #expect(try await node.sql("SELECT count(*) FROM articles") == "0")
    }
}
