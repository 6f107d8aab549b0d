// Rights come from the authority's key alone: not from what is asked for, nor from a role, nor from a member's own signature.
import Foundation
import NIOPosix
import PeerTransport
import ReplicationModel
import ReplicationWire
import Synchronization
import Testing
import Trust

extension Joiner {
    /// With a request that was made elsewhere.
    init(_ code: InvitationCode, asking request: CertificateRequest) {
        self.code = code
        self.request = request
    }
}

@Suite(.serialized) struct RightsTests {
    private func identity(_ node: Node) throws -> IdentityDirectory {
        try IdentityDirectory.open(path: node.data + "/identity")
    }

    private func isIn(_ bytes: [UInt8], _ text: String) -> Bool { Data(bytes).range(of: Data(text.utf8)) != nil }

    private func records(_ node: Node) async throws -> String {
        try await node.sql("SELECT count(*) FROM sync_roster")
    }

    /// Name, role and standing of each member, as a node sees them.
    private func members(_ node: Node) async throws -> [String] {
        let members = try await node.json("roster")["members"]?.elements ?? []
        return members.map { member in
            ["name", "role", "standing"].map { member[$0]?.text ?? "?" }.joined(separator: " ")
        }.sorted()
    }

    // MARK: What is asked for

    /// A node that has made its key and waits to be admitted.
    private func waiting(_ name: String, _ bureaus: Bureaus) async throws -> Node {
        let node = bureaus.node(name)
        try await node.run("join", "--request", "\(bureaus.directory)/\(name).request", "--name", "as it was asked")
        return node
    }

    /// A request for a node's key with a name of its choice, and with the extensions of an admin and of an authority, for which
    /// PKCS #10 has room.
    private func greedy(_ node: Node, calling name: String, _ bureaus: Bureaus) async throws -> (
        path: String, request: CertificateRequest
    ) {
        let wishes = try bureaus.file(
            "wishes.cnf",
            """
            [req]
            distinguished_name = subject
            req_extensions = wishes
            prompt = no
            [subject]
            CN = \(name)
            [wishes]
            basicConstraints = critical, CA:TRUE
            keyUsage = critical, keyCertSign, cRLSign
            2.25.196890578364483420054359680536822104495.1 = ASN1:UTF8String:admin
            """)
        let path = "\(bureaus.directory)/\(node.name)-\(name).request"
        let made = try await Child.run(
            "openssl", ["req", "-new", "-key", node.data + "/identity/key.pem", "-config", wishes, "-out", path])
        #expect(made.status == 0, "\(made)")
        let request = try CertificateRequest(pem: [UInt8](FileManager.default.contents(atPath: path) ?? Data()))
        #expect(request.name == name && isIn(request.der, "admin"))
        #expect(try request.publicKey.nodeID == identity(node).node)
        return (path, request)
    }

    @Test(.timeLimit(.minutes(5))) func theInvitationGivesNameAndRole() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let island = try await waiting("island", bureaus)
        let code = try InvitationCode(text: await hq.run("invite", "island", "--role", "reader"))
        var given: [JoinResponse] = []
        // As the admin, as somebody new, and as it was invited.
        for name in ["hq", "chief", "island"] {
            let request = try await greedy(island, calling: name, bureaus).request
            let response = try await Joiner(code, asking: request).join(server.address)
            let certificate = try Certificate(der: response.certificate)
            #expect(certificate.name == "island" && certificate.role == .reader, "\(certificate)")
            #expect(certificate.nodeID == request.publicKey.nodeID)
            #expect(isIn(certificate.der, "reader") && !isIn(certificate.der, "admin"))
            given.append(response)
        }
        #expect(Set(given.map(\.certificate)).count == 1)
        #expect(try await members(hq) == ["hq admin member", "island reader member"])

        // With that it lives as what it was invited to be.
        let authority = try AuthorityCertificate(der: given[0].authority)
        let admission = AdmissionFile(
            certificate: try Certificate(der: given[0].certificate), authority: authority,
            roster: Roster(authority: authority))
        let path = bureaus.directory + "/island.admission"
        try Data(admission.pem).write(to: URL(fileURLWithPath: path))
        try await island.run("join", "--certificate", path)
        try await island.exchange("pull", server)
        #expect(try await members(island) == ["hq admin member", "island reader member"])
        try await island.insertArticle("i1", "By a reader")
        let pushed = try await island.attempt("push", server.address)
        #expect(pushed.status == 77 && pushed.errors.contains("reader"), "\(pushed)")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func theAdmissionGivesNameAndRole() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        func admit(_ name: String, calling wished: String, _ more: String...) async throws -> (Certificate?, Outcome) {
            let node = try await waiting(name, bureaus)
            let request = try await greedy(node, calling: wished, bureaus)
            let out = request.path + ".admission"
            let outcome = try await hq.attempt(["admit", request.path, "--out", out] + more)
            guard let file = FileManager.default.contents(atPath: out) else { return (nil, outcome) }
            let certificate = try AdmissionFile(pem: [UInt8](file)).certificate
            #expect(certificate.nodeID == request.request.publicKey.nodeID)
            #expect(!isIn(certificate.der, "admin"))
            return (certificate, outcome)
        }
        // What the admin says counts.
        let (said, first) = try await admit("island", calling: "chief", "--name", "island", "--role", "reader")
        #expect(first.status == 0 && said?.name == "island" && said?.role == .reader, "\(first)")
        // Where nothing is said it is a writer, and called as it asked: the admin is shown that.
        let (unsaid, second) = try await admit("harbour", calling: "pier")
        #expect(second.status == 0 && unsaid?.name == "pier" && unsaid?.role == .writer, "\(second)")
        #expect(second.text.contains("“pier”") && second.text.contains("writer"), "\(second)")
        // As somebody else nobody is called.
        let (taken, third) = try await admit("thief", calling: "hq")
        #expect(third.status == 77 && third.errors.contains("another node has this name"), "\(third)")
        #expect(taken == nil)
        #expect(try await members(hq) == ["hq admin member", "island reader member", "pier writer member"])
    }

    // MARK: Who has not the authority's key

    @Test(.timeLimit(.minutes(5)), arguments: ["writer", "admin"])
    func whoHasNotTheAuthoritysKeyAdmitsAndRevokesNobody(role: String) async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let other = try await bureaus.admit("other", by: hq, role: role)
        _ = try await waiting("new", bureaus)
        let out = bureaus.directory + "/new.admission"
        let before = try await members(hq)
        #expect(before == ["hq admin member", "other \(role) member"])
        for command in [
            ["invite", "new", "--address", "127.0.0.1:1"], ["admit", bureaus.directory + "/new.request", "--out", out],
            ["revoke", "hq"],
        ] {
            let outcome = try await other.attempt(command)
            #expect(outcome.status == 78 && outcome.errors.contains("does not hold its private key"), "\(outcome)")
        }
        #expect(!FileManager.default.fileExists(atPath: out))
        #expect(!FileManager.default.fileExists(atPath: other.data + "/identity/invitations"))

        // A true code that leads to its service opens nothing there.
        let server = try await other.serve()
        let code = try await hq.run("invite", "island", "--address", server.address)
        let island = bureaus.node("island")
        let asked = try await island.attempt(["join", "-"], input: code + "\n")
        #expect(asked.status == 69 && asked.errors.contains("not the protocol asked for"), "\(asked)")
        #expect(!FileManager.default.fileExists(atPath: island.data + "/identity/certificate.pem"))
        try await server.stop()
        for node in [hq, other] {
            #expect(try await members(node) == before)
            #expect(try await records(node) == "2")
        }
    }

    /// Under the workspace's name and id, and with its own key, a member signs what only the authority may.
    @Test(.timeLimit(.minutes(5))) func whatAMemberSignsInTheAuthoritysPlaceIsRefused() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let other = try await bureaus.admit("other", by: hq, role: "admin")
        let victim = try await bureaus.admit("victim", by: hq)
        let server = try await hq.serve()
        try await victim.exchange("pull", server)
        let peer = try HostilePeer(other)
        let authority = try identity(other).membership().authority
        let imitation = try CertificateAuthority(
            workspace: authority.workspace, workspaceName: authority.name, now: now(), key: peer.identity.key)
        let newcomer = SigningKey.generate().publicKey
        let forged: [(what: String, record: [UInt8])] = [
            ("a certificate", try imitation.issue(to: newcomer, name: "newcomer", role: .writer, now: now()).der),
            (
                "its own, renewed",
                try imitation.issue(to: peer.identity.key.publicKey, name: "other", role: .admin, now: now()).der
            ),
            (
                "a revocation",
                try imitation.revoke(identity(victim).node, lastAccepted: [:], reason: "forged", now: now()).bytes
            ),
            ("an authority", imitation.certificate.der),
        ]
        let before = try await members(hq)
        #expect(before == ["hq admin member", "other admin member", "victim writer member"])
        func tell(_ record: [UInt8], _ changeSets: SealedChangeSet...) async throws -> ErrorNotice? {
            let records = RosterRecords(records: [record], digest: [UInt8](repeating: 7, count: 32))
            let frames = [ExchangeFrame.rosterRecords(records)] + changeSets.map(peer.frame)
            return try await peer.send(frames, to: server).notice
        }
        for (what, record) in forged {
            let notice = try await tell(record)
            #expect(notice?.code == .malformed, "\(what): \(String(describing: notice))")
            #expect(try await records(hq) == "3", "\(what)")
        }
        #expect(try await members(hq) == before)
        try await victim.insertArticle("v1", "Still a member")
        try await victim.exchange("sync", server)
        #expect(try await hq.headline("v1") == "Still a member")

        // The same frame with a record that the authority signed is taken.
        let signed = try identity(hq).certificateAuthority().issue(
            to: newcomer, name: "newcomer", role: .writer, now: now())
        let own = try peer.changeSet(Origin(node: peer.identity.node, incarnation: 7), 1, id: "o1", stamp: Stamp(now()))
        #expect(try await tell(signed.der, own) == nil)
        #expect(try await members(hq) == (before + ["newcomer writer member"]).sorted())
        #expect(try await hq.headline("o1") == "by a hostile peer")
        try await server.stop()
    }

    /// What somebody heard in the middle of a join.
    private final class Overheard: Sendable {
        private let noted = Mutex<(requests: [JoinRequest], answers: [ExchangeFrame?])>((requests: [], answers: []))
        var requests: [JoinRequest] { noted.withLock { $0.requests } }
        var answers: [ExchangeFrame?] { noted.withLock { $0.answers } }
        func add(_ request: JoinRequest) { noted.withLock { $0.requests.append(request) } }
        func add(_ answer: ExchangeFrame?) { noted.withLock { $0.answers.append(answer) } }
    }

    /// Who joins believes every admin's certificate; one who lacks the authority's key can do nothing with what it is shown.
    @Test(.timeLimit(.minutes(5))) func anAdminInTheMiddleOfAJoinGainsNothing() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let other = try await bureaus.admit("other", by: hq, role: "admin")
        let server = try await hq.serve()
        let own = try identity(other)
        let (certificate, authority) = try own.membership()
        let imitation = try CertificateAuthority(
            workspace: authority.workspace, workspaceName: authority.name, now: now(), key: own.key)
        let overheard = Overheard()
        let address = server.address
        let context = try TLSContext.showing(certificate, own.key, believing: authority, acceptsJoins: true)
        let middle = try await Impostor(context) { link in
            // It passes the request on as its own, and answers with a certificate that it signed itself.
            guard case .joinRequest(let request)? = try? await link.next()?.frame else { return }
            overheard.add(request)
            let pinned = TLSContext(
                joining: authority.workspace, fingerprint: authority.fingerprint, clock: { now() })
            let dialer = PeerDialer(group: MultiThreadedEventLoopGroup.singleton)
            if let endpoint = try? Endpoint(address),
                let onward = try? await dialer.dial(endpoint, context: pinned, offering: .join)
            {
                try? await onward.send([.joinRequest(request)])
                overheard.add(try? await onward.next()?.frame)
                await onward.close()
            }
            guard let wish = try? CertificateRequest(der: request.certificateRequest),
                let made = try? imitation.issue(to: wish.publicKey, name: "island", role: .writer, now: now())
            else { return }
            let response = JoinResponse(
                workspace: authority.workspace, workspaceName: authority.name, certificate: made.der,
                authority: authority.der, rosterRecords: [])
            try? await link.send([.joinResponse(response)])
        }
        let code = try await hq.run("invite", "island", "--address", middle.address)
        let island = bureaus.node("island")
        let asked = try await island.attempt(["join", "-"], input: code + "\n")
        #expect(asked.status == 65 && asked.errors.contains("was not signed by the authority"), "\(asked)")
        #expect(!FileManager.default.fileExists(atPath: island.data + "/identity/certificate.pem"))
        await middle.close()

        // It was shown the request with its proof, which is of that one session.
        #expect(overheard.requests.count == 1 && overheard.answers.count == 1)
        guard case .error(let notice)?? = overheard.answers.first else {
            throw TestFailure("hq answered \(overheard.answers)")
        }
        #expect(notice.code == .refused && notice.message.contains("no such invitation"), "\(notice)")
        #expect(try identity(hq).invitations.all().map(\.usedBy) == [nil])
        #expect(try await members(hq) == ["hq admin member", "other admin member"])
        // The code is as good as before: with a proof of its own session the same key is let in.
        let joiner = try Joiner(InvitationCode(text: code), asking: identity(island).request(name: "island"))
        #expect(try await Certificate(der: joiner.join(server.address).certificate).name == "island")
        #expect(try identity(hq).invitations.all().map(\.usedBy) == [joiner.request.publicKey.nodeID])
        try await server.stop()
    }
}
