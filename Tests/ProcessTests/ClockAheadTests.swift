// A clock that really ran a year ahead, of programs and sealing alike, and was set right: what both sides say of it, how it comes in,
// and that nothing is lost by it.
import Foundation
import Testing

@Suite(.serialized, .enabled(if: Child.isInstalled("faketime"), "faketime is not installed"))
struct ClockAheadTests {
    private static let day = 86_400.0

    /// A command of a node whose clock is a year ahead.
    private func ahead(_ node: Node, _ arguments: String...) async throws -> Outcome {
        try await Child.run(
            "faketime", ["-f", "+365d", Bureaus.program] + arguments, environment: ["SYNCNODE_DATA": node.data])
    }

    /// SQL of any program on that machine.
    private func write(_ node: Node, _ sql: String) async throws {
        let outcome = try await Child.run("faketime", ["-f", "+365d", "sqlite3", node.replica, sql])
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    }

    private func insert(_ id: String, _ headline: String) -> String {
        "INSERT INTO articles(id, headline) VALUES ('\(id)', '\(headline)')"
    }

    private func held(_ node: Node) async throws -> [JSON] {
        try await node.json("held", "list")["held"]?.elements ?? []
    }

    private func stampsAhead(_ node: Node) async throws -> [JSON] {
        try await node.json("status")["stamps_ahead"]?.elements ?? []
    }

    /// One of the doctor's checks.
    private func check(_ name: String, _ outcome: Outcome) throws -> JSON {
        let checks = try JSON(outcome.output)["checks"]?.elements ?? []
        return try #require(checks.first { $0["name"]?.text == name }, "\(outcome)")
    }

    /// That the doctor of a node says whose stamps lie ahead, and what to do.
    private func expectDoctorSays(
        _ finding: String, of node: Node, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let doctor = try await node.attempt("doctor", "--json")
        #expect(doctor.status == 78, "\(doctor)", sourceLocation: location)
        let stamps = try check("stamps", doctor)
        #expect(stamps["state"]?.text == "broken", "\(stamps)", sourceLocation: location)
        #expect(stamps["finding"]?.text?.contains(finding) == true, "\(stamps)", sourceLocation: location)
        #expect(
            stamps["remedy"]?.text?.contains("syncnode held release --author istanbul") == true, "\(stamps)",
            sourceLocation: location)
    }

    /// A node that never met another, so that nothing tells it: what it seals and sends in that year is a year ahead.
    @Test(.timeLimit(.minutes(10))) func whatWasSealedAndSentAYearAheadIsHeldAndComesIn() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await hq.sql(insert("s1", "of hq"))
        try await write(istanbul, insert("f1", "early") + ";" + insert("s1", "of istanbul"))
        let sealed = try await ahead(istanbul, "lag", "--json")
        #expect(sealed.status == 0, "\(sealed)")
        #expect(try await istanbul.sql("SELECT max(seq) FROM sync_change_sets") == "1")
        try await write(istanbul, insert("f2", "early too"))
        let pushed = try await ahead(istanbul, "push", server.address, "--json")
        #expect(pushed.status == 0, "\(pushed)")
        #expect(try JSON(pushed.output)["peers"]?[0]?["error"] == .null, "\(pushed)")
        #expect(try await istanbul.sql("SELECT max(seq) FROM sync_change_sets") == "2")

        // The clock is set right, and its node goes on.
        #expect(try await hq.sql("SELECT id, headline FROM articles") == "s1|of hq")
        let waiting = try await held(hq)
        #expect(waiting.count == 2 && waiting.allSatisfy { $0["author"]?.text == "istanbul" }, "\(waiting)")
        #expect(waiting.contains { $0["cause"]?.text == "clock_ahead" && $0["release_at"] != .null }, "\(waiting)")
        #expect(try await hq.json("status")["held"]?.int == 2)
        for (node, isHeld) in [(hq, true), (istanbul, false)] {
            let stamps = try await stampsAhead(node)
            #expect(stamps.count == 1, "\(node.name): \(stamps)")
            #expect(stamps.first?["node"]?.text == "istanbul", "\(node.name): \(stamps)")
            #expect(stamps.first?["held"] == .bool(isHeld), "\(node.name): \(stamps)")
            let days = (stamps.first?["seconds"]?.double ?? 0) / Self.day
            #expect(days > 364 && days < 366, "\(node.name): \(stamps)")
        }
        try await expectDoctorSays("“istanbul” stamped edits", of: hq)
        try await expectDoctorSays("this node stamped edits", of: istanbul)
        for node in nodes { try await node.expectSound() }

        // Neither is locked out: what hq writes comes over, and what istanbul writes now waits with what it wrote before.
        try await hq.sql(insert("h1", "of the right time"))
        try await istanbul.sql("UPDATE articles SET headline = 'mended' WHERE id = 'f1';" + insert("f3", "after"))
        try await istanbul.exchange("sync", server)
        #expect(try await istanbul.headline("h1") == "of the right time")
        #expect(try await hq.sql("SELECT count(*) FROM articles WHERE id LIKE 'f%'") == "0")

        // hq's operator takes it in.
        let count = try await held(hq).count
        let released = try await hq.json("held", "release", "--author", "istanbul")
        #expect(released["released"]?.int == count, "\(released)")
        #expect(try await held(hq).isEmpty)
        #expect(try await stampsAhead(hq).map { $0["held"] } == [.bool(false)])
        try await istanbul.exchange("sync", server)
        for (id, headline) in [("f1", "mended"), ("f2", "early too"), ("f3", "after")] {
            #expect(try await hq.headline(id) == headline, "\(id)")
        }
        #expect(try await held(hq).isEmpty, "what builds on it needs no second word")

        // Of the row that both wrote the later by its stamp stands, and what lost is in the ledger.
        for node in nodes {
            #expect(try await node.headline("s1") == "of istanbul", "\(node.name)")
            #expect(try await node.ledger().description.contains("of hq"), "\(node.name)")
        }
        try await hq.sql("UPDATE articles SET headline = 'decided' WHERE id = 's1'")
        try await istanbul.exchange("sync", server)
        // What hq wrote after it had seen them is stamped after them, and asked about once where they were made, too.
        let back = try await held(istanbul)
        #expect(back.map { $0["author"]?.text } == ["hq"] && back.first?["cause"]?.text == "clock_ahead", "\(back)")
        #expect(try await istanbul.json("held", "release", "--author", "hq")["released"]?.int == 1)
        #expect(try await istanbul.headline("s1") == "decided")
        try await hq.sql(insert("h2", "later"))
        try await istanbul.sql(insert("f4", "later"))
        try await istanbul.exchange("sync", server)
        #expect(try await istanbul.headline("h2") == "later")
        #expect(try await hq.headline("f4") == "later")
        for node in nodes { #expect(try await held(node).isEmpty, "\(node.name)") }
        try await server.stop()
        try await expectAgreement(nodes)
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "7")
    }

    /// A node that met another before notices by itself: its edits wait for a peer's word, and are stamped by it.
    @Test(.timeLimit(.minutes(10))) func whoMetAnotherBeforeIsToldTheTimeAndHeldByNobody() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let server = try await hq.serve()
        try await hq.sql(insert("h1", "of hq"))
        try await istanbul.exchange("sync", server)
        try await write(istanbul, insert("f1", "early"))
        let lag = try await ahead(istanbul, "lag", "--json")
        #expect(lag.status == 0, "\(lag)")
        // Nothing of it is sealed under this clock, and the doctor says why.
        #expect(try await istanbul.json("status")["unsealed"]?.int == 1)
        let doctor = try await ahead(istanbul, "doctor", "--json")
        let clock = try check("clock", doctor)
        #expect(clock["state"]?.text == "watch", "\(doctor)")
        #expect(clock["finding"]?.text?.contains("365 days past everything") == true, "\(clock)")
        #expect(clock["remedy"]?.text?.contains("syncnode sync") == true, "\(clock)")

        let pushed = try await ahead(istanbul, "push", server.address, "--json")
        #expect(pushed.status == 0, "\(pushed)")
        #expect(try await hq.headline("f1") == "early")
        for node in nodes {
            #expect(try await held(node).isEmpty, "\(node.name)")
            #expect(try await stampsAhead(node).isEmpty, "\(node.name)")
        }
        // Now that it knows the time it goes on under the wrong clock as well.
        try await write(istanbul, "UPDATE articles SET headline = 'again' WHERE id = 'f1'")
        #expect(try await ahead(istanbul, "push", server.address).status == 0)
        #expect(try await hq.headline("f1") == "again")
        // The clock is set right.
        try await istanbul.sql("UPDATE articles SET headline = 'mended' WHERE id = 'f1'")
        try await hq.sql("UPDATE articles SET headline = 'seen' WHERE id = 'h1'")
        try await istanbul.exchange("sync", server)
        try await server.stop()
        for node in nodes {
            #expect(try await node.headline("f1") == "mended", "\(node.name)")
            #expect(try await node.headline("h1") == "seen", "\(node.name)")
            #expect(try await stampsAhead(node).isEmpty, "\(node.name)")
            let doctor = try await node.attempt("doctor", "--json")
            #expect(doctor.status == 0, "\(doctor)")
            #expect(try check("clock", doctor)["state"]?.text == "well", "\(doctor)")
            #expect(try check("stamps", doctor)["state"]?.text == "well", "\(doctor)")
        }
        try await expectAgreement(nodes)
    }
}
