// Items that are made to cost much: each is read in time and memory in proportion to its length, or refused.

import Foundation
import ReplicationModel
import Testing

@testable import NewsStore

@Suite struct HostileInputTests {
    private func drafts(_ text: String, _ format: ArticleFormat = .ninjs) throws -> [ArticleDraft] {
        var reader = try ArticleReader(ArticleInput(name: "in", bytes: Array(text.utf8)), format: format)
        var drafts: [ArticleDraft] = []
        while let draft = try reader.next() { drafts.append(draft) }
        return drafts
    }

    private func refusal(_ text: String) -> NewsError? {
        do {
            _ = try drafts(text)
            return nil
        } catch {
            return error as? NewsError
        }
    }

    /// Each tag's quote is closed by the next one's, so that every tag seems to go on to the end. Followed to the end each
    /// time, half a megabyte of it took an hour.
    @Test(.timeLimit(.minutes(1))) func tagsThatNeverCloseAreFollowedOnce() {
        let count = 100_000
        let text = HTMLText.plain(String(repeating: "<a \">\"", count: count) + "end")
        #expect(text.hasSuffix("\"end"))
        #expect(text.utf8.count == count + 3)
    }

    @Test func aQuotedBracketDoesNotEndATag() {
        #expect(HTMLText.plain("<p title=\"a>b\">one <b class='x>y'>two</b>") == "one two")
    }

    @Test(.timeLimit(.minutes(1))) func membersOfManyNamesAreReadOnce() throws {
        let members = (0..<50_000).map { "\"headline_\($0)\":\"h\($0)\"" }.joined(separator: ",")
        let draft = try #require(try drafts("{\(members)}").first)
        #expect(draft[.headline]?.hasPrefix("h") == true)
    }

    @Test func ofTwoMembersOfOneNameTheFirstCounts() throws {
        let draft = try #require(try drafts(#"{"headline":"first","headline":"second"}"#).first)
        #expect(draft[.headline] == "first")
    }

    @Test func subjectsHaveABound() throws {
        func item(_ count: Int) -> String {
            let subjects = (0..<count).map { "\"s\($0)\"" }.joined(separator: ",")
            return "{\"headline\":\"h\",\"subjects\":[\(subjects)]}"
        }
        #expect(try drafts(item(ArticleDraft.subjectLimit)).first?.subjects.count == ArticleDraft.subjectLimit)
        let error = try #require(refusal(item(ArticleDraft.subjectLimit + 1)))
        #expect(error.code == .badInput && error.cause.contains("subjects"))
    }

    /// Each line was once moved for every line before it.
    @Test(.timeLimit(.minutes(1)), arguments: ["", "\n"])
    func manyLabelsAreReadOnce(_ blankLine: String) throws {
        let lines = String(repeating: "Subject: sea\n", count: 300_000)
        let draft = try WireParser.parse(Array("\(lines)\(blankLine)The ferry sails.".utf8))
        #expect(draft.subjects == ["sea"])
        #expect(draft[.body] == "The ferry sails.")
    }

    @Test func subjectsOfOneTextHaveABoundToo() throws {
        let store = try NewsWorkspace().makeStore()
        func subjects(_ count: Int) -> FieldAssignment {
            FieldAssignment(field: "subjects", value: (0..<count).map { "s\($0)" }.joined(separator: ";"))
        }
        let id = try store.addArticle(headline: "h", assignments: [subjects(ArticleDraft.subjectLimit)])
        let error = try #require(throws: NewsError.self) {
            try store.setArticle(id.description, [subjects(ArticleDraft.subjectLimit + 1)])
        }
        #expect(error.code == .badArgument && error.object == "subjects")
        #expect(try store.article(id.description).subjects.count == ArticleDraft.subjectLimit)
    }

    @Test func valuesHaveABound() throws {
        let bytes = Array("[0,[1,2],{\"a\":3}]".utf8)
        #expect(throws: Never.self) { try JSON(parsing: bytes[...], valueLimit: 7) }
        #expect(throws: JSONSyntaxError.self) { try JSON(parsing: bytes[...], valueLimit: 6) }
    }

    /// What could not be written with four digits of year is no time.
    @Test func timesThatLeaveTheCalendarAreRefused() throws {
        for text in ["0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-00:01"] {
            let error = try #require(refusal("{\"headline\":\"h\",\"versioncreated\":\"\(text)\"}"))
            #expect(error.cause.contains("RFC 3339"), "\(error)")
        }
        let draft = try #require(try drafts(#"{"headline":"h","versioncreated":"9999-12-31T23:59:59Z"}"#).first)
        #expect(draft[.versioncreated] == "9999-12-31T23:59:59Z")
    }

    @Test func namesThatAreMentionedHaveABound() throws {
        let store = try NewsWorkspace().makeStore()
        let lines = (0..<1500).map { "{\"headline\":\"h\($0)\",\"odd\($0)\":1}" }.joined(separator: "\n")
        var reader = try ArticleReader(ArticleInput(name: "in", bytes: Array(lines.utf8)), format: .jsonl)
        let done = try store.importArticles(&reader, onArticle: { _ in })
        #expect(done.read == 1500)
        #expect(done.ignored.count == 1000)
    }

    @Test(.timeLimit(.minutes(1))) func manyQuotesAreOneSearch() throws {
        let store = try NewsWorkspace().makeStore()
        let words = String(repeating: "\" ", count: 50_000) + "ports"
        #expect(try store.articles(ArticleQuery(search: words)).isEmpty)
    }
}
