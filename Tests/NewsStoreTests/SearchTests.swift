// Search: what is found, in which order, and that the index stays right under whatever happens to the rows.

import Foundation
import NewsStore
import ReplicaStore
import ReplicationModel
import Testing

@Suite struct SearchTests {
    private let workspace: NewsWorkspace

    init() throws { workspace = try NewsWorkspace() }

    private func add(_ store: NewsStore, _ headline: String, _ body: String = "", _ fields: [String: String] = [:])
        throws -> String
    {
        try store.addArticle(
            headline: headline, body: body, assignments: fields.map { FieldAssignment(field: $0.key, value: $0.value) }
        ).description
    }

    @Test func wordsAreFoundInAnyFoldingAndAsBeginnings() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "Málaga ferry", "The Hafenmeister of ZÜRICH.")
        _ = try add(store, "Rail talks", "Nothing of ships.", ["byline": "Ana Prado"])
        #expect(try store.found("malaga") == ["Málaga ferry"])
        #expect(try store.found("MÁLAGA") == ["Málaga ferry"])
        #expect(try store.found("zurich hafen") == ["Málaga ferry"])
        #expect(try store.found("hafen zurich") == [])
        #expect(try store.found("prado") == ["Rail talks"])
        #expect(try store.found("ferry rail") == [])
        #expect(try store.found("\"of ships\"") == ["Rail talks"])
        #expect(try store.found("\"ships of\"") == [])
    }

    @Test(arguments: [
        // Letters that are taken apart and put together again, in every case.
        ("Сергей в Україні", "сергей"), ("Сергей в Україні", "УКРАЇН"), ("Αθήνα και Πειραιάς", "αθηνα"),
        ("Αθήνα και Πειραιάς", "ΠΕΙΡΑΙΑΣ"), ("مباحثات في أنقرة", "أنقرة"), ("مباحثات في أنقرة", "انقرة"),
        ("서울에서 회담", "서울"), ("हिन्दी समाचार", "हिन्दी"), ("हिन्दी समाचार", "समाचार"),
        // Letters of the Latin script that Unicode does not take apart.
        ("İstanbul'da Çanakkale limanı", "istanbul"), ("İstanbul'da Çanakkale limanı", "LIMANI"),
        ("Straße nach Tromsø, Łódź", "strasse"), ("Straße nach Tromsø, Łódź", "tromso lodz"),
        // Scripts without spaces: any run of letters, wherever it stands.
        ("外相在北京市会谈", "北京"), ("外相在北京市会谈", "会谈"), ("外相在北京市会谈", "京市会"), ("ガザ停戦をめぐる協議", "停戦"),
        ("ガザ停戦をめぐる協議", "ガザ"), ("ﾄﾙｺの港", "港"), ("ข่าวการประชุม", "ประชุม"), ("ＡＢＣ協定", "abc"),
        // Precomposed or not.
        ("Ca\u{301}diz", "cádiz"), ("Cádiz", "ca\u{301}diz"),
    ]) func everyScriptIsFound(headline: String, words: String) throws {
        let store = try workspace.makeStore()
        _ = try add(store, headline)
        _ = try add(store, "Nothing of the kind")
        let found = try store.articles(ArticleQuery(search: words))
        #expect(found.map { $0[.headline] } == [headline])
        let marked = try #require(found.first?.markedHeadline)
        #expect(marked.text == headline && marked.pieces.contains { $0.isMatch }, "\(marked)")
    }

    @Test(arguments: [("外相在北京市会谈", "京北"), ("ガザの港", "カサ"), ("हिन्दी", "हिनदी"), ("北の京", "北京")])
    func otherLettersAreOtherWords(headline: String, words: String) throws {
        let store = try workspace.makeStore()
        _ = try add(store, headline)
        #expect(try store.found(words) == [])
    }

    @Test func onlyWhatWasSoughtIsMarked() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "市长在北京市，天津市长")
        _ = try add(store, "of ships and the names of ships")
        let city = try #require(try store.articles(ArticleQuery(search: "北京市")).first?.markedHeadline)
        #expect(city.pieces.filter(\.isMatch).map(\.text) == ["北京市"])
        let ships = try #require(try store.articles(ArticleQuery(search: "\"names of\"")).first?.markedHeadline)
        #expect(ships.pieces.filter(\.isMatch).map(\.text) == ["names of"])
    }

    @Test func aPasteIsNoSearch() throws {
        let store = try workspace.makeStore()
        for words in [String(repeating: "word ", count: 65), String(repeating: "北", count: 513)] {
            let error = try #require(throws: NewsError.self) { try store.found(words) }
            #expect(error.code == .badArgument)
        }
    }

    /// An older program cut and folded words otherwise: its index is no damage, and the next search makes it anew.
    @Test func anIndexOfAnOlderFormIsMadeAnew() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "Сергей")
        #expect(try store.found("сергей") == ["Сергей"])
        try store.replica.write { writer in
            try writer.execute("DELETE FROM search_state WHERE name = 'form'")
            try writer.execute("INSERT INTO search(search) VALUES ('delete-all')")
        }
        var report = try store.replica.verify(authors: workspace)
        try NewsStore.verifySearchIndex(of: store.replica, into: &report)
        #expect(report.findings == [])
        #expect(try store.found("сергей") == ["Сергей"])
        try NewsStore.verifySearchIndex(of: store.replica, into: &report)
        #expect(report.findings == [])
    }

    @Test func aSourceIsNamedInAnyCase() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "One", "", ["source": "Ünlü Ajans", "distributor": "Wire"])
        _ = try add(store, "Two", "", ["source": "Other"])
        for name in ["ÜNLÜ AJANS", "ünlü ajans", "WIRE"] {
            #expect(try store.articles(ArticleQuery(source: name)).map { $0[.headline] } == ["One"], "\(name)")
            #expect(try store.articles(ArticleQuery(search: "one", source: name)).count == 1)
        }
        #expect(try store.articles(ArticleQuery(source: "Ünlü")).isEmpty)
    }

    @Test(arguments: [
        "ferry AND", "NOT ferry", "ferry OR", "NEAR(ferry", "headline:ferry", "ferry*", "^ferry", "\"ferry", "fer\"ry",
        "(ferry)",
        "-ferry", "ferry'", "{ferry}", "ferry\0", "ferry; DROP TABLE articles", "a\"\"b ferry", "ferry +", "\\ferry",
    ])
    func nothingThatIsTypedIsSyntax(_ words: String) throws {
        let store = try workspace.makeStore()
        _ = try add(store, "ferry and near ferry or not headline ferry drop table articles a b fer ry", "")
        #expect(try store.found(words).count == 1)
    }

    @Test(arguments: ["", "  ", "\"\"", "--- *", "…"])
    func aSearchNeedsAWord(_ words: String) throws {
        let store = try workspace.makeStore()
        let error = try #require(throws: NewsError.self) { try store.found(words) }
        #expect(error.code == .badArgument)
    }

    @Test func headlinesRankBeforeBodiesAndNewerBeforeOlder() throws {
        let store = try workspace.makeStore()
        _ = try add(store, "Talks", "A ferry was named once.")
        _ = try add(store, "Same words", "ferry", ["published_on": "2025-01-01"])
        _ = try add(store, "Same words", "ferry", ["published_on": "2025-02-01"])
        _ = try add(store, "Ferry reopens", "Nothing else.")
        let found = try store.articles(ArticleQuery(search: "ferry"))
        #expect(found.first?[.headline] == "Ferry reopens")
        let same = found.filter { $0[.headline] == "Same words" }.map { $0[.publishedOn] }
        #expect(same == ["2025-02-01", "2025-01-01"])
        #expect(try store.articles(ArticleQuery(search: "ferry", since: PartialDate("2025-01-15"))).count == 1)
        #expect(try store.articles(ArticleQuery(search: "ferry", limit: 2)).count == 2)
    }

    @Test func theSnippetShowsWhereTheWordsStand() throws {
        let store = try workspace.makeStore()
        let filler = Array(repeating: "filler", count: 100).joined(separator: " ")
        _ = try add(store, "A", "ferry \(filler) the Férry of Lisbon sails \(filler)")
        let snippet = try #require(try store.articles(ArticleQuery(search: "lisbon ferry")).first?.snippet)
        #expect(snippet.pieces.filter(\.isMatch).map(\.text) == ["Férry", "Lisbon"])
        #expect(snippet.text.hasPrefix("… ") && snippet.text.hasSuffix(" …"))
        #expect(snippet.text.contains("the Férry of Lisbon sails"))
    }

    @Test func theWholeHeadlineIsShownWithItsMatchesMarked() throws {
        let store = try workspace.makeStore()
        let headline = "Ferries \(Array(repeating: "and ships", count: 40).joined(separator: " ")) of Málaga"
        _ = try add(store, headline)
        let marked = try #require(try store.articles(ArticleQuery(search: "malaga ferr")).first?.markedHeadline)
        #expect(marked.text == headline)
        #expect(marked.pieces.filter(\.isMatch).map(\.text) == ["Ferries", "Málaga"])
        #expect(try store.articles().first?.markedHeadline == nil)
    }

    @Test func theIndexFollowsEditsDeletesAndRestores() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "ferry")
        #expect(try store.found("ferry") == ["ferry"])
        try store.setArticle(id, [FieldAssignment(field: "headline", value: "train")])
        #expect(try store.found("ferry") == [])
        #expect(try store.found("train") == ["train"])
        _ = try store.delete(.article, id)
        #expect(try store.found("train") == [])
        _ = try store.restore(.article, id)
        #expect(try store.found("train") == ["train"])
    }

    @Test func theIndexFollowsWhatComesFromElsewhere() throws {
        let (north, south) = (try workspace.makeStore(0), try workspace.makeStore(1))
        let id = try add(north, "ferry")
        try workspace.pull(south, from: north)
        #expect(try south.found("ferry") == ["ferry"])
        try north.setArticle(id, [FieldAssignment(field: "headline", value: "train")])
        try workspace.pull(south, from: north)
        #expect(try south.found("ferry") == [] && south.found("train") == ["train"])
        _ = try north.delete(.article, id)
        try workspace.pull(south, from: north)
        #expect(try south.found("train") == [])
    }

    @Test func renumberedRowsDoNotConfuseTheIndex() throws {
        let store = try workspace.makeStore()
        let ids = try (0..<50).map { try add(store, "ferry number\($0)") }
        #expect(try store.found("ferry").count == 50)
        for id in ids.prefix(25) { _ = try store.delete(.article, id) }
        // What VACUUM may do to a table with a text key: every row gets another rowid.
        try store.replica.write { try $0.execute("UPDATE articles SET rowid = rowid + 1000 WHERE rowid % 2 = 0") }
        #expect(try store.found("ferry").count == 25)
        #expect(try store.found("number49") == ["ferry number49"])
        #expect(try Set(store.found("number3")) == Set((30...39).map { "ferry number\($0)" }))
    }

    @Test func editsOfOtherColumnsLeaveTheIndexAlone() throws {
        let store = try workspace.makeStore()
        let id = try add(store, "ferry")
        _ = try store.found("ferry")
        try store.setArticle(id, [FieldAssignment(field: "pubstatus", value: "withheld")])
        _ = try store.found("ferry")
        #expect(try store.contents("search_documents").count == 1)
        let next = try store.replica.read {
            try $0.query("SELECT value FROM search_state WHERE name = 'next_document'")
        }
        #expect(next.first?.values == [.integer(2)])
    }

    @Test func aStaleIndexIsMadeAnew() throws {
        let store = try workspace.makeStore()
        let lines = (0..<600).map { #"{"id": "a\#($0)", "headline": "ferry \#($0)"}"# }.joined(separator: "\n")
        try store.take(lines, .jsonl)
        var seen: [SearchProgress] = []
        _ = try store.articles(ArticleQuery(search: "ferry")) { seen.append($0) }
        #expect(seen.last?.rows == 600)
        for round in 1...3 {
            try store.replica.write {
                try $0.execute("UPDATE articles SET headline = headline || ' r' || ?", [.integer(Int64(round))])
            }
            try store.replica.write { try $0.execute("DELETE FROM articles WHERE id = ?", [Value("a\(round)")]) }
            seen = []
            let found = try store.articles(ArticleQuery(search: "ferry r\(round)")) { seen.append($0) }
            #expect(found.count == 600 - round)
        }
        let entries = try store.replica.read { try $0.query("SELECT count(*) FROM search_docsize") }
        let count = try #require(entries.first).values.first
        #expect(count == .integer(597) || count == .integer(597 + 598), "\(String(describing: count))")
        #expect(seen.contains { $0.isRebuilding } || count == .integer(597 + 598))
        seen = []
        #expect(try store.found("ferry").count == 597)
        #expect(try store.articles(ArticleQuery(search: "r3")) { seen.append($0) }.count == 597)
        #expect(seen.isEmpty)
    }
}
