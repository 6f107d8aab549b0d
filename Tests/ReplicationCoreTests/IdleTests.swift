// What a session costs when there is nothing to exchange.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct IdleTests {
    /// Two replicas that have the same change sets of `count` origins.
    private func equals(_ count: UInt64) -> (Network, FakeReplica, FakeReplica) {
        let network = Network()
        let left = FakeReplica(node(1))
        let right = FakeReplica(node(2))
        for number in 1...count { left.write(as: origin(number)) }
        right.copy(from: left)
        return (network, left, right)
    }

    @Test(arguments: [SyncMode.pull, .push, .sync])
    func costsOneRoundTripAndUnderAKilobyte(mode: SyncMode) {
        let (network, left, right) = equals(10)
        let (dialler, answerer) = network.exchange(left, right, mode, milliseconds: 1_000)
        #expect(dialler.ending == .completed)
        #expect(answerer.ending == .completed)
        #expect(dialler.sent.map(\.name) == ["greeting", "goodbye"])
        #expect(answerer.sent.map(\.name) == ["greeting"])
        #expect(dialler.sentBytes < 1_000)
        #expect(answerer.sentBytes < 1_000)
        #expect(network.allComplaints == [])
    }

    @Test func aThousandOriginsGreetInAKilobyteOnceTheyHaveMet() {
        let (network, left, right) = equals(1_000)
        let first = network.exchange(left, right, .pull)
        #expect(first.dialler.sentBytes > 20_000, "whole vectors the first time")
        let second = network.exchange(left, right, .pull)
        #expect(second.dialler.ending == .completed)
        #expect(second.dialler.sent.count == 2)
        #expect(second.answerer.sent.count == 1)
        #expect(second.dialler.sentBytes < 300)
        #expect(second.answerer.sentBytes < 300)
    }

    @Test func aDifferenceCarriesWhatChangedSince() {
        let (network, left, right) = equals(300)
        network.exchange(left, right, .pull)
        left.write(as: origin(1))
        right.write(as: origin(2))
        let again = network.exchange(left, right, .sync)
        #expect(again.dialler.ending == .completed)
        guard case .greeting(let greeting) = again.dialler.sent[0], case .greeting(let answer) = again.answerer.sent[0]
        else {
            Issue.record("no greetings")
            return
        }
        #expect(greeting.applied.entries.count == 1)
        #expect(answer.applied.entries.count == 1)
        #expect(left.applied == right.applied)
        // What the exchange brought is remembered too.
        let idle = network.exchange(left, right, .pull)
        guard case .greeting(let third) = idle.dialler.sent[0] else {
            Issue.record("\(idle.dialler.sent[0].name)")
            return
        }
        #expect(third.applied.base != nil && third.applied.entries.isEmpty)
        #expect(idle.dialler.sent.count == 2)
    }

    @Test func anAnswererThatForgotAsksForTheWholeVector() {
        let (network, left, right) = equals(50)
        network.exchange(left, right, .pull)
        right.memory = [:]
        right.write(as: origin(2))
        let again = network.exchange(left, right, .pull)
        #expect(again.dialler.ending == .completed)
        #expect(again.dialler.sent.map(\.name).prefix(2) == ["greeting", "whole vector"])
        #expect(left.applied == right.applied)
        #expect(again.dialler.summary?.received.changeSets == 1)
        // And both remember again.
        let idle = network.exchange(left, right, .pull)
        #expect(idle.dialler.sent.map(\.name) == ["greeting", "goodbye"])
        #expect(idle.dialler.sentBytes < 300)
    }

    @Test func aDiallerThatForgotIsToldTheWholeVectorAtOnce() {
        let (network, left, right) = equals(50)
        network.exchange(left, right, .pull)
        left.memory = [:]
        let again = network.exchange(left, right, .pull)
        #expect(again.dialler.ending == .completed)
        #expect(again.dialler.sent.count == 2 && again.answerer.sent.count == 1)
        guard case .greeting(let answer) = again.answerer.sent[0] else {
            Issue.record("\(again.answerer.sent[0].name)")
            return
        }
        #expect(answer.applied.base == nil)
    }

    @Test func aReplicaThatWasSetBackSaysSoInItsDifference() {
        let before = VersionVector([
            origin(1): SequenceNumber(5), origin(2): SequenceNumber(5), origin(3): SequenceNumber(1),
        ])
        let now = VersionVector([
            origin(1): SequenceNumber(3), origin(3): SequenceNumber(1), origin(4): SequenceNumber(1),
        ])
        let wide = (10...40).reduce(into: (before, now)) { pair, number in
            pair.0[origin(UInt64(number))] = SequenceNumber(1)
            pair.1[origin(UInt64(number))] = SequenceNumber(1)
        }
        let base = RememberedVector(vector: wide.0, digest: Identifier128(high: 1, low: 1))
        let delta = VectorDelta(wide.1, since: base)
        #expect(delta.base != nil && delta.entries.count == 3)
        #expect(delta.vector(from: base) == wide.1)
        #expect(delta.vector(from: nil) == nil)
        #expect(delta.vector(from: RememberedVector(vector: wide.0, digest: Identifier128(high: 1, low: 2))) == nil)
        #expect(VectorDelta(now, since: base).base == nil, "the whole is shorter")
    }

    @Test func rosterDifferencesCostNoRoundTrip() {
        let (network, left, right) = equals(3)
        left.roster = [[1], [2]]
        right.roster = [[2], [3]]
        let (dialler, answerer) = network.exchange(left, right, .pull, milliseconds: 1_000)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(left.roster == [[1], [2], [3]] && right.roster == left.roster)
        #expect(dialler.sent.map(\.name) == ["greeting", "roster records", "goodbye"])
        #expect(answerer.sent.map(\.name) == ["greeting", "roster records"])
    }
}
