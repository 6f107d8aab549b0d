// Things going wrong, and most of them coming right again after a while.
//
// Invariant: a kind of fault that is left out takes its turn and does nothing, so that everything else stays as it was.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    func fault(_ node: SimulatedNode, _ other: SimulatedNode) throws {
        let kind = decisions.pick(Self.planned)
        var random = decisions.forked(kind.rawValue)
        _ = decisions.next()
        guard options.faults.contains(kind), node.hasJoined else { return }
        let seconds = Int64(random.weighted([(2, 50), (20, 40), (200, 10)]))
        let later = Int64(random.within(1...Int(seconds) * 1000)) * 1000
        switch kind {
        case .kill, .powerCut: try crashSoon(node, kind, &random)
        case .diskError:
            if node.isUp { node.machine.disk.failLater(after: random.below(30), .inputOutput) }
        case .diskFull:
            if node.isUp { node.machine.disk.failLater(after: random.below(30), .full) }
        case .clockDrift, .clockJump, .clockBack, .clockYear: upset(node, kind, &random, later)
        case .partition: part(node, other, bothWays: true, later)
        case .oneWay: part(node, other, bothWays: false, later)
        case .cut:
            guard let open = connections.last(where: { !$0.connection.isOver }) else { return }
            tallies.count(.cut)
            open.connection.cut("the connection was reset")
        case .restore: try restore(node, &random)
        case .copy: try copy(node)
        case .fork: try fork(node)
        case .markLost: try loseMark(node, &random)
        case .revoke: try revoke(by: node, other, &random)
        case .slow, .lateJoin, .oldSchema, .rollBack, .letIn, .secondProgram, .oddWrites, .diskLost: break
        }
    }

    /// What came to be among the faults later is drawn from a stream of its own: runs without it stay as they were.
    func rareFault() throws {
        let node = nodes[rarities.below(nodes.count)]
        let kind = rarities.below(1_000)
        let random = rarities.forked("fault")
        _ = rarities.next()
        guard node.isUp, !node.machine.disk.isDown else { return }
        setTime(node)
        switch kind {
        case ..<25 where options.faults.contains(.letIn): try letIn(node, random)
        case 25..<33 where options.faults.contains(.rollBack): try rollBack(node)
        case 33..<73 where options.faults.contains(.secondProgram): try runSecondProgram(on: node)
        case 100..<103 where options.faults.contains(.diskLost): try loseDisk(of: node)
        case 103..<110 where options.faults.contains(.diskLost): try copyReplica(of: node)
        case 73..<100 where options.faults.contains(.oddWrites): try writeOddly(on: node)
        default: break
        }
    }

    private static let planned: [Fault] = [
        .kill, .powerCut, .diskError, .diskFull, .clockDrift, .clockJump, .clockBack, .clockYear, .partition, .oneWay,
        .cut, .restore, .copy, .fork, .markLost, .revoke, .revoke,
    ]

    /// At once, or at one of the disk's next operations.
    private func crashSoon(_ node: SimulatedNode, _ kind: Fault, _ random: inout SeededRandom) throws {
        guard node.isUp else { return }
        guard random.chance(700) else { return try crash(node, losesPower: kind == .powerCut) }
        let operations = random.weighted([(random.below(4), 40), (random.below(40), 50), (random.below(400), 10)])
        node.machine.disk.failLater(after: operations, kind == .powerCut ? .powerCut : .kill)
    }

    /// Takes a backup, or puts one back.
    private func restore(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        guard node.isUp else { return }
        guard let backup = node.backup, random.chance(600) else {
            trace.note("\(node.name) is backed up")
            let mark = VirtualMark()
            mark.clone(node.machine.mark)
            node.backup = SimulatedNode.Backup(
                files: node.machine.disk.snapshot(), witness: node.witness, doubtful: node.doubtful,
                tables: node.tables, mark: mark, origin: try node.replica?.origin)
            return
        }
        try crash(node, losesPower: false)
        trace.note("\(node.name) is restored from a backup")
        tallies.count(.restore)
        // What was sealed since is gone from here; it comes back from whoever has it.
        takenBack.formUnion(node.witness.sealed.keys.filter { backup.witness.sealed[$0] == nil })
        putBack(node, backup)
    }

    /// A disk that held this is gone, and nothing is left that tells how much of it was sent.
    private func takeBackUnseen(_ sealed: some Sequence<Digest>) {
        takenBack.formUnion(sealed)
        rolledBack.formUnion(sealed)
    }

    private func putBack(_ node: SimulatedNode, _ backup: SimulatedNode.Backup) {
        node.machine.disk.restore(backup.files)
        node.takeOver(doubtful: backup.doubtful)
        node.witness = backup.witness
        node.tables = backup.tables
    }

    /// Puts a whole machine back: it cannot tell, and goes on under numbers that it used.
    private func rollBack(_ node: SimulatedNode) throws {
        guard let backup = node.backup, let origin = backup.origin, origin.node == node.id, node.role != .reader,
            twins[origin] == nil, !isRevoked(node)
        else { return }
        try crash(node, losesPower: false)
        trace.note("the machine of \(node.name) is put back as it was")
        tallies.count(.rollBack)
        let common = backup.witness.seen[origin]
        twins[origin] = common
        noteFirstContents(of: origin, after: common)
        takeBackUnseen(node.witness.sealed.keys.filter { backup.witness.sealed[$0] == nil })
        putBack(node, backup)
        node.machine.mark.clone(backup.mark)
    }

    /// Until now each of an origin's names stood for one content, and whoever has it has that.
    private func noteFirstContents(of origin: Origin, after common: SequenceNumber) {
        func note(_ witness: inout Witness) {
            for sequence in common.rawValue..<max(common.rawValue, witness.ever[origin].rawValue) {
                let dot = Dot(origin: origin, sequence: SequenceNumber(sequence + 1))
                witness.contents[dot] = library[dot].first?.digest
            }
        }
        for node in nodes {
            note(&node.witness)
            if node.backup != nil { note(&node.backup!.witness) }
        }
    }

    /// A program that somebody starts while the service runs: it opens the replica, or does something with it, or ends.
    private func runSecondProgram(on node: SimulatedNode) throws {
        guard let service = node.store, !node.machine.disk.isTroubled else { return }
        tallies.count(.secondProgram)
        let process = node.process
        if let program = node.program {
            node.store = program
        } else {
            trace.note("a second program opens the replica of \(node.name)")
            let program = try open(node, rarities.forked("incarnations"))
            node.store = program
            try look(at: node, program)
        }
        let others = writing
        writing = rarities.forked("writing")
        defer { writing = others }
        for _ in 0..<rarities.within(1...3) where node.process == process {
            switch rarities.below(4) {
            case 0: try seal(node)
            case 1: try release(node)
            default: try write(on: node)
            }
        }
        guard node.process == process else { return }
        node.program = node.store
        node.store = service
        guard rarities.chance(400) else { return }
        try node.program?.replica.close()
        node.program = nil
    }

    /// Makes a copy of a replica, as `backup` does.
    private func copyReplica(of node: SimulatedNode) throws {
        let path = "/copy.sqlite"
        guard !node.machine.disk.isTroubled else { return }
        let done: Void? = try work(node, "is copied") { try $0.replica.backup(to: path) }
        guard done != nil, let copy = node.machine.disk.snapshot()[path] else { return }
        tallies.count("copied-in-use")
        trace.note("the replica of \(node.name) is copied")
        node.machine.disk.delete(path, synced: true)
        let mark = VirtualMark()
        mark.clone(node.machine.mark)
        node.copy = SimulatedNode.Backup(
            files: [SimulatedNode.path: copy], witness: node.witness, doubtful: [], tables: node.tables, mark: mark,
            origin: nil)
    }

    private func loseDisk(of node: SimulatedNode) throws {
        guard node.index > 0 else { return }
        tallies.count(.diskLost)
        try crash(node, losesPower: false)
        takeBackUnseen(node.witness.sealed.keys)
        if rarities.chance(300) { node.machine.mark.lose() }
        if let copy = node.copy, rarities.chance(500) {
            trace.note("\(node.name) lost its disk, and has a copy of its replica")
            return putBack(node, copy)
        }
        trace.note("\(node.name) lost its disk")
        node.machine.disk.restore([:])
        node.takeOver(doubtful: [])
        node.witness = Witness()
        node.machine.disk.start()
        node.machine.disk.isFull = false
        try join(node)
        try node.replica?.noteRecovery()
    }

    private func writeOddly(on node: SimulatedNode) throws {
        tallies.count(.oddWrites)
        let others = writing
        writing = rarities.forked("writing")
        defer { writing = others }
        try write(on: node, oddly: true)
    }

    /// An operator looks at what is held and lets some of it in.
    private func letIn(_ node: SimulatedNode, _ random: SeededRandom) throws {
        var random = random
        guard let replica = node.replica else { return }
        let chosen = try replica.held().map(\.dot).filter { _ in random.chance(400) }
        guard !chosen.isEmpty else { return }
        tallies.count(.letIn)
        trace.note("\(node.name) lets in \(chosen.count)")
        node.releases += 1
        let report = try work(node, "lets in what is held") { try $0.replica.releaseHeld(Set(chosen)) }
        guard let report else { return }
        if let violation = report.violation { throw SimulationViolation("\(node.name) lets in: \(violation)") }
        if report.changeSets > 0 { changed(node) }
    }

    /// Copies a node's whole directory to a machine that has no node yet, and starts what is there.
    private func copy(_ node: SimulatedNode) throws {
        guard node.isUp, let other = nodes.last(where: { !$0.hasJoined }), staysConnected(taking: other) else { return }
        trace.note("\(node.name) is copied to the machine of \(other.name)")
        tallies.count(.copy)
        takeOver(node, at: other)
        try other.machine.mark.copy(node.machine.mark)
        try start(other)
    }

    /// Clones a node's whole machine: neither can tell that there is another.
    private func fork(_ node: SimulatedNode) throws {
        guard let replica = node.replica, node.role != .reader, !isRevoked(node),
            let other = nodes.last(where: { !$0.hasJoined }), staysConnected(taking: other)
        else { return }
        let origin = try replica.origin
        guard twins[origin] == nil else { return }
        trace.note("the machine of \(node.name) is cloned to that of \(other.name)")
        tallies.count(.fork)
        twins[origin] = node.witness.seen[origin]
        takeOver(node, at: other)
        other.machine.mark.clone(node.machine.mark)
        try start(other)
    }

    private func takeOver(_ node: SimulatedNode, at other: SimulatedNode) {
        other.key = node.key
        other.certificate = node.certificate
        other.tables = node.tables
        other.witness = node.witness
        other.takeOver(doubtful: node.doubtful)
        other.machine.disk.restore(node.machine.disk.snapshot())
        other.hasJoined = true
    }

    /// A node's high-water mark is deleted, while its program runs or does not.
    private func loseMark(_ node: SimulatedNode, _ random: inout SeededRandom) throws {
        guard node.hasJoined else { return }
        if node.isUp, random.chance(500) { try crash(node, losesPower: false) }
        trace.note("\(node.name)'s high-water mark is lost")
        tallies.count(.markLost)
        node.machine.mark.lose()
    }

    private func upset(_ node: SimulatedNode, _ kind: Fault, _ random: inout SeededRandom, _ later: Int64) {
        // A year makes all that others write wait for whoever does not release it: rare, so that most runs stay lively.
        guard kind != .clockYear || random.chance(150) else { return }
        tallies.count(kind)
        let now = scheduler.now
        let minute = 60_000
        switch kind {
        case .clockDrift: node.machine.clock.drift(Int64(random.within(-20_000...20_000)), at: now)
        case .clockJump:
            node.machine.clock.jump(byMilliseconds: Int64(random.within(1...10 * minute)), at: now)
        case .clockBack:
            let back = random.pick([random.within(1...100), random.within(1...60 * minute)])
            node.machine.clock.jump(byMilliseconds: -Int64(back), at: now)
        default:
            node.machine.clock.jump(byMilliseconds: 365 * 24 * 60 * Int64(minute), at: now)
        }
        trace.note("\(node.name)'s clock: \(kind.rawValue)")
        scheduler.after(later) { [unowned self] in
            node.machine.clock.repair()
            trace.note("\(node.name)'s clock is set right")
        }
    }

    private func part(_ node: SimulatedNode, _ other: SimulatedNode, bothWays: Bool, _ later: Int64) {
        guard node !== other else { return }
        tallies.count(bothWays ? .partition : .oneWay)
        var ways = [Way(from: node.index, to: other.index)]
        if bothWays { ways.append(Way(from: other.index, to: node.index)) }
        trace.note("\(node.name) does not reach \(other.name)\(bothWays ? ", nor the other way" : "")")
        for way in ways { setBlocked(way, true) }
        scheduler.after(later) { [unowned self] in
            for way in ways { setBlocked(way, false) }
            trace.note("\(node.name) reaches \(other.name) again")
        }
    }

    func setBlocked(_ way: Way, _ isBlocked: Bool) {
        if isBlocked { blocked.insert(way) } else { blocked.remove(way) }
        for open in connections {
            if open.dialling == way.from, open.answering == way.to {
                open.connection.setBlocked(towards: .answering, isBlocked)
            } else if open.answering == way.from, open.dialling == way.to {
                open.connection.setBlocked(towards: .dialling, isBlocked)
            }
        }
    }
}
