// The session machine, fed by a peer that has proven its key and does what it likes.
import ReplicationCore
import ReplicationModel
import ReplicationWire

extension FuzzTarget {
    /// A script of frames, timers and answers of the store.
    static let session = FuzzTarget("session", testRuns: 1500, seeds: { SessionScript.seeds }) { bytes in
        var script = SessionScript(bytes)
        try script.play()
    }
}

/// One session against a hostile peer. Every frame goes through its bytes.
private struct SessionScript {
    private static let ours = SampleFrames.node(1)
    private static let theirs = SampleFrames.node(2)
    private static let stepLimit = 400

    private var source: ByteSource
    private var session: SyncSession
    private let limits: SessionLimits
    private var local: LocalState
    private var clock: Int64 = 0
    private var hostile = ChangeSetMaker(origin: SampleFrames.origin(3))
    /// What the session asked of the store and was not answered yet.
    private var asked: [SessionOutput] = []
    private var isApplying = false
    private var deliveredBytes: UInt64 = 0
    private var closings = 0

    init(_ bytes: [UInt8]) {
        source = ByteSource(bytes)
        var limits = SessionLimits()
        limits.windowBytes = source.pick([100, 3000, FrameLimits.defaultWindowBytes])
        limits.batchBytes = source.pick([1, 4 << 20])
        self.limits = limits
        let role: SessionRole = source.flag() ? .answering : .dialling(source.pick([.pull, .push, .sync, .live]))
        local = LocalState(
            applied: VersionVector([SampleFrames.origin(1): SequenceNumber(3)]), rosterDigest: source.flag() ? [1] : [],
            held: source.flag() ? [SampleFrames.held] : [],
            thirdNodes: [
                ThirdNode(node: SampleFrames.node(5), applied: SampleFrames.vector, asOf: WallClock(milliseconds: 0))
            ])
        session = SyncSession(
            SessionConfiguration(
                role: role, workspace: SampleFrames.workspace, node: Self.ours, peer: Self.theirs, software: "fuzz",
                local: local, limits: limits),
            at: Moment(uptime: Uptime(microseconds: 0), wall: WallClock(milliseconds: 0)))
    }

    mutating func play() throws {
        try handle(.opened)
        if source.flag() { try deliver(bytes: FrameCodec.encode(.greeting(greeting(honest: true)))) }
        var steps = 0
        while !source.isEmpty, steps < Self.stepLimit {
            steps += 1
            try step()
        }
        // A session that the peer leaves ends, whatever went before, once the store has answered.
        try handle(.transportClosed("end"))
        var answers = 0
        while !asked.isEmpty, answers < 1000 {
            answers += 1
            try answer(failing: false)
        }
        try expect(closings == 1, "the session did not end")
        try expect(session.handle(.frame(.goodbye), at: moment()).isEmpty, "something comes after the end")
    }

    private func moment() -> Moment {
        Moment(uptime: Uptime(microseconds: clock), wall: WallClock(milliseconds: clock / 1000))
    }

    private mutating func step() throws {
        clock += Int64(source.byte()) * 100_000
        switch source.below(24) {
        case 0: try handle(.timer(source.pick(SessionTimer.allCases)))
        case 1...4: try answer(failing: source.byte() > 240)
        case 5:
            local.applied[SampleFrames.origin(UInt64(source.below(6)))] = SequenceNumber(source.number() >> 16)
            try handle(.localChanged(local))
        case 6:
            try handle(
                source.pick([
                    .stop, .ask(ComparisonQuestion(vector: Identifier128(high: 1, low: 1), wantsDeclarations: true)),
                    .rosterMerged(digest: [9], before: nil), .backlogCounted(.none),
                    .rosterRead([[1]], digest: [1]),
                    .rewound,
                    .askSigned(Dot(origin: SampleFrames.origin(2), sequence: SequenceNumber(5))),
                ]))
        case 7: try deliver(bytes: source.run())
        default: try deliver(bytes: FrameCodec.encode(frame()))
        }
    }

    private mutating func deliver(bytes: [UInt8]) throws {
        do {
            let frame = try FrameCodec.decode(bytes)
            deliveredBytes += frame.flowBytes
            try handle(.frame(frame))
        } catch let error as FrameError {
            try handle(.undecodable(error))
        }
    }

    // MARK: What the session does

    private mutating func handle(_ input: SessionInput) throws {
        for output in session.handle(input, at: moment()) {
            try expect(closings == 0, "an output after the end")
            switch output {
            case .close: closings += 1
            case .send(let frame): try check(sent: frame)
            case .applyBatch(let batch, _):
                try expect(!isApplying, "a second batch before the first is applied")
                try expect(!batch.isEmpty, "a batch of nothing")
                isApplying = true
                asked.append(output)
            case .readOutgoing, .countBacklog, .readRoster, .mergeRoster, .compare, .readSigned, .readAgain,
                .examineAnswer, .checkHistories, .readHeads, .compareHeads:
                asked.append(output)
            case .rememberThirdNodes(let nodes):
                try expect(nodes.allSatisfy { $0.asOf <= moment().wall }, "second-hand news of the future")
            case .setTimer, .cancelTimer, .rememberPeer, .event: break
            }
        }
    }

    private func check(sent frame: ExchangeFrame) throws {
        _ = try decoded(FrameCodec.encode(frame))
        if case .acknowledgement(let acknowledgement) = frame {
            try expect(acknowledgement.receivedBytes <= deliveredBytes, "more is acknowledged than came")
        }
    }

    /// The store does the oldest thing that it was asked.
    private mutating func answer(failing: Bool) throws {
        guard !asked.isEmpty else { return }
        switch asked.removeFirst() {
        case .applyBatch(let batch, _):
            isApplying = false
            if failing {
                let notice = ErrorNotice(code: .malformed, message: "refused")
                return try handle(.applyFailed(source.flag() ? .peer(notice) : .ours(notice)))
            }
            for sealed in batch {
                guard let header = try? ChangeSetCodec.decodeHeader(sealed.body) else {
                    throw Finding("a change set without a header reached the store")
                }
                local.applied[header.origin] = max(local.applied[header.origin], header.sequence)
            }
            try handle(
                .applied(
                    ApplyReport(applied: local.applied, held: [], received: Tally(changeSets: UInt64(batch.count)))))
        case .readOutgoing(let request): try handle(.outgoing(outgoing(request)))
        case .countBacklog: try handle(.backlogCounted(Backlog(changeSets: 1, changes: 1, bytes: 1, oldest: nil)))
        case .readRoster: try handle(.rosterRead([[1], [2]], digest: local.rosterDigest))
        case .compare:
            try handle(
                .compared(
                    source.pick([.catchingUp, .moved(local.applied), .ranges([.items([], more: false)], declared: [])]))
            )
        case .readSigned(let dot): try handle(.signedRead(Self.signed(dot)))
        case .readAgain(let dot):
            try handle(
                .againRead(Self.signed(dot).map { OutgoingChangeSet(dot: dot, changes: 1, changeSet: $0) }))
        case .checkHistories: try handle(.historiesChecked(areEqual: source.flag()))
        case .readHeads: try handle(.headsRead(Heads()))
        case .compareHeads(let heads):
            try handle(
                .headsCompared(
                    heads.vector.entries.map { Dot(origin: $0.key, sequence: $0.value) }.filter { _ in failing }))
        case .examineAnswer(let dot, _):
            let next = Dot(origin: dot.origin, sequence: SequenceNumber(UInt64(source.below(8))))
            try handle(failing ? .rewound : .examined(next: source.flag() ? next : nil))
        case .mergeRoster:
            try handle(
                failing
                    ? .rosterRefused("no")
                    : .rosterMerged(digest: [UInt8(source.below(3))], before: source.flag() ? nil : [1]))
        default: break
        }
    }

    /// Without its values, as one is asked for.
    private static func signed(_ dot: Dot) -> SealedChangeSet? {
        guard dot.origin == SampleFrames.origin(1), (1...3).contains(dot.sequence.rawValue) else { return nil }
        return honest[Int(dot.sequence.rawValue) - 1]
    }

    /// An honest store: what follows what the peer has, in order.
    private func outgoing(_ request: OutgoingRequest) -> OutgoingBatch {
        let origin = SampleFrames.origin(1)
        let known = request.lackedBy[origin].rawValue
        guard known < min(local.applied[origin].rawValue, 3), !request.skipping.contains(origin) else {
            return OutgoingBatch(changeSets: [], reachedEnd: true)
        }
        let sealed = SealedChangeSet(body: [1], signature: [UInt8](repeating: 0, count: 64), values: [])
        let dot = Dot(origin: origin, sequence: SequenceNumber(known + 1))
        let next = Self.honest[Int(known)]
        return OutgoingBatch(
            changeSets: [OutgoingChangeSet(dot: dot, changes: 1, changeSet: next ?? sealed)],
            reachedEnd: known + 1 == local.applied[origin].rawValue)
    }

    private static let honest: [SealedChangeSet?] = {
        var source = ByteSource([])
        var maker = ChangeSetMaker(origin: SampleFrames.origin(1))
        return (0..<3).map { _ in
            let (changeSet, values) = maker.make(&source, context: VersionVector())
            let body = ChangeSetCodec.encode(changeSet)
            maker.follow(changeSet, body: body)
            return SealedChangeSet(body: body, signature: [UInt8](repeating: 0, count: 64), values: values)
        }
    }()

    // MARK: What the peer sends

    private mutating func vector() -> VersionVector {
        var result = VersionVector()
        for _ in 0..<source.below(4) {
            // Mostly one that may be: what is beyond the limit ends the session at once.
            let sequence = SequenceNumber(source.number() >> (source.byte() > 240 ? 0 : 16))
            result[SampleFrames.origin(UInt64(source.below(6)))] = sequence
        }
        return result
    }

    private mutating func time() -> WallClock { WallClock(milliseconds: Int64(bitPattern: source.number())) }

    private mutating func held() -> [HeldChangeSet] {
        (0..<source.below(3)).map { _ in
            let dot = Dot(
                origin: SampleFrames.origin(UInt64(source.below(6))), sequence: SequenceNumber(source.number()))
            return HeldChangeSet(dot: dot, cause: source.pick(HeldCause.allCases), detail: "", releaseAt: nil)
        }
    }

    private mutating func greeting(honest: Bool) -> Greeting {
        Greeting(
            protocolVersion: honest || source.flag() ? 1 : UInt32(source.byte()), workspace: SampleFrames.workspace,
            node: honest || source.flag() ? Self.theirs : Self.ours,
            clock: honest ? WallClock(milliseconds: 5) : time(), applied: VectorDelta(whole: vector()),
            safeBelow: SafeBelow(vector().entries), rosterDigest: source.bytes(source.below(3)),
            mode: honest || source.flag()
                ? SyncMode(receive: source.flag(), send: source.flag(), live: source.flag()) : nil,
            backlog: source.flag()
                ? Backlog(changeSets: source.number(), changes: source.number(), bytes: 0, oldest: nil) : nil,
            held: held(), windowBytes: source.pick([0, 1, 400, 1 << 20, 1 << 53]),
            remembers: source.flag() ? Identifier128(high: 1, low: 1) : nil, baseUnknown: source.byte() > 230,
            asks: source.byte() > 230)
    }

    private mutating func frame() -> ExchangeFrame {
        switch source.below(22) {
        case 0: return .greeting(greeting(honest: false))
        case 1: return .wholeVector(vector())
        case 2: return .rosterRecords(RosterRecords(records: [[1]], digest: [source.byte()], more: source.flag()))
        case 3...6: return changeSet()
        case 7...10:
            let piece = [UInt8](repeating: 1, count: source.pick([0, 1, 256, 257, 300, 512]))
            return .values(ValuesPiece(values: [piece], continues: source.byte() > 180))
        case 11: return .streamEnd(vector())
        case 12, 13:
            return .acknowledgement(
                Acknowledgement(
                    applied: vector(), safeBelow: SafeBelow(vector().entries), receivedBytes: source.number(),
                    held: held()))
        case 14:
            return source.flag() ? .announcement(vector()) : .histories(Identifier128(high: 0, low: source.number()))
        case 15:
            return .thirdNodes([ThirdNode(node: SampleFrames.node(4), applied: vector(), asOf: time())])
        case 16:
            return source.flag()
                ? .ping(number: source.number(), clock: time())
                : .pong(number: source.number(), pingClock: time(), clock: time())
        case 17: return source.flag() ? .question(source.flag() ? dot() : nil) : .again(dot())
        case 18: return .answer(dot(), source.flag() ? Self.signed(dot()) : nil)
        case 19:
            guard source.flag() else { return .headsQuestion }
            var heads = Heads()
            for (origin, sequence) in vector().entries {
                heads.insert(Dot(origin: origin, sequence: sequence), Identifier128(high: 1, low: 1))
            }
            return .heads(heads)
        case 20:
            return source.flag()
                ? .comparisonQuestion(
                    ComparisonQuestion(vector: Identifier128(high: 1, low: 1), wantsDeclarations: true))
                : .comparisonAnswer(.moved(vector()))
        default:
            return source.byte() > 200
                ? .goodbye : .error(ErrorNotice(code: .busy, message: "", retryAfterMilliseconds: 1))
        }
    }

    private mutating func dot() -> Dot {
        Dot(origin: SampleFrames.origin(UInt64(source.below(4))), sequence: SequenceNumber(UInt64(source.below(8))))
    }

    /// The next of the peer's change sets, or the last one again.
    private mutating func changeSet() -> ExchangeFrame {
        let (changeSet, values) = hostile.make(&source, context: VersionVector())
        let body = ChangeSetCodec.encode(changeSet)
        if source.byte() < 220 { hostile.follow(changeSet, body: body) }
        let absent = source.byte() > 240 ? [source.below(3)] : values.indices.filter { values[$0] == nil }
        return .changeSet(
            ChangeSetStart(
                header: nil, body: body, signature: [UInt8](repeating: 1, count: 64),
                valueCount: source.byte() > 240 ? source.below(9) : values.count, absent: absent))
    }

    static let seeds: [[UInt8]] = {
        // Choices that lead deep: an honest greeting, then change sets, values and answers in turn.
        let opening: [UInt8] = [2, 1, 1, 0, 0, 1]
        let greeting = [UInt8](repeating: 1, count: 24)
        let changes = (0..<12).flatMap { index -> [UInt8] in [1, 9, 3, UInt8(index)] + [UInt8](repeating: 2, count: 30)
        }
        return [
            opening + greeting + changes, opening + greeting + Array(0...255),
            [2, 1, 0, 3, 1, 0, 1] + greeting + Array((0...255).reversed()), [0, 0, 1, 1, 1, 1] + greeting + changes,
        ]
    }()
}
