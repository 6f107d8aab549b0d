// What commands say at the next step: what was done already, what to run, and nothing of a user's own that is lost.
import Foundation
import Testing

@Suite(.serialized) struct PromptingTests {
    private func expect(
        _ outcome: Outcome, _ status: Int32, saying words: String..., at location: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.status == status, "\(outcome)", sourceLocation: location)
        for word in words {
            #expect(outcome.errors.contains(word), "no “\(word)”: \(outcome)", sourceLocation: location)
        }
    }

    private func contents(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    private func members(_ node: Node) async throws -> Int? {
        try await node.json("roster")["members"]?.elements.count
    }

    @Test(.timeLimit(.minutes(5))) func filesOfOthersAreNotReplacedAndNobodyIsAdmitted() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let istanbul = bureaus.node("istanbul")
        let (request, admission) = (bureaus.directory + "/i.request", bureaus.directory + "/i.admission")
        let notes = try bureaus.file("notes", "my own words\n")
        expect(
            try await istanbul.attempt("join", "--request", notes, "--name", "istanbul"), 64, saying: notes,
            "there is a file already", "another name")
        try await istanbul.run("join", "--request", request, "--name", "istanbul")
        // A request is no certificate, nor is a directory.
        for path in [notes, request, bureaus.directory] {
            expect(
                try await hq.attempt("admit", request, "--out", path), 64, saying: path, "there is a file already")
        }
        expect(
            try await hq.attempt("admit", request, "--out", bureaus.directory + "/no/such"), 74,
            saying: "Cannot write", "No such file or directory")
        #expect(contents(notes) == "my own words\n")
        #expect(try await members(hq) == 1, "nobody is admitted yet")

        // What is repeated takes the place of what it wrote before.
        try await istanbul.run("join", "--request", request, "--name", "istanbul")
        for _ in 0..<2 { try await hq.run("admit", request, "--out", admission) }
        let joined = try await istanbul.run("join", "--certificate", admission)
        #expect(joined.contains("syncnode peer add HOST:PORT"), "\(joined)")
        #expect(try await members(hq) == 2)
        let left = try FileManager.default.contentsOfDirectory(atPath: bureaus.directory)
        #expect(!left.contains { $0.hasSuffix(".part") }, "\(left)")
    }

    /// No file can be made in /proc, which root may write to by its mode.
    @Test(.enabled(if: geteuid() == 0, "needs root"), .timeLimit(.minutes(5)))
    func whoIsAdmittedWithoutAFileIsNamed() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let request = bureaus.directory + "/i.request"
        try await bureaus.node("istanbul").run("join", "--request", request, "--name", "istanbul")
        expect(
            try await hq.attempt("admit", request, "--out", "/proc/istanbul"), 74, saying: "/proc/istanbul",
            "“istanbul” is admitted; run the same command with another --out")
        try await hq.run("admit", request, "--out", bureaus.directory + "/i.admission")
    }

    @Test(.timeLimit(.minutes(5))) func recoveringFromAWrongAddressGoesOn() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let istanbul = nodes[1]
        try await nodes[0].insertArticle("a1", "Of hq")
        let server = try await nodes[0].serve()
        for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: istanbul.replica + end) }
        expect(
            try await istanbul.attempt("recover", "127.0.0.1:1"), 69, saying: "do not recover again",
            "`syncnode peer add HOST:PORT`", "`syncnode pull`")
        try await istanbul.run("peer", "add", server.address)
        try await istanbul.run("peer", "remove", "127.0.0.1:1")
        try await istanbul.run("pull")
        #expect(try await istanbul.headline("a1") == "Of hq")
        try await server.stop()
    }

    @Test(.timeLimit(.minutes(5))) func whatCannotBeSalvagedIsNamed() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        expect(
            try await hq.attempt("recover", "--salvage", hq.data), 66, saying: hq.data, "it is a directory",
            "replica.sqlite")
        // A replica that lacks a table of one.
        let empty = bureaus.directory + "/old.sqlite"
        let made = try await Child.run("sqlite3", [hq.replica, ".backup \(empty)"])
        #expect(made.status == 0, "\(made)")
        let emptied = try await Child.run("sqlite3", [empty, "DROP TABLE sync_journal_articles"])
        #expect(emptied.status == 0, "\(emptied)")
        let outcome = try await hq.attempt("recover", "--salvage", empty)
        #expect(outcome.status != 0 && outcome.errors.contains(empty), "\(outcome)")
        #expect(!outcome.errors.contains("Cannot use the replica"), "\(outcome)")
        try await hq.expectSound()
    }

    @Test(.timeLimit(.minutes(5))) func invitingSaysWhereTheNewNodeDials() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let outside = try await hq.attempt(
            "invite", "a", "--address", "hq.example:7742", "--address", "127.0.0.1:7742")
        expect(outside, 0, saying: "It will dial hq.example:7742, 127.0.0.1:7742")
        #expect(!outside.errors.contains("No other machine"), "\(outside)")
        for (name, address) in [("b", "127.0.0.1:7742"), ("c", "localhost:7742"), ("d", "[::1]:7742")] {
            expect(
                try await hq.attempt("invite", name, "--address", address), 0, saying: "It will dial \(address)",
                "No other machine", "--address HOST:PORT")
        }
        for duration in ["24", "0h"] {
            expect(
                try await hq.attempt("invite", "e", "--address", "127.0.0.1:1", "--expires", duration), 64,
                saying: "90s, 30m, 24h or 7d")
        }
        expect(
            try await bureaus.node("n").attempt("join", "code", "--name", "n"), 64, saying: "--name goes with --request"
        )
    }

    @Test(.timeLimit(.minutes(5))) func conflictsSayWhichAreDealtWith() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        #expect(try await hq.run("conflicts") == "No conflict is open.")
        #expect(try await hq.run("conflicts", "list", "--all") == "There is no conflict, and none was dealt with.")
        try await hq.insertArticle("a1", "First")
        let server = try await hq.serve()
        try await istanbul.exchange("sync", server)
        try await hq.run("article", "set", "a1", "headline=Lost")
        try await istanbul.run("article", "set", "a1", "headline=Won")
        try await istanbul.exchange("sync", server)
        let open = try await istanbul.run("conflicts", "list", "--all")
        #expect(open.contains("STATE") && open.contains("  open  ") && open.contains("accept ID"), "\(open)")
        let id = try #require(try await istanbul.json("conflicts")["conflicts"]?[0]?["id"]?.text)
        try await istanbul.run("conflicts", "accept", id)
        let settled = try await istanbul.run("conflicts", "list", "--all")
        #expect(settled.contains("  dealt with  ") && !settled.contains("accept ID"), "\(settled)")
        try await server.stop()
    }

    /// Three change sets a year ahead, of which two are shown as one run: what is shown can be typed back.
    @Test(.enabled(if: Child.isInstalled("faketime"), "faketime is not installed"), .timeLimit(.minutes(5)))
    func aRunIsTakenAsItIsShown() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        func ahead(_ program: String, _ arguments: String...) async throws {
            let outcome = try await Child.run(
                "faketime", ["-f", "+365d", program] + arguments, environment: ["SYNCNODE_DATA": istanbul.data])
            #expect(outcome.status == 0, "\(outcome)")
        }
        for index in 1...3 {
            try await ahead(
                "sqlite3", istanbul.replica, "INSERT INTO articles(id, headline) VALUES ('f\(index)', 'early')")
            // Seals it.
            try await ahead(Bureaus.program, "lag")
        }
        let server = try await hq.serve()
        try await ahead(Bureaus.program, "push", server.address)
        let listing = try await hq.run("held")
        // The first waits for its time, and the others for the first.
        let run = String(try #require(listing.firstMatch(of: /[0-9a-f]{8}:2…3/)?.output, "\(listing)"))
        let shown = try await hq.run("held", "show", run)
        for id in ["f2", "f3"] { #expect(shown.contains("insert articles \(id)"), "\(shown)") }
        let all = run.replacing("2…3", with: "1...3")
        #expect(try await hq.json("held", "show", all)["held"]?.elements.count == 3)
        for wrong in ["3…2", "4…5", "2…3…4", "2…"] {
            expect(
                try await hq.attempt("held", "show", run.replacing("2…3", with: wrong)), 66,
                saying: "Nothing held has the id")
        }
        expect(try await hq.attempt("held", "release", run), 64, saying: "cannot be released by hand")
        #expect(try await hq.json("held", "release", all)["released"]?.int == 3)
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "3")
        try await server.stop()
    }

    /// Nothing that says why is cut off, however narrow the terminal is.
    @Test(
        .enabled(if: Child.isInstalled("python3"), "python3 is not installed"), .timeLimit(.minutes(5)),
        arguments: [80, 120])
    func causesAreWholeOnATerminal(width: Int) async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.workspace("hq", "istanbul")[0]
        try await hq.run("peer", "add", "127.0.0.1:1")
        #expect(try await hq.attempt("pull").status == 69)
        let peers = try await hq.json("lag")["peers"]?.elements ?? []
        let causes = peers.compactMap { $0["cause"]?.text }.filter { !$0.isEmpty }
        #expect(causes.contains { $0.count > 20 }, "\(causes)")
        let terminal = """
            import fcntl, os, pty, struct, sys, termios
            pid, end = pty.fork()
            if pid == 0:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, \(width), 0, 0))
                os.execv(sys.argv[1], sys.argv[1:])
            out = b''
            try:
                while part := os.read(end, 65536): out += part
            except OSError: pass
            sys.stdout.buffer.write(out)
            """
        let outcome = try await Child.run(
            "python3", ["-c", terminal, Bureaus.program, "lag"],
            environment: ["SYNCNODE_DATA": hq.data, "NO_COLOR": "1"])
        let words = outcome.text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for cause in causes {
            let whole = cause.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(words.contains(whole), "\(whole): \(outcome)")
        }
        #expect(!outcome.text.contains("…"), "\(outcome)")
    }
}
