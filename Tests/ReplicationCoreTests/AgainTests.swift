// Change sets that are asked for once more, because their values are awaited and nothing else will bring them.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct AgainTests {
    /// Two replicas that have the same change sets of one origin; the first awaits a value of each.
    private func awaiting(_ count: Int = 4) -> (network: Network, left: FakeReplica, right: FakeReplica) {
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        left.awaited = (0..<count).map { _ in right.write(as: origin(3), large: [300]) }
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
        #expect(dialler.ending == .incomplete(missing: 2) && answerer.ending == .completed)
        #expect(left.applied[origin(4)] == SequenceNumber(1), "the rest waits for the next session")
        left.awaited = []
        network.exchange(left, right, mode)
        #expect(left.applied == right.applied)
        #expect(network.allComplaints == [])
    }

    /// Dialled by one that has nothing else for it, whatever the other wants.
    @Test(arguments: [SyncMode.sync, .push, .live]) func whoIsOnlyDialledAsksToo(mode: SyncMode) {
        let (network, left, right) = awaiting()
        let (dialler, answerer) = network.exchange(right, left, mode, milliseconds: 1_000)
        #expect(
            answerer.sent.filter { $0.name.hasPrefix("question") }
                == left.awaited.map { .again($0) } + [.question(nil)])
        #expect(dialler.sent.filter { $0.name == "change set" }.count == 4)
        #expect(answerer.outputs.filter { if case .applyBatch = $0 { true } else { false } }.count > 0)
        if !mode.live {
            #expect(dialler.ending == .completed && answerer.ending == .completed)
            #expect(dialler.sent.map(\.name).last == "goodbye")
        }
        #expect(network.allComplaints == [])
    }

    /// What the stream supersedes is not asked for, and the rest only once all has come.
    @Test func itAsksWhatTheStreamLeavesOut() {
        let (network, left, right) = awaiting()
        let last = left.awaited[3]
        for _ in 0..<3 { right.write(as: origin(2)) }
        let (dialler, answerer) = network.exchange(right, left, .sync) { _, answerer in
            answerer.applyMicroseconds = 30_000
            network.world.schedule(after: 45_000) {
                (left.awaited, left.safeBelow) = ([last], SafeBelow([origin(3): SequenceNumber(3)]))
                network.changed(left)
            }
        }
        #expect(answerer.sent.filter { $0.name.hasPrefix("question") } == [.again(last), .question(nil)])
        let before = answerer.outputs.prefix { $0 != .send(.again(last)) }
        let received = before.compactMap { output -> UInt64? in
            if case .event(.received(let tally)) = output { tally.changeSets } else { nil }
        }
        #expect(received.last == 3, "once all that came is applied")
        #expect(dialler.sent.filter { $0.name == "change set" }.count == 4)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(left.applied == right.applied)
        #expect(network.allComplaints == [])
    }

    /// A value that nobody has any more keeps its origin from being safe for ever; what the ledger lacks below is asked for
    /// all the same.
    @Test(arguments: [SyncMode.pull, .sync]) func whatTheLedgerAloneLacksIsAskedForBelowWhatIsAwaited(mode: SyncMode) {
        let (network, left, right) = awaiting()
        left.safeBelow = SafeBelow([origin(3): SequenceNumber(2)])
        right.lost = [left.awaited[2]]
        let (dialler, answerer) = network.exchange(left, right, mode)
        #expect(dialler.sent.filter { $0.name.hasPrefix("question") } == left.awaited.map { .again($0) })
        #expect(answerer.sent.filter { $0.name == "change set" }.count == 3)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(network.allComplaints == [])
    }

    @Test func bothSidesAsk() {
        let (network, left, right) = awaiting()
        right.awaited = [left.awaited[1]]
        let (dialler, answerer) = network.exchange(right, left, .sync)
        #expect(dialler.sent.contains(.again(right.awaited[0])))
        #expect(dialler.sent.filter { $0.name == "change set" }.count == 4)
        #expect(answerer.sent.filter { $0.name == "change set" }.count == 1)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(network.allComplaints == [])
    }

    /// It costs one round trip, each time, and ends.
    @Test(arguments: [SyncMode.sync, .push]) func aValueThatThePeerDoesNotHaveEither(mode: SyncMode) {
        let (network, left, right) = awaiting()
        right.lost = Set(left.awaited)
        for _ in 0..<2 {
            let (dialler, answerer) = network.exchange(right, left, mode, milliseconds: 1_000)
            #expect(dialler.ending == .completed && answerer.ending == .completed)
            #expect(
                dialler.sent.map(\.name) == ["greeting", "stream end"] + left.awaited.map { _ in "answer" }
                    + ["goodbye"])
        }
        #expect(network.allComplaints == [])
    }

    /// In a session that stays the peer may come to have it.
    @Test func aValueThatThePeerGetsLater() {
        let (network, left, right) = awaiting()
        right.lost = Set(left.awaited)
        network.world.schedule(after: 30_000_000) { right.lost = [] }
        network.world.schedule(after: 90_000_000) {
            left.awaited = []
            network.changed(left)
        }
        let (dialler, answerer) = network.exchange(left, right, .live, milliseconds: 600_000)
        #expect(dialler.sent.filter { $0.name.hasPrefix("question") }.count == 8)
        #expect(answerer.sent.filter { $0.name == "change set" }.count == 4)
        #expect(network.allComplaints == [])
    }

    /// However long the session has been idle.
    @Test func whatIsAwaitedSinceIsAskedForInAMinute() {
        let (network, left, right) = awaiting()
        let awaited = left.awaited
        (left.awaited, left.safeBelow) = ([], .all)
        let (hour, minute): (Int64, Int64) = (3_600_000_000, 60_000_000)
        network.world.schedule(after: 48 * hour) {
            (left.awaited, left.safeBelow) = (awaited, SafeBelow([origin(3): .zero]))
            network.changed(left)
        }
        let (dialler, answerer) = network.exchange(left, right, .live, milliseconds: (48 * hour + 2 * minute) / 1000)
        #expect(dialler.sent.filter { $0.name.hasPrefix("question") } == awaited.map { .again($0) })
        // And the peer knows that they are awaited.
        let told = dialler.sent.compactMap { if case .acknowledgement(let told) = $0 { told.safeBelow } else { nil } }
        #expect(told.first == SafeBelow([origin(3): .zero]))
        #expect(answerer.ending == nil && network.allComplaints == [])
    }

    /// However long it stays, it asks no more in a day than the peer takes.
    @Test(arguments: [(6, 120), (40, 170)]) func whatNobodyHasIsNotAskedForWithoutEnd(hours: Int, questions: Int) {
        let (network, left, right) = awaiting(50)
        right.lost = Set(left.awaited)
        let (dialler, answerer) = network.exchange(left, right, .live, milliseconds: Int64(hours) * 3_600_000)
        #expect(dialler.sent.filter { $0.name.hasPrefix("question") }.count == questions)
        #expect(dialler.ending == nil && answerer.ending == nil)
        #expect(network.allComplaints == [])
    }

    @Test(arguments: [SyncMode.sync, .push, .pull]) func whoCannotKnowIsNotAsked(mode: SyncMode) {
        let (network, left, _) = awaiting()
        let other = FakeReplica(node(5))
        other.write(as: origin(9))
        left.copy(from: other)
        left.awaited = left.awaited.filter { !other.applied.contains($0) }
        other.copy(from: left)
        // Who sends nothing is not asked for values; who has nothing of them neither.
        let (dialler, answerer) = network.exchange(
            mode == .pull ? other : FakeReplica(node(6)), left, mode, milliseconds: 1_000)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(answerer.sent.allSatisfy { !$0.name.hasPrefix("question") })
        guard case .greeting(let greeting) = answerer.sent.first else {
            Issue.record("no greeting")
            return
        }
        #expect(!greeting.asks)
        #expect(network.allComplaints == [])
    }

    /// An answering side that does not know yet what the peer has says that it asks, in case.
    @Test func itAsksThoughItForgotThePeersVector() {
        let (network, left, right) = awaiting()
        for number in 10...60 { right.write(as: origin(UInt64(number))) }
        network.exchange(right, left, .sync)
        left.memory = [:]
        let (dialler, answerer) = network.exchange(right, left, .push)
        #expect(dialler.sent.map(\.name).prefix(3) == ["greeting", "whole vector", "stream end"])
        #expect(answerer.sent.filter { $0.name.hasPrefix("question") }.count == 5)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        // And where the peer turns out to have nothing of it, that is all.
        let (third, again) = (FakeReplica(node(4)), Network())
        for number in 10...60 { third.write(as: origin(UInt64(number))) }
        again.exchange(third, left, .push)
        left.memory = [:]
        let nothing = again.exchange(third, left, .push)
        #expect(nothing.answerer.sent.map(\.name) == ["greeting", "question"])
        #expect(nothing.dialler.ending == .completed && nothing.answerer.ending == .completed)
        #expect(network.allComplaints + again.allComplaints == [])
    }

    /// Of histories it asks whoever dials, though nothing is sent to it.
    @Test(arguments: [SyncMode.pull, .push, .sync]) func aSuspicionIsAskedOfWhoeverDials(mode: SyncMode) {
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        let network = Network()
        let dots = (0..<3).map { _ in right.write(as: origin(3)) }
        left.copy(from: right)
        left.suspicions = [dots[2]]
        let (dialler, answerer) = network.exchange(right, left, mode, milliseconds: 1_000) { _, answerer in
            answerer.nextQuestion = {
                $0.sequence > SequenceNumber(1) ? Dot(origin: $0.origin, sequence: $0.sequence.previous) : nil
            }
        }
        #expect(answerer.answers.map(\.dot) == [dots[2], dots[1], dots[0]])
        #expect(answerer.sent.last == .question(nil))
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(network.allComplaints == [])
    }
}
