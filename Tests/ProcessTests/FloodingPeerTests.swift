// Members that ask for more than their share: the service keeps to its bounds, and goes on serving the others.
import Foundation
import PeerTransport
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite(.serialized) struct FloodingPeerTests {
    private func greeting(_ peer: HostilePeer, _ mode: SyncMode) -> ExchangeFrame {
        .greeting(
            Greeting(
                workspace: peer.certificate.workspace, node: peer.identity.node, clock: now(),
                applied: VectorDelta(whole: VersionVector()), mode: mode, software: "hostile"))
    }

    /// Nodes of its own making would fill the disk, row after row.
    @Test(.timeLimit(.minutes(5))) func whatIsSaidOfNodesThatNobodyKnowsIsNotKept() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let peer = try HostilePeer(try await bureaus.admit("liar", by: hq))
        let server = try await hq.serve()
        let known = try IdentityDirectory.open(path: istanbul.data + "/identity").node
        let link = try await peer.dial(server)
        try await link.send([greeting(peer, .live)])
        for round in 0..<20 {
            let strangers = (0..<200).map { NodeID(Identifier128(high: UInt64(round), low: UInt64($0))) }
            try await link.send([
                .thirdNodes(
                    (strangers + [known]).map {
                        ThirdNode(
                            node: $0, applied: VersionVector([Origin(node: $0, incarnation: 1): SequenceNumber(9)]),
                            asOf: WallClock(milliseconds: now().milliseconds - 1000 + Int64(round)))
                    })
            ])
        }
        // Once what it says of a member is kept, the rest has been looked at too.
        _ = try await eventually("what is said of a member is kept", within: 20) {
            try await hq.sql("SELECT count(*) FROM sync_peers WHERE second_at IS NOT NULL") != "0" ? true : nil
        }
        await link.close()
        try await istanbul.insertArticle("good", "still served")
        try await istanbul.exchange("sync", server)
        #expect(try await hq.headline("good") == "still served")
        try await server.stop()
        #expect(try await hq.sql("SELECT count(*) FROM sync_peers WHERE second_at IS NOT NULL") == "1")
    }

    /// A member that sends more than is held of one is told to come again, under another origin too; the others are served.
    @Test(.timeLimit(.minutes(5))) func whatIsHeldOfOneMemberHasABound() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let peer = try HostilePeer(try await bureaus.admit("liar", by: hq))
        let origin = Origin(node: peer.identity.node, incarnation: 7)
        let server = try await hq.serve()
        func ahead(_ sequence: UInt64, after previous: SealedChangeSet? = nil) throws -> SealedChangeSet {
            let stamp = Stamp(WallClock(milliseconds: now().milliseconds + 86_400_000 + Int64(sequence)))
            return try peer.changeSet(origin, sequence, after: previous, id: "h\(sequence)", stamp: stamp)
        }
        let first = try ahead(1)
        let second = try ahead(2, after: first)
        #expect(try await peer.send([first, second].map(peer.frame), to: server).ending == .acknowledged)
        _ = try await eventually("both are held", within: 20) {
            try await hq.sql("SELECT count(*) FROM sync_held") == "2" ? true : nil
        }
        // As if as many were held as may be.
        _ = try await hq.sql("UPDATE sync_held_authors SET change_sets = \(Limits.heldOfNode)")
        let other = try peer.changeSet(
            Origin(node: peer.identity.node, incarnation: 8), 1, id: "other",
            stamp: Stamp(WallClock(milliseconds: now().milliseconds + 86_400_000)))
        let answer = try await peer.send([peer.frame(other)], to: server)
        #expect(answer.notice?.code == .busy && answer.notice?.retryAfterMilliseconds == 300_000, "\(answer)")
        #expect(answer.notice?.message.contains("the first of them: stamped") == true, "\(answer)")
        #expect(answer.notice?.message.contains("Nothing is lost") == true, "\(answer)")
        #expect(try await hq.sql("SELECT count(*) FROM sync_held") == "2")
        try await istanbul.insertArticle("good", "still served")
        try await istanbul.exchange("sync", server)
        #expect(try await hq.headline("good") == "still served")
        try await server.stop()
        let listing = try await hq.run("held", "list")
        #expect(listing.contains("the most that is kept"), "\(listing)")
        let doctor = try await hq.attempt("doctor").text
        #expect(doctor.contains("as much of “liar” as is kept"), "\(doctor)")
        #expect(
            doctor.contains("`syncnode revoke liar`") && doctor.contains("Of the first of it: stamped"), "\(doctor)")
    }

    @Test(.timeLimit(.minutes(5))) func oneMemberHasAFewSessions() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let peer = try HostilePeer(try await bureaus.admit("greedy", by: hq))
        let server = try await hq.serve()
        var links: [PeerLink] = []
        var refused: ErrorNotice?
        for _ in 0..<50 where refused == nil {
            let link = try await peer.dial(server)
            try await link.send([greeting(peer, SyncMode(receive: true, send: true))])
            links.append(link)
            // Its greeting says that the session is counted.
            if case .error(let notice)? = try await link.next()?.frame { refused = notice }
        }
        #expect(refused?.code == .busy && refused?.retryAfterMilliseconds == 10_000)
        #expect(links.count == 33)
        try await istanbul.insertArticle("good", "still served")
        try await istanbul.exchange("sync", server)
        for link in links { await link.close() }
        // With its sessions over, it may come again.
        _ = try await eventually("it is let in again", within: 20) {
            let link = try await peer.dial(server)
            try await link.send([greeting(peer, SyncMode(receive: true, send: false))])
            defer { Task { await link.close() } }
            if case .greeting? = try await link.next()?.frame { return true }
            return nil
        }
        try await server.stop()
    }
}
