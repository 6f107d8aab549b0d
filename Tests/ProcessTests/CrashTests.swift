// kill -9 of either side at random moments of a sync of 20,000 rows.
import Chance
import Foundation
import Testing

@Suite(.serialized) struct CrashTests {
    private static let kills = 50
    private static let rows = 20_000

    /// What each side has on record that the other acknowledged, against what the other has: prints what is missing.
    private static let acknowledged = """
        import sqlite3, sys
        def entries(blob):
            return {blob[i:i + 24]: int.from_bytes(blob[i + 24:i + 32], "big") for i in range(0, len(blob or b""), 32)}
        def read(path):
            c = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=60)
            applied = dict(c.execute("SELECT origin, applied FROM sync_origins").fetchall())
            return applied, [entries(blob) for (blob,) in c.execute("SELECT safe FROM sync_peers WHERE safe NOTNULL")]
        a, b = read(sys.argv[1]), read(sys.argv[2])
        for name, (_, said), (has, _) in (("first", a, b), ("second", b, a)):
            for vector in said:
                for origin, seq in vector.items():
                    if has.get(origin, 0) < seq: print(name, "was told", seq, "of", origin.hex(), "and there are", has.get(origin, 0))
        """

    private struct Tally {
        var puller = 0
        var server = 0
        var all: Int { puller + server }
    }

    @Test(.timeLimit(.minutes(6))) func nothingIsLostToKills() async throws {
        var random = SeededRandom.ofTest()
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await hq.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(Self.rows))
            INSERT INTO articles(id, headline, body) SELECT 'k-' || i, 'article ' || i, hex(randomblob(200)) FROM n
            """)
        var server = try await hq.serve()
        let port = server.address
        var tally = Tally()
        var round = 0
        var written = 0
        let began = ContinuousClock.now
        while tally.all < Self.kills {
            // Both sides write before each attempt; what they committed must be there in the end.
            written += 1
            try await istanbul.insertArticle("i-\(written)", "written at istanbul before kill \(tally.all)")
            let sync = try istanbul.start(["sync", port])
            let pause = Int.random(in: 60...900, using: &random)
            try await Task.sleep(for: .milliseconds(pause))
            guard sync.status == nil else {
                // Done before it could be killed: give it 20,000 changes to carry again.
                let outcome = try await sync.wait()
                #expect(outcome.status == 0, "\(outcome)")
                round += 1
                try await hq.sql("UPDATE articles SET byline = 'round \(round)' WHERE id LIKE 'k-%'")
                continue
            }
            if Bool.random(using: &random) {
                sync.signal(SIGKILL)
                let outcome = try await sync.wait()
                #expect([0, 128 + SIGKILL].contains(outcome.status), "\(outcome)")
                if outcome.status != 0 { tally.puller += 1 }
            } else {
                try await server.crash()
                let outcome = try await sync.wait()
                #expect([0, 69].contains(outcome.status), "\(outcome)")
                server = try await hq.serve(at: port)
                tally.server += 1
            }
            let missing = try await hq.python(Self.acknowledged, istanbul.replica)
            #expect(missing.isEmpty, "seed \(random.seed), kill \(tally.all): \(missing)")
            if tally.all.isMultiple(of: 10) {
                for node in nodes { try await node.expectSound() }
            }
        }
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        for node in nodes {
            let counts = try await node.sql(
                "SELECT sum(id LIKE 'k-%'), sum(id LIKE 'i-%'), count(DISTINCT byline) FROM articles")
            #expect(counts == "\(Self.rows)|\(written)|\(round == 0 ? 0 : 1)", "seed \(random.seed), \(node.name)")
        }
        let seconds = began.duration(to: .now).components.seconds
        print(
            "kill -9: \(tally.all) kills (\(tally.puller) of the side that dials, \(tally.server) of the side that serves) in "
                + "\(seconds) s over \(round + 1) transfers of \(Self.rows) rows, seed \(random.seed)")
    }
}
