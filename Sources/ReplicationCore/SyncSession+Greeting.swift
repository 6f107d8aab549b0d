// The beginning of a session: who is there, what each side has, and what the other lacks.
//
// Invariant: nothing but greetings is exchanged with a peer whose protocol, workspace or name is not the expected one.
internal import ReplicationModel
internal import ReplicationWire

extension SyncSession {
    mutating func opened() {
        guard phase == .new else { return }
        phase = .awaitingGreeting
        openedAt = now
        setTimer(.greeting, after: configuration.limits.greetingMilliseconds)
        if isDialling { greet(mode: mode, backlog: nil, peerRemembers: configuration.memory.told?.digest) }
    }

    /// Sends this side's greeting: as a difference, where the peer remembers what this side told it last.
    private mutating func greet(
        mode: SyncMode?, backlog: Backlog?, peerRemembers: Identifier128?, baseUnknown: Bool = false,
        asks: Bool = false
    ) {
        if asks { inquiry.promise() }
        var delta = VectorDelta(whole: local.applied)
        if let told = configuration.memory.told, told.digest == peerRemembers {
            delta = VectorDelta(local.applied, since: told)
        }
        _ = peer.tell(local.applied)
        target = local.applied
        toldHistories = local.histories
        lastHistoriesAt = now.uptime
        note(held: local.held)
        greetedRosterDigest = local.rosterDigest
        toldSafeBelow = local.safeBelow
        send(
            .greeting(
                Greeting(
                    workspace: configuration.workspace, node: configuration.node, clock: now.wall, applied: delta,
                    safeBelow: local.safeBelow, rosterDigest: local.rosterDigest, schemaDigest: local.schemaDigest,
                    mode: mode, backlog: backlog, held: Self.firstOfEachOrigin(local.held),
                    software: configuration.software, windowBytes: configuration.limits.windowBytes,
                    remembers: configuration.memory.heard?.digest, baseUnknown: baseUnknown,
                    histories: local.histories, asks: asks)))
    }

    mutating func received(greeting: Greeting) throws(Violation) {
        guard phase == .awaitingGreeting else { throw Violation(.unexpectedFrame, "a second greeting") }
        try check(greeting)
        peer.software = greeting.software
        peer.schemaDigest = greeting.schemaDigest
        peer.safeBelow = greeting.safeBelow
        peer.backlog = greeting.backlog
        peerHistories = greeting.histories
        peerRosterDigest = greeting.rosterDigest
        let window = greeting.windowBytes == 0 ? FrameLimits.defaultWindowBytes : greeting.windowBytes
        outbound.windowBytes = min(window, FrameLimits.greatestWindowBytes)
        let vector = greeting.applied.vector(from: configuration.memory.heard)
        if isDialling {
            try receivedAnswer(greeting, vector: vector)
        } else {
            try receivedCall(greeting, vector: vector)
        }
    }

    private func check(_ greeting: Greeting) throws(Violation) {
        guard greeting.protocolVersion == FrameLimits.protocolVersion else {
            throw Violation(
                .protocolVersion, "protocol \(greeting.protocolVersion) is not \(FrameLimits.protocolVersion)")
        }
        guard greeting.workspace == configuration.workspace else {
            throw Violation(.workspace, "workspace \(greeting.workspace) is not \(configuration.workspace)")
        }
        guard greeting.node == configuration.peer else {
            throw Violation(.node, "greets as \(greeting.node), with the key of \(configuration.peer)")
        }
        guard greeting.node != configuration.node else { throw Violation(.node, "greets as this node itself") }
    }

    /// The answering side is greeted.
    private mutating func receivedCall(_ greeting: Greeting, vector: VersionVector?) throws(Violation) {
        guard let mode = greeting.mode else {
            throw Violation(.malformed, "a dialling side that does not say its mode")
        }
        self.mode = mode
        inbound = InboundStream(isEnabled: mode.send, limits: configuration.limits)
        let window = outbound.windowBytes
        outbound = OutboundStream(isEnabled: mode.receive)
        outbound.windowBytes = window
        // One way only: right but for the time that the greeting was under way.
        peer.clockOffsetMilliseconds = greeting.clock.milliseconds - now.wall.milliseconds
        guard let vector else {
            peer.holds(greeting.held)
            greet(
                mode: nil, backlog: nil, peerRemembers: greeting.remembers, baseUnknown: true,
                asks: hasQuestions(for: nil))
            phase = .awaitingWholeVector
            setTimer(.greeting, after: configuration.limits.greetingMilliseconds)
            return
        }
        peer.greeted(vector)
        peer.holds(greeting.held)
        callerRemembers = greeting.remembers
        guard mode.receive else { return answer(backlog: nil) }
        guard peer.lacksAny(of: local.applied) else { return answer(backlog: Backlog.none) }
        phase = .counting
        outputs.append(.countBacklog(lackedBy: peer.confirmed, skipping: peer.skipping))
    }

    /// The answering side's greeting, once it is known what it will send.
    mutating func answer(backlog: Backlog?) {
        // A count of nothing with something to send would tell the end of the stream before its beginning.
        let lacks = outbound.isEnabled && peer.lacksAny(of: local.applied)
        var backlog = backlog
        // Nor does it where the peer's roster may let in what is held here.
        let mayRelease = outbound.isEnabled && peerRosterDigest != local.rosterDigest && !local.held.isEmpty
        if lacks || mayRelease, let told = backlog, told.changeSets == 0 { backlog = nil }
        if backlog?.changeSets == 0 { outbound.isEndTold = true }
        greet(
            mode: nil, backlog: backlog, peerRemembers: callerRemembers, asks: hasQuestions(for: peer.confirmed))
        begun()
    }

    mutating func received(wholeVector vector: VersionVector) throws(Violation) {
        guard phase == .awaitingWholeVector else {
            throw Violation(.unexpectedFrame, "a whole vector that was not asked for")
        }
        peer.greeted(vector)
        _ = peer.liftHolds()
        begun()
    }

    /// The dialling side is answered.
    private mutating func receivedAnswer(_ greeting: Greeting, vector: VersionVector?) throws(Violation) {
        guard let vector else { throw Violation(.malformed, "a difference to a vector that is not remembered here") }
        peer.greeted(vector)
        peer.holds(greeting.held)
        let elapsed = now.uptime.microseconds - openedAt.uptime.microseconds
        peer.roundTripMicroseconds = elapsed
        peer.clockOffsetMilliseconds = greeting.clock.milliseconds - (openedAt.wall.milliseconds + elapsed / 2000)
        if greeting.asks { inquiry.peerPromised() }
        if greeting.baseUnknown {
            // What changed since this side greeted is told like any other news.
            send(.wholeVector(target))
        } else if mode.receive, greeting.backlog?.changeSets == 0 {
            try inbound.end()
        }
        begun()
    }

    /// About histories that differ from those of someone met before, where this peer can tell.
    private var questionsToAsk: some Collection<Dot> {
        local.suspicions.prefix(Inquiry.searches).filter { peer.confirmed.contains($0) }
    }

    /// Whether a peer that has `vector`, or perhaps everything, can answer what this side asks. The dialling side stays for it.
    private func hasQuestions(for vector: VersionVector?) -> Bool {
        func mayKnow(_ dot: Dot) -> Bool { vector?.contains(dot) ?? true }
        return local.suspicions.prefix(Inquiry.searches).contains(where: mayKnow)
            || inbound.isEnabled && valuesToAskFor.contains(where: mayKnow)
    }

    /// Both sides know of each other what they need.
    private mutating func begun() {
        phase = .exchanging
        hasGreeted = true
        // Both compare what both said; what changed here since is told like any other news.
        roster.greeted(peer: peerRosterDigest, ours: greetedRosterDigest)
        roster.changed(to: local.rosterDigest)
        peerTarget = peer.confirmed
        if let peerHistories { histories.said(peerHistories, at: peerTarget) }
        note(held: local.held)
        observationDue = true
        lastFrame = now
        lastHeardAt = now.uptime
        lastPingAt = now.uptime
        outputs.append(.cancelTimer(.greeting))
        setTimer(.keepAlive, after: configuration.limits.pingMilliseconds)
        emit(.greeted(software: peer.software, mode: mode, backlog: peer.backlog))
        for dot in questionsToAsk { ask(dot) }
        if peer.schemaDigest != local.schemaDigest { emit(.schemaDiffers) }
        if !peer.held.isEmpty { emit(.heldByPeer(peer.held.values.sorted { $0.dot.origin < $1.dot.origin })) }
    }

    /// For the peer, the first held change set of an origin stands for those after it.
    static func firstOfEachOrigin(_ held: [HeldChangeSet]) -> [HeldChangeSet] {
        var first: [Origin: HeldChangeSet] = [:]
        for one in held {
            if let known = first[one.dot.origin], known.dot.sequence <= one.dot.sequence { continue }
            first[one.dot.origin] = one
        }
        return Array(first.values.sorted { $0.dot.origin < $1.dot.origin }.prefix(FrameLimits.held))
    }
}
