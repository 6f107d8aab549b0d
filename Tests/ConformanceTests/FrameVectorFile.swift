// Reads Protocols/vectors/frames.json into frames.
//
// Invariant: nothing here encodes or decodes a frame; only the header of a change set's body is read by the codec, which has
// vectors of its own.
import Foundation
import ReplicationModel
import ReplicationWire
import Testing

struct FrameVectorFile: Decodable {
    struct Vector: Decodable, CustomTestStringConvertible {
        let name: String
        let bytes: String
        let frame: VectorFrame
        var testDescription: String { name }
    }
    struct Malformed: Decodable, CustomTestStringConvertible {
        let name: String
        let rule: String
        let bytes: String
        var testDescription: String { name }
    }
    let accepted: [Vector]
    let alternatives: [Vector]
    let malformed: [Malformed]

    static func load() throws -> FrameVectorFile {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = root.appending(path: "Protocols/vectors/frames.json")
        return try JSONDecoder().decode(FrameVectorFile.self, from: Data(contentsOf: file))
    }
}

struct VectorFrame: Decodable {
    struct Entry: Decodable {
        let origin: String
        let sequence: String
    }
    struct Held: Decodable {
        let origin: String
        let sequence: String
        let cause: String
        let detail: String
        let releaseAt: String?
    }
    struct Node: Decodable {
        let node: String
        let applied: [Entry]
        let asOf: String
    }
    struct Greeting: Decodable {
        let `protocol`: UInt32
        let workspace: String
        let node: String
        let clock: String
        let base: String?
        let applied: [Entry]
        let safeBelow: [Entry]
        let rosterDigest: String
        let schemaDigest: String
        let mode: [String]?
        let backlog: [String]?
        let held: [Held]
        let software: String
        let window: String
        let remembers: String?
        let baseUnknown: Bool
        let histories: String?
        let asks: Bool
    }

    let kind: String
    // Which of these are there depends on the kind.
    let greeting: Greeting?
    let applied: [Entry]?
    let safeBelow: [Entry]?
    let records: [String]?
    let digest: String?
    let more: Bool?
    let body: String?
    let signature: String?
    let valueCount: Int?
    let absent: [Int]?
    let values: [String]?
    let continues: Bool?
    let received: String?
    let held: [Held]?
    let nodes: [Node]?
    let number: String?
    let clock: String?
    let pingClock: String?
    let code: String?
    let message: String?
    let retryAfter: String?
    let request: String?
    let invitation: String?
    let proof: String?
    let workspace: String?
    let workspaceName: String?
    let certificate: String?
    let authority: String?
    let asked: Entry?
    let digests: [String]?
    let vector: String?
    let scope: [DeclaredVector]?
    let wantsDeclarations: Bool?
    let ranges: [RangeVector]?
    let state: String?
    let declared: [DeclaredVector]?
    let there: [RangeAnswerVector]?

    func model() throws -> ExchangeFrame {
        switch kind {
        case "greeting": return .greeting(try unwrap(greeting).model())
        case "wholeVector": return .wholeVector(try Self.vector(applied))
        case "streamEnd": return .streamEnd(try Self.vector(applied))
        case "announcement": return .announcement(try Self.vector(applied))
        case "rosterRecords":
            return .rosterRecords(
                RosterRecords(
                    records: try unwrap(records).map { try bytes($0) }, digest: try bytes(unwrap(digest)),
                    more: try unwrap(more)))
        case "changeSet":
            let body = try bytes(unwrap(body))
            return .changeSet(
                ChangeSetStart(
                    header: try ChangeSetCodec.decodeHeader(body), body: body,
                    signature: try bytes(unwrap(signature)),
                    valueCount: try unwrap(valueCount), absent: try unwrap(absent)))
        case "values":
            return .values(
                ValuesPiece(values: try unwrap(values).map { try bytes($0) }, continues: try unwrap(continues)))
        case "acknowledgement":
            return .acknowledgement(
                Acknowledgement(
                    applied: try Self.vector(applied), safeBelow: SafeBelow(try entries(safeBelow)),
                    receivedBytes: try unwrap(UInt64(unwrap(received))),
                    held: try unwrap(held).map { try $0.model() }))
        case "thirdNodes":
            return .thirdNodes(
                try unwrap(nodes).map { node in
                    ThirdNode(
                        node: try unwrap(NodeID(bytes: bytes(node.node))), applied: try Self.vector(node.applied),
                        asOf: try time(node.asOf))
                })
        case "ping": return .ping(number: try unwrap(UInt64(unwrap(number))), clock: try time(clock))
        case "pong":
            return .pong(
                number: try unwrap(UInt64(unwrap(number))), pingClock: try time(pingClock), clock: try time(clock))
        case "error":
            return .error(
                ErrorNotice(
                    code: try unwrap(ErrorNotice.Code(rawValue: unwrap(code))), message: try unwrap(message),
                    retryAfterMilliseconds: retryAfter.flatMap { UInt64($0) }))
        case "goodbye": return .goodbye
        case "question": return .question(try asked.map { try $0.dot() })
        case "again": return .again(try unwrap(asked).dot())
        case "answer":
            return .answer(
                try unwrap(asked).dot(),
                try body.map {
                    SealedChangeSet(body: try bytes($0), signature: try bytes(unwrap(signature)), values: [])
                })
        case "histories": return .histories(try unwrap(Identifier128(bytes: bytes(unwrap(digest)))))
        case "headsQuestion": return .headsQuestion
        case "heads":
            var heads = Heads()
            for (entry, digest) in zip(try unwrap(applied), try unwrap(digests)) {
                heads.insert(try entry.dot(), try unwrap(Identifier128(bytes: bytes(digest))))
            }
            return .heads(heads)
        case "comparisonQuestion":
            return .comparisonQuestion(
                ComparisonQuestion(
                    vector: try unwrap(Identifier128(bytes: bytes(unwrap(self.vector)))),
                    scope: try unwrap(scope).map { $0.model() }, wantsDeclarations: try unwrap(wantsDeclarations),
                    ranges: try unwrap(ranges).map { try $0.model() }))
        case "comparisonAnswer":
            switch try unwrap(state) {
            case "moved": return .comparisonAnswer(.moved(try Self.vector(applied)))
            case "catchingUp": return .comparisonAnswer(.catchingUp)
            default:
                return .comparisonAnswer(
                    .ranges(
                        try unwrap(there).map { try $0.model() }, declared: try unwrap(declared).map { $0.model() }))
            }
        case "joinRequest":
            return .joinRequest(
                JoinRequest(
                    certificateRequest: try bytes(unwrap(request)), invitation: try bytes(unwrap(invitation)),
                    proof: try bytes(unwrap(proof))))
        case "joinResponse":
            return .joinResponse(
                JoinResponse(
                    workspace: try unwrap(WorkspaceID(bytes: bytes(unwrap(workspace)))),
                    workspaceName: try unwrap(workspaceName), certificate: try bytes(unwrap(certificate)),
                    authority: try bytes(unwrap(authority)),
                    rosterRecords: try unwrap(records).map { try bytes($0) }))
        default: throw VectorError(description: "a frame of kind \(kind)")
        }
    }
}

extension VectorFrame.Greeting {
    func model() throws -> Greeting {
        func identifier(_ text: String?) throws -> Identifier128? {
            try text.map { try unwrap(Identifier128(bytes: bytes($0))) }
        }
        // A whole vector, or one against a base: there is no way to make the latter but from what it is a difference to.
        var delta = VectorDelta(whole: VersionVector())
        if let base = try identifier(base) {
            let missing = try applied.filter { $0.sequence == "0" }.map { try unwrap(Origin($0.origin)) }
            let present = applied.filter { $0.sequence != "0" }
            var remembered = VersionVector()
            for origin in missing { remembered[origin] = SequenceNumber(1) }
            // Entries that stay, so that a difference pays.
            var vector = try ReplicationModel.VersionVector(entries(present))
            for index in 0..<9 {
                let origin = Origin(node: NodeID(Identifier128(high: 9, low: UInt64(index))), incarnation: 1)
                remembered[origin] = SequenceNumber(1)
                vector[origin] = SequenceNumber(1)
            }
            delta = VectorDelta(vector, since: RememberedVector(vector: remembered, digest: base))
        } else {
            delta = VectorDelta(whole: VersionVector(try entries(applied)))
        }
        return Greeting(
            protocolVersion: `protocol`, workspace: try unwrap(WorkspaceID(bytes: bytes(workspace))),
            node: try unwrap(NodeID(bytes: bytes(node))), clock: try time(clock), applied: delta,
            safeBelow: SafeBelow(try entries(safeBelow)), rosterDigest: try bytes(rosterDigest),
            schemaDigest: try bytes(schemaDigest),
            mode: mode.map {
                SyncMode(receive: $0.contains("receive"), send: $0.contains("send"), live: $0.contains("live"))
            },
            backlog: try backlog.map { numbers in
                let values = try numbers.map { try unwrap(UInt64($0)) }
                return Backlog(
                    changeSets: values[0], changes: values[1], bytes: values[2],
                    oldest: values[3] == 0 ? nil : WallClock(milliseconds: Int64(values[3])))
            },
            held: try held.map { try $0.model() }, software: software, windowBytes: try unwrap(UInt64(window)),
            remembers: try identifier(remembers), baseUnknown: baseUnknown,
            histories: try identifier(histories), asks: asks)
    }
}

extension VectorFrame.Entry {
    func dot() throws -> Dot {
        Dot(origin: try unwrap(Origin(origin)), sequence: SequenceNumber(try unwrap(UInt64(sequence))))
    }
}

extension VectorFrame.Held {
    func model() throws -> HeldChangeSet {
        HeldChangeSet(
            dot: Dot(origin: try unwrap(Origin(origin)), sequence: SequenceNumber(try unwrap(UInt64(sequence)))),
            cause: try unwrap(HeldCause(rawValue: cause)), detail: detail,
            releaseAt: try releaseAt.map { try time($0) })
    }
}

private func entries(_ entries: [VectorFrame.Entry]?) throws -> [Origin: SequenceNumber] {
    var result: [Origin: SequenceNumber] = [:]
    for entry in try unwrap(entries) {
        result[try unwrap(Origin(entry.origin))] = SequenceNumber(try unwrap(UInt64(entry.sequence)))
    }
    return result
}

extension VectorFrame {
    fileprivate static func vector(_ list: [Entry]?) throws -> VersionVector { VersionVector(try entries(list)) }
}

private func time(_ text: String?) throws -> WallClock {
    WallClock(milliseconds: try unwrap(Int64(unwrap(text))))
}
