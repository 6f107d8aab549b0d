// Frames to bytes and back, and the bounds on them.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct FrameTests {
    private let vector = VersionVector([origin(1): SequenceNumber(5), origin(2, 9): SequenceNumber(1 << 40)])
    private let held = HeldChangeSet(
        dot: Dot(origin: origin(3), sequence: SequenceNumber(2)), cause: .clockAhead, detail: "7 minutes",
        releaseAt: WallClock(milliseconds: 99))

    private func bothWays(_ frame: ExchangeFrame, location: SourceLocation = #_sourceLocation) {
        do {
            let decoded = try FrameCodec.decode(FrameCodec.encode(frame))
            #expect(decoded == frame, sourceLocation: location)
        } catch {
            Issue.record("\(frame.name): \(error)", sourceLocation: location)
        }
    }

    private func refused(_ frame: ExchangeFrame, tooLarge: Bool = true, location: SourceLocation = #_sourceLocation) {
        do {
            _ = try FrameCodec.decode(FrameCodec.encode(frame))
            Issue.record("\(frame.name) was let through", sourceLocation: location)
        } catch {
            #expect(error.isTooLarge == tooLarge, sourceLocation: location)
        }
    }

    @Test func everyFrameComesBackAsItWas() {
        var greeting = Greeting(
            workspace: workspace, node: node(1), clock: WallClock(milliseconds: -5), applied: VectorDelta(whole: vector)
        )
        bothWays(.greeting(greeting))
        let base = RememberedVector(vector: vector, digest: Identifier128(high: 1, low: 2))
        greeting.applied = VectorDelta(vector, since: base)
        greeting.safeBelow = SafeBelow([origin(1): .zero])
        greeting.rosterDigest = [1, 2]
        greeting.schemaDigest = [3]
        greeting.mode = .live
        greeting.backlog = Backlog(changeSets: 1, changes: 2, bytes: 3, oldest: WallClock(milliseconds: 4))
        greeting.held = [held]
        greeting.software = "syncnode 0.1.0"
        greeting.windowBytes = 77
        greeting.remembers = Identifier128(high: 3, low: 4)
        greeting.baseUnknown = true
        greeting.asks = true
        bothWays(.greeting(greeting))
        bothWays(.wholeVector(vector))
        bothWays(.rosterRecords(RosterRecords(records: [[1], []], digest: [9], more: true)))
        bothWays(.values(ValuesPiece(values: [[1], [2, 3]], continues: true)))
        bothWays(.streamEnd(vector))
        bothWays(
            .acknowledgement(
                Acknowledgement(
                    applied: vector, safeBelow: SafeBelow([origin(2): .zero]), receivedBytes: 8, held: [held])))
        bothWays(.announcement(VersionVector()))
        bothWays(.histories(Identifier128(high: 5, low: 6)))
        bothWays(.thirdNodes([ThirdNode(node: node(3), applied: vector, asOf: WallClock(milliseconds: 1))]))
        bothWays(.ping(number: .max, clock: WallClock(milliseconds: 1)))
        bothWays(.pong(number: 1, pingClock: WallClock(milliseconds: -1), clock: WallClock(milliseconds: 2)))
        for code in ErrorNotice.Code.allCases {
            bothWays(.error(ErrorNotice(code: code, message: "m", retryAfterMilliseconds: code == .busy ? 5 : nil)))
        }
        bothWays(.goodbye)
        bothWays(.joinRequest(JoinRequest(certificateRequest: [1], invitation: [2], proof: [3])))
        bothWays(
            .joinResponse(
                JoinResponse(
                    workspace: workspace, workspaceName: "w", certificate: [1], authority: [2], rosterRecords: [[3]])))
        for cause in HeldCause.allCases {
            let one = HeldChangeSet(dot: held.dot, cause: cause, detail: "", releaseAt: nil)
            bothWays(.acknowledgement(Acknowledgement(applied: vector, safeBelow: .all, receivedBytes: 0, held: [one])))
        }
    }

    @Test func aChangeSetCarriesItsHeader() throws {
        let replica = FakeReplica(node(1))
        replica.write(as: origin(1), large: [300, 600_000])
        let frames = FrameCodec.frames(of: replica.log[0].changeSet)
        #expect(frames.map(\.name) == ["change set", "values", "values", "values"])
        let decoded = try FrameCodec.decode(FrameCodec.encode(frames[0]))
        guard case .changeSet(let start) = decoded else {
            Issue.record("\(decoded.name)")
            return
        }
        #expect(start.header?.dot == replica.log[0].dot)
        #expect(start.valueCount == 2 && decoded.flowBytes == frames[0].flowBytes)
    }

    @Test func everyBoundIsKept() {
        let text = String(repeating: "x", count: FrameLimits.textBytes + 1)
        let long = VersionVector([origin(1): SequenceNumber(FrameLimits.sequence + 1)])
        refused(.wholeVector(long))
        bothWays(.wholeVector(VersionVector([origin(1): SequenceNumber(FrameLimits.sequence)])))
        var many: [Origin: SequenceNumber] = [:]
        for number in 0...Limits.origins { many[origin(UInt64(number))] = SequenceNumber(1) }
        refused(.wholeVector(VersionVector(many)))
        refused(.rosterRecords(RosterRecords(records: [[UInt8](repeating: 0, count: (16 << 10) + 1)], digest: [])))
        refused(.rosterRecords(RosterRecords(records: Array(repeating: [1], count: 201), digest: [])))
        refused(.rosterRecords(RosterRecords(records: [], digest: [UInt8](repeating: 0, count: 33))))
        refused(.values(ValuesPiece(values: [[UInt8](repeating: 0, count: (256 << 10) + 1)], continues: false)))
        refused(.values(ValuesPiece(values: [], continues: false)), tooLarge: false)
        refused(.values(ValuesPiece(values: [[1], []], continues: false)), tooLarge: false)
        refused(.ping(number: 1, clock: WallClock(milliseconds: (1 << 53) + 1)))
        refused(.ping(number: 1, clock: WallClock(milliseconds: .min)))
        refused(
            .acknowledgement(Acknowledgement(applied: vector, safeBelow: .all, receivedBytes: (1 << 53) + 1, held: [])))
        let holds = Array(repeating: held, count: FrameLimits.held + 1)
        refused(.acknowledgement(Acknowledgement(applied: vector, safeBelow: .all, receivedBytes: 0, held: holds)))
        refused(
            .joinRequest(JoinRequest(certificateRequest: [], invitation: [UInt8](repeating: 0, count: 65), proof: [])))
        let third = ThirdNode(node: node(1), applied: VersionVector(), asOf: WallClock(milliseconds: 0))
        refused(.thirdNodes(Array(repeating: third, count: 257)))
        refused(
            .joinResponse(
                JoinResponse(
                    workspace: workspace, workspaceName: text, certificate: [], authority: [], rosterRecords: [])))
        let body = [UInt8](repeating: 0, count: Limits.acceptedBodyBytes + 1)
        let signature = [UInt8](repeating: 0, count: 64)
        refused(.changeSet(ChangeSetStart(header: nil, body: body, signature: signature, valueCount: 0, absent: [])))
        refused(
            .changeSet(ChangeSetStart(header: nil, body: [], signature: [1], valueCount: 0, absent: [])),
            tooLarge: false)
        // Our own long text is cut, not refused by the peer.
        #expect(throws: Never.self) {
            _ = try FrameCodec.decode(FrameCodec.encode(.error(ErrorNotice(code: .internal, message: text + "é"))))
        }
        #expect(throws: FrameError.self) {
            try FrameCodec.decode([UInt8](repeating: 0, count: FrameLimits.frameBytes + 1))
        }
        #expect(throws: FrameError.self) { try FrameCodec.decode([]) }
    }

    @Test func aVectorAscendsAndAWholeOneHoldsNoZero() {
        var bytes = FrameCodec.encode(.wholeVector(vector))
        #expect(throws: Never.self) { try FrameCodec.decode(bytes) }
        // The two origins stand one after another: exchange them, then repeat one.
        let (first, second) = (origin(1).bytes, origin(2, 9).bytes)
        guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: first) }) else {
            Issue.record("no origin in the frame")
            return
        }
        bytes.replaceSubrange(start..<start + 48, with: second + first)
        #expect(throws: FrameError.self) { try FrameCodec.decode(bytes) }
        bytes.replaceSubrange(start..<start + 48, with: first + first)
        #expect(throws: FrameError.self) { try FrameCodec.decode(bytes) }

        var delta = VectorDelta(whole: vector)
        delta.entries[origin(1)] = .zero
        let clock = WallClock(milliseconds: 0)
        refused(.greeting(Greeting(workspace: workspace, node: node(1), clock: clock, applied: delta)), tooLarge: false)
        delta.base = Identifier128(high: 1, low: 1)
        bothWays(.greeting(Greeting(workspace: workspace, node: node(1), clock: clock, applied: delta)))
    }

    @Test func absentIndicesAscendWithinTheCount() throws {
        let replica = FakeReplica(node(1))
        replica.write(as: origin(1), large: [300, 400])
        let changeSet = replica.log[0].changeSet
        for (absent, isFine) in [([0, 1], true), ([1, 0], false), ([1, 1], false), ([2], false)] {
            let start = ChangeSetStart(
                header: nil, body: changeSet.body, signature: changeSet.signature, valueCount: 2, absent: absent)
            let decoded = try? FrameCodec.decode(FrameCodec.encode(.changeSet(start)))
            #expect((decoded != nil) == isFine)
        }
    }

    @Test func theLargestFramesFitTheLimit() {
        var entries: [Origin: SequenceNumber] = [:]
        for number in 0..<Limits.origins {
            entries[origin(UInt64(number), .max)] = SequenceNumber(FrameLimits.sequence)
        }
        let vector = VersionVector(entries)
        let holds = (0..<FrameLimits.held).map { number in
            HeldChangeSet(
                dot: Dot(origin: origin(UInt64(number)), sequence: SequenceNumber(1)), cause: .unknownTable,
                detail: String(repeating: "d", count: FrameLimits.textBytes), releaseAt: nil)
        }
        let acknowledgement = Acknowledgement(
            applied: vector, safeBelow: SafeBelow(entries), receivedBytes: 1 << 53, held: holds)
        #expect(FrameCodec.encode(.acknowledgement(acknowledgement)).count <= FrameLimits.frameBytes)
        let values = Int(FrameLimits.besideBytes) / 257
        let start = ChangeSetStart(
            header: nil, body: [UInt8](repeating: 0, count: Limits.acceptedBodyBytes),
            signature: [UInt8](repeating: 0, count: 64),
            valueCount: values, absent: Array(0..<values))
        #expect(FrameCodec.encode(.changeSet(start)).count <= FrameLimits.frameBytes)
        let record = [UInt8](repeating: 0, count: FrameLimits.rosterRecordBytes)
        let roster = RosterRecords(
            records: Array(repeating: record, count: FrameLimits.rosterRecordsInFrame), digest: [])
        #expect(FrameCodec.encode(.rosterRecords(roster)).count <= FrameLimits.frameBytes)
    }
}
