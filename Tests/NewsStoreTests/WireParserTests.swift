// Wire stories: every header shape that is understood, and that nothing is lost where one is not.

import Foundation
import NewsStore
import ReplicationModel
import Testing

@Suite struct WireParserTests {
    private func parse(_ text: String) throws -> ArticleDraft { try WireParser.parse(Array(text.utf8)) }

    private static let lead =
        "Harbour ministers of the two coasts on Saturday agreed to reopen the northern ferry line."
    private static let second = "\"We have a timetable,\" the minister said after the talks."

    @Test func aDistributorsStoryIsTakenApart() throws {
        let article = try parse(
            " date 2025-04-12 MENAFN - IANS) Lisbon, April 12 (IANS) \(Self.lead)\n\n\(Self.second)\n")
        #expect(article[.publishedOn] == "2025-04-12")
        #expect(article[.distributor] == "MENAFN")
        #expect(article[.source] == "IANS")
        #expect(article[.dateline] == "Lisbon")
        #expect(article[.body] == "\(Self.lead)\n\n\(Self.second)")
        #expect(article[.headline] == String(Self.lead.dropLast()))
        #expect(article[.byline] == nil)
    }

    @Test(
        arguments: [
            ("(MENAFN - IANS) Lisbon, April 12 (IANS) X", "Lisbon, April 12", "IANS", "MENAFN"),
            ("date 2025-04-12 (MENAFN- IANS) LISBON, April 12 (IANS) -- X", "LISBON", "IANS", "MENAFN"),
            ("2025-04-12 (MENAFN) LISBON, Apr. 12 (Lusa) - X", "LISBON", "Lusa", "MENAFN"),
            ("[date: 2025-04-12] Lisbon, 12 April (Lusa): X", "Lisbon", "Lusa", nil),
            ("LISBON (AP) — X", "LISBON", "AP", nil),
            ("Lisbon (AFP) – X", "Lisbon", "AFP", nil),
            ("LISBON, Portugal, Apr 12, 2025 (dpa) - X", "LISBON, Portugal", "dpa", nil),
            ("Rio de Janeiro, April 12, 2025 (Reuters) - X", "Rio de Janeiro", "Reuters", nil),
            ("ST. PETERSBURG, April 12 - X", "ST. PETERSBURG, April 12", nil, nil),
            (
                "date 2025-04-12 MENAFN - Coast Times) Lisbon, April 12 (Lusa) X", "Lisbon", "Lusa",
                "MENAFN - Coast Times"
            ),
            ("date 2025-04-12 (MENAFN - IANS) Lisbon, April 11 (IANS) X", "Lisbon, April 11", "IANS", "MENAFN"),
            ("(ITAR-TASS) Moscow, April 12, 2025 - X", "Moscow", nil, "ITAR-TASS"),
            ("(Al-Jazeera) DOHA, Apr. 12, 2025 (Al-Jazeera) - X", "DOHA", "Al-Jazeera", "Al-Jazeera"),
            ("(MENAFN- Al-Jazeera) Doha, April 12, 2025 - X", "Doha", "Al-Jazeera", "MENAFN"),
            ("(Al-Jazeera – ITAR-TASS) Doha, April 12, 2025 - X", "Doha", "ITAR-TASS", "Al-Jazeera"),
            ("(MENAFN/IANS) Lisbon, April 12, 2025 - X", "Lisbon", "IANS", "MENAFN"),
        ] as [(String, String, String?, String?)])
    func headerShapes(_ text: String, _ dateline: String, _ source: String?, _ distributor: String?) throws {
        let article = try parse(text.dropLast() + Self.lead)
        #expect(article[.dateline] == dateline)
        #expect(article[.source] == source)
        #expect(article[.distributor] == distributor)
        #expect(article[.body] == Self.lead)
        #expect(article[.publishedOn] == (text.contains("2025") ? "2025-04-12" : nil))
    }

    @Test(arguments: [
        "The United Nations (UN) said on Monday that the ferry would sail again.",
        "In April 12 ferries sailed.",
        "Harbour talks (part two) - a summary of what was said.",
        "(This is a remark.) Then the story begins.",
        "We met on Tuesday: the ferry sails.",
        "2025-04-31 is no day at all.",
        "A well-known - and loved) ferry sails again.",
    ])
    func whatIsNoHeaderStaysInTheStory(_ text: String) throws {
        let article = try parse(text)
        #expect(article[.body] == text)
        #expect(article[.dateline] == nil)
        #expect(article[.source] == nil)
    }

    @Test func headlineAndBylineMayStandOnLinesOfTheirOwn() throws {
        let article = try parse(
            "Ferry line to reopen\n\nBy Ana Prado\n\nLISBON, April 12, 2025 (Lusa) - \(Self.lead)\n\n\(Self.second)")
        #expect(article[.headline] == "Ferry line to reopen")
        #expect(article[.byline] == "Ana Prado")
        #expect(article[.dateline] == "LISBON")
        #expect(article[.publishedOn] == "2025-04-12")
        #expect(article[.body] == "\(Self.lead)\n\n\(Self.second)")
    }

    @Test func theHeadMayBeOneBlock() throws {
        let article = try parse(
            "FERRY LINE TO REOPEN\nBy Ana Prado\nLISBON, April 12 (Lusa) - Ministers agreed on Saturday that\nthe ferry sails again from the first of May onwards.\n\nMore soon."
        )
        #expect(article[.headline] == "FERRY LINE TO REOPEN")
        #expect(article[.byline] == "Ana Prado")
        #expect(article[.body]?.hasSuffix("More soon.") == true)
        #expect(article[.body]?.contains("again from the first of May") == true)
    }

    @Test func labelledLinesAreRead() throws {
        let article = try parse(
            "Headline: Ferry line to reopen\nDate: 12 April 2025\nSource: Lusa\nSubjects: transport; sea\nURL: https://example.org/a\n\n\(Self.lead)"
        )
        #expect(article[.headline] == "Ferry line to reopen")
        #expect(article[.publishedOn] == "2025-04-12")
        #expect(article[.source] == "Lusa")
        #expect(article[.url] == "https://example.org/a")
        #expect(article.subjects == ["transport", "sea"])
        #expect(article[.body] == Self.lead)
    }

    /// Subjects are rows, and an article has a bound on them; what is beyond it is text all the same.
    @Test func labelsBeyondTheBoundStayInTheStory() throws {
        let names = (0..<1_024).map { "s\($0)" }
        let article = try parse(
            "Subjects: \(names.joined(separator: "; "))\nSubjects: s7; s8\nSubjects: s9; one more\nSource: Lusa\n\n\(Self.lead)"
        )
        #expect(article.subjects == names)
        #expect(article[.source] == nil)
        #expect(article[.body] == "Subjects: s9; one more\nSource: Lusa\n\n\(Self.lead)")
    }

    @Test func aTextWithoutAnyHeaderIsABody() throws {
        let article = try parse("\(Self.lead)\n\n\(Self.second)")
        #expect(article[.body] == "\(Self.lead)\n\n\(Self.second)")
        #expect(article.fields.keys.sorted { $0.rawValue < $1.rawValue } == [.body, .headline])
    }

    @Test func lineEndsMarksAndEncodingsDoNotMatter() throws {
        let text = " date 2025-04-12 (MENAFN - IANS) Málaga, April 12 (IANS) \(Self.lead)\n\n“Café,” he said.\n"
        let expected = try parse(text)
        #expect(expected[.dateline] == "Málaga")
        let crlf = text.replacing("\n", with: "\r\n")
        var utf16: [UInt8] = [0xff, 0xfe]
        for unit in text.utf16 { utf16 += [UInt8(unit & 0xff), UInt8(unit >> 8)] }
        let windows = text.unicodeScalars.map { scalar -> UInt8 in
            switch scalar {
            case "“": 0x93
            case "”": 0x94
            default: UInt8(scalar.value)
            }
        }
        for bytes in [Array(crlf.utf8), [0xef, 0xbb, 0xbf] + Array(text.utf8), utf16, windows] {
            let article = try WireParser.parse(bytes)
            #expect(article == expected)
            #expect(article.id == expected.id)
        }
    }

    @Test func wrappedLinesAreJoinedAndTablesKept() throws {
        let article = try parse(
            """
            LISBON, April 12 (Lusa) - The ministers agreed on Saturday that the
            northern ferry line will sail again from the first of May, twice a
            day.

            North  1
            South  2

            End.
            """)
        #expect(
            article[.body]
                == "The ministers agreed on Saturday that the northern ferry line will sail again from the first of May, "
                + "twice a day.\n\nNorth  1\nSouth  2\n\nEnd.")
    }

    @Test func withoutBlankLinesEveryLineIsAParagraph() throws {
        let article = try parse("LISBON, April 12 (Lusa) - One.\nTwo.\nThree.")
        #expect(article[.body] == "One.\n\nTwo.\n\nThree.")
    }

    @Test(arguments: ["", " \r\n\u{feff}\n "])
    func emptyInputIsRefusedByName(_ text: String) throws {
        let error = try #require(throws: NewsError.self) { try WireParser.parse(Array(text.utf8), name: "a.txt") }
        #expect(error.code == .badInput)
        #expect(error.object.hasPrefix("a.txt, line 1"))
    }

    @Test func tooMuchInputIsRefused() throws {
        let error = try #require(throws: NewsError.self) {
            try WireParser.parse([UInt8](repeating: 0x61, count: WireParser.inputByteLimit + 1))
        }
        #expect(error.code == .badInput)
    }

    @Test func aLongFirstSentenceIsCutAtAClause() throws {
        let long =
            "The harbour minister of the northern coast on Saturday said that the two sides have a chance to mend their ties "
            + "amid the long dispute over the ferries."
        let headline = try #require(try parse(long)[.headline])
        #expect(
            headline
                == "The harbour minister of the northern coast on Saturday said that the two sides have a chance to mend their ties"
        )
        let clauseless = String(repeating: "word ", count: 40)
        let cut = try #require(try parse(clauseless)[.headline])
        #expect(cut.hasSuffix("word…") && cut.count <= 120)
        #expect(
            try parse("Mr. Silva of the U.S. Navy met Dr. Reis. They spoke.")[.headline]
                == "Mr. Silva of the U.S. Navy met Dr. Reis")
        #expect(try parse(String(repeating: "字", count: 500))[.headline]?.count == 120)
    }

    // The sample stands beside a checkout of the repository, and is not part of it.
    private static let sample = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../../shared/data/wire-2025-04-12-istanbul.txt").standardizedFileURL
    private static var sampleHere: URL? {
        [
            sample,
            URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../../shared/data/wire-2025-04-12-istanbul.txt").standardizedFileURL,
        ]
        .first { FileManager.default.fileExists(atPath: $0.path) }
    }

    @Test(arguments: [Array("%PDF-1.7 text".utf8), Array("PK\u{3}\u{4}\u{0}\u{0}".utf8), [0x89, 0x50, 0, 0xff]])
    func aBinaryFileIsRefused(bytes: [UInt8]) {
        let error = #expect(throws: NewsError.self) { try WireParser.parse(bytes, name: "a.pdf") }
        #expect(error?.code == .badInput && error?.object == "a.pdf")
    }

    @Test func controlCharactersOfAWireAreNoSignOfABinaryFile() throws {
        let bytes = Array("\u{1}\u{16}Ferry line reopens after storm.\u{4}".utf8)
        #expect(try WireParser.parse(bytes)[.body] != nil)
    }

    @Test func aDirectoryIsNoInput() {
        let error = #expect(throws: NewsError.self) { try ArticleInput(path: NSTemporaryDirectory()) }
        #expect(error?.code == .notFound && error?.cause.contains("directory") == true)
    }

    @Test(.enabled(if: sampleHere != nil, "the wire sample does not stand beside this checkout"))
    func aRealStoryIsTakenApart() throws {
        let bytes = try [UInt8](Data(contentsOf: #require(Self.sampleHere)))
        let article = try WireParser.parse(bytes)
        #expect(article[.publishedOn] == "2025-04-12")
        #expect(article[.distributor] == "MENAFN")
        #expect(article[.source] == "IANS")
        #expect(article[.dateline] == "Istanbul")
        let body = try #require(article[.body])
        #expect(body.components(separatedBy: "\n\n").count == 11)
        #expect(String(decoding: bytes, as: UTF8.self).hasSuffix(body.suffix(200)))
        #expect(article[.headline]?.count ?? 0 <= 120)
        #expect(try WireParser.parse(bytes).id == article.id)
    }
}
