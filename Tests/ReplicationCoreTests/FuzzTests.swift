// A hostile peer: any frame in any state, and any bytes. Nothing may trap.
import Chance
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct FuzzTests {
    @Test(arguments: 0..<40)
    func anyFrameInAnyStateEndsOrIsTaken(block: Int) {
        for run in 0..<50 {
            var random = SeededRandom(seed: UInt64(block * 50 + run + 1))
            let replica = FakeReplica(node(1))
            for _ in 0..<4 { replica.write(as: origin(1), large: [300]) }
            let modes: [SyncMode] = [.pull, .push, .sync, .live]
            let role: SessionRole =
                Bool.random(using: &random) ? .answering : .dialling(modes.randomElement(using: &random) ?? .pull)
            var limits = SessionLimits()
            limits.windowBytes = [100, 10_000, 8 << 20].randomElement(using: &random) ?? 100
            let configuration = SessionConfiguration(
                role: role, workspace: workspace, node: node(1), peer: node(2), software: "", local: replica.state,
                limits: limits)
            var clock: Int64 = 0
            func moment() -> Moment {
                Moment(uptime: Uptime(microseconds: clock), wall: WallClock(milliseconds: clock / 1000))
            }
            var session = SyncSession(configuration, at: moment())
            var closings = 0
            var inputs: [SessionInput] = [.opened]
            if run.isMultiple(of: 4) == false {
                inputs.append(.frame(.greeting(randomGreeting(&random, honest: true))))
            }
            for _ in 0..<40 { inputs.append(randomInput(&random, replica)) }
            inputs.append(.transportClosed("end"))
            while !inputs.isEmpty {
                let input = inputs.removeFirst()
                clock += Int64.random(in: 0...20_000_000, using: &random)
                for output in session.handle(input, at: moment()) {
                    #expect(closings == 0, "nothing after close")
                    switch output {
                    case .close: closings += 1
                    case .applyBatch(let batch, _): inputs.insert(.applied(replica.apply(batch)), at: 0)
                    case .readOutgoing(let request): inputs.insert(.outgoing(replica.read(request)), at: 0)
                    case .countBacklog(let vector, let skipping):
                        inputs.insert(.backlogCounted(replica.backlog(lackedBy: vector, skipping: skipping)), at: 0)
                    case .mergeRoster: inputs.insert(.rosterMerged(digest: [1], before: nil), at: 0)
                    case .send(let frame): _ = FrameCodec.encode(frame)
                    default: break
                    }
                }
            }
            #expect(closings == 1)
            #expect(replica.complaints == [])
        }
    }

    @Test func anyBytesAreAFrameOrAreRefused() {
        var random = SeededRandom(seed: 11)
        var samples: [[UInt8]] = []
        let replica = FakeReplica(node(1))
        replica.write(as: origin(1), large: [300, 400])
        samples += FrameCodec.frames(of: replica.log[0].changeSet).map(FrameCodec.encode)
        for _ in 0..<200 { samples.append(FrameCodec.encode(randomFrame(&random, replica))) }
        var refused = 0
        for run in 0..<20_000 {
            var bytes = samples[run % samples.count]
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...3, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
                default: bytes.removeSubrange(at...)
                }
            }
            do { _ = try FrameCodec.decode(bytes) } catch { refused += 1 }
        }
        #expect(refused > 1_000 && refused < 20_000)
    }

    private func pick<Choice>(_ choices: [Choice], _ random: inout SeededRandom) -> Choice {
        choices[Int.random(in: 0..<choices.count, using: &random)]
    }

    private func randomInput(_ random: inout SeededRandom, _ replica: FakeReplica) -> SessionInput {
        switch Int.random(in: 0...24, using: &random) {
        case 0: return .timer(SessionTimer.allCases.randomElement(using: &random) ?? .greeting)
        case 1:
            replica.write(as: origin(1))
            return .localChanged(replica.state)
        case 2: return .backlogCounted(.none)
        case 3: return .outgoing(OutgoingBatch(changeSets: [], reachedEnd: Bool.random(using: &random)))
        case 4: return .rosterRead([[1]], digest: [1])
        case 5: return .rosterMerged(digest: [2], before: [1])
        default: return .frame(randomFrame(&random, replica))
        }
    }

    private func randomVector(_ random: inout SeededRandom) -> VersionVector {
        var result = VersionVector()
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let sequence = pick([1, 2, 5, 1 << 48] as [UInt64], &random)
            result[origin(UInt64.random(in: 1...4, using: &random))] = SequenceNumber(sequence)
        }
        return result
    }

    private func randomGreeting(_ random: inout SeededRandom, honest: Bool) -> Greeting {
        let clock = pick([0, 1 << 53, -(1 << 53), 5] as [Int64], &random)
        return Greeting(
            workspace: workspace, node: node(honest ? 2 : UInt64.random(in: 1...3, using: &random)),
            clock: WallClock(milliseconds: clock), applied: VectorDelta(whole: randomVector(&random)),
            rosterDigest: Bool.random(using: &random) ? [] : FakeReplica(node(1)).rosterDigest,
            mode: honest || Bool.random(using: &random)
                ? SyncMode(receive: Bool.random(using: &random), send: true, live: Bool.random(using: &random)) : nil,
            backlog: Bool.random(using: &random) ? Backlog.none : nil,
            windowBytes: pick([0, 1, 1 << 20, 1 << 53] as [UInt64], &random),
            baseUnknown: Int.random(in: 0...5, using: &random) == 0, asks: Int.random(in: 0...5, using: &random) == 0)
    }

    private func randomFrame(_ random: inout SeededRandom, _ replica: FakeReplica) -> ExchangeFrame {
        let number = pick([0, 1, 700, 1 << 53] as [UInt64], &random)
        let clock = WallClock(milliseconds: pick([0, 1 << 53, -(1 << 53)] as [Int64], &random))
        let dot = Dot(origin: origin(UInt64.random(in: 1...4, using: &random)), sequence: SequenceNumber(number >> 5))
        let held = HeldChangeSet(dot: dot, cause: .unknownTable, detail: "", releaseAt: nil)
        switch Int.random(in: 0...20, using: &random) {
        case 0: return .greeting(randomGreeting(&random, honest: false))
        case 1: return .wholeVector(randomVector(&random))
        case 2: return .rosterRecords(RosterRecords(records: [[1]], digest: [1], more: Bool.random(using: &random)))
        case 3...7:
            let other = FakeReplica(node(3))
            let count = Int.random(in: 1...3, using: &random)
            for _ in 0..<count { other.write(as: origin(3), large: Bool.random(using: &random) ? [300] : []) }
            let changeSet = other.log[count - 1].changeSet
            guard case .changeSet(var start) = FrameCodec.frames(of: changeSet)[0] else { return .goodbye }
            start.header = try? ChangeSetCodec.decodeHeader(start.body)
            if Int.random(in: 0...4, using: &random) == 0 { start.valueCount = Int.random(in: 0...9, using: &random) }
            if Int.random(in: 0...4, using: &random) == 0 { start.absent = [0] }
            return .changeSet(start)
        case 8...11:
            let length = [1, 256, 299, 300].randomElement(using: &random) ?? 1
            let piece = [UInt8](repeating: 1, count: length)
            return .values(ValuesPiece(values: [piece], continues: Bool.random(using: &random)))
        case 12: return .streamEnd(randomVector(&random))
        case 13, 14:
            return .acknowledgement(
                Acknowledgement(
                    applied: randomVector(&random), safeBelow: SafeBelow([origin(1): .zero]), receivedBytes: number,
                    held: Bool.random(using: &random) ? [held] : []))
        case 15: return .announcement(randomVector(&random))
        case 16: return .thirdNodes([ThirdNode(node: node(4), applied: randomVector(&random), asOf: clock)])
        case 17: return .ping(number: number, clock: clock)
        case 18: return .pong(number: number, pingClock: clock, clock: clock)
        case 19: return .histories(Identifier128(high: number, low: 1))
        default: return Int.random(in: 0...9, using: &random) == 0 ? .goodbye : .ping(number: 1, clock: clock)
        }
    }
}
