// A peer that breaks the protocol: told, disconnected, and nothing of it applied.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct ViolationTests {
    /// A pull in which the answering side's frames are changed by `tamper`.
    private func pull(
        _ count: Int = 3, large: [Int] = [], limits: SessionLimits = SessionLimits(),
        tamper: @escaping (ExchangeFrame) -> [ExchangeFrame]
    ) -> (Endpoint, Endpoint, FakeReplica) {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<count { right.write(as: origin(2), large: large) }
        let pair = network.connect(left, right, .pull, limits: limits)
        pair.answerer.tamper = tamper
        network.world.run()
        #expect(network.allComplaints == [])
        return (pair.dialler, pair.answerer, left)
    }

    private func expect(
        _ rule: Violation.Rule, _ code: ErrorNotice.Code, _ result: (Endpoint, Endpoint, FakeReplica),
        applied: UInt64 = 0,
        location: SourceLocation = #_sourceLocation
    ) {
        guard case .violated(let violation) = result.0.ending else {
            Issue.record("ended with \(String(describing: result.0.ending))", sourceLocation: location)
            return
        }
        #expect(violation.rule == rule, sourceLocation: location)
        guard case .peerError(let notice) = result.1.ending else {
            Issue.record("the peer was not told: \(String(describing: result.1.ending))", sourceLocation: location)
            return
        }
        #expect(notice.code == code, sourceLocation: location)
        #expect(result.2.applied[origin(2)].rawValue <= applied, sourceLocation: location)
    }

    private func greeting(_ change: @escaping (inout Greeting) -> Void) -> (ExchangeFrame) -> [ExchangeFrame] {
        { frame in
            guard case .greeting(var greeting) = frame else { return [frame] }
            change(&greeting)
            return [.greeting(greeting)]
        }
    }

    @Test func anotherProtocol() {
        expect(.protocolVersion, .protocol, pull(tamper: greeting { $0.protocolVersion = 2 }))
    }

    @Test func anotherWorkspace() {
        let other = WorkspaceID(Identifier128(high: 1, low: 2))
        expect(.workspace, .workspace, pull(tamper: greeting { $0.workspace = other }))
    }

    @Test func anotherNodeThanTheKeyProved() { expect(.node, .refused, pull(tamper: greeting { $0.node = node(3) })) }

    @Test func anotherWorkspaceOfTheDiallingSide() {
        let network = Network()
        let pair = network.connect(FakeReplica(node(1)), FakeReplica(node(2)), .pull) { left, _ in
            left.workspace = WorkspaceID(Identifier128(high: 0, low: 1))
        }
        network.world.run()
        guard case .violated(let violation) = pair.answerer.ending else { return missing("not refused") }
        #expect(violation.rule == .workspace)
        #expect(pair.answerer.sent.map(\.name) == ["error"], "no vector is told to a stranger")
    }

    @Test func aNodeThatDialsItself() {
        let network = Network()
        let pair = network.connect(FakeReplica(node(1)), FakeReplica(node(1)), .pull)
        network.world.run()
        guard case .violated(let violation) = pair.answerer.ending else { return missing("not refused") }
        #expect(violation.rule == .node)
    }

    @Test func aVectorThatIsNoLongerThanItsDifferenceComesWhole() {
        let result = pull(
            tamper: greeting {
                $0.applied = VectorDelta(
                    VersionVector(),
                    since: RememberedVector(
                        vector: VersionVector([origin(9): SequenceNumber(1)]), digest: Identifier128(high: 4, low: 4)))
            })
        // That to a vector nobody knows is longer than the whole and so is the whole: harmless.
        #expect(result.0.ending == .completed)
    }

    @Test func aGapBetweenChangeSets() {
        var seen = 0
        let result = pull { frame in
            guard case .changeSet = frame else { return [frame] }
            seen += 1
            return seen == 2 ? [] : [frame]
        }
        expect(.sequenceGap, .malformed, result, applied: 1)
    }

    @Test func aReplayIsHarmlessAndCounted() {
        let (dialler, answerer, left) = pull { frame in
            guard case .changeSet = frame else { return [frame] }
            return [frame, frame]
        }
        // The window sees twice what was sent, so only what was sent may be acknowledged.
        guard case .violated(let violation) = answerer.ending else { return missing("over-acknowledged") }
        #expect(violation.rule == .acknowledgement)
        #expect(dialler.summary?.duplicates == 3)
        #expect(left.applied[origin(2)] == SequenceNumber(3))
    }

    @Test func moreThanTheWindow() {
        var limits = SessionLimits()
        limits.windowBytes = 5_000
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        for _ in 0..<100 { right.write(as: origin(2)) }
        let pair = network.connect(left, right, .pull, limits: limits)
        pair.answerer.tamper = greeting { _ in }
        pair.dialler.tamper = greeting { $0.windowBytes = 1 << 20 }
        pair.dialler.applyMicroseconds = 5_000_000
        network.world.run()
        guard case .violated(let violation) = pair.dialler.ending else { return missing("let through") }
        #expect(violation.rule == .window)
        #expect(left.applyCalls <= 1)
    }

    @Test func fewerBytesThanTheBodySays() {
        expect(
            .values, .malformed,
            pull(large: [400, 500]) { frame in
                guard case .values(var piece) = frame else { return [frame] }
                piece.values[1].removeLast()
                return [.values(piece)]
            })
    }

    @Test func moreValuesThanTheBodySays() {
        expect(
            .values, .malformed,
            pull(large: [400, 500]) { frame in
                guard case .values(var piece) = frame else { return [frame] }
                piece.values.append([UInt8](repeating: 1, count: 300))
                return [.values(piece)]
            })
    }

    @Test func aValueThatShouldStandInTheBody() {
        expect(
            .values, .malformed,
            pull(large: [400, 500]) { frame in
                guard case .values(var piece) = frame else { return [frame] }
                piece.values = [[UInt8](repeating: 0, count: 200), [UInt8](repeating: 0, count: 700)]
                return [.values(piece)]
            })
    }

    @Test func anotherCountOfValues() {
        expect(
            .values, .malformed,
            pull(large: [400, 500]) { frame in
                guard case .changeSet(var start) = frame else { return [frame] }
                start.valueCount = 100
                return [.changeSet(start)]
            })
        expect(
            .values, .malformed,
            pull(large: []) { frame in
                guard case .changeSet(var start) = frame else { return [frame] }
                start.valueCount = 1
                return [.changeSet(start)]
            })
    }

    @Test func aChangeSetInsideAnother() {
        expect(
            .unexpectedFrame, .malformed,
            pull(large: [400]) { frame in
                if case .values = frame { return [] }
                return [frame]
            })
    }

    @Test func valuesWithoutAChangeSet() {
        expect(
            .unexpectedFrame, .malformed,
            pull(large: [400]) { frame in
                if case .changeSet = frame { return [] }
                return [frame]
            })
    }

    @Test func somethingBeforeTheGreeting() {
        expect(
            .unexpectedFrame, .malformed,
            pull { frame in
                guard case .greeting = frame else { return [frame] }
                return [.ping(number: 1, clock: WallClock(milliseconds: 1)), frame]
            })
    }

    @Test(arguments: [
        "greeting", "join", "announcement", "histories", "whole vector", "stream end twice", "after the end",
    ])
    func framesOutOfState(which: String) {
        expect(
            .unexpectedFrame, .malformed,
            pull { frame in
                switch (which, frame) {
                case ("greeting", .greeting): return [frame, frame]
                case ("join", .greeting):
                    return [frame, .joinRequest(JoinRequest(certificateRequest: [], invitation: [], proof: []))]
                case ("announcement", .greeting): return [frame, .announcement(VersionVector())]
                case ("histories", .greeting): return [frame, .histories(Identifier128(high: 1, low: 1))]
                case ("whole vector", .greeting): return [frame, .wholeVector(VersionVector())]
                case ("stream end twice", .changeSet):
                    return [frame, .streamEnd(VersionVector()), .streamEnd(VersionVector())]
                case ("after the end", .changeSet): return [frame, .streamEnd(VersionVector())]
                default: return [frame]
                }
            }, applied: 1)
    }

    @Test func aStreamThatEndsWithoutWhatWasGreetedIsNoSuccess() {
        let (dialler, _, _) = pull { frame in
            if case .changeSet = frame { return [] }
            return [frame]
        }
        #expect(dialler.ending == .incomplete(missing: 3))
    }

    @Test func aChangeSetNobodyAskedFor() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        left.write(as: origin(1))
        let pair = network.connect(left, right, .pull)
        let frames = FrameCodec.frames(of: left.log[0].changeSet)
        pair.dialler.tamper = { $0.name == "goodbye" ? frames : [$0] }
        network.world.run()
        guard case .violated(let violation) = pair.answerer.ending else { return missing("let through") }
        #expect(violation.rule == .unexpectedFrame)
        #expect(right.applied.isEmpty)
    }

    @Test func whatTheStoreRefuses() {
        let network = Network()
        let (left, right) = (FakeReplica(node(1)), FakeReplica(node(2)))
        right.write(as: origin(2))
        let notice = ErrorNotice(code: .malformed, message: "a change set breaks its chain")
        let (dialler, answerer) = network.exchange(left, right, .pull) { dialler, _ in
            dialler.applyFailure = .peer(notice)
        }
        guard case .violated(let violation) = dialler.ending else { return missing("let through") }
        #expect(violation.rule == .changeSet)
        #expect(answerer.ending == .peerError(notice))
    }

    @Test func silenceBeforeTheGreetingEndsAfterTenSeconds() {
        let network = Network()
        let pair = network.connect(FakeReplica(node(1)), FakeReplica(node(2)), .pull)
        pair.dialler.tamper = { $0.name == "greeting" ? [] : [$0] }
        network.world.run(milliseconds: 9_900)
        #expect(pair.answerer.ending == nil && pair.dialler.ending == nil)
        network.world.run(milliseconds: 200)
        #expect(pair.answerer.ending == .timedOut(.greeting))
        #expect(pair.dialler.ending != nil)
    }

    @Test func refusingTellsThePeerWhy() {
        let network = Network()
        let pair = network.connect(FakeReplica(node(1)), FakeReplica(node(2)), .live)
        let notice = ErrorNotice(code: .refused, message: "revoked")
        network.world.schedule(after: 1_000_000) { pair.answerer.give(.refuse(notice)) }
        network.world.run()
        #expect(pair.answerer.ending == .refused(notice))
        #expect(pair.dialler.ending == .peerError(notice))
    }
}

/// Records that what a test is about did not happen.
private func missing(_ what: Comment, location: SourceLocation = #_sourceLocation) {
    Issue.record(what, sourceLocation: location)
}
