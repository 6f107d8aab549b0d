// The wire between two nodes: what a listener reads, what is told to who has proven nothing, and who stands between.
import Foundation
import PeerTransport
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite(.serialized) struct WireTests {
    private static let hour: Int64 = 3_600_000

    private func identity(_ node: Node) throws -> IdentityDirectory {
        try IdentityDirectory.open(path: node.data + "/identity")
    }

    private func later(_ milliseconds: Int64) -> WallClock {
        WallClock(milliseconds: now().milliseconds + milliseconds)
    }

    private func isIn(_ data: Data, _ part: [UInt8]) -> Bool { data.range(of: Data(part)) != nil }

    /// Joining, pulling and pushing, all through a relay that keeps every byte.
    @Test(.timeLimit(.minutes(5))) func aListenerReadsNeitherTextNorNames() async throws {
        let bureaus = try Bureaus()
        let harbour = try await bureaus.found("harbour-office", workspace: "ferry-desk")
        try await harbour.sql(
            "INSERT INTO articles(id, headline, body) VALUES ('harbour-story', 'A timetable nobody may see', hex(randomblob(40000)))"
        )
        let server = try await harbour.serve()
        let tap = try await WireTap(bureaus, to: server.port)
        let code = try await harbour.run("invite", "island-office", "--address", tap.address)
        let island = bureaus.node("island-office")
        let joined = try await island.attempt(["join", "-"], input: code + "\n")
        #expect(joined.status == 0, "\(joined)")
        try await island.run("pull")
        try await island.insertArticle("island-story", "An answer nobody may see")
        try await island.run("push")
        let whole = "SELECT body FROM articles WHERE id = 'harbour-story'"
        let body = Array(try await harbour.sql(whole).utf8)
        #expect(body.count == 80_000)
        #expect(try await Array(island.sql(whole).utf8) == body)
        #expect(try await harbour.headline("island-story") == "An answer nobody may see")

        let invitation = try InvitationCode(text: code)
        let (certificate, authority) = try identity(harbour).membership()
        var hidden: [String: [UInt8]] = [
            "the workspace's id": authority.workspace.bytes, "the authority's key": authority.publicKey.bytes,
            "the server's id": certificate.nodeID.bytes, "the server's key": certificate.publicKey.bytes,
            "the client's id": try identity(island).node.bytes,
            "the client's key": try identity(island).key.publicKey.bytes,
            "the invitation's id": invitation.secret.invitationID.bytes,
        ]
        for text in [
            "harbour-office", "island-office", "ferry-desk", "harbour-story", "island-story",
            "A timetable nobody may see", "An answer nobody may see", "headline", code,
        ] { hidden[text] = Array(text.utf8) }
        for place in stride(from: 0, to: body.count, by: 4_000) {
            hidden["the body from \(place) on"] = Array(body[place..<(place + 16)])
        }
        let wire = tap.record
        // It was all there to be read: more than the body, which nothing makes smaller, and what does go in clear.
        #expect(wire.count > body.count, "\(wire.count) bytes")
        for clear in ["syncnode/1", "syncnode-join/1"] { #expect(isIn(wire, Array(clear.utf8)), "\(clear)") }
        for (what, part) in hidden { #expect(!isIn(wire, part), "\(what)") }

        // Sent without TLS on the same way, each is found by the same search.
        let send = """
            import socket, sys
            s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
            s.sendall(bytes.fromhex(sys.argv[2]))
            try:
                while s.recv(4096): pass
            except OSError: pass
            """
        let hex = hidden.values.joined().map { String(format: "%02x", $0) }.joined()
        let port = try #require(tap.address.split(separator: ":").last)
        let sent = try await Child.run("python3", ["-c", send, String(port), hex])
        #expect(sent.status == 0, "\(sent)")
        _ = try await eventually("the search finds \(hidden.filter { !isIn(tap.record, $0.value) }.keys)") {
            let record = tap.record
            return hidden.values.allSatisfy { isIn(record, $0) } ? true : nil
        }
        try await server.stop()
    }

    /// One greeting, word for word, under one certificate after another: what comes back is counted.
    @Test(.timeLimit(.minutes(5))) func whoHasProvenNothingIsToldNothing() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await hq.insertArticle("a1", "Not for strangers")
        let server = try await hq.serve()
        try await istanbul.exchange("pull", server)
        let (certificate, authority) = try identity(hq).membership()
        let key = SigningKey.generate()
        func outsider(_ context: TLSContext) -> Outsider {
            Outsider(context: context, node: key.publicKey.nodeID, workspace: authority.workspace)
        }
        func admitted(by other: CertificateAuthority) throws -> Outsider {
            let certificate = try other.issue(to: key.publicKey, name: "istanbul", role: .admin, now: now())
            return outsider(try .showing(certificate, key, believing: authority))
        }
        // An imitation has the workspace's name and id, and a key of its own.
        let imitation = try CertificateAuthority(
            workspace: authority.workspace, workspaceName: authority.name, now: now())
        let elsewhere = try CertificateAuthority(
            workspace: .random(), workspaceName: authority.name, now: now())
        let expired = try identity(hq).certificateAuthority().issue(
            to: key.publicKey, name: "late", role: .writer, notBefore: later(-2 * Self.hour),
            notAfter: later(-Self.hour), now: now())
        let pinned = TLSContext(
            joining: authority.workspace, fingerprint: authority.fingerprint, clock: { now() })
        let strangers = [
            ("no certificate", outsider(pinned)),
            ("an imitation's", try admitted(by: imitation)),
            ("another workspace's", try admitted(by: elsewhere)),
            ("an expired one", outsider(try .showing(expired, key, believing: authority))),
        ]
        let before = try await hq.dump()
        let records = try await hq.sql("SELECT count(*) FROM sync_roster")
        for (what, stranger) in strangers {
            let heard = try await stranger.greet(server.address)
            #expect(heard.bytes == 0 && heard.frames.isEmpty, "\(what): \(heard)")
            #expect(heard.failure?.tls?.code == .refusedByPeer, "\(what): \(heard)")
        }
        // Who comes to join is answered nothing but a request to join.
        var joining = outsider(pinned)
        joining.offering = .join
        let heard = try await joining.greet(server.address)
        #expect(heard.bytes == 0 && heard.frames.isEmpty && heard.failure == nil, "\(heard)")
        // And that, where nobody invited it, with one sentence.
        let made = try InvitationCode(
            workspace: authority.workspace, authorityFingerprint: authority.fingerprint, secret: .random(),
            expiresAt: later(Self.hour), addresses: [server.address])
        let answer = try await Joiner(made.text, bureaus.node("uninvited").data).ask(server.address)
        guard case .error(let notice) = answer else {
            throw TestFailure("it was answered: \(String(describing: answer))")
        }
        #expect(notice.code == .refused && notice.message == "this node gave out no such invitation", "\(notice)")
        expectEqualLines(before, try await hq.dump(), "before", "after")
        #expect(try await hq.sql("SELECT count(*) FROM sync_roster") == records)

        // A member gets for it what nobody else got: the vector, and the roster.
        let member = try identity(istanbul)
        let proven = Outsider(
            context: try .showing(try member.membership().certificate, member.key, believing: authority),
            node: member.node, workspace: authority.workspace)
        let told = try await proven.greet(server.address) { frames in
            frames.contains { if case .rosterRecords = $0 { true } else { false } }
        }
        var vector: [Origin: SequenceNumber] = [:]
        var roster: [[UInt8]] = []
        for frame in told.frames {
            switch frame {
            case .greeting(let greeting): vector = greeting.applied.entries
            case .rosterRecords(let part): roster += part.records
            default: break
            }
        }
        #expect(vector.keys.contains { $0.node == certificate.nodeID }, "\(told)")
        #expect(roster.contains(certificate.der) && told.bytes > certificate.der.count, "\(told)")
        try await server.stop()
    }

    /// It has taken over the address, the names and the ids; whoever is led to it hangs up before a word is said.
    @Test(.timeLimit(.minutes(5)), arguments: [false, true])
    func whoStandsBetweenWithAKeyOfItsOwnGetsNothing(showsTheTrueAuthority: Bool) async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await istanbul.insertArticle("i1", "Not for who stands between")
        let (certificate, authority) = try identity(hq).membership()
        let imitation = try CertificateAuthority(
            workspace: authority.workspace, workspaceName: authority.name, now: now())
        let key = SigningKey.generate()
        let shown = try imitation.issue(
            to: key.publicKey, name: certificate.name, role: certificate.role, now: now())
        let impostor = try await Impostor(
            .showing(
                shown, key, believing: showsTheTrueAuthority ? authority : imitation.certificate, acceptsJoins: true))
        for verb in ["pull", "push", "sync"] {
            let outcome = try await istanbul.attempt(verb, impostor.address)
            #expect(outcome.status == 77, "\(outcome)")
            #expect(outcome.errors.contains("was not signed by the authority of workspace"), "\(outcome)")
        }
        let code = try await hq.run("invite", "ankara", "--address", impostor.address)
        let ankara = bureaus.node("ankara")
        let asked = try await ankara.attempt(["join", "-"], input: code + "\n")
        #expect(asked.status == 77 && asked.errors.contains("authority"), "\(asked)")
        #expect(!FileManager.default.fileExists(atPath: ankara.data + "/identity/certificate.pem"))
        let told = try await eventually("it is refused four times: \(impostor.visits.failures)") {
            impostor.visits.failures.count >= 4 ? impostor.visits.failures : nil
        }
        #expect(told.allSatisfy { $0.tls?.code == .refusedByPeer }, "\(told)")
        #expect(impostor.visits.sessions == 0)
        await impostor.close()

        // The same words to the true one are heard.
        let server = try await hq.serve()
        try await istanbul.exchange("sync", server)
        #expect(try await hq.headline("i1") == "Not for who stands between")
        try await server.stop()
        try await expectAgreement(nodes)
    }

    /// A member in the middle may read and relay like any member, and yet is not taken for the one that was asked for.
    @Test(.timeLimit(.minutes(5))) func aMemberAtAnothersAddressIsNotTakenForIt() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        try await hq.insertArticle("h1", "Of hq")
        try await antalya.insertArticle("t1", "Of antalya")
        let (server, other) = (try await hq.serve(), try await antalya.serve())
        let tap = try await WireTap(bureaus, to: server.port)
        try await istanbul.run("peer", "add", tap.address)
        try await istanbul.run("pull")
        #expect(try await istanbul.headline("h1") == "Of hq")

        try tap.lead(to: other.port)
        for peer in ["hq", tap.address] {
            let outcome = try await istanbul.attempt("sync", peer)
            #expect(outcome.status == 77 && outcome.errors.contains("answers “antalya”, not “hq”"), "\(outcome)")
        }
        #expect(try await istanbul.headline("t1") == "")
        // Where antalya is asked for, it is there.
        try await istanbul.exchange("pull", other)
        #expect(try await istanbul.headline("t1") == "Of antalya")
        try tap.lead(to: server.port)
        try await istanbul.run("sync", "hq")
        #expect(try await hq.headline("t1") == "Of antalya")
        for server in [server, other] { try await server.stop() }
    }
}
