// Things going wrong, and most of them coming right again after a while.
//
// Invariant: a kind of fault that is left out takes its turn and does nothing, so that everything else stays as it was.

internal import Chance
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
        case 73..<100 where options.faults.contains(.oddWrites): try writeOddly(on: node)
        case 100..<103 where options.faults.contains(.diskLost): try loseDisk(of: node)
        case 103..<110 where options.faults.contains(.diskLost): try copyReplica(of: node)
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
