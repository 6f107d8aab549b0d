// A peer with a true key and certificate that does not keep to the protocol.
//
// It dials with this package's own TLS and frames, so that what it sends is exactly as wrong as it means to be.
import Foundation
import NIOPosix
import PeerTransport
import ReplicationModel
import ReplicationWire
import Trust

struct HostilePeer {
    let identity: IdentityDirectory
    let certificate: Certificate
    private let authority: AuthorityCertificate

    /// As a node that has joined; `certificate` in place of its own, where given.
    init(_ node: Node, certificate: Certificate? = nil) throws {
        identity = try IdentityDirectory.open(path: node.data + "/identity")
        let membership = try identity.membership()
        authority = membership.authority
        self.certificate = certificate ?? membership.certificate
    }

    func context() throws -> TLSContext {
        try TLSContext(
            certificate: certificate, key: identity.key, authority: authority, acceptsJoins: false, clock: { now() },
            admission: { (_, _) throws(CertificateRefusal) in })
    }

    func dial(_ server: Server) async throws -> PeerLink {
        try await PeerDialer(group: MultiThreadedEventLoopGroup.singleton)
            .dial(Endpoint(server.address), context: context())
    }

    /// What a server made of what it was sent.
    struct Answer {
        enum Ending { case acknowledged, refused, closed, cut }
        var ending = Ending.closed
        /// Where it refused.
        var notice: ErrorNotice?
        /// All that it sent.
        var frames: [ExchangeFrame] = []
    }

    /// Greets, sends frames, and hears what the server says to them: an acknowledgement, an error, goodbye, or nothing.
    func send(_ frames: [ExchangeFrame], greeting applied: VersionVector = VersionVector(), to server: Server)
        async throws -> Answer
    {
        let link = try await dial(server)
        var answer = Answer()
        do {
            try await link.send([
                .greeting(
                    Greeting(
                        workspace: certificate.workspace, node: identity.node, clock: now(),
                        applied: VectorDelta(whole: applied), mode: .push, software: "hostile"))
            ])
            try await link.send(frames)
            while let received = try await link.next() {
                answer.frames.append(received.frame)
                switch received.frame {
                case .error(let notice):
                    answer.notice = notice
                    answer.ending = .refused
                // All was taken: an acknowledgement of what it sent comes, and nothing else will.
                case .acknowledgement: answer.ending = .acknowledged
                default: continue
                }
                break
            }
        } catch is TransportError {
            // What it said before counts.
            answer.ending = .cut
        }
        await link.close()
        return answer
    }

    /// A change set that inserts one article, right in everything that is not said to be wrong.
    func changeSet(
        _ origin: Origin, _ sequence: UInt64, after previous: SealedChangeSet? = nil, id: String, stamp: Stamp,
        context: VersionVector = VersionVector(), headline: Value = Value("by a hostile peer"), key: SigningKey? = nil
    ) throws -> SealedChangeSet {
        var before = Totals.zero
        if let previous {
            let header = try ChangeSetCodec.decodeHeader(previous.body)
            before = Totals(
                changes: header.totalsBefore.changes + header.changes,
                bytes: header.totalsBefore.bytes + UInt64(previous.body.count) + header.besideBytes)
        }
        let row = RowChange(
            kind: .insert, id: RowID(id), stamp: stamp, fieldSet: 0, cells: [.inline(headline)])
        let table = TableChanges(
            table: "articles", fields: [Field(name: "headline", columns: ["headline"])], fieldSets: [[0]], rows: [row])
        let header = ChangeSetHeader(
            origin: origin, sequence: SequenceNumber(sequence),
            previous: previous.map { SHA256.digest($0.body) } ?? .none, contextChanges: context, firstStamp: stamp,
            lastStamp: stamp, totalsBefore: before, changes: 2, besideBytes: 0)
        let body = ChangeSetCodec.encode(ChangeSet(header: header, tables: [table]))
        let signature = ChangeSetSignature.sign(bodyDigest: SHA256.digest(body), key: key ?? identity.key)
        return SealedChangeSet(body: body, signature: signature, values: [])
    }

    func frame(_ sealed: SealedChangeSet) -> ExchangeFrame {
        .changeSet(
            ChangeSetStart(header: nil, body: sealed.body, signature: sealed.signature, valueCount: 0, absent: []))
    }
}

func now() -> WallClock {
    WallClock(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
}
