// Dials that lead nowhere, and addresses that cannot be listened on.
import NIOCore
import ReplicationModel
import Testing

@testable import PeerTransport

@Suite(.timeLimit(.minutes(1))) struct DialTests {
    private func failure(
        dialling endpoint: Endpoint, limits: TransportLimits = TransportLimits()
    ) async throws -> TransportError? {
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("client"))
        return await transportError {
            _ = try await PeerDialer(group: group, limits: limits).dial(endpoint, context: context)
        }
    }

    @Test func nobodyListens() async throws {
        let server = try await StrangeServer()
        let endpoint = server.endpoint
        await server.close()
        let failure = try await failure(dialling: endpoint)
        #expect(failure?.code == .unreachable)
        #expect(
            failure?.description
                == "cannot connect to \(endpoint): Connection refused; "
                + "check that a syncnode listens there, and on this port")
    }

    @Test func aNameWithoutAddress() async throws {
        let failure = try await failure(dialling: Endpoint(host: "no-such-host.invalid"))
        #expect(failure?.code == .unreachable)
        #expect(failure?.description.contains("cannot connect to no-such-host.invalid:7742: the name") == true)
    }

    @Test func aNameWithSeveralAddresses() async throws {
        // "localhost" is often both ::1 and 127.0.0.1, and only one of them is listened on.
        try await withServer { server in
            let context = try server.workspace.context(for: server.workspace.admit("client"))
            let endpoint = Endpoint(host: "localhost", port: server.listener.endpoint.port)
            let client = try await PeerDialer(group: group).dial(endpoint, context: context)
            await closeBoth(client, try await server.links.next())
        }
    }

    /// More names than are looked up at once, each several times: whoever asked gets the answer to its question. Names that
    /// are short for an address (inet_aton(3)) are known without a name server.
    @Test func manyNamesAtOnce() async throws {
        let server = try await StrangeServer()
        let port = server.endpoint.port
        await server.close()
        let answered = try await withThrowingTaskGroup(of: Bool.self) { tasks in
            for index in 0..<200 {
                tasks.addTask {
                    let last = index % 100 + 1
                    let failure = try await failure(dialling: Endpoint(host: "127.\(last)", port: port))
                    return failure?.description.contains(
                        "127.\(last):\(port): 127.0.0.\(last):\(port): Connection refused")
                        == true
                }
            }
            return try await tasks.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(answered == 200)
    }

    @Test(arguments: ["127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%lo"]) func anAddressIsNoName(_ host: String)
        async throws
    {
        let server = try await StrangeServer()
        let endpoint = Endpoint(host: host, port: server.endpoint.port)
        await server.close()
        let failure = try await failure(dialling: endpoint)
        #expect(failure?.code == .unreachable)
        #expect(failure?.description.hasPrefix("cannot connect to \(endpoint): ") == true)
        #expect(failure?.description.contains("the name") == false, "\(failure?.description ?? "")")
        #expect(failure?.description.hasSuffix("check that a syncnode listens there, and on this port") == true)
    }

    @Test func givingUp() async throws {
        let server = try await StrangeServer()
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("client"))
        let endpoint = server.endpoint
        let dial = Task { try await PeerDialer(group: group).dial(endpoint, context: context) }
        let connection = try await server.connections.next()
        dial.cancel()
        await #expect(throws: CancellationError.self) { _ = try await dial.value }
        // Nothing is left behind.
        try await connection.closeFuture.get()
        await server.close()
    }

    @Test func givingUpBeforeBeginning() async throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("client"))
        let dial = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await PeerDialer(group: group).dial(Endpoint(host: "127.0.0.1", port: 1), context: context)
        }
        dial.cancel()
        await #expect(throws: CancellationError.self) { _ = try await dial.value }
    }

    @Test func anAddressThatIsTaken() async throws {
        try await withServer { server in
            let context = try server.workspace.context(for: server.node)
            let failure = await transportError {
                _ = try await PeerListener.bind(
                    server.listener.endpoint, context: { context }, group: group, onFailure: { _, _ in },
                    accept: { _ in })
            }
            #expect(failure?.code == .bind)
            #expect(
                failure?.description.contains("cannot listen on \(server.listener.endpoint): Address already") == true)
            try await server.serves()
        }
    }

    @Test(arguments: ["256.1.1.1", "no-such-host.invalid"]) func anAddressThatIsNotHere(_ host: String) async throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: workspace.admit("server"))
        let failure = await transportError {
            _ = try await PeerListener.bind(
                Endpoint(host: host, port: 0), context: { context }, group: group, onFailure: { _, _ in },
                accept: { _ in })
        }
        #expect(failure?.code == .bind)
    }
}
