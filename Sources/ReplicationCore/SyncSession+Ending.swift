// Timers, and the ways in which a session ends.
//
// Invariant: a session ends once, with `close` as its last output.
internal import ReplicationModel
internal import ReplicationWire

extension SyncSession {
    mutating func setTimer(_ timer: SessionTimer, after milliseconds: Int64) {
        outputs.append(.setTimer(timer, now.uptime.advanced(byMilliseconds: milliseconds)))
    }

    mutating func fired(_ timer: SessionTimer) {
        switch timer {
        case .greeting:
            guard phase == .awaitingGreeting || phase == .awaitingWholeVector else { return }
            let notice = ErrorNotice(code: .timeout, message: "no greeting came in time")
            end(.timedOut(.greeting), telling: notice)
        case .keepAlive: keepAlive()
        case .announcement: announcementIsTimed = false
        case .histories: historiesAreTimed = false
        }
    }

    private mutating func keepAlive() {
        guard phase == .exchanging else { return }
        let limits = configuration.limits
        let silenceEnds = lastHeardAt.advanced(byMilliseconds: limits.silenceMilliseconds)
        guard now.uptime < silenceEnds else {
            let notice = ErrorNotice(code: .timeout, message: "nothing came for \(limits.silenceMilliseconds) ms")
            return end(.timedOut(.keepAlive), telling: notice)
        }
        // A peer whose change set takes minutes to come hears nothing of this side but its pings: its own wait behind what it sends.
        func pingDue() -> Uptime {
            max(min(lastFrame.uptime, lastSentAt), lastPingAt).advanced(byMilliseconds: limits.pingMilliseconds)
        }
        if now.uptime >= pingDue() {
            lastPingNumber += 1
            lastPingAt = now.uptime
            send(.ping(number: lastPingNumber, clock: now.wall))
        }
        outputs.append(.setTimer(.keepAlive, min(pingDue(), silenceEnds)))
    }

    mutating func receivedGoodbye() {
        let isExpected = !isDialling && (phase == .exchanging)
        drain(isExpected ? .completed : .peerLeft)
    }

    /// The peer is gone or going: what came whole is applied, then the session is closed.
    mutating func drain(_ ending: SessionEnding) {
        phase = .draining(ending)
    }

    mutating func transportClosed(_ reason: String) {
        switch phase {
        case .draining: return
        case .stopping: drain(.stopped)
        default: drain(.disconnected(reason))
        }
    }

    mutating func stop() {
        switch phase {
        case .new, .awaitingGreeting, .counting, .awaitingWholeVector: end(.stopped, saying: .goodbye)
        case .exchanging:
            inbound.discardWaiting()
            phase = .stopping
        case .draining: inbound.discardWaiting()
        case .stopping, .closed: return
        }
    }

    mutating func violated(_ violation: Violation) {
        if case .draining = phase { return finish(.violated(violation)) }
        end(.violated(violation), telling: violation.notice)
    }

    /// Tells the peer why, and closes.
    mutating func end(_ ending: SessionEnding, telling notice: ErrorNotice) {
        end(ending, saying: .error(notice))
    }

    mutating func end(_ ending: SessionEnding, saying frame: ExchangeFrame) {
        switch phase {
        // Nobody is there to be told.
        case .new, .draining: break
        default: send(frame)
        }
        finish(ending)
    }

    mutating func finish(_ ending: SessionEnding) {
        observe()
        phase = .closed
        outputs.append(.close(ending, progress))
    }
}
