import ReplicationModel
import Testing

@testable import Trust

@Suite struct TLSHandshakeTests {
    @Test(arguments: [Int.max, 1, 7, 500])
    func twoMembersMeet(_ pieces: Int) throws {
        let workspace = try Workspace()
        let (alice, bob) = (try workspace.admit("alice", .reader), try workspace.admit("bob"))
        let client = TLSEngine(context: try workspace.context(for: alice), side: .client)
        let server = TLSEngine(context: try workspace.context(for: bob), side: .server)
        #expect(client.state == .handshaking)
        let failures = converse(client, server, pieces: pieces)
        #expect(failures.client == nil && failures.server == nil)
        #expect(client.state == .open && server.state == .open)
        #expect(client.peerCertificate == bob.certificate)
        #expect(server.peerCertificate == alice.certificate)
        #expect(client.negotiatedProtocol == .exchange && server.negotiatedProtocol == .exchange)
        // No tickets: nothing follows the handshake.
        #expect(server.outputCount == 0 && client.outputCount == 0)

        #expect(try client.write(Array("to the server".utf8)) == 13)
        #expect(try server.write(Array("to the client".utf8)) == 13)
        converse(client, server, reading: false)
        #expect(try server.read(upTo: 100) == Array("to the server".utf8))
        #expect(try client.read(upTo: 100) == Array("to the client".utf8))
    }

    @Test func bothExportTheSameSecretAndAnotherEachTime() throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit())
        var seen: Set<[UInt8]> = []
        for _ in 0..<3 {
            let client = TLSEngine(context: context, side: .client)
            let server = TLSEngine(context: context, side: .server)
            #expect(throws: TLSFailure.self) { try client.exportKeyingMaterial(label: "EXPORTER-x", count: 32) }
            converse(client, server)
            let one = try client.exportKeyingMaterial(label: JoinProofKey.exporterLabel, count: 32)
            #expect(try server.exportKeyingMaterial(label: JoinProofKey.exporterLabel, count: 32) == one)
            #expect(try client.exportKeyingMaterial(label: "EXPORTER-other", count: 32) != one)
            seen.insert(one)
        }
        #expect(seen.count == 3)
    }

    @Test func goodbyesAreTold() throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit())
        let (client, server) = (TLSEngine(context: context, side: .client), TLSEngine(context: context, side: .server))
        converse(client, server)
        _ = try client.write(Array("last".utf8))
        client.close()
        #expect(failure { () throws(TLSFailure) in try client.write([1]) }?.code == .notOpen)
        try server.feed(client.takeOutput())
        #expect(try server.read(upTo: 100) == Array("last".utf8))
        #expect(server.state == .closedByPeer)
        try server.finishInput()
        // The other half is still open.
        _ = try server.write(Array("answer".utf8))
        server.close()
        try client.feed(server.takeOutput())
        #expect(try client.read(upTo: 100) == Array("answer".utf8))
        #expect(client.state == .closedByPeer)
    }

    @Test func aCutIsNoGoodbye() throws {
        let workspace = try Workspace()
        let context = try workspace.context(for: try workspace.admit())
        let (client, server) = (TLSEngine(context: context, side: .client), TLSEngine(context: context, side: .server))
        #expect(failure { () throws(TLSFailure) in try server.finishInput() }?.code == .truncated)
        let other = TLSEngine(context: context, side: .server)
        converse(client, other)
        #expect(failure { () throws(TLSFailure) in try client.finishInput() }?.code == .truncated)
        #expect(failure { () throws(TLSFailure) in try client.write([1]) }?.code == .truncated)
    }

    @Test func nothingIsWrittenBeforeThePeerIsKnown() throws {
        let workspace = try Workspace()
        let client = TLSEngine(context: try workspace.context(for: try workspace.admit()), side: .client)
        #expect(failure { () throws(TLSFailure) in try client.write([1]) }?.code == .notOpen)
        #expect(try client.read(upTo: 10).isEmpty)
    }

    @Test func aKeyMustFitItsCertificate() throws {
        let workspace = try Workspace()
        let mixed = Node(key: .generate(), certificate: try workspace.admit().certificate)
        #expect(throws: TrustError.self) { try workspace.context(for: mixed) }
    }
}
