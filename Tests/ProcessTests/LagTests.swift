// Lag in both directions, with true figures: live, in sync, the peer killed, the daemon stopped, never met.
import Foundation
import Testing

@Suite(.serialized) struct LagTests {
    private static let peerKeys: Set<String> = [
        "name", "id", "state", "cause", "last_contact", "clock_offset_ms", "round_trip_ms", "behind", "ahead",
    ]

    private func peer(_ name: String, at node: Node, _ location: SourceLocation = #_sourceLocation) async throws -> JSON
    {
        let lag = try await node.json("lag")
        #expect(lag.keys.isSuperset(of: ["node", "as_of", "peers"]), sourceLocation: location)
        let peers = lag["peers"]?.elements ?? []
        for peer in peers {
            #expect(peer.keys.isSuperset(of: Self.peerKeys), "\(peer)", sourceLocation: location)
            for side in ["behind", "ahead"] {
                #expect(
                    peer[side]?.keys == ["change_sets", "changes", "bytes", "seconds"], "\(peer)",
                    sourceLocation: location)
            }
        }
        return try #require(peers.first { $0["name"]?.text == name }, "\(lag)", sourceLocation: location)
    }

    private func figures(_ peer: JSON, _ side: String) -> [Double?] {
        ["change_sets", "changes", "bytes", "seconds"].map { peer[side]?[$0]?.double }
    }

    @Test(.timeLimit(.minutes(10))) func figuresAreTrueAndOutliveTheNetwork() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await hq.insertArticle("a1", "First")
        let unmet = try await peer("istanbul", at: hq)
        #expect(unmet["state"]?.text == "never_met" && unmet["last_contact"] == .null, "\(unmet)")
        #expect(
            unmet["behind"]?["changes"] == .null && unmet["ahead"]?["seconds"] == .null, "unknown is null, never zero")

        let server = try await hq.serve()
        try await istanbul.exchange("pull", server)
        for (node, other) in [(hq, "istanbul"), (istanbul, "hq")] {
            let report = try await peer(other, at: node)
            #expect(report["state"]?.text == "in_sync", "\(report)")
            #expect(
                figures(report, "behind") == [0, 0, 0, 0] && figures(report, "ahead") == [0, 0, 0, 0], "\(report)")
            #expect(report["last_contact"] != .null, "\(report)")
            // Who was dialled has sent no ping in so short a session.
            #expect(report["round_trip_ms"] != .null || node.name == "hq", "\(report)")
            #expect(abs(report["clock_offset_ms"]?.int ?? 99999) < 5000, "\(report)")
        }
        try await istanbul.run("peer", "add", server.address)
        let peering = try await istanbul.serve()
        for (node, other) in [(hq, "istanbul"), (istanbul, "hq")] {
            let report = try await eventually("live", within: 30) { () -> JSON? in
                let report = try await peer(other, at: node)
                return report["state"]?.text == "live" ? report : nil
            }
            #expect(
                figures(report, "behind") == [0, 0, 0, 0] && figures(report, "ahead") == [0, 0, 0, 0], "\(report)")
        }

        // The peer is killed; what is written meanwhile is counted exactly, once it is sealed.
        try await server.crash()
        let offline = try await eventually("offline", within: 30) { () -> JSON? in
            let report = try await peer("hq", at: istanbul)
            return report["state"]?.text == "offline" ? report : nil
        }
        #expect(offline["cause"]?.text?.isEmpty == false && offline["last_contact"] != .null, "\(offline)")
        #expect(figures(offline, "ahead") == [0, 0, 0, 0])
        try await istanbul.sql(
            "INSERT INTO articles(id, headline) VALUES ('b1', 'One'); UPDATE articles SET byline = 'B' WHERE id = 'a1'")
        let ahead = try await eventually("two edits ahead", within: 20) { () -> JSON? in
            let report = try await peer("hq", at: istanbul)
            return (report["ahead"]?["change_sets"]?.int ?? 0) > 0 ? report : nil
        }
        // An insert writes the row's existence and every field of the table; the update writes one.
        let columns = Int(try await istanbul.sql("SELECT count(*) - 1 FROM pragma_table_info('articles')")) ?? 0
        let grouped =
            Int(
                try await istanbul.sql(
                    "SELECT count(*) FROM sync_fields f JOIN sync_tables t ON t.number = f.table_number WHERE t.name = 'articles'"
                )) ?? 0
        #expect(columns >= grouped)
        let logged = try await istanbul.sql(
            "SELECT count(*), sum(length(body)) FROM sync_change_sets WHERE received_from IS NULL")
        #expect(
            "\(ahead["ahead"]?["change_sets"]?.int ?? 0)|\(ahead["ahead"]?["bytes"]?.int ?? 0)" == logged, "\(ahead)")
        #expect(ahead["ahead"]?["changes"]?.int == grouped + 2, "\(ahead)")
        #expect(figures(ahead, "behind") == [0, 0, 0, 0], "as far as this node knows: \(ahead)")

        // The daemon stops and the network is gone: the same answer, and the age grows.
        try await peering.stop()
        let age = ahead["ahead"]?["seconds"]?.double ?? 0
        let later = try await eventually("an older age", within: 10) { () -> JSON? in
            let report = try await peer("hq", at: istanbul)
            return (report["ahead"]?["seconds"]?.double ?? 0) > age ? report : nil
        }
        #expect(later["state"]?.text == "offline" && later["ahead"]?["changes"]?.int == grouped + 2, "\(later)")
        #expect(later["last_contact"] == offline["last_contact"], "\(later)")

        // hq, back on its own, knows what istanbul had when they last met.
        let alone = try await peer("istanbul", at: hq)
        #expect(alone["last_contact"] != .null && figures(alone, "ahead") == [0, 0, 0, 0], "\(alone)")
    }

    /// A service that is killed cannot write down that its sessions ended; what it left says nothing of now.
    @Test(.timeLimit(.minutes(5))) func aKilledServiceIsLiveWithNobody() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await istanbul.run("peer", "add", server.address)
        let peering = try await istanbul.serve()
        _ = try await eventually("live", within: 30) {
            try await peer("hq", at: istanbul)["state"]?.text == "live" ? true : nil
        }
        try await peering.crash()
        let report = try await peer("hq", at: istanbul)
        #expect(report["state"]?.text == "in_sync", "\(report)")
        // The lock went with the process: another service begins at once.
        let again = try await istanbul.serve()
        try await again.stop()
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func anAddressThatNeverAnsweredWasNeverMet() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await hq.run("peer", "add", "127.0.0.1:1")
        let before = try await peer("127.0.0.1:1", at: hq)
        #expect(before["state"]?.text == "never_met" && before["id"] == .null)
        let outcome = try await hq.attempt("pull")
        #expect(outcome.status == 69, "\(outcome)")
        let after = try await peer("127.0.0.1:1", at: hq)
        #expect(after["state"]?.text == "never_met" && after["cause"]?.text?.contains("refused") == true, "\(after)")
        for side in ["behind", "ahead"] {
            for key in ["change_sets", "changes", "bytes", "seconds"] { #expect(after[side]?[key] == .null) }
        }
    }
}
