// The end of a run: everything that was wrong is set right, and everyone meets everyone until there is nothing new.
//
// Invariant: healing changes no data; what it cannot bring together was lost or refused before.

internal import Chance
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
        for node in nodes.prefix(options.nodes) where !node.hasJoined {
            if !nodes[0].isUp { try start(nodes[0]) }
            try join(node)
        }
        for node in nodes where node.hasJoined {
            if node.tables != SimulatedSchema.present {
                tallies.count("upgrades")
                node.tables = SimulatedSchema.present
                if node.isUp { try crash(node, losesPower: false) }
            }
            if !node.isUp { try start(node) }
        }
        if !issued.isEmpty {
            // A record that nobody kept, for the disk failed, is made again.
            let records = issued.sorted { $0.key.description < $1.key.description }.map(\.value.record)
            _ = try work(nodes[0], "revokes") { store in
                try store.replica.addRosterRecords(records)
                try store.refreshRoster()
            }
            changed(nodes[0])
        }
        // Half the runs come together over connections that stay, and the rest by everyone dialling everyone.
        if audits.chance(500) { try stayTogether() }
        for node in joined {
            for session in node.sessions { try session.take(.stop) }
        }
        try scheduler.run(until: scheduler.now.advanced(by: 120_000_000))
        for round in 1... {
            // Who is out comes back once, as if it did not know.
            let all = round == 1 ? nodes.filter(\.hasJoined) : members
            // Everyone dials everyone at some time: who is only ever called has nobody to ask.
            try meetAll(round.isMultiple(of: 2) ? all.reversed() : all)
            guard let unrest = try unrest() else { break }
            guard round <= 2 * nodes.count + 8 else { throw SimulationViolation(try describe(unrest)) }
        }
        try beIdle()
        // What was heard last may still be on its way to the store.
        try scheduler.run(until: scheduler.now.advanced(by: 1_000_000))
        try checkLag()
    }

    /// Each stays connected with the next, and what each has comes to all, whatever their sessions went through before.
    private func stayTogether() throws {
        tallies.count("live-rings")
        trace.note("everyone stays connected")
        for round in 1... {
            let all = members
            for (place, node) in all.enumerated() {
                try seal(node)
                try releaseAll(node)
                let others = all[(place + 1)...] + all[..<place]
                if let next = others.first(where: { $0.id != node.id }),
                    !node.sessions.contains(where: { $0.peer === next && $0.staysLive })
                {
                    try meet(node, next, mode: .live)
                }
            }
            try scheduler.run(until: scheduler.now.advanced(by: 60_000_000))
            noteDisks()
            guard let unrest = try unrest() else { break }
            // What some await they ask for after longer and longer.
            guard round <= 60 else {
                throw SimulationViolation("over connections that stay, " + (try describe(unrest)))
            }
        }
    }

    /// Who has all has nothing to send.
    private func beIdle() throws {
        let awaits = try members.contains { try $0.replica?.awaited().isEmpty == false }
        // Whoever has a value that others lack is asked for it in every session.
        isIdle = !awaits
        try meetAll(members)
        isIdle = false
    }

    private func meetAll(_ all: [SimulatedNode]) throws {
        for node in all {
            try seal(node)
            try releaseAll(node)
            noteDisks()
        }
        for (place, node) in all.enumerated() {
            for other in all.dropFirst(place + 1) { try exchange(node, other) }
        }
    }

    /// Whether members have two histories under one origin: they do not know that it forked, or that it forked there already.
    private func hasHiddenFork() throws -> Bool {
        try twins.keys.contains { origin in
            let ends = try members.compactMap { node -> Digest? in
                guard let replica = node.replica else { return nil }
                let last = try replica.vectors().applied[origin]
                return try replica.signedChangeSet(Dot(origin: origin, sequence: last)).map { SHA256.digest($0.body) }
            }
            return Set(ends).count > 1
        }
    }

    /// A whole session, to its end.
    func exchange(_ node: SimulatedNode, _ other: SimulatedNode) throws {
        guard let session = try meet(node, other, mode: .sync) else { return }
        let callee = session.other
        let deadline = scheduler.now.advanced(by: 600_000_000)
        // A side that heard the other's last word may still be at work.
        while session.ending == nil || !session.connection.isOver, try scheduler.step(until: deadline) {}
        noteDisks()
        if isIdle, let moved = [session, callee].compactMap({ $0?.summary }).first(where: { $0 != SessionSummary() }) {
            throw SimulationViolation("\(node.name) and \(other.name) have the same, and yet: \(moved)")
        }
        guard let ending = session.ending else {
            throw SimulationViolation("a session of \(node.name) and \(other.name) does not end")
        }
        switch ending {
        case .completed, .incomplete, .rewound: break
        case .peerError(let notice) where notice.code == .rewound: break
        case .peerError, .refused, .disconnected, .peerLeft:
            // Who is out is told so.
            if isRevoked(node) || isRevoked(other) { break }
            fallthrough
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
        node.releases += 1
        changed(node)
    }

    /// In what members differ still; nil where they do not.
    private func unrest() throws -> String? {
        guard let first = nodes[0].store else { return "n0 is down" }
        let applied = try first.replica.vectors().applied
        for node in members {
            guard let store = node.store else { return "\(node.name) is down" }
            let vectors = try store.replica.vectors()
            guard vectors.applied == applied else { return "\(node.name) has another vector than n0" }
            guard try store.replica.held().allSatisfy({ try isOut($0.dot, node, applied) }) else {
                return "\(node.name) holds what counts"
            }
            guard store.roster.digest == first.roster.digest else { return "\(node.name) has another roster than n0" }
            guard node.witness.cuts == nodes[0].witness.cuts else { return "\(node.name) knows of other cuts than n0" }
            if vectors.safe != applied || !node.witness.cuts.isEmpty, try awaitsWhatIsThere(node) {
                return "\(node.name) awaits values that another has"
            }
        }
        return try hasHiddenFork() ? "an origin has two histories, and nobody has proven it" : nil
    }

    /// What is held comes after a cut, or builds on what is not there and never will be.
    private func isOut(_ dot: Dot, _ node: SimulatedNode, _ applied: VersionVector) throws -> Bool {
        if node.witness.cuts.exclude(dot, at: node.id) { return true }
        let digest = try node.replica?.signedChangeSet(dot).map { SHA256.digest($0.body) }
        return library[dot].first { $0.digest == digest }.map { !applied.covers($0.context) } ?? false
    }

    /// A value that its author overwrote before anyone had it, and could not send any more when a cut took the later one back,
    /// is gone; one that any member still has must come.
    private func awaitsWhatIsThere(_ node: SimulatedNode) throws -> Bool {
        guard let replica = node.replica, !node.witness.cuts.isEmpty else { return true }
        let awaited = try replica.awaited()
        for dot in awaited {
            for other in members where other !== node {
                if let again = try other.replica?.again(dot), !again.sealed.values.contains(where: { $0 == nil }) {
                    return true
                }
            }
        }
        if !awaited.isEmpty { tallies.count("extinct-values") }
        return false
    }

    private func describe(_ unrest: String) throws -> String {
        var lines = ["everyone met everyone again and again, and \(unrest):"]
        for node in members {
            guard let replica = node.replica else { continue }
            let (applied, safe) = try replica.vectors()
            let held = try replica.held().map { "\($0.dot) \($0.detail)" }
            lines.append(
                "\(node.name): \(describe(applied))\(safe == applied ? "" : ", safe \(describe(safe))"), awaits \(try replica.awaited()), held \(held)"
            )
        }
        return lines.joined(separator: "\n  ")
    }
}
