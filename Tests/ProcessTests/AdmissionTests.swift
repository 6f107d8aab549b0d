// The admitting side: many who ask at once, a clock that ran ahead, faults of its own, and who may invite at all.
import Foundation
import NewsStore
import NodeRuntime
import ReplicaStore
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@Suite(.serialized) struct AdmissionTests {
    private func members(_ node: Node, named name: String) async throws -> Int {
        try await node.json("roster")["members"]?.elements.count { $0["name"]?.text == name } ?? 0
    }

    private func invitations(_ node: Node) throws -> [String] {
        let path = node.data + "/identity/invitations"
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: path)
    }

    @Test(.timeLimit(.minutes(5))) func askingAtOnceGivesOneCertificate() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let joiner = try Joiner(await hq.run("invite", "eager"), bureaus.node("eager").data)
        let certificates = try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<12 { group.addTask { try await joiner.join(server.address).certificate } }
            return try await group.reduce(into: Set<[UInt8]>()) { $0.insert($1) }
        }
        #expect(certificates.count == 1)
        #expect(try await hq.sql("SELECT count(*) FROM sync_roster") == "2")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func ofTwoCodesOfOneNameOneIsGood() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        var joiners: [Joiner] = []
        for index in 0..<6 {
            joiners.append(try Joiner(await hq.run("invite", "twin"), bureaus.node("twin\(index)").data))
        }
        let answers = try await withThrowingTaskGroup(of: ExchangeFrame?.self) { group in
            for joiner in joiners { group.addTask { try await joiner.ask(server.address) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.count { if case .joinResponse = $0 { true } else { false } } == 1, "\(answers)")
        let refusals = answers.compactMap { if case .error(let notice)? = $0 { notice } else { nil } }
        #expect(refusals.map(\.code) == Array(repeating: .refused, count: 5), "\(answers)")
        #expect(try await members(hq, named: "twin") == 1)
        try await server.stop()

        // Likewise of several programs that admit by files.
        var admissions: [Child] = []
        for index in 0..<4 {
            let request = "\(bureaus.directory)/\(index).request"
            try await bureaus.node("file\(index)").run("join", "--request", request, "--name", "by file")
            admissions.append(try hq.start(["admit", request, "--out", request + ".admission"]))
        }
        var statuses: [Int32] = []
        for admission in admissions { statuses.append(try await admission.wait().status) }
        #expect(statuses.sorted() == [0, 77, 77, 77])
        #expect(try await members(hq, named: "by file") == 1)
    }

    /// A certificate that was made while the clock ran ahead lasts longest and is not valid yet.
    @Test(.enabled(if: Child.isInstalled("faketime"), "faketime is not installed"), .timeLimit(.minutes(5)))
    func aClockThatRanAheadCostsOneRecord() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let code = try await hq.run("invite", "early", "--expires", "60d", "--address", "127.0.0.1:1")
        let joiner = try Joiner(code, bureaus.node("early").data)
        let fast = try Child(
            "faketime", ["-f", "+10d", Bureaus.program, "serve", "--listen", "127.0.0.1:0"],
            environment: ["SYNCNODE_DATA": hq.data])
        let address = try await eventually("it serves; \(fast.errors)", within: 30) {
            String(decoding: fast.output, as: UTF8.self).firstMatch(of: /ready peers=(\S+)/).map { String($0.output.1) }
        }
        let early = try Certificate(der: try await joiner.join(address).certificate)
        #expect(early.notBefore > now())
        // Not faketime itself, which waits for it.
        let holder = try String(contentsOfFile: hq.data + "/serve.lock", encoding: .utf8)
        kill(try #require(pid_t(holder.trimmingCharacters(in: .whitespacesAndNewlines))), SIGTERM)
        #expect(try await fast.wait(seconds: 10).status == 0, "\(fast.errors)")

        let server = try await hq.serve()
        var certificates: Set<[UInt8]> = []
        for _ in 0..<4 { certificates.insert(try await joiner.join(server.address).certificate) }
        #expect(certificates.count == 1 && !certificates.contains(early.der))
        #expect(try await hq.sql("SELECT count(*) FROM sync_roster") == "3")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func aFaultOfTheServerIsNoRefusal() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let server = try await hq.serve()
        let code = try await hq.run("invite", "istanbul")
        try await hq.sql(
            "CREATE TRIGGER fault BEFORE INSERT ON sync_roster BEGIN SELECT RAISE(ABORT, 'out of order'); END")
        let istanbul = bureaus.node("istanbul")
        let outcome = try await istanbul.attempt("join", code)
        #expect(outcome.status == 75, "\(outcome)")
        #expect(outcome.errors.contains("cannot admit anybody now") && outcome.errors.contains("same code"))
        #expect(!outcome.errors.contains("out of order"), "what ails the server is not told: \(outcome)")
        _ = try await eventually("it is logged") { server.child.errors.contains("out of order") ? true : nil }
        try await hq.sql("DROP TRIGGER fault")
        try await istanbul.run("join", code)
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func whoJoinsLearnsFirstWhoIsRevoked() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let identity = try IdentityDirectory.open(path: hq.data + "/identity")
        let authority = try identity.certificateAuthority()
        let nodes = (0..<500).map { _ in SigningKey.generate().publicKey }
        var records: [[UInt8]] = []
        for (index, key) in nodes.enumerated() {
            records.append(try authority.issue(to: key, name: "node \(index)", role: .writer, now: now()).der)
        }
        let revocations = try nodes.prefix(8).map {
            try authority.revoke($0.nodeID, lastAccepted: [:], reason: "lost", now: now()).bytes
        }
        try NodeRuntime.Node.open(hq.data, tables: NewsTables.all).replica.addRosterRecords(records + revocations)
        let server = try await hq.serve()
        let joiner = try Joiner(await hq.run("invite", "istanbul"), bureaus.node("istanbul").data)
        let told = try await joiner.join(server.address).rosterRecords
        #expect(told.count == 200)
        #expect(Set(told.prefix(8)) == Set(revocations))
        #expect(told[8] == identity.certificate?.der)
        try await server.stop()
    }

    /// The authority's key alone does not make a node one through which others join.
    @Test(.timeLimit(.minutes(5))) func aSecondAdminNode() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try FileManager.default.copyItem(
            atPath: hq.data + "/identity/authority-key.pem", toPath: istanbul.data + "/identity/authority-key.pem")
        let refused = try await istanbul.attempt("invite", "antalya", "--address", "127.0.0.1:1")
        #expect(refused.status == 77 && refused.errors.contains("--role admin"), "\(refused)")
        #expect(try invitations(istanbul) == [])

        // As it was told.
        let (request, admission) = (bureaus.directory + "/i.request", bureaus.directory + "/i.admission")
        try await istanbul.run("join", "--request", request)
        try await istanbul.run("admit", request, "--role", "admin", "--out", admission)
        try await istanbul.run("join", "--certificate", admission)
        let server = try await istanbul.serve()
        let antalya = bureaus.node("antalya")
        try await antalya.run("join", istanbul.run("invite", "antalya"))
        try await antalya.run("pull")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func whatMakesNoCodeLeavesNoInvitation() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let long = String(repeating: "a", count: 300)
        for address in ["hq.example:0", "redaktion.köln:7742", "\(long):7742"] {
            let outcome = try await hq.attempt("invite", "x", "--address", address)
            #expect(outcome.status == 65 && outcome.errors.contains(address), "\(outcome)")
        }
        let many = (1...9).flatMap { ["--address", "127.0.0.1:\($0)"] }
        #expect(try await hq.attempt(["invite", "x"] + many).status == 65)
        for duration in ["3651d", "315360000d", "9223372036854775807d", "0d", "-1h"] {
            let outcome = try await hq.attempt(["invite", "x", "--address", "127.0.0.1:1", "--expires=\(duration)"])
            #expect(outcome.status == 64, "\(duration): \(outcome)")
        }
        #expect(try invitations(hq) == [])
        try await hq.run("invite", "x", "--address", "127.0.0.1:1", "--expires", "3650d")
    }

    @Test(.timeLimit(.minutes(5))) func bothSidesShowTheIdToCompare() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let request = bureaus.directory + "/r.request"
        let asked = try await bureaus.node("istanbul").run("join", "--request", request, "--name", "istanbul")
        let id = try #require(asked.firstMatch(of: /node +([0-9a-f]{32})/)).output.1
        let admitted = try await hq.run("admit", request, "--out", bureaus.directory + "/r.admission")
        #expect(admitted.contains(id) && admitted.contains("ompare"), "\(admitted)")
    }
}
