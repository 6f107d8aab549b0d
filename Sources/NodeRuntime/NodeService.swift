// `serve`: answers everyone, keeps a live session with every known peer, and notices what other processes write.
//
// Invariant: one peer's trouble is that peer's alone; nothing here waits for a peer.

internal import Foundation
internal import NIOCore
internal import NIOPosix
public import Logging
public import PeerTransport
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import ReplicationWire
public import ServiceLifecycle
internal import Synchronization
internal import Trust

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A node that serves until it is told to stop.
public final class NodeService: Service {
    private let node: Node
    private let listen: Endpoint
    private let logger: Logger
    private let ready: @Sendable (Endpoint) -> Void
    private let sessions = SessionBoard()
    private let failures = FailureLog()
    private let clockIsDoubted = Atomic(false)
    private let toldNotice = Atomic<Int64>(0)
    /// The day on which the log was last told how the certificate stands.
    private let toldCertificate = Atomic<Int64>(.min)

    /// Files that a service needs beside its connections: two for each of six connections to the replica, the event loops',
    /// the watcher's, logs, and the marks and certificates that it opens for a moment.
    private static let reservedDescriptors = 64

    /// What a stopping service gives its sessions to end by themselves; then they are cut. Stopping takes 5 s at most.
    private static let stopSeconds = 4

    /// - Parameter ready: told the address once it is bound.
    public init(node: Node, listen: Endpoint, logger: Logger, ready: @escaping @Sendable (Endpoint) -> Void) {
        self.node = node
        self.listen = listen
        self.logger = logger
        self.ready = ready
    }

    public func run() async throws {
        let lock = try ServiceLock.take(node.directory)
        defer { withExtendedLifetime(lock) {} }
        let context = try node.tlsContext()
        let watcher = WriteWatcher(replicaPath: node.replica.path)
        let listener = try await PeerListener.bind(
            listen, context: { context }, limits: Self.limits, group: MultiThreadedEventLoopGroup.singleton,
            onFailure: { [self] address, error in failures.note("no session", address, error, logger) },
            accept: { [self] link in await answer(link) })
        await note(reachable(listener.endpoint))
        ready(listener.endpoint)
        let stampsAhead = try await BlockingWork.run { [self] in
            try tellNotices()
            return try node.replica.stampsAhead()
        }
        for ahead in stampsAhead {
            logger.warning(
                "stamps lie ahead of this clock: see `syncnode doctor`",
                metadata: [
                    "origin": "\(ahead.origin)", "node": "\(node.name(of: ahead.origin.node))",
                    "seconds": "\(ahead.milliseconds / 1000)", "held": "\(ahead.isHeld)",
                ])
        }
        tellCertificate()
        logger.info("serving", metadata: ["peers": "\(listener.endpoint)", "node": "\(node.name)"])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in await watch(watcher) }
            group.addTask { [self] in await keepDialling() }
            group.addTask { [self] in await releaseHeld() }
            // Asked to stop, or cancelled: it stops.
            try? await gracefulShutdown()
            logger.info("stopping")
            watcher.stop()
            group.cancelAll()
            await listener.close()
            await sessions.stopAll(within: .seconds(Self.stopSeconds))
            // Whoever still waits for another program's transaction, or has more to seal, gives up now.
            node.replica.beginClosing()
        }
        do {
            try await BlockingWork.run { [node] in try node.replica.close() }
        } catch {
            // Whoever opens the replica next reads the log that is left beside it.
            logger.debug("the replica is still in use", metadata: ["error": "\(error)"])
        }
        logger.info("stopped")
    }

    /// Where it serves, for whoever is invited. Another program that holds the replica, or a disk that is full, is no reason not to
    /// serve.
    private func note(_ endpoint: Endpoint) async {
        let noting = Task {
            try await BlockingWork.run { [node] in
                try node.replica.setNote("served_at", to: endpoint.description)
            }
        }
        do {
            if try await noting.value(within: Self.patience) != nil { return }
            logger.warning("cannot write down yet where it serves", metadata: ["address": "\(endpoint)"])
        } catch {
            logger.warning(
                "cannot write down where it serves", metadata: ["address": "\(endpoint)", "error": "\(error)"])
        }
    }

    /// Strangers never take the last descriptor: without one a service could not write down what it is about to send.
    private static var limits: TransportLimits {
        var limits = TransportLimits()
        limits.connections = min(limits.connections, max(sysconf(Int32(_SC_OPEN_MAX)) - reservedDescriptors, 8))
        return limits
    }

    /// Where others reach what is bound to every address: at this machine's name.
    private func reachable(_ endpoint: Endpoint) -> Endpoint {
        ["0.0.0.0", "::"].contains(endpoint.host)
            ? Endpoint(host: ProcessInfo.processInfo.hostName, port: endpoint.port) : endpoint
    }

    // MARK: Answering

    /// Half of what a peer waits for a greeting.
    private static let patience = Duration.seconds(5)

    private func answer(_ link: PeerLink) async {
        guard let peer = link.peer else {
            await answerJoin(link)
            return
        }
        guard let frames = sessions.enter(peer.nodeID) else {
            let notice = ErrorNotice(
                code: .busy, message: "\(SessionBoard.sessionsOfPeer) sessions of this node are open",
                retryAfterMilliseconds: 10_000)
            failures.note(
                "too many sessions of \(peer.name):", link.remoteAddress, NodeError(.busy, notice.message), logger)
            // It is refused, whether or not it hears so.
            try? await link.send([.error(notice)])
            await link.close()
            return
        }
        var isPreparing = false
        defer { if !isPreparing { sessions.leave(peer.nodeID) } }
        do {
            let preparing = Task {
                try await BlockingWork.run { [node] in try node.store.prepareToAnswer(peer) }
            }
            guard try await preparing.value(within: Self.patience) != nil else {
                // Much was written, or another program holds the replica: it goes on, and the peer is not left to wonder.
                logger.notice("a session has to wait", metadata: ["peer": "\(peer.name)"])
                let notice = ErrorNotice(
                    code: .busy, message: "what was written there comes first", retryAfterMilliseconds: 10_000)
                try? await link.send([.error(notice)])
                // It counts as a session of that peer until it is done: whoever dials again and again takes no more than its share.
                isPreparing = true
                Task { [sessions] in
                    _ = await preparing.result
                    sessions.leave(peer.nodeID)
                }
                return await link.close()
            }
        } catch {
            logger.error("a session could not begin", metadata: ["peer": "\(peer.name)", "error": "\(error)"])
            // It does not begin, whether or not the peer hears why.
            try? await link.send([.error(SessionStore.notice(of: error))])
            return await link.close()
        }
        do {
            _ = try await run(link, peer.nodeID, .answering, frames)
        } catch {
            logger.error("a session failed", metadata: ["peer": "\(peer.name)", "error": "\(error)"])
            await link.close()
        }
    }

    private func answerJoin(_ link: PeerLink) async {
        do {
            let admitted = try await node.answerJoin(over: link)
            logger.notice("admitted", metadata: ["node": "\(admitted.name)", "role": "\(admitted.role.rawValue)"])
            sessions.changed()
        } catch {
            failures.note("did not admit", link.remoteAddress, error, logger)
        }
        await link.close()
    }

    /// Runs a session to its end, and writes down how it ended.
    private func run(
        _ link: PeerLink, _ peer: NodeID, _ role: SessionRole, _ frames: PeerFrames? = nil
    ) async throws -> SessionResult {
        let name = node.name(of: peer)
        let driver = SessionDriver(
            node: node, link: link, peer: peer, role: role, logger: logger,
            observer: SessionDriver.Observer(
                event: { [logger, sessions, node] event in
                    Self.log(event, name, logger)
                    if case .greeted = event { sessions.settle(peer, own: node.id) }
                },
                committed: { [sessions, node] in
                    sessions.enforce(node.roster, at: node.clock())
                    sessions.changed()
                }), frames: frames)
        let ticket = sessions.add(driver)
        defer { sessions.remove(ticket) }
        // Admission was asked when the peer showed its certificate: it may have been revoked since.
        sessions.enforce(node.roster, at: node.clock())
        let result = try await driver.run()
        let failure = node.failure(of: result)
        if let failure {
            logger.warning("session ended", metadata: ["peer": "\(name)", "cause": "\(failure.message)"])
        } else {
            logger.debug(
                "session done",
                metadata: [
                    "peer": "\(name)", "received": "\(result.summary.received.changeSets)",
                    "sent": "\(result.summary.sent.changeSets)",
                ])
        }
        do {
            try await BlockingWork.run { [node, sessions] in
                // Asked as late as can be: another may have begun.
                if !sessions.hasLive(peer, but: ticket) { try node.replica.recordEnd(peer) }
            }
        } catch {
            logger.warning(
                "that a session ended could not be written down", metadata: ["peer": "\(name)", "error": "\(error)"])
        }
        return result
    }

    private static func log(_ event: SessionEvent, _ peer: String, _ logger: Logger) {
        switch event {
        case .greeted(let software, let mode, _):
            logger.info("session", metadata: ["peer": "\(peer)", "software": "\(software)", "live": "\(mode.live)"])
        case .schemaDiffers: logger.notice("the peer's schema differs", metadata: ["peer": "\(peer)"])
        case .heldHere(let held):
            for held in held {
                logger.warning(
                    "held", metadata: ["peer": "\(peer)", "change_set": "\(held.dot)", "cause": "\(held.detail)"])
            }
        case .heldByPeer(let held):
            for held in held {
                logger.warning(
                    "held by the peer",
                    metadata: ["peer": "\(peer)", "change_set": "\(held.dot)", "cause": "\(held.detail)"])
            }
        case .received, .sent, .caughtUp, .duplicate, .peerHasMore, .settled, .answered: break
        }
    }

    // MARK: Noticing writes

    private func watch(_ watcher: WriteWatcher) async {
        for await _ in watcher.changes(of: { [node] in try node.replica.dataVersion() }) {
            // Sessions hear of it whatever becomes of sealing, and first of all who is out.
            defer { sessions.changed() }
            do {
                sessions.enforce(
                    try await BlockingWork.run { [node] in try node.refreshRoster() }, at: node.clock())
                let report = try await BlockingWork.run { [node] in try node.replica.sealUnlessClockIsDoubtful() }
                if clockIsDoubted.exchange(report == nil, ordering: .relaxed) == false, report == nil {
                    logger.warning(
                        "edits wait for a peer to say what time it is: this clock is far past everything the replica knows of"
                    )
                }
            } catch let error as ReplicaError where error.code == .closed {
                return
            } catch {
                logger.error("cannot seal what was written", metadata: ["error": "\(error)"])
                await pause(for: .seconds(1))
                watcher.lookAgain()
            }
        }
    }

    /// Logs what happened to the replica and was not logged yet.
    private func tellNotices() throws {
        for notice in try node.replica.notices() where notice.number > toldNotice.load(ordering: .relaxed) {
            logger.warning("\(notice.text)", metadata: ["kind": "\(notice.kind.rawValue)"])
            toldNotice.store(notice.number, ordering: .relaxed)
        }
    }

    /// Warns of a certificate that has run out, or soon will, or is not valid yet: at the start, and then once a day.
    private func tellCertificate() {
        let check = Doctor.certificate(node)
        let now = node.clock().milliseconds
        guard check.state != .well else { return }
        guard now / Self.dayMilliseconds != toldCertificate.load(ordering: .relaxed) else { return }
        toldCertificate.store(now / Self.dayMilliseconds, ordering: .relaxed)
        logger.warning(
            "this node's certificate wants attention",
            metadata: ["found": "\(check.finding)", "advice": "\(check.remedy)"])
    }

    private static let dayMilliseconds: Int64 = 86_400_000

    /// What was held for its clock is released when its time comes.
    private func releaseHeld() async {
        while !Task.isCancelled {
            do {
                let report = try await BlockingWork.run { [node] in
                    // Releasing seals; it can wait as long as sealing does.
                    try node.replica.clockDoubtMilliseconds() == nil ? node.replica.releaseHeld() : nil
                }
                try await BlockingWork.run { [self] in try tellNotices() }
                tellCertificate()
                // Certificates run out while sessions stay.
                sessions.enforce(node.roster, at: node.clock())
                if let report, report.changeSets > 0 {
                    logger.notice("released", metadata: ["change_sets": "\(report.changeSets)"])
                }
                // It may have dropped or written again something instead, which nobody else tells sessions of.
                if let report, !report.applied.entries.isEmpty { sessions.changed() }
                try await Task.sleep(for: .seconds(5))
            } catch is CancellationError {
                return
            } catch let error as ReplicaError where error.code == .closed {
                return
            } catch {
                logger.error("cannot release what is held", metadata: ["error": "\(error)"])
                await pause(for: .seconds(30))
            }
        }
    }

    // MARK: Dialling

    /// One task for each known address, for as long as it is known.
    private func keepDialling() async {
        var tasks: [String: Task<Void, Never>] = [:]
        while !Task.isCancelled {
            do {
                let addresses = Set(
                    try await BlockingWork.run { [node] in try node.replica.addresses().map(\.address) })
                for (address, task) in tasks where !addresses.contains(address) {
                    task.cancel()
                    tasks[address] = nil
                }
                for address in addresses where tasks[address] == nil {
                    tasks[address] = Task { await keepDialling(address) }
                }
            } catch {
                logger.error("cannot read the addresses of peers", metadata: ["error": "\(error)"])
            }
            // A new address is dialled within this time.
            await pause(for: .seconds(1))
        }
        for task in tasks.values { task.cancel() }
    }

    private func keepDialling(_ address: String) async {
        var backoff = Backoff()
        while !Task.isCancelled {
            var wait: UInt64 = 1_000
            do {
                let target = try await BlockingWork.run { [node] in try node.targets([address]).first }
                if let target, target.node.map({ sessions.hasLive($0) }) != true {
                    wait = await dialOnce(target, &backoff)
                }
            } catch let error as ReplicaError where error.code == .closed {
                return
            } catch {
                wait = backoff.failed(random: .random(in: 0...UInt64.max))
                logger.error("cannot dial", metadata: ["address": "\(address)", "error": "\(error)"])
            }
            await pause(for: .milliseconds(wait))
        }
    }

    /// After a session as long as this the next break is waited for as after the first.
    private static let goodSessionMilliseconds: Int64 = 60_000

    /// Returns how many milliseconds to wait before the next attempt.
    private func dialOnce(_ target: SyncTarget, _ backoff: inout Backoff) async -> UInt64 {
        var reached: NodeID?
        do {
            let link = try await node.dial(target)
            reached = link.peer?.nodeID
            guard let peer = reached else { preconditionFailure("an exchange link has a proven peer") }
            // Beside the session: the peer waits for a greeting, and not for another program's transaction.
            async let recorded: Void = node.record(target, peer, nil)
            let began = Monotonic.now
            let result = try await run(link, peer, .dialling(.live))
            try await recorded
            // A live session ends by a break or a restart: that it lasted shows that the way is good.
            if Monotonic.now >= began.advanced(byMilliseconds: Self.goodSessionMilliseconds) { backoff.succeeded() }
            guard !result.ending.isRewound else { return backoff.again() }
            guard let failure = node.failure(of: result) else {
                backoff.succeeded()
                return 1_000
            }
            if result.ending != .stopped { try await node.record(target, peer, failure) }
            return backoff.failed(random: .random(in: 0...UInt64.max), retryAfterMilliseconds: result.ending.retryAfter)
        } catch is CancellationError {
            // The service stops, or the address is no longer known.
            return 0
        } catch let error as ReplicaError where error.code == .closed {
            return 0
        } catch {
            let failure = node.failure(of: error)
            failures.note("no session", target.endpoint.description, error, logger)
            do {
                try await node.record(target, reached ?? target.node, failure)
            } catch {
                logger.error(
                    "cannot write down how an attempt ended",
                    metadata: ["address": "\(target.endpoint)", "error": "\(error)"])
            }
            return backoff.failed(random: .random(in: 0...UInt64.max))
        }
    }
}

extension SessionEnding {
    /// When the peer, or this side, said to try again.
    var retryAfter: UInt64? {
        switch self {
        case .peerError(let notice), .refused(let notice), .failed(let notice): notice.retryAfterMilliseconds
        case .completed, .incomplete, .stopped, .rewound, .peerLeft, .violated, .timedOut, .disconnected: nil
        }
    }

    /// One side took back what is cut off: the next session goes on from there, at once.
    var isRewound: Bool {
        if case .peerError(let notice) = self { return notice.code == .rewound }
        return self == .rewound
    }
}
