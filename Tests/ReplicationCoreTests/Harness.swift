// Sessions joined by links on a virtual clock. Every frame goes through its bytes.
import Chance
import ReplicationCore
import ReplicationModel
import ReplicationWire

/// Virtual time, and what is to happen in it.
final class World {
    private(set) var microseconds: Int64 = 1_000_000
    private var events: [(at: Int64, order: Int, action: () -> Void)] = []
    private var order = 0
    var random: SeededRandom

    init(seed: UInt64 = 1) { random = SeededRandom(seed: seed) }

    func now(skew: Int64) -> Moment {
        Moment(
            uptime: Uptime(microseconds: microseconds),
            wall: WallClock(milliseconds: 1_790_000_000_000 + microseconds / 1000 + skew))
    }

    func schedule(after delay: Int64, _ action: @escaping () -> Void) {
        schedule(at: microseconds + max(0, delay), action)
    }

    func schedule(at: Int64, _ action: @escaping () -> Void) {
        order += 1
        let event = (at: max(at, microseconds), order: order, action: action)
        var low = 0
        var high = events.count
        while low < high {
            let middle = (low + high) / 2
            if (events[middle].at, events[middle].order) < (event.at, event.order) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        events.insert(event, at: low)
    }

    /// Runs what is to happen before `limit` milliseconds from now have passed.
    func run(milliseconds limit: Int64 = 600_000) {
        let end = microseconds + limit * 1000
        while let next = events.last, next.at <= end {
            events.removeLast()
            microseconds = next.at
            next.action()
        }
        microseconds = max(microseconds, end)
    }
}

/// One side of a connection: performs a session's outputs against a fake replica.
final class Endpoint {
    let world: World
    let replica: FakeReplica
    var session: SyncSession
    unowned let network: Network
    weak var other: Endpoint?
    var skewMilliseconds: Int64 = 0
    var latencyMicroseconds: Int64 = 10_000
    var applyMicroseconds: Int64 = 2_000
    var readMicroseconds: Int64 = 500
    /// What the store answers instead of applying.
    var applyFailure: ApplyFailure?
    /// What is asked after an answer.
    var nextQuestion: (Dot) -> Dot? = { _ in nil }
    private(set) var answers: [(dot: Dot, answer: SealedChangeSet?)] = []
    /// Changes a frame on its way out; nil drops it.
    var tamper: (ExchangeFrame) -> [ExchangeFrame] = { [$0] }
    /// The connection is cut after so many frames were sent by this side.
    var cutAfterFrames: Int?

    private(set) var sent: [ExchangeFrame] = []
    private(set) var sentBytes = 0
    private(set) var events: [SessionEvent] = []
    private(set) var outputs: [SessionOutput] = []
    private(set) var ending: SessionEnding?
    private(set) var summary: SessionSummary?
    private(set) var observation: PeerObservation?
    private(set) var thirdNodes: [ThirdNode] = []
    private(set) var greatestInFlightBytes: UInt64 = 0
    private(set) var closings = 0
    private var timers: [SessionTimer: Int] = [:]
    private var timerOrder = 0
    private var arrivesAt: Int64 = 0
    private var isCut = false
    private var applying = false
    private var reading = false

    init(_ network: Network, _ replica: FakeReplica, _ configuration: SessionConfiguration, skew: Int64) {
        self.network = network
        world = network.world
        self.replica = replica
        skewMilliseconds = skew
        session = SyncSession(configuration, at: world.now(skew: skew))
    }

    func give(_ input: SessionInput) {
        let outputs = session.handle(input, at: world.now(skew: skewMilliseconds))
        greatestInFlightBytes = max(greatestInFlightBytes, session.inFlightBytes)
        for output in outputs { perform(output) }
    }

    private func perform(_ output: SessionOutput) {
        outputs.append(output)
        if ending != nil { network.complain("\(replica.id) does something after it closed: \(output)") }
        switch output {
        case .send(let frame): for frame in tamper(frame) { transmit(frame) }
        case .applyBatch(let batch, _): apply(batch)
        case .readOutgoing(let request):
            if reading { network.complain("two reads at once") }
            reading = true
            world.schedule(after: jitter(readMicroseconds)) { [self] in
                reading = false
                give(.outgoing(replica.read(request)))
            }
        case .countBacklog(let vector, let skipping):
            world.schedule(after: jitter(readMicroseconds)) { [self] in
                give(.backlogCounted(replica.backlog(lackedBy: vector, skipping: skipping)))
            }
        case .readRoster:
            world.schedule(after: 100) { [self] in
                give(
                    .rosterRead(
                        replica.roster.sorted { $0.lexicographicallyPrecedes($1) }, digest: replica.rosterDigest))
            }
        case .mergeRoster(let records):
            world.schedule(after: jitter(1_000)) { [self] in
                let before = replica.rosterDigest
                replica.roster.formUnion(records)
                give(.rosterMerged(digest: replica.rosterDigest, before: before))
                network.changed(replica)
            }
        case .checkHistories(let vector, let digest):
            world.schedule(after: jitter(readMicroseconds)) { [self] in
                give(.historiesChecked(areEqual: replica.histories(at: vector) == digest))
            }
        case .readHeads: world.schedule(after: jitter(readMicroseconds)) { [self] in give(.headsRead(replica.heads)) }
        case .compareHeads(let heads):
            world.schedule(after: jitter(readMicroseconds)) { [self] in
                give(.headsCompared(replica.differing(from: heads)))
            }
        case .readSigned(let dot):
            world.schedule(after: jitter(readMicroseconds)) { [self] in give(.signedRead(replica.signed(dot))) }
        case .readAgain(let dot):
            world.schedule(after: jitter(readMicroseconds)) { [self] in give(.againRead(replica.again(dot))) }
        case .examineAnswer(let dot, let answer):
            answers.append((dot, answer))
            world.schedule(after: jitter(readMicroseconds)) { [self] in give(.examined(next: nextQuestion(dot))) }
        case .setTimer(let timer, let deadline):
            timerOrder += 1
            let order = timerOrder
            timers[timer] = order
            world.schedule(at: deadline.microseconds) { [self] in
                if timers[timer] == order, ending == nil { give(.timer(timer)) }
            }
        case .cancelTimer(let timer): timers[timer] = nil
        case .rememberPeer(let observation):
            self.observation = observation
            replica.remember(observation)
        case .rememberThirdNodes(let nodes): thirdNodes += nodes
        case .event(let event): events.append(event)
        // A test answers by hand.
        case .compare: break
        case .close(let ending, let summary):
            closings += 1
            self.ending = ending
            self.summary = summary
            deliver { $0.give(.transportClosed("closed by the peer")) }
        }
    }

    private func apply(_ batch: [SealedChangeSet]) {
        if applying { network.complain("two batches at once") }
        applying = true
        world.schedule(after: jitter(applyMicroseconds)) { [self] in
            applying = false
            if let failure = applyFailure { return give(.applyFailed(failure)) }
            let report = replica.apply(batch)
            give(.applied(report))
            network.changed(replica)
        }
    }

    private func transmit(_ frame: ExchangeFrame) {
        sent.append(frame)
        guard !isCut else { return }
        if let limit = cutAfterFrames, sent.count > limit { return cut() }
        let bytes = FrameCodec.encode(frame)
        sentBytes += bytes.count + 4
        deliver { endpoint in
            do throws(FrameError) {
                endpoint.give(.frame(try FrameCodec.decode(bytes)))
            } catch {
                endpoint.give(.undecodable(error))
            }
        }
    }

    /// In order, however the delay varies.
    private func deliver(_ action: @escaping (Endpoint) -> Void) {
        guard !isCut else { return }
        arrivesAt = max(arrivesAt, world.microseconds + jitter(latencyMicroseconds))
        world.schedule(at: arrivesAt) { [self] in
            guard !isCut, let other else { return }
            action(other)
        }
    }

    func cut() {
        guard !isCut else { return }
        isCut = true
        other?.isCut = true
        let peer = other
        world.schedule(after: 1_000) { [self] in
            give(.transportClosed("cut"))
            peer?.give(.transportClosed("cut"))
        }
    }

    private func jitter(_ base: Int64) -> Int64 {
        network.jitters ? base / 2 + Int64.random(in: 0...max(base, 1), using: &world.random) : base
    }
}

/// Replicas, and the connections between them.
final class Network {
    let world: World
    var jitters = false
    private(set) var endpoints: [Endpoint] = []
    private(set) var complaints: [String] = []

    init(seed: UInt64 = 1) { world = World(seed: seed) }

    func complain(_ text: String) { complaints.append(text) }

    /// Everything that a harness or a fake store found wrong.
    var allComplaints: [String] { complaints + endpoints.flatMap(\.replica.complaints) }

    /// Tells every session of a replica that it changed, as a watcher of the file would.
    func changed(_ replica: FakeReplica) {
        for endpoint in endpoints where endpoint.replica === replica && endpoint.ending == nil {
            world.schedule(after: 0) { endpoint.give(.localChanged(replica.state)) }
        }
    }

    func configuration(
        _ role: SessionRole, _ replica: FakeReplica, peer: NodeID, limits: SessionLimits = SessionLimits()
    ) -> SessionConfiguration {
        SessionConfiguration(
            role: role, workspace: workspace, node: replica.id, peer: peer, software: "syncnode 0.1.0",
            local: replica.state, memory: replica.memory[peer] ?? PeerMemory(), limits: limits)
    }

    /// Joins two replicas; the session begins when the world runs.
    func connect(
        _ dialler: FakeReplica, _ answerer: FakeReplica, _ mode: SyncMode, skew: Int64 = 0,
        limits: SessionLimits = SessionLimits(),
        alter: (inout SessionConfiguration, inout SessionConfiguration) -> Void = { _, _ in }
    ) -> (dialler: Endpoint, answerer: Endpoint) {
        var left = configuration(.dialling(mode), dialler, peer: answerer.id, limits: limits)
        var right = configuration(.answering, answerer, peer: dialler.id, limits: limits)
        alter(&left, &right)
        let first = Endpoint(self, dialler, left, skew: 0)
        let second = Endpoint(self, answerer, right, skew: skew)
        first.other = second
        second.other = first
        endpoints += [first, second]
        world.schedule(after: 0) { second.give(.opened) }
        world.schedule(after: 0) { first.give(.opened) }
        return (first, second)
    }

    /// Connects and runs to the end.
    @discardableResult
    func exchange(
        _ dialler: FakeReplica, _ answerer: FakeReplica, _ mode: SyncMode, milliseconds: Int64 = 600_000,
        prepare: (Endpoint, Endpoint) -> Void = { _, _ in }
    ) -> (dialler: Endpoint, answerer: Endpoint) {
        let pair = connect(dialler, answerer, mode)
        prepare(pair.dialler, pair.answerer)
        world.run(milliseconds: milliseconds)
        return pair
    }
}
