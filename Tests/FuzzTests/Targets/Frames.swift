// Frames: bytes off a TLS session, from whoever has a certificate, or wants one.
import NIOCore
import ReplicationModel
import ReplicationWire

@testable import PeerTransport

extension FuzzTarget {
    /// The bytes of one frame.
    static let frame = FuzzTarget("frame", maximumBytes: 16 << 10, testRuns: 4000, seeds: { SampleFrames.encoded }) {
        bytes in
        guard let frame = try? FrameCodec.decode(bytes) else { return }
        try expect(frame.flowBytes <= UInt64(bytes.count) * 20 + 256, "flow bytes beyond what was sent")
        let again = try decoded(FrameCodec.encode(frame))
        try expect(again == frame, "\(frame.name): encoding and decoding changes it")
    }

    /// Frames with their lengths before them, in pieces as a socket gives them.
    static let stream = FuzzTarget("stream", seeds: { SampleFrames.streams }) { bytes in
        var source = ByteSource(bytes)
        let limit = source.pick([16, 1024, 64 << 10])
        let pieceBytes = source.below(64) + 1
        let stream = source.all()
        var whole: [[UInt8]] = []
        var pieces: [[UInt8]] = []
        let wholeEnd = assemble(stream, pieceBytes: max(stream.count, 1), limit: limit) { whole.append($0) }
        let piecesEnd = assemble(stream, pieceBytes: pieceBytes, limit: limit) { pieces.append($0) }
        try expect(whole == pieces && wholeEnd == piecesEnd, "frames depend on how they came in pieces")
        try expect(whole.allSatisfy { !$0.isEmpty && $0.count <= limit }, "a frame beyond the limit")
    }

    private static func assemble(
        _ stream: [UInt8], pieceBytes: Int, limit: Int, _ take: ([UInt8]) -> Void
    ) -> FrameAssembler.BadLength? {
        var assembler = FrameAssembler(limit: limit)
        for start in stride(from: 0, to: stream.count, by: pieceBytes) {
            var buffer = ByteBuffer(bytes: stream[start..<min(start + pieceBytes, stream.count)])
            do {
                while let frame = try assembler.next(from: &buffer) { take(frame) }
            } catch {
                return error
            }
        }
        return nil
    }
}

/// What this side itself encoded must be within every bound.
func decoded(_ bytes: [UInt8]) throws -> ExchangeFrame {
    do {
        return try FrameCodec.decode(bytes)
    } catch {
        throw Finding("a frame that was encoded here is refused: \(error.description)")
    }
}

/// One of each kind of frame.
enum SampleFrames {
    static let workspace = WorkspaceID(Identifier128(high: 7, low: 7))
    static func node(_ number: UInt64) -> NodeID { NodeID(Identifier128(high: number, low: number)) }
    static func origin(_ number: UInt64) -> Origin { Origin(node: node(number), incarnation: 1) }
    static let vector = VersionVector([origin(1): SequenceNumber(3), origin(3): SequenceNumber(1)])
    static let held = HeldChangeSet(
        dot: Dot(origin: origin(3), sequence: SequenceNumber(2)), cause: .clockAhead, detail: "ahead",
        releaseAt: WallClock(milliseconds: 5))

    private static let dot = Dot(origin: origin(1), sequence: SequenceNumber(2))
    private static let declared = DeclaredTable(name: "notes", fields: [Field(name: "title", columns: ["title"])])
    private static let part = ItemPart(
        name: "title", value: Identifier128(high: 1, low: 1), versions: Identifier128(high: 2, low: 2),
        current: Version(stamp: Stamp(WallClock(milliseconds: 5)), origin: origin(1), sequence: SequenceNumber(2)))
    private static var heads: Heads {
        var heads = Heads()
        for (origin, sequence) in vector.entries {
            heads.insert(Dot(origin: origin, sequence: sequence), Identifier128(high: 7, low: sequence.rawValue))
        }
        return heads
    }

    static var all: [ExchangeFrame] {
        let clock = WallClock(milliseconds: 1_000_000)
        let sealed = SampleChangeSets.chain(large: true)
        return [
            .greeting(
                Greeting(
                    workspace: workspace, node: node(2), clock: clock, applied: VectorDelta(whole: vector),
                    safeBelow: SafeBelow([origin(1): .zero]), rosterDigest: [1], schemaDigest: [2], mode: .live,
                    backlog: Backlog(changeSets: 1, changes: 2, bytes: 3, oldest: clock), held: [held],
                    software: "syncnode", windowBytes: 1 << 20, remembers: Identifier128(high: 1, low: 2),
                    histories: Identifier128(high: 3, low: 4), asks: true)),
            .wholeVector(vector),
            .rosterRecords(RosterRecords(records: [[1, 2], [3]], digest: [4], more: true)),
            .streamEnd(vector),
            .acknowledgement(
                Acknowledgement(applied: vector, safeBelow: .all, receivedBytes: 500, held: [held])),
            .announcement(vector), .histories(Identifier128(high: 5, low: 6)),
            .thirdNodes([ThirdNode(node: node(4), applied: vector, asOf: clock)]),
            .ping(number: 1, clock: clock), .pong(number: 1, pingClock: clock, clock: clock),
            .error(ErrorNotice(code: .busy, message: "later", retryAfterMilliseconds: 60_000)), .goodbye,
            .question(dot), .question(nil), .again(dot), .answer(dot, sealed.first), .answer(dot, nil), .headsQuestion,
            .heads(heads),
            .comparisonQuestion(
                ComparisonQuestion(
                    vector: Identifier128(high: 1, low: 2), scope: [declared], wantsDeclarations: true,
                    ranges: [
                        RangeQuestion(ComparisonRange(.table("notes")), .fingerprints(boundaries: [[97], [98]])),
                        RangeQuestion(ComparisonRange(.ledger, from: [1], to: [2]), .items),
                        RangeQuestion(ComparisonRange(.origins), .parts(keys: [[1], [2]])),
                    ])),
            .comparisonAnswer(.moved(vector)), .comparisonAnswer(.catchingUp),
            .comparisonAnswer(
                .ranges(
                    [
                        .fingerprints([RangeFingerprint(count: 2, fingerprint: Identifier128(high: 3, low: 4))]),
                        .items([ItemFingerprint(key: [97], fingerprint: Identifier128(high: 5, low: 6))], more: true),
                        .parts([[part], []]),
                    ], declared: [declared])),
            .joinRequest(JoinRequest(certificateRequest: [0x30, 0], invitation: [1], proof: [2])),
            .joinResponse(
                JoinResponse(
                    workspace: workspace, workspaceName: "desk", certificate: [1], authority: [2],
                    rosterRecords: [[3]])),
        ] + sealed.flatMap { FrameCodec.frames(of: $0) }
    }

    static var encoded: [[UInt8]] { all.map(FrameCodec.encode) }

    static var streams: [[UInt8]] {
        let frames = encoded.filter { $0.count < 1000 }
        return [
            [2, 200] + frames.flatMap(framed), [1, 3] + frames.prefix(4).flatMap(framed), [0, 0] + framed([1]),
        ]
    }

    private static func framed(_ frame: [UInt8]) -> [UInt8] {
        [0, 0, UInt8(frame.count >> 8), UInt8(frame.count & 0xff)] + frame
    }
}
