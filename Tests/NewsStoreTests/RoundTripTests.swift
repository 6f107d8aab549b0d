// What is given out and taken in again is the same row, whatever a program wrote into it.

import Foundation
import NewsStore
import ReplicaStore
import ReplicationModel
import Testing

@Suite(.serialized) struct RoundTripTests {
    /// Rows that no importer makes: emptied where something could be derived, and words that are none of ours.
    private static let odd: [(id: String, columns: [String: String?])] = [
        ("emptied", ["headline": "h", "published_on": nil, "versioncreated": "2025-04-12T10:00:00Z"]),
        ("untitled", ["headline": nil, "body": "The ferry sails. It is full."]),
        ("no status", ["headline": "h", "pubstatus": nil]),
        (
            "own words",
            ["headline": "h", "pubstatus": "embargoed", "published_on": "12.04.2025", "versioncreated": "noon"]
        ),
        (
            "another form",
            ["headline": "h", "published_on": "2025-04-12T10:00:00Z", "versioncreated": "2025-04-12 10:00"]
        ),
        ("a month", ["headline": "h", "published_on": "2025-04", "versioncreated": "2025-05-01T00:00:00Z"]),
        ("one house", ["headline": "h", "source": "Lusa", "distributor": "Lusa"]),
        ("distributed", ["headline": "h", "distributor": "Lusa"]),
        ("blank", ["headline": "h", "summary": " ", "byline": "\t"]),
        ("nothing", ["headline": nil, "pubstatus": nil]),
        ("begins with a break", ["headline": nil, "body": "\nOne."]),
        ("named outside", ["headline": nil, "body": "One.", "pubstatus": "embargoed", "uri": "u:1"]),
    ]

    private func insert(_ columns: [String: String?], _ id: String, into store: NewsStore) throws {
        let names = columns.keys.sorted()
        let id = columns["uri"].flatMap { $0 }.map { RowID.named(kind: "article by uri", [$0]) } ?? RowID(id)
        try store.replica.write { writer in
            try writer.execute(
                "INSERT INTO articles(id, \(names.joined(separator: ", "))) VALUES(?\(names.map { _ in ", ?" }.joined()))",
                [.text(id.bytes)] + names.map { columns[$0].flatMap { $0 }.map { Value($0) } ?? .null })
        }
    }

    private func exported(_ store: NewsStore, _ format: NewsStore.ExportFormat) throws -> String {
        var output: [UInt8] = []
        try store.exportArticles(format) { output += $0 }
        return String(decoding: output, as: UTF8.self)
    }

    /// Rows as columns that hold something: an empty text and NULL are the same nothing.
    private func rows(_ store: NewsStore) throws -> [RowID: [ArticleField: String]] {
        Dictionary(
            uniqueKeysWithValues: try store.articles().map {
                ($0.id, try store.article($0.id.description).fields)
            })
    }

    @Test(arguments: NewsStore.ExportFormat.allCases)
    func whatAnyProgramWroteComesBackAsItWas(_ format: NewsStore.ExportFormat) throws {
        let workspace = try NewsWorkspace()
        let (from, to) = (try workspace.makeStore(0), try workspace.makeStore(1))
        for (id, columns) in Self.odd { try insert(columns, id, into: from) }
        let text = try exported(from, format)
        #expect(try to.take(text).map(\.outcome) == Self.odd.map { _ in .created })
        let (before, after) = (try rows(from), try rows(to))
        for (id, fields) in before { #expect(after[id] == fields, "\(id)") }
        #expect(after.count == before.count)
        // And writes nothing, there or here.
        for store in [from, to] {
            let again = try store.take(text)
            #expect(again.allSatisfy { $0.outcome == .known && !$0.differs }, "\(again)")
        }
    }

    /// Members that ninjs has a form for stay ninjs; and where it has one for all, nothing else is written.
    @Test func aNinjsItemHoldsWordsOfNinjsOnly() throws {
        let store = try NewsWorkspace().makeStore()
        for (id, columns) in Self.odd { try insert(columns, id, into: store) }
        let items = try #require(
            try JSONSerialization.jsonObject(with: Data(exported(store, .ninjs).utf8)) as? [[String: Any]])
        for item in items {
            if let status = item["pubstatus"] as? String {
                #expect(PublicationStatus(rawValue: status) != nil, "\(item)")
            }
            if let time = item["versioncreated"] as? String { #expect(time.hasSuffix("Z"), "\(item)") }
        }
        let plain = try NewsWorkspace().makeStore()
        try plain.take(NewsItemTests.item)
        let text = try exported(plain, .ninjs)
        #expect(!text.contains("\"syncnode\""))
        #expect(!text.contains("published_on"))
    }

    /// Others who write an item with `id` and members of theirs are held to what the columns mean.
    @Test func wordsOfOthersAreStillChecked() throws {
        let store = try NewsWorkspace().makeStore()
        for member in [#""pubstatus": "lost""#, #""published_on": "soon""#, #""versioncreated": "noon""#] {
            #expect(throws: NewsError.self) {
                try store.take(#"{"id": "7", "title": "h", "urgency": 3, \#(member)}"#)
            }
        }
        try store.take(
            #"{"id": "8", "title": "h", "published_on": "2025-04-12T10:00:00Z", "body": "b", "headline": null}"#)
        #expect(try store.article("8")[.publishedOn] == "2025-04-12")
        #expect(try store.article("8")[.headline] == "h")
    }

    /// No ninjs member is called so: whoever writes it, and nothing in it, means that there is no date.
    @Test(arguments: ["null", "\"\""]) func anEmptyDateIsTheLastWord(_ empty: String) throws {
        let store = try NewsWorkspace().makeStore()
        try store.take(
            #"{"uri": "u:1", "headline": "h", "versioncreated": "2025-04-12T10:00:00Z", "published_on": \#(empty)}"#)
        #expect(try store.articles().map { $0[.publishedOn] } == [nil])
    }

    @Test func whatIsEmptyIsTakenInAsNothing() throws {
        let store = try NewsWorkspace().makeStore()
        for (text, format) in [
            (try exported(store, .ninjs), nil), ("[]", nil), (" [ ]\n", .ninjs), ("", .jsonl), ("\n\r\n", .jsonl),
        ] as [(String, ArticleFormat?)] {
            #expect(try store.take(text, format).isEmpty, "\(text)")
        }
        var reader = try ArticleReader(ArticleInput(name: "feed.jsonl", bytes: []))
        #expect(reader.format == .jsonl)
        #expect(try reader.next() == nil)
        for format in [nil, .wire, .ninjs] as [ArticleFormat?] {
            let error = try #require(throws: NewsError.self) { try store.take("", format) }
            #expect(error.code == .badInput)
        }
    }
}
