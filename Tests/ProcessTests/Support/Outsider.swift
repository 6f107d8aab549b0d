// Somebody with this package's TLS and whatever certificate a test gives it: before a service, or in its place.
import Foundation
import NIOPosix
import PeerTransport
import ReplicationModel
import ReplicationWire
import Synchronization
import Trust

/// Dials a service and greets it as a member would.
struct Outsider {
    let context: TLSContext
    /// As whom it greets.
    let node: NodeID
    let workspace: WorkspaceID
    var offering = SessionProtocol.exchange

    struct Heard {
        /// Of the session, decrypted; of the handshake none.
        var bytes: UInt64 = 0
        var frames: [ExchangeFrame] = []
        var failure: TransportError?
    }

    /// What the service says to that, to the end, or until it was enough.
    func greet(_ address: String, until isEnough: ([ExchangeFrame]) -> Bool = { _ in false }) async throws -> Heard {
        let link = try await PeerDialer(group: MultiThreadedEventLoopGroup.singleton)
            .dial(Endpoint(address), context: context, offering: offering)
        var heard = Heard()
        do {
            try await link.send([
                .greeting(
                    Greeting(
                        workspace: workspace, node: node, clock: now(),
                        applied: VectorDelta(whole: VersionVector()), mode: .pull, software: "outsider"))
            ])
            while !isEnough(heard.frames), let received = try await link.next() { heard.frames.append(received.frame) }
        } catch let error as TransportError {
            heard.failure = error
        }
        heard.bytes = link.bytesArrived
        await link.close()
        return heard
    }
}

/// Answers in a service's place.
struct Impostor {
    /// What came of the connections that were made to it.
    final class Visits: Sendable {
        private let counted = Mutex<(sessions: Int, failures: [TransportError])>((sessions: 0, failures: []))
        /// Those that were opened: the other side took it for who it says it is.
        var sessions: Int { counted.withLock { $0.sessions } }
        var failures: [TransportError] { counted.withLock { $0.failures } }
        fileprivate func began() { counted.withLock { $0.sessions += 1 } }
        fileprivate func failed(_ error: TransportError) { counted.withLock { $0.failures.append(error) } }
    }

    let visits: Visits
    private let listener: PeerListener
    /// HOST:PORT.
    var address: String { listener.endpoint.description }

    /// - Parameter answer: what it does with each session.
    init(_ context: TLSContext, answer: @escaping @Sendable (PeerLink) async -> Void = { _ in }) async throws {
        let visits = Visits()
        self.visits = visits
        listener = try await PeerListener.bind(
            Endpoint(host: "127.0.0.1", port: 0), context: { context }, group: MultiThreadedEventLoopGroup.singleton,
            onFailure: { _, error in visits.failed(error) },
            accept: { link in
                visits.began()
                await answer(link)
            })
    }

    func close() async { await listener.close() }
}

extension TLSContext {
    /// Shows this certificate, and takes everybody whom the authority admitted.
    static func showing(
        _ certificate: Certificate, _ key: SigningKey, believing authority: AuthorityCertificate,
        acceptsJoins: Bool = false
    ) throws -> TLSContext {
        try TLSContext(
            certificate: certificate, key: key, authority: authority, acceptsJoins: acceptsJoins, clock: { now() },
            admission: { (_, _) throws(CertificateRefusal) in })
    }
}
