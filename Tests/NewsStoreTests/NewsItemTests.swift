// ninjs and JSON Lines: what is read, what is refused and how the refusal is worded.

import NewsStore
import ReplicationModel
import Testing

@Suite struct NewsItemTests {
    private func reader(_ text: String, name: String = "in", _ format: ArticleFormat? = nil) throws -> ArticleReader {
        try ArticleReader(ArticleInput(name: name, bytes: Array(text.utf8)), format: format)
    }

    private func all(_ text: String, _ format: ArticleFormat? = nil) throws -> [ArticleDraft] {
        var reader = try reader(text, format)
        var drafts: [ArticleDraft] = []
        while let draft = try reader.next() { drafts.append(draft) }
        return drafts
    }

    static let item = """
        {
          "uri": "https://agency.example/items/77", "type": "text", "version": "3",
          "firstcreated": "2025-04-12T23:30:00-03:00", "versioncreated": "2025-04-13T09:15:00+02:00",
          "pubstatus": "usable", "language": "pt-BR",
          "headlines": [{"role": "short", "value": "Ferry"}, {"role": "main", "value": "Ferry line to reopen"}],
          "descriptions": [{"role": "text", "value": "Two coasts agree."}],
          "bodies": [
            {"role": "html5", "contenttype": "text/html", "value": "<p>Rich</p>"},
            {"role": "text", "contenttype": "text/plain", "value": "Plain one.\\n\\nPlain two."}
          ],
          "by": "Ana Prado", "located": "Lisbon", "copyrightholder": "Lusa",
          "infosources": [{"name": "Lusa", "rel": "source"}, {"name": "Coastwire", "rel": "distributor"}],
          "subjects": [{"name": "transport"}, {"literal": "16000000"}, {"name": "transport"}],
          "altids": [{"role": "url", "value": "https://agency.example/77"}],
          "urgency": 3
        }
        """

    @Test func aNinjs2ItemIsRead() throws {
        let drafts = try all(Self.item)
        let item = try #require(drafts.first)
        #expect(drafts.count == 1)
        #expect(item[.headline] == "Ferry line to reopen")
        #expect(item[.summary] == "Two coasts agree.")
        #expect(item[.body] == "Plain one.\n\nPlain two.")
        #expect(item[.byline] == "Ana Prado")
        #expect(item[.dateline] == "Lisbon")
        #expect(item[.source] == "Lusa")
        #expect(item[.distributor] == "Coastwire")
        #expect(item[.language] == "pt-BR")
        #expect(item[.publishedOn] == "2025-04-12")
        #expect(item[.versioncreated] == "2025-04-13T07:15:00Z")
        #expect(item[.version] == "3")
        #expect(item[.uri] == "https://agency.example/items/77")
        #expect(item[.url] == "https://agency.example/77")
        #expect(item[.pubstatus] == "usable")
        #expect(item.subjects == ["transport", "16000000"])
        #expect(item.ignored == ["urgency"])
        #expect(item.id == RowID.named(kind: "article by uri", ["https://agency.example/items/77"]))
    }

    @Test func aNinjs1ItemIsRead() throws {
        let item = try #require(
            try all(
                """
                {"uri": "tag:a,1", "versioncreated": "2025-04-12T10:00:00Z", "byline": "Ana Prado", "located": "Lisbon",
                 "headline": "Ferry", "description_text": "Short.", "body_html": "<h1>Ferry</h1><p>One &amp; two</p><p>Tr&eacute;s &#8211; <b>x</b></p>",
                 "subject": [{"name": "transport", "code": "t"}], "provider": "Lusa"}
                """
            ).first)
        #expect(item[.headline] == "Ferry")
        #expect(item[.summary] == "Short.")
        #expect(item[.body] == "Ferry\n\nOne & two\n\nTrés – x")
        #expect(item[.source] == "Lusa")
        #expect(item[.distributor] == nil)
        #expect(item[.publishedOn] == "2025-04-12")
        #expect(item.subjects == ["transport"])
    }

    @Test(arguments: [("\\nOne. Two.", "One"), ("\\r\\n \\t\\nOne. Two.", "One"), ("  One. Two.", "One")])
    func aBodyThatBeginsEmptyHasAHeadlineToo(_ body: String, _ headline: String) throws {
        #expect(try all(#"{"body": "\#(body)"}"#).first?[.headline] == headline)
    }

    @Test func oneHouseMayBeSourceAndDistributor() throws {
        let sources = #"[{"name": "Lusa", "rel": "source"}, {"name": "Lusa", "rel": "distributor"}]"#
        let item = try #require(try all(#"{"uri": "u:1", "headline": "h", "infosources": \#(sources)}"#).first)
        #expect(item[.source] == "Lusa" && item[.distributor] == "Lusa")
        let provided = try #require(try all(#"{"uri": "u:1", "headline": "h", "provider": "Lusa"}"#).first)
        #expect(provided[.source] == "Lusa" && provided[.distributor] == nil)
    }

    /// What stands before a bad item is taken in.
    @Test func anArrayIsReadUpToItsBadItem() throws {
        let text = #"[{"headline": "One"}, {"headline": "Two"}, {"headline": {}}, {"headline": "Four"}]"#
        var reader = try ArticleReader(ArticleInput(name: "feed.json", bytes: Array(text.utf8)))
        #expect(try reader.next()?[.headline] == "One")
        #expect(try reader.next()?[.headline] == "Two")
        let error = #expect(throws: NewsError.self) { try reader.next() }
        #expect(error?.description.contains("item 3") == true)
    }

    @Test func anArrayAndLinesGiveTheSameItems() throws {
        let one = #"{"uri": "u:1", "headline": "One", "body": "First."}"#
        let two = #"{"headline": "Two", "source": "Lusa", "published_on": "2025-04", "subjects": ["sea"]}"#
        let array = try all("[\(one),\n\(two)]")
        #expect(try all("\(one)\r\n\n\(two)") == array)
        #expect(try all("\u{feff}\(one)\n\(two)\n") == array)
        #expect(array.map { $0[.headline] } == ["One", "Two"])
        #expect(array[1][.publishedOn] == "2025-04")
    }

    @Test(arguments: [
        (#"{"a": 1}"#, "in", ArticleFormat.ninjs), ("{\"a\": 1}\n{\"a\": 2}", "in", .jsonl),
        ("{\n\"a\": 1}", "in", .ninjs), ("{\"a\": 1", "in.jsonl", .jsonl), (" \n[{}]", "in", .ninjs),
        ("[Update] Ferry sails again", "in", .wire), ("LISBON (AP) - {", "in", .wire), ("", "in", .wire),
    ])
    func formatsAreGuessed(_ text: String, _ name: String, _ format: ArticleFormat) throws {
        #expect(try reader(text, name: name).format == format)
    }

    @Test(arguments: [
        ("{\"headline\": \"a\"}\n{\"headline\": }", "in, line 2", "column 14"),
        ("{\"headline\": \"a\"}\n[1]", "in, line 2", "must be a JSON object"),
        ("{\"headline\": \"a\"}\n{\"headline\": {}}", "in, line 2", "headline must be a string"),
        ("{\"headline\": \"a\"}\n{\"pubstatus\": \"usable\"}", "in, line 2", "neither a headline nor a body"),
        (
            "{\"headline\": \"a\"}\n{\"headline\": \"b\", \"pubstatus\": \"lost\"}", "in, line 2",
            "usable, withheld, canceled"
        ),
        ("{\"headline\": \"a\"}\n{\"headline\": \"b\", \"versioncreated\": \"soon\"}", "in, line 2", "RFC 3339"),
        ("{\"headline\": \"a\"}\n{\"headline\": \"b\", \"published_on\": \"2025-02-30\"}", "in, line 2", "no date"),
        ("{\"headline\": \"a\"}\n{\"headline\": \"\\ud800\"}", "in, line 2", "surrogate"),
        ("[{\"headline\": \"a\"},\n {\"headline\": 01}]", "in, line 2", "not JSON"),
        ("[{\"headline\": \"a\"},\n {\"bodies\": 1}]", "in, item 2", "bodies must be an array"),
    ])
    func malformedInputIsRefusedByLineAndCause(_ text: String, _ place: String, _ cause: String) throws {
        let error = try #require(throws: NewsError.self) { try all(text) }
        #expect(error.code == .badInput)
        #expect(error.object == place)
        #expect(error.cause.contains(cause))
        #expect(!error.nextStep.isEmpty)
    }

    @Test func deepNestingIsRefusedAndNotFollowed() throws {
        let deep = "{\"headline\": \"a\", \"x\": " + String(repeating: "[", count: 100_000)
        let error = try #require(throws: NewsError.self) { try all(deep, .jsonl) }
        #expect(error.cause.contains("nested deeper"))
    }

    @Test func aLineBeyondTheLimitIsRefusedWithoutReadingOn() throws {
        var chunks = 0
        let input = ArticleInput(name: "in") {
            chunks += 1
            return [UInt8](repeating: 0x7b, count: 1 << 20)
        }
        var reader = try ArticleReader(input, format: .jsonl)
        let error = try #require(throws: NewsError.self) { try reader.next() }
        #expect(error.object == "in, line 1")
        #expect(chunks < 20)
    }

    @Test func linesArriveInPieces() throws {
        var rest = Array("{\"headline\": \"é one\"}\n{\"headline\": \"two\"}".utf8)[...]
        let input = ArticleInput(name: "in") {
            defer { rest = rest.dropFirst(3) }
            return rest.isEmpty ? nil : Array(rest.prefix(3))
        }
        var reader = try ArticleReader(input, format: .jsonl)
        #expect(try reader.next()?[.headline] == "é one")
        #expect(try reader.next()?[.headline] == "two")
        #expect(try reader.next() == nil)
    }

    @Test(.timeLimit(.minutes(1))) func unclosedHTMLTakesLinearTimeAndKeepsItsText() throws {
        let html = String(repeating: "<script><!-- <a ' &x", count: 20_000) + " end"
        let item = try #require(try all(#"{"headline": "a", "body_html": "\#(html)"}"#).first)
        #expect(item[.body]?.hasSuffix("end") == true)
    }

    @Test func idsComeFromTheContentAlone() throws {
        let text = #"{"headline": "Ferry", "body": "One."}"#
        let ids = try Set(
            [text, text, #"{"body": "One.", "headline": "Ferry"}"#].map { try #require(try all($0).first).id })
        #expect(ids.count == 1)
        #expect(try all(#"{"headline": "Ferry", "body": "Two."}"#).first?.id != ids.first)
        #expect(try all(#"{"headline": "Ferry", "body": "One.", "source": "Lusa"}"#).first?.id != ids.first)
        let uuid = "0195d3a0-0000-7000-8000-00000000abcd"
        #expect(try all(#"{"uri": "urn:uuid:\#(uuid.uppercased())", "headline": "a"}"#).first?.id == RowID(uuid))
        #expect(try all(#"{"id": "mine", "headline": "a"}"#).first?.id == RowID("mine"))
    }
}
