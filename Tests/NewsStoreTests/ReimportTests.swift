// What is taken in a second time: nothing is written over what an editor did, nothing that was deleted comes back, and no
// correction vanishes without a word.

import ReplicaStore
import ReplicationModel
import Testing

@testable import NewsStore

@Suite struct ReimportTests {
    private let workspace: NewsWorkspace

    init() throws { workspace = try NewsWorkspace() }

    private func item(_ version: String, _ members: String...) -> String {
        "{" + ([#""uri": "u:1", "version": "\#(version)""#] + members).joined(separator: ", ") + "}"
    }

    private func set(_ store: NewsStore, _ id: RowID, _ field: String, _ value: String) throws {
        try store.setArticle(id.description, [FieldAssignment(field: field, value: value)])
    }

    // MARK: Newer versions

    @Test func aNewerVersionLeavesAloneWhatItDoesNotCarry() throws {
        let store = try workspace.makeStore()
        let body = #""body_text": "The ferry sails. It is full.""#
        let id = try #require(
            store.take(item("1", body, #""versioncreated": "2025-04-12T10:00:00Z""#, #""subjects": ["sea", "ports"]"#))
                .first
        ).id
        for (field, value) in [
            ("pubstatus", "withheld"), ("headline", "By an editor"), ("byline", "A. Writer"),
            ("subjects", "sea; by an editor"),
        ] { try set(store, id, field, value) }
        let newer = item(
            "2", #""body_text": "The ferry sailed. It was full.""#, #""versioncreated": "2025-04-13T10:00:00Z""#,
            #""subjects": ["ports", "harbours"]"#)
        #expect(try store.take(newer).map(\.outcome) == [.updated])
        let article = try store.article(id.description)
        #expect(article[.pubstatus] == "withheld")
        #expect(article[.headline] == "By an editor")
        #expect(article[.byline] == "A. Writer")
        #expect(article[.publishedOn] == "2025-04-12")
        #expect(article[.body] == "The ferry sailed. It was full.")
        // What it has no longer stays, what it has anew comes, and what an editor took off stays off.
        #expect(article.subjects == ["by an editor", "harbours", "sea"])
    }

    @Test func whatANewerVersionCarriesIsWritten() throws {
        let store = try workspace.makeStore()
        let id = try #require(store.take(item("1", #""headline": "One""#)).first).id
        try set(store, id, "published_on", "2025-04-01")
        let newer = item(
            "2", #""headline": "Two""#, #""pubstatus": "canceled""#, #""firstcreated": "2025-04-12T10:00:00Z""#)
        #expect(try store.take(newer).map(\.outcome) == [.updated])
        let article = try store.article(id.description)
        #expect(article[.headline] == "Two")
        #expect(article[.pubstatus] == "canceled")
        #expect(article[.publishedOn] == "2025-04-12")
    }

    /// One that nobody touched does not go on saying what the body no longer says.
    @Test func aHeadlineMadeOfTheBodyGoesWithTheBody() throws {
        let store = try workspace.makeStore()
        try store.take(item("1", #""body_text": "Ten boats are lost. More soon.""#))
        try store.take(item("2", #""body_text": "Nine boats are lost. More soon.""#))
        #expect(try store.articles().map { $0[.headline] } == ["Nine boats are lost"])
    }

    /// Rows that are there have been named by them.
    @Test func idsAreMadeOfWhatWasDerivedToo() throws {
        func id(_ text: String) throws -> RowID {
            var reader = try ArticleReader(ArticleInput(name: "in", bytes: Array(text.utf8)))
            return try #require(try reader.next()).id
        }
        func named(_ fields: [ArticleField: String]) -> RowID { ArticleDraft(fields: fields).id }
        #expect(
            try id(#"{"body": "One. Two.", "versioncreated": "2025-04-12T10:00:00Z"}"#)
                == named([
                    .body: "One. Two.", .headline: "One", .versioncreated: "2025-04-12T10:00:00Z",
                    .publishedOn: "2025-04-12",
                ]))
        #expect(
            try id(#"{"body": "One.", "published_on": null, "versioncreated": "2025-04-12T10:00:00Z"}"#)
                == named([
                    .body: "One.", .headline: "One", .versioncreated: "2025-04-12T10:00:00Z",
                    .publishedOn: "2025-04-12",
                ]))
        // And without what was not read before.
        #expect(try id(#"{"body": "\nOne."}"#) == named([.body: "\nOne."]))
        #expect(
            try id(
                #"{"headline": "h", "infosources": [{"name": "Lusa"}, {"name": "Lusa", "rel": "distributor"}]}"#)
                == named([.headline: "h", .source: "Lusa"]))
    }

    // MARK: Versions

    @Test(arguments: [
        ("1.1", "1.0", true), ("1.10", "1.9", true), ("2", "1.9.9", true), ("1.0.1", "1.0", true), ("10", "9", true),
        ("20250412101500123456789", "20250412101500123456788", true), ("1.0", "1", false), ("01", "1", false),
        ("1.9", "1.10", false), ("3", "draft", true), ("draft", "3", false), ("final", "draft", false),
        ("1.", "0", false), ("", "1", false),
    ])
    func versionsAreComparedPartByPart(_ version: String, _ other: String, _ isNewer: Bool) {
        let (one, two) = (Delivery(version: version, created: nil), Delivery(version: other, created: nil))
        #expect(one.isNewer(than: two) == isNewer)
        #expect(!(one.isNewer(than: two) && two.isNewer(than: one)))
    }

    @Test func aDottedVersionUpdates() throws {
        let store = try workspace.makeStore()
        try store.take(item("1.0", #""headline": "One""#))
        #expect(try store.take(item("1.1", #""headline": "Two""#)).map(\.outcome) == [.updated])
        #expect(try store.take(item("1.0", #""headline": "One""#)).map(\.outcome) == [.outdated])
        #expect(try store.articles().map { $0[.headline] } == ["Two"])
    }

    /// Neither is the newer one, so nothing is written; and it is said.
    @Test func aCorrectionThatDoesNotSaySoIsNoticed() throws {
        let store = try workspace.makeStore()
        try store.take(item("draft", #""headline": "One""#, #""subjects": ["sea"]"#))
        let same = try store.take(item("draft", #""headline": "One""#, #""subjects": ["sea"]"#))
        #expect(same.map(\.outcome) == [.known] && same.map(\.differs) == [false])
        for other in [
            item("final", #""headline": "Two""#), item("draft", #""headline": "Two""#),
            item("draft", #""headline": "One""#, #""subjects": ["sea", "ports"]"#),
        ] {
            let taken = try store.take(other)
            #expect(taken.map(\.outcome) == [.known] && taken.map(\.differs) == [true], "\(other)")
        }
        #expect(try store.articles().map { $0[.headline] } == ["One"])
        // What the item does not carry, or has from elsewhere, is no difference.
        let less = try store.take(item("draft", #""subjects": ["sea"]"#))
        #expect(less.map(\.differs) == [false])
        var reader = try ArticleReader(
            ArticleInput(name: "in", bytes: Array(item("draft", #""headline": "Two""#).utf8)))
        #expect(try store.importArticles(&reader, onArticle: { _ in }).differing == 1)
    }

    /// Where the id is made of the content, the same content came in before, and only an editor can have changed it.
    @Test func anEditOfAStoryWithoutANameIsNoDifference() throws {
        let store = try workspace.makeStore()
        let text = #"{"headline": "Ferry", "body": "One."}"#
        let id = try #require(store.take(text).first).id
        try set(store, id, "headline", "Mended")
        #expect(try store.take(text).map(\.differs) == [false])
        #expect(try store.article(id.description)[.headline] == "Mended")
    }

    // MARK: Deleted

    @Test func whatWasDeletedStaysDeleted() throws {
        let (north, south) = (try workspace.makeStore(0), try workspace.makeStore(1))
        let text = item("1", #""headline": "One""#, #""subjects": ["sea"]"#)
        let id = try #require(north.take(text).first).id
        _ = try north.delete(.article, id.description)
        // Before its delete is sealed, after, and where it arrived.
        #expect(try north.take(text).map(\.outcome) == [.deleted])
        #expect(try north.take(text).map(\.created) == [false])
        try workspace.pull(south, from: north)
        for store in [north, south] {
            #expect(try store.take(text).map(\.outcome) == [.deleted])
            #expect(
                try store.take(item("2", #""headline": "Two""#, #""subjects": ["ports"]"#)).map(\.outcome) == [.deleted]
            )
            #expect(try store.articles().isEmpty)
            #expect(try store.contents("article_subjects").count == 1)
        }
        #expect(try south.restore(.article, id.description) == id)
        #expect(try south.take(text).map(\.outcome) == [.known])
        #expect(try south.take(item("2", #""headline": "Two""#)).map(\.outcome) == [.updated])
    }

    @Test func deletedOnesAreCountedAmongOthers() throws {
        let store = try workspace.makeStore()
        let lines = (1...5).map { #"{"id": "a\#($0)", "headline": "h"}"# }.joined(separator: "\n")
        try store.take(lines)
        for id in ["a2", "a4"] { _ = try store.delete(.article, id) }
        var reader = try ArticleReader(ArticleInput(name: "in", bytes: Array(lines.utf8)))
        let done = try store.importArticles(&reader, onArticle: { _ in })
        #expect(done.read == 5 && done.deleted == 2 && done.created == 0)
    }

    /// Neither its insert nor its delete was sealed: the engine knows of it from then on.
    @Test func whatWasMadeAndDeletedAMomentAgoStaysDeleted() throws {
        let store = try workspace.makeStore()
        try store.replica.write { writer in
            try writer.execute("INSERT INTO articles(id, headline) VALUES('a1', 'h')")
            try writer.execute("DELETE FROM articles WHERE id = 'a1'")
        }
        #expect(try store.take(#"{"id": "a1", "headline": "h"}"#).map(\.outcome) == [.deleted])
    }

    // MARK: What the engine refuses

    @Test(arguments: [
        #"{"uri": "urn:syncnode:article:", "headline": "a"}"#,
        #"{"uri": "urn:syncnode:article:\#(String(repeating: "x", count: 256))", "headline": "a"}"#,
        #"{"id": "\#(String(repeating: "x", count: 256))", "headline": "a"}"#,
    ])
    func anIdThatNoRowCanHaveIsRefusedByName(_ bad: String) throws {
        let store = try workspace.makeStore()
        let error = try #require(throws: NewsError.self) {
            try store.take([#"{"headline": "one"}"#, bad, #"{"headline": "three"}"#].joined(separator: "\n"))
        }
        #expect(error.code == .badInput && error.object == "in, line 2" && error.cause.contains("its id"), "\(error)")
        #expect(try store.articles().count == 1)
    }

    @Test func whatIsTooMuchForARowIsAMisfit() {
        let half = String(repeating: "a", count: Limits.valueBytes)
        #expect(ArticleDraft(fields: [.body: half, .pubstatus: "usable"]).misfit == nil)
        #expect(ArticleDraft(fields: [.body: half + "a"]).misfit?.hasPrefix("body is longer") == true)
        // The status that a row without one gets counts too.
        for fields in [[.body: half, .summary: half], [.body: half, .summary: half, .headline: "h"]]
            as [[ArticleField: String]]
        {
            #expect(ArticleDraft(fields: fields).misfit?.contains("together") == true)
        }
        let fitting = String(half.dropLast(PublicationStatus.usable.rawValue.utf8.count))
        #expect(ArticleDraft(fields: [.body: half, .summary: fitting]).misfit == nil)
    }

    @Test func anItemThatNoRowCanHoldStopsTheImportAtItself() throws {
        let store = try workspace.makeStore()
        let half = String(repeating: "a", count: Limits.valueBytes)
        let first = try #require(throws: NewsError.self) {
            try store.take(
                #"[{"headline": "one"}, {"uri": "u:2", "body": "\#(half)", "summary": "\#(half)"}, {"headline": "three"}]"#
            )
        }
        #expect(first.code == .badInput && first.object == "in, item 2", "\(first.description.prefix(200))")
        #expect(try store.articles().compactMap { $0[.headline] } == ["one"])
        // Nor what it would come to with what the row holds.
        try store.take(#"{"uri": "u:2", "version": "1", "headline": "two", "body": "\#(half)"}"#)
        let second = try #require(throws: NewsError.self) {
            try store.take(
                #"[{"headline": "four"}, {"uri": "u:2", "version": "2", "summary": "\#(half)"}, {"headline": "five"}]"#)
        }
        #expect(second.code == .badInput && second.object == "in, item 2", "\(second.description.prefix(200))")
        #expect(Set(try store.articles().compactMap { $0[.headline] }) == ["one", "two", "four"])
        #expect(try store.article(RowID.named(kind: "article by uri", ["u:2"]).description)[.version] == "1")
    }

    @Test func aSubjectLongerThanAValueIsRefused() {
        var draft = ArticleDraft()
        let isAdded = draft.addSubjects(["a", String(repeating: "b", count: Limits.valueBytes + 1)])
        #expect(!isAdded)
        #expect(draft.subjects.isEmpty)
    }
}
