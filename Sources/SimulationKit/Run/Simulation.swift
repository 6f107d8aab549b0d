// A whole run: nodes, what they do, what goes wrong, how it heals, and what must be true then.
//
// Invariant: a run is a function of its options; nothing else, no clock, no address, no hash order, reaches the trace.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationCore
public import ReplicationModel
internal import ReplicationWire
internal import Trust

/// What decides a run.
public struct SimulationOptions: Sendable, Hashable {
    public var seed: UInt64
    public var nodes: Int
    public var steps: Int
    /// The kinds of faults it may meet.
    public var faults: Set<Fault>

    public init(seed: UInt64, nodes: Int = 5, steps: Int = 500, faults: Set<Fault> = Set(Fault.allCases)) {
        self.seed = seed
        self.nodes = nodes
        self.steps = steps
        self.faults = faults
    }
}

extension SimulationOptions {
    /// The same for a seed of a sweep: every second with a third of the faults, or fewer, for a fault may cover up what
    /// another would show.
    public func inSweep(_ seed: UInt64) -> SimulationOptions {
        var options = self
        options.seed = seed
        var random = SeededRandom(seed: seed).forked("faults")
        if random.chance(500) {
            let share = random.below(400)
            options.faults = Set(faults.sorted().filter { _ in random.chance(share) })
        }
        return options
    }
}

/// What came of a run.
public struct SimulationReport: Sendable {
    /// Of the whole trace.
    public let digest: Digest
    public let tallies: Tallies
    /// Nil where everything held.
    public let violation: SimulationViolation?
}

public final class Simulation {
    let options: SimulationOptions
    let scheduler = Scheduler()
    let trace: Trace
    var tallies = Tallies()
    var nodes: [SimulatedNode] = []
    let authority: CertificateAuthority
    let workspace: Workspace
    /// Every change set that was ever seen to be sealed.
    var library = Library()
    var connections: [(connection: Connection, dialling: Int, answering: Int)] = []
    /// From one node to another nothing gets through.
    var blocked: Set<Way> = []
    /// Streams of their own for what is decided, so that leaving one fault out leaves the rest as it was.
    var chance: SeededRandom
    var decisions: SeededRandom
    var writing: SeededRandom
    var audits: SeededRandom
    var rarities: SeededRandom
    var isHealing = false
    /// Everyone has everything, and whoever sends something sends it in vain.
    var isIdle = false
    /// Sealed, and taken back with a disk: they are wherever they had been sent, or nowhere.
    var takenBack: Set<Digest> = []
    /// Of these, what may have been sent all the same.
    var rolledBack: Set<Digest> = []
    /// Origins under which two machines write, and the last sequence that they have in common.
    var twins: [Origin: SequenceNumber] = [:]
    /// All that a node ever had, whatever became of its disk.
    var had: [NodeID: VersionVector] = [:]
    /// What the authority said, by the digest of the record.
    var issued: [Digest: IssuedRevocation] = [:]

    struct Way: Hashable {
        let from: Int
        let to: Int
    }

    /// - Parameter show: given each line of the trace.
    public init(_ options: SimulationOptions, show: ((String) -> Void)? = nil) throws {
        self.options = options
        trace = Trace(show: show)
        let root = SeededRandom(seed: options.seed)
        chance = root.forked("chance")
        decisions = root.forked("decisions")
        writing = root.forked("writing")
        audits = root.forked("audits")
        rarities = root.forked("rarities")
        var identity = root.forked("identity")
        let now = WallClock(milliseconds: VirtualClock.epochMilliseconds)
        workspace = Workspace(id: WorkspaceID(identity.identifier()), name: "simulation")
        authority = try CertificateAuthority(
            workspace: workspace.id, workspaceName: workspace.name, now: now, key: identity.key(),
            serial: CertificateSerial(identity.identifier()))
        for index in 0..<options.nodes { try addNode(index, root, &identity, role: role(index, &identity)) }
        // A machine that stands empty until another is copied to it.
        try addNode(options.nodes, root, &identity, role: .writer)
    }

    private func role(_ index: Int, _ random: inout SeededRandom) -> MemberRole {
        index == 0 ? .admin : random.chance(100) && index > 1 ? .reader : .writer
    }

    @discardableResult
    func addNode(
        _ index: Int, _ root: SeededRandom, _ identity: inout SeededRandom, role: MemberRole
    ) throws -> SimulatedNode {
        let now = WallClock(milliseconds: VirtualClock.epochMilliseconds)
        let key = identity.key()
        let day: Int64 = 86_400_000
        let certificate = try authority.issue(
            to: key.publicKey, name: "n\(index)", role: role,
            notBefore: WallClock(milliseconds: now.milliseconds - 30 * day),
            notAfter: WallClock(milliseconds: now.milliseconds + 3_000 * day), now: now,
            serial: CertificateSerial(identity.identifier()))
        let isOld = index > 0 && index < options.nodes && options.faults.contains(.oldSchema) && identity.chance(300)
        if isOld { tallies.count(.oldSchema) }
        let node = SimulatedNode(
            index: index, machine: Machine(random: root.forked("disk", index)), key: key, certificate: certificate,
            tables: isOld ? SimulatedSchema.old : SimulatedSchema.present)
        nodes.append(node)
        return node
    }

    /// Runs it.
    public func run() -> SimulationReport { run(beforeComparing: {}) }

    /// - Parameter sabotage: what a test of the simulator does once all nodes agree.
    func run(beforeComparing sabotage: () throws -> Void) -> SimulationReport {
        var violation: SimulationViolation?
        do {
            try begin()
            for step in 0..<options.steps {
                try take(step)
                try audit()
                try rareFault()
                noteDisks()
            }
            try heal()
            try sabotage()
            try checkAgreement()
        } catch let found as SimulationViolation {
            violation = found
        } catch {
            violation = SimulationViolation("unexpected: \(error)")
        }
        // What is planned and what is connected holds on to the simulation.
        for open in connections { open.connection.forget() }
        scheduler.forget()
        for node in nodes { node.forgetProcess() }
        return SimulationReport(digest: trace.finish(), tallies: tallies, violation: violation)
    }

    /// What was written to a disk decides at which operation a fault meets it, long before anything else shows a difference.
    func noteDisks() {
        let trails = nodes.map(\.machine.disk.trail.value)
        for trail in trails { trace.note(bytes: withUnsafeBytes(of: trail.littleEndian) { Array($0) }) }
        trace.detail("disks \(trails.map { String($0, radix: 16) }.joined(separator: " "))")
    }

    private func begin() throws {
        let late = options.faults.contains(.lateJoin) ? options.nodes / 3 : 0
        for node in nodes.prefix(max(2, options.nodes - late)) { try join(node) }
    }

    /// Makes a node's replica, with the roster as the admin knows it.
    func join(_ node: SimulatedNode) throws {
        setTime(node)
        let replica = try Replica.create(
            at: SimulatedNode.path, in: node.machine.fileSystem, workspace: workspace, key: node.key,
            incarnation: chance.next() | 1, tables: node.tables, mark: node.machine.mark,
            mint: node.mint(SeededRandom(seed: chance.next())), clock: node.clock)
        let records = try nodes[0].replica?.rosterRecords() ?? []
        try replica.addRosterRecords(records + [node.certificate.der])
        node.store = try SessionStore(replica: replica, authority: authority.certificate)
        node.hasJoined = true
        trace.note("\(node.name) joins as \(node.role.rawValue), origin \(try replica.origin)")
    }

    /// A machine's time is the simulation's.
    func setTime(_ node: SimulatedNode) { node.machine.time = scheduler.now }

    /// How long the store takes for one thing.
    func storeDelay() -> Int64 { Int64(chance.within(50...3_000)) }

    var joined: [SimulatedNode] { nodes.filter(\.hasJoined) }
}

extension SeededRandom {
    mutating func identifier() -> Identifier128 { Identifier128(high: next(), low: next()) }

    mutating func key() -> SigningKey {
        guard let key = SigningKey(seed: bytes(32)) else { preconditionFailure("32 bytes are a key") }
        return key
    }
}
