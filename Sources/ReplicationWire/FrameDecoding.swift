// Bytes to frames, with every bound checked.
//
// Invariant: no input traps, and nothing beyond a limit is returned.
internal import FoundationEssentials
internal import ReplicationModel
internal import SwiftProtobuf

/// Why the bytes of a frame were refused.
public struct FrameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Beyond a limit, rather than malformed.
    public let isTooLarge: Bool
    /// What is wrong, for people.
    public let description: String

    static func malformed(_ description: String) -> FrameError {
        FrameError(isTooLarge: false, description: description)
    }
    static func tooLarge(_ description: String) -> FrameError { FrameError(isTooLarge: true, description: description) }
}

extension FrameCodec {
    /// Reads one frame, and the header of a change set in it.
    ///
    /// - Parameter bytes: without the length that stands before them on the wire.
    public static func decode(_ bytes: [UInt8]) throws(FrameError) -> ExchangeFrame {
        guard bytes.count <= FrameLimits.frameBytes else {
            throw .tooLarge("a frame of \(bytes.count) bytes is more than \(FrameLimits.frameBytes)")
        }
        try FrameScan.check(bytes)
        let wire: WireFrame
        do {
            wire = try WireFrame(serializedBytes: bytes)
        } catch {
            throw .malformed("not a frame: \(error)")
        }
        guard let message = wire.message else { throw .malformed("a frame of no known kind") }
        switch message {
        case .greeting(let greeting): return .greeting(try readGreeting(greeting))
        case .wholeVector(let whole): return .wholeVector(try vector(whole.applied))
        case .rosterRecords(let roster): return .rosterRecords(try readRoster(roster))
        case .changeSet(let start): return .changeSet(try readChangeSet(start))
        case .values(let values): return .values(try readValues(values))
        case .streamEnd(let end): return .streamEnd(try vector(end.applied))
        case .acknowledgement(let acknowledgement):
            return .acknowledgement(
                Acknowledgement(
                    applied: try vector(acknowledgement.applied),
                    safeBelow: SafeBelow(try entries(acknowledgement.safeBelow)),
                    receivedBytes: try number(acknowledgement.receivedBytes, "received_bytes"),
                    held: try readHeld(acknowledgement.held)))
        case .announcement(let announcement): return .announcement(try vector(announcement.applied))
        case .histories(let histories):
            guard let digest = try identifier(histories.digest, "digest") else {
                throw .malformed("histories of 0 bytes")
            }
            return .histories(digest)
        case .thirdNodes(let third): return .thirdNodes(try readThirdNodes(third.nodes))
        case .ping(let ping): return .ping(number: ping.number, clock: try clock(ping.clockMs))
        case .pong(let pong):
            return .pong(number: pong.number, pingClock: try clock(pong.pingClockMs), clock: try clock(pong.clockMs))
        case .error(let error): return .error(try readError(error))
        case .goodbye: return .goodbye
        case .question(let question):
            guard !question.origin.isEmpty else { return .question(nil) }
            let asked = try dot(question.origin, question.sequence)
            return question.again ? .again(asked) : .question(asked)
        case .answer(let answer):
            return .answer(try dot(answer.origin, answer.sequence), try readAnswer(answer))
        case .headsQuestion: return .headsQuestion
        case .heads(let heads): return .heads(try readHeads(heads))
        case .joinRequest(let request): return .joinRequest(try readJoinRequest(request))
        case .joinResponse(let response): return .joinResponse(try readJoinResponse(response))
        case .comparisonQuestion(let question): return .comparisonQuestion(try readQuestion(question))
        case .comparisonAnswer(let answer): return .comparisonAnswer(try readAnswer(answer))
        }
    }

    private static func readGreeting(_ wire: WireGreeting) throws(FrameError) -> Greeting {
        guard let workspace = WorkspaceID(bytes: wire.workspace), let node = NodeID(bytes: wire.node) else {
            throw .malformed("greeting: a workspace or node that is not 16 bytes")
        }
        let base = try identifier(wire.applied.baseDigest, "base_digest")
        let delta = VectorDelta(base: base, entries: try entries(wire.applied.vector))
        guard base != nil || !delta.entries.values.contains(.zero) else {
            throw .malformed("greeting: a zero in a whole vector")
        }
        let backlog = wire.hasBacklog ? try readBacklog(wire.backlog) : nil
        return Greeting(
            protocolVersion: wire.`protocol`, workspace: workspace, node: node, clock: try clock(wire.clockMs),
            applied: delta, safeBelow: SafeBelow(try entries(wire.safeBelow)),
            rosterDigest: try digest(wire.rosterDigest, "roster_digest"),
            schemaDigest: try digest(wire.schemaDigest, "schema_digest"),
            mode: wire.hasMode ? SyncMode(receive: wire.mode.receive, send: wire.mode.send, live: wire.mode.live) : nil,
            backlog: backlog, held: try readHeld(wire.held), software: try text(wire.software, "software"),
            windowBytes: try number(wire.windowBytes, "window_bytes"),
            remembers: try identifier(wire.remembers, "remembers"), baseUnknown: wire.baseUnknown,
            histories: try identifier(wire.histories, "histories"), asks: wire.asks)
    }

    private static func readHeads(_ wire: WireHeads) throws(FrameError) -> Heads {
        let entries = try vector(wire.applied).sorted
        guard wire.digests.count == entries.count * 16 else {
            throw .malformed("heads: \(wire.digests.count) bytes of digests for \(entries.count) origins")
        }
        var heads = Heads()
        var rest = wire.digests[...]
        for (origin, sequence) in entries {
            guard let digest = Identifier128(bytes: rest.prefix(16)) else { throw .malformed("heads") }
            heads.insert(Dot(origin: origin, sequence: sequence), digest)
            rest = rest.dropFirst(16)
        }
        return heads
    }

    private static func readBacklog(_ wire: WireBacklog) throws(FrameError) -> Backlog {
        Backlog(
            changeSets: try number(wire.changeSets, "backlog"), changes: try number(wire.changes, "backlog"),
            bytes: try number(wire.bytes, "backlog"), oldest: wire.oldestMs == 0 ? nil : try clock(wire.oldestMs))
    }

    private static func readRoster(_ wire: WireRosterRecords) throws(FrameError) -> RosterRecords {
        guard wire.records.count <= FrameLimits.rosterRecordsInFrame,
            wire.records.allSatisfy({
                $0.count <= FrameLimits.rosterRecordBytes || $0.starts(with: FrameLimits.forkProofMagic)
            })
        else { throw .tooLarge("roster records: too many or too large") }
        return RosterRecords(
            records: wire.records.map { [UInt8]($0) }, digest: try digest(wire.digest, "digest"), more: wire.more)
    }

    private static func readChangeSet(_ wire: WireChangeSetFrame) throws(FrameError) -> ChangeSetStart {
        guard wire.body.count <= Limits.acceptedBodyBytes else {
            throw .tooLarge("a body of \(wire.body.count) bytes is more than \(Limits.acceptedBodyBytes)")
        }
        guard wire.signature.count == 64 else { throw .malformed("a signature of \(wire.signature.count) bytes") }
        let body = [UInt8](wire.body)
        let header: ChangeSetHeader
        do {
            header = try ChangeSetCodec.decodeHeader(body)
        } catch {
            throw .malformed("change set: \(error.description)")
        }
        guard (1...FrameLimits.sequence).contains(header.sequence.rawValue) else {
            throw .malformed("a change set numbered \(header.sequence)")
        }
        guard Int(wire.valueCount) <= FrameLimits.valuesBeside else {
            throw .tooLarge("change set: \(wire.valueCount) values beside it")
        }
        guard wire.absent.count <= Int(wire.valueCount) else { throw .malformed("change set: more absent than values") }
        let absent = wire.absent.map { Int($0) }
        guard zip(absent, absent.dropFirst()).allSatisfy({ $0 < $1 }), absent.last ?? -1 < Int(wire.valueCount) else {
            throw .malformed("change set: absent values that do not ascend within the count")
        }
        return ChangeSetStart(
            header: header, body: body, signature: [UInt8](wire.signature), valueCount: Int(wire.valueCount),
            absent: absent)
    }

    private static func readValues(_ wire: WireValuesFrame) throws(FrameError) -> ValuesPiece {
        var total = 0
        for value in wire.values {
            guard !value.isEmpty else { throw .malformed("values: an empty piece") }
            total += value.count
        }
        guard total > 0 else { throw .malformed("values: none") }
        guard total <= FrameLimits.valuesFrameBytes else {
            throw .tooLarge("values of \(total) bytes are more than \(FrameLimits.valuesFrameBytes)")
        }
        return ValuesPiece(values: wire.values.map { [UInt8]($0) }, continues: wire.continues)
    }

    private static func readAnswer(_ wire: WireAnswer) throws(FrameError) -> SealedChangeSet? {
        guard !wire.body.isEmpty else { return nil }
        guard wire.body.count <= Limits.acceptedBodyBytes, wire.signature.count == 64 else {
            throw .tooLarge("answer: a body of \(wire.body.count) bytes, a signature of \(wire.signature.count)")
        }
        return SealedChangeSet(body: [UInt8](wire.body), signature: [UInt8](wire.signature), values: [])
    }

    private static func readHeld(_ wire: [WireHeld]) throws(FrameError) -> [HeldChangeSet] {
        guard wire.count <= FrameLimits.held else { throw .tooLarge("\(wire.count) held change sets in one frame") }
        var result: [HeldChangeSet] = []
        for held in wire {
            guard let origin = Origin(bytes: held.origin) else {
                throw .malformed("held: an origin that is not 24 bytes")
            }
            let cause: HeldCause =
                switch held.cause {
                case .clockAhead: .clockAhead
                case .unknownTable: .unknownTable
                case .unknownAuthor: .unknownAuthor
                case .schemaDiffers: .schemaDiffers
                case .revoked: .revoked
                case .forked: .forked
                // A cause of a later version still says that it waits.
                case .waitsForEarlier, .unspecified, .UNRECOGNIZED: .waitsForEarlier
                }
            result.append(
                HeldChangeSet(
                    dot: Dot(origin: origin, sequence: try sequence(held.sequence)), cause: cause,
                    detail: try text(held.detail, "detail"),
                    releaseAt: held.releaseAtMs == 0 ? nil : try clock(held.releaseAtMs)))
        }
        return result
    }

    private static func readThirdNodes(_ wire: [WireThirdNode]) throws(FrameError) -> [ThirdNode] {
        guard wire.count <= FrameLimits.thirdNodes,
            wire.reduce(0, { $0 + $1.applied.sequences.count }) <= FrameLimits.thirdNodeEntries
        else { throw .tooLarge("third nodes: too many") }
        var result: [ThirdNode] = []
        for third in wire {
            guard let node = NodeID(bytes: third.node) else {
                throw .malformed("third nodes: a node that is not 16 bytes")
            }
            result.append(ThirdNode(node: node, applied: try vector(third.applied), asOf: try clock(third.asOfMs)))
        }
        return result
    }

    private static func readError(_ wire: WireErrorFrame) throws(FrameError) -> ErrorNotice {
        let code: ErrorNotice.Code =
            switch wire.code {
            case .protocol: .protocol
            case .workspace: .workspace
            case .refused: .refused
            case .malformed: .malformed
            case .tooLarge: .tooLarge
            case .busy: .busy
            case .internal: .internal
            case .timeout: .timeout
            case .fork: .fork
            case .rewound: .rewound
            case .unspecified, .UNRECOGNIZED: .other
            }
        let retry = try number(wire.retryAfterMs, "retry_after_ms")
        return ErrorNotice(
            code: code, message: try text(wire.message, "message"), retryAfterMilliseconds: retry == 0 ? nil : retry)
    }

    private static func readJoinRequest(_ wire: WireJoinRequest) throws(FrameError) -> JoinRequest {
        guard wire.certificateRequest.count <= FrameLimits.rosterRecordBytes, wire.invitation.count <= 64,
            wire.proof.count <= 64
        else { throw .tooLarge("join request") }
        return JoinRequest(
            certificateRequest: [UInt8](wire.certificateRequest), invitation: [UInt8](wire.invitation),
            proof: [UInt8](wire.proof))
    }

    private static func readJoinResponse(_ wire: WireJoinResponse) throws(FrameError) -> JoinResponse {
        guard let workspace = WorkspaceID(bytes: wire.workspace) else {
            throw .malformed("join response: the workspace")
        }
        guard wire.certificate.count <= FrameLimits.rosterRecordBytes,
            wire.authority.count <= FrameLimits.rosterRecordBytes,
            wire.rosterRecords.count <= FrameLimits.rosterRecordsInFrame,
            wire.rosterRecords.allSatisfy({ $0.count <= FrameLimits.rosterRecordBytes })
        else { throw .tooLarge("join response") }
        return JoinResponse(
            workspace: workspace, workspaceName: try text(wire.workspaceName, "workspace_name"),
            certificate: [UInt8](wire.certificate), authority: [UInt8](wire.authority),
            rosterRecords: wire.rosterRecords.map { [UInt8]($0) })
    }
}

// Parts that several frames share.
extension FrameCodec {
    private static func entries(_ wire: WireVector) throws(FrameError) -> [Origin: SequenceNumber] {
        let count = wire.sequences.count
        guard count <= Limits.origins else { throw .tooLarge("a vector of \(count) origins") }
        guard wire.origins.count == count * 24 else {
            throw .malformed("a vector whose origins and sequences do not match")
        }
        let bytes = [UInt8](wire.origins)
        var result: [Origin: SequenceNumber] = [:]
        result.reserveCapacity(count)
        var last: Origin?
        for index in 0..<count {
            guard let origin = Origin(bytes: bytes[index * 24..<(index + 1) * 24]), last.map({ $0 < origin }) ?? true
            else {
                throw .malformed("a vector that does not ascend by origin")
            }
            last = origin
            result[origin] = try sequence(wire.sequences[index])
        }
        return result
    }

    private static func dot(_ origin: Data, _ number: UInt64) throws(FrameError) -> Dot {
        guard let origin = Origin(bytes: origin), number > 0 else {
            throw .malformed("no change set has such a name")
        }
        return Dot(origin: origin, sequence: try sequence(number))
    }

    static func vector(_ wire: WireVector) throws(FrameError) -> VersionVector {
        VersionVector(try entries(wire))
    }

    static func sequence(_ raw: UInt64) throws(FrameError) -> SequenceNumber {
        guard raw <= FrameLimits.sequence else { throw .tooLarge("a sequence number of \(raw)") }
        return SequenceNumber(raw)
    }

    static func number(_ raw: UInt64, _ field: String) throws(FrameError) -> UInt64 {
        guard raw <= FrameLimits.number else { throw .tooLarge("\(field) of \(raw)") }
        return raw
    }

    private static func clock(_ milliseconds: Int64) throws(FrameError) -> WallClock {
        guard milliseconds.magnitude <= FrameLimits.number else { throw .tooLarge("a clock at \(milliseconds) ms") }
        return WallClock(milliseconds: milliseconds)
    }

    /// For people: it reaches logs and terminals, so each character that controls one, or the order in which others are shown,
    /// is read as a space.
    private static func text(_ text: String, _ field: String) throws(FrameError) -> String {
        guard text.utf8.count <= FrameLimits.textBytes else { throw .tooLarge("\(field) of \(text.utf8.count) bytes") }
        func isControl(_ scalar: Unicode.Scalar) -> Bool {
            scalar.properties.generalCategory == .control || (0x202a...0x202e).contains(scalar.value)
                || (0x2066...0x2069).contains(scalar.value)
        }
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { shown.append(isControl(scalar) ? " " : scalar) }
        return String(shown)
    }

    static func identifier(_ data: Data, _ field: String) throws(FrameError) -> Identifier128? {
        guard !data.isEmpty else { return nil }
        guard let identifier = Identifier128(bytes: data) else { throw .malformed("\(field) of \(data.count) bytes") }
        return identifier
    }

    private static func digest(_ data: Data, _ field: String) throws(FrameError) -> [UInt8] {
        guard data.count <= 32 else { throw .tooLarge("\(field) of \(data.count) bytes") }
        return [UInt8](data)
    }
}
