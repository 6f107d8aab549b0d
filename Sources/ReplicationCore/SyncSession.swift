// One exchange with one peer, as a value. Protocols/exchange.md is its specification.
//
// Invariant: nothing is acknowledged that the driver has not reported as committed, and nothing that the peer sends traps.
internal import ReplicationModel
internal import ReplicationWire

/// The session between this node and a peer: inputs and the time go in, outputs come out, in the order in which they are
/// to be done. It reads no clock and does no input or output, so that a simulator can drive two of them.
public struct SyncSession: Sendable {
    enum Phase: Hashable {
        /// Before `opened`.
        case new
        case awaitingGreeting
        /// The peer has greeted, and the store counts what it lacks.
        case counting
        /// The dialling side's base is not known here; its whole vector will come.
        case awaitingWholeVector
        case exchanging
        /// No more is sent or received; what is being applied is waited for and acknowledged.
        case stopping
        /// The peer is gone; what came whole is still applied.
        case draining(SessionEnding)
        case closed
    }

    let configuration: SessionConfiguration
    var phase = Phase.new
    var local: LocalState
    var peer = PeerKnowledge()
    var inbound: InboundStream
    var outbound: OutboundStream
    var roster = RosterExchange()
    var questions = QuestionExchange()
    var inquiry = Inquiry()
    var histories = HistoryCheck()
    /// What the peer greeted with.
    var peerHistories: Identifier128?
    /// Of the roster, as this side greeted, and as the peer did.
    var greetedRosterDigest: [UInt8] = []
    var peerRosterDigest: [UInt8] = []
    /// As the peer was told it last.
    var toldSafeBelow = SafeBelow.all
    /// As the peer was told last how the histories end here.
    var toldHistories: Identifier128?
    /// Asking for what is awaited.
    var reminder = Reminder()
    var mode: SyncMode
    var summary = SessionSummary()
    /// Held change sets that the next acknowledgement tells.
    var heldToTell: [HeldChangeSet] = []
    /// What this side had when it greeted: a session that does not stay ends with it.
    var target = VersionVector()
    /// What the peer had when it greeted: a session that does not stay brings it, or says that it did not.
    var peerTarget = VersionVector()
    /// Origins of which something is or was held here in this session, and the last of it.
    var heldHere: [Origin: SequenceNumber] = [:]
    var hasGreeted = false
    /// Digest of this side's vector that the dialling side remembers.
    var callerRemembers: Identifier128?
    var wasCaughtUp = false
    var acknowledgementDue = false
    var observationDue = false

    var now: Moment
    var openedAt: Moment
    /// Of the peer: what is known of it is true as of then.
    var lastFrame: Moment
    var lastHeardAt: Uptime
    var lastSentAt: Uptime
    var lastPingAt: Uptime
    var lastPingNumber: UInt64 = 0
    var lastAnnouncementAt: Uptime?
    var announcementIsTimed = false
    var lastHistoriesAt: Uptime
    var historiesAreTimed = false
    var lastThirdNodesAt: Uptime?
    var toldThirdNodes: [ThirdNode] = []
    var outputs: [SessionOutput] = []

    /// A session that has not begun: its first input is `opened`.
    public init(_ configuration: SessionConfiguration, at now: Moment) {
        self.configuration = configuration
        self.now = now
        openedAt = now
        lastFrame = now
        lastHeardAt = now.uptime
        lastSentAt = now.uptime
        lastPingAt = now.uptime
        lastHistoriesAt = now.uptime
        local = configuration.local
        switch configuration.role {
        case .dialling(let mode):
            self.mode = mode
            inbound = InboundStream(isEnabled: mode.receive, limits: configuration.limits)
            outbound = OutboundStream(isEnabled: mode.send)
        case .answering:
            mode = SyncMode(receive: false, send: false)
            inbound = InboundStream(isEnabled: false, limits: configuration.limits)
            outbound = OutboundStream(isEnabled: false)
        }
    }

    /// Whether `close` came out: every later input is ignored.
    public var isClosed: Bool { phase == .closed }

    /// What was exchanged so far.
    public var progress: SessionSummary {
        var result = summary
        result.sent = outbound.tally
        result.duplicates = inbound.duplicates
        return result
    }

    /// Bytes that were sent and that the peer has not dealt with.
    public var inFlightBytes: UInt64 { outbound.inFlightBytes }

    /// Takes one input and gives what is to be done, in order.
    public mutating func handle(_ input: SessionInput, at now: Moment) -> [SessionOutput] {
        guard phase != .closed else { return [] }
        self.now = now
        do {
            try take(input)
            if phase != .closed { advance() }
        } catch {
            violated(error)
        }
        defer { outputs = [] }
        return outputs
    }

    private mutating func take(_ input: SessionInput) throws(Violation) {
        switch input {
        case .opened: opened()
        case .frame(let frame): try received(frame)
        case .undecodable(let error):
            guard isListening else { return }
            throw Violation(error.isTooLarge ? .tooLarge : .malformed, error.description)
        case .bytesArrived: lastHeardAt = now.uptime
        case .localChanged(let state): localChanged(state)
        case .outgoing(let batch):
            // The peer must know the authors of what was read, even where the word of them has not come yet.
            if let digest = batch.rosterDigest, digest != local.rosterDigest { roster.changed(to: digest) }
            if outbound.queue(batch) { noteStored(batch.changeSets.map(\.dot)) }
        case .backlogCounted(let backlog):
            if phase == .counting { answer(backlog: backlog) }
        case .applied(let report): applied(report)
        case .applyFailed(let failure): try applyFailed(failure)
        case .rosterRead(let records, let digest):
            for frame in roster.frames(records, digest: digest) ?? [] where canSend { send(frame) }
        case .rosterMerged(let digest, let before, let released):
            if let released {
                localChanged(released)
                // It was here, and is of this session though it was held when both greeted.
                if !outbound.isEndTold { target = local.applied }
            }
            local.rosterDigest = digest
            _ = roster.merged(before: before, ours: digest)
        case .rosterRefused(let reason): throw Violation(.roster, reason)
        case .ask(let question): ask(question)
        case .compared(let answer): compared(answer)
        case .askSigned(let dot): ask(dot)
        case .historiesChecked(let areEqual):
            if histories.checked(areEqual: areEqual, at: now.uptime), phase == .exchanging { send(.headsQuestion) }
        case .headsRead(let heads):
            if histories.read(), phase == .exchanging { send(.heads(heads)) }
        case .headsCompared(let dots):
            histories.compared()
            for dot in dots.prefix(Inquiry.searches) { ask(dot) }
        case .examined(let next):
            inquiry.examined()
            if let next { ask(next) }
        case .signedRead(let changeSet):
            if let dot = inquiry.read(), phase == .exchanging { send(.answer(dot, changeSet)) }
        case .againRead(let changeSet):
            guard let dot = inquiry.readAgain(), phase == .exchanging else { return }
            if let changeSet { outbound.queueAgain(changeSet) } else { send(.answer(dot, nil)) }
        case .rewound:
            end(
                .rewound,
                telling: ErrorNotice(
                    code: .rewound, message: "this replica took back what it had said that it has; call again"))
        case .timer(let timer): fired(timer)
        case .transportClosed(let reason): transportClosed(reason)
        case .stop: stop()
        case .refuse(let notice): end(.refused(notice), telling: notice)
        case .failed(let notice): end(.failed(notice), telling: notice)
        }
    }

    /// Frames may be sent.
    var canSend: Bool { phase == .exchanging || phase == .stopping }
    /// Frames of the peer are looked at.
    var isListening: Bool {
        switch phase {
        case .awaitingGreeting, .counting, .awaitingWholeVector, .exchanging: true
        case .new, .stopping, .draining, .closed: false
        }
    }
    var isDialling: Bool { configuration.role != .answering }

    mutating func send(_ frame: ExchangeFrame) {
        lastSentAt = now.uptime
        outputs.append(.send(frame))
    }
    mutating func emit(_ event: SessionEvent) { outputs.append(.event(event)) }

    mutating func ask(_ dot: Dot) {
        guard phase == .exchanging else { return }
        inquiry.ask(dot)
        send(.question(dot))
    }

    private mutating func localChanged(_ state: LocalState) {
        let grew = !local.applied.covers(state.applied)
        let before = local
        local = state
        if !state.applied.covers(before.applied) {
            // It is older than what this session has applied since, and so is what it says of values awaited.
            local.applied = before.applied.union(state.applied)
            local.histories = nil
            local.safeBelow = before.safeBelow
            local.held = before.held
        }
        if grew { outbound.more() }
        if hasGreeted { roster.changed(to: state.rosterDigest) }
    }

    /// What is sent is here, even where the word of it has not come yet: the peer goes on from it.
    private mutating func noteStored(_ dots: [Dot]) {
        for dot in dots where local.applied[dot.origin] < dot.sequence {
            local.applied[dot.origin] = dot.sequence
            local.histories = nil
        }
    }

    private mutating func applied(_ report: ApplyReport) {
        guard inbound.committed() else { return }
        if !local.applied.covers(report.applied) {
            local.applied.formUnion(report.applied)
            local.histories = nil
            outbound.more()
        }
        if report.applied.covers(local.applied) {
            // What has come is awaited no more; the word of the replica is yet to follow. What was safe and is awaited all the same,
            // the ledger alone lacks: that never stands in the way of what is safe.
            let (before, after) = (local.safeBelow, report.safeBelow)
            local.awaited.removeAll { dot in
                before.entries[dot.origin].map { $0 < dot.sequence } ?? false
                    && after.entries[dot.origin].map { $0 >= dot.sequence } ?? true
            }
            local.safeBelow = after
        }
        summary.received += report.received
        // What the greeting counted is less by this, and its oldest may be here.
        if report.received.changeSets > 0 { peer.backlog = nil }
        summary.conflicts += report.conflicts
        summary.held += UInt64(report.held.count)
        heldToTell += report.held
        note(held: report.held)
        acknowledgementDue = true
        emit(.received(summary.received))
        if !report.held.isEmpty { emit(.heldHere(report.held)) }
    }

    private mutating func applyFailed(_ failure: ApplyFailure) throws(Violation) {
        guard inbound.isApplying else { return }
        inbound.failed()
        inbound.discardWaiting()
        switch failure {
        case .peer(let notice): throw Violation(.changeSet, notice: notice)
        case .ours(let notice): end(.failed(notice), telling: notice)
        }
    }
}
