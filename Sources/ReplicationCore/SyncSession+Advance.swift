// What a session does next, after any input.
//
// Invariant: it depends on the session's state alone, so that no order of inputs can make it forget something.
internal import ReplicationModel
internal import ReplicationWire

extension SyncSession {
    mutating func advance() {
        switch phase {
        case .new, .awaitingGreeting, .counting, .awaitingWholeVector, .closed: break
        case .exchanging: exchange()
        case .stopping:
            acknowledge()
            if !inbound.isApplying { end(.stopped, saying: .goodbye) }
        case .draining(let ending):
            mergeAndApply()
            if inbound.isDrained && roster.isMerged { finish(ending) }
        }
        if observationDue, phase != .closed { observe() }
    }

    private mutating func exchange() {
        mergeAndApply()
        acknowledge()
        if roster.startReading() { outputs.append(.readRoster) }
        inquire()
        stream()
        tellEnd()
        tellThirdNodes()
        announce()
        tellHistories()
        noticeCaughtUp()
        finishIfDone()
    }

    private mutating func inquire() {
        askAgain()
        // Who said that it asks has only asked everything once it knows what the stream left out.
        if reminder.hasAsked || !inquiry.isPromised || !inbound.isEnabled, inquiry.saysEnough() { send(.question(nil)) }
        // One at a time: they may be large.
        if !outbound.hasAgain, let dot = inquiry.nextToReadAgain() { outputs.append(.readAgain(dot)) }
        if let (dot, changeSet) = inquiry.nextToExamine() { outputs.append(.examineAnswer(dot, changeSet)) }
        if let dot = inquiry.nextToRead() { outputs.append(.readSigned(dot)) }
        if !inbound.isApplying, let (vector, digest) = histories.next(applied: local.applied, ours: local.histories) {
            outputs.append(.checkHistories(vector, digest))
        }
        if histories.startReading() { outputs.append(.readHeads) }
    }

    /// Values that no later change set brings, once everything else has come: a peer may have them, or come to have them while
    /// the session stays.
    private mutating func askAgain() {
        guard inbound.isEnabled, inbound.isEnded, inbound.isIdle,
            reminder.isDue(at: now.uptime, awaits: !local.awaited.isEmpty, stays: mode.live)
        else { return }
        reminder.asks(at: now.uptime)
        for dot in valuesToAskFor where peer.confirmed.contains(dot) && inquiry.want(dot, at: now.uptime) {
            send(.again(dot))
        }
    }

    /// Change sets of which values are awaited: asked for once more.
    var valuesToAskFor: some Collection<Dot> { local.awaited.prefix(Inquiry.awaited) }

    /// Records of the roster first: the author of what follows may stand in them.
    private mutating func mergeAndApply() {
        if let records = roster.nextToMerge() { outputs.append(.mergeRoster(records)) }
        guard roster.isMerged, let batch = inbound.nextBatch() else { return }
        outputs.append(.applyBatch(batch, leftOut: Set(heldHere.keys)))
    }

    /// What was dealt with since the last acknowledgement; after a batch that is being applied, not before.
    private mutating func acknowledge() {
        guard acknowledgementDue, !inbound.isApplying || inbound.doneBytes > inbound.toldBytes else { return }
        acknowledgementDue = false
        inbound.tell()
        toldSafeBelow = local.safeBelow
        let held = Self.firstOfEachOrigin(heldToTell)
        heldToTell = []
        send(
            .acknowledgement(
                Acknowledgement(
                    applied: peer.tell(local.applied), safeBelow: local.safeBelow, receivedBytes: inbound.doneBytes,
                    held: held)))
        observationDue = true
    }

    /// Sends what the peer lacks, and reads more of it where there is room.
    private mutating func stream() {
        // In a session that does not stay, nothing follows the end of the stream: a hold that is lifted later waits for
        // the next session.
        guard outbound.isEnabled, roster.sending == .nothing, mode.live || !outbound.isEndTold || outbound.hasAgain
        else { return }
        flush()
        // What was asked for once more is all that follows the end.
        guard phase == .exchanging, mode.live || !outbound.isEndTold, outbound.wantsToRead else { return }
        let all = mode.live ? local.applied : target
        guard peer.lacksAny(of: all) else { return outbound.nothingMore() }
        outbound.reading()
        outputs.append(
            .readOutgoing(
                OutgoingRequest(
                    lackedBy: peer.presumed, skipping: peer.skipping,
                    maxBytes: min(outbound.roomBytes, configuration.limits.readBytes))))
    }

    private mutating func flush() {
        while let next = outbound.next(for: peer) {
            guard next.isAgain || peer.presumed[next.dot.origin].rawValue == next.dot.sequence.rawValue - 1 else {
                // The store's fault. The peer would call it a violation; it is told the truth instead.
                let notice = ErrorNotice(code: .internal, message: "the store skipped what stands before \(next.dot)")
                return end(.failed(notice), telling: notice)
            }
            peer.sent(next.dot)
            for frame in next.frames { send(frame) }
        }
    }

    /// Whether a record of the peer's roster, still to come or to be merged, may let in something that is held here.
    var mayRelease: Bool { outbound.isEnabled && !roster.isSettled && !local.held.isEmpty }

    private mutating func tellEnd() {
        guard phase == .exchanging, outbound.isEnabled, !outbound.isEndTold, outbound.isExhausted,
            roster.sending == .nothing, !mayRelease
        else { return }
        outbound.isEndTold = true
        // A dialling side that had nothing to send says goodbye at once, unless the peer waits for the end to ask.
        if isDialling && !mode.live && outbound.sentBytes == 0 && !inquiry.peerAsks { return }
        send(.streamEnd(peer.tell(local.applied)))
    }

    /// Second-hand knowledge goes where the session lasts anyway: an idle pull does not pay for it. Where no vector grew, that they
    /// are still true is news of less worth.
    private mutating func tellThirdNodes() {
        guard phase == .exchanging, mode.live || outbound.sentBytes > 0, !local.thirdNodes.isEmpty,
            local.thirdNodes != toldThirdNodes
        else { return }
        let areGrown = !local.thirdNodes.elementsEqual(toldThirdNodes) {
            $0.node == $1.node && $0.applied == $1.applied
        }
        let limits = configuration.limits
        let pause = areGrown ? limits.thirdNodesMilliseconds : limits.thirdNodesAgainMilliseconds
        if let last = lastThirdNodesAt, now.uptime < last.advanced(byMilliseconds: pause) { return }
        lastThirdNodesAt = now.uptime
        toldThirdNodes = local.thirdNodes
        var entries = 0
        let told = local.thirdNodes.prefix(FrameLimits.thirdNodes).prefix { third in
            entries += third.applied.count
            return entries <= FrameLimits.thirdNodeEntries
        }
        if !told.isEmpty { send(.thirdNodes(Array(told))) }
    }

    /// In a session that stays, the peer learns what this side has even where it is not sent to it.
    private mutating func announce() {
        guard phase == .exchanging, mode.live, !announcementIsTimed else { return }
        let safetyIsNews = local.safeBelow != toldSafeBelow
        guard !outbound.isEnabled || outbound.isExhausted, !inbound.isApplying,
            safetyIsNews || peer.lacksWord(of: local.applied)
        else { return }
        let interval = configuration.limits.announcementMilliseconds
        if let last = lastAnnouncementAt, now.uptime < last.advanced(byMilliseconds: interval) {
            announcementIsTimed = true
            outputs.append(.setTimer(.announcement, last.advanced(byMilliseconds: interval)))
            return
        }
        lastAnnouncementAt = now.uptime
        // What is awaited no more, or since, is told by acknowledging once more what was dealt with.
        if safetyIsNews {
            acknowledgementDue = true
            return acknowledge()
        }
        send(.announcement(peer.tell(local.applied)))
    }

    /// In a session that stays, the peer learns how the histories end here whenever that changed, once it was told of just
    /// this vector: what both took from others need not be the same. One side says it, and the other looks.
    private mutating func tellHistories() {
        guard phase == .exchanging, mode.live, isDialling, !historiesAreTimed, peer.told == local.applied,
            !outbound.isEnabled || outbound.isExhausted, !inbound.isApplying,
            let digest = local.histories, digest != toldHistories
        else { return }
        let next = lastHistoriesAt.advanced(byMilliseconds: configuration.limits.historiesMilliseconds)
        guard now.uptime >= next else {
            historiesAreTimed = true
            outputs.append(.setTimer(.histories, next))
            return
        }
        lastHistoriesAt = now.uptime
        toldHistories = digest
        send(.histories(digest))
    }

    private mutating func noticeCaughtUp() {
        guard !wasCaughtUp, inbound.isEnabled, inbound.isEnded, inbound.isIdle else { return }
        wasCaughtUp = true
        emit(.caughtUp)
    }

    /// The dialling side ends a session that does not stay.
    private mutating func finishIfDone() {
        guard phase == .exchanging, isDialling, !mode.live, roster.isSettled, inquiry.isSettled, histories.isSettled,
            !acknowledgementDue
        else { return }
        guard !mode.receive || (inbound.isEnded && inbound.isIdle) else { return }
        guard !mode.send || (outbound.isEndTold && outbound.isIdle) else { return }
        let missing = (mode.receive ? countMissing() : 0) + (mode.send ? peer.countMissing(of: target) : 0)
        if configuration.staysToAsk, missing == 0 {
            if questions.settle() { emit(.settled) }
            return
        }
        end(missing == 0 ? .completed : .incomplete(missing: missing), saying: .goodbye)
    }

    /// What the peer greeted with, and neither came nor is held. What was held as the session began was not sent, and may have
    /// been released since: then the next session brings what follows it.
    private func countMissing() -> UInt64 {
        peerTarget.entries.reduce(0) { sum, entry in
            let have = local.applied[entry.key]
            let isHeld = heldHere[entry.key].map { $0 > have } ?? false
            return have < entry.value && !isHeld ? sum + entry.value.rawValue - have.rawValue : sum
        }
    }

    mutating func note(held: [HeldChangeSet]) {
        for held in held { heldHere[held.dot.origin] = max(heldHere[held.dot.origin] ?? .zero, held.dot.sequence) }
    }

    mutating func observe() {
        observationDue = false
        guard hasGreeted else { return }
        let observation = peer.observation(of: configuration.peer, at: lastFrame, schemaDigest: local.schemaDigest)
        outputs.append(.rememberPeer(observation))
    }
}
