// Nodes of different versions, and values that no version takes: both sides are told what has to be done, honest work goes on,
// and an upgrade takes in by itself what waited.
import Foundation
import NewsStore
import NodeRuntime
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite(.serialized) struct NewerPeerTests {
    /// The tables of a version to come.
    private static let tables =
        NewsTables.all + [Table("photos", columns: [Column("caption"), Column("image", "BLOB")])]

    /// A node's directory, opened by that version.
    private func upgraded(_ node: Node) throws -> NodeRuntime.Node {
        try NodeRuntime.Node.open(node.data, tables: Self.tables)
    }

    private func sync(_ node: NodeRuntime.Node, _ server: Server) async throws -> PeerSyncResult {
        let target = try #require(try node.targets([server.address]).first)
        let result = await node.exchange(with: target, mode: .sync)
        #expect(result.failure == nil, "\(result)")
        return result
    }

    @Test(.timeLimit(.minutes(5))) func whatANewerVersionWroteWaitsAndIsTakenInByTheUpgrade() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "newer")
        let (hq, istanbul, newer) = (nodes[0], nodes[1], nodes[2])
        var server = try await hq.serve()
        let ahead = try upgraded(newer)
        // Each a change set of its own, and together more than goes over before the first is answered.
        for number in 0..<40 {
            try ahead.replica.write {
                try $0.execute(
                    "INSERT INTO photos(id, caption, image) VALUES (?, 'a photo', randomblob(400000))",
                    [Value("p\(number)")])
            }
            try ahead.replica.seal()
        }
        try ahead.replica.write { try $0.execute("INSERT INTO articles(id, headline) VALUES ('n', 'By the newer')") }
        _ = try await sync(ahead, server)
        let held = try await hq.json("held")
        let waiting = held["held"]?.elements.count ?? 0
        #expect(waiting > 0 && waiting < 41, "\(waiting)")
        #expect(held["held"]?[0]?["cause"]?.text == "unknown_table", "\(held["held"]?[0] ?? .null)")
        #expect(held["authors"]?[0]?["is_full"] == .bool(false), "\(held["authors"] ?? .null)")
        // Whoever knows that it is held sends no more of it, so that what waits stays what it is; all else goes on, both ways.
        try await istanbul.insertArticle("i", "By the older")
        try await istanbul.exchange("sync", server)
        for _ in 0..<2 { _ = try await sync(ahead, server) }
        #expect(try await hq.json("held")["held"]?.elements.count == waiting)
        #expect(try ahead.replica.read { try $0.query("SELECT headline FROM articles WHERE id = 'i'") }.count == 1)

        // What each side's operator is told.
        let listing = try await hq.run("held")
        #expect(listing.contains("with a newer syncnode") && listing.contains("photos"), "\(listing)")
        let doctor = try await hq.attempt("doctor")
        #expect(doctor.status == 0 && doctor.text.contains("Update syncnode here: what “newer” wrote"), "\(doctor)")
        let there = Doctor.examine(newer.data) { ahead }.first { $0.name == "peers" }
        #expect(
            there?.state == .watch && there?.remedy.contains("Update syncnode on “hq”") == true,
            "\(String(describing: there))")
        #expect(try ahead.lag().first { $0.name == "hq" }?.report.cause.contains("photos") == true)

        // The upgrade takes in what waits, and the next sync brings the rest.
        try await server.stop()
        do {
            let node = try upgraded(hq)
            #expect(try node.replica.heldTallies().isEmpty)
            #expect(try node.replica.read { try $0.query("SELECT id FROM photos") }.count == waiting)
            try node.replica.close()
        }
        server = try await hq.serve()
        _ = try await sync(ahead, server)
        try await server.stop()
        try ahead.replica.close()
        #expect(try await hq.sql("SELECT count(*), sum(length(image)) FROM photos") == "40|16000000")
        #expect(try await hq.headline("n") == "By the newer")
        #expect(try await hq.json("held")["held"]?.elements.isEmpty == true)
        try await expectAgreement([hq, newer])
    }

    /// A number in a column of text, which SQLite would make text of: it is shown, and settled by whoever writes the field.
    @Test(.timeLimit(.minutes(5))) func aValueThatItsColumnWouldNotKeepHoldsNothingUp() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let peer = try HostilePeer(try await bureaus.admit("liar", by: hq))
        var server = try await hq.serve()
        let origin = Origin(node: peer.identity.node, incarnation: 7)
        let bad = try peer.changeSet(origin, 1, id: "odd", stamp: Stamp(now()), headline: .integer(7))
        #expect(try await peer.send([peer.frame(bad)], to: server).ending == .acknowledged)
        _ = try await eventually("it is there") {
            try await hq.sql("SELECT count(*) FROM articles") == "1" ? true : nil
        }
        // Honest work builds on it, and arrives.
        try await hq.sql("UPDATE articles SET byline = 'by hq' WHERE id = 'odd'")
        let synced = try await istanbul.exchange("sync", server)
        #expect(synced["peers"]?[0]?["held"]?.int == 0, "\(synced)")
        #expect(try await istanbul.sql("SELECT headline, byline FROM articles WHERE id = 'odd'") == "|by hq")
        for node in nodes {
            #expect(try await node.json("status")["misfits"]?.int == 1)
            let misfit = try await node.json("held")["misfits"]?[0]
            #expect(misfit?["author"]?.text == "liar" && misfit?["values"]?["headline"]?.int == 7, "\(misfit ?? .null)")
            #expect(try await node.run("held").contains("articles odd, headline = 7  (by “liar”"))
            let doctor = try await node.attempt("doctor")
            #expect(doctor.status == 0 && doctor.text.contains("write those fields anew"), "\(doctor)")
        }
        try await expectAgreement(nodes)
        try await istanbul.run("article", "set", "odd", "headline=Settled")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        for node in nodes { #expect(try await node.json("status")["misfits"]?.int == 0) }
        #expect(try await hq.headline("odd") == "Settled")
        try await expectAgreement(nodes)
        // A node that comes later has it as it was signed, and settled.
        let late = try await bureaus.admit("late", by: hq)
        server = try await hq.serve()
        try await late.exchange("pull", server)
        try await server.stop()
        try await expectAgreement([hq, late])
    }
}
