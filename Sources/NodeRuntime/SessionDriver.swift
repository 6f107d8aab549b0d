// Performs what one session asks for: frames over the link, batches into the store, timers.
//
// Invariant: the session's inputs are taken one after another, and its outputs are done in order; nothing waits in the
// loop itself, so a slow disk or peer delays this session alone. A session that does not stay ends, whatever the peer does.

internal import Logging
internal import PeerTransport
internal import ReplicaExchange
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
internal import Synchronization
internal import Trust

/// How a session ended, and what it did.
struct SessionResult: Sendable {
    let peer: NodeID
    var ending: SessionEnding
    var summary: SessionSummary
    /// What went wrong on this side, where it could not go on.
    var failure: (any Error)?

    /// It came some way, and another session goes on from there.
    var leavesMore: Bool {
        guard case .incomplete = ending else { return false }
        return summary.received.changeSets + summary.sent.changeSets + summary.held > 0
    }
}

final class SessionDriver: Sendable {
    /// What others of this node want to know of a session.
    struct Observer: Sendable {
        var event: @Sendable (SessionEvent) -> Void = { _ in }
        /// This session committed something: other sessions have something to send.
        var committed: @Sendable () -> Void = {}
    }

    let peer: NodeID
    let role: SessionRole
    private let node: Node
    private let link: PeerLink
    private let logger: Logger
    private let observer: Observer
    private let inbox: AsyncStream<SessionInput>
    private let inboxEnd: AsyncStream<SessionInput>.Continuation
    private let outbox: AsyncStream<ExchangeFrame>
    private let outboxEnd: AsyncStream<ExchangeFrame>.Continuation
    private let waiting: WaitingFrames
    private let timers = Mutex<[SessionTimer: Task<Void, Never>]>([:])
    private let rehearsal: RehearsalIntake?
    /// A session that asks the peer what it holds, until it is stopped.
    private let staysToAsk: Bool
    /// Ends what is being read for the peer when the session has ended.
    private let hasEnded = Atomic(false)
    /// The peer's last, which waits for its turn or is answered.
    private let peerQuestion = Mutex<Task<Void, Never>?>(nil)
    /// What went wrong first on this side.
    private let failure = Mutex<(any Error)?>(nil)
    /// As many bytes of the peer as had come at the last look.
    private let heardBytes = Atomic<UInt64>(0)
    private let observation = Mutex(PendingObservation())
    private let changeIsPending = Mutex(false)
    /// What the peer said of other nodes and is not written down yet.
    private let thirdNodes = Mutex(PendingThirdNodes())
    private let live: Mutex<Bool>
    private let lastProgress = Mutex(Monotonic.now)
    /// What TLS said where one side does not believe the other's certificate.
    private let refusal = Mutex<String?>(nil)
    private let exchange = ExchangeState()
    /// This side has refused the peer.
    private let isRefused = Atomic(false)

    private struct PendingThirdNodes {
        var latest: [ThirdNode]?
        var isBeingWritten = false
    }

    private struct PendingObservation {
        var latest: PeerObservation?
        var writer: Task<Void, Never>?
    }

    /// What a peer that reads nothing more is given to take the last words.
    private static let farewellSeconds = 10
    /// How long a session that does not stay goes on without moving, though the peer gives signs of life: three times as
    /// long as a database waits for another process's transaction.
    private static let patienceSeconds: Int64 = 180
    /// A change set that comes or leaves slowly is progress, pings are none: they come to a tenth of this in that time.
    private static let bytesOfProgress: UInt64 = 16 << 10

    /// - Parameters:
    ///   - frames: what waits in the peer's other sessions.
    ///   - rehearsal: takes what would be applied; the peer is told nothing of it, and nothing is remembered.
    init(
        node: Node, link: PeerLink, peer: NodeID, role: SessionRole, logger: Logger, observer: Observer,
        frames: PeerFrames? = nil, rehearsal: RehearsalIntake? = nil, staysToAsk: Bool = false
    ) {
        waiting = WaitingFrames(sharedWith: frames)
        self.staysToAsk = staysToAsk
        self.node = node
        self.rehearsal = rehearsal
        self.link = link
        self.peer = peer
        self.role = role
        self.observer = observer
        live = Mutex(role.isLive)
        var logger = logger
        logger[metadataKey: "peer"] = "\(node.name(of: peer))"
        self.logger = logger
        (inbox, inboxEnd) = AsyncStream.makeStream()
        (outbox, outboxEnd) = AsyncStream.makeStream()
        // Before anything is read or said from outside: a session ignores what comes before it is opened.
        inboxEnd.yield(.opened)
    }

    // MARK: From outside

    /// Whether the session stays open: what this side asked for, or what the other greeted with.
    var isLive: Bool { live.withLock { $0 } }

    /// The replica changed, by whoever. Changes that come while one is being read need no reading of their own.
    func localChanged() {
        let isFirst = changeIsPending.withLock { pending in
            defer { pending = true }
            return !pending
        }
        guard isFirst else { return }
        Task {
            do {
                changeIsPending.withLock { $0 = false }
                let input = try await BlockingWork.run { [node, peer, exchange] in
                    try node.store.change(exchange, with: peer)
                }
                inboxEnd.yield(input)
            } catch {
                logger.error("cannot read the replica", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Asks the peer what it holds; its answer comes as an event.
    func ask(_ question: ComparisonQuestion) { inboxEnd.yield(.ask(question)) }

    /// Ends the session; what is being applied is waited for.
    func stop() { inboxEnd.yield(.stop) }

    /// Ends the session, telling the peer why.
    func refuse(_ notice: ErrorNotice) { inboxEnd.yield(.refuse(notice)) }

    // MARK: Running

    /// Runs the session to its end. A task that is cancelled stops it in order: what is being applied is waited for, and the
    /// peer is told goodbye.
    func run() async throws -> SessionResult {
        let session = Task { try await runToEnd() }
        return try await withTaskCancellationHandler {
            try await session.value
        } onCancel: {
            stop()
        }
    }

    private func runToEnd() async throws -> SessionResult {
        let (local, memory) = try await link.closingOnFailure { [node, peer, exchange] in
            try await BlockingWork.run { try node.store.begin(exchange, with: peer) }
        }
        var configuration = SessionConfiguration(
            role: role, workspace: node.certificate.workspace, node: node.id, peer: peer, software: Node.software,
            local: local, memory: memory)
        configuration.staysToAsk = staysToAsk
        if rehearsal != nil { configuration.limits.windowBytes = FrameLimits.greatestWindowBytes }
        var session = SyncSession(configuration, at: now())
        let reading = Task { await read() }
        let writing = Task { await write() }
        let patience = role.isOneShot ? Task { await watchProgress() } : nil
        defer { patience?.cancel() }
        var result: SessionResult?
        for await input in inbox {
            if case .frame(let frame) = input { waiting.remove(frame, .inbound) }
            if input.isProgress { lastProgress.withLock { $0 = Monotonic.now } }
            for output in session.handle(input, at: now()) {
                if case .close(let ending, let summary) = output {
                    result = SessionResult(peer: peer, ending: ending, summary: summary)
                }
                perform(output)
            }
            if session.isClosed { break }
        }
        hasEnded.store(true, ordering: .relaxed)
        peerQuestion.withLock { $0 }?.cancel()
        outboxEnd.finish()
        let farewell = Task { [link] in
            try await Task.sleep(for: .seconds(Self.farewellSeconds))
            // Whoever still waits to send is told that it is over.
            await link.close()
        }
        await writing.value
        farewell.cancel()
        await link.close()
        reading.cancel()
        await reading.value
        timers.withLock { timers in
            for timer in timers.values { timer.cancel() }
        }
        await finishObservation()
        inboxEnd.finish()
        if case .failed = result?.ending { result?.failure = failure.withLock { $0 } }
        if case .disconnected = result?.ending, let refusal = refusal.withLock({ $0 }) {
            result?.ending = .peerError(ErrorNotice(code: .refused, message: refusal))
        }
        return result
            ?? SessionResult(peer: peer, ending: .disconnected("the session was cut off"), summary: session.progress)
    }

    /// Ends the session where nothing moves: a peer that only keeps it alive must not keep a command from ending.
    private func watchProgress() async {
        var moved = link.bytesSent + link.bytesArrived
        while !Task.isCancelled {
            let now = link.bytesSent + link.bytesArrived
            if now >= moved + Self.bytesOfProgress {
                moved = now
                lastProgress.withLock { $0 = Monotonic.now }
            }
            let quiet = (Monotonic.now.microseconds - lastProgress.withLock { $0 }.microseconds) / 1_000_000
            guard quiet < Self.patienceSeconds else {
                inboxEnd.yield(.transportClosed("the peer kept the session alive and did nothing for \(quiet) s"))
                return
            }
            await pause(for: .seconds(min(Self.patienceSeconds - quiet, Self.patienceSeconds / 6)))
        }
    }

    private func now() -> Moment { Moment(uptime: Monotonic.now, wall: node.clock()) }

    /// Reads frames as they come; the window bounds how many. When the session has ended nobody takes them any more: they stay
    /// with the link, which then stops reading.
    private func read() async {
        do {
            while let received = try await link.next() {
                guard !hasEnded.load(ordering: .relaxed) else { return }
                guard waiting.add(received.frame, .inbound) else {
                    inboxEnd.yield(.transportClosed("the peer sent more than this node could take in"))
                    return
                }
                inboxEnd.yield(.frame(received.frame))
            }
            inboxEnd.yield(.transportClosed("the peer closed the connection"))
        } catch let error as TransportError {
            if error.isRefusal, let tls = error.tls {
                // In TLS 1.3 the side that dials is refused only after it took the session for open.
                refusal.withLock { $0 = tls.description.replacing("the peer refused this node: ", with: "") }
            }
            if let frame = error.frame {
                inboxEnd.yield(.undecodable(frame))
            } else {
                inboxEnd.yield(.transportClosed(error.description))
            }
        } catch {
            inboxEnd.yield(.transportClosed("\(error)"))
        }
    }

    private func write() async {
        var failed = false
        for await frame in outbox {
            waiting.remove(frame, .outbound)
            // Who is refused hears why, and nothing more of what stood before it.
            guard !failed, !isRefused.load(ordering: .relaxed) || frame.isError else { continue }
            do {
                try await link.send([frame])
            } catch {
                failed = true
                inboxEnd.yield(.transportClosed("\(error)"))
            }
        }
    }

    // MARK: Outputs

    private func perform(_ output: SessionOutput) {
        switch output {
        case .send(let frame): send(frame)
        case .applyBatch(let batch, let leftOut): apply(batch, leftOut: leftOut)
        case .readOutgoing, .countBacklog, .readRoster, .mergeRoster, .readSigned, .readAgain, .examineAnswer,
            .checkHistories, .readHeads, .compareHeads:
            ask(output)
        case .compare(let question): compare(question)
        case .setTimer(let timer, let deadline): set(timer, deadline)
        case .cancelTimer(let timer): timers.withLock { $0.removeValue(forKey: timer)?.cancel() }
        case .rememberPeer(let observation): remember(observation)
        case .rememberThirdNodes(let nodes): remember(nodes)
        case .event(let event):
            if case .greeted(_, let mode, _) = event, role == .answering { live.withLock { $0 = mode.live } }
            observer.event(event)
        case .close(.refused, _): isRefused.store(true, ordering: .relaxed)
        case .close: break
        }
    }

    private func send(_ frame: ExchangeFrame) {
        if rehearsal != nil, case .acknowledgement = frame { return }
        guard waiting.add(frame, .outbound) else {
            inboxEnd.yield(.transportClosed("the peer reads nothing of what it asks for"))
            return
        }
        outboxEnd.yield(frame)
    }

    /// Has the store do what the session asks, and gives the session its answer.
    private func ask(_ output: SessionOutput) {
        Task {
            await answer(output)
            switch output {
            case .applyBatch, .mergeRoster, .examineAnswer: observer.committed()
            default: break
            }
        }
    }

    private func answer(_ output: SessionOutput) async {
        let (answer, isRevoked) = await BlockingWork.run { [node, peer, exchange] in
            // Any program of this machine may have learnt of it; where it cannot be read now, the next answer tells.
            let roster = try? node.refreshRoster()
            return (node.store.answer(output, with: peer, exchange), roster?.member(peer)?.isRevoked == true)
        }
        guard let answer else { preconditionFailure("only what the store answers is asked of it") }
        if isRevoked { refuse(ErrorNotice(code: .refused, message: "this node was revoked")) }
        if let failure = answer.failure { note(failure, "the replica failed") }
        for input in answer.inputs { inboxEnd.yield(input) }
    }

    private func apply(_ batch: [SealedChangeSet], leftOut: Set<Origin>) {
        guard let rehearsal else { return ask(.applyBatch(batch, leftOut: leftOut)) }
        inboxEnd.yield(.applied(rehearsal.take(batch)))
        if rehearsal.isFull { inboxEnd.yield(.stop) }
    }

    private func note(_ failure: any Error, _ what: String) {
        logger.error("\(what)", metadata: ["error": "\(failure)"])
        self.failure.withLock { $0 = $0 ?? failure }
    }

    /// Reads what a peer asks for, in its turn.
    private func compare(_ question: ComparisonQuestion) {
        let task = Task {
            do {
                let answer = try await node.questions.run { [self] in
                    await BlockingWork.run { [self] in
                        node.store.answer(question) { [self] in hasEnded.load(ordering: .relaxed) }
                    }
                }
                guard let answer else { return }
                if let failure = answer.failure { note(failure, "cannot compare with the peer") }
                for input in answer.inputs { inboxEnd.yield(input) }
            } catch {
                // The session ended while it waited for its turn.
            }
        }
        // One at a time: the session sees to it.
        peerQuestion.withLock { $0 = task }
    }

    private func set(_ timer: SessionTimer, _ deadline: Uptime) {
        let delay = max(0, deadline.microseconds - Monotonic.now.microseconds)
        let task = Task { [self] in
            do {
                try await Task.sleep(for: .microseconds(delay))
                if timer == .keepAlive, newBytesCame() { inboxEnd.yield(.bytesArrived) }
                inboxEnd.yield(.timer(timer))
            } catch {
                // Cancelled: another deadline took its place.
            }
        }
        timers.withLock { $0.updateValue(task, forKey: timer) }?.cancel()
    }

    /// Whether the peer's bytes grew since this was asked last.
    private func newBytesCame() -> Bool {
        let arrived = link.bytesArrived
        return heardBytes.exchange(arrived, ordering: .relaxed) != arrived
    }

    // MARK: What is remembered of the peer: the latest counts, one write at a time

    private func remember(_ observation: PeerObservation) {
        guard rehearsal == nil else { return }
        self.observation.withLock { pending in
            pending.latest = observation
            guard pending.writer == nil else { return }
            pending.writer = Task { await writeObservations() }
        }
    }

    private func writeObservations() async {
        while let next = observation.withLock({ pending -> PeerObservation? in
            defer { pending.latest = nil }
            if pending.latest == nil { pending.writer = nil }
            return pending.latest
        }) {
            do {
                try await BlockingWork.run { [node, isLive] in
                    try node.store.remember(next, live: isLive)
                }
            } catch {
                logger.warning("cannot remember the peer", metadata: ["error": "\(error)"])
            }
        }
    }

    private func finishObservation() async {
        while let writer = observation.withLock({ $0.writer }) { await writer.value }
    }

    /// Keeps what the peer says of other members; of nodes that the roster does not know nothing is kept, or a peer could
    /// fill the disk with nodes of its own making. Of what comes faster than it is written only the latest counts.
    private func remember(_ nodes: [ThirdNode]) {
        guard rehearsal == nil else { return }
        let isFirst = thirdNodes.withLock { pending in
            defer { pending.isBeingWritten = true }
            pending.latest = nodes
            return !pending.isBeingWritten
        }
        guard isFirst else { return }
        Task {
            while let latest = thirdNodes.withLock({ pending -> [ThirdNode]? in
                defer { pending.latest = nil }
                if pending.latest == nil { pending.isBeingWritten = false }
                return pending.latest
            }) {
                do {
                    try await BlockingWork.run { [node, peer] in
                        let roster = node.roster
                        try node.store.remember(latest.filter { roster.member($0.node) != nil }, toldBy: peer)
                    }
                } catch {
                    logger.warning("cannot remember third nodes", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}

extension SessionRole {
    /// Whether this side asked for a session that stays open.
    var isLive: Bool {
        if case .dialling(let mode) = self { mode.live } else { false }
    }
}

extension SessionRole {
    /// Whether this side asked for a session that ends when everything is exchanged.
    var isOneShot: Bool {
        if case .dialling(let mode) = self { !mode.live } else { false }
    }
}

extension SessionInput {
    /// Whether it takes the session further, rather than only keeping it alive.
    var isProgress: Bool {
        switch self {
        case .frame(.ping), .frame(.pong), .timer, .bytesArrived, .localChanged: false
        default: true
        }
    }
}

extension ExchangeFrame {
    /// About what a frame holds in memory, at most.
    var memoryBytes: Int {
        let content: Int =
            switch self {
            case .changeSet, .values: Int(clamping: flowBytes)
            case .greeting(let greeting):
                Self.bytes(greeting.applied.entries.count + greeting.safeBelow.entries.count, held: greeting.held)
            case .wholeVector(let vector), .streamEnd(let vector), .announcement(let vector): Self.bytes(vector.count)
            case .acknowledgement(let told):
                Self.bytes(told.applied.count + told.safeBelow.entries.count, held: told.held)
            case .thirdNodes(let nodes): nodes.reduce(0) { $0 + Self.bytes($1.applied.count) + 128 }
            case .rosterRecords(let roster): roster.records.reduce(0) { $0 + $1.count + 64 }
            case .comparisonQuestion, .comparisonAnswer: FrameLimits.elements * 96
            case .answer(_, let changeSet): (changeSet?.body.count ?? 0) + 64
            case .heads(let heads): heads.digests.count * 96
            case .joinResponse(let response):
                response.certificate.count + response.authority.count
                    + response.rosterRecords.reduce(0) { $0 + $1.count + 64 }
            case .joinRequest(let wish): wish.certificateRequest.count + wish.invitation.count + wish.proof.count
            case .histories, .headsQuestion, .question, .again, .ping, .pong, .error, .goodbye: 0
            }
        return content + 1024
    }

    /// Of vectors' entries, each of 32 bytes in a table that is half empty at worst, and of held change sets.
    private static func bytes(_ entries: Int, held: [HeldChangeSet] = []) -> Int {
        entries * 64 + held.reduce(0) { $0 + $1.detail.utf8.count + 128 }
    }
}

extension ExchangeFrame {
    fileprivate var isError: Bool { if case .error = self { true } else { false } }
}
