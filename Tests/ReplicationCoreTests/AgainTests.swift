// Change sets that are asked for once more, because their values are awaited and nothing else will bring them.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct AgainTests {
    /// Two replicas that have the same four change sets of one origin; the first awaits a value of each.
    private func awaiting() -> (network: Network, left: FakeReplica, right: FakeReplica) {
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        left.awaited = (0..<4).map { _ in right.write(as: origin(3), large: [300]) }
        left.copy(from: right)
        left.safeBelow = SafeBelow([origin(3): .zero])
        return (Network(), left, right)
    }

    @Test(arguments: [SyncMode.pull, .sync]) func whatIsSentAgainAfterTheEndBringsNothingElse(mode: SyncMode) {
        let (network, left, right) = awaiting()
        // One origin is held at the greeting, and released between two change sets that are sent again.
        for _ in 0..<3 { right.write(as: origin(4)) }
        left.holdsOrigins = [origin(4)]
        _ = left.apply([right.log[4].changeSet])
        network.world.schedule(after: 60_000) {
            left.release(origin(4))
            network.changed(left)
            right.write(as: origin(2))
            network.changed(right)
        }
        let (dialler, answerer) = network.exchange(left, right, mode) { _, answerer in
            answerer.readMicroseconds = 50_000
            network.world.schedule(after: 120_000) { answerer.readMicroseconds = 500 }
        }
        #expect(dialler.sent.filter { $0.name.hasPrefix("question") } == left.awaited.map { .again($0) })
        let again = left.awaited.flatMap { _ in ["change set", "values"] }
        #expect(answerer.sent.map(\.name).filter { $0 != "greeting" } == again)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(left.applied[origin(4)] == SequenceNumber(1), "the rest waits for the next session")
        left.awaited = []
        network.exchange(left, right, mode)
        #expect(left.applied == right.applied)
        #expect(network.allComplaints == [])
    }
}
