// Who is refused before a single frame is read: no TLS 1.3, no certificate, another authority's, an expired one, garbage.
import Chance
import Foundation
import ReplicationModel
import Testing
import Trust

@Suite(.serialized) struct StrangerTests {
    /// hq serves, a good peer has met it once, and afterwards nothing may have changed but what the good peer does.
    private func besieged(_ body: (Bureaus, Node, Server) async throws -> Void) async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        try await nodes[0].insertArticle("a1", "Safe")
        let server = try await nodes[0].serve()
        try await nodes[1].exchange("pull", server)
        let before = try await nodes[0].dump()
        try await body(bureaus, nodes[0], server)
        expectEqualLines(before, try await nodes[0].dump(), "before", "after")
        #expect(server.child.status == nil, "the server is gone: \(server.child.errors)")
        try await nodes[1].insertArticle("a2", "From a good peer")
        try await nodes[1].exchange("sync", server)
        #expect(try await nodes[0].headline("a2") == "From a good peer")
        try await server.stop()
        try await expectAgreement(nodes)
    }

    /// What the server's log says of connections that failed.
    private func logged(_ server: Server, _ words: String...) async throws {
        _ = try await eventually("\(words) in the log: \(server.child.errors.suffix(1500))", within: 10) {
            words.contains { server.child.errors.lowercased().contains($0.lowercased()) } ? true : nil
        }
    }

    private func openssl(_ server: Server, _ arguments: [String], input: [UInt8] = []) async throws -> Outcome {
        try await Child.run(
            "openssl", ["s_client", "-connect", server.address, "-ign_eof"] + arguments, input: input)
    }

    @Test(.timeLimit(.minutes(5))) func olderTLS() async throws {
        try await besieged { _, node, server in
            let identity = node.data + "/identity"
            let outcome = try await openssl(
                server, ["-tls1_2", "-cert", identity + "/certificate.pem", "-key", identity + "/key.pem"])
            #expect(outcome.status != 0 && outcome.errors.contains("alert"), "\(outcome)")
            try await logged(server, "version", "1.3")
        }
    }

    @Test(.timeLimit(.minutes(5))) func noCertificate() async throws {
        try await besieged { _, _, server in
            let outcome = try await openssl(server, ["-tls1_3", "-alpn", "syncnode/1"])
            #expect(outcome.errors.contains("certificate required"), "\(outcome)")
            try await logged(server, "certificate")
        }
    }

    @Test(.timeLimit(.minutes(5))) func garbageAndOtherProtocols() async throws {
        try await besieged { _, _, server in
            let send = """
                import socket, sys
                s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
                s.sendall(bytes.fromhex(sys.argv[2]))
                try: answer = s.recv(4096)
                except OSError: answer = b""
                print(answer.hex())
                """
            var random = SeededRandom.ofTest()
            let noise = (0..<512).map { _ in UInt8.random(in: 0...255, using: &random) }
            for bytes in [
                Array("GET / HTTP/1.1\r\nHost: hq\r\n\r\n".utf8), noise, [0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff, 1],
            ] {
                let hex = bytes.map { String(format: "%02x", $0) }.joined()
                let outcome = try await Child.run("python3", ["-c", send, "\(server.port)", hex])
                #expect(outcome.status == 0, "\(outcome)")
                // An alert at most: 0x15.
                let answer = outcome.text.trimmingCharacters(in: .newlines)
                #expect(answer.isEmpty || answer.hasPrefix("15"), "seed \(random.seed): \(answer)")
            }
            try await logged(server, "no session")
        }
    }

    @Test(.timeLimit(.minutes(5))) func anotherAuthority() async throws {
        try await besieged { bureaus, _, server in
            let other = bureaus.node("other")
            try await other.run("init", "--workspace", "elsewhere", "--name", "other")
            let outcome = try await other.attempt("pull", server.address)
            #expect(outcome.status == 77 && outcome.errors.lowercased().contains("belongs to workspace"), "\(outcome)")
            // One that does believe this workspace's authority, and shows another's certificate all the same.
            let certificate = other.data + "/identity/certificate.pem"
            let shown = try await openssl(
                server,
                ["-tls1_3", "-alpn", "syncnode/1", "-cert", certificate, "-key", other.data + "/identity/key.pem"])
            #expect(shown.errors.contains("alert"), "\(shown)")
            try await logged(server, "authority")
        }
    }

    @Test(.timeLimit(.minutes(5))) func anExpiredCertificate() async throws {
        try await besieged { bureaus, node, server in
            let late = bureaus.node("late")
            let (request, admission) = (bureaus.directory + "/late.request", bureaus.directory + "/late.admission")
            try await late.run("join", "--request", request, "--name", "late")
            let authority = try IdentityDirectory.open(path: node.data + "/identity").certificateAuthority()
            let wish = try CertificateRequest(pem: Array(FileManager.default.contents(atPath: request) ?? Data()))
            let past = now().milliseconds - 3_600_000
            let expired = try authority.issue(
                to: wish.publicKey, name: "late", role: .writer, notBefore: .init(milliseconds: past - 3_600_000),
                notAfter: .init(milliseconds: past), now: now())
            let file = AdmissionFile(
                certificate: expired, authority: authority.certificate, roster: Roster(authority: authority.certificate)
            )
            try Data(file.pem).write(to: URL(fileURLWithPath: admission))
            try await late.run("join", "--certificate", admission)
            let outcome = try await late.attempt("pull", server.address)
            #expect(outcome.status == 77 && outcome.errors.contains("expired"), "\(outcome)")
            try await logged(server, "expired", "ran out", "was valid until")
            let doctor = try await late.attempt("doctor", "--json")
            #expect(doctor.status == 78 && doctor.text.contains("ran out"), "\(doctor)")
        }
    }

    /// From a member with a true certificate; openssl sends the bytes.
    @Test(.timeLimit(.minutes(5))) func aFrameOfFourGigabytes() async throws {
        try await besieged { bureaus, node, server in
            let member = try await bureaus.admit("member", by: node)
            let identity = member.data + "/identity"
            let before = try rssKilobytes(server.child.pid)
            let outcome = try await openssl(
                server,
                [
                    "-quiet", "-tls1_3", "-alpn", "syncnode/1", "-cert", identity + "/certificate.pem", "-key",
                    identity + "/key.pem",
                ], input: [0xff, 0xff, 0xff, 0xff] + [UInt8](repeating: 0x61, count: 1 << 20))
            try await logged(server, "4294967295 bytes")
            let after = try rssKilobytes(server.child.pid)
            #expect(after - before < 64 << 10, "memory went from \(before) to \(after) kB; \(outcome)")
            // The certificate of a member came into the roster; that is all.
        }
    }

    private func rssKilobytes(_ pid: pid_t) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        guard let match = status.firstMatch(of: /VmRSS:\s+(\d+) kB/), let value = Int(match.output.1) else {
            throw TestFailure("no VmRSS in \(status)")
        }
        return value
    }
}
