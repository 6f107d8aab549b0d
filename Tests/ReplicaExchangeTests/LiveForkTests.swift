// Two live peers that each took another branch of a forked origin, between real replicas.
import ReplicaExchange
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct LiveForkTests {
    /// What one has of `origin`, to another, as a third node would bring it.
    private func bring(_ receiver: Member, from sender: Member) throws {
        let lacked = try sender.replica.outgoing(lackedBy: receiver.replica.vectors().applied, maximumBytes: .max)
        let report = try receiver.replica.apply(
            lacked.changeSets.map(\.sealed), from: nil, authors: receiver.store.roster)
        #expect(report.violation == nil && report.held.isEmpty)
    }

    @Test func aForkIsProvenWithinSecondsThoughNobodyGreetsAnew() throws {
        let desk = try Desk("hq", "bureau", "liar")
        let (hq, bureau, liar) = (desk.members[0], desk.members[1], desk.members[2])
        try liar.write("INSERT INTO notes(id, title) VALUES ('n1', 'of both')")
        let twin = try desk.twin(of: 2)
        try bring(hq, from: liar)
        try bring(bureau, from: liar)
        let meeting = try Meeting(desk, hq, bureau, .live)
        try meeting.pass(milliseconds: 10_000)

        try liar.write("INSERT INTO notes(id, title) VALUES ('n2', 'for hq')")
        try twin.write("INSERT INTO notes(id, title) VALUES ('n3', 'for the bureau')")
        try bring(hq, from: liar)
        try bring(bureau, from: twin)
        #expect(try hq.replica.vectors().applied == bureau.replica.vectors().applied)
        try meeting.changed(hq)
        try meeting.changed(bureau)
        try meeting.pass(milliseconds: 6_000)

        #expect(try bureau.replica.forks().map(\.proof.fork.sequence) == [SequenceNumber(2)])
        #expect(meeting.answering.ending == .rewound)
        // Who was told the proof dials again at once, and both have it, and nothing of either branch.
        let next = try Meeting(desk, hq, bureau, .sync)
        #expect(next.dialling.ending == .rewound)
        try Meeting(desk, hq, bureau, .sync)
        #expect(try hq.replica.forks().count == 1)
        #expect(try hq.notes().map(\.first) == [Value("n1")])
        #expect(try bureau.notes() == hq.notes())
        for member in [hq, bureau] { #expect(try member.replica.verify(authors: member.store.roster).isSound) }
    }

    @Test func withoutAForkNothingIsAsked() throws {
        let desk = try Desk("hq", "bureau", "stringer")
        let (hq, bureau, stringer) = (desk.members[0], desk.members[1], desk.members[2])
        let meeting = try Meeting(desk, hq, bureau, .live)
        for number in 0..<5 {
            try stringer.write("INSERT INTO notes(id, title) VALUES (?, 'one')", [Value("n\(number)")])
            try bring(hq, from: stringer)
            try bring(bureau, from: stringer)
            try meeting.changed(bureau)
            try meeting.changed(hq)
            try meeting.pass(milliseconds: 6_000)
        }
        #expect(meeting.dialling.sent.contains { $0.name == "histories" })
        #expect(meeting.answering.sent.allSatisfy { $0 != .headsQuestion })
        #expect(meeting.dialling.ending == nil && meeting.answering.ending == nil)
    }
}
