// What the peer's frames mean, once both have greeted.
//
// Invariant: a frame that its state does not allow is a violation, never ignored and never a trap.
internal import ReplicationModel
internal import ReplicationWire

extension SyncSession {
    mutating func received(_ frame: ExchangeFrame) throws(Violation) {
        lastFrame = now
        lastHeardAt = now.uptime
        guard isListening else {
            // While this side stops, what was under way still arrives.
            if case .goodbye = frame, phase == .stopping { transportClosed("the peer said goodbye") }
            return
        }
        switch frame {
        case .greeting(let greeting): try received(greeting: greeting)
        case .wholeVector(let vector): try received(wholeVector: vector)
        case .error(let notice): drain(.peerError(notice))
        case .goodbye: receivedGoodbye()
        default:
            guard phase == .exchanging else { throw Violation(.unexpectedFrame, "\(frame.name) before the greetings") }
            try receivedInExchange(frame)
        }
    }

    private mutating func receivedInExchange(_ frame: ExchangeFrame) throws(Violation) {
        switch frame {
        case .rosterRecords(let records): try roster.received(records)
        case .changeSet(let start):
            let isWanted = start.header.map { inquiry.wants($0.dot) } ?? false
            guard mode.live || !inbound.isEnded || isWanted else {
                throw Violation(.unexpectedFrame, "a change set after the stream's end")
            }
            took(
                try inbound.begin(
                    start, flowBytes: frame.flowBytes, applied: local.applied, isWanted: isWanted))
        case .values(let piece): took(try inbound.add(piece, flowBytes: frame.flowBytes))
        case .streamEnd(let news):
            try inbound.end()
            try confirm(news)
        case .acknowledgement(let acknowledgement): try received(acknowledgement)
        case .announcement(let news):
            guard mode.live else {
                throw Violation(.unexpectedFrame, "an announcement in a session that does not stay")
            }
            try confirm(news)
            if !inbound.isEnabled { emit(.peerHasMore) }
        case .histories(let digest):
            guard mode.live else {
                throw Violation(.unexpectedFrame, "histories in a session that does not stay")
            }
            histories.said(digest, at: peer.confirmed)
        case .thirdNodes(let nodes): received(nodes)
        case .ping(let number, let clock): send(.pong(number: number, pingClock: clock, clock: now.wall))
        case .pong(let number, _, let clock): received(pong: number, clock: clock)
        case .comparisonQuestion(let question): try received(question)
        case .comparisonAnswer(let answer): try received(answer)
        case .question(let dot): try inquiry.received(dot, at: now.uptime)
        case .answer(let dot, let changeSet): try inquiry.answered(dot, changeSet)
        case .again(let dot):
            guard outbound.isEnabled else {
                throw Violation(.unexpectedFrame, "a question of one that does not receive")
            }
            try inquiry.receivedAgain(dot, at: now.uptime)
        case .headsQuestion: try histories.receivedQuestion(at: now.uptime)
        case .heads(let heads):
            try histories.received()
            outputs.append(.compareHeads(heads))
        case .joinRequest, .joinResponse: throw Violation(.unexpectedFrame, "\(frame.name) in an exchange")
        case .greeting, .wholeVector, .error, .goodbye: break
        }
    }

    private mutating func took(_ step: InboundStream.ReceivedStep) {
        switch step {
        case .partial: break
        case .complete(let dot):
            inquiry.came(dot)
            peer.showed(dot)
        case .dropped(let dot):
            peer.showed(dot)
            acknowledgementDue = true
            emit(.duplicate(dot))
        }
    }

    private mutating func confirm(_ news: VersionVector) throws(Violation) {
        try peer.confirm(news)
        observationDue = true
        liftHolds()
    }

    private mutating func liftHolds() {
        guard peer.liftHolds() else { return }
        outbound.forgetQueue()
        outbound.more()
    }

    private mutating func received(_ acknowledgement: Acknowledgement) throws(Violation) {
        let isNews = try outbound.acknowledged(acknowledgement.receivedBytes)
        try peer.confirm(acknowledgement.applied)
        peer.safeBelow = acknowledgement.safeBelow
        peer.holds(acknowledgement.held)
        observationDue = true
        liftHolds()
        if isNews { emit(.sent(outbound.tally)) }
        if !acknowledgement.held.isEmpty { emit(.heldByPeer(acknowledgement.held)) }
    }

    /// By how much a measured clock offset may be wrong on a slow way.
    private static let clockToleranceMilliseconds: Int64 = 60_000

    private mutating func received(_ nodes: [ThirdNode]) {
        let offset = peer.clockOffsetMilliseconds ?? 0
        let news = nodes.filter { $0.node != configuration.node && $0.node != configuration.peer }.compactMap { third in
            let told = third.asOf.milliseconds - offset
            // Heard under a clock that ran ahead: nobody knows when, and it must not pass for what is newest.
            guard told <= now.wall.milliseconds + Self.clockToleranceMilliseconds else { return nil as ThirdNode? }
            let heard = min(told, now.wall.milliseconds)
            return ThirdNode(node: third.node, applied: third.applied, asOf: WallClock(milliseconds: heard))
        }
        if !news.isEmpty { outputs.append(.rememberThirdNodes(news)) }
    }

    private mutating func received(pong number: UInt64, clock: WallClock) {
        // An answer to an earlier ping says nothing of the way now.
        guard number == lastPingNumber, number > 0 else { return }
        let elapsed = now.uptime.microseconds - lastPingAt.microseconds
        peer.roundTripMicroseconds = elapsed
        peer.clockOffsetMilliseconds = clock.milliseconds - (now.wall.milliseconds - elapsed / 2000)
        observationDue = true
    }
}
