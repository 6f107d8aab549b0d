// Sessions that stay.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct LiveTests {
    @Test func aCommitArrivesAtOnceAndIsNotEchoed() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let pair = network.connect(left, right, .live)
        network.world.run(milliseconds: 1_000)
        for number in 0..<10 {
            left.write(as: origin(1))
            network.changed(left)
            if number.isMultiple(of: 2) {
                right.write(as: origin(2))
                network.changed(right)
            }
            network.world.run(milliseconds: 20)
        }
        #expect(right.applied[origin(1)] == SequenceNumber(10), "each within 20 ms at 10 ms one way")
        network.world.run(milliseconds: 5_000)
        #expect(left.applied == right.applied)
        #expect(pair.dialler.sent.filter { $0.name == "change set" }.count == 10)
        #expect(pair.answerer.sent.filter { $0.name == "change set" }.count == 5)
        #expect(pair.dialler.sent.allSatisfy { $0.name != "announcement" }, "what is sent needs no announcement")
        #expect(pair.dialler.observation?.applied == right.applied)
        #expect(network.allComplaints == [])
    }

    @Test func quietSessionsPingAndMeasure() {
        let network = Network()
        let pair = network.connect(FakeReplica(node(1)), FakeReplica(node(2)), .live, skew: 7_000)
        network.world.run(milliseconds: 14_000)
        #expect(pair.dialler.sent.allSatisfy { $0.name != "ping" })
        network.world.run(milliseconds: 600_000)
        #expect(pair.dialler.ending == nil && pair.answerer.ending == nil)
        #expect(pair.dialler.sent.filter { $0.name == "ping" || $0.name == "pong" }.count >= 30)
        #expect(pair.dialler.observation?.roundTripMicroseconds == 20_000)
        #expect(abs((pair.dialler.observation?.clockOffsetMilliseconds ?? 0) - 7_000) <= 1)
        #expect(abs((pair.answerer.observation?.clockOffsetMilliseconds ?? 0) + 7_000) <= 11)
    }

    @Test func aPeerThatFallsSilentIsGivenUpAfterFortyFiveSeconds() {
        let network = Network()
        let pair = network.connect(FakeReplica(node(1)), FakeReplica(node(2)), .live)
        network.world.run(milliseconds: 1_000)
        pair.answerer.tamper = { _ in [] }
        network.world.run(milliseconds: 43_000)
        #expect(pair.dialler.ending == nil)
        network.world.run(milliseconds: 2_000)
        #expect(pair.dialler.ending == .timedOut(.keepAlive))
        #expect(pair.dialler.sent.filter { $0.name == "ping" }.count == 2)
    }

    @Test func aSenderWaitsForASlowDiskAsLongAsPingsAreAnswered() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        left.write(as: origin(1))
        let (dialler, answerer) = network.exchange(left, right, .push, milliseconds: 900_000) { _, answerer in
            answerer.applyMicroseconds = 300_000_000
        }
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(right.applied[origin(1)] == SequenceNumber(1))
    }

    @Test func whoCannotSendAnnounces() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let mode = SyncMode(receive: false, send: true, live: true)
        let pair = network.connect(left, right, mode)
        network.world.run(milliseconds: 100)
        for _ in 0..<50 {
            right.write(as: origin(2))
            network.changed(right)
            network.world.run(milliseconds: 100)
        }
        network.world.run(milliseconds: 2_000)
        let announcements = pair.answerer.sent.filter { $0.name == "announcement" }
        #expect((5...8).contains(announcements.count), "one a second")
        #expect(left.applied.isEmpty)
        let timers = pair.answerer.outputs.filter { if case .setTimer(.announcement, _) = $0 { true } else { false } }
        #expect(timers.count <= announcements.count)
        #expect(pair.dialler.observation?.applied == right.applied)
        #expect(pair.dialler.events.contains(.peerHasMore))
    }

    @Test func aThirdNodeIsReachedThroughTheSecond() {
        let network = Network(seed: 3)
        network.jitters = true
        let replicas = (1...3).map { FakeReplica(node(UInt64($0))) }
        let first = network.connect(replicas[0], replicas[1], .live)
        let second = network.connect(replicas[2], replicas[1], .live)
        for _ in 0..<20 {
            for (index, replica) in replicas.enumerated() {
                replica.write(as: origin(UInt64(index + 1)))
                network.changed(replica)
            }
            network.world.run(milliseconds: 30)
        }
        network.world.run(milliseconds: 3_000)
        #expect(
            replicas.allSatisfy { $0.applied == replicas[0].applied && $0.applied.countBeyond(VersionVector()) == 60 })
        #expect(first.dialler.sent.filter { $0.name == "change set" }.count == 20, "only its own")
        #expect(second.answerer.sent.filter { $0.name == "change set" }.count == 40)
        #expect(network.allComplaints == [])
    }

    @Test func aFullMeshConverges() {
        let network = Network(seed: 5)
        network.jitters = true
        let replicas = (1...3).map { FakeReplica(node(UInt64($0))) }
        let pairs = [(0, 1), (1, 2), (2, 0)].map { network.connect(replicas[$0.0], replicas[$0.1], .live) }
        for _ in 0..<30 {
            for (index, replica) in replicas.enumerated() {
                replica.write(as: origin(UInt64(index + 1)))
                network.changed(replica)
            }
            network.world.run(milliseconds: 15)
        }
        network.world.run(milliseconds: 5_000)
        #expect(
            replicas.allSatisfy { $0.applied == replicas[0].applied && $0.applied.countBeyond(VersionVector()) == 90 })
        #expect(pairs.allSatisfy { $0.dialler.ending == nil && $0.answerer.ending == nil })
        for pair in pairs {
            #expect(pair.dialler.observation?.applied == replicas[0].applied, "and each knows it of each")
            #expect(pair.answerer.observation?.applied == replicas[0].applied)
        }
        #expect(network.allComplaints == [])
    }

    @Test func thirdNodesAreToldWithTheTimeOfTheHearer() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let vector = VersionVector([origin(4): SequenceNumber(9)])
        // The answering side's clock is an hour ahead.
        let heard = network.world.now(skew: 0).wall.milliseconds - 60_000 + 3_600_000
        right.thirdNodes = [
            ThirdNode(node: node(4), applied: vector, asOf: WallClock(milliseconds: heard)),
            ThirdNode(node: node(1), applied: vector, asOf: WallClock(milliseconds: heard)),
        ]
        let pair = network.connect(left, right, .live, skew: 3_600_000)
        network.world.run(milliseconds: 1_000)
        #expect(pair.dialler.thirdNodes.map(\.node) == [node(4)], "what others say of us is no news")
        let asOf = pair.dialler.thirdNodes.first?.asOf.milliseconds ?? 0
        #expect(abs(asOf - (heard - 3_600_000)) <= 11)
        // An idle pull does not pay for them.
        let idle = network.exchange(left, right, .pull)
        #expect(idle.answerer.sent.map(\.name) == ["greeting"])
    }

    /// Every sign of life of a third node makes what is known of it newer: among thirty idle nodes that must not be a stream.
    @Test func thirdNodesWhoseVectorsStandAreSeldomToldAgain() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let pair = network.connect(left, right, .live)
        func hear(_ sequence: UInt64) {
            right.thirdNodes = [
                ThirdNode(
                    node: node(4), applied: VersionVector([origin(4): SequenceNumber(sequence)]),
                    asOf: network.world.now(skew: 0).wall)
            ]
            network.changed(right)
        }
        func told() -> Int { pair.answerer.sent.count { $0.name == "third nodes" } }
        for _ in 0..<54 {
            hear(1)
            network.world.run(milliseconds: 10_000)
        }
        #expect(told() == 1)
        for _ in 0..<12 {
            hear(1)
            network.world.run(milliseconds: 10_000)
        }
        #expect(told() == 2, "that it is still true is told in ten minutes")
        for _ in 0..<12 {
            hear(2)
            network.world.run(milliseconds: 10_000)
        }
        #expect(told() == 3, "news is told within one")
        #expect(pair.dialler.thirdNodes.last?.applied == VersionVector([origin(4): SequenceNumber(2)]))
    }

    @Test func anAnswererThatLeavesMayBeDialledAgain() {
        let network = Network()
        let pair = network.connect(FakeReplica(node(1)), FakeReplica(node(2)), .live)
        network.world.schedule(after: 1_000_000) { pair.answerer.give(.stop) }
        network.world.run(milliseconds: 2_000)
        #expect(pair.answerer.ending == .stopped && pair.dialler.ending == .peerLeft)
    }

    @Test func aRosterChangeReachesThePeerBeforeWhatItsNewNodeWrote() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let pair = network.connect(left, right, .live)
        network.world.run(milliseconds: 1_000)
        left.roster.insert([7])
        left.write(as: origin(7))
        network.changed(left)
        network.world.run(milliseconds: 1_000)
        #expect(right.roster == [[7]] && right.applied == left.applied)
        let order = pair.answerer.outputs.compactMap { output -> String? in
            switch output {
            case .mergeRoster: "merge"
            case .applyBatch: "apply"
            default: nil
            }
        }
        #expect(order == ["merge", "apply"])
        #expect(pair.answerer.sent.allSatisfy { $0.name != "roster records" }, "and is not sent back")
    }
}
