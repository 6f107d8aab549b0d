// What happens in the steps of a run: programs write, services seal, nodes meet, and things go wrong.
//
// Invariant: a step that cannot be taken, for its node is down or alone, is spent all the same: steps are told by number.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
internal import Trust

extension Simulation {
    private enum Act {
        case write, seal, meet, part, settle, undelete, release, restart, join, upgrade, fault
    }

    private static let weights: [(Act, Int)] = [
        (.write, 480), (.seal, 70), (.meet, 230), (.part, 10), (.settle, 40), (.undelete, 20), (.release, 20),
        (.restart, 8), (.join, 12), (.upgrade, 6), (.fault, 104),
    ]

    func take(_ step: Int) throws {
        let pause = decisions.weighted([(20, 60), (300, 30), (5_000, 8), (60_000, 2)])
        try scheduler.run(until: scheduler.now.advanced(by: Int64(decisions.within(1...pause)) * 1000))
        let act = decisions.weighted(Self.weights)
        let node = nodes[decisions.below(nodes.count)]
        let other = nodes[decisions.below(nodes.count)]
        setTime(node)
        switch act {
        case .write: if node.isUp { try write(on: node) }
        case .seal: if node.isUp { try seal(node) }
        case .meet: try meet(node, other, mode: decisions.pick([.pull, .push, .sync, .sync, .live]))
        case .part: try node.sessions.first?.take(.stop)
        case .settle: if node.isUp { try settleConflict(on: node) }
        case .undelete: if node.isUp { try undelete(on: node) }
        case .release: if node.isUp { try release(node) }
        case .restart: if node.isUp { try restart(node) }
        case .join: if !node.hasJoined, node.index < options.nodes { try joinLate(node) }
        case .upgrade: if node.isUp, node.tables != SimulatedSchema.present { try upgrade(node) }
        case .fault: try fault(node, other)
        }
    }

    /// The service noticed what was written.
    func seal(_ node: SimulatedNode) throws {
        // Where the clock is in doubt, edits wait until a peer says what time it is; at the end an operator sees to it.
        let report = try work(node, "seals") {
            isHealing ? try $0.replica.seal() : try $0.replica.sealUnlessClockIsDoubtful()
        }
        if let report, let report, report.changeSets > 0 { changed(node) }
    }

    /// The service tries what waits.
    func release(_ node: SimulatedNode) throws {
        let report = try work(node, "releases what is held") { store in
            try store.replica.clockDoubtMilliseconds() == nil ? store.replica.releaseHeld() : nil
        }
        guard let report, let report else { return }
        if let violation = report.violation { throw SimulationViolation("\(node.name) releases: \(violation)") }
        guard report.changeSets > 0 else { return }
        node.releases += 1
        changed(node)
    }

    private func joinLate(_ node: SimulatedNode) throws {
        guard nodes[0].isUp else { return }
        tallies.count(.lateJoin)
        try join(node)
    }

    /// Its program is stopped in order, and started again.
    private func restart(_ node: SimulatedNode) throws {
        trace.note("\(node.name) stops")
        for session in node.sessions { session.connection.abandon(session.side, silently: false) }
        if let replica = node.replica {
            // Where the disk fails meanwhile, the log stays beside the file, and is read at the start.
            try? replica.close()
        }
        let isDown = node.machine.disk.isDown
        node.forgetProcess()
        if isDown { return try crash(node, losesPower: node.machine.disk.metFault == .powerCut) }
        node.machine.disk.kill()
        tallies.count("restarts")
        try start(node)
    }

    private func upgrade(_ node: SimulatedNode) throws {
        trace.note("\(node.name) is upgraded")
        tallies.count("upgrades")
        node.tables = SimulatedSchema.present
        try restart(node)
    }

    // MARK: Meeting

    /// One node dials another.
    @discardableResult
    func meet(_ node: SimulatedNode, _ other: SimulatedNode, mode: SyncMode) throws -> SimulatedSession? {
        // A copy and what it was copied from take each other for themselves.
        guard node.id != other.id, node.isUp, other.isUp else { return nil }
        guard !blocked.contains(Way(from: node.index, to: other.index)),
            !blocked.contains(Way(from: other.index, to: node.index))
        else { return nil }
        setTime(other)
        // What TLS asks of either side; why it refuses is of no matter here.
        guard let store = node.store, let otherStore = other.store,
            (try? store.roster.checkMayConnect(other.certificate, now: node.machine.now)) != nil,
            (try? otherStore.roster.checkMayConnect(node.certificate, now: other.machine.now)) != nil
        else {
            trace.note("\(node.name) and \(other.name) do not believe each other's certificates")
            return nil
        }
        let (callerExchange, calleeExchange) = (ExchangeState(), ExchangeState())
        let dialling = try work(node, "prepares to dial") { store in
            let before = try store.replica.vectors().applied
            try store.prepareToDial()
            let came = try store.replica.vectors().applied.entries.filter { $0.value > before[$0.key] }.keys
            if came.contains(where: { $0.node != node.id }) { node.releases += 1 }
            try store.meet(other.certificate)
            return try store.begin(callerExchange, with: other.id)
        }
        let answering = try work(other, "prepares to answer") { store in
            try store.prepareToAnswer(node.certificate)
            return try store.begin(calleeExchange, with: node.id)
        }
        guard let dialling, let answering, node.isUp, other.isUp else { return nil }
        tallies.count("sessions")
        let connection = connect(node, other)
        let caller = SimulatedSession(
            self, node: node, peer: other, side: .dialling, role: .dialling(mode), connection: connection,
            local: dialling.0, memory: dialling.1, exchange: callerExchange)
        let callee = SimulatedSession(
            self, node: other, peer: node, side: .answering, role: .answering, connection: connection,
            local: answering.0, memory: answering.1, exchange: calleeExchange)
        (caller.other, callee.other) = (callee, caller)
        node.sessions.append(caller)
        other.sessions.append(callee)
        connection.receive(at: .dialling) { try caller.arrived($0) }
        connection.receive(at: .answering) { try callee.arrived($0) }
        trace.note("\(node.name) dials \(other.name), \(mode)")
        try callee.take(.opened)
        try caller.take(.opened)
        // Preparing may have sealed: sessions with others have something to send.
        changed(node)
        changed(other)
        return caller
    }

    private func connect(_ node: SimulatedNode, _ other: SimulatedNode) -> Connection {
        var random = chance.forked("connection")
        _ = chance.next()
        var latency = random.pick([200, 2_000, 20_000, 100_000])
        if options.faults.contains(.slow), !isHealing, random.chance(60) {
            latency = 5_000_000
            tallies.count(.slow)
        }
        var cut: Int?
        if options.faults.contains(.cut), !isHealing, random.chance(150) {
            cut = random.pick([random.below(200), random.below(4_000), random.below(100_000)])
        }
        let connection = Connection(
            scheduler: scheduler, latencyMicroseconds: latency, bytesUntilCut: cut, random: random,
            onCut: { [unowned self] in
                tallies.count(.cut)
                trace.note("a connection of \(node.name) and \(other.name) is cut")
            })
        for over in connections where over.connection.isOver { over.connection.forget() }
        connections.removeAll { $0.connection.isOver }
        connections.append((connection, node.index, other.index))
        return connection
    }

    /// A session came to its end.
    func ended(_ session: SimulatedSession, _ ending: SessionEnding, _ summary: SessionSummary) {
        trace.note("\(session.node.name) ends with \(session.peer.name): \(ending) \(summary)")
        if case .violated(let violation) = ending {
            scheduler.after(0) {
                throw SimulationViolation("\(session.node.name) finds \(session.peer.name) in breach: \(violation)")
            }
        }
        if case .failed = ending { tallies.count("failed-sessions") }
        if let wrong = session.misjudgement(ending, peerOffered: session.other?.offered) {
            scheduler.after(0) { throw SimulationViolation(wrong) }
        }
    }

    /// What counts of a vector, and a node neither has nor holds; nil where there is nothing.
    func lacked(by node: SimulatedNode, of vector: VersionVector) -> String? {
        // Whether it holds something is asked only where it lacks something.
        let lacked = counting(vector, at: node).sorted.filter { origin, sequence in
            node.witness.seen[origin] < (twins[origin].map { min($0, sequence) } ?? sequence)
        }
        // A replica that is down, or whose disk fails just now, is judged at its next session.
        guard !lacked.isEmpty, let held = try? node.replica?.held() else { return nil }
        let origins = Set(held.map(\.dot.origin))
        let missing = lacked.filter { !origins.contains($0.origin) }
        return missing.isEmpty
            ? nil : describe(VersionVector(Dictionary(uniqueKeysWithValues: missing.map { ($0.origin, $0.sequence) })))
    }
}
