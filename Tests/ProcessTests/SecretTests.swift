// Where secrets stand: in their files, and in nothing that a program says, logs, copies, or shows of itself while it runs.
import Foundation
import Testing

@testable import Trust

@Suite(.serialized) struct SecretTests {
    /// Bytes that nobody else may learn, in each form in which a program might let them slip.
    private struct Secret {
        let name: String
        /// Below the test's directory.
        let files: Set<String>
        private let forms: [Data]

        init(_ name: String, _ bytes: [UInt8], in files: Set<String>, also texts: [String] = []) {
            self.name = name
            self.files = files
            let hexadecimal = Hexadecimal.encode(bytes)
            let numbers = bytes.prefix(12).map { "\($0)" }.joined(separator: ", ")
            var forms = [Data(bytes), Data(hexadecimal.utf8), Data(hexadecimal.uppercased().utf8), Data(numbers.utf8)]
            // As base 64 of something longer, such as PEM: without the characters in which what stands around has a part.
            for before in 0..<3 {
                let text = Data([UInt8](repeating: 0, count: before) + bytes).base64EncodedString()
                forms.append(Data(text.utf8.dropFirst(before == 0 ? 0 : before + 1).dropLast(4)))
            }
            self.forms = forms + texts.map { Data($0.utf8) }
        }

        /// The private half of a key file, which stands at the end of its PKCS #8.
        init(_ name: String, key path: String, below directory: String) throws {
            let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
            let lines = text.split(separator: "\n")
            let body = lines.filter { !$0.hasPrefix("-----") }.joined()
            let der = try #require(Data(base64Encoded: body))
            let seed = [UInt8](der.suffix(32))
            let key = try #require(SigningKey(seed: seed))
            let loaded = try SigningKey.load(path: path)
            #expect(der.count == 48 && key.publicKey.bytes == loaded.publicKey.bytes)
            self.init(name, seed, in: [String(path.dropFirst(directory.count + 1))], also: [body])
        }

        /// The secret of a code, and the code.
        init(_ name: String, code text: String) throws {
            let code = try InvitationCode(text: text)
            // In base 32 the secret's 16 bytes have the characters from 77 to 101 for themselves.
            let letters = text.dropFirst(InvitationCode.prefix.count)
            self.init(
                name, code.secret.bytes, in: [], also: [text, String(letters.dropFirst(77).prefix(25))])
        }

        func isIn(_ data: Data) -> Bool { forms.contains { data.range(of: $0) != nil } }
    }

    private typealias Words = [(what: String, data: Data)]

    /// What is written for whoever may see the process: its arguments and its environment.
    private func shown(_ child: Child) async throws -> Words {
        var words: Words = []
        for file in ["cmdline", "environ"] {
            // Read by another program: Foundation takes the first short read of such a file for its end.
            let outcome = try await Child.run("cat", ["/proc/\(child.pid)/\(file)"])
            #expect(outcome.status == 0 && !outcome.output.isEmpty, "\(outcome)")
            words.append(("\(file) of process \(child.pid)", Data(outcome.output)))
        }
        return words
    }

    private func said(_ what: String, _ outcome: Outcome) -> Words {
        [("output of \(what)", Data(outcome.output)), ("errors of \(what)", Data(outcome.errors.utf8))]
    }

    private func holdsSocket(_ child: Child) throws -> Bool {
        let place = "/proc/\(child.pid)/fd"
        return try FileManager.default.contentsOfDirectory(atPath: place).contains {
            // One that was closed meanwhile is none.
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(place)/\($0)"))?.hasPrefix("socket:") == true
        }
    }

    /// Joins, and is looked at while the inviting node, which is stopped for that long, keeps it waiting.
    private func join(_ node: Node, _ argument: String, input: String = "", _ server: Server) async throws
        -> (shown: Words, outcome: Outcome)
    {
        server.child.signal(SIGSTOP)
        let child = try node.start(["join", argument], input: input)
        _ = try await eventually("it dials: \(child.errors)") { try holdsSocket(child) ? true : nil }
        let shown = try await shown(child)
        #expect(child.status == nil, "it went on without an answer")
        server.child.signal(SIGCONT)
        let outcome = try await child.wait()
        #expect(outcome.status == 0, "\(outcome)")
        return (shown, outcome)
    }

    /// Every regular file below a directory in which a secret stands, with its mode.
    private func places(of secret: Secret, below directory: String) throws -> [String: Int] {
        var places: [String: Int] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: directory) {
            guard let data = FileManager.default.contents(atPath: directory + "/" + path), secret.isIn(data) else {
                continue
            }
            let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/" + path)
            places[path] = attributes[.posixPermissions] as? Int
        }
        return places
    }

    @Test(.timeLimit(.minutes(5))) func secretsStayInTheirFiles() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let (istanbul, antalya) = (bureaus.node("istanbul"), bureaus.node("antalya"))
        let server = try await hq.serve(at: "127.0.0.1:0", "--log-level", "trace")
        var words = try await shown(server.child)
        #expect(words[0].data.range(of: Data("serve".utf8)) != nil)
        #expect(words[1].data.range(of: Data("SYNCNODE_DATA=\(hq.data)".utf8)) != nil)

        // The code is what `invite` prints, and stands nowhere else.
        let invited = try await hq.attempt("invite", "istanbul")
        #expect(invited.status == 0, "\(invited)")
        let code = invited.text.trimmingCharacters(in: .newlines)
        words.append(("errors of invite", Data(invited.errors.utf8)))
        let joined = try await join(istanbul, "-", input: code + "\n", server)
        words += joined.shown + said("join", joined.outcome)

        // One that is given as an argument is read by whoever looks: so the search finds what is there.
        let other = try await hq.run("invite", "antalya")
        let careless = try await join(antalya, other, server)
        let secretOfOther = try Secret("the other code", code: other)
        #expect(careless.shown.map { secretOfOther.isIn($0.data) } == [true, false])
        words += said("join CODE", careless.outcome)
        words.append(careless.shown[1])

        // What goes wrong is told without it, too.
        for (what, input, status) in [("used", code, Int32(77)), ("cut short", String(code.dropLast()), 65)] {
            let refused = try await bureaus.node("late").attempt(["join", "-"], input: input + "\n")
            #expect(refused.status == status, "\(refused)")
            words += said("join with a code that is \(what)", refused)
        }
        var secrets = [
            try Secret("hq's key", key: hq.data + "/identity/key.pem", below: bureaus.directory),
            try Secret("the authority's key", key: hq.data + "/identity/authority-key.pem", below: bureaus.directory),
            try Secret("istanbul's key", key: istanbul.data + "/identity/key.pem", below: bureaus.directory),
            try Secret("the code", code: code), secretOfOther,
        ]
        // With what checks a code somebody could join as well; it cannot be made into the code again.
        for text in [code, other] {
            let secret = try InvitationCode(text: text).secret
            let file = "hq/identity/invitations/\(secret.invitationID).json"
            secrets.append(Secret("a proof key", secret.proofKey.bytes, in: [file]))
        }

        // A node that lives: sessions, everything that can be asked, a backup, and a key file that is damaged.
        try await istanbul.insertArticle("a1", "Not secret")
        let peer = try await istanbul.serve(at: "127.0.0.1:0", "--log-level", "trace")
        words += try await shown(peer.child)
        _ = try await eventually("the article arrives") { try await hq.headline("a1") == "Not secret" ? true : nil }
        for node in [hq, istanbul] {
            for command in ["status", "roster", "lag", "doctor", "verify", "held", "conflicts", "forks", "sync"] {
                for options in [[], ["--json"]] {
                    let outcome = try await node.attempt([command] + options)
                    #expect(outcome.status != 64, "\(outcome)")
                    words += said(command, outcome)
                }
            }
            words += said("backup", try await node.attempt("backup", bureaus.directory + "/\(node.name).backup"))
        }
        for server in [peer, server] {
            try await server.stop()
            words.append(("log of \(server.node.name)", Data(server.child.errors.utf8)))
            words.append(("output of \(server.node.name)", Data(server.child.output)))
        }
        #expect(server.child.errors.contains("admitted") && peer.child.errors.contains("session"))
        let key = istanbul.data + "/identity/key.pem"
        let whole = try #require(FileManager.default.contents(atPath: key))
        try Data(whole.dropLast(10)).write(to: URL(fileURLWithPath: key))
        let damaged = try await istanbul.attempt("status")
        #expect(damaged.status == 65 && damaged.errors.contains("key.pem"), "\(damaged)")
        words += said("status with a damaged key", damaged)
        try whole.write(to: URL(fileURLWithPath: key))

        #expect(words.count > 80 && secrets.count == 7)
        for secret in secrets {
            for (what, data) in words { #expect(!secret.isIn(data), "\(secret.name) in the \(what)") }
            // Each is found where it belongs, and in no other file: not in a replica, a backup, or what a join left.
            let places = try places(of: secret, below: bureaus.directory)
            #expect(Set(places.keys) == secret.files, "\(secret.name)")
            #expect(places.values.allSatisfy { $0 == 0o600 }, "\(secret.name): \(places)")
        }
    }
}
