// Becoming a member, and being shut out: codes used once, late, mistyped or twice at once; files; names; modes; revocation.
import Chance
import Foundation
import NIOPosix
import PeerTransport
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite(.serialized) struct JoiningTests {
    @Test(.timeLimit(.minutes(5))) func aCodeIsGoodForOneNodeOnce() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        // Where it last served is in the code without being named.
        let outcome = try await hq.attempt("invite", "istanbul")
        #expect(outcome.status == 0 && outcome.text.split(separator: "\n").count == 1, "the code alone: \(outcome)")
        let code = outcome.text.trimmingCharacters(in: .newlines)
        let istanbul = bureaus.node("istanbul")
        let none = try await istanbul.attempt(["join", "-"], input: "\n")
        #expect(none.status == 65 && none.errors.contains("no code"), "\(none)")
        let asked = try await istanbul.attempt(["join", "-", "--json"], input: " \(code)\r\n")
        #expect(asked.status == 0, "\(asked)")
        let joined = try JSON(asked.output)
        #expect(joined["node"]?["name"]?.text == "istanbul" && joined["node"]?["role"]?.text == "writer", "\(joined)")
        #expect(joined["workspace"]?["name"]?.text == "desk" && joined["data"]?.text == istanbul.data)

        let second = bureaus.node("second")
        let refused = try await second.attempt("join", code)
        #expect(refused.status == 77 && refused.errors.contains("used"), "\(refused)")
        let again = try await istanbul.attempt("join", code)
        #expect(again.status == 64 && again.errors.contains("already"), "\(again)")
        // It knows where to go: joining left the inviter's address.
        try await hq.insertArticle("a1", "Welcome")
        try await istanbul.run("pull")
        #expect(try await istanbul.headline("a1") == "Welcome")
        let members = try await istanbul.json("roster")["members"]?.elements ?? []
        #expect(Set(members.compactMap { $0["name"]?.text }) == ["hq", "istanbul"])
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func lateAndMistypedCodesAreRefused() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let late = try await hq.run("invite", "late", "--expires", "1s")
        try await Task.sleep(for: .milliseconds(1100))
        let expired = try await bureaus.node("late").attempt("join", late)
        #expect(expired.status == 77 && expired.errors.contains("valid until"), "\(expired)")
        let code = try await hq.run("invite", "typo")
        var random = SeededRandom.ofTest()
        var letters = Array(code)
        let place = Int.random(in: (letters.count / 2)..<letters.count, using: &random)
        letters[place] = letters[place] == "b" ? "c" : "b"
        for wrong in [String(letters), String(code.dropLast()), "nonsense"] {
            let outcome = try await bureaus.node("typo").attempt("join", wrong)
            #expect(outcome.status == 65, "seed \(random.seed), \(wrong): \(outcome)")
            #expect(!FileManager.default.fileExists(atPath: bureaus.node("typo").replica))
        }
        try await bureaus.node("typo").run("join", code)
        try await server.stop()
        // Nobody answers: try later.
        let away = try await hq.run("invite", "away")
        let unreachable = try await bureaus.node("away").attempt("join", away)
        #expect(unreachable.status == 69, "\(unreachable)")
    }

    @Test(.timeLimit(.minutes(5))) func ofTwoThatRaceOneJoins() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let code = try await hq.run("invite", "racer")
        let racers = (0..<4).map { bureaus.node("racer\($0)") }
        let children = try racers.map { try $0.start(["join", code]) }
        var statuses: [Int32] = []
        for child in children { statuses.append(try await child.wait().status) }
        #expect(statuses.sorted() == [0, 77, 77, 77])
        let members = try await hq.json("roster")["members"]?.elements ?? []
        #expect(members.count { $0["name"]?.text == "racer" } == 1)
        try await server.stop()
    }

    /// Whoever has a code may ask as often as the code is good: that fills neither the roster, which every node keeps for ever,
    /// nor the log.
    @Test(.timeLimit(.minutes(5))) func askingAgainAndAgainFillsNothing() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let code = try InvitationCode(text: await hq.run("invite", "eager", "--address", server.address))
        let identity = try IdentityDirectory.prepareToJoin(path: bureaus.node("eager").data)
        let request = try identity.request(name: "whatever")
        func answer(
            _ invitation: InvitationID, _ frame: (_ exporter: [UInt8]) throws -> JoinRequest?
        ) async throws -> ExchangeFrame? {
            let link = try await PeerDialer(group: MultiThreadedEventLoopGroup.singleton).dial(
                Endpoint(server.address),
                context: TLSContext(joining: code.workspace, fingerprint: code.authorityFingerprint, clock: { now() }),
                offering: .join)
            let exporter = try await link.exportKeyingMaterial(
                label: JoinProofKey.exporterLabel, count: JoinProofKey.exporterBytes)
            try await link.send([frame(exporter).map { .joinRequest($0) } ?? .goodbye])
            let answer = try await link.next()?.frame
            await link.close()
            return answer
        }
        func join(_ invitation: InvitationID, proof key: JoinProofKey) async throws -> ExchangeFrame? {
            try await answer(invitation) { exporter in
                JoinRequest(
                    certificateRequest: request.der, invitation: invitation.bytes,
                    proof: key.proof(exporter: exporter, request: request.der))
            }
        }

        var certificates: Set<[UInt8]> = []
        for _ in 0..<10 {
            let answer = try await join(code.secret.invitationID, proof: code.secret.proofKey)
            guard case .joinResponse(let response) = answer else {
                throw TestFailure("not admitted: \(String(describing: answer))")
            }
            certificates.insert(response.certificate)
            #expect(response.rosterRecords.count == 2)
        }
        #expect(certificates.count == 1)
        #expect(try await hq.sql("SELECT count(*) FROM sync_roster") == "2")

        // Whether there is such an invitation is not told.
        let other = InvitationSecret.random()
        let wrongProof = try await join(code.secret.invitationID, proof: other.proofKey)
        let unknown = try await join(other.invitationID, proof: other.proofKey)
        #expect(wrongProof != nil && wrongProof == unknown)
        for _ in 0..<20 { _ = try? await answer(other.invitationID) { _ in nil } }
        _ = try await eventually("it is logged", within: 20) {
            server.child.errors.contains("no join request") ? true : nil
        }
        // One line for each cause: no request, no such invitation, a wrong proof.
        #expect(server.child.errors.split(separator: "\n").count { $0.contains("did not admit") } == 3)
        try await server.stop()
    }

    /// A certificate runs out one day; the node stays what it is.
    @Test(.timeLimit(.minutes(5))) func aMemberRenewsItsCertificate() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let reader = bureaus.node("reader")
        let (request, admission) = (bureaus.directory + "/r.request", bureaus.directory + "/r.admission")
        try await reader.run("join", "--request", request, "--name", "desk reader")
        try await hq.run("admit", request, "--out", admission, "--role", "reader")
        try await reader.run("join", "--certificate", admission)
        try await hq.insertArticle("a1", "Before")
        let server = try await hq.serve()
        try await reader.exchange("pull", server)
        let certificate = reader.data + "/identity/certificate.pem"
        let before = FileManager.default.contents(atPath: certificate)

        try await reader.run("join", "--request", request)
        try await hq.run("admit", request, "--out", admission)
        let renewed = try await reader.attempt("join", "--certificate", admission)
        #expect(renewed.status == 0 && renewed.text.contains("good until"), "\(renewed)")
        #expect(FileManager.default.contents(atPath: certificate) != before)
        for node in [reader, hq] {
            let members = try await node.json("roster")["members"]?.elements
            let member = members?.first { $0["name"]?.text == "desk reader" }
            #expect(member?["role"]?.text == "reader" && members?.count == 2, "\(members ?? [])")
        }
        try await hq.insertArticle("a2", "After")
        try await reader.exchange("pull", server)
        #expect(try await reader.headline("a2") == "After")
        try await server.stop()
        // What a reader would decide, nobody would hear of.
        for command in [
            ["conflicts", "accept", "1"], ["conflicts", "keep", "1"], ["recover", "--salvage", hq.replica],
        ] {
            let refused = try await reader.attempt(command)
            #expect(refused.status == 77 && refused.errors.contains("reader"), "\(refused)")
        }
        try await reader.expectSound()
    }

    @Test(.timeLimit(.minutes(5))) func filesDoWithoutANetwork() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let reader = try await bureaus.admit("reader", by: hq, role: "reader")
        #expect(try await reader.json("status")["role"]?.text == "reader")
        let early = bureaus.node("early")
        try await early.run("join", "--request", bureaus.directory + "/early.request", "--name", "early")
        let waiting = try await early.attempt("status")
        #expect(waiting.status == 78 && waiting.errors.contains("join"), "\(waiting)")
        // A certificate made for another.
        let wrong = try await early.attempt("join", "--certificate", bureaus.directory + "/reader.admission")
        #expect(wrong.status == 65 && wrong.errors.contains("was made for"), "\(wrong)")
        let garbage = try await hq.attempt(
            "admit", try bureaus.file("garbage", "not a request"), "--out", bureaus.directory + "/out")
        #expect(garbage.status == 65, "\(garbage)")
        let absent = try await hq.attempt("admit", bureaus.directory + "/absent", "--out", bureaus.directory + "/out")
        #expect(absent.status == 66, "\(absent)")
        // Only who holds the authority may admit.
        let powerless = try await reader.attempt(
            "admit", bureaus.directory + "/early.request", "--out", bureaus.directory + "/out")
        #expect(powerless.status == 78 && powerless.errors.contains("private key"), "\(powerless)")
        let taken = try await hq.attempt(
            "admit", bureaus.directory + "/early.request", "--out", bureaus.directory + "/out", "--name", "hq")
        #expect(taken.status == 77 && taken.errors.contains("name"), "\(taken)")
        let invited = try await hq.attempt("invite", "reader", "--address", "127.0.0.1:1")
        #expect(invited.status == 77 && invited.errors.contains("name"), "\(invited)")
    }

    @Test(
        .timeLimit(.minutes(5)),
        arguments: [("identity/key.pem", 0o644), ("identity", 0o755), ("identity/authority-key.pem", 0o640)])
    func filesOpenToOthersAreRefused(path: String, mode: Int) async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let full = hq.data + "/" + path
        let right = try FileManager.default.attributesOfItem(atPath: full)[.posixPermissions] as? Int
        #expect(right == (path == "identity" ? 0o700 : 0o600))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: full)
        let command = path.contains("authority") ? ["invite", "x", "--address", "127.0.0.1:1"] : ["status"]
        for _ in 0..<2 {
            let outcome = try await hq.attempt(command)
            #expect(outcome.status == 78 && outcome.errors.contains("chmod"), "\(outcome)")
        }
        try FileManager.default.setAttributes([.posixPermissions: right ?? 0o600], ofItemAtPath: full)
        #expect(try await hq.attempt(command).status == 0)
    }

    @Test(.timeLimit(.minutes(10))) func whoIsRevokedIsRefusedByAll() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        try await antalya.insertArticle("before", "Written before")
        var server = try await hq.serve()
        try await antalya.exchange("sync", server)
        try await istanbul.exchange("pull", server)
        // What it writes from here on is known to istanbul alone when the word goes round.
        try await antalya.insertArticle("after", "Written after")
        let behind = try await antalya.serve()
        try await hq.run("revoke", "antalya", "--reason", "left the paper")
        try await istanbul.exchange("pull", behind)
        #expect(try await istanbul.headline("after") == "Written after")

        // The service that was running takes it to heart at once; so does one started later.
        _ = try await eventually("refused by the running service", within: 10) {
            try await antalya.attempt("sync", server.address).status == 77 ? true : nil
        }
        try await server.stop()
        server = try await hq.serve()
        let refused = try await antalya.attempt("sync", server.address)
        #expect(refused.status == 77 && refused.errors.contains("revoked"), "\(refused)")
        // Not by way of istanbul either: hq takes nothing of what antalya wrote after, whoever brings it, and istanbul, which
        // learnt of it in that session, takes it back.
        try await istanbul.exchange("push", server)
        #expect(try await istanbul.headline("after") == "")
        #expect(try await hq.sql("SELECT group_concat(id) FROM articles") == "before")
        // It refuses antalya from now on.
        let standing = try await istanbul.json("roster")["members"]?.elements.first { $0["name"]?.text == "antalya" }
        #expect(standing?["standing"]?.text == "revoked", "\(standing ?? .null)")
        let dialled = try await istanbul.attempt("pull", behind.address)
        #expect(dialled.status == 77, "\(dialled)")
        let other = try await istanbul.serve()
        let third = try await antalya.attempt("pull", other.address)
        #expect(third.status == 77, "\(third)")
        // Its name is free again for a node with another key.
        let successor = bureaus.node("successor")
        try await successor.run("join", "--request", bureaus.directory + "/s.request", "--name", "antalya")
        try await hq.run("admit", bureaus.directory + "/s.request", "--out", bureaus.directory + "/s.admission")
        try await successor.run("join", "--certificate", bureaus.directory + "/s.admission")
        try await successor.exchange("pull", server)
        #expect(try await successor.headline("before") == "Written before")
        for server in [other, behind, server] { try await server.stop() }
        // The name means the node that has it now; once both are revoked it means neither.
        try await hq.run("revoke", "antalya")
        let called = try await hq.json("roster")["members"]?.elements.filter { $0["name"]?.text == "antalya" }
        #expect(called?.compactMap { $0["standing"]?.text } == ["revoked", "revoked"], "\(called ?? [])")
        let neither = try await hq.attempt("revoke", "antalya")
        #expect(neither.status == 64 && neither.errors.contains("2 nodes are called"), "\(neither)")
        for node in [hq, istanbul, successor] { try await node.expectSound() }
    }
}
