// Values that nothing brings by itself, between real replicas: whoever awaits them gets them, whoever dials.
import ReplicaExchange
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct AwaitedValueTests {
    private let body = Value(String(repeating: "x", count: 1_000))

    /// Both have one change set of the first; the second was sent it without its large value.
    private func scene() throws -> (Desk, Member, Member) {
        let desk = try Desk("hq", "bureau")
        let (hq, bureau) = (desk.members[0], desk.members[1])
        try hq.write("INSERT INTO notes(id, title, body) VALUES ('n1', 'one', ?)", [body])
        let sealed = try #require(
            try hq.replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.first?.sealed)
        let without = SealedChangeSet(body: sealed.body, signature: sealed.signature, values: [nil])
        let report = try bureau.replica.apply([without], from: nil, authors: bureau.store.roster)
        #expect(report.violation == nil)
        #expect(try bureau.replica.awaited().count == 1)
        return (desk, hq, bureau)
    }

    @Test(arguments: [SyncMode.sync, .push]) func whoIsOnlyDialledGetsThem(mode: SyncMode) throws {
        let (desk, hq, bureau) = try scene()
        let meeting = try Meeting(desk, hq, bureau, mode)
        #expect(meeting.dialling.ending == .completed && meeting.answering.ending == .completed)
        #expect(try bureau.replica.awaited().isEmpty)
        #expect(try bureau.notes() == hq.notes())
        #expect(try bureau.replica.vectors().safe == hq.replica.vectors().applied)
        #expect(try bureau.replica.verify(authors: bureau.store.roster).isSound)
        // With nothing to ask any more, it costs one round trip again.
        let idle = try Meeting(desk, hq, bureau, mode)
        #expect(idle.dialling.sent.map(\.name) == ["greeting", "goodbye"])
        #expect(idle.answering.sent.map(\.name) == ["greeting"])
    }

    /// Those that nobody has any more do not keep the rest from being asked for.
    @Test func whereMoreAreAwaitedThanAreAskedForEachHasItsTurn() throws {
        let desk = try Desk("hq", "bureau")
        let (hq, bureau) = (desk.members[0], desk.members[1])
        for number in 0..<300 {
            try hq.write("INSERT INTO notes(id, body) VALUES (?, ?)", [Value("n\(number)"), body])
        }
        let without = try hq.replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map {
            SealedChangeSet(body: $0.sealed.body, signature: $0.sealed.signature, values: [nil])
        }
        #expect(try bureau.replica.apply(without, from: nil, authors: bureau.store.roster).changeSets == 300)
        // Whoever meets every ten minutes meets no less of them than whoever stays.
        for minutes in [1, 10] as [Int64] {
            var seen: Set<Dot> = []
            for _ in 0..<20 {
                let awaited = try bureau.replica.awaited()
                #expect(awaited.count <= 256)
                seen.formUnion(awaited)
                desk.clock.advance(minutes * 60_000)
            }
            #expect(seen.count == 300, "every \(minutes) minutes")
        }
    }

    @Test func whoDialsGetsThemToo() throws {
        let (desk, hq, bureau) = try scene()
        try Meeting(desk, bureau, hq, .pull)
        #expect(try bureau.replica.awaited().isEmpty)
        #expect(try bureau.notes() == hq.notes())
    }

    /// Who only wants to receive is not asked to send: it ends as soon as it has what it came for.
    @Test func whoOnlyPullsIsNotAsked() throws {
        let (desk, hq, bureau) = try scene()
        let meeting = try Meeting(desk, hq, bureau, .pull)
        #expect(meeting.dialling.ending == .completed)
        #expect(meeting.dialling.sent.map(\.name) == ["greeting", "goodbye"])
        #expect(try bureau.replica.awaited().count == 1)
    }
}
