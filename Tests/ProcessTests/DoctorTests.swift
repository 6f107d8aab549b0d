// What `doctor` says of set-ups in which nothing works though nothing looks broken, and what other commands say of the same.
import Foundation
import ReplicationModel
import Testing
import Trust

@Suite(.serialized) struct DoctorTests {
    /// One of the doctor's checks.
    private func check(_ name: String, _ outcome: Outcome) throws -> JSON {
        let checks = try JSON(outcome.output)["checks"]?.elements ?? []
        return try #require(checks.first { $0["name"]?.text == name }, "\(outcome)")
    }

    private func expect(
        _ check: JSON, _ state: String, finding: String, remedy: String, _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(check["state"]?.text == state, "\(check)", sourceLocation: location)
        #expect(check["finding"]?.text?.contains(finding) == true, "\(check)", sourceLocation: location)
        #expect(check["remedy"]?.text?.contains(remedy) == true, "\(check)", sourceLocation: location)
    }

    @Test(.timeLimit(.minutes(5)), .enabled(if: SmallDisk.isPermitted, "tmpfs may not be mounted here"))
    func aFullDiskIsBroken() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let disk = try SmallDisk(bureaus.node("laptop").data, megabytes: 32)
        let laptop = try await bureaus.admit("laptop", by: hq)
        // Something is to be watched at this size, and nothing is broken.
        let small = try await laptop.attempt("doctor", "--json")
        expect(try check("disk", small), "watch", finding: "MB free", remedy: "Make room")
        let filler = disk.path + "/filler"
        _ = try await Child.run("dd", ["if=/dev/zero", "of=\(filler)", "bs=1M"])
        let full = try await laptop.attempt("doctor", "--json")
        #expect(full.status == 78, "\(full)")
        expect(try check("disk", full), "broken", finding: "0 MB free", remedy: "Make room")
        try FileManager.default.removeItem(atPath: filler)
        withExtendedLifetime(disk) {}
    }

    @Test(.timeLimit(.minutes(5)), .enabled(if: Child.isInstalled("faketime"), "faketime is not installed"))
    func aClockBeforeTheCertificateIsToldSo() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let outcome = try await Child.run(
            "faketime", ["-f", "-30d", Bureaus.program, "doctor", "--json"], environment: ["SYNCNODE_DATA": hq.data])
        #expect(outcome.status == 78, "\(outcome)")
        expect(
            try check("certificate", outcome), "broken", finding: "this clock is before the certificate begins",
            remedy: "Set the clock")
    }

    @Test(.timeLimit(.minutes(5)), .enabled(if: Child.isInstalled("faketime"), "faketime is not installed"))
    func aPeersClockIsBehindOrAhead() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        func fast(_ arguments: String...) async throws -> Outcome {
            try await Child.run(
                "faketime", ["-f", "+2h", Bureaus.program] + arguments, environment: ["SYNCNODE_DATA": istanbul.data])
        }
        let pulled = try await fast("pull", server.address)
        #expect(pulled.status == 0, "\(pulled)")
        let here = try check("clock", try await fast("doctor", "--json"))["finding"]?.text ?? ""
        let there = try check("clock", try await hq.attempt("doctor", "--json"))["finding"]?.text ?? ""
        for (finding, words) in [(here, "behind this one"), (there, "ahead of this one")] {
            #expect(finding.contains(words) && !finding.contains(" ms "), "\(finding)")
            // The processes are some time apart.
            #expect(finding.contains("2 h") || finding.contains("1 h 59 min"), "\(finding)")
        }
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func addressesThatAreWrongAreNamed() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let other = bureaus.node("other")
        try await other.run("init", "--workspace", "elsewhere", "--name", "other")
        let (server, foreign) = (try await hq.serve(), try await other.serve())
        let wrong = "127.0.0.1:1"
        for address in [wrong, foreign.address] {
            try await hq.run("peer", "add", address)
            let outcome = try await hq.attempt("pull", address)
            #expect(outcome.status != 0, "\(outcome)")
        }
        let doctor = try check("addresses", try await hq.attempt("doctor", "--json"))
        for address in [wrong, foreign.address] {
            expect(doctor, "watch", finding: address, remedy: "`syncnode peer remove \(address)` if it is wrong")
        }
        for address in [wrong, foreign.address] { try await hq.run("peer", "remove", address) }
        let mended = try check("addresses", try await hq.attempt("doctor", "--json"))
        #expect(mended["state"]?.text == "well", "\(mended)")
        // A node's own address.
        let own = try await hq.attempt("pull", server.address)
        #expect(own.status == 77 && own.errors.contains("`syncnode peer remove \(server.address)`"), "\(own)")
        try await foreign.stop()
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func aReaderThatWroteIsToldSo() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let reader = try await bureaus.admit("reader", by: hq, role: "reader")
        let before = try check("rights", try await reader.attempt("doctor", "--json"))
        #expect(before["state"]?.text == "well", "\(before)")
        try await reader.insertArticle("r1", "By a reader")
        func expectTold(_ what: String, _ location: SourceLocation = #_sourceLocation) async throws {
            let outcome = try await reader.attempt("doctor", "--json")
            #expect(outcome.status == 78, "\(outcome)", sourceLocation: location)
            expect(
                try check("rights", outcome), "broken", finding: "this node is a reader, and \(what)",
                remedy: "syncnode admit FILE --role writer", location)
        }
        try await expectTold("1 edit")
        let server = try await hq.serve()
        let pushed = try await reader.attempt("push", server.address)
        #expect(pushed.status == 77 && pushed.errors.contains("reader"), "\(pushed)")
        try await expectTold("1 change set")

        // What is advised helps.
        let (request, admission) = (bureaus.directory + "/w.request", bureaus.directory + "/w.admission")
        try await reader.run("join", "--request", request)
        try await hq.run("admit", request, "--role", "writer", "--out", admission)
        try await reader.run("join", "--certificate", admission)
        try await reader.exchange("push", server)
        #expect(try await hq.headline("r1") == "By a reader")
        let after = try check("rights", try await reader.attempt("doctor", "--json"))
        #expect(after["state"]?.text == "well", "\(after)")
        try await server.stop()
        try await expectAgreement([hq, reader])
    }

    @Test(.timeLimit(.minutes(5)), arguments: ["identity", "identity/key.pem"])
    func aReplicaWithoutItsIdentityIsToldSo(_ missing: String) async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try FileManager.default.removeItem(atPath: "\(hq.data)/\(missing)")
        for command in ["status", "doctor"] {
            let outcome = try await hq.attempt(command)
            let said = outcome.text + outcome.errors
            #expect(outcome.status == 78, "\(outcome)")
            #expect(said.contains("identity/key.pem is missing beside replica.sqlite"), "\(outcome)")
            #expect(said.contains("identity/ back from its backup") && !said.contains("syncnode init"), "\(outcome)")
        }
        // A directory in which nothing is, is another matter.
        let empty = try await bureaus.node("empty").attempt("status")
        #expect(empty.status == 78 && empty.errors.contains("syncnode init"), "\(empty)")
        #expect(empty.errors.contains("`syncnode join`"), "\(empty)")
    }

    /// Gives an admin another certificate, valid until then.
    private func certify(_ node: Node, secondsLeft: Int64, _ bureaus: Bureaus) async throws {
        let (request, admission) = (bureaus.directory + "/\(node.name).request", bureaus.directory + "/admission")
        try await node.run("join", "--request", request)
        let authority = try IdentityDirectory.open(path: node.data + "/identity").certificateAuthority()
        let wish = try CertificateRequest(pem: [UInt8](FileManager.default.contents(atPath: request) ?? Data()))
        let time = now().milliseconds
        let end = time + secondsLeft * 1000
        let certificate = try authority.issue(
            to: wish.publicKey, name: node.name, role: .admin,
            notBefore: .init(milliseconds: min(time, end) - 3_600_000),
            notAfter: .init(milliseconds: end), now: now())
        let file = AdmissionFile(
            certificate: certificate, authority: authority.certificate,
            roster: Roster(authority: authority.certificate))
        try Data(file.pem).write(to: URL(fileURLWithPath: admission))
        try await node.run("join", "--certificate", admission)
    }

    @Test(.timeLimit(.minutes(5))) func aCertificateThatRunsOutIsToldOfInTime() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let good = try await hq.serve()
        try await good.says("serving")
        #expect(good.logged("certificate wants attention").isEmpty, "\(good.child.errors)")
        try await good.stop()

        try await certify(hq, secondsLeft: 20 * 86_400, bureaus)
        let soon = try await hq.serve()
        try await soon.says("certificate wants attention", "valid for", "syncnode join --request FILE")
        try await soon.stop()
        let invited = try await hq.attempt("invite", "istanbul", "--address", "127.0.0.1:1")
        #expect(invited.status == 0, "\(invited)")

        try await certify(hq, secondsLeft: -3_600, bureaus)
        let late = try await hq.serve()
        try await late.says("certificate wants attention", "ran out")
        try await late.stop()
        // A code that nobody could redeem.
        let refused = try await hq.attempt("invite", "antalya", "--address", "127.0.0.1:1")
        #expect(refused.status == 77, "\(refused)")
        #expect(refused.errors.contains("ran out") && refused.errors.contains("join --request FILE"), "\(refused)")
    }
}
