// kill -9, over and over, of whatever writes: importers, sealing, and the service.
import Foundation
import Testing

@Suite(.serialized) struct KillLoopTests {
    /// Kills a child at a random moment; false where it was done before.
    private func kill(_ child: Child, within milliseconds: ClosedRange<Int>, _ random: inout SeededRandom) async throws
        -> Bool
    {
        try await Task.sleep(for: .milliseconds(Int.random(in: milliseconds, using: &random)))
        guard child.status == nil else {
            let outcome = try await child.wait()
            #expect(outcome.status == 0, "\(outcome)")
            return false
        }
        child.signal(SIGKILL)
        return try await child.wait().status == 128 + SIGKILL
    }

    @Test(.timeLimit(.minutes(3))) func importersAndSeals() async throws {
        var random = SeededRandom()
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let body = String(repeating: "word ", count: 150)
        let items = 6_000
        let file = try bureaus.file(
            "items.jsonl",
            (0..<items).map { "{\"id\":\"a\($0)\",\"headline\":\"h\($0)\",\"body\":\"\(body)\"}\n" }.joined())
        var kills = (imports: 0, seals: 0)
        var before = 0
        for _ in 0..<12 {
            if try await kill(istanbul.start(["article", "import", "--json", file]), within: 10...700, &random) {
                kills.imports += 1
            }
            // What is in stays in.
            let count = Int(try await istanbul.sql("SELECT count(*) FROM articles")) ?? -1
            #expect(count >= before, "seed \(random.seed)")
            before = count
        }
        try await istanbul.expectSound()
        try await istanbul.run("article", "import", file)
        #expect(try await istanbul.sql("SELECT count(*) FROM articles") == "\(items)", "seed \(random.seed)")

        // A backlog in several transactions; whoever syncs seals it first.
        let server = try await hq.serve()
        for part in 0..<10 {
            try await istanbul.sql("UPDATE articles SET byline = 'part \(part)' WHERE rowid % 10 = \(part)")
            for _ in 0..<2 {
                if try await kill(istanbul.start(["push", server.address]), within: 10...350, &random) {
                    kills.seals += 1
                }
            }
        }
        try await istanbul.expectSound()
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(
            try await hq.sql("SELECT count(*), count(DISTINCT byline) FROM articles") == "\(items)|10",
            "seed \(random.seed)")
        #expect(kills.imports > 2 && kills.seals > 2, "too few kills to say anything: \(kills)")
        print("kill -9: \(kills.imports) importers, \(kills.seals) seals and pushes, seed \(random.seed)")
    }

    /// The service is killed while others write, on its own machine and by the network.
    @Test(.timeLimit(.minutes(3))) func theService() async throws {
        var random = SeededRandom()
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        var server = try await hq.serve()
        let address = server.address
        try await istanbul.run("peer", "add", address)
        let live = try await istanbul.serve()
        var kills = 0
        for round in 0..<10 {
            async let here: Void = hq.insertArticle("h\(round)", "round \(round)")
            async let there: Void = istanbul.insertArticle("i\(round)", "round \(round)")
            if try await kill(server.child, within: 0...250, &random) { kills += 1 }
            _ = try await (here, there)
            server = try await hq.serve(at: address)
        }
        _ = try await eventually("all of it on both sides", within: 60, every: 200) {
            let counts = [
                try await hq.sql("SELECT count(*) FROM articles"),
                try await istanbul.sql("SELECT count(*) FROM articles"),
            ]
            return counts == ["20", "20"] ? true : nil
        }
        try await live.stop()
        try await istanbul.exchange("sync", server)
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(kills == 10)
        print("kill -9: \(kills) services, seed \(random.seed)")
    }
}
