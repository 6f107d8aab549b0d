// Text of a peer that would take a terminal over: what people are shown has none of its control characters, and programs get it as
// it was written.
import Foundation
import Testing

@Suite(.serialized) struct HostileTextTests {
    /// Clears a terminal, and turns round what follows.
    private static let text = "a\u{1b}[2J\u{202e}b"
    private static let shown = "a\u{fffd}[2J\u{fffd}b"
    private static let sql = "'a' || char(27) || '[2J' || char(8238) || 'b'"
    /// Of an article and a commitment, behind what a person can type.
    private static let article = "art-" + text
    private static let commitment = "com-" + text

    /// The text in every column of every table that is shown, ids too.
    private static let rows = """
        CREATE TEMP TABLE hostile AS SELECT \(sql) AS x;
        INSERT INTO articles(id, headline, body, summary, byline, source, distributor, dateline, language, published_on, url,
            uri, pubstatus, version, versioncreated)
            SELECT 'art-' || x, x, x || char(10) || x, x, x, x, x, x, x, x, x, x, x, x, x FROM hostile;
        INSERT INTO article_subjects(id, article_id, subject) SELECT 'j-' || x, 'art-' || x, x FROM hostile;
        INSERT INTO commitments(id, title, text, instrument, notes, status, agreed_on, due_on, due_precision)
            SELECT 'com-' || x, x, x, x, x, x, x, x, x FROM hostile;
        INSERT INTO commitment_parties(id, commitment_id, party, role) SELECT 'p-' || x, 'com-' || x, x, x FROM hostile;
        INSERT INTO commitment_sources(id, commitment_id, article_id, quote)
            SELECT 's-' || x, 'com-' || x, 'art-' || x, x FROM hostile;
        INSERT INTO commitment_events(id, commitment_id, occurred_on, kind, note, article_id)
            SELECT 'e-' || x, 'com-' || x, x, x, x, 'art-' || x FROM hostile;
        """

    /// hq wrote the rows, istanbul has them by a pull, and both changed one headline since.
    private func met(_ bureaus: Bureaus) async throws -> Node {
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        try await hq.sql(Self.rows)
        let server = try await hq.serve()
        try await istanbul.exchange("pull", server)
        for node in nodes {
            try await node.sql("UPDATE articles SET headline = '\(node.name) ' || \(Self.sql)")
            try await node.run("status")
        }
        let pulled = try await istanbul.exchange("pull", server)
        #expect(pulled["peers"]?[0]?["conflicts"]?.int == 1, "\(pulled)")
        try await server.stop()
        return istanbul
    }

    private func expectHarmless(
        _ bytes: [UInt8], _ what: String, _ location: SourceLocation = #_sourceLocation
    ) {
        let text = String(decoding: bytes, as: UTF8.self)
        for scalar in text.unicodeScalars where scalar != "\n" && scalar != "\r" && scalar != "\t" {
            let isHarmless = scalar.properties.generalCategory != .control && scalar != "\u{202e}"
            #expect(isHarmless, "U+\(String(scalar.value, radix: 16)) by \(what): \(text)", sourceLocation: location)
            if !isHarmless { return }
        }
    }

    @Test(.timeLimit(.minutes(5))) func peopleAreShownNoneOfIt() async throws {
        let bureaus = try Bureaus()
        let istanbul = try await met(bureaus)
        let conflicts = try await istanbul.json("conflicts")["conflicts"]?.elements ?? []
        let conflict = try #require(conflicts.first?["id"]?.text)
        let commands = [
            ["article", "list"], ["article", "list", "--search", "a"], ["article", "show", "art-"],
            ["commitment", "list"],
            ["commitment", "show", "com-"], ["conflicts"], ["conflicts", "show", conflict],
            ["commitment", "list", "--party", "a"],
        ]
        for command in commands {
            let what = command.joined(separator: " ")
            let outcome = try await istanbul.attempt(command)
            #expect(outcome.status == 0 && outcome.text.contains(Self.shown), "\(what): \(outcome)")
            expectHarmless(outcome.output, what)
            expectHarmless(Array(outcome.errors.utf8), what)
            // A terminal has lines of its own, and less room; without colour nothing of the program's own is left, either.
            let seen = try await Child.run(
                "python3", ["-c", "import pty,sys\nsys.exit(pty.spawn(sys.argv[1:]) >> 8)", Bureaus.program] + command,
                environment: ["SYNCNODE_DATA": istanbul.data, "NO_COLOR": "1", "TERM": "xterm"])
            #expect(seen.status == 0 && seen.text.contains("\u{fffd}"), "\(what): \(seen)")
            expectHarmless(seen.output, what + " on a terminal")
        }
        // What people are told they typed, and what they did.
        let unknown = try await istanbul.attempt("article", "show", Self.text)
        #expect(unknown.status == 66 && unknown.errors.contains(Self.shown), "\(unknown)")
        expectHarmless(Array(unknown.errors.utf8), "an unknown id")
        for command in [
            ["conflicts", "keep", conflict], ["article", "set", "art-", "byline=x"], ["article", "delete", "art-"],
            ["article", "restore", "art-"], ["commitment", "delete", "com-"], ["commitment", "restore", "com-"],
        ] {
            let what = command.joined(separator: " ")
            let outcome = try await istanbul.attempt(command)
            #expect(outcome.status == 0 && outcome.text.contains("\u{fffd}"), "\(what): \(outcome)")
            expectHarmless(outcome.output, what)
        }
        try await istanbul.expectSound()
    }

    /// A JSON document of a command, which has no control character in it as such.
    private func json(_ node: Node, _ command: String...) async throws -> JSON {
        let outcome = try await node.attempt(command + ["--json"])
        #expect(outcome.status == 0 && !outcome.output.contains(0x1b), "\(outcome)")
        #expect(outcome.text.contains("\\u001b"), "\(outcome)")
        return try JSON(outcome.output)
    }

    @Test(.timeLimit(.minutes(5))) func programsGetItAsItWasWritten() async throws {
        let bureaus = try Bureaus()
        let istanbul = try await met(bureaus)
        let (text, item) = (JSON.string(Self.text), JSON.string)
        let headline = try await istanbul.headline(Self.article)
        #expect(["hq \(Self.text)", "istanbul \(Self.text)"].contains(headline))

        let listed = try await json(istanbul, "article", "list")[0]
        #expect(listed?["id"] == item(Self.article) && listed?["headline"] == item(headline), "\(listed ?? .null)")
        let article = try await json(istanbul, "article", "show", "art-")
        for key in [
            "summary", "byline", "source", "distributor", "dateline", "language", "published_on", "url", "pubstatus",
        ] {
            #expect(article[key] == text, "\(key): \(article)")
        }
        #expect(article["body"] == item("\(Self.text)\n\(Self.text)"), "\(article)")
        #expect(article["subjects"] == .array([text]), "\(article)")

        let due = try await json(istanbul, "commitment", "list")[0]
        #expect(due?["id"] == item(Self.commitment) && due?["title"] == text, "\(due ?? .null)")
        let commitment = try await json(istanbul, "commitment", "show", "com-")
        for key in ["title", "text", "instrument", "notes", "status", "agreed_on", "due_on"] {
            #expect(commitment[key] == text, "\(key): \(commitment)")
        }
        #expect(commitment["parties"] == .array([.object(["party": text, "role": text])]), "\(commitment)")
        #expect(
            commitment["sources"]?[0]?["quote"] == text && commitment["events"]?[0]?["note"] == text, "\(commitment)")

        let conflict = try await json(istanbul, "conflicts")["conflicts"]?[0]
        #expect(conflict?["row"] == item(Self.article), "\(conflict ?? .null)")
        let values = ["lost", "current"].compactMap { conflict?[$0]?["values"]?["headline"]?.text }
        #expect(Set(values) == ["hq \(Self.text)", "istanbul \(Self.text)"], "\(conflict ?? .null)")

        let watch = try istanbul.start(["watch", "--since", "0"])
        defer { watch.signal(SIGKILL) }
        let lines = try await eventually("eight rows; \(watch.errors)", within: 30) { () -> [Substring]? in
            let whole = String(decoding: watch.output, as: UTF8.self).split(
                separator: "\n", omittingEmptySubsequences: false)
            return whole.count > 8 ? Array(whole.dropLast()) : nil
        }
        #expect(!watch.output.contains(0x1b))
        let ids = try lines.map { try JSON(Array($0.utf8))["id"]?.text ?? "" }
        #expect(Set(ids) == Set(["art-", "j-", "com-", "p-", "s-", "e-"].map { $0 + Self.text }), "\(ids)")
    }
}
