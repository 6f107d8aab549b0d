// What a session is told of its replica: everything its peer is concerned with, and all of one moment.
import Foundation
import ReplicaExchange
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Synchronization
import Testing
import Trust

@Suite struct LocalStateTests {
    /// A peer's greeting tells that the disk was taken back, mark and all: before anything is sealed under a number twice.
    @Test func whoseNextNumbersAPeerHasGoesOnUnderAnotherOrigin() throws {
        let desk = try Desk("hq", "bureau")
        let (hq, bureau) = (desk.members[0], desk.members[1])
        try hq.write("INSERT INTO notes(id) VALUES ('n1')")
        let origin = try hq.replica.origin
        var observation = PeerObservation(peer: bureau.replica.node, at: desk.clock.now)
        observation.applied = VersionVector([origin: SequenceNumber(1)])
        try hq.store.remember(observation, live: false)
        #expect(try hq.replica.origin == origin)
        observation.applied = VersionVector([origin: SequenceNumber(3)])
        try hq.store.remember(observation, live: false)
        try hq.write("INSERT INTO notes(id) VALUES ('n2')")
        #expect(try hq.replica.origin != origin)
        #expect(try hq.replica.vectors().applied[origin] == SequenceNumber(1))
    }

    private let body = Value(String(repeating: "x", count: 1_000))

    private func state(_ member: Member, for peer: Member) throws -> LocalState {
        try member.store.begin(ExchangeState(), with: peer.replica.node).0
    }

    @Test func saysWhatTheReplicaSays() throws {
        let desk = try Desk("hq", "bureau", "stringer")
        let (hq, bureau, stringer) = (desk.members[0], desk.members[1], desk.members[2])
        try hq.write("INSERT INTO notes(id, title, body) VALUES ('n1', 'one', ?)", [body])
        let sent = try hq.replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map(\.sealed)
        let without = sent.map { SealedChangeSet(body: $0.body, signature: $0.signature, values: [nil]) }
        _ = try bureau.replica.apply(without, from: nil, authors: bureau.store.roster)
        try stringer.write("INSERT INTO notes(id, title) VALUES ('n2', 'two')")
        try Meeting(desk, bureau, stringer, .sync)
        // What is stamped far ahead of this clock is held.
        desk.advance(3_600_000)
        try stringer.write("INSERT INTO notes(id, title) VALUES ('n3', 'tomorrow')")
        desk.advance(-3_600_000)
        try Meeting(desk, bureau, stringer, .pull)

        let state = try state(bureau, for: hq)
        let replica = bureau.replica
        let vectors = try replica.vectors()
        #expect(state.applied == vectors.applied && state.applied.count == 2)
        #expect(state.safeBelow.safe(of: state.applied) == vectors.safe && vectors.safe != vectors.applied)
        #expect(try state.awaited == replica.awaited() && state.awaited.count == 1)
        #expect(try state.held == replica.firstHeld() && state.held.map(\.cause) == [.clockAhead])
        #expect(state.suspicions.isEmpty)
        #expect(try state.histories == SHA256.digest(replica.heads().digestInput).first)
        let met = try #require(try replica.peer(stringer.replica.node)?.facts)
        #expect(
            state.thirdNodes == [ThirdNode(node: stringer.replica.node, applied: met.safe, asOf: met.at)])
        #expect(try self.state(bureau, for: stringer).thirdNodes.isEmpty, "what it said of itself is no news to it")
        #expect(try state.schemaDigest == self.state(hq, for: bureau).schemaDigest)
        #expect(try state.rosterDigest == self.state(hq, for: bureau).rosterDigest)
    }

    /// Another program gives and takes what is awaited, while sessions are told.
    @Test func isOfOneMomentWhileOthersWrite() throws {
        let desk = try Desk("hq", "bureau")
        let (hq, bureau) = (desk.members[0], desk.members[1])
        for number in 0..<60 {
            try hq.write("INSERT INTO notes(id, body) VALUES (?, ?)", [Value("n\(number)"), body])
        }
        let sent = try hq.replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map(\.sealed)
        #expect(sent.count == 60)
        let failure = Mutex<String?>(nil)
        let isDone = Mutex(false)
        let (replica, roster) = (bureau.replica, bureau.store.roster)
        let writing = DispatchGroup()
        DispatchQueue.global().async(group: writing) {
            defer { isDone.withLock { $0 = true } }
            do {
                for sealed in sent {
                    let without = SealedChangeSet(body: sealed.body, signature: sealed.signature, values: [nil])
                    for changeSet in [without, sealed] {
                        let report = try replica.apply([changeSet], from: nil, authors: roster)
                        if let violation = report.violation { throw violation }
                    }
                }
            } catch {
                failure.withLock { $0 = "\(error)" }
            }
        }
        var seen: Set<Bool> = []
        while !isDone.withLock({ $0 }) {
            let state = try state(bureau, for: hq)
            seen.insert(state.awaited.isEmpty)
            #expect(state.awaited.isEmpty == state.safeBelow.entries.isEmpty)
            for dot in state.awaited { #expect(state.safeBelow.entries[dot.origin].map { $0 < dot.sequence } == true) }
            #expect(try state.histories == replica.heads(at: state.applied).map { SHA256.digest($0.digestInput).first })
        }
        writing.wait()
        #expect(failure.withLock { $0 } == nil)
        #expect(seen.contains(false), "no moment was seen in which a value is awaited")
        #expect(try state(bureau, for: hq).applied == hq.replica.vectors().applied)
    }

    /// A cut that comes while a session lasts is heard of with whatever it is told next.
    @Test func aCutMakesWhatWasToldVoid() throws {
        let desk = try Desk("hq", "bureau")
        let (hq, bureau) = (desk.members[0], desk.members[1])
        try hq.write("INSERT INTO notes(id, title) VALUES ('n1', 'one')")
        try Meeting(desk, bureau, hq, .pull)
        let exchange = ExchangeState()
        _ = try bureau.store.begin(exchange, with: hq.replica.node)
        guard case .localChanged = try bureau.store.change(exchange, with: hq.replica.node) else {
            Issue.record("void before anything was cut off")
            return
        }
        try bureau.store.mergeRoster([desk.revocation(of: 0)])
        guard case .rewound = try bureau.store.change(exchange, with: hq.replica.node) else {
            Issue.record("not void though the vector shrank")
            return
        }
    }
}
