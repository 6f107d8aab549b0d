// What the tests of this target share: a workspace, a listener whose events can be waited for, and a good peer.
//
// Invariant: tests wait for events, never for time.
import NIOCore
import NIOPosix
import ReplicationModel
import ReplicationWire
import Testing

@testable import PeerTransport
@testable import Trust

let now = WallClock(milliseconds: 1_770_000_000_000)
let day: Int64 = 24 * 60 * 60 * 1000
let group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton

extension WallClock {
    func plus(_ milliseconds: Int64) -> WallClock { WallClock(milliseconds: self.milliseconds + milliseconds) }
}

/// A node with the certificate it was given.
struct Node: Sendable {
    let key: SigningKey
    let certificate: Certificate
}

/// A workspace with its authority.
struct Workspace: Sendable {
    let authority: CertificateAuthority

    init() throws {
        authority = try CertificateAuthority(workspace: .random(), workspaceName: "Desk", now: now)
    }

    func admit(_ name: String, _ role: MemberRole = .writer, until end: WallClock = now.plus(day)) throws -> Node {
        let key = SigningKey.generate()
        return Node(
            key: key,
            certificate: try authority.issue(
                to: key.publicKey, name: name, role: role, notBefore: now.plus(-day), notAfter: end, now: now))
    }

    func context(
        for node: Node, acceptsJoins: Bool = false, revoked: Set<NodeID> = [], at time: WallClock = now
    ) throws -> TLSContext {
        try TLSContext(
            certificate: node.certificate, key: node.key, authority: authority.certificate, acceptsJoins: acceptsJoins,
            clock: { time },
            admission: { certificate, _ throws(CertificateRefusal) in
                guard revoked.contains(certificate.nodeID) else { return }
                throw CertificateRefusal(.revoked, "\"\(certificate.name)\" was revoked; it must join again")
            })
    }
}

/// Things that happen, to be waited for one by one.
struct Events<Element: Sendable>: Sendable {
    struct Ended: Error {}
    private let stream: AsyncStream<Element>
    private let continuation: AsyncStream<Element>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func tell(_ element: Element) { continuation.yield(element) }

    func next() async throws -> Element {
        for await element in stream { return element }
        throw Ended()
    }
}

/// A listener on a free port of this machine, and what happens to it.
struct Server: Sendable {
    let workspace: Workspace
    let node: Node
    let listener: PeerListener
    let links: Events<PeerLink>
    let failures: Events<TransportError>

    /// A good peer is served: it asks, and is answered.
    func serves() async throws {
        let client = try await dial(as: workspace.admit("good"))
        let link = try await links.next()
        try await client.send([.ping(number: 7, clock: now)])
        #expect(try await link.next()?.frame == .ping(number: 7, clock: now))
        try await link.send([.pong(number: 7, pingClock: now, clock: now)])
        #expect(try await client.next()?.frame == .pong(number: 7, pingClock: now, clock: now))
        await closeBoth(client, link)
    }

    func dial(as node: Node, limits: TransportLimits = TransportLimits()) async throws -> PeerLink {
        try await PeerDialer(group: group, limits: limits).dial(
            listener.endpoint, context: workspace.context(for: node))
    }

    /// A member's link and this side's end of it.
    func meet(clientLimits: TransportLimits = TransportLimits()) async throws -> (client: PeerLink, server: PeerLink) {
        let client = try await dial(as: workspace.admit("client"), limits: clientLimits)
        return (client, try await links.next())
    }
}

func withServer(
    limits: TransportLimits = TransportLimits(), acceptsJoins: Bool = false, role: MemberRole = .writer,
    revoked: [Node] = [], workspace: Workspace? = nil, _ body: (Server) async throws -> Void
) async throws {
    let workspace = try workspace ?? Workspace()
    let node = try workspace.admit("server", role)
    let context = try workspace.context(
        for: node, acceptsJoins: acceptsJoins, revoked: Set(revoked.map(\.certificate.nodeID)))
    let links = Events<PeerLink>()
    let failures = Events<TransportError>()
    let listener = try await PeerListener.bind(
        Endpoint(host: "127.0.0.1", port: 0), context: { context }, limits: limits, group: group,
        onFailure: { _, error in failures.tell(error) },
        accept: { link in
            links.tell(link)
            try? await link.channel.closeFuture.get()
        })
    do {
        try await body(Server(workspace: workspace, node: node, listener: listener, links: links, failures: failures))
    } catch {
        await listener.close()
        throw error
    }
    await listener.close()
}

/// The `TransportError` that `body` throws; an issue where it throws none.
func transportError(_ body: () async throws -> Void) async -> TransportError? {
    do {
        try await body()
        Issue.record("nothing was thrown")
    } catch let error as TransportError {
        return error
    } catch {
        Issue.record("another error was thrown: \(error)")
    }
    return nil
}

func values(_ count: Int) -> ExchangeFrame {
    .values(ValuesPiece(values: [[UInt8](repeating: 0x5a, count: count)], continues: false))
}

/// Each side waits for the other's end, so they close at once.
func closeBoth(_ one: PeerLink, _ other: PeerLink) async {
    async let closed: Void = one.close()
    await other.close()
    await closed
}
