// Articles in a real replica: taken in, edited, deleted, restored and given out again.

import Foundation
import NewsStore
import ReplicaStore
import ReplicationModel
import Testing

@Suite struct ArticleTests {
    private let workspace: NewsWorkspace

    init() throws { workspace = try NewsWorkspace() }
    private static let wire =
        " date 2025-04-12 (MENAFN - IANS) Lisbon, April 12 (IANS) The ferry line reopens in May.\n\nMore soon.\n"

    @Test func theSameStoryTwiceIsOneRow() throws {
        let store = try workspace.makeStore()
        let first = try store.take(Self.wire)
        let second = try store.take(Self.wire.replacing("\n", with: "\r\n"))
        #expect(first.map(\.created) == [true])
        #expect(second.map(\.created) == [false])
        #expect(first[0].id == second[0].id)
        #expect(first[0].headline == "The ferry line reopens in May")
        #expect(try store.articles().count == 1)
    }

    @Test func twoOfflineBureausTakeInOneRowAndMeetWithoutConflict() throws {
        let (north, south) = (try workspace.makeStore(0), try workspace.makeStore(1))
        try north.take(Self.wire)
        try north.take(NewsItemTests.item)
        try south.take(Self.wire)
        try south.take(NewsItemTests.item)
        for table in ["articles", "article_subjects"] { #expect(try north.contents(table) == south.contents(table)) }
        try workspace.pull(north, from: south)
        try workspace.pull(south, from: north)
        for store in [north, south] {
            #expect(try store.articles().count == 2)
            #expect(try store.replica.conflicts().isEmpty)
        }
        #expect(try north.contents("articles") == south.contents("articles"))
    }

    @Test func takingInAgainDoesNotUndoAnEdit() throws {
        let store = try workspace.makeStore()
        let id = try #require(store.take(Self.wire).first?.id.description)
        try store.setArticle(id, [FieldAssignment(field: "headline", value: "Mended")])
        #expect(try store.take(Self.wire).map(\.outcome) == [.known])
        #expect(try store.article(id)[.headline] == "Mended")
    }

    @Test func aNewerVersionUpdatesAndAnOlderOneDoesNot() throws {
        let store = try workspace.makeStore()
        func item(_ version: Int, _ hour: Int, _ body: String) -> String {
            #"{"uri": "u:1", "version": "\#(version)", "versioncreated": "2025-04-12T\#(hour):00:00Z", "headline": "Ferry", "body_text": "\#(body)"}"#
        }
        #expect(try store.take(item(2, 12, "two")).map(\.outcome) == [.created])
        #expect(try store.take(item(1, 11, "one")).map(\.outcome) == [.outdated])
        #expect(try store.take(item(2, 12, "other")).map(\.outcome) == [.known])
        #expect(try store.take(item(3, 12, "three")).map(\.outcome) == [.updated])
        let article = try store.article(try #require(store.articles().first).id.description)
        #expect(article[.body] == "three")
        #expect(article[.version] == "3")
        #expect(article[.publishedOn] == "2025-04-12")
    }

    @Test func anErrorKeepsWhatStoodBeforeIt() throws {
        let store = try workspace.makeStore()
        let lines = (1...3).map { #"{"headline": "h\#($0)"}"# } + ["{", #"{"headline": "h5"}"#]
        let error = try #require(throws: NewsError.self) { try store.take(lines.joined(separator: "\n"), .jsonl) }
        #expect(error.object == "in, line 4")
        #expect(try store.articles().count == 3)
    }

    @Test func manyArticlesTakeSeveralTransactions() throws {
        let store = try workspace.makeStore()
        let lines = (1...2500).map { #"{"headline": "h\#($0)", "odd": 1}"# }.joined(separator: "\n")
        var reader = try ArticleReader(ArticleInput(name: "in", bytes: Array(lines.utf8)))
        var steps: [Int] = []
        let total = try store.importArticles(&reader, onArticle: { _ in }, progress: { steps.append($0.read) })
        #expect(steps == [1000, 2000, 2500])
        #expect(total.created == 2500)
        #expect(total.ignored == ["odd"])
    }

    @Test func fieldsAreSetClearedAndChecked() throws {
        let store = try workspace.makeStore()
        let id = try store.addArticle(
            headline: "Ferry", body: "One.",
            assignments: [
                FieldAssignment(field: "subjects", value: "sea; transport"),
                FieldAssignment(field: "source", value: "Lusa"),
            ])
        let prefix = String(id.description.prefix(20))
        var article = try store.article(prefix)
        #expect(article.subjects == ["sea", "transport"])
        #expect(article[.pubstatus] == "usable")
        let set = [
            ("source", ""), ("published_on", "2025-04"), ("pubstatus", "withheld"), ("subjects", "sea; harbour"),
        ]
        #expect(try store.setArticle(prefix, set.map { FieldAssignment(field: $0, value: $1) }).changed)
        #expect(try !store.setArticle(prefix, set.map { FieldAssignment(field: $0, value: $1) }).changed)
        article = try store.article(prefix)
        #expect(article[.source] == nil)
        #expect(article[.publishedOn] == "2025-04")
        #expect(article.subjects == ["harbour", "sea"])
        for (field, value, hint) in [
            ("colour", "red", "headline, body"), ("uri", "u:1", "headline, body"),
            ("published_on", "soon", "YYYY-MM-DD"),
            ("pubstatus", "lost", "usable, withheld, canceled"), ("headline", " ", "Give it a text"),
        ] {
            let error = try #require(throws: NewsError.self) {
                try store.setArticle(prefix, [FieldAssignment(field: field, value: value)])
            }
            #expect(error.code == .badArgument && error.nextStep.contains(hint), "\(field)")
        }
    }

    @Test func idsMayBeCut() throws {
        let store = try workspace.makeStore()
        for id in ["ab1", "ab2", "ab", "c-\u{10ffff}"] { try store.take(#"{"id": "\#(id)", "headline": "x"}"#) }
        #expect(try store.resolve("ab1", .article) == RowID("ab1"))
        #expect(try store.resolve("ab", .article) == RowID("ab"))
        #expect(try store.resolve("AB2", .article) == RowID("ab2"))
        let ambiguous = try #require(throws: NewsError.self) { try store.resolve("a", .article) }
        #expect(ambiguous.code == .ambiguous)
        #expect(ambiguous.cause.contains("ab1") && ambiguous.cause.contains("ab2"))
        for missing in ["zz", "ab12", "' OR 1 --", ""] {
            #expect(throws: NewsError.self) { try store.resolve(missing, .article) }
        }
    }

    @Test func whatIsDeletedComesBackWhole() throws {
        let store = try workspace.makeStore()
        let id = try #require(store.take(NewsItemTests.item).first).id
        let before = try store.article(id.description)
        let prefix = String(id.description.prefix(9))
        #expect(try store.delete(.article, prefix) == id)
        #expect(throws: NewsError.self) { try store.article(prefix) }
        #expect(try store.restore(.article, prefix) == id)
        #expect(try store.article(prefix) == before)
        let error = try #require(throws: NewsError.self) { try store.restore(.article, prefix) }
        #expect(error.code == .notFound)
    }

    @Test func listsAreFilteredAndOrdered() throws {
        let store = try workspace.makeStore()
        try store.take(
            """
            {"headline": "a", "source": "Lusa", "published_on": "2025-04-10"}
            {"headline": "b", "distributor": "lusa", "published_on": "2025-04-12"}
            {"headline": "c", "source": "Efe", "published_on": "2025-04-11"}
            {"headline": "d"}
            """)
        func list(_ query: ArticleQuery) throws -> [String?] { try store.articles(query).map { $0[.headline] } }
        #expect(try list(ArticleQuery()) == ["b", "c", "a", "d"])
        #expect(try list(ArticleQuery(source: "LUSA")) == ["b", "a"])
        #expect(try list(ArticleQuery(since: PartialDate("2025-04-11"))) == ["b", "c"])
        #expect(try list(ArticleQuery(since: PartialDate("2025"), limit: 1)) == ["b"])
    }

    @Test(arguments: NewsStore.ExportFormat.allCases)
    func whatIsGivenOutIsTakenInAsTheSameRows(_ format: NewsStore.ExportFormat) throws {
        let (from, to) = (try workspace.makeStore(0), try workspace.makeStore(1))
        try from.take(Self.wire)
        try from.take(NewsItemTests.item)
        try from.take(
            #"{"id": "odd id", "headline": "q\"\\\n\t\u0001é😀", "body": " spaced\r\n", "published_on": "2025-04", "url": "https://a.example"}"#
        )
        let own = try from.addArticle(
            headline: "<Own> news", assignments: [FieldAssignment(field: "subjects", value: "a, b; c")])
        try from.setArticle(own.description, [FieldAssignment(field: "summary", value: "<b>not mark-up</b>")])
        var output: [UInt8] = []
        try from.exportArticles(format) { output += $0 }
        let text = String(decoding: output, as: UTF8.self)
        #expect(try to.take(text).count == 4)
        for table in ["articles", "article_subjects"] { #expect(try from.contents(table) == to.contents(table)) }
        #expect(try to.take(text).allSatisfy { !$0.created })
        if format == .ninjs {
            let items = try #require(try JSONSerialization.jsonObject(with: Data(output)) as? [[String: Any]])
            #expect(
                items.allSatisfy { $0["uri"] is String && ($0["standard"] as? [String: String])?["version"] == "2.1" })
        }
    }

    @Test func anEmptyExportIsStillJSON() throws {
        let store = try workspace.makeStore()
        var output: [UInt8] = []
        try store.exportArticles(.ninjs) { output += $0 }
        #expect(try (JSONSerialization.jsonObject(with: Data(output)) as? [Any])?.isEmpty == true)
    }

    @Test func anyTypeInAColumnIsShown() throws {
        let store = try workspace.makeStore()
        try store.replica.write { writer in
            try writer.execute("INSERT INTO articles(id, headline, body) VALUES('n', 5, x'00ff')")
            try writer.execute("INSERT INTO articles(id, headline, pubstatus) VALUES('m', NULL, NULL)")
        }
        #expect(try store.article("n")[.headline] == "5")
        #expect(try store.article("m").fields.isEmpty)
        #expect(try store.articles().count == 2)
    }

    @Test func jsonHasEveryColumn() throws {
        let store = try workspace.makeStore()
        let id = try store.addArticle(headline: "Ferry")
        let data = try JSONEncoder().encode(store.article(id.description))
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(Set(object.keys) == Set(ArticleField.allCases.map(\.rawValue) + ["id", "subjects", "commitments"]))
        #expect(object["published_on"] is NSNull)
    }
}
