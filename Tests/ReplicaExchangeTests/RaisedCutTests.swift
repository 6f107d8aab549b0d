// A session that brings a revocation which accepts more: what was held goes out in that very session.
import ReplicaExchange
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct RaisedCutTests {
    /// hq holds what the laptop wrote, for it knows that the laptop is out; the bureau knows that more of it counts, and has
    /// none of it.
    @Test(arguments: [false, true]) func whatARecordLetsInGoesOutAtOnce(hqDials: Bool) throws {
        let desk = try Desk("hq", "bureau", "laptop")
        let (hq, bureau, laptop) = (desk.members[0], desk.members[1], desk.members[2])
        try laptop.write("INSERT INTO notes(id, title) VALUES ('n1', 'found on the laptop')")
        let outgoing = try laptop.replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max)
        try hq.store.mergeRoster([desk.revocation(of: 2)])
        let report = try hq.replica.apply(outgoing.changeSets.map(\.sealed), from: nil, authors: hq.store.roster)
        #expect(report.held.map(\.cause) == [.revoked])
        try bureau.store.mergeRoster([desk.revocation(of: 2, accepting: 1)])
        #expect(try bureau.notes().isEmpty)

        let meeting = try hqDials ? Meeting(desk, hq, bureau, .sync) : Meeting(desk, bureau, hq, .sync)
        #expect(meeting.dialling.ending == .completed)
        #expect(try hq.replica.held().isEmpty)
        #expect(try bureau.notes() == [[Value("n1"), Value("found on the laptop"), .null]])
        #expect(try bureau.notes() == hq.notes())
    }
}
