// Programs beside the service: what people and scripts do to a replica while it is served.
//
// Invariant: they draw from streams of their own, and leave those of the service where they were.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    /// A program that somebody starts while the service runs: it opens the replica, or does something with it, or ends.
    func runSecondProgram(on node: SimulatedNode) throws {
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

    func writeOddly(on node: SimulatedNode) throws {
        tallies.count(.oddWrites)
        let others = writing
        writing = rarities.forked("writing")
        defer { writing = others }
        try write(on: node, oddly: true)
    }

    /// An operator looks at what is held and lets some of it in.
    func letIn(_ node: SimulatedNode, _ random: SeededRandom) throws {
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
}
