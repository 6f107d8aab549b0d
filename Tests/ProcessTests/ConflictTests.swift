// Concurrent edits: different fields both survive, of one field the later wins everywhere, and the loser is not lost.
import Testing

@Suite(.serialized) struct ConflictTests {
    /// hq and two bureaus, all with article a1, and hq serving.
    private func meeting(_ bureaus: Bureaus) async throws -> (nodes: [Node], hq: Server) {
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        try await nodes[0].insertArticle("a1", "First")
        let server = try await nodes[0].serve()
        for node in nodes.dropFirst() { try await node.exchange("pull", server) }
        return (nodes, server)
    }

    /// Both bureaus sync with hq until nobody has anything new.
    private func meet(_ nodes: [Node], _ hq: Server) async throws {
        for node in [nodes[1], nodes[2], nodes[1]] { try await node.exchange("sync", hq) }
    }

    @Test(.timeLimit(.minutes(5))) func differentFieldsBothSurvive() async throws {
        let bureaus = try Bureaus()
        let (nodes, hq) = try await meeting(bureaus)
        try await nodes[1].run("article", "set", "a1", "headline=From Istanbul")
        try await nodes[2].run("article", "set", "a1", "byline=From Antalya")
        try await meet(nodes, hq)
        for node in nodes {
            #expect(try await node.sql("SELECT headline, byline FROM articles") == "From Istanbul|From Antalya")
            #expect(try await node.json("conflicts", "list")["conflicts"]?.elements == [])
        }
        try await expectAgreement(nodes)
        try await hq.stop()
    }

    /// Each bureau has the story from the agency; one adds a byline that the agency left out, and corrects the headline.
    @Test(.timeLimit(.minutes(5))) func theSameStoryTakenInTwiceIsNoConflict() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let server = try await nodes[0].serve()
        let story = try bureaus.file(
            "story.txt", "2024-05-01 Agency\n\nIZMIR, May 1 - The ferry to the islands runs again from today.\n")
        var ids: Set<String> = []
        for node in nodes.dropFirst() {
            ids.insert(try await node.json("article", "import", story)[0]?["id"]?.text ?? node.name)
        }
        #expect(ids.count == 1, "\(ids)")
        let id = try #require(ids.first)
        try await nodes[1].run(
            "article", "set", id, "headline=Ferry runs again", "byline=A. Writer", "pubstatus=canceled")
        try await meet(nodes, server)
        for node in nodes {
            #expect(try await node.json("conflicts", "list", "--all")["conflicts"]?.elements == [], "\(node.name)")
            #expect(
                try await node.sql("SELECT headline, byline, pubstatus FROM articles")
                    == "Ferry runs again|A. Writer|canceled")
        }
        try await server.stop()
        try await expectAgreement(nodes)
    }

    @Test(.timeLimit(.minutes(5)), arguments: [true, false]) func theLoserIsKeptOrAcceptedForAll(keeping: Bool)
        async throws
    {
        let bureaus = try Bureaus()
        let (nodes, hq) = try await meeting(bureaus)
        // The clock of one machine: antalya writes later, and so wins, whoever syncs first.
        try await nodes[1].run("article", "set", "a1", "headline=Lost")
        try await nodes[2].run("article", "set", "a1", "headline=Won")
        let first = try await nodes[2].exchange("sync", hq)
        #expect(first["peers"]?[0]?["conflicts"]?.int == 0)
        try await meet(nodes, hq)
        try await expectAgreement(nodes)
        let listed = try await nodes[0].json("conflicts", "list")["conflicts"]?.elements ?? []
        #expect(listed.count == 1)
        let conflict = try #require(listed.first)
        #expect(
            conflict["table"]?.text == "articles" && conflict["row"]?.text == "a1"
                && conflict["field"]?.text == "headline")
        #expect(
            conflict["lost"]?["values"]?["headline"]?.text == "Lost" && conflict["lost"]?["author"]?.text == "istanbul")
        #expect(conflict["current"]?["values"]?["headline"]?.text == "Won")
        for node in nodes { #expect(try await node.headline("a1") == "Won") }

        let id = try #require(conflict["id"]?.text)
        try await nodes[0].run("conflicts", keeping ? "keep" : "accept", String(id.prefix(6)))
        try await meet(nodes, hq)
        for node in nodes {
            #expect(try await node.headline("a1") == (keeping ? "Lost" : "Won"), "\(node.name)")
            #expect(try await node.json("conflicts", "list")["conflicts"]?.elements == [], "\(node.name)")
        }
        // What was dealt with is not dealt with again: what lost long ago would overwrite what was written since.
        for (id, word) in [(id, "dealt with already"), ("", "empty")] {
            for verb in ["keep", "accept"] {
                let outcome = try await nodes[1].attempt("conflicts", verb, id)
                #expect(outcome.status == 64 && outcome.errors.contains(word), "\(outcome)")
            }
        }
        #expect(try await nodes[1].headline("a1") == (keeping ? "Lost" : "Won"))
        try await expectAgreement(nodes)
        try await hq.stop()
    }

    @Test(.timeLimit(.minutes(5)), arguments: [true, false]) func aDeleteAgainstAnEdit(deletedLast: Bool) async throws {
        let bureaus = try Bureaus()
        let (nodes, hq) = try await meeting(bureaus)
        let (delete, edit) = (["article", "delete", "a1"], ["article", "set", "a1", "summary=Edited elsewhere"])
        try await nodes[1].run(deletedLast ? edit : delete)
        try await nodes[2].run(deletedLast ? delete : edit)
        try await meet(nodes, hq)
        try await expectAgreement(nodes)
        // A write to a field never brings a row back; the edit is in the graveyard, and comes back with the row.
        for node in nodes { #expect(try await node.sql("SELECT count(*) FROM articles") == "0", "\(node.name)") }
        try await nodes[0].run("article", "restore", "a1")
        try await meet(nodes, hq)
        for node in nodes {
            #expect(
                try await node.sql("SELECT headline, summary FROM articles") == "First|Edited elsewhere", "\(node.name)"
            )
        }
        try await expectAgreement(nodes)
        try await hq.stop()
    }
}
