// What wires and people send in: stories, news items, lines, mark-up, words to search for.
import Foundation
import ReplicaStore
import ReplicationModel
import Trust

@testable import NewsStore

extension FuzzTarget {
    /// A wire's text, in any encoding; also what its format is guessed to be.
    static let wire = FuzzTarget(
        "wire", testRuns: 600,
        seeds: {
            [
                "date 2026-05-09 (XYZ - ABC) Istanbul, May 9 (ABC) - Two ports agreed to share plans.\n\nMore to come.",
                "LONDON (AP) — Ministers met on Saturday.\r\n\r\nBy A. Writer\r\n\r\nThey agreed.",
                "[Update] New Delhi, 12 April 2026: A story\n| a | b |\n",
            ].map { Array($0.utf8) } + [[0xff, 0xfe, 0x41, 0, 0x0a, 0, 0x3d, 0xd8], [0x93, 0x41, 0x94, 0x0a, 0x42]]
        }
    ) { try read($0, formats: [.wire, nil]) }

    /// An item, or an array of them.
    static let ninjs = FuzzTarget(
        "ninjs", testRuns: 600,
        seeds: {
            [
                #"{"uri":"tag:x,1","version":"2","versioncreated":"2026-05-09T10:00:00+03:00","language":"en","headlines":[{"role":"main","value":"A"}],"bodies":[{"contenttype":"text/html","value":"<p>B &amp; c</p>"}],"subjects":[{"name":"s"}],"infosources":[{"name":"ABC","rel":"distributor"}],"pubstatus":"usable"}"#,
                #"[{"guid":"x","headline":"A","body_text":"B","byline":"C","located":"Izmir"},{"uri":"urn:uuid:018f0000-0000-7000-8000-000000000000","title":"T"}]"#,
            ].map { Array($0.utf8) }
        }
    ) { try read($0, formats: [.ninjs]) }

    /// One object a line.
    static let jsonLines = FuzzTarget(
        "json-lines", testRuns: 600,
        seeds: {
            [
                "{\"id\":\"a\",\"headline\":\"A\",\"published_on\":\"2026-05\",\"subjects\":[\"x\",\"y\"]}\n\n{\"headline\":\"B\",\"body\":\"b\"}\r\n",
                "\u{feff}{\"headline\":\"A\",\"pubstatus\":\"canceled\",\"url\":\"http://x\"}",
            ].map { Array($0.utf8) }
        }
    ) { try read($0, formats: [.jsonl, nil]) }

    private static func read(_ bytes: [UInt8], formats: [ArticleFormat?]) throws {
        for format in formats {
            let whole = outcome(bytes, format, pieceBytes: max(bytes.count, 1))
            try expect(whole == outcome(bytes, format, pieceBytes: 7), "what is read depends on the pieces it came in")
            for draft in whole.drafts {
                try expect((1...RowID.byteCountLimit).contains(draft.id.bytes.count), "an id that no row can have")
                try expect(draft.fields.values.allSatisfy { !$0.isEmpty }, "an empty column")
                for moment in [draft[.versioncreated]].compactMap({ $0 }) {
                    try expect(Moment(moment) != nil, "the time \(moment) cannot be read back")
                }
            }
        }
    }

    private struct Outcome: Equatable {
        var drafts: [ArticleDraft] = []
        var error: NewsError?
    }

    private static func outcome(_ bytes: [UInt8], _ format: ArticleFormat?, pieceBytes: Int) -> Outcome {
        var outcome = Outcome()
        var at = 0
        let input = ArticleInput(name: "in") {
            guard at < bytes.count else { return nil }
            defer { at += pieceBytes }
            return Array(bytes[at..<min(at + pieceBytes, bytes.count)])
        }
        do {
            var reader = try ArticleReader(input, format: format)
            while let draft = try reader.next() { outcome.drafts.append(draft) }
        } catch let error as NewsError {
            outcome.error = error
        } catch {
            preconditionFailure("an importer threw \(error)")
        }
        return outcome
    }

    /// The JSON reader and writer.
    static let json = FuzzTarget(
        "json", testRuns: 3000,
        seeds: {
            [
                #"{"a":[1,-2.5e+3,true,false,null,"\u00e9\ud83d\ude00\n"],"":{"b":[]}}"#,
                String(repeating: "[", count: 128) + String(repeating: "]", count: 128),
            ].map { Array($0.utf8) }
        }
    ) { bytes in
        guard let value = try? JSON(parsing: bytes[...]) else { return }
        var written: [UInt8] = []
        value.write(into: &written)
        guard let again = try? JSON(parsing: written[...]) else { throw Finding("what was written is not JSON") }
        try expect(again == value, "writing and reading changes a value")
    }

    /// Mark-up to text.
    static let html = FuzzTarget(
        "html", maximumBytes: 32 << 10, testRuns: 1500,
        seeds: {
            [
                "<!-- c --><p class=\"a>b\">Tea &amp; &#x41;&eacute;</p><br><script>no</script><ul><li>1<li>2</ul> a < b",
                "<a \">\"<a \">\"<a '>'<style></STYLE>&#1114112; &lt",
            ].map { Array($0.utf8) }
        }
    ) { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        let plain = HTMLText.plain(text)
        try expect(plain.utf8.count <= text.utf8.count * 2 + 2, "text out of nothing")
    }

    /// Words as a person types them, against a real index; and the lines shown around a match.
    static let search = FuzzTarget(
        "search", maximumBytes: 2048, testRuns: 400,
        seeds: {
            [
                "ports", "\"berth plans\" agr", "a AND b OR NOT c NEAR(d, 2)", "col:x *^(\"", "été e\u{301}",
                "x\u{0}y \"", "head{line}+ -'; --",
            ].map { Array($0.utf8) }
        }
    ) { bytes in
        let words = String(decoding: bytes, as: UTF8.self)
        do {
            _ = try Index.store.articles(ArticleQuery(search: words, limit: 3))
        } catch let error as NewsError where error.code == .badArgument {
            return
        } catch {
            throw Finding("a search for words failed with \(error)")
        }
        let terms = try SearchTerms(words)
        if let snippet = terms.snippet(of: words) { try expect(!snippet.pieces.isEmpty, "a snippet of nothing") }
        try expect(
            terms.marked(words).text == TextDecoding.collapsed(words), "marking changes the text")
    }

    private enum Index {
        static let store: NewsStore = {
            do {
                let directory = FileManager.default.temporaryDirectory.path + "/syncnode-fuzz-\(UUID().uuidString)"
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
                let store = try NewsStore(
                    Replica.create(
                        at: directory + "/replica.sqlite",
                        workspace: Workspace(id: SampleFrames.workspace, name: "fuzz"), key: SigningKey.generate(),
                        incarnation: 1, tables: NewsTables.all, clock: { WallClock(milliseconds: 1_770_000_000_000) }))
                let text = "Two ports agree to share berth plans\n\nThe été was long; a, b and c met x y."
                var reader = try ArticleReader(ArticleInput(name: "in", bytes: Array(text.utf8)), format: .wire)
                _ = try store.importArticles(&reader, onArticle: { _ in })
                return store
            } catch {
                preconditionFailure("cannot make an index: \(error)")
            }
        }()
    }
}
