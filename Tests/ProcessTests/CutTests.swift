// A revocation that others learn late: what it cuts off goes nowhere, honest work goes everywhere, and nobody is stuck.
import Foundation
import Testing

@Suite struct CutTests {
    /// hq revokes antalya after two articles; istanbul had taken in two more, and wrote on.
    private struct Story {
        let bureaus: Bureaus
        let hq: Node
        let istanbul: Node
        let antalya: Node
        let ankara: Node

        init() async throws {
            bureaus = try Bureaus()
            let nodes = try await bureaus.workspace("hq", "istanbul", "antalya", "ankara")
            (hq, istanbul, antalya, ankara) = (nodes[0], nodes[1], nodes[2], nodes[3])
            try await hq.insertArticle("h1", "Of hq")
            var server = try await hq.serve()
            for node in [istanbul, antalya, ankara] { try await node.exchange("pull", server) }
            try await antalya.insertArticle("kept", "Kept")
            try await antalya.exchange("push", server)
            try await server.stop()
            try await antalya.insertArticle("void", "Void")
            try await antalya.sql("UPDATE articles SET headline = 'Void too' WHERE id = 'h1'")
            server = try await antalya.serve()
            try await istanbul.exchange("pull", server)
            try await server.stop()
            try await istanbul.insertArticle("i1", "Written offline")
            try await istanbul.sql("UPDATE articles SET byline = 'I. Stanbul' WHERE id = 'h1'")
            server = try await istanbul.serve()
            try await ankara.exchange("pull", server)
            try await server.stop()
            try await ankara.sql("UPDATE articles SET source = 'ankara' WHERE id = 'kept'")
        }

        /// A place of antalya's in its own sequence.
        func lastOfAntalya() async throws -> String {
            let status = try await antalya.json("status")
            let origin = status["origin"]?.text ?? ""
            return "\(origin):\(status["version_vector"]?[origin]?.int ?? 0)"
        }
    }

    @Test(.timeLimit(.minutes(5))) func whoBuiltOnWhatIsCutOffIsNotStuck() async throws {
        let story = try await Story()
        let (hq, istanbul, ankara) = (story.hq, story.istanbul, story.ankara)
        try await hq.run("revoke", "antalya", "--reason", "laptop stolen")
        var server = try await hq.serve()
        // One exchange brings it all: the roster, the way back, and the work that was written again.
        try await istanbul.exchange("sync", server)
        #expect(try await hq.headline("i1") == "Written offline")
        #expect(try await hq.sql("SELECT headline, byline FROM articles WHERE id = 'h1'") == "Of hq|I. Stanbul")
        #expect(try await istanbul.headline("void") == "")
        let notice = try await istanbul.json("status")["notices"]?.elements.last
        #expect(notice?["kind"]?.text == "rewound", "\(notice ?? .null)")
        try await expectAgreementButHeld([hq, istanbul])

        // ankara missed it, and has the revoked node's work from istanbul alone: hq takes its own, and that comes back by way
        // of nobody.
        let stale = try await ankara.serve()
        try await hq.exchange("sync", stale)
        try await stale.stop()
        try await istanbul.exchange("sync", server)
        #expect(try await istanbul.sql("SELECT source FROM articles WHERE id = 'kept'") == "ankara")
        #expect(try await hq.sql("SELECT count(*) FROM articles WHERE id = 'void'") == "0")
        try await expectAgreementButHeld([hq, istanbul, ankara])
        for node in [hq, istanbul, ankara] {
            let lag = try await node.json("lag")["peers"]?.elements ?? []
            // With whom it spoke last, it is level: zero, and not unknown.
            #expect(lag.contains { $0["behind"]?["change_sets"]?.int == 0 }, "\(node.name): \(lag)")
            #expect(lag.allSatisfy { $0["behind"]?["change_sets"]?.int ?? 0 == 0 }, "\(node.name): \(lag)")
        }

        // An admin may accept the rest afterwards.
        try await server.stop()
        let accepted = try await hq.json("revoke", "antalya", "--accept", story.lastOfAntalya())
        #expect(accepted["revoked"] == .bool(true), "\(accepted)")
        server = try await hq.serve()
        for node in [istanbul, ankara, istanbul] { try await node.exchange("sync", server) }
        try await server.stop()
        for node in [hq, istanbul, ankara] {
            #expect(try await node.headline("void") == "Void", "\(node.name)")
            #expect(try await node.json("held")["held"]?.elements.isEmpty == true, "\(node.name)")
        }
        try await expectAgreementButHeld([hq, istanbul, ankara])
    }

    /// What a revocation would do is told before it is done.
    @Test(.timeLimit(.minutes(5))) func thePlanTellsWhomItHits() async throws {
        let story = try await Story()
        let (hq, istanbul) = (story.hq, story.istanbul)
        let server = try await istanbul.serve()
        try await hq.exchange("pull", server)
        try await server.stop()
        let last = try await story.lastOfAntalya()
        let parts = last.split(separator: ":")
        let before = try await hq.json("revoke", "antalya", "--plan")
        #expect(before["revoked"] == .bool(false) && before["set_aside"]?["change_sets"]?.int == 0, "\(before)")
        let plan = try await hq.json("revoke", "antalya", "--plan", "--accept", "\(parts[0]):1")
        #expect((plan["set_aside"]?["change_sets"]?.int ?? 0) > 0, "\(plan)")
        #expect(plan["set_aside"]?["built_on_them"]?[0]?["name"]?.text == "istanbul", "\(plan)")
        #expect(plan["beyond_the_cut"]?.elements.contains { $0["name"]?.text == "istanbul" } == true, "\(plan)")
        let standing = try await hq.json("roster")["members"]?.elements.first { $0["name"]?.text == "antalya" }
        #expect(standing?["standing"]?.text == "member")
        #expect(try await hq.json("forks")["forks"]?.elements.isEmpty == true)
    }
}
