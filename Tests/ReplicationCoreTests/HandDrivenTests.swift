// A session stepped by hand, for what depends on the order of a driver's answers.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct HandDrivenTests {
    private func heldFirst(_ number: UInt64) -> HeldChangeSet {
        HeldChangeSet(
            dot: Dot(origin: origin(number), sequence: SequenceNumber(1)), cause: .unknownTable, detail: "",
            releaseAt: nil)
    }

    @Test func aCommitWhileTheStoreReadsIsReadAfterwards() {
        var hand = Hand(.live, write: 1)
        let answer = hand.replica.read(
            hand.request ?? OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 0))
        hand.replica.write(as: origin(1))
        hand.give(.localChanged(hand.replica.state))
        #expect(hand.request == nil, "one read at a time")
        hand.give(.outgoing(answer))
        #expect(hand.sent.map(\.name) == ["change set"], "the end is not told yet")
        #expect(hand.request?.lackedBy[origin(1)] == SequenceNumber(1))
    }

    /// Another session brought it in, and the word of that is slower than the peer, which goes on from what it got.
    @Test func whatItSentIsHereThoughNobodySaidSo() {
        var hand = Hand(.live, write: 1)
        hand.replica.write(as: origin(3))
        hand.give(
            .outgoing(hand.replica.read(OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 1 << 20))))
        #expect(hand.sent.map(\.name) == ["change set", "change set", "stream end"])
        let peer = FakeReplica(node(2))
        peer.copy(from: hand.replica)
        peer.write(as: origin(3))
        for frame in FrameCodec.frames(of: peer.log[2].changeSet) {
            hand.give(.frame((try? FrameCodec.decode(FrameCodec.encode(frame))) ?? .goodbye))
        }
        #expect(hand.violation == nil)
        #expect(hand.outputs.contains { if case .applyBatch = $0 { true } else { false } })
    }

    @Test func whatWasReadBeforeTheHoldIsNotSentAfterIt() {
        var hand = Hand(.live, write: 2)
        let answer = hand.replica.read(OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 1 << 20))
        hand.acknowledge(0, held: [heldFirst(1)])
        hand.give(.outgoing(answer))
        #expect(hand.sent.allSatisfy { $0.name != "change set" })
        hand.acknowledge(0, VersionVector([origin(1): SequenceNumber(1)]))
        #expect(hand.request?.skipping == [] && hand.request?.lackedBy[origin(1)] == SequenceNumber(1))
    }

    @Test func aLiftedHoldReadsAgainWhatItsQueueLost() {
        var hand = Hand(.live, write: 2, window: 1)
        hand.replica.write(as: origin(3))
        hand.replica.write(as: origin(1))
        hand.give(
            .outgoing(hand.replica.read(OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 1 << 20))))
        let bytes = hand.sent.reduce(0) { $0 + $1.flowBytes }
        #expect(hand.sent.count == 1, "the window is full")
        // The second of origin 1 leaves the queue, the third stays behind what has no room.
        hand.acknowledge(0, held: [heldFirst(1)])
        #expect(hand.sent.isEmpty)
        hand.acknowledge(bytes, VersionVector([origin(1): SequenceNumber(1)]))
        #expect(hand.request?.lackedBy == VersionVector([origin(1): SequenceNumber(1)]))
    }

    @Test func whatIsHeldAtTheGreetingIsNotOffered() {
        var greeted = Hand(.live, held: [heldFirst(1)])
        greeted.replica.write(as: origin(1))
        greeted.give(.localChanged(greeted.replica.state))
        #expect(greeted.request == nil)
    }

    @Test func aVectorDoesNotGrowPastItsLimit() {
        var entries: [Origin: SequenceNumber] = [:]
        for number in 0..<Limits.origins { entries[origin(UInt64(number) + 10)] = SequenceNumber(1) }
        var hand = Hand(.sync, peer: VersionVector(entries))
        hand.acknowledge(0, VersionVector([origin(10): SequenceNumber(2)]))
        #expect(hand.violation == nil)
        hand.acknowledge(0, VersionVector([origin(5): SequenceNumber(1)]))
        #expect(hand.violation?.rule == .tooLarge)
    }

    @Test func anAcknowledgementMayNotFallNorRunAhead() {
        var hand = Hand(.pull, write: 1)
        hand.give(.outgoing(hand.replica.read(OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 1))))
        let bytes = hand.sent.reduce(0) { $0 + $1.flowBytes }
        #expect(bytes > 0)
        var ahead = hand
        ahead.acknowledge(bytes + 1)
        #expect(ahead.violation?.rule == .acknowledgement)
        hand.acknowledge(bytes)
        #expect(hand.violation == nil)
        hand.acknowledge(bytes - 1)
        #expect(hand.violation?.rule == .acknowledgement)
    }

    @Test func anOlderWordOfTheReplicaTakesNothingBack() {
        var hand = Hand(.push)
        let peer = FakeReplica(node(2))
        for _ in 0..<2 { peer.write(as: origin(2)) }
        let older = hand.replica.state
        for frame in FrameCodec.frames(of: peer.log[0].changeSet) {
            hand.give(.frame((try? FrameCodec.decode(FrameCodec.encode(frame))) ?? .goodbye))
        }
        hand.replica.safeBelow = SafeBelow([origin(2): .zero])
        hand.give(.applied(hand.replica.apply([peer.log[0].changeSet])))
        hand.give(.localChanged(older))
        for frame in FrameCodec.frames(of: peer.log[1].changeSet) {
            hand.give(.frame((try? FrameCodec.decode(FrameCodec.encode(frame))) ?? .goodbye))
        }
        #expect(hand.violation == nil, "the vector did not shrink")
        // A known change set is acknowledged at once, with what is safe now.
        hand.give(.applied(hand.replica.apply([peer.log[1].changeSet])))
        hand.give(.localChanged(older))
        for frame in FrameCodec.frames(of: peer.log[1].changeSet) {
            hand.give(.frame((try? FrameCodec.decode(FrameCodec.encode(frame))) ?? .goodbye))
        }
        guard case .acknowledgement(let acknowledgement) = hand.sent.first else {
            Issue.record("not acknowledged")
            return
        }
        #expect(acknowledgement.safeBelow == SafeBelow([origin(2): .zero]))
    }

    @Test func aStopThatThePeerCutsShortIsStillAStop() {
        var hand = Hand(.push)
        let peer = FakeReplica(node(2))
        peer.write(as: origin(2))
        for frame in FrameCodec.frames(of: peer.log[0].changeSet) {
            hand.give(.frame((try? FrameCodec.decode(FrameCodec.encode(frame))) ?? .goodbye))
        }
        hand.give(.stop)
        #expect(hand.outputs.isEmpty, "what is being applied is waited for")
        hand.give(.transportClosed("cut"))
        hand.give(.applied(hand.replica.apply([peer.log[0].changeSet])))
        guard case .close(.stopped, let summary) = hand.outputs.last else {
            Issue.record("not stopped")
            return
        }
        #expect(summary.received.changeSets == 1)
        #expect(hand.sent.isEmpty, "nobody is there to be told")
    }

    @Test func aStoreThatSkipsIsNotThePeersFault() {
        var hand = Hand(.pull, write: 3)
        var answer = hand.replica.read(OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 1 << 20))
        answer.changeSets.remove(at: 1)
        hand.give(.outgoing(answer))
        guard case .close(.failed(let notice), _) = hand.outputs.last else {
            Issue.record("went on")
            return
        }
        #expect(notice.code == .internal)
    }

    @Test func anAnswerThatCrossesWhatItIsAboutIsNoViolation() {
        var hand = Hand(.live, write: 0)
        let peer = FakeReplica(node(2))
        let dot = peer.write(as: origin(3), large: [300])
        hand.replica.copy(from: peer)
        hand.replica.awaited = [dot]
        hand.replica.safeBelow = SafeBelow([origin(3): .zero])
        hand.give(.localChanged(hand.replica.state))
        hand.give(.frame(.streamEnd(VersionVector([origin(3): SequenceNumber(1)]))))
        #expect(hand.sent.contains(.again(dot)))
        for frame in FrameCodec.frames(of: peer.log[0].changeSet) {
            hand.give(.frame((try? FrameCodec.decode(FrameCodec.encode(frame))) ?? .goodbye))
        }
        hand.give(.frame(.answer(dot, nil)))
        #expect(hand.violation == nil)
        hand.give(.frame(.answer(Dot(origin: origin(3), sequence: SequenceNumber(2)), nil)))
        #expect(hand.violation?.rule == .unexpectedFrame)
    }

    @Test func whatIsAskedForOnceMoreIsReadOneByOne() {
        var hand = Hand(.pull, write: 3, window: 1)
        hand.give(
            .outgoing(hand.replica.read(OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 1 << 20))))
        var reads = 0
        for sequence in 1...3 as ClosedRange<UInt64> {
            hand.give(.frame(.again(Dot(origin: origin(1), sequence: SequenceNumber(sequence)))))
            for case .readAgain(let dot) in hand.outputs {
                reads += 1
                hand.give(.againRead(hand.replica.again(dot)))
            }
        }
        #expect(reads == 1, "there is no room for the first yet")
    }

    @Test func aLatePongIsNotMeasured() {
        var hand = Hand(.live)
        func ping() {
            hand.microseconds += 15_000_000
            hand.give(.timer(.keepAlive))
        }
        ping()
        ping()
        hand.microseconds += 1_000
        hand.give(.frame(.pong(number: 1, pingClock: WallClock(milliseconds: 0), clock: WallClock(milliseconds: 0))))
        #expect(hand.outputs.isEmpty)
        hand.give(
            .frame(.pong(number: 2, pingClock: WallClock(milliseconds: 0), clock: WallClock(milliseconds: 30_000))))
        guard case .rememberPeer(let observation) = hand.outputs.first else {
            Issue.record("not measured")
            return
        }
        #expect(observation.roundTripMicroseconds == 1_000)
        #expect(abs(observation.clockOffsetMilliseconds ?? 99) <= 1)
    }

    /// Frames of a change set that takes minutes come one by one, and the sender's own pings wait behind them: it lives by these.
    @Test func whoOnlyReceivesPings() {
        var hand = Hand(.live)
        for round in 1...4 {
            for _ in 0..<3 {
                hand.microseconds += 5_000_000
                // Any frame that asks for nothing.
                hand.give(
                    .frame(
                        .pong(
                            number: 99, pingClock: WallClock(milliseconds: 0), clock: WallClock(milliseconds: 0))))
                #expect(hand.sent.isEmpty)
            }
            hand.give(.timer(.keepAlive))
            #expect(hand.sent.map(\.name) == ["ping"], "after \(15 * round) s")
        }
    }

    /// One frame may take minutes on a slow way.
    @Test func bytesOfAFrameThatIsNotWholeAreASignOfLife() {
        var hand = Hand(.live)
        func isOver(after seconds: Int64) -> Bool {
            hand.microseconds += seconds * 1_000_000
            hand.give(.timer(.keepAlive))
            return hand.outputs.contains { if case .close = $0 { true } else { false } }
        }
        for _ in 0..<20 {
            hand.microseconds += 15_000_000
            hand.give(.bytesArrived)
            #expect(!isOver(after: 0))
        }
        #expect(!isOver(after: 44))
        #expect(isOver(after: 1))
    }

    /// A machine that slept over the weekend learns on Monday that the session is gone; what it knows is Friday's.
    @Test func whatIsKnownIsDatedByTheLastFrame() {
        var hand = Hand(.live)
        hand.microseconds = 10_000_000
        hand.give(.frame(.ping(number: 1, clock: WallClock(milliseconds: 10_000))))
        hand.microseconds = 3 * 86_400_000_000
        hand.give(.transportClosed("gone"))
        let observed = hand.outputs.compactMap { output in
            if case .rememberPeer(let observation) = output { observation.at.milliseconds } else { nil }
        }
        #expect(observed == [10_000])
    }

    @Test func whatWasHeardTomorrowIsNotTheNewest() {
        var hand = Hand(.live)
        hand.microseconds = 1_000_000_000
        func told(at milliseconds: Int64) -> [Int64] {
            let third = ThirdNode(
                node: node(3), applied: VersionVector([origin(3): SequenceNumber(1)]),
                asOf: WallClock(milliseconds: milliseconds))
            hand.give(.frame(.thirdNodes([third])))
            return hand.outputs.flatMap { output -> [Int64] in
                if case .rememberThirdNodes(let nodes) = output { nodes.map(\.asOf.milliseconds) } else { [] }
            }
        }
        #expect(told(at: 400_000) == [400_000])
        #expect(told(at: 1_030_000) == [1_000_000], "a little ahead, as clocks are measured")
        #expect(told(at: 1_000_000 + 86_400_000) == [])
    }

    /// What a greeting counted days ago does not say how old what is missing today is.
    @Test func aBacklogThatWasTakenInIsForgotten() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        right.write(as: origin(2))
        let pair = network.connect(left, right, .live)
        network.world.run(milliseconds: 5_000)
        #expect(left.applied == right.applied)
        #expect(pair.dialler.observation != nil && pair.dialler.observation?.backlog == nil)
    }

    @Test func aDifferenceToAnUnknownVectorIsAViolationOfTheAnswer() {
        var session = SyncSession(
            SessionConfiguration(
                role: .dialling(.pull), workspace: workspace, node: node(1), peer: node(2), software: "",
                local: FakeReplica(node(1)).state),
            at: Moment(uptime: Uptime(microseconds: 0), wall: WallClock(milliseconds: 0)))
        let now = Moment(uptime: Uptime(microseconds: 1), wall: WallClock(milliseconds: 0))
        _ = session.handle(.opened, at: now)
        let base = RememberedVector(
            vector: VersionVector([origin(1): SequenceNumber(1), origin(2): SequenceNumber(1)]),
            digest: Identifier128(high: 1, low: 1))
        let greeting = Greeting(
            workspace: workspace, node: node(2), clock: now.wall, applied: VectorDelta(base.vector, since: base))
        #expect(greeting.applied.base != nil)
        let outputs = session.handle(.frame(.greeting(greeting)), at: now)
        guard case .close(.violated(let violation), _) = outputs.last else {
            Issue.record("let through")
            return
        }
        #expect(violation.rule == .malformed)
    }

    @Test func theWindowInUseHasItsOwnLimit() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<12 { right.write(as: origin(2), large: [8 << 20]) }
        let pair = network.connect(left, right, .pull)
        pair.dialler.tamper = { frame in
            guard case .greeting(var greeting) = frame else { return [frame] }
            greeting.windowBytes = FrameLimits.number
            return [.greeting(greeting)]
        }
        network.world.run(milliseconds: 5_000)
        #expect(pair.answerer.greatestInFlightBytes <= FrameLimits.greatestWindowBytes)
    }
}

@Suite struct AssemblyBoundTests {
    /// What a session says to a change set whose header claims `besideBytes`, and then to `pieces`.
    private func claim(_ besideBytes: UInt64, count: Int, pieces: [ValuesPiece] = []) -> Violation? {
        var hand = Hand(.push)
        let header = ChangeSetHeader(
            origin: origin(2), sequence: SequenceNumber(1), previous: .none, contextChanges: VersionVector(),
            firstStamp: .greatest, lastStamp: .greatest, totalsBefore: .zero, changes: 1, besideBytes: besideBytes)
        hand.give(
            .frame(
                .changeSet(
                    ChangeSetStart(header: header, body: [1], signature: [], valueCount: count, absent: []))))
        for piece in pieces where hand.violation == nil { hand.give(.frame(.values(piece))) }
        return hand.violation
    }

    @Test func theHeaderIsBounded() {
        #expect(claim(FrameLimits.besideBytes, count: 6) == nil)
        #expect(claim(FrameLimits.besideBytes + 1, count: 6)?.rule == .tooLarge)
        #expect(claim(514, count: 2) == nil)
        #expect(claim(513, count: 2)?.rule == .values)
        #expect(claim(513, count: 0)?.rule == .values)
        let piece = ValuesPiece(values: [[UInt8](repeating: 0, count: 601)], continues: true)
        #expect(claim(601, count: 2, pieces: [piece]) == nil)
        #expect(claim(600, count: 2, pieces: [piece])?.rule == .values, "before the value has ended")
    }

    @Test func aValueIsBounded() {
        let piece = ValuesPiece(values: [[UInt8](repeating: 0, count: 256 << 10)], continues: true)
        #expect(claim(16 << 20, count: 2, pieces: Array(repeating: piece, count: 32)) == nil)
        #expect(claim(16 << 20, count: 2, pieces: Array(repeating: piece, count: 33))?.rule == .tooLarge)
    }

    @Test func aHeaderlessChangeSetIsRefused() {
        var hand = Hand(.push)
        hand.give(.frame(.changeSet(ChangeSetStart(header: nil, body: [], signature: [], valueCount: 0, absent: []))))
        #expect(hand.violation?.rule == .malformed)
    }
}
