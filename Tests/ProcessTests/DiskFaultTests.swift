// A disk that is full or read-only: each command says so and exits 74, nothing is lost, and it works again once it can.
import Foundation
import Testing

@Suite(.serialized, .enabled(if: SmallDisk.isPermitted, "tmpfs may not be mounted here"))
struct DiskFaultTests {
    private static let rows = 6_000

    /// A workspace of hq and a node whose directory is a disk of so many megabytes.
    private func workspace(_ bureaus: Bureaus, megabytes: Int = 8) async throws -> (Node, Node, SmallDisk) {
        let hq = try await bureaus.found()
        let disk = try SmallDisk(bureaus.node("laptop").data, megabytes: megabytes)
        return (hq, try await bureaus.admit("laptop", by: hq), disk)
    }

    private func fill(_ node: Node, _ prefix: String) async throws {
        try await node.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(Self.rows))
            INSERT INTO articles(id, headline, body) SELECT '\(prefix)-' || i, 'article ' || i, hex(randomblob(1000)) FROM n
            """)
    }

    private func expectFull(_ outcome: Outcome, _ location: SourceLocation = #_sourceLocation) {
        #expect(outcome.status == 74, "\(outcome)", sourceLocation: location)
        #expect(outcome.errors.contains("full"), "\(outcome)", sourceLocation: location)
    }

    @Test(.timeLimit(.minutes(10))) func theDiskFillsUnderAnImport() async throws {
        let bureaus = try Bureaus()
        let (hq, laptop, disk) = try await workspace(bureaus)
        let body = String(repeating: "word ", count: 400)
        let file = try bureaus.file(
            "items.jsonl",
            (0..<Self.rows).map { "{\"id\":\"a\($0)\",\"headline\":\"h\($0)\",\"body\":\"\(body)\"}\n" }.joined())
        expectFull(try await laptop.attempt("article", "import", file))
        try disk.resize(megabytes: 200)
        let kept = Int(try await laptop.sql("SELECT count(*) FROM articles")) ?? -1
        #expect(kept > 0 && kept < Self.rows, "\(kept)")
        try await laptop.expectSound()
        try await laptop.run("article", "import", file)
        #expect(try await laptop.sql("SELECT count(*) FROM articles") == "\(Self.rows)")
        let server = try await hq.serve()
        try await laptop.exchange("sync", server)
        try await server.stop()
        try await expectAgreement([hq, laptop])
    }

    @Test(.timeLimit(.minutes(10))) func theDiskFillsUnderASeal() async throws {
        let bureaus = try Bureaus()
        let (hq, laptop, disk) = try await workspace(bureaus, megabytes: 200)
        let server = try await hq.serve()
        try await fill(laptop, "l")
        // Just what is there, and no room to seal it.
        let size = try FileManager.default.subpathsOfDirectory(atPath: laptop.data).reduce(0) { sum, name in
            sum + ((try? FileManager.default.attributesOfItem(atPath: laptop.data + "/" + name)[.size] as? Int) ?? 0)
        }
        try disk.resize(megabytes: size >> 20 + 1)
        for verb in ["push", "sync", "pull"] { expectFull(try await laptop.attempt(verb, server.address)) }
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "0")
        try disk.resize(megabytes: 200)
        #expect(try await laptop.sql("SELECT count(*) FROM articles") == "\(Self.rows)")
        try await laptop.exchange("push", server)
        try await server.stop()
        try await expectAgreement([hq, laptop])
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "\(Self.rows)")
    }

    @Test(.timeLimit(.minutes(10))) func theDiskFillsUnderAPull() async throws {
        let bureaus = try Bureaus()
        let (hq, laptop, disk) = try await workspace(bureaus)
        try await fill(hq, "h")
        let server = try await hq.serve()
        for _ in 0..<2 { expectFull(try await laptop.attempt("pull", server.address)) }
        #expect(server.child.status == nil)
        try disk.resize(megabytes: 200)
        try await laptop.expectSound()
        try await laptop.exchange("pull", server)
        try await server.stop()
        try await expectAgreement([hq, laptop])
    }

    /// It goes on serving what it has, tells peers that it is full, and takes what they bring once there is room.
    @Test(.timeLimit(.minutes(10))) func theDiskFillsUnderAServer() async throws {
        let bureaus = try Bureaus()
        let (hq, laptop, disk) = try await workspace(bureaus)
        let reader = try await bureaus.admit("reader", by: hq)
        try await laptop.insertArticle("a1", "There before")
        let server = try await laptop.serve()
        try await fill(hq, "h")
        let refused = try await hq.attempt("push", server.address)
        #expect(refused.status == 75 && refused.errors.contains("full"), "\(refused)")
        try await reader.exchange("pull", server)
        #expect(try await reader.headline("a1") == "There before")
        #expect(server.child.status == nil, "\(server.child.errors)")
        try disk.resize(megabytes: 200)
        try await hq.exchange("sync", server)
        #expect(try await laptop.sql("SELECT count(*) FROM articles") == "\(Self.rows + 1)")
        try await server.stop()
        try await expectAgreement([hq, laptop])
    }

    @Test(.timeLimit(.minutes(10))) func aReadOnlyDirectory() async throws {
        let bureaus = try Bureaus()
        let (hq, laptop, disk) = try await workspace(bureaus)
        try await laptop.insertArticle("a1", "Safe")
        let server = try await hq.serve()
        try await laptop.exchange("sync", server)
        try disk.makeReadOnly()
        for command in [
            ["article", "add", "--headline", "x"], ["sync", server.address], ["serve", "--listen", "127.0.0.1:0"],
            ["peer", "add", "127.0.0.1:1"],
        ] {
            let outcome = try await laptop.attempt(command)
            #expect(outcome.status == 74 && outcome.errors.contains(laptop.data), "\(command): \(outcome)")
            #expect(
                outcome.errors.lowercased().contains("read-only") || outcome.errors.contains("chmod"),
                "\(command): \(outcome)")
        }
        try disk.makeWritable()
        try await laptop.run("article", "add", "--headline", "x")
        try await laptop.exchange("sync", server)
        try await server.stop()
        try await expectAgreement([hq, laptop])
    }
}
