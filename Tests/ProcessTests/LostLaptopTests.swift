// A laptop is lost, and its work is cut off after others have built on it: what people at each desk are told, how it is undone,
// and that no `kill -9` on the way leaves anything half done.
import Chance
import Foundation
import Testing

@Suite(.serialized) struct LostLaptopTests {
    /// The desk has the authority. The laptop's first change set is everywhere; of the second and third the hub and the desk
    /// know, and the hub has built on them; the fourth reached `far` alone, which has built on it.
    private struct Scene {
        let bureaus: Bureaus
        let desk: Node
        let hub: Node
        let laptop: Node
        let far: Node
        let late: Node

        init() async throws {
            bureaus = try Bureaus()
            let nodes = try await bureaus.workspace("desk", "hub", "laptop", "far", "late")
            (desk, hub, laptop, far, late) = (nodes[0], nodes[1], nodes[2], nodes[3], nodes[4])
            try await hub.insertArticle("h1", "Harbour opens")
            try await meet(hub, [laptop, desk, far])
            try await laptop.insertArticle("kept", "Known to all")
            try await meet(hub, [laptop, desk, far])
            try await laptop.insertArticle("doubtful", "Doubtful story")
            try await laptop.run("commitment", "add", "--title", "Doubtful promise", "--party", "Port")
            try await meet(hub, [laptop])
            try await laptop.sql("UPDATE articles SET headline = 'Harbour closes' WHERE id = 'h1'")
            try await meet(hub, [laptop])
            try await laptop.insertArticle("secret", "Only far has it")
            try await meet(laptop, [far])
            try await hub.sql("UPDATE articles SET byline = 'H. Ub' WHERE id = 'h1'")
            try await hub.sql("UPDATE articles SET body = 'Corrected by hub' WHERE id = 'doubtful'")
            try await hub.insertArticle("h2", "Own work of the hub, later")
            try await far.sql("UPDATE articles SET dateline = 'FAR' WHERE id = 'h1'")
            try await meet(hub, [desk])
        }

        /// They sync, one after another, with one that serves.
        func meet(_ server: Node, _ others: [Node]) async throws {
            let serving = try await server.serve()
            for node in others { try await node.exchange("sync", serving) }
            try await serving.stop()
        }
    }

    /// The command that a text recommends, run where the authority's key is.
    private func follow(_ advice: String, at node: Node) async throws -> JSON {
        let found = try #require(advice.firstMatch(of: /`syncnode (revoke \S+ --accept [0-9a-f]+:\d+)`/), "\(advice)")
        return try JSON(
            Array(try await node.run(found.output.1.split(separator: " ").map(String.init) + ["--json"]).utf8))
    }

    private func cutOff(_ node: Node) async throws -> [JSON] { try await node.json("held")["cut_off"]?.elements ?? [] }

    @Test(.timeLimit(.minutes(5))) func everyoneIsToldWhatHappenedAndHowItIsUndone() async throws {
        let scene = try await Scene()
        let (desk, hub, far, late) = (scene.desk, scene.hub, scene.far, scene.late)

        // Before it is done, the desk sees what it would do.
        let plan = try await desk.json("revoke", "laptop", "--plan", "--accept", "1")
        #expect(plan["changes"] == .bool(true) && plan["revoked"] == .bool(false), "\(plan)")
        #expect(plan["cuts"]?[0]?["last_accepted"]?.int == 1 && plan["cuts"]?[0]?["known"]?.int == 3, "\(plan)")
        #expect(plan["set_aside"]?["change_sets"]?.int == 2, "\(plan)")
        #expect(plan["set_aside"]?["built_on_them"]?[0]?["name"]?.text == "hub", "\(plan)")
        let latest = plan["latest"]?.elements ?? []
        #expect(latest.map { $0["sequence"]?.int } == [3, 2, 1], "\(plan)")
        #expect(latest.map { $0["received_from"]?.text } == ["hub", "hub", "hub"], "\(plan)")
        #expect(latest.last?["changes"]?.int ?? 0 > 1 && latest.first?["changes"]?.int == 1, "\(plan)")
        let beyond = try await desk.run("revoke", "laptop", "--plan", "--accept", "9")
        #expect(beyond.contains("ACCEPT NOTHING LATER"), "\(beyond)")
        #expect(beyond.contains("Nobody that this node has heard of has more than 3"), "\(beyond)")

        let said = try await desk.run("revoke", "laptop", "--accept", "1", "--reason", "lost on the ferry")
        #expect(said.contains("Nothing is deleted: `syncnode held`"), "\(said)")
        // The hub has not heard of it: the desk says what keeps it waiting, and that nothing is broken.
        let lag = try await desk.json("lag")["peers"]?.elements.first { $0["name"]?.text == "hub" }
        #expect(lag?["cause"]?.text?.contains("which is cut off (revoked)") == true, "\(lag ?? .null)")
        #expect(try await desk.attempt("doctor").status == 0)
        let member = try await desk.json("roster")["members"]?.elements.first { $0["name"]?.text == "laptop" }
        #expect(member?["revocation"]?["reason"]?.text == "lost on the ferry", "\(member ?? .null)")

        // The hub learns of it in the course of a sync, and says so at once.
        let server = try await desk.serve()
        let outcome = try await hub.exchange("sync", server)
        try await server.stop()
        #expect(outcome["notices"]?.elements.map { $0["kind"]?.text } == ["rewound"], "\(outcome)")
        #expect(try await hub.headline("h1") == "Harbour opens")
        #expect(try await hub.sql("SELECT byline FROM articles WHERE id = 'h1'") == "H. Ub")
        #expect(try await hub.headline("h2") == "Own work of the hub, later")
        #expect(try await hub.json("status")["waiting_edits"]?.int == 1)
        let held = try await hub.run("held")
        for word in [
            "“laptop” was revoked", "lost on the ferry", "articles doubtful, body",
            "Written here on rows that are set aside",
            "syncnode held show",
        ] {
            #expect(held.contains(word), "\(word): \(held)")
        }
        let shown = try #require(held.firstMatch(of: /`syncnode held show (\S+)`/)?.output.1)
        let contents = try await hub.json("held", "show", String(shown))
        #expect(contents["author"]?.text == "laptop", "\(contents)")
        #expect(
            contents["changes"]?.elements.contains { $0["values"]?["headline"]?.text == "Doubtful story" } == true,
            "\(contents)")
        let released = try await hub.attempt("held", "release", String(shown))
        #expect(released.status == 77 && released.errors.contains("--accept"), "\(released)")
        #expect(try await hub.attempt("held", "show", "\(shown)9").status == 66)
        let doctor = try await hub.attempt("doctor")
        #expect(
            doctor.status == 0 && doctor.text.contains("1 edit of this node, articles doubtful body, waits"),
            "\(doctor)")
        try await expectAgreementButHeld([desk, hub])

        // What was accepted stays accepted, and saying the same twice makes no second record.
        let records = try await desk.sql("SELECT count(*) FROM sync_roster")
        let lower = try await desk.attempt("revoke", "laptop", "--accept", "0")
        #expect(lower.status == 77 && lower.errors.contains("Nothing was done"), "\(lower)")
        #expect(try await desk.json("revoke", "laptop")["changes"] == .bool(false))
        #expect(try await desk.sql("SELECT count(*) FROM sync_roster") == records)

        // A branch that has heard of nothing takes the void work from another that has not, builds on it, and meets the hub.
        try await scene.meet(far, [late])
        try await late.sql("UPDATE articles SET byline = 'L. Ate' WHERE id = 'kept'")
        #expect(try await late.headline("secret") == "Only far has it")
        try await scene.meet(hub, [late, far, late])
        for node in [late, far] {
            #expect(try await node.headline("secret") == "", "\(node.name)")
            #expect(try await cutOff(node).first?["last_held"]?.int == 4, "\(node.name)")
        }
        #expect(try await hub.sql("SELECT byline FROM articles WHERE id = 'kept'") == "L. Ate")
        #expect(try await hub.sql("SELECT dateline FROM articles WHERE id = 'h1'") == "FAR")
        try await expectAgreementButHeld([hub, late, far])

        // It was the laptop's owner all along: each desk's advice, followed, brings it back, what waited for it too.
        let some = try await follow(try await hub.run("held"), at: desk)
        #expect(some["changes"] == .bool(true), "\(some)")
        #expect(some["let_in"]?.elements.contains { $0["name"]?.text == "laptop" } == true, "\(some)")
        try await scene.meet(desk, [hub, far, late])
        let all = try await follow(try await far.run("held"), at: desk)
        #expect(all["cuts"]?[0]?["last_accepted"]?.int == 4, "\(all)")
        for _ in 0..<3 { try await scene.meet(desk, [far, hub, late]) }
        for node in [desk, hub, far, late] {
            #expect(try await node.headline("secret") == "Only far has it", "\(node.name)")
            #expect(try await node.sql("SELECT body FROM articles WHERE id = 'doubtful'") == "Corrected by hub")
            #expect(try await node.json("held")["held"]?.elements.isEmpty == true, "\(node.name)")
            #expect(try await node.json("status")["waiting_edits"]?.int == 0, "\(node.name)")
        }
        try await expectAgreement([desk, hub, far, late])
        #expect(try await hub.json("held")["cut_off"]?.elements.isEmpty == true)
    }

    /// Taking back and writing again is one transaction: whoever is killed in it has done nothing, or all of it.
    @Test(.timeLimit(.minutes(8))) func killsWhileItIsTakenBack() async throws {
        var random = SeededRandom.ofTest()
        let scene = try await Scene()
        let (desk, hub, laptop) = (scene.desk, scene.hub, scene.laptop)
        let rows = 200
        func numbers(_ statement: String) -> String {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(rows)) \(statement)"
        }
        try await laptop.sql(
            numbers("INSERT INTO articles(id, headline, body) SELECT 'v-' || i, 'void', hex(randomblob(300)) FROM n"))
        try await scene.meet(hub, [laptop])
        try await hub.sql("UPDATE articles SET byline = 'built on it' WHERE id LIKE 'v-%'")
        try await hub.sql(
            numbers("INSERT INTO articles(id, headline, body) SELECT 'o-' || i, 'own', hex(randomblob(300)) FROM n"))
        try await desk.run("revoke", "laptop", "--accept", "1")
        let server = try await desk.serve()
        let counted = "SELECT sum(id LIKE 'v-%'), sum(id LIKE 'o-%') FROM articles"
        var kills = 0
        var isDone = false
        // How long a whole one takes, measured on a copy: to aim by.
        let copy = try await timed(hub, server, scene)
        while kills < 10, !isDone {
            let sync = try hub.start(["sync", server.address])
            try await Task.sleep(for: .milliseconds(Int.random(in: 1...max(copy * 9 / 10, 50), using: &random)))
            if sync.status == nil {
                sync.signal(SIGKILL)
                kills += try await sync.wait().status == 128 + SIGKILL ? 1 : 0
            } else {
                let outcome = try await sync.wait()
                #expect(outcome.status == 0, "seed \(random.seed): \(outcome)")
            }
            let counts = try await hub.sql(counted)
            let rewound = try await hub.sql("SELECT count(*) FROM sync_notices WHERE kind = 'rewound'")
            isDone = counts == "0|\(rows)"
            #expect(counts == (rewound == "0" ? "\(rows)|\(rows)" : "0|\(rows)"), "seed \(random.seed), \(kills) kills")
            try await hub.expectSound()
        }
        try await hub.exchange("sync", server)
        try await server.stop()
        #expect(try await hub.sql(counted) == "0|\(rows)", "seed \(random.seed)")
        #expect(try await hub.json("status")["waiting_edits"]?.int == rows + 1, "seed \(random.seed)")
        try await expectAgreementButHeld([desk, hub])
        #expect(kills > 0, "too few kills to say anything, seed \(random.seed)")
        print("kill -9: \(kills) while taking back \(2 * rows) rows in \(copy) ms, seed \(random.seed)")
    }

    /// How long the sync takes on a copy of the node, in milliseconds: only to aim by.
    private func timed(_ node: Node, _ server: Server, _ scene: Scene) async throws -> Int {
        let place = scene.bureaus.node("copy")
        let outcome = try await Child.run("cp", ["-a", node.data, place.data])
        #expect(outcome.status == 0, "\(outcome)")
        // Another machine's copy writes under another origin; this one only pulls, so that nothing of it gets about.
        let began = ContinuousClock.now
        try await place.exchange("pull", server)
        let took = began.duration(to: .now).components
        return Int(took.seconds * 1_000 + took.attoseconds / 1_000_000_000_000_000)
    }
}
