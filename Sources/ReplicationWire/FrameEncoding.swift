// Frames to bytes.
//
// Invariant: what is encoded here, within the limits, is decoded by `FrameCodec.decode` to the same frame.
internal import FoundationEssentials
public import ReplicationModel
internal import SwiftProtobuf

/// Turns frames into the bytes of one `Frame` message and back. The 4-byte length before it is the transport's.
public enum FrameCodec {
    /// The bytes of a frame, without its length.
    public static func encode(_ frame: ExchangeFrame) -> [UInt8] {
        var wire = WireFrame()
        switch frame {
        case .greeting(let greeting): wire.greeting = wireGreeting(greeting)
        case .wholeVector(let vector): wire.wholeVector = .with { $0.applied = wireVector(vector.entries) }
        case .rosterRecords(let roster):
            wire.rosterRecords = .with {
                $0.records = roster.records.map { Data($0) }
                $0.digest = Data(roster.digest)
                $0.more = roster.more
            }
        case .changeSet(let start):
            wire.changeSet = .with {
                $0.body = Data(start.body)
                $0.signature = Data(start.signature)
                $0.valueCount = UInt32(start.valueCount)
                $0.absent = start.absent.map { UInt32($0) }
            }
        case .values(let piece):
            wire.values = .with {
                $0.values = piece.values.map { Data($0) }
                $0.continues = piece.continues
            }
        case .streamEnd(let vector): wire.streamEnd = .with { $0.applied = wireVector(vector.entries) }
        case .acknowledgement(let acknowledgement):
            wire.acknowledgement = .with {
                $0.applied = wireVector(acknowledgement.applied.entries)
                $0.safeBelow = wireVector(acknowledgement.safeBelow.entries)
                $0.receivedBytes = acknowledgement.receivedBytes
                $0.held = acknowledgement.held.map(wireHeld)
            }
        case .announcement(let vector): wire.announcement = .with { $0.applied = wireVector(vector.entries) }
        case .histories(let digest): wire.histories = .with { $0.digest = Data(digest.bytes) }
        case .thirdNodes(let nodes): wire.thirdNodes = .with { $0.nodes = nodes.map(wireThirdNode) }
        case .ping(let number, let clock):
            wire.ping = .with {
                $0.number = number
                $0.clockMs = clock.milliseconds
            }
        case .pong(let number, let pingClock, let clock):
            wire.pong = .with {
                $0.number = number
                $0.pingClockMs = pingClock.milliseconds
                $0.clockMs = clock.milliseconds
            }
        case .error(let notice):
            wire.error = .with {
                $0.code = wireCode(notice.code)
                $0.message = text(notice.message)
                $0.retryAfterMs = notice.retryAfterMilliseconds ?? 0
            }
        case .goodbye: wire.goodbye = WireGoodbye()
        case .question(let dot):
            wire.question = .with {
                $0.origin = Data(dot?.origin.bytes ?? [])
                $0.sequence = dot?.sequence.rawValue ?? 0
            }
        case .again(let dot):
            wire.question = .with {
                $0.origin = Data(dot.origin.bytes)
                $0.sequence = dot.sequence.rawValue
                $0.again = true
            }
        case .answer(let dot, let changeSet):
            wire.answer = .with {
                $0.origin = Data(dot.origin.bytes)
                $0.sequence = dot.sequence.rawValue
                $0.body = Data(changeSet?.body ?? [])
                $0.signature = Data(changeSet?.signature ?? [])
            }
        case .headsQuestion: wire.headsQuestion = WireHeadsQuestion()
        case .heads(let heads):
            wire.heads = .with {
                $0.applied = wireVector(heads.vector.entries)
                $0.digests = Data(heads.vector.sorted.flatMap { heads.digests[$0.origin]?.bytes ?? [] })
            }
        case .joinRequest(let request):
            wire.joinRequest = .with {
                $0.certificateRequest = Data(request.certificateRequest)
                $0.invitation = Data(request.invitation)
                $0.proof = Data(request.proof)
            }
        case .joinResponse(let response):
            wire.joinResponse = .with {
                $0.workspace = Data(response.workspace.bytes)
                $0.workspaceName = response.workspaceName
                $0.certificate = Data(response.certificate)
                $0.authority = Data(response.authority)
                $0.rosterRecords = response.rosterRecords.map { Data($0) }
            }
        case .comparisonQuestion(let question): wire.comparisonQuestion = wireQuestion(question)
        case .comparisonAnswer(let answer): wire.comparisonAnswer = wireAnswer(answer)
        }
        do {
            return try wire.serializedBytes()
        } catch {
            preconditionFailure("a \(frame.name) frame cannot be encoded: \(error)")
        }
    }

    /// The frames that carry a change set: its beginning, then its values in pieces within the limits.
    public static func frames(of changeSet: SealedChangeSet) -> [ExchangeFrame] {
        let absent = changeSet.values.indices.filter { changeSet.values[$0] == nil }
        let start = ChangeSetStart(
            header: nil, body: changeSet.body, signature: changeSet.signature, valueCount: changeSet.values.count,
            absent: absent)
        var frames: [ExchangeFrame] = [.changeSet(start)]
        var piece = ValuesPiece(values: [], continues: false)
        var room = FrameLimits.valuesFrameBytes
        for value in changeSet.values {
            guard let value else { continue }
            var rest = value[...]
            while !rest.isEmpty {
                let part = rest.prefix(room)
                rest = rest.dropFirst(part.count)
                room -= part.count
                piece.values.append(Array(part))
                guard room == 0 else { continue }
                piece.continues = !rest.isEmpty
                frames.append(.values(piece))
                piece = ValuesPiece(values: [], continues: false)
                room = FrameLimits.valuesFrameBytes
            }
        }
        if !piece.values.isEmpty { frames.append(.values(piece)) }
        return frames
    }

    private static func wireGreeting(_ greeting: Greeting) -> WireGreeting {
        .with {
            $0.`protocol` = greeting.protocolVersion
            $0.workspace = Data(greeting.workspace.bytes)
            $0.node = Data(greeting.node.bytes)
            $0.clockMs = greeting.clock.milliseconds
            $0.applied.baseDigest = Data(greeting.applied.base?.bytes ?? [])
            $0.applied.vector = wireVector(greeting.applied.entries)
            if !greeting.safeBelow.entries.isEmpty { $0.safeBelow = wireVector(greeting.safeBelow.entries) }
            $0.rosterDigest = Data(greeting.rosterDigest)
            $0.schemaDigest = Data(greeting.schemaDigest)
            if let mode = greeting.mode {
                $0.mode.receive = mode.receive
                $0.mode.send = mode.send
                $0.mode.live = mode.live
            }
            if let backlog = greeting.backlog {
                $0.backlog.changeSets = backlog.changeSets
                $0.backlog.changes = backlog.changes
                $0.backlog.bytes = backlog.bytes
                $0.backlog.oldestMs = backlog.oldest?.milliseconds ?? 0
            }
            $0.held = greeting.held.map(wireHeld)
            $0.software = text(greeting.software)
            $0.windowBytes = greeting.windowBytes
            $0.remembers = Data(greeting.remembers?.bytes ?? [])
            $0.baseUnknown = greeting.baseUnknown
            $0.histories = Data(greeting.histories?.bytes ?? [])
            $0.asks = greeting.asks
        }
    }

    static func wireVector(_ entries: [Origin: SequenceNumber]) -> WireVector {
        var wire = WireVector()
        var origins: [UInt8] = []
        origins.reserveCapacity(entries.count * 24)
        wire.sequences.reserveCapacity(entries.count)
        for (origin, sequence) in entries.sorted(by: { $0.key < $1.key }) {
            origins += origin.bytes
            wire.sequences.append(sequence.rawValue)
        }
        wire.origins = Data(origins)
        return wire
    }

    private static func wireHeld(_ held: HeldChangeSet) -> WireHeld {
        .with {
            $0.origin = Data(held.dot.origin.bytes)
            $0.sequence = held.dot.sequence.rawValue
            $0.cause =
                switch held.cause {
                case .clockAhead: .clockAhead
                case .unknownTable: .unknownTable
                case .schemaDiffers: .schemaDiffers
                case .unknownAuthor: .unknownAuthor
                case .waitsForEarlier: .waitsForEarlier
                case .revoked: .revoked
                case .forked: .forked
                }
            $0.detail = text(held.detail)
            $0.releaseAtMs = held.releaseAt?.milliseconds ?? 0
        }
    }

    private static func wireThirdNode(_ third: ThirdNode) -> WireThirdNode {
        .with {
            $0.node = Data(third.node.bytes)
            $0.applied = wireVector(third.applied.entries)
            $0.asOfMs = third.asOf.milliseconds
        }
    }

    private static func wireCode(_ code: ErrorNotice.Code) -> WireErrorCode {
        switch code {
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
        case .other: .unspecified
        }
    }

    /// Cut to the limit at a character, so that our own long message never makes a frame that the peer refuses.
    private static func text(_ message: String) -> String {
        var cut = Substring(message)
        while cut.utf8.count > FrameLimits.textBytes { cut = cut.dropLast() }
        return String(cut)
    }
}
