// Change sets from one replica to another: whole, cut, slow, held.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct StreamTests {
    private func limits(window: UInt64 = 8 << 20, batch: UInt64 = 4 << 20) -> SessionLimits {
        var limits = SessionLimits()
        limits.windowBytes = window
        limits.batchBytes = batch
        return limits
    }

    @Test func pullBringsEverythingAndCountsIt() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<20 { right.write(as: origin(2), large: [300, 700_000], bodyBytes: 2_000) }
        left.write(as: origin(1))
        let (dialler, answerer) = network.exchange(left, right, .pull)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(left.applied[origin(2)] == SequenceNumber(20))
        #expect(right.applied[origin(1)] == .zero, "a pull sends nothing")
        #expect(left.log.last?.changeSet == right.log.last?.changeSet, "values included")
        #expect(dialler.summary?.received.changeSets == 20)
        #expect(dialler.summary?.received.changes == 240)
        #expect(answerer.summary?.sent.changeSets == 20)
        #expect(dialler.events.contains(.caughtUp))
        #expect(network.allComplaints == [])
        guard case .greeting(let answer) = answerer.sent.first else {
            Issue.record("no greeting")
            return
        }
        #expect(answer.backlog?.changeSets == 20)
    }

    @Test func pushSendsAndReceivesNothing() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<5 { left.write(as: origin(1), large: [400]) }
        right.write(as: origin(2))
        let (dialler, answerer) = network.exchange(left, right, .push)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(right.applied[origin(1)] == SequenceNumber(5) && left.applied[origin(2)] == .zero)
        #expect(dialler.summary?.sent.changeSets == 5)
        #expect(dialler.observation?.applied[origin(1)] == SequenceNumber(5), "the peer acknowledged it")
    }

    @Test func syncDoesBoth() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<30 {
            left.write(as: origin(1))
            right.write(as: origin(2))
        }
        let (dialler, answerer) = network.exchange(left, right, .sync)
        #expect(dialler.ending == .completed && answerer.ending == .completed)
        #expect(left.applied == right.applied && left.applied.count == 2)
        #expect(answerer.sent.filter { $0.name == "change set" }.count == 30, "nothing is echoed")
        #expect(dialler.sent.filter { $0.name == "change set" }.count == 30)
    }

    @Test func absentValuesStayAbsent() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        right.write(as: origin(2), large: [300, 400, 500])
        let sealed = right.log[0].changeSet
        let thinned = SealedChangeSet(
            body: sealed.body, signature: sealed.signature, values: [nil, sealed.values[1], nil])
        let pair = network.connect(left, right, .pull)
        pair.answerer.tamper = { frame in
            guard case .changeSet = frame else { return frame.name == "values" ? [] : [frame] }
            return FrameCodec.frames(of: thinned)
        }
        network.world.run()
        #expect(left.log.first?.changeSet.values == thinned.values)
        #expect(pair.dialler.ending == .completed)
    }

    @Test(arguments: 0..<40)
    func cutAnywhereLosesNothingThatWasAcknowledged(index: Int) {
        let network = Network(seed: UInt64(index) + 1)
        network.jitters = true
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for number in 0..<12 {
            left.write(as: origin(1), large: number.isMultiple(of: 3) ? [300_000] : [])
            right.write(as: origin(2), large: number.isMultiple(of: 4) ? [600_000] : [])
        }
        let cut = network.exchange(left, right, .sync) { dialler, answerer in
            if index.isMultiple(of: 2) {
                dialler.cutAfterFrames = index / 2
            } else {
                answerer.cutAfterFrames = index / 2
            }
        }
        #expect(cut.dialler.closings == 1 && cut.answerer.closings == 1)
        for endpoint in [cut.dialler, cut.answerer] {
            guard let observation = endpoint.observation, let other = endpoint.other else { continue }
            #expect(other.replica.applied.covers(observation.applied), "nothing is believed that is not so")
        }
        let again = network.exchange(left, right, .sync)
        #expect(again.dialler.ending == .completed)
        #expect(left.applied == right.applied && left.applied.countBeyond(VersionVector()) == 24)
        let received = [cut, again].reduce(0) { $0 + ($1.dialler.summary?.received.changeSets ?? 0) }
        #expect(received == 12, "what was applied before the cut is not sent again")
        #expect(network.allComplaints == [])
    }

    @Test func whatCameWholeBeforeACutIsApplied() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<10 { right.write(as: origin(2), bodyBytes: 400) }
        let (dialler, _) = network.exchange(left, right, .pull) { dialler, answerer in
            dialler.applyMicroseconds = 500_000
            var seen = 0
            answerer.tamper = { frame in
                if case .changeSet = frame { seen += 1 }
                return seen > 7 ? [] : [frame]
            }
            network.world.schedule(after: 200_000) { answerer.cut() }
        }
        #expect(dialler.ending == .disconnected("cut"))
        #expect(left.applied[origin(2)] == SequenceNumber(7))
        #expect(dialler.summary?.received.changeSets == 7)
    }

    @Test(arguments: [UInt64(1), 20_000, 100_000, 1 << 20])
    func bytesInFlightStayWithinTheWindow(window: UInt64) {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<60 { right.write(as: origin(2), large: [9_000], bodyBytes: 800) }
        let sizes = right.log.map { FrameCodec.frames(of: $0.changeSet).reduce(0) { $0 + $1.flowBytes } }
        let largest = sizes.max() ?? 0
        let pair = network.connect(left, right, .pull, limits: limits(window: window, batch: 50_000))
        pair.dialler.applyMicroseconds = 300_000
        network.world.run()
        #expect(pair.dialler.ending == .completed)
        #expect(left.applied == right.applied)
        #expect(pair.answerer.greatestInFlightBytes <= max(window, largest))
        #expect(pair.answerer.greatestInFlightBytes > min(window, 500_000) / 2, "and it is used")
        #expect(network.allComplaints == [])
    }

    @Test func aSlowDiskGetsLargerBatchesNotMoreMemory() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<500 { right.write(as: origin(2), bodyBytes: 800) }
        let pair = network.connect(left, right, .pull, limits: limits(batch: 100_000))
        pair.dialler.applyMicroseconds = 1_000_000
        network.world.run()
        #expect(pair.dialler.ending == .completed && left.applied == right.applied)
        let batches = pair.dialler.outputs.compactMap { output -> [SealedChangeSet]? in
            if case .applyBatch(let batch, _) = output { return batch }
            return nil
        }
        #expect(batches.count < 12 && batches.count > 4)
        #expect(batches.allSatisfy { $0.reduce(0) { $0 + $1.body.count } <= 100_000 })
    }

    @Test func aChangeSetLargerThanTheWindowGoesAlone() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        right.write(as: origin(2))
        right.write(as: origin(2), large: [8 << 20, 8 << 20, 300])
        right.write(as: origin(2))
        let pair = network.exchange(left, right, .pull)
        #expect(pair.dialler.ending == .completed)
        #expect(left.applied[origin(2)] == SequenceNumber(3))
        #expect(left.log[1].changeSet == right.log[1].changeSet)
    }

    @Test func acknowledgesOnlyWhatIsCommitted() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<50 { right.write(as: origin(2), bodyBytes: 1_000) }
        let pair = network.connect(left, right, .pull, limits: limits(batch: 5_000))
        var told = VersionVector()
        pair.dialler.tamper = { frame in
            if case .acknowledgement(let acknowledgement) = frame {
                told.formUnion(acknowledgement.applied)
                #expect(left.applied.covers(told))
            }
            return [frame]
        }
        network.world.run()
        #expect(told[origin(2)] == SequenceNumber(50))
    }

    @Test func awaitedValuesAreAcknowledgedAsUnsafe() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<3 { right.write(as: origin(2)) }
        left.safeBelow = SafeBelow([origin(2): .zero])
        let (_, answerer) = network.exchange(left, right, .pull)
        #expect(answerer.observation?.applied[origin(2)] == SequenceNumber(3))
        #expect(answerer.observation?.safe[origin(2)] == .zero)
    }

    @Test func aFullDiskIsToldAndTriedAgainLater() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        right.write(as: origin(2))
        let notice = ErrorNotice(code: .busy, message: "the disk is full", retryAfterMilliseconds: 60_000)
        let (dialler, answerer) = network.exchange(left, right, .pull) { dialler, _ in
            dialler.applyFailure = .ours(notice)
        }
        #expect(dialler.ending == .failed(notice))
        #expect(answerer.ending == .peerError(notice))
        #expect(answerer.summary?.sent == Tally(), "nothing was acknowledged")
    }

    @Test func stopWaitsForWhatIsBeingApplied() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<10 { right.write(as: origin(2)) }
        let pair = network.connect(left, right, .pull)
        pair.dialler.applyMicroseconds = 2_000_000
        network.world.schedule(after: 200_000) { pair.dialler.give(.stop) }
        network.world.run()
        #expect(pair.dialler.ending == .stopped)
        #expect(left.applied[origin(2)] > .zero)
        #expect(pair.dialler.summary?.received.changeSets == left.applied[origin(2)].rawValue)
        #expect(pair.answerer.observation?.applied == left.applied, "it is acknowledged")
        #expect(pair.dialler.sent.last?.name == "goodbye")
    }
}
