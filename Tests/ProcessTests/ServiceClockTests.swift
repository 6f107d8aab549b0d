// What a service does by itself as time goes by: it lets in what was stamped ahead when that time has come, and ends the sessions
// of peers whose certificates run out.
import Foundation
import ReplicationModel
import Testing
import Trust

@Suite(.serialized, .enabled(if: Child.isInstalled("faketime"), "faketime is not installed"))
struct ServiceClockTests {
    private static let hour = 3_600
    private static let day = 24 * hour

    /// A node that seals and sends while its clock is twenty days ahead.
    private func pushEarly(_ node: Node, to server: Server) async throws {
        let insert = "INSERT INTO articles(id, headline) VALUES ('f1', 'early')"
        for command in [["sqlite3", node.replica, insert], [Bureaus.program, "lag"]] {
            let outcome = try await Child.run(
                "faketime", ["-f", "+20d"] + command, environment: ["SYNCNODE_DATA": node.data])
            #expect(outcome.status == 0, "\(outcome)")
        }
        try await node.exchange("push", server)
    }

    @Test(.timeLimit(.minutes(5))) func whatIsHeldForItsClockComesInByItself() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        let clock = try await ShiftedClock(bureaus)
        let server = try await hq.serve(by: clock)
        try await antalya.run("peer", "add", server.address)
        let peer = try await antalya.serve(by: clock)
        try await peer.isLive(with: server)

        try await pushEarly(istanbul, to: server)
        try await server.says("held", "peer=istanbul", "ahead of this node's clock")
        let held = try await hq.json("held", "list")["held"]
        #expect(held?.elements.map { $0["cause"]?.text } == ["clock_ahead"], "\(held ?? .null)")
        for node in [hq, antalya] { #expect(try await node.headline("f1") == "", "\(node.name)") }
        #expect(server.logged("released").isEmpty)

        try clock.set(ahead: 20 * Self.day)
        // Nobody does anything, and it is there; who is live with hq has it then, too.
        for (node, server) in [(hq, server), (antalya, peer)] {
            _ = try await eventually("it came in at \(node.name):\n\(server.child.errors)", within: 60) {
                try await node.headline("f1") == "early" ? true : nil
            }
        }
        try await server.says("released", "change_sets=1")
        #expect(try await hq.json("held", "list")["held"] == .array([]))
        for server in [peer, server] { try await server.stop() }
        for node in nodes { try await node.expectSound() }
    }

    /// Admitted as a node is, with a certificate that is good for an hour.
    private func admitForAnHour(_ name: String, by admin: Node, _ bureaus: Bureaus) async throws -> Node {
        let node = bureaus.node(name)
        let (request, admission) = ("\(bureaus.directory)/\(name).request", "\(bureaus.directory)/\(name).admission")
        try await node.run("join", "--request", request, "--name", name)
        let authority = try IdentityDirectory.open(path: admin.data + "/identity").certificateAuthority()
        let wish = try CertificateRequest(pem: [UInt8](FileManager.default.contents(atPath: request) ?? Data()))
        let hour = Int64(Self.hour) * 1_000
        let certificate = try authority.issue(
            to: wish.publicKey, name: name, role: .writer, notBefore: .init(milliseconds: now().milliseconds - hour),
            notAfter: .init(milliseconds: now().milliseconds + hour), now: now())
        let file = AdmissionFile(
            certificate: certificate, authority: authority.certificate,
            roster: Roster(authority: authority.certificate))
        try Data(file.pem).write(to: URL(fileURLWithPath: admission))
        try await node.run("join", "--certificate", admission)
        return node
    }

    @Test(.timeLimit(.minutes(5))) func aSessionEndsWithTheCertificateOfItsPeer() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "antalya")
        let (hq, antalya) = (nodes[0], nodes[1])
        let istanbul = try await admitForAnHour("istanbul", by: hq, bureaus)
        let clock = try await ShiftedClock(bureaus)
        let server = try await hq.serve(by: clock)
        for node in [istanbul, antalya] { try await node.run("peer", "add", server.address) }
        let (leaving, staying) = (try await istanbul.serve(), try await antalya.serve())
        for peer in [leaving, staying] { try await peer.isLive(with: server) }
        try await istanbul.carries("before", to: antalya)
        #expect(server.logged("session ended").isEmpty, "\(server.child.errors)")

        try clock.set(ahead: 2 * Self.hour)
        try await server.says(
            "session ended", "peer=istanbul", "Refused: the certificate of this node has run out", within: 60)
        try await leaving.says(
            "session ended", "peer=hq", "refuses this node: the certificate of this node has run out")
        // It dials again, and is told at the door.
        try await leaving.says("session ended", "peer=hq", "its certificate has expired")
        try await istanbul.insertArticle("after", "Written after")
        let pushed = try await istanbul.attempt("push", server.address)
        #expect(pushed.status == 77 && pushed.errors.contains("expired"), "\(pushed)")

        // The other's is good for two years: it goes on in the session that it had.
        try await antalya.carries("a1", to: hq)
        #expect(server.logged("live=true", "peer=antalya").count == 1, "\(server.child.errors)")
        #expect(staying.logged("session ended").isEmpty, "\(staying.child.errors)")
        #expect(try await hq.sql("SELECT group_concat(id) FROM (SELECT id FROM articles ORDER BY id)") == "a1,before")
        for server in [leaving, staying, server] { try await server.stop() }
        try await expectAgreement([hq, antalya])
    }
}
