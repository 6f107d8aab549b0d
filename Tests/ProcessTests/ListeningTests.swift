// A service that listens at every address of its machine: what it calls itself to others is something that can be dialled.
import Foundation
import Testing

@Suite(.serialized) struct ListeningTests {
    /// Whether a socket for every IPv6 address takes IPv4 connections as well.
    private static let bothFamilies = """
        import socket
        s = socket.socket(socket.AF_INET6)
        s.bind(("::", 0))
        s.listen()
        socket.create_connection(("127.0.0.1", s.getsockname()[1]), timeout=10)
        socket.create_connection(("::1", s.getsockname()[1]), timeout=10)
        """

    @Test(.timeLimit(.minutes(5)), arguments: ["0.0.0.0", "[::]"])
    func whoListensEverywhereIsNamedByItsMachine(host: String) async throws {
        let machine = ProcessInfo.processInfo.hostName
        let known = try await Child.run("getent", ["hosts", machine])
        if known.status != 0 {
            print(
                "SKIPPED: this machine's name, \(machine), cannot be looked up, so that nobody could be invited by it")
            try Test.cancel("\(machine) cannot be looked up")
        }
        if host == "[::]" {
            let probe = try await Child.run("python3", ["-c", Self.bothFamilies])
            if probe.status != 0 {
                print("SKIPPED: no IPv6 beside IPv4 here, so that nothing listens at [::]")
                try Test.cancel("no IPv6: \(probe.errors)")
            }
        }
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await hq.insertArticle("a1", "Reached by name")
        let server = try await hq.serve(at: "\(host):0")
        #expect(server.address == "\(host):\(server.port)" && server.port != 0)
        let named = "\(machine):\(server.port)"
        #expect(try await hq.sql("SELECT value FROM sync_settings WHERE name = 'note_served_at'") == named)

        // Who is invited is given that, joins by it, and has it for later.
        let invitation = try await hq.json("invite", "istanbul")
        #expect(invitation["addresses"] == .array([.string(named)]), "\(invitation)")
        let istanbul = bureaus.node("istanbul")
        try await istanbul.run("join", try #require(invitation["code"]?.text))
        #expect(try await istanbul.json("peer", "list")["peers"]?[0]?["address"]?.text == named)
        try await istanbul.run("pull")
        #expect(try await istanbul.headline("a1") == "Reached by name")
        // At each family's own address as well.
        for address in host == "[::]" ? ["127.0.0.1", "[::1]"] : ["127.0.0.1", "127.0.0.2"] {
            try await istanbul.run("sync", "\(address):\(server.port)")
        }
        try await server.stop()

        // Where it listens at one address it is named by that.
        let again = try await hq.serve()
        #expect(try await hq.json("invite", "antalya")["addresses"] == .array([.string(again.address)]))
        try await again.stop()
        try await expectAgreement([hq, istanbul])
    }
}
