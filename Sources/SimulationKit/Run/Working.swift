// Using a node's replica, and what that may come to: done, a disk that fails, a process that dies, or a violation.
//
// Invariant: after everything that a node's replica did, its vector has only grown, and what it sealed is what was written.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
internal import Trust

extension Simulation {
    /// Does something with the replica of a node that is up.
    ///
    /// - Returns: nil where it failed for a fault that the simulation made.
    func work<Result>(_ node: SimulatedNode, _ what: String, _ body: (SessionStore) throws -> Result) throws -> Result?
    {
        guard let store = node.store else { return nil }
        setTime(node)
        do {
            let result = try body(store)
            node.forgetDoubt()
            if node.machine.disk.isDown {
                try look(at: node, store)
                try die(node)
                return nil
            }
            noteDiskFault(node)
            try look(at: node, store)
            return result
        } catch {
            try failed(node, what, error)
            return nil
        }
    }

    /// Has the store answer a session. Nil where the process is gone.
    func answer(
        _ output: SessionOutput, node: SimulatedNode, peer: SimulatedNode, _ exchange: ExchangeState
    ) throws -> [SessionInput]? {
        guard let store = node.store else { return nil }
        setTime(node)
        let rehearsed = try rehearse(output, node: node, from: peer.id)
        guard let answer = store.answer(output, with: peer.id, exchange) else {
            preconditionFailure("only what the store answers is asked of it")
        }
        if let failure = answer.failure {
            try failed(node, "answers a session", failure)
            return node.isUp ? answer.inputs : nil
        }
        try check(rehearsed, against: answer.inputs, of: node)
        for input in answer.inputs {
            if case .applyFailed(.peer(let notice)) = input {
                throw SimulationViolation("\(node.name) refuses what \(peer.name) sent: \(notice.message)")
            }
            if case .rosterRefused(let reason) = input {
                throw SimulationViolation("\(node.name) refuses the roster of \(peer.name): \(reason)")
            }
        }
        node.forgetDoubt()
        noteDiskFault(node)
        if !node.machine.disk.isDown { try look(at: node, store) }
        if node.machine.disk.isDown {
            try die(node)
            return nil
        }
        return answer.inputs
    }

    /// A failure is the disk's, or a violation.
    private func failed(_ node: SimulatedNode, _ what: String, _ error: any Error) throws {
        if error is SimulationViolation { throw error }
        if node.machine.disk.isDown { return try die(node) }
        let isDisk = (error as? SQLError).map { [10, 13].contains($0.primaryCode) } ?? false
        guard isDisk, node.machine.disk.metFault != nil || node.machine.disk.isFull else {
            throw SimulationViolation("\(node.name) \(what): \(error)")
        }
        trace.note("\(node.name) fails: \(what)")
        node.diskFailures += 1
        noteDiskFault(node)
        if let store = node.store { try look(at: node, store) }
    }

    private func noteDiskFault(_ node: SimulatedNode) {
        switch node.machine.disk.metFault {
        case .inputOutput: tallies.count(.diskError)
        case .full:
            tallies.count(.diskFull)
            scheduler.after(Int64(chance.within(1...20)) * 1_000_000) { node.machine.disk.isFull = false }
        case .kill, .powerCut, nil: return
        }
        node.machine.disk.calm()
    }

    /// The process of a node dies at the disk operation where it was to.
    private func die(_ node: SimulatedNode) throws {
        try crash(node, losesPower: node.machine.disk.metFault == .powerCut)
    }

    /// Reads the vector, and checks what was sealed and what was taken back since it was read last.
    func look(at node: SimulatedNode, _ store: SessionStore) throws {
        if node.machine.disk.isDown { return }
        let applied = try store.replica.vectors().applied
        let before = library.greatestStamp(of: node.id)
        if applied != node.witness.seen { trace.detail("\(node.name) is at \(describe(applied))") }
        let (rewinds, hasNewCuts) = try noteCuts(node, store.replica)
        let sealed = try takeSealed(node, store.replica, applied, looksAside: rewinds > 0)
        var matched: Set<Register> = []
        func check(_ part: [Library.Entry]) throws {
            try self.check(part, node, &matched, before: before, applied: applied, rewinds: rewinds)
        }
        if rewinds > 0 {
            let early = sealed.filter { Self.states($0, node.witness.seen) }
            try check(early)
            try checkRewind(node, sealed, applied, rewinds: rewinds)
            try check(sealed.filter { !Self.states($0, node.witness.seen) })
        } else {
            guard applied.covers(node.witness.seen) else {
                throw SimulationViolation(
                    "\(node.name): its vector shrank from \(describe(node.witness.seen)) to \(describe(applied))")
            }
            // Without a rewind, too, what was taken back before may have lost to what is void now.
            if hasNewCuts, !node.witness.takenBack.isEmpty {
                owe(
                    node, node.witness.seen, applied, sealedBefore: node.witness.sealed.count - sealed.count,
                    inTurn: false)
            }
            try noteContents(node, store.replica, applied)
            forgetDebts(node, applied)
            try check(sealed)
        }
        if !sealed.isEmpty { try closeBook(node, matched) }
        if rewinds > 0 { try noteContents(node, store.replica, applied) }
        if !node.witness.cuts.isEmpty, counting(applied, at: node) != applied {
            throw SimulationViolation("\(node.name) has what comes after a cut, or builds on it: \(describe(applied))")
        }
        if rewinds > 0 || hasNewCuts || applied != node.witness.seen {
            try settleDebts(node, store.replica, mustBePaid: rewinds > 0 || hasNewCuts)
        }
        node.witness.book.add(node.witness.later)
        node.witness.later = WriteBook()
        node.witness.seen = applied
        node.witness.ever.formUnion(applied)
        had[node.id, default: VersionVector()].formUnion(applied)
    }

    func describe(_ vector: VersionVector) -> String {
        vector.sorted.map { origin, sequence in
            let name = nodes.first { $0.id == origin.node }?.name ?? "\(origin.node)"
            return "\(name)-\(String(origin.incarnation, radix: 16).prefix(4)):\(sequence)"
        }.joined(separator: " ")
    }

    /// The replica changed: whoever is in a session with it may want to know; and whoever is out by what it learnt is told so.
    func changed(_ node: SimulatedNode) {
        if !issued.isEmpty, let roster = node.store?.roster {
            for session in node.sessions where roster.member(session.peer.id)?.isRevoked == true {
                scheduler.after(0) {
                    try session.take(.refuse(ErrorNotice(code: .refused, message: "this node was revoked")))
                }
            }
        }
        for session in node.sessions { session.localChanged() }
    }

    // MARK: Dying and coming back

    /// The process dies now.
    func crash(_ node: SimulatedNode, losesPower: Bool) throws {
        trace.note("\(node.name) \(losesPower ? "loses power" : "is killed")")
        tallies.count(losesPower ? .powerCut : .kill)
        for session in node.sessions { session.connection.abandon(session.side, silently: losesPower) }
        if losesPower {
            let before = node.machine.disk.lostBytes
            node.machine.disk.losePower()
            if chance.chance(500) { node.machine.mark.losePower() }
            if node.machine.disk.lostBytes > before { tallies.count("lost-unsynced") }
        } else {
            node.machine.disk.kill()
        }
        node.forgetProcess()
        let process = node.process
        scheduler.after(Int64(chance.within(100...20_000)) * 1000) { [self] in
            if node.process == process, !node.isUp { try start(node) }
        }
    }

    /// Starts the process of a node, as its program does.
    func start(_ node: SimulatedNode) throws {
        guard node.hasJoined, !node.isUp else { return }
        node.machine.disk.start()
        node.machine.disk.isFull = false
        setTime(node)
        if !isHealing { troubleOpening(node) }
        let store: SessionStore
        do {
            store = try open(node, SeededRandom(seed: chance.next()))
        } catch {
            return try failedToOpen(node, error)
        }
        if node.machine.disk.isDown {
            tallies.count("deaths-at-opening")
            return try die(node)
        }
        noteDiskFault(node)
        if !node.machine.disk.isTroubled { node.machine.disk.calm() }
        node.store = store
        try settleDoubt(node, store.replica)
        // What was told is void where it was rewound since.
        try look(at: node, store)
        guard node.witness.seen.covers(node.witness.told) else {
            throw SimulationViolation(
                "\(node.name) told others that it has \(describe(node.witness.told)), and has \(describe(node.witness.seen)) after a crash"
            )
        }
        trace.note("\(node.name) starts at \(describe(node.witness.seen))")
    }

    /// Opens a node's replica, as each of its programs does.
    func open(_ node: SimulatedNode, _ random: SeededRandom) throws -> SessionStore {
        let replica = try Replica.open(
            at: SimulatedNode.path, in: node.machine.fileSystem, key: node.key, tables: node.tables,
            mark: node.machine.mark, mint: node.mint(random), clock: node.clock)
        return try SessionStore(replica: replica, authority: authority.certificate)
    }

    /// A crash or a failing disk may meet a replica while it is recovered, upgraded, or takes a new incarnation.
    private func troubleOpening(_ node: SimulatedNode) {
        let kinds: [(Fault, DiskFault)] = [
            (.kill, .kill), (.powerCut, .powerCut), (.diskError, .inputOutput), (.diskFull, .full),
        ]
        let (fault, kind) = audits.pick(kinds)
        let operations = audits.weighted([(audits.below(8), 50), (audits.below(80), 50)])
        guard audits.chance(150), options.faults.contains(fault) else { return }
        node.machine.disk.failLater(after: operations, kind)
    }

    private func failedToOpen(_ node: SimulatedNode, _ error: any Error) throws {
        if node.machine.disk.isDown {
            tallies.count("deaths-at-opening")
            return try die(node)
        }
        let isDisk = (error as? SQLError).map { [10, 13].contains($0.primaryCode) } ?? false
        guard isDisk, node.machine.disk.metFault != nil || node.machine.disk.isFull else {
            throw SimulationViolation("\(node.name) cannot be opened again: \(error)")
        }
        trace.note("\(node.name) cannot be opened now")
        tallies.count("failures-at-opening")
        noteDiskFault(node)
        let process = node.process
        scheduler.after(5_000_000) { [self] in
            if node.process == process, !node.isUp { try start(node) }
        }
    }

    /// Whether a transaction that failed at its commit took place after all: wholly, or not at all.
    private func settleDoubt(_ node: SimulatedNode, _ replica: Replica) throws {
        for doubtful in node.takeDoubtful() {
            let tables = Set(doubtful.writes.entries.keys.map(\.table)).sorted()
            // What the replica itself wrote as it was opened bears another time.
            let happened = try replica.read { reader in
                try tables.filter { table in
                    try SimulatedNode.hasJournaled(
                        table, at: doubtful.writes.latest, after: doubtful.journal[table] ?? 0, reader)
                }
            }
            guard !doubtful.isOneTransaction || happened.isEmpty || happened == tables else {
                throw SimulationViolation(
                    "\(node.name): of a transaction on \(tables) only \(happened) are there after a crash")
            }
            trace.detail("\(node.name): what failed is there after all in \(happened) of \(tables)")
            for table in happened { node.witness.book.add(doubtful.writes, table: table) }
            if !happened.isEmpty { return }
        }
    }
}
