// Change sets that the receiver keeps and cannot apply yet.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct HeldTests {
    private func small() -> SessionLimits {
        var limits = SessionLimits()
        limits.windowBytes = 3_000
        limits.batchBytes = 500
        limits.readBytes = 2_000
        return limits
    }

    @Test func aHeldOriginIsNotSentFurtherAndOthersAre() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<40 {
            right.write(as: origin(2))
            right.write(as: origin(3))
        }
        left.holdsOrigins = [origin(2)]
        let pair = network.connect(left, right, .pull, limits: small())
        network.world.run()
        #expect(pair.dialler.ending == .completed)
        #expect(left.applied[origin(3)] == SequenceNumber(40))
        #expect(left.applied[origin(2)] == .zero)
        #expect((1..<40).contains(left.held.count), "sending stopped when it was told")
        #expect(pair.answerer.observation?.held.first?.dot == Dot(origin: origin(2), sequence: SequenceNumber(1)))
        #expect(pair.answerer.events.contains { if case .heldByPeer = $0 { true } else { false } })
        #expect(pair.dialler.summary?.held == UInt64(left.held.count))
        #expect(network.allComplaints == [])

        // A further pull while it is held costs one round trip.
        let idle = network.connect(left, right, .pull, limits: small())
        network.world.run()
        #expect(idle.dialler.sent.map(\.name) == ["greeting", "goodbye"])

        // Once released, the rest follows.
        left.release(origin(2))
        let rest = network.connect(left, right, .pull, limits: small())
        network.world.run()
        #expect(rest.dialler.ending == .completed)
        #expect(left.applied == right.applied)
        #expect(network.allComplaints == [])
    }

    @Test func aHoldThatIsLiftedInALiveSessionResumes() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<20 { right.write(as: origin(2)) }
        left.holdsOrigins = [origin(2)]
        let pair = network.connect(left, right, .live, limits: small())
        network.world.run(milliseconds: 5_000)
        #expect(left.applied[origin(2)] == .zero)
        left.release(origin(2))
        network.changed(left)
        network.world.run(milliseconds: 5_000)
        #expect(left.applied == right.applied)
        #expect(pair.dialler.ending == nil && pair.answerer.ending == nil)
        #expect(pair.answerer.observation?.held.isEmpty == true)
        #expect(network.allComplaints == [])
    }

    @Test func aHoldThatIsLiftedAfterTheEndWaitsForTheNextSession() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<20 { right.write(as: origin(2)) }
        left.holdsOrigins = [origin(2)]
        for _ in 0..<3 { left.write(as: origin(1)) }
        let pair = network.connect(left, right, .sync, limits: small())
        pair.answerer.applyMicroseconds = 3_000_000
        network.world.schedule(after: 1_500_000) {
            left.release(origin(2))
            network.changed(left)
            // The peer hears of it from the acknowledgement of what it never needed.
            pair.dialler.give(.localChanged(left.state))
        }
        network.world.run()
        // Who dialled is not told that all is there.
        let missing = right.applied[origin(2)].rawValue - left.applied[origin(2)].rawValue
        #expect(missing > 0 && pair.dialler.ending == .incomplete(missing: missing))
        #expect(pair.answerer.ending == .completed)
        network.exchange(left, right, .pull)
        #expect(left.applied == right.applied)
    }
}
