// The story the program is for: an article taken in without a network, commitments recorded, nodes that meet in any order.
import Foundation
import Testing

@Suite(.serialized) struct OfflineDeskTests {
    /// As an agency sends it; made up for this test.
    private static let wire = """
        date 2025-04-12 EXAMPLEWIRE - Bosphorus Press) Istanbul, April 12 (BP) The delegations of Freedonia and Sylvania on \
        Saturday exchanged notes in Istanbul, the consulate of Freedonia said.

        The two sides "agreed to develop a roadmap" for the return of six buildings by the end of the year.

        They will also restore banking services for each other's missions, a spokesperson added.
        """

    private static var sharedWire: String? {
        var place = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { place.deleteLastPathComponent() }
        let candidates = [place.appendingPathComponent("../shared/data").standardized.path, "../shared/data"]
        for folder in candidates {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            if let name = names.sorted().first(where: { $0.hasPrefix("wire") && $0.hasSuffix(".txt") }) {
                return folder + "/" + name
            }
        }
        return nil
    }

    /// Takes the article in at istanbul and records three commitments there, with nothing serving anywhere; then antalya,
    /// which took in the same text by itself, edits it.
    private func record(at istanbul: Node, _ antalya: Node, _ file: String) async throws {
        let imported = try await istanbul.json("article", "import", file)
        let article = try #require(imported[0]?["id"]?.text)
        #expect(imported[0]?["created"] == .bool(true))
        let agreements = [
            ("Develop a roadmap for the buildings", "2025-12-31", "agreed"),
            ("Restore banking services", "2025-06", "agreed"),
            ("Exchange notes", "2025-04-12", "formalised"),
        ]
        for (title, due, status) in agreements {
            let added = try await istanbul.json(
                "commitment", "add", "--title", title, "--party", "Freedonia", "--party", "Sylvania", "--due-on", due,
                "--status", status, "--article", article, "--quote", "agreed")
            let id = try #require(added["id"]?.text)
            try await istanbul.run(
                "commitment", "log", id, "--kind", "agreed", "--on", "2025-04-12", "--note", "by notes")
        }
        let again = try await antalya.json("article", "import", file)
        #expect(again[0]?["id"]?.text == article, "the same story at two bureaus is one row")
        try await antalya.run("article", "set", article, "byline=Antalya desk")
    }

    private func expectStory(_ nodes: [Node]) async throws {
        for node in nodes {
            let rows = try await node.json("status")["rows"]
            #expect(rows?["articles"]?.int == 1 && rows?["commitments"]?.int == 3, "\(node.name): \(rows ?? .null)")
            #expect(try await node.sql("SELECT byline FROM articles") == "Antalya desk")
            #expect(try await node.sql("SELECT count(*) FROM commitment_sources") == "3")
            #expect(try await node.sql("SELECT count(*) FROM commitment_events") == "3")
            // Both took in the same story: istanbul's empty byline is nobody's word, and nothing of anybody's was lost.
            let conflicts = try await node.json("conflicts", "list")["conflicts"]?.elements ?? []
            #expect(conflicts.isEmpty, "\(node.name): \(conflicts)")
        }
    }

    private func copy(_ nodes: [Node], to directory: String, of bureaus: Bureaus) throws -> [Node] {
        let place = bureaus.directory + "/" + directory
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        return try nodes.map { node in
            try FileManager.default.copyItem(atPath: node.data, toPath: "\(place)/\(node.name)")
            return Node(node.name, "\(place)/\(node.name)", bureaus)
        }
    }

    /// Who pulls first, second and third; each pulls from both others, the nearer one first, and once more.
    private static let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]

    @Test(.timeLimit(.minutes(4))) func pullsInEveryOrderAgree() async throws {
        let bureaus = try Bureaus()
        try await pull(try bureaus.file("story.txt", Self.wire), in: Self.orders, bureaus)
    }

    @Test(.enabled(if: sharedWire != nil, "there is no ../shared/data/wire*.txt"), .timeLimit(.minutes(10)))
    func aRealArticleTakesTheSameWay() async throws {
        try await pull(try #require(Self.sharedWire), in: [Self.orders[3]], try Bureaus())
    }

    private func pull(_ file: String, in orders: [[Int]], _ bureaus: Bureaus) async throws {
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        try await record(at: nodes[1], nodes[2], file)
        for order in orders {
            let copies = try copy(nodes, to: "order\(order)", of: bureaus)
            var servers: [Server] = []
            for node in copies { servers.append(try await node.serve()) }
            for puller in order + order {
                for source in order where source != puller {
                    try await copies[puller].exchange("pull", servers[source])
                }
            }
            try await expectAgreement(copies)
            try await expectStory(copies)
            for server in servers { try await server.stop() }
        }
    }

    @Test(.timeLimit(.minutes(10))) func whoNeverMetAgreeThroughARelay() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        try await record(at: istanbul, antalya, try bureaus.file("story.txt", Self.wire))
        let served = try await istanbul.serve()
        try await hq.exchange("pull", served)
        try await served.stop()
        let relay = try await hq.serve()
        let pulled = try await antalya.exchange("pull", relay)
        #expect((pulled["peers"]?[0]?["received"]?["change_sets"]?.int ?? 0) > 0)
        try await antalya.exchange("push", relay)
        try await istanbul.exchange("pull", relay)
        try await relay.stop()
        try await expectAgreement(nodes)
        try await expectStory(nodes)
        let log = try await antalya.sql(
            "SELECT count(*) FROM sync_change_sets WHERE received_from = (SELECT node FROM sync_peers WHERE known_at NOTNULL)"
        )
        #expect((Int(log) ?? 0) > 0, "what istanbul wrote came by way of hq alone")
    }
}
