// Commands as people and scripts run them: lag that goes on, exports of a part, commitments from first to last, how much a service
// logs, and where a node lives.
import Foundation
import Testing

@Suite(.serialized) struct CommandTests {
    private func expect(
        _ outcome: Outcome, _ status: Int32, saying words: String..., at location: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.status == status, "\(outcome)", sourceLocation: location)
        for word in words { #expect(outcome.errors.contains(word), "\(outcome)", sourceLocation: location) }
    }

    // MARK: lag --watch

    private func wholeLines(_ child: Child) -> [Substring] {
        String(decoding: child.output, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .dropLast()
    }

    @Test(.timeLimit(.minutes(3))) func lagIsShownAgainUntilCtrlC() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let server = try await nodes[0].serve()
        let watch = try nodes[0].start(["lag", "--watch", "--json"])
        func state(_ line: Substring?) throws -> String? {
            try line.flatMap { try JSON(Array($0.utf8))["peers"]?[0]?["state"]?.text }
        }
        _ = try await eventually("the first; \(watch.errors)") { wholeLines(watch).first }
        #expect(try state(wholeLines(watch).first) == "never_met")
        try await nodes[1].exchange("pull", server)
        _ = try await eventually("what changed; \(wholeLines(watch))") {
            try state(wholeLines(watch).last) == "in_sync" ? true : nil
        }
        watch.signal(SIGINT)
        #expect(try await watch.wait(seconds: 20).status == 128 + SIGINT)
        for line in wholeLines(watch) { #expect(try JSON(Array(line.utf8))["as_of"] != nil) }

        // For people, as a table each time; a file is not cleared.
        let table = try nodes[0].start(["lag", "--watch"])
        _ = try await eventually("two tables; \(table.errors)") {
            wholeLines(table).count { $0.hasPrefix("PEER") } >= 2 ? true : nil
        }
        table.signal(SIGTERM)
        let ended = try await table.wait(seconds: 20)
        #expect(ended.status == 128 + SIGTERM && !ended.output.contains(0x1b), "\(ended)")
        try await server.stop()
    }

    // MARK: held release --author

    @Test(.timeLimit(.minutes(3))) func whatCannotBeReleased() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul", "antalya")
        let (hq, istanbul, antalya) = (nodes[0], nodes[1], nodes[2])
        expect(try await hq.attempt("held", "release"), 64, saying: "--author NODE")
        expect(try await hq.attempt("held", "release", "ffff", "--author", "istanbul"), 64, saying: "--author NODE")
        expect(try await hq.attempt("held", "release", "--author", "ankara"), 66, saying: "“ankara” is no node")
        expect(
            try await hq.attempt("held", "release", "--author", "istanbul"), 66, saying: "Nothing of “istanbul” is held"
        )

        // What a revocation keeps out is let in by no operator's word.
        try await istanbul.insertArticle("late", "After the cut")
        try await hq.run("revoke", "istanbul", "--reason", "lost")
        let server = try await istanbul.serve()
        try await antalya.exchange("pull", server)
        try await server.stop()
        let other = try await hq.serve()
        try await antalya.exchange("sync", other)
        try await other.stop()
        #expect(try await antalya.json("held")["cut_off"]?[0]?["node"]?.text == "istanbul")
        expect(
            try await antalya.attempt("held", "release", "--author", "istanbul"), 77,
            saying: "cannot be released by hand",
            "“istanbul” was revoked")
        #expect(try await antalya.headline("late") == "")
    }

    // MARK: article export

    @Test(.timeLimit(.minutes(3))) func exportsOfAPart() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await hq.sql(
            """
            INSERT INTO articles(id, headline, source, distributor, published_on) VALUES
                ('april', 'Of April', 'IANS', NULL, '2026-04-30'), ('may', 'Of May', 'IANS', NULL, '2026-05-01'),
                ('june', 'Of June', NULL, 'MENAFN', '2026-06'), ('old', 'Of a year', 'MENAFN', NULL, '2025'),
                ('undated', 'Of no day', 'IANS', NULL, NULL);
            INSERT INTO article_subjects(id, article_id, subject) VALUES ('s1', 'may', 'ports');
            """)
        func ids(_ filters: String...) async throws -> [String] {
            let outcome = try await hq.attempt(["article", "export", "--format", "jsonl"] + filters)
            #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(filters): \(outcome)")
            return try outcome.text.split(separator: "\n").map { try JSON(Array($0.utf8))["id"]?.text ?? "?" }.sorted()
        }
        #expect(try await ids() == ["april", "june", "may", "old", "undated"])
        #expect(try await ids("--source", "IANS") == ["april", "may", "undated"])
        #expect(try await ids("--source", "menafn") == ["june", "old"], "in any case, agency or distributor")
        #expect(try await ids("--since", "2026-05") == ["june", "may"])
        #expect(try await ids("--source", "IANS", "--since", "2026-05-01") == ["may"])
        #expect(try await ids("--source", "IANS", "--since", "2026-05-02") == [])
        // ninjs is an array, however little is in it.
        for (source, count) in [("IANS", 3), ("NOBODY", 0)] {
            let outcome = try await hq.attempt("article", "export", "--source", source)
            #expect(try JSON(outcome.output).elements.count == count, "\(outcome)")
        }
        expect(try await hq.attempt("article", "export", "--since", "soon"), 64, saying: "--since", "this is no date")
        expect(try await hq.attempt("article", "export", "--format", "xml"), 64, saying: "ninjs", "jsonl")

        // A part goes elsewhere and makes the same rows.
        let columns = "SELECT id, headline, source, published_on FROM articles WHERE id = 'may'"
        let exported = try await hq.run(
            "article", "export", "--format", "jsonl", "--since", "2026-05", "--source", "IANS")
        let other = try await bureaus.found("other", workspace: "other")
        try await other.run(["article", "import", "-"], input: exported + "\n")
        #expect(try await other.sql("SELECT count(*) FROM articles") == "1")
        #expect(try await other.sql(columns) == hq.sql(columns))
        #expect(try await other.sql("SELECT subject FROM article_subjects") == "ports")
    }

    // MARK: commitment

    @Test(.timeLimit(.minutes(3))) func aCommitmentFromFirstToLast() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        try await hq.insertArticle("story", "Ports agree")
        let id = try await hq.run(
            "commitment", "add", "--title", "Open the timetable", "--party", "Port of Istanbul=host", "--due-on",
            "2026-12")
        let short = String(id.prefix(20))
        func shown() async throws -> JSON { try await hq.json("commitment", "show", short) }
        let first = try await shown()
        #expect(first["id"]?.text == id && first["title"]?.text == "Open the timetable", "\(first)")
        #expect(first["due_on"]?.text == "2026-12" && first["due_precision"]?.text == "month", "\(first)")
        #expect(first["status"]?.text == "proposed" && first["notes"] == .null, "\(first)")

        // Fields, a party more, a party's role, and an article that reports it.
        let changed = try await hq.run(
            "commitment", "set", short, "due_on=2027-01-15", "notes=Put off.", "--party", "Port of Odesa=guest",
            "--party",
            "Port of Istanbul=keeper", "--article", "story", "--quote", "by winter")
        for word in ["due_on", "notes", "parties", "sources"] { #expect(changed.contains(word), "\(changed)") }
        let second = try await shown()
        #expect(second["due_on"]?.text == "2027-01-15" && second["due_precision"]?.text == "day", "\(second)")
        #expect(second["notes"]?.text == "Put off." && second["title"] == first["title"], "\(second)")
        #expect(
            second["parties"]
                == .array([
                    .object(["party": .string("Port of Istanbul"), "role": .string("keeper")]),
                    .object(["party": .string("Port of Odesa"), "role": .string("guest")]),
                ]), "\(second)")
        #expect(second["sources"]?[0]?["article_id"]?.text == "story", "\(second)")
        #expect(second["sources"]?[0]?["quote"]?.text == "by winter", "\(second)")
        // What is so already is not written, and an empty value clears a field.
        #expect(try await hq.json("commitment", "set", short, "notes=Put off.")["changed"] == .bool(false))
        #expect(try await hq.run("commitment", "set", short, "notes=Put off.").contains("Nothing to change"))
        #expect(try await hq.json("commitment", "set", short, "notes=")["changed"] == .bool(true))
        #expect(try await shown()["notes"] == .null)

        let event = try await hq.json(
            "commitment", "log", short, "--kind", "fulfilled", "--on", "2026-08-30", "--note", "It is open.")
        #expect(event["status"]?.text == "fulfilled" && event["moved_status"] == .bool(true), "\(event)")
        let whole = try await hq.run("commitment", "show", short)
        for word in ["Port of Odesa (guest)", "2026-08-30", "It is open.", "by winter", "Ports agree", "TIMELINE"] {
            #expect(whole.contains(word), "\(word): \(whole)")
        }
        func listed(_ filters: String...) async throws -> [String?] {
            let outcome = try await hq.attempt(["commitment", "list", "--json"] + filters)
            return try JSON(outcome.output).elements.map { $0["id"]?.text }
        }
        #expect(try await listed("--party", "Port of Odesa") == [id])
        #expect(try await listed("--party", "Port of Varna") == [])
        #expect(try await listed("--status", "fulfilled") == [id])
        #expect(try await listed("--status", "proposed") == [])

        for (field, word) in [("due_on=soon", "this is no date"), ("colour=red", "there is no such field")] {
            expect(try await hq.attempt("commitment", "set", short, field), 64, saying: word)
        }
        expect(try await hq.attempt("commitment", "set", short), 64, saying: "Nothing to change")
        expect(try await hq.attempt("commitment", "set", short, "--quote", "x"), 64, saying: "--article")

        // Deleted, it is gone for every command but the one that brings it back, whole.
        let before = try await shown()
        #expect(try await hq.run("commitment", "delete", short).contains("commitment restore \(id)"))
        for command in [["show"], ["set", "notes=x"], ["log", "--kind", "progress"], ["delete"]] {
            let words = ["commitment", command[0], id] + command.dropFirst()
            expect(try await hq.attempt(words), 66, saying: "commitment restore")
        }
        #expect(try await listed() == [])
        #expect(try await hq.run("commitment", "restore", id).contains("Open the timetable"))
        #expect(try await shown() == before)
        expect(try await hq.attempt("commitment", "restore", id), 66, saying: "no deleted commitment")
        try await hq.expectSound()
    }

    // MARK: serve --log-level

    @Test(.timeLimit(.minutes(3))) func aServiceLogsAsMuchAsItIsTold() async throws {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        var logs: [String: Server] = [:]
        for level in ["warning", "info", "debug"] {
            let server = try await nodes[0].serve(at: "127.0.0.1:0", "--log-level", level)
            try await nodes[1].exchange("pull", server)
            // Something to warn of: who dials is no member.
            let stranger = try await Child.run("openssl", ["s_client", "-connect", server.address, "-tls1_2"])
            #expect(stranger.status != 0, "\(stranger)")
            try await server.says(" warning ", "no session")
            try await server.stop()
            logs[level] = server
        }
        for (level, server) in logs {
            let log = server.child.errors
            #expect(server.logged(" info ", "serving").isEmpty == (level == "warning"), "\(level): \(log)")
            #expect(
                server.logged(" info ", "session", "peer=istanbul").isEmpty == (level == "warning"), "\(level): \(log)")
            #expect(server.logged(" debug ", "session done").isEmpty == (level != "debug"), "\(level): \(log)")
        }
        expect(try await nodes[0].attempt("serve", "--log-level", "loud"), 64, saying: "loud", "critical")
    }

    // MARK: Where a node lives

    /// Each node is made where the option says, and then found by other means, which are only asked.
    @Test(.timeLimit(.minutes(3))) func whereANodeLives() async throws {
        let bureaus = try Bureaus()
        let base = bureaus.directory
        for name in ["option", "variable", "base/syncnode"] {
            let outcome = try await Child.run(
                Bureaus.program,
                ["init", "--data", "\(base)/\(name)", "--workspace", "desk", "--name", String(name.prefix(4))])
            #expect(outcome.status == 0, "\(outcome)")
        }
        func found(_ environment: [String: String], _ options: String...) async throws -> [String?] {
            let command = ["-c", "cd \"$0\" && exec \"$@\"", base, Bureaus.program, "status", "--json"] + options
            let outcome = try await Child.run("sh", command, environment: environment)
            #expect(outcome.status == 0, "\(outcome)")
            let status = try JSON(outcome.output)
            return [status["data"]?.text, status["node"]?["name"]?.text]
        }
        let (variable, habit) = ("\(base)/variable", "\(base)/base")
        // The option before the variable before the habit; what is empty says nothing.
        let both = ["SYNCNODE_DATA": variable, "XDG_DATA_HOME": habit]
        #expect(try await found(both, "--data", "\(base)/option") == ["\(base)/option", "opti"])
        #expect(try await found(both) == [variable, "vari"])
        #expect(try await found(["SYNCNODE_DATA": "", "XDG_DATA_HOME": habit]) == ["\(habit)/syncnode", "base"])
        #expect(try await found(["XDG_DATA_HOME": habit]) == ["\(habit)/syncnode", "base"])
        // From where the command is run.
        #expect(try await found(["SYNCNODE_DATA": "variable"]) == [variable, "vari"])
        #expect(try await found([:], "--data", "option") == ["\(base)/option", "opti"])

        // Nothing is there, and nothing is made by asking.
        let nothing = "\(base)/nothing"
        let outcome = try await Child.run(Bureaus.program, ["status"], environment: ["XDG_DATA_HOME": nothing])
        expect(outcome, 78, saying: "\(nothing)/syncnode", "syncnode init")
        #expect(!FileManager.default.fileExists(atPath: nothing))
    }

    /// Of HOME, as a shell understands `~`.
    @Test(.timeLimit(.minutes(3))) func withoutAVariableItLivesInTheHome() async throws {
        let bureaus = try Bureaus()
        // Examined, and nothing else: should HOME not be heeded, the home is that of whoever runs the tests.
        let outcome = try await Child.run(
            Bureaus.program, ["doctor", "--json"], environment: ["HOME": bureaus.directory, "XDG_DATA_HOME": ""])
        let finding = try JSON(outcome.output)["checks"]?[0]?["finding"]?.text ?? ""
        #expect(finding.contains(bureaus.directory + "/.local/share/syncnode"), "\(finding)")
    }
}
