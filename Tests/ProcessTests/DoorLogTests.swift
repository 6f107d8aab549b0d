// What strangers at the door put into the log: a line a minute for each network and cause, a bound on them all, and a count of what
// is left out.
import Foundation
import Testing

@Suite(.serialized) struct DoorLogTests {
    /// Dials from each of these addresses in turn, says something or nothing, and waits until it is let go of. `127.1.*300` stands
    /// for so many addresses that begin so.
    private static let strangers = """
        import socket, sys
        port, words = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
        def addresses(text):
            start, star, count = text.partition("*")
            if not star: return [text]
            return ["%s%d.%d" % (start, n // 250, n % 250 + 1) for n in range(int(count))]
        for address in [a for text in sys.argv[3:] for a in addresses(text)]:
            s = socket.socket()
            s.settimeout(30)
            s.bind((address, 0))
            s.connect(("127.0.0.1", port))
            if words: s.sendall(words)
            s.shutdown(socket.SHUT_WR)
            try:
                while s.recv(4096): pass
            except ConnectionError: pass
            s.close()
        """
    /// No TLS, whoever reads it.
    private static let noise = "00000000"
    private static let lines = 1_024

    private func dial(_ server: Server, _ words: String, from addresses: String...) async throws {
        let outcome = try await Child.run("python3", ["-c", Self.strangers, "\(server.port)", words] + addresses)
        #expect(outcome.status == 0, "\(outcome)")
    }

    private func from(_ address: String, _ server: Server) -> [Substring] {
        server.logged("no session", "address=\(address):")
    }

    /// What lines count that others left out.
    private func suppressed(_ server: Server) -> Int {
        server.logged("no session").reduce(0) { sum, line in
            sum + (line.firstMatch(of: /suppressed=(\d+)/).flatMap { Int($0.output.1) } ?? 0)
        }
    }

    /// Has one after another come from addresses that are new until all is told of that was left out: a line may be written a
    /// moment after whom it is about was let go of.
    private func expectCounted(_ count: Int, _ server: Server) async throws {
        var next = 0
        _ = try await eventually("\(count) are counted: \(suppressed(server))", within: 30) {
            next += 1
            try await dial(server, Self.noise, from: "127.2.0.\(next)")
            _ = try await eventually("a line of 127.2.0.\(next)") { from("127.2.0.\(next)", server).first }
            return suppressed(server) >= count ? true : nil
        }
        #expect(suppressed(server) == count, "\(server.child.errors.suffix(2000))")
    }

    @Test(.timeLimit(.minutes(3))) func oneLineForEachNetworkAndCause() async throws {
        let server = try await Bureaus().found().serve()
        let noisy = Array(repeating: "127.0.0.5", count: 6)
        for address in noisy { try await dial(server, Self.noise, from: address) }
        _ = try await eventually("it is told of") { from("127.0.0.5", server).first }
        try await expectCounted(noisy.count - 1, server)
        #expect(from("127.0.0.5", server).count == 1, "\(server.child.errors)")
        // Another cause of the same network is a line of its own, once.
        for _ in 0..<3 { try await dial(server, "", from: "127.0.0.5") }
        _ = try await eventually("the other cause is told of") {
            from("127.0.0.5", server).first { $0.contains("cut the connection") }
        }
        #expect(from("127.0.0.5", server).count == 2, "\(server.child.errors)")
        #expect(from("127.0.0.5", server)[0].contains("does not speak TLS"), "\(server.child.errors)")
        try await server.stop()
    }

    @Test(.enabled(if: Child.isInstalled("faketime"), "faketime is not installed"), .timeLimit(.minutes(5)))
    func aBoundOnLinesAndANewOneAfterAMinute() async throws {
        let bureaus = try Bureaus()
        let clock = try await ShiftedClock(bureaus, movesUptime: true)
        let server = try await bureaus.found().serve(by: clock)
        let more = 76
        try await dial(server, Self.noise, from: "127.1.*\(Self.lines + more)")
        _ = try await eventually("as many lines as there may be", within: 60) {
            server.logged("no session").count >= Self.lines ? true : nil
        }
        // Who had a line has none again, however many are left out meanwhile.
        try await dial(server, Self.noise, from: "127.1.0.1")

        try clock.set(ahead: 120)
        try await dial(server, Self.noise, from: "127.1.0.1")
        _ = try await eventually("a line after a minute") { from("127.1.0.1", server).dropFirst().first }
        try await expectCounted(more + 1, server)
        let asked = server.logged("no session", "address=127.2.0.").count
        #expect(from("127.1.0.1", server).count == 2)
        #expect(server.logged("no session").count == Self.lines + 1 + asked)
        try await server.stop()
    }
}
