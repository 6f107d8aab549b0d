// Live peers that took two branches of a fork from others find that their histories differ, though their vectors are equal.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct HistoryTests {
    private let forked = origin(9)

    /// A live session of two that have the same, and an origin of which each takes another branch while it lasts.
    private func fork(_ network: Network, _ left: FakeReplica, _ right: FakeReplica) -> (
        dialler: Endpoint, answerer: Endpoint
    ) {
        left.write(as: forked)
        right.copy(from: left)
        let pair = network.connect(left, right, .live)
        network.world.run(milliseconds: 6_000)
        left.write(as: forked, bodyBytes: 40)
        right.write(as: forked, bodyBytes: 400)
        network.changed(left)
        network.changed(right)
        return pair
    }

    @Test func aForkThatBothTookFromOthersIsFoundWhileTheyTalk() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let pair = fork(network, left, right)
        #expect(pair.answerer.answers.isEmpty)
        network.world.run(milliseconds: 6_000)
        let dot = Dot(origin: forked, sequence: SequenceNumber(2))
        #expect(pair.dialler.sent.filter { $0.name == "histories" }.count == 1)
        #expect(pair.answerer.sent.contains(.headsQuestion) && pair.answerer.sent.contains(.question(dot)))
        #expect(pair.answerer.answers.map(\.dot) == [dot])
        #expect(pair.answerer.answers.first?.answer?.body == left.log[1].changeSet.body)
        #expect(pair.dialler.ending == nil && pair.answerer.ending == nil)
        #expect(network.allComplaints == [])
    }

    /// One small frame in five seconds while there are changes, and none after them; no look at the log where both have the same.
    @Test func saysNothingWhileNothingChanges() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        left.write(as: origin(1))
        right.copy(from: left)
        let pair = network.connect(left, right, .live)
        network.world.run(milliseconds: 60_000)
        func said(_ endpoint: Endpoint) -> Int { endpoint.sent.filter { $0.name == "histories" }.count }
        #expect(said(pair.dialler) == 0, "the greetings said it")
        for _ in 0..<200 {
            left.write(as: origin(1))
            network.changed(left)
            right.write(as: origin(2))
            network.changed(right)
            network.world.run(milliseconds: 100)
        }
        network.world.run(milliseconds: 6_000)
        let count = said(pair.dialler)
        #expect((4...6).contains(count))
        network.world.run(milliseconds: 600_000)
        #expect(said(pair.dialler) == count && said(pair.answerer) == 0)
        #expect(pair.answerer.sent.allSatisfy { $0 != .headsQuestion })
        #expect(pair.dialler.ending == nil && pair.answerer.ending == nil)
        #expect(left.applied == right.applied)
        let timers = pair.dialler.outputs.filter { if case .setTimer(.histories, _) = $0 { true } else { false } }
        #expect(timers.count <= count)
        #expect(network.allComplaints == [])
    }

    /// What cannot be resolved is not asked about for ever: four questions for heads in a session, and in one that stays as many a day
    /// later, of which a peer takes twice that.
    @Test func itAsksForHeadsFourTimesAtMost() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let pair = fork(network, left, right)
        for _ in 0..<8 {
            network.world.run(milliseconds: 6_000)
            left.write(as: origin(1))
            network.changed(left)
        }
        network.world.run(milliseconds: 6_000)
        #expect(pair.dialler.sent.filter { $0.name == "histories" }.count == 9)
        #expect(pair.answerer.sent.filter { $0 == .headsQuestion }.count == 4)
        network.world.run(milliseconds: 25 * 3_600_000)
        for _ in 0..<8 {
            network.world.run(milliseconds: 6_000)
            left.write(as: origin(1))
            network.changed(left)
        }
        #expect(pair.answerer.sent.filter { $0 == .headsQuestion }.count == 8)
        #expect(pair.dialler.ending == nil && pair.answerer.ending == nil)
        #expect(network.allComplaints == [])
    }

    /// A digest is of the vector that the peer was told: what the store read ahead of what the session knew is no difference.
    @Test(arguments: 1...10) func whatIsSentAheadIsNoDifference(seed: UInt64) {
        let network = Network(seed: seed)
        network.jitters = true
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let pair = network.connect(left, right, .live)
        pair.dialler.readMicroseconds = 100_000
        for number in 0..<400 {
            left.write(as: origin(1))
            if number.isMultiple(of: 3) { right.write(as: origin(2)) }
            // Told late, so that reads see more than the session was told of.
            network.world.schedule(after: 150_000) {
                network.changed(left)
                network.changed(right)
            }
            network.world.run(milliseconds: 60)
        }
        network.world.run(milliseconds: 6_000)
        #expect(pair.dialler.sent.contains { $0.name == "histories" })
        #expect(pair.answerer.sent.allSatisfy { $0 != .headsQuestion })
        #expect(left.applied == right.applied)
        #expect(network.allComplaints == [])
    }
}
