// How a node begins: beside what a lost one left, and again where it was broken off.
import Foundation
import Testing

@Suite(.serialized) struct BeginningTests {
    private func remove(_ node: Node, _ names: String...) throws {
        for name in names where FileManager.default.fileExists(atPath: node.data + "/" + name) {
            try FileManager.default.removeItem(atPath: node.data + "/" + name)
        }
    }

    private func removeReplica(_ node: Node) throws {
        try remove(node, "replica.sqlite", "replica.sqlite-wal", "replica.sqlite-shm")
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    private func usedCodes(_ node: Node) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: node.data + "/identity/invitations")
            .count { $0.hasSuffix(".used") }
    }

    private func member(_ node: Node, named name: String) async throws -> JSON? {
        try await node.json("roster")["members"]?.elements.first { $0["name"]?.text == name }
    }

    @Test(.timeLimit(.minutes(5)), arguments: [false, true])
    func nothingBeginsBesideAReplicaWithoutItsIdentity(theLogAlone: Bool) async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        let code = try await hq.run("invite", "another")
        try remove(istanbul, "identity")
        if theLogAlone {
            try removeReplica(istanbul)
            try Data("the last edits".utf8).write(to: URL(fileURLWithPath: istanbul.replica + "-wal"))
        }
        let request = bureaus.directory + "/again.request"
        for command in [
            ["join", code], ["join", "-"], ["join", "--request", request],
            ["init", "--workspace", "desk", "--name", "istanbul"],
        ] {
            let refused = try await istanbul.attempt(command)
            #expect(refused.status == 64, "\(command): \(refused)")
            #expect(refused.errors.contains(istanbul.replica + (theLogAlone ? "-wal" : "")), "\(refused)")
            #expect(refused.errors.contains("identity/"), "\(refused)")
            #expect(!exists(istanbul.data + "/identity"), "\(command) left an identity")
        }
        #expect(!exists(request))
        #expect(try usedCodes(hq) == 0)
        #expect(try await member(hq, named: "another") == nil)
        try await bureaus.node("another").run("join", code)
        try await server.stop()
    }

    /// Its key is there, and what an admin said of it is lost: the key is admitted again.
    @Test(.timeLimit(.minutes(5))) func aLostCertificateIsAskedForAgain() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await istanbul.insertArticle("a1", "Still here")
        let server = try await hq.serve()
        let code = try await hq.run("invite", "another")
        let saved = FileManager.default.contents(atPath: istanbul.data + "/identity/authority.pem")
        try remove(istanbul, "identity/authority.pem")
        let torn = try await istanbul.attempt("join", code)
        #expect(torn.status == 65 && torn.errors.contains("authority.pem"), "\(torn)")
        try remove(istanbul, "identity/certificate.pem")
        let refused = try await istanbul.attempt("join", code)
        #expect(refused.status == 64 && refused.errors.contains("--request"), "\(refused)")
        #expect(try usedCodes(hq) == 0)

        let (request, admission) = (bureaus.directory + "/i.request", bureaus.directory + "/i.admission")
        try await istanbul.run("join", "--request", request, "--name", "istanbul")
        try await hq.run("admit", request, "--out", admission)
        try await istanbul.run("join", "--certificate", admission)
        #expect(FileManager.default.contents(atPath: istanbul.data + "/identity/authority.pem") == saved)
        try await istanbul.exchange("push", server)
        #expect(try await hq.headline("a1") == "Still here")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func aReplicaAndACertificateOfTwoWorkspaces() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let istanbul = nodes[1]
        let other = try await bureaus.found("other", workspace: "another desk")
        let (certificate, authority) = (
            istanbul.data + "/identity/certificate.pem", istanbul.data + "/identity/authority.pem"
        )
        try remove(istanbul, "identity/certificate.pem", "identity/authority.pem")
        let (request, admission) = (bureaus.directory + "/i.request", bureaus.directory + "/i.admission")
        try await istanbul.run("join", "--request", request, "--name", "istanbul")
        try await other.run("admit", request, "--out", admission)
        // Not installed: the replica beside it is of the first workspace.
        let refused = try await istanbul.attempt("join", "--certificate", admission)
        #expect(refused.status == 77 && refused.errors.contains("another desk"), "\(refused)")
        #expect(!exists(certificate) && !exists(authority))

        // Put there by hand.
        let blocks = try String(contentsOfFile: admission, encoding: .utf8)
            .split(separator: "-----END CERTIFICATE-----\n").map { $0 + "-----END CERTIFICATE-----\n" }
        try Data(blocks[0].utf8).write(to: URL(fileURLWithPath: certificate))
        try Data(blocks[1].utf8).write(to: URL(fileURLWithPath: authority))
        let status = try await istanbul.attempt("status")
        #expect(status.status == 77 && status.errors.contains("syncnode recover"), "\(status)")
        try removeReplica(istanbul)
        try await istanbul.run("recover")
        #expect(try await istanbul.json("status")["workspace"]?["name"]?.text == "another desk")
    }

    /// Ended by a signal when its certificate was on disk, and nothing else: as the same directory without a replica.
    @Test(.timeLimit(.minutes(5))) func aJoinThatWasBrokenOffGoesOn() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await hq.insertArticle("a1", "Welcome")
        let server = try await hq.serve()
        let code = try await hq.run("invite", "istanbul")
        let istanbul = bureaus.node("istanbul")
        let id = try JSON(try await istanbul.attempt("join", code, "--json").output)["node"]?["id"]?.text
        try removeReplica(istanbul)
        try remove(istanbul, "identity/high-water-mark")

        let foreign = try await bureaus.found("other", workspace: "another desk")
        let theirs = try await foreign.run("invite", "x", "--address", "127.0.0.1:1")
        let refused = try await istanbul.attempt("join", theirs)
        #expect(refused.status == 64 && refused.errors.contains("syncnode recover HOST:PORT"), "\(refused)")

        let again = try await istanbul.attempt("join", code, "--json")
        #expect(again.status == 0, "\(again)")
        #expect(try JSON(again.output)["node"]?["id"]?.text == id)
        #expect(try await istanbul.json("status")["notices"]?.elements.isEmpty == true)
        try await istanbul.run("pull")
        #expect(try await istanbul.headline("a1") == "Welcome")
        // Now it is done.
        let third = try await istanbul.attempt("join", code)
        #expect(third.status == 64 && third.errors.contains("already"), "\(third)")
        #expect(!third.errors.contains("recover"), "\(third)")

        // Where a replica was and is lost, the same command says so afterwards.
        try removeReplica(istanbul)
        try await istanbul.run("join", code)
        #expect(try await istanbul.json("status")["notices"]?[0]?["kind"]?.text == "recovered")
        try await istanbul.run("pull")
        try await server.stop()
        try await expectAgreement([hq, istanbul])
    }

    /// Ended by a signal when the replica was made, and before anything was written in it.
    @Test(.timeLimit(.minutes(5))) func whatAJoinDidNotWriteIsWrittenLater() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let code = try await hq.run("invite", "istanbul")
        let istanbul = bureaus.node("istanbul")
        try await istanbul.run("join", code)
        try await istanbul.sql("DELETE FROM sync_roster; DELETE FROM sync_addresses")
        #expect(try await member(istanbul, named: "istanbul")?["role"]?.text == "writer")
        #expect(try await istanbul.attempt("pull").status == 66)
        try await istanbul.run("join", code)
        try await istanbul.run("pull")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func makingAWorkspaceThatWasBrokenOffGoesOn() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let id = try await hq.json("status")["node"]?["id"]?.text
        try removeReplica(hq)
        // It had a replica: that is lost, and is not passed over in silence.
        let lost = try await hq.attempt("init", "--workspace", "desk", "--name", "hq")
        #expect(lost.status == 64 && lost.errors.contains("syncnode recover"), "\(lost)")
        try remove(hq, "identity/high-water-mark")
        let other = try await hq.attempt("init", "--workspace", "another", "--name", "hq")
        #expect(other.status == 64 && other.errors.contains("syncnode recover"), "\(other)")
        try await hq.run("init", "--workspace", "desk", "--name", "hq")
        #expect(try await hq.json("status")["node"]?["id"]?.text == id)
        #expect(try await member(hq, named: "hq")?["role"]?.text == "admin")
    }
}
