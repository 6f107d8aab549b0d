// Feeds that are taken in again and again, as cron does: what was deleted stays so, what is empty is no error, and what
// cannot be read is said.
import Foundation
import Testing

@Suite(.serialized) struct ImportTests {
    private func shell(_ node: Node, _ line: String) async throws -> Outcome {
        try await Child.run(
            "bash", ["-c", line.replacing("syncnode article", with: "\"$0\" article"), Bureaus.program],
            environment: ["SYNCNODE_DATA": node.data])
    }

    @Test(.timeLimit(.minutes(5))) func whatAnEditorDeletedIsNotRevivedByTheFeed() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let feed = try bureaus.file(
            "feed.json",
            #"[{"uri": "u:1", "headline": "Ferry sails"}, {"uri": "u:2", "headline": "Ferry stays"}]"#)
        let taken = try await hq.json("article", "import", feed)
        let id = try #require(taken[0]?["id"]?.text)
        try await hq.run("article", "delete", id)
        let again = try await shell(hq, "cat \(feed) | syncnode article import -")
        #expect(again.status == 0, "\(again)")
        for words in ["deleted ", "1 known already, 1 deleted before", "syncnode article restore \(id)"] {
            #expect(again.text.contains(words), "no “\(words)”: \(again)")
        }
        let document = try await hq.json("article", "import", feed)
        #expect(document[0]?["outcome"]?.text == "deleted" && document[0]?["created"] == .bool(false))
        #expect(document[1]?["outcome"]?.text == "known" && document[1]?["differs"] == .bool(false))
        #expect(try await hq.sql("SELECT headline FROM articles") == "Ferry stays")
        try await hq.run("article", "restore", id)
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "2")
        try await hq.expectSound()
    }

    @Test(.timeLimit(.minutes(5))) func aCorrectionThatDoesNotSaySoIsTold() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let first = try bureaus.file("first.json", #"{"uri": "u:1", "headline": "Ten boats"}"#)
        let other = try bureaus.file("other.json", #"{"uri": "u:1", "headline": "Nine boats"}"#)
        try await hq.run("article", "import", first)
        let told = try await hq.attempt("article", "import", other)
        #expect(told.status == 0 && told.text.contains("differing from what is held"), "\(told)")
        #expect(try await hq.json("article", "import", other)[0]?["differs"] == .bool(true))
        let same = try await hq.attempt("article", "import", first)
        #expect(same.status == 0 && !same.text.contains("differing"), "\(same)")
        #expect(try await hq.sql("SELECT headline FROM articles") == "Ten boats")
    }

    @Test(.timeLimit(.minutes(5))) func anEmptyFeedIsNoError() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let array = try bureaus.file("feed.json", "[]\n")
        let lines = try bureaus.file("feed.jsonl", "")
        let file = try bureaus.file("story.txt", "")
        for line in [
            "syncnode article import \(array)", "syncnode article import \(lines)",
            "syncnode article import --format jsonl - </dev/null",
            "syncnode article export | syncnode article import -",
        ] {
            let outcome = try await shell(hq, line)
            #expect(outcome.status == 0 && outcome.errors == "", "\(line): \(outcome)")
            #expect(outcome.text.hasPrefix("No article in "), "\(line): \(outcome)")
        }
        #expect(try await hq.json("article", "import", array).elements == [])
        for line in ["syncnode article import \(file)", "syncnode article import - </dev/null"] {
            #expect(try await shell(hq, line).status == 65, "\(line)")
        }
    }

    @Test(.timeLimit(.minutes(5))) func aBodyFromStandardInput() async throws {
        let bureaus = try Bureaus()
        let hq = try await bureaus.found()
        let add = "syncnode article add --headline h --body -"
        #expect(try await shell(hq, "printf '\\xef\\xbb\\xbfFerry sails.\\n' | \(add)").status == 0)
        #expect(try await hq.sql("SELECT hex(substr(body, 1, 5)), length(body) FROM articles") == "4665727279|12")
        for (line, reason) in [("\(add) < /", "Is a directory"), ("\(add) <&-", "Bad file descriptor")] {
            let outcome = try await shell(hq, line)
            #expect(outcome.status == 74, "\(outcome)")
            for words in ["standard input", reason, "--body"] { #expect(outcome.errors.contains(words), "\(outcome)") }
            #expect(!outcome.errors.contains("Error Domain"), "\(outcome)")
        }
        #expect(try await hq.sql("SELECT count(*) FROM articles") == "1")
    }
}
