// The roster's part of a session: who must be known before what was written, and what is told once.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct RosterExchangeTests {
    @Test func nothingIsAppliedBeforeTheRosterThatCameFirst() {
        var hand = Hand(.push)
        let peer = FakeReplica(node(2))
        peer.write(as: origin(2))
        hand.give(.frame(.rosterRecords(RosterRecords(records: [[1]], digest: [9], more: true))))
        hand.give(.frame(.rosterRecords(RosterRecords(records: [[2]], digest: [9]))))
        for frame in FrameCodec.frames(of: peer.log[0].changeSet) {
            hand.give(.frame((try? FrameCodec.decode(FrameCodec.encode(frame))) ?? .goodbye))
        }
        var applies: Bool { hand.outputs.contains { if case .applyBatch = $0 { true } else { false } } }
        #expect(!applies)
        hand.give(.rosterMerged(digest: [8], before: nil))
        #expect(!applies)
        hand.give(.rosterMerged(digest: [9], before: [8]))
        #expect(applies)
    }

    /// What another session brings in while the peer's records are merged was not told to this peer, and its author's change
    /// sets would be refused there.
    @Test(arguments: [false, true]) func whatAnotherSessionBroughtInMeanwhileIsTold(bringsMore: Bool) {
        var hand = Hand(.live)
        func reads() -> Bool { hand.outputs.contains { if case .readRoster = $0 { true } else { false } } }
        var state = hand.replica.state
        state.rosterDigest = [1]
        hand.give(.localChanged(state))
        #expect(reads())
        hand.give(.rosterRead([[1]], digest: [1]))
        #expect(hand.sent.map(\.name) == ["roster records"] && !reads())
        hand.give(.frame(.rosterRecords(RosterRecords(records: [[2]], digest: [2]))))
        hand.give(.rosterMerged(digest: [3], before: bringsMore ? nil : [1]))
        #expect(reads() == bringsMore)
        // Nor is what changed while the records were read.
        guard bringsMore else { return }
        state.rosterDigest = [4]
        hand.give(.localChanged(state))
        hand.give(.rosterRead([[1], [2], [3]], digest: [3]))
        #expect(hand.sent.map(\.name) == ["roster records"] && reads())
        hand.give(.rosterRead([[1], [2], [3], [4]], digest: [4]))
        #expect(hand.sent.map(\.name) == ["roster records"] && !reads())
    }

    /// The store may know more than this session was told yet: what it read goes out once, and not until word of it comes.
    @Test func aRosterNewerThanWhatTheSessionKnowsIsToldOnce() {
        var hand = Hand(.live)
        func reads() -> Bool { hand.outputs.contains { if case .readRoster = $0 { true } else { false } } }
        var state = hand.replica.state
        state.rosterDigest = [1]
        hand.give(.localChanged(state))
        hand.give(.rosterRead([[1], [2]], digest: [2]))
        #expect(hand.sent.map(\.name) == ["roster records"] && !reads())
        state.rosterDigest = [2]
        hand.give(.localChanged(state))
        #expect(hand.sent.isEmpty && !reads())
        // And so where the word comes while it is read.
        state.rosterDigest = [3]
        hand.give(.localChanged(state))
        #expect(reads())
        state.rosterDigest = [4]
        hand.give(.localChanged(state))
        #expect(!reads())
        hand.give(.rosterRead([[1], [2], [3], [4]], digest: [4]))
        #expect(hand.sent.map(\.name) == ["roster records"] && !reads())
    }

    /// What was read may have been brought in with its author, and the word of both is slower.
    @Test func anAuthorGoesBeforeWhatItWroteThoughNobodySaidSo() {
        var hand = Hand(.live, write: 1)
        var batch = hand.replica.read(OutgoingRequest(lackedBy: VersionVector(), skipping: [], maxBytes: 1 << 20))
        batch.rosterDigest = [9]
        hand.give(.outgoing(batch))
        #expect(hand.sent.isEmpty)
        #expect(hand.outputs.contains { if case .readRoster = $0 { true } else { false } })
        hand.give(.rosterRead([[1]], digest: [9]))
        #expect(hand.sent.map(\.name) == ["roster records", "change set", "stream end"])
    }

    /// Neither side compares what the other did not say.
    @Test func aRosterThatChangesBetweenTheGreetingsIsTold() {
        let hand = Hand(.live, write: 1, whileCounting: { $0.rosterDigest = [9] })
        #expect(hand.sent.map(\.name) == ["greeting"])
        #expect(hand.outputs.contains { if case .readRoster = $0 { true } else { false } })
        #expect(hand.request == nil, "no change set before its author")
    }

    @Test func aRecordGoesOnceInASession() {
        var hand = Hand(.live)
        var told: [[[UInt8]]] = []
        for digest in 1...3 as ClosedRange<UInt8> {
            var state = hand.replica.state
            state.rosterDigest = [digest]
            hand.give(.localChanged(state))
            hand.give(.rosterRead((1...digest).map { [$0] }, digest: [digest]))
            for case .rosterRecords(let records) in hand.sent { told.append(records.records) }
        }
        #expect(told == [[[1]], [[2]], [[3]]])
    }

    @Test func aFloodOfRosterRecordsEnds() {
        var hand = Hand(.live)
        let empty = RosterRecords(records: [], digest: [], more: true)
        for _ in 0..<FrameLimits.rosterRecordsInSession { hand.give(.frame(.rosterRecords(empty))) }
        #expect(hand.violation == nil)
        hand.give(.frame(.rosterRecords(empty)))
        #expect(hand.violation?.rule == .tooLarge)
    }

    @Test func aRecordThatNobodySignedIsAViolation() {
        var hand = Hand(.live)
        hand.give(.frame(.rosterRecords(RosterRecords(records: [[1]], digest: [9]))))
        hand.give(.rosterRefused("no authority signed it"))
        #expect(hand.violation?.rule == .roster)
    }
}
