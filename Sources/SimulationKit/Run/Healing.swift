// The end of a run: everything that was wrong is set right, and everyone meets everyone until there is nothing new.
//
// Invariant: healing changes no data; what it cannot bring together was lost or refused before.

internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
internal import Trust

extension Simulation {
    func heal() throws {
        isHealing = true
        trace.note("healing")
        for way in blocked.sorted(by: { ($0.from, $0.to) < ($1.from, $1.to) }) { setBlocked(way, false) }
        for node in nodes {
            node.machine.disk.calm()
            node.machine.disk.isFull = false
            node.machine.clock.repair()
        }
        for node in nodes where !node.hasJoined {
            if !nodes[0].isUp { try start(nodes[0]) }
            try join(node)
        }
        for node in nodes {
            if node.tables != SimulatedSchema.present {
                tallies.count("upgrades")
                node.tables = SimulatedSchema.present
                if node.isUp { try crash(node, losesPower: false) }
            }
            if !node.isUp { try start(node) }
            for session in node.sessions { try session.take(.stop) }
        }
        try scheduler.run(until: scheduler.now.advanced(by: 120_000_000))
        for round in 1... {
            try meetAll()
            if try isQuiet() { break }
            guard round <= nodes.count + 4 else { throw SimulationViolation(try describeDisagreement()) }
        }
    }

    private func meetAll() throws {
        for node in nodes {
            try seal(node)
            try releaseAll(node)
        }
        for node in nodes {
            for other in nodes.dropFirst(node.index + 1) { try exchange(node, other) }
        }
    }

    /// A whole session, to its end.
    func exchange(_ node: SimulatedNode, _ other: SimulatedNode) throws {
        guard let session = try meet(node, other, mode: .sync) else { return }
        let deadline = scheduler.now.advanced(by: 600_000_000)
        while !session.connection.isOver, try scheduler.step(until: deadline) {}
        guard let ending = session.ending else {
            throw SimulationViolation("a session of \(node.name) and \(other.name) does not end")
        }
        switch ending {
        case .completed, .incomplete: break
        default: throw SimulationViolation("\(node.name) and \(other.name), with nothing wrong: \(ending)")
        }
    }

    /// An operator lets in what waits for a clock.
    func releaseAll(_ node: SimulatedNode) throws {
        guard let replica = node.replica else { return }
        let held = try replica.held()
        guard !held.isEmpty else { return }
        tallies.count("released-by-operator", held.count)
        let report = try work(node, "releases everything") { try $0.replica.releaseHeld(Set(held.map(\.dot))) }
        if let violation = report?.violation { throw SimulationViolation("\(node.name) releases: \(violation)") }
    }

    private func isQuiet() throws -> Bool {
        guard let first = nodes[0].store else { return false }
        let (applied, safe) = try first.replica.vectors()
        guard applied == safe else { return false }
        for node in nodes {
            guard let store = node.store else { return false }
            let vectors = try store.replica.vectors()
            guard vectors.applied == applied, vectors.safe == applied, try store.replica.held().isEmpty,
                store.roster.digest == first.roster.digest
            else { return false }
        }
        return true
    }

    private func describeDisagreement() throws -> String {
        var lines = ["everyone met everyone again and again, and they do not agree:"]
        for node in nodes {
            guard let replica = node.replica else { continue }
            let (applied, safe) = try replica.vectors()
            let held = try replica.held().map { "\($0.dot) \($0.detail)" }
            lines.append(
                "\(node.name): \(describe(applied))\(safe == applied ? "" : ", safe \(describe(safe))"), held \(held)")
        }
        return lines.joined(separator: "\n  ")
    }
}
