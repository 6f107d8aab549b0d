// What goes wrong in the first minutes: each mistake has its exit code, and a text that says what to do.
import Foundation
import Testing

@Suite(.serialized) struct FirstMistakesTests {
    private func expect(
        _ outcome: Outcome, _ status: Int32, saying words: String..., at location: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.status == status, "\(outcome)", sourceLocation: location)
        for word in words {
            #expect(
                outcome.errors.lowercased().contains(word.lowercased()), "no “\(word)”: \(outcome)",
                sourceLocation: location)
        }
        let lines = outcome.errors.split(separator: "\n")
        #expect(lines.count <= 8 || status == 64, "too many lines: \(outcome)", sourceLocation: location)
        for trace in ["Fatal error", "Stack dump", "Error Domain", ".swift:"] {
            #expect(!outcome.errors.contains(trace), "\(outcome)", sourceLocation: location)
        }
    }

    private static let readers = [
        ["status"], ["lag"], ["verify"], ["roster"], ["peer", "list"], ["pull"], ["push"], ["sync"], ["conflicts"],
        ["conflicts", "list"], ["held", "list"], ["held"], ["invite", "x"], ["revoke", "x"], ["backup", "/tmp/never"],
        ["watch"], ["serve"], ["article", "list"], ["commitment", "list"], ["article", "show", "x"],
        ["article", "import", "-"], ["peer", "add", "127.0.0.1:1"],
    ]

    @Test(.timeLimit(.minutes(5)), arguments: readers) func nothingThereYet(command: [String]) async throws {
        let bureaus = try Bureaus()
        let nobody = bureaus.node("nobody")
        for directory in [nil, bureaus.directory] {
            let environment = directory.map { ["SYNCNODE_DATA": $0] } ?? [:]
            expect(
                try await nobody.attempt(command, environment: environment), 78, saying: "syncnode init",
                "syncnode join")
        }
        #expect(!FileManager.default.fileExists(atPath: nobody.data), "asking makes nothing")
    }

    @Test(.timeLimit(.minutes(5))) func initTwiceAndOddNames() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let key = FileManager.default.contents(atPath: hq.data + "/identity/key.pem")
        expect(try await hq.attempt("init", "--workspace", "desk", "--name", "hq"), 64, saying: "already")
        #expect(FileManager.default.contents(atPath: hq.data + "/identity/key.pem") == key)
        expect(try await bureaus.node("n").attempt("init", "--workspace", "desk", "--name", ""), 64)
        expect(try await bureaus.node("n").attempt("init", "--workspace", "desk"), 64, saying: "--name")
        expect(try await bureaus.node("n").attempt("frobnicate"), 64)
        expect(
            try await bureaus.node("n").attempt("init", "--workspace", "desk", "--name", "n", "--data", ""), 64,
            saying: "--data is empty")
        let file = try bureaus.file("file", "text")
        expect(
            try await hq.attempt(["init", "--workspace", "w", "--name", "n", "--data", file]), 74, saying: file)
        expect(try await hq.attempt("status", "--data", file), 74, saying: file, "not a directory")
    }

    @Test(.timeLimit(.minutes(5))) func peersThatAreNotThere() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let hq = nodes[0]
        for verb in ["pull", "push", "sync"] { expect(try await hq.attempt(verb), 66, saying: "peer add") }
        expect(try await hq.attempt("pull", "istanbul"), 66, saying: "peer add")
        expect(try await hq.attempt("pull", "nowhere"), 66, saying: "roster")
        expect(try await hq.attempt("pull", "127.0.0.1:1"), 69, saying: "127.0.0.1:1", "check")
        expect(try await hq.attempt("pull", "--plan", "127.0.0.1:1"), 69, saying: "127.0.0.1:1")
        expect(try await hq.attempt("pull", "no.such.host.invalid:7742"), 69, saying: "no.such.host.invalid")
        expect(try await hq.attempt("peer", "add", "not an address"), 64, saying: "HOST:PORT")
        expect(try await hq.attempt("peer", "add", "host:99999"), 64, saying: "65535")
        expect(try await hq.attempt("peer", "remove", "127.0.0.1:2"), 66)
        expect(try await hq.attempt("revoke", "nobody"), 66, saying: "roster")
        expect(try await hq.attempt("revoke", "hq"), 77)
        expect(try await hq.attempt("conflicts", "show", "ffff"), 66)
        expect(try await hq.attempt("held", "release", "ffff"), 66)
        let server = try await hq.serve()
        expect(
            try await hq.attempt("serve", "--listen", "127.0.0.1:0"), 75,
            saying: "already", "process \(server.child.pid)")
        expect(try await hq.attempt("pull", server.address), 77, saying: "itself")
        // One that listens and never answers TLS is unavailable, not refused.
        let listener = try Child(
            "python3",
            [
                "-c",
                "import socket,time\ns=socket.create_server(('127.0.0.1',0))\nprint(s.getsockname()[1],flush=True)\nc,_=s.accept()\nc.sendall(b'220 mail ready\\r\\n')\ntime.sleep(30)",
            ])
        let port = try await eventually("a port") {
            String(decoding: listener.output, as: UTF8.self).split(separator: "\n").first.map(String.init)
        }
        expect(try await hq.attempt("pull", "127.0.0.1:\(port)"), 69, saying: "TLS")
        try await server.stop()
        expect(
            try await hq.attempt("serve", "--listen", "127.0.0.1:\(port)"), 69, saying: "127.0.0.1:\(port)", "in use")
    }

    @Test(.timeLimit(.minutes(5))) func filesThatCannotBeUsed() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        expect(try await hq.attempt("backup", hq.replica), 64)
        expect(try await hq.attempt("backup", bureaus.directory + "/no/such/place"), 74)
        let other = try await bureaus.found("other", workspace: "other")
        try FileManager.default.removeItem(atPath: other.replica)
        expect(try await other.attempt("status"), 78, saying: "replica")
        try Data("this is no database, whatever its name says".utf8).write(to: URL(fileURLWithPath: other.replica))
        expect(try await other.attempt("status"), 78, saying: "not a replica")
        // Another node's replica beside this node's key.
        try FileManager.default.removeItem(atPath: other.replica)
        try FileManager.default.copyItem(atPath: hq.replica, toPath: other.replica)
        expect(try await other.attempt("status"), 77, saying: "identity")
    }

    /// Needs a user whom modes hold back: as root, the test runs the program as another.
    @Test(
        .enabled(if: geteuid() != 0 || Child.isInstalled("setpriv"), "setpriv is not installed"),
        .timeLimit(.minutes(5)))
    func aReplicaThatMayNotBeWritten() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        var prefix: [String] = []
        if geteuid() == 0 {
            prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            let probe = try await Child.run("setpriv", prefix.dropFirst() + [Bureaus.program, "--version"])
            if probe.status != 0 { try Test.cancel("another user cannot run \(Bureaus.program): \(probe.errors)") }
            _ = try await Child.run("chown", ["-R", "65534:65534", bureaus.directory])
        }
        func attempt(_ arguments: [String]) async throws -> Outcome {
            let words = prefix + [Bureaus.program] + arguments
            return try await Child.run(words[0], Array(words.dropFirst()), environment: ["SYNCNODE_DATA": hq.data])
        }
        #expect(try await attempt(["status"]).status == 0)
        for (path, mode, back) in [(hq.replica, 0o444, 0o644), (hq.data, 0o500, 0o700)] {
            // The shell leaves no files beside the database, which would have to be made now.
            try await hq.sql("PRAGMA wal_checkpoint(TRUNCATE)")
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            let outcome = try await attempt(["peer", "add", "127.0.0.1:1"])
            #expect([74, 78].contains(outcome.status), "\(path): \(outcome)")
            #expect(outcome.errors.contains(hq.replica) && outcome.errors.contains("chmod u+w"), "\(path): \(outcome)")
            try FileManager.default.setAttributes([.posixPermissions: back], ofItemAtPath: path)
            // As it says: SQLite gives the files beside the database the database's own mode.
            for suffix in ["-wal", "-shm"] where FileManager.default.fileExists(atPath: hq.replica + suffix) {
                try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: hq.replica + suffix)
            }
        }
        #expect(try await attempt(["peer", "add", "127.0.0.1:1"]).status == 0)
    }

    @Test(.timeLimit(.minutes(5))) func outputIsPlainAndJSONIsWhole() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await hq.insertArticle("a1", "First")
        let server = try await hq.serve()
        try await istanbul.run("peer", "add", server.address)
        let keys: [([String], Set<String>)] = [
            (
                ["status"],
                [
                    "node", "workspace", "version_vector", "rows", "unsealed", "held", "parked", "conflicts",
                    "catching_up", "size_bytes",
                ]
            ),
            (["lag"], ["node", "as_of", "peers"]), (["roster"], ["members"]), (["peer", "list"], ["peers"]),
            (["pull", "--plan"], ["peers"]), (["pull"], ["peers"]), (["push"], ["peers"]), (["sync"], ["peers"]),
            (["verify"], ["sound", "findings"]), (["conflicts", "list"], ["conflicts"]), (["conflicts"], ["conflicts"]),
            (["held"], ["held"]), (["held", "list"], ["held"]), (["doctor"], ["checks"]),
            (["backup", bureaus.directory + "/copy.sqlite"], ["file"]),
            (["peer", "remove", server.address], ["removed"]),
        ]
        for (command, expected) in keys {
            let outcome = try await istanbul.attempt(command + ["--json"])
            #expect(outcome.status == 0, "\(command): \(outcome)")
            let document = try JSON(outcome.output)
            #expect(document.keys.isSuperset(of: expected), "\(command): \(document)")
            #expect(document.keys.allSatisfy { $0 == $0.lowercased() || command == ["status"] }, "\(document)")
            // Under a pseudo-terminal there is colour, unless NO_COLOR says otherwise.
            guard ["status", "roster", "lag"].contains(command[0]) else { continue }
            let shown = try await Child.run(
                "python3", ["-c", "import pty,sys\nsys.exit(pty.spawn(sys.argv[1:]) >> 8)", Bureaus.program] + command,
                environment: ["SYNCNODE_DATA": istanbul.data, "NO_COLOR": "1", "TERM": "xterm"])
            #expect(shown.status == 0 && !shown.text.contains("\u{1b}["), "\(command): \(shown)")
            let plain = try await istanbul.attempt(command)
            #expect(!plain.text.contains("\u{1b}") && !plain.errors.contains("\u{1b}"), "\(command): \(plain)")
        }
        let pull = try await istanbul.exchange("pull", server)
        let peer = try #require(pull["peers"]?[0])
        #expect(
            peer.keys.isSuperset(of: [
                "name", "id", "address", "received", "sent", "conflicts", "held", "duration_ms", "error",
            ]))
        #expect(peer["received"]?.keys == ["change_sets", "changes", "bytes"] && peer["error"] == .null)
        // The options of every command stand before it as well as after it.
        let before = try await Child.run(Bureaus.program, ["--data", istanbul.data, "--json", "status"])
        #expect(try JSON(before.output)["node"]?["name"]?.text == "istanbul", "\(before)")
        // An exit other than 0 still gives the document.
        try await server.stop()
        let failed = try await istanbul.attempt("pull", server.address, "--json")
        #expect(failed.status == 69)
        #expect(try JSON(failed.output)["peers"]?[0]?["error"]?["kind"]?.text == "unreachable", "\(failed)")
    }

    @Test(.timeLimit(.minutes(10))) func anInterruptedPullLeavesTheReplicaWhole() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        try await nodes[0].sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
            INSERT INTO articles(id, headline, body) SELECT 'k-' || i, 'article ' || i, hex(randomblob(400)) FROM n
            """)
        let server = try await nodes[0].serve()
        try await nodes[0].run("status")
        let pull = try nodes[1].start(["pull", server.address])
        _ = try await eventually("something arrived", every: 5) {
            try await nodes[1].sql("SELECT count(*) FROM articles") == "0" ? nil : true
        }
        pull.signal(SIGINT)
        let outcome = try await pull.wait(seconds: 20)
        #expect(outcome.status == 75, "\(outcome)")
        try await nodes[1].expectSound()
        let count = Int(try await nodes[1].sql("SELECT count(*) FROM articles")) ?? 0
        #expect(count > 0 && count < 40000, "\(count) rows when it was interrupted")
        try await nodes[1].exchange("pull", server)
        try await server.stop()
        try await expectAgreement(nodes)
    }

    /// Output that nobody gets is no success, and a reader that has seen enough is no failure to tell of.
    @Test(.timeLimit(.minutes(5))) func outputThatCannotBeWritten() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        func shell(_ line: String) async throws -> Outcome {
            try await Child.run(
                "bash", ["-c", line, Bureaus.program], environment: ["SYNCNODE_DATA": hq.data])
        }
        for arguments in ["status", "status --json", "article list", "roster"] {
            let full = try await shell("\"$0\" \(arguments) >/dev/full")
            expect(full, 74, saying: "cannot write to standard output", "no space")
            expect(try await shell("\"$0\" \(arguments) >&-"), 74, saying: "cannot write to standard output")
            let left = try await shell("\"$0\" \(arguments) | true; echo ${PIPESTATUS[0]}")
            #expect(["0\n", "141\n"].contains(left.text) && left.errors == "", "\(left)")
        }
        // Nor does a stream that is closed end a command that has nothing to say there.
        #expect(try await shell("\"$0\" verify --json 2>&- | grep -c sound").text == "1\n")
    }

    /// A signal ends the whole command, not the peer that is being dialled alone.
    @Test(.timeLimit(.minutes(5))) func stoppedAmongPeersThatDoNotAnswer() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        // Connections are taken by the kernel, and nobody ever answers.
        let mute = try Child(
            "python3",
            [
                "-c",
                """
                import socket, time
                sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(3)]
                print(*(s.getsockname()[1] for s in sockets), flush=True)
                time.sleep(600)
                """,
            ])
        defer { mute.signal(SIGKILL) }
        let ports = try await eventually("ports; \(mute.errors)", within: 20) {
            mute.output.last == 0x0a
                ? String(decoding: mute.output, as: UTF8.self).split(whereSeparator: \.isWhitespace) : nil
        }
        let pull = try hq.start(["pull"] + ports.map { "127.0.0.1:\($0)" })
        try await Task.sleep(for: .seconds(1))
        pull.signal(SIGTERM)
        let outcome = try await pull.wait()
        expect(outcome, 75, saying: "stopped before", "2 peers were")
        #expect(!outcome.errors.contains("CancellationError"), "\(outcome)")
    }
}
