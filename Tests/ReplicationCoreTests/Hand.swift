// A session stepped by hand: its inputs one by one, in an order that a network would seldom give.
import ReplicationCore
import ReplicationModel
import ReplicationWire

/// A session of node 1, answering node 2, and what it put out last.
struct Hand {
    var session: SyncSession
    let replica = FakeReplica(node(1))
    var microseconds: Int64 = 0
    var outputs: [SessionOutput] = []

    init(
        _ mode: SyncMode, peer vector: VersionVector = VersionVector(), held: [HeldChangeSet] = [],
        write count: Int = 0,
        window: UInt64 = 0,
        whileCounting change: (inout LocalState) -> Void = { _ in }
    ) {
        for _ in 0..<count { replica.write(as: origin(1)) }
        session = SyncSession(
            SessionConfiguration(
                role: .answering, workspace: workspace, node: node(1), peer: node(2), software: "", local: replica.state
            ),
            at: Moment(uptime: Uptime(microseconds: 0), wall: WallClock(milliseconds: 0)))
        give(.opened)
        give(
            .frame(
                .greeting(
                    Greeting(
                        workspace: workspace, node: node(2), clock: WallClock(milliseconds: 0),
                        applied: VectorDelta(whole: vector), rosterDigest: replica.rosterDigest,
                        schemaDigest: replica.schema, mode: mode, held: held, windowBytes: window))))
        if count > 0 && mode.receive {
            var state = replica.state
            change(&state)
            if state != replica.state { give(.localChanged(state)) }
            give(.backlogCounted(replica.backlog(lackedBy: vector, skipping: [])))
        }
    }

    mutating func give(_ input: SessionInput) {
        outputs = session.handle(
            input,
            at: Moment(uptime: Uptime(microseconds: microseconds), wall: WallClock(milliseconds: microseconds / 1000)))
    }

    mutating func acknowledge(_ bytes: UInt64, _ applied: VersionVector = VersionVector(), held: [HeldChangeSet] = []) {
        give(
            .frame(
                .acknowledgement(Acknowledgement(applied: applied, safeBelow: .all, receivedBytes: bytes, held: held))))
    }

    var sent: [ExchangeFrame] { outputs.compactMap { if case .send(let frame) = $0 { frame } else { nil } } }
    var request: OutgoingRequest? {
        outputs.lazy.compactMap { if case .readOutgoing(let request) = $0 { request } else { nil } }.first
    }
    var violation: Violation? {
        outputs.lazy.compactMap { if case .close(.violated(let violation), _) = $0 { violation } else { nil } }.first
    }
}
