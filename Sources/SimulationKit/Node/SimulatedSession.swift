// One side of one session: the real session machine, its store, its timers, and the connection.
//
// Invariant: outputs are done in order; what a process began ends with it.

internal import Chance
internal import ReplicaExchange
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
internal import Trust

final class SimulatedSession {
    private let simulation: Simulation
    let node: SimulatedNode
    let peer: SimulatedNode
    let side: Side
    let role: SessionRole
    private let process: Int
    private let number: Int
    let connection: Connection
    private let exchange: ExchangeState
    private var session: SyncSession
    private var timers: [SessionTimer: Int] = [:]
    private var planned = 0
    private var observation: PeerObservation?
    private var changeIsPending = false
    private var isLive: Bool
    /// How often the node's replica had been rewound.
    private let rewinds: Int
    private(set) var ending: SessionEnding?
    private(set) var summary: SessionSummary?
    /// The other side.
    weak var other: SimulatedSession?
    /// What this side had as it began.
    let offered: VersionVector
    /// The processes, and how often the disk had failed, as it began.
    private let peerProcess: Int
    /// How often what the peer held had been released beside its sessions.
    private let peerReleases: Int
    private let diskFailures: Int

    init(
        _ simulation: Simulation, node: SimulatedNode, peer: SimulatedNode, side: Side, role: SessionRole,
        connection: Connection, local: LocalState, memory: PeerMemory, exchange: ExchangeState
    ) {
        self.exchange = exchange
        self.simulation = simulation
        self.node = node
        self.peer = peer
        self.side = side
        self.role = role
        self.connection = connection
        process = node.process
        rewinds = node.witness.rewinds
        offered = local.applied
        peerProcess = peer.process
        peerReleases = peer.releases
        diskFailures = node.diskFailures
        node.sessionCount += 1
        number = node.sessionCount
        if case .dialling(let mode) = role { isLive = mode.live } else { isLive = false }
        var configuration = SessionConfiguration(
            role: role, workspace: node.certificate.workspace, node: node.id, peer: peer.id, software: "syncsim",
            local: local, memory: memory)
        // Small, so that windows fill and batches end in a run of a few hundred steps.
        if simulation.chance.chance(300) {
            configuration.limits.windowBytes = UInt64(simulation.chance.pick([2_000, 20_000, 200_000]))
            configuration.limits.batchBytes = UInt64(simulation.chance.pick([1_000, 10_000, 100_000]))
            configuration.limits.readBytes = UInt64(simulation.chance.pick([1_000, 10_000, 100_000]))
        }
        session = SyncSession(
            configuration,
            at: Moment(uptime: Uptime(microseconds: simulation.scheduler.now.microseconds), wall: node.machine.now))
    }

    var isAlive: Bool { ending == nil && node.process == process && node.isUp }
    private var label: String { "\(node.name)#\(number)" }

    /// It dialled to stay.
    var staysLive: Bool { if case .dialling(let mode) = role { mode.live } else { false } }

    // MARK: Inputs

    func arrived(_ arrival: Connection.Arrival) throws {
        guard isAlive else { return }
        switch arrival {
        case .frame(let frame, let bytes):
            simulation.trace.note("\(label) < \(frame.name) \(bytes.count)")
            simulation.trace.note(bytes: bytes)
            try take(.frame(frame))
        case .undecodable(let error): throw SimulationViolation("\(label) cannot read what \(peer.name) sent: \(error)")
        case .closed(let reason): try take(.transportClosed(reason))
        }
    }

    func take(_ input: SessionInput) throws {
        guard isAlive else { return }
        let moment = Moment(
            uptime: Uptime(microseconds: simulation.scheduler.now.microseconds), wall: node.machine.now)
        for output in session.handle(input, at: moment) { try perform(output) }
    }

    /// The replica changed; changes that come while one waits to be read need no reading of their own.
    func localChanged() {
        guard isAlive, !changeIsPending else { return }
        changeIsPending = true
        simulation.scheduler.after(simulation.storeDelay()) { [self] in
            changeIsPending = false
            guard isAlive else { return }
            let change = try simulation.work(node, "reads its state") {
                try $0.change(self.exchange, with: self.peer.id)
            }
            if let change { try take(change) }
        }
    }

    // MARK: Outputs

    private func perform(_ output: SessionOutput) throws {
        switch output {
        case .send(let frame):
            noteTold(frame)
            connection.send(FrameCodec.encode(frame), from: side)
        case .applyBatch, .readOutgoing, .countBacklog, .readRoster, .mergeRoster, .compare, .readSigned, .readAgain,
            .examineAnswer, .checkHistories, .readHeads, .compareHeads:
            ask(output)
        case .setTimer(let timer, let deadline): set(timer, deadline)
        case .cancelTimer(let timer): timers[timer] = nil
        case .rememberPeer(let latest):
            let isFirst = observation == nil
            observation = latest
            if isFirst { simulation.scheduler.after(simulation.storeDelay()) { [self] in try remember() } }
        case .rememberThirdNodes(let nodes):
            simulation.scheduler.after(simulation.storeDelay()) { [self] in
                guard node.process == process else { return }
                _ = try simulation.work(node, "remembers third nodes") { try $0.remember(nodes, toldBy: self.peer.id) }
            }
        case .event(let event): note(event)
        case .close(let ending, let summary):
            (self.ending, self.summary) = (ending, summary)
            simulation.ended(self, ending, summary)
            connection.close(side, "the peer closed the connection")
            node.sessions.removeAll { $0 === self }
        }
    }

    private func ask(_ output: SessionOutput) {
        simulation.scheduler.after(simulation.storeDelay()) { [self] in
            // A session that has ended still finishes what the store had begun for it.
            guard node.process == process, node.isUp else { return }
            guard let answers = try simulation.answer(output, node: node, peer: peer, exchange) else { return }
            for answer in answers { try take(answer) }
            switch output {
            case .applyBatch, .mergeRoster, .examineAnswer: simulation.changed(node)
            default: break
            }
        }
    }

    private func remember() throws {
        guard node.process == process, let latest = observation else { return }
        observation = nil
        _ = try simulation.work(node, "remembers \(peer.name)") { try $0.remember(latest, live: self.isLive) }
    }

    private func set(_ timer: SessionTimer, _ deadline: Uptime) {
        planned += 1
        timers[timer] = planned
        simulation.scheduler.at(VirtualTime(microseconds: deadline.microseconds)) { [self, planned] in
            guard timers[timer] == planned else { return }
            timers[timer] = nil
            try take(.timer(timer))
        }
    }

    private func note(_ event: SessionEvent) {
        switch event {
        case .greeted(_, let mode, _):
            if role == .answering { isLive = mode.live }
        case .duplicate: simulation.tallies.count("duplicates")
        case .heldHere(let held):
            for held in held { simulation.tallies.count("held-\(held.cause.rawValue)") }
        case .schemaDiffers, .heldByPeer, .received, .sent, .caughtUp, .peerHasMore, .settled, .answered: break
        }
    }

    /// What is wrong with how the session ended, if anything is: who says that all is done has done it, and the store fails for
    /// its disk alone.
    func misjudgement(_ ending: SessionEnding, peerOffered: VersionVector?) -> String? {
        if case .failed(let notice) = ending, node.diskFailures == diskFailures {
            return "\(node.name) gives up a session with \(peer.name), and its disk did not fail: \(notice.message)"
        }
        guard ending == .completed, case .dialling(let mode) = role, !mode.live else { return nil }
        if mode.receive, let peerOffered, let lacked = simulation.lacked(by: node, of: peerOffered) {
            return "\(node.name) has all that \(peer.name) had, it says, and lacks \(lacked)"
        }
        // What was released there without a word of it is of the next session.
        if mode.send, peer.process == peerProcess, peer.isUp, peer.releases == peerReleases,
            let lacked = simulation.lacked(by: peer, of: offered)
        {
            return "\(peer.name) has all that \(node.name) had, says \(node.name), and lacks \(lacked)"
        }
        return nil
    }

    /// From now on this node may not lose what the frame says that it has.
    private func noteTold(_ frame: ExchangeFrame) {
        // It ends once it hears of the rewind; what it says until then might as well have been under way before.
        guard node.witness.rewinds == rewinds else { return }
        switch frame {
        case .greeting(let greeting): node.witness.told.formUnion(VersionVector(greeting.applied.entries))
        case .wholeVector(let vector), .streamEnd(let vector), .announcement(let vector):
            node.witness.told.formUnion(vector)
        case .acknowledgement(let acknowledgement): node.witness.told.formUnion(acknowledgement.applied)
        case .changeSet(let start):
            guard let dot = start.header?.dot else { return }
            node.witness.told.formUnion(VersionVector([dot.origin: dot.sequence]))
        default: break
        }
    }
}
