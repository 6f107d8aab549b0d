// Peers that send much of what is little on the wire and large in memory.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct FloodTests {
    /// A frame of one message (`field` of Frame) that holds `count` empty elements of its own `element`.
    private func frame(_ field: UInt8, _ element: UInt8, count: Int) -> [UInt8] {
        let content = [UInt8]((0..<count).flatMap { _ in [element << 3 | 2, 0] })
        return tag(field) + varint(content.count) + content
    }

    private func refusal(_ bytes: [UInt8]) -> FrameError? {
        do {
            _ = try FrameCodec.decode(bytes)
            return nil
        } catch {
            return error
        }
    }

    /// Two bytes on the wire each, some hundred in memory: counted before anything is made of them.
    @Test(arguments: [(1, 11), (2, 1), (4, 1), (5, 4), (7, 1), (13, 5), (17, 2), (18, 5)] as [(UInt8, UInt8)])
    func elementsAreCountedBeforeTheyAreDecoded(_ message: UInt8, _ element: UInt8) {
        let error = refusal(frame(message, element, count: FrameLimits.elements + 1))
        #expect(error?.isTooLarge == true && error?.description.contains("elements of one field") == true)
        let full = refusal(frame(message, element, count: 2_000_000))
        #expect(full?.isTooLarge == true)
        #expect(refusal(frame(message, element, count: 3))?.description.contains("elements of one field") != true)
    }

    /// Elements within elements count together: an answer of few ranges, and of many items in each.
    @Test(
        arguments: [(17, [2, 2]), (18, [4, 2]), (18, [5, 1]), (18, [5, 2]), (18, [5, 4]), (18, [5, 4, 1])]
            as [(UInt8, [UInt8])])
    func elementsWithinElementsAreCounted(_ message: UInt8, _ path: [UInt8]) {
        func nested(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = (0..<count).flatMap { _ in tag(path[path.count - 1]) + [0] }
            // Each level stands twice, so that no single one has too many.
            for field in path.dropLast().reversed() {
                let one = tag(field) + varint(bytes.count) + bytes
                bytes = one + one
            }
            return tag(message) + varint(bytes.count) + bytes
        }
        let copies = 1 << (path.count - 1)
        #expect(
            refusal(nested(FrameLimits.elements / copies + 1))?.description.contains("elements of one field") == true)
        #expect(refusal(nested(3))?.description.contains("elements of one field") != true)
    }

    /// Of a field that has a length.
    private func tag(_ field: UInt8) -> [UInt8] { varint(Int(field) << 3 | 2) }

    private func varint(_ number: Int) -> [UInt8] {
        var rest = number
        var bytes: [UInt8] = []
        repeat {
            bytes.append(UInt8(rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
            rest >>= 7
        } while rest > 0
        return bytes
    }

    @Test func manyMessagesAreNoFrame() {
        #expect(refusal([UInt8]((0..<2000).flatMap { _ in [0x2a, 0] as [UInt8] }))?.isTooLarge == true)
    }

    @Test func groupsAndEndsWithinAFieldAreNoFrame() {
        for bytes in [[0x0b], [0x0a, 5, 1], [0x0a, 0x80], [0x2a, 2, 0x22, 9], [0x09, 1], [0xff]] as [[UInt8]] {
            #expect(refusal(bytes)?.isTooLarge == false, "\(bytes)")
        }
    }

    @Test func whatIsAbsentIsWithinWhatThereIs() {
        let replica = FakeReplica(node(2))
        replica.write(as: origin(2), large: [300])
        guard case .changeSet(var start) = FrameCodec.frames(of: replica.log[0].changeSet)[0] else {
            Issue.record("no change set")
            return
        }
        start.valueCount = 1
        start.absent = Array(0..<100_000)
        #expect(refusal(FrameCodec.encode(.changeSet(start))) != nil)
        start.absent = []
        start.valueCount = FrameLimits.valuesBeside + 1
        #expect(refusal(FrameCodec.encode(.changeSet(start)))?.isTooLarge == true)
    }

    /// It reaches logs and terminals.
    @Test func aTextForPeopleHoldsNoControlCharacter() throws {
        let notice = ErrorNotice(code: .busy, message: "be\u{1b}[2Jware\nof \u{9b}this \u{202e}é\u{2066}")
        guard case .error(let read) = try FrameCodec.decode(FrameCodec.encode(.error(notice))) else {
            Issue.record("no error")
            return
        }
        #expect(read.message == "be [2Jware of  this  é ")
    }

    private func session(_ mode: SyncMode = .live) -> (
        SyncSession, (SessionInput, inout SyncSession) -> [SessionOutput]
    ) {
        let replica = FakeReplica(node(1))
        let moment = Moment(uptime: Uptime(microseconds: 0), wall: WallClock(milliseconds: 0))
        var session = SyncSession(
            SessionConfiguration(
                role: .answering, workspace: workspace, node: node(1), peer: node(2), software: "", local: replica.state
            ),
            at: moment)
        _ = session.handle(.opened, at: moment)
        let greeting = Greeting(
            workspace: workspace, node: node(2), clock: WallClock(milliseconds: 0),
            applied: VectorDelta(whole: VersionVector()), rosterDigest: [9], mode: mode)
        _ = session.handle(.frame(.greeting(greeting)), at: moment)
        return (session, { input, session in session.handle(input, at: moment) })
    }

    @Test func theRosterOfASessionHasABound() {
        var (session, give) = session()
        let records = RosterRecords(
            records: Array(repeating: [UInt8](repeating: 1, count: FrameLimits.rosterRecordBytes), count: 200),
            digest: [9], more: true)
        var taken = 0
        var violation: Violation?
        for _ in 0..<200 where violation == nil {
            for output in give(.frame(.rosterRecords(records)), &session) {
                if case .close(.violated(let found), _) = output { violation = found }
            }
            taken += 200 * FrameLimits.rosterRecordBytes
        }
        #expect(violation?.rule == .tooLarge)
        #expect(taken > FrameLimits.rosterBytesInSession, "and all of it may be used")
        #expect(taken <= FrameLimits.rosterBytesInSession + 200 * FrameLimits.rosterRecordBytes)
    }

    @Test func whatThePeerHoldsIsRememberedUpToABound() {
        var (session, give) = session()
        var remembered = 0
        for batch in 0..<4 {
            let held = (0..<1000).map { index in
                HeldChangeSet(
                    dot: Dot(origin: origin(5, UInt64(batch * 1000 + index)), sequence: SequenceNumber(1)),
                    cause: .unknownTable, detail: "x", releaseAt: nil)
            }
            let told = Acknowledgement(applied: VersionVector(), safeBelow: .all, receivedBytes: 0, held: held)
            for output in give(.frame(.acknowledgement(told)), &session) {
                if case .rememberPeer(let observation) = output { remembered = observation.held.count }
            }
        }
        #expect(remembered == FrameLimits.held)
        #expect(!session.isClosed)
    }
}
