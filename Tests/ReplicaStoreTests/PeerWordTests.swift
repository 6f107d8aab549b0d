// What is written down of peers: whose word counts, and which session's.
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct PeerWordTests {
    private let peer = SigningKey.generate().publicKey.nodeID
    private let third = SigningKey.generate().publicKey.nodeID

    private func word(_ sequence: UInt64, at milliseconds: Int64) -> SecondHand {
        SecondHand(
            applied: VersionVector([Origin(node: third, incarnation: 1): SequenceNumber(sequence)]),
            at: WallClock(milliseconds: milliseconds), from: peer)
    }

    @Test func theNewestWordOfAThirdNodeIsKept() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        let now = workspace.clock.now.milliseconds
        func known(after word: SecondHand) throws -> SecondHand? {
            try replica.observe([third: word, replica.node: word])
            return try replica.peer(third)?.secondHand
        }
        let first = word(2, at: now - 1_000)
        #expect(try known(after: first) == first)
        #expect(try known(after: word(1, at: now - 2_000)) == first)
        let second = word(3, at: now - 500)
        #expect(try known(after: second) == second)
        #expect(try replica.peer(replica.node) == nil, "nobody tells this node what it has")

        // Dated under a clock that ran a day ahead: once it is set right, any word is newer.
        let ahead = word(9, at: now + 86_400_000)
        #expect(try known(after: ahead) == ahead)
        let right = word(4, at: now)
        #expect(try known(after: right) == right)
    }

    @Test func aCommandBesideALiveSessionDoesNotEndIt() throws {
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        func observe(isLive: Bool) throws {
            try replica.observe(
                peer,
                PeerFacts(
                    at: replica.clock(), applied: VersionVector(), safe: VersionVector(), told: VersionVector()),
                isLive: isLive)
        }
        func isLive() throws -> Bool? { try replica.peer(peer)?.isLive }
        try observe(isLive: false)
        #expect(try isLive() == false)
        try observe(isLive: true)
        #expect(try isLive() == true)
        try observe(isLive: false)
        try replica.recordAttempt(peer, failure: PeerFailure(kind: "unreachable", message: "busy"))
        #expect(try isLive() == true)
        try replica.recordEnd(peer)
        #expect(try isLive() == false)
    }
}
