// Short ids: short, and always turned back into their rows.

import NewsStore
import ReplicaStore
import ReplicationModel
import Testing

@Suite struct ShortIDTests {
    private let workspace: NewsWorkspace

    init() throws { workspace = try NewsWorkspace() }

    private func store(_ ids: [String]) throws -> NewsStore {
        let store = try workspace.makeStore()
        try store.replica.write { writer in
            for id in ids { try writer.execute("INSERT INTO articles(id, headline) VALUES(?, 'x')", [Value(id)]) }
        }
        return store
    }

    @Test func anIDIsCutToWhatNoOtherRowBeginsWith() throws {
        let ids = [
            "01a20be9-04a4-776a-ad5f-ead922486a27", "01a20be9-04c5-71c7-906a-70236e85c7a9",
            "cab60f9c-3b17-5859-82e9-f6b9094f9a0a",
        ]
        let store = try store(ids)
        let short = try store.shortIDs(ids.map { RowID($0) }, .article)
        #expect(ids.map { short[RowID($0)] } == ["01a20be9-04a", "01a20be9-04c", "cab60f9c"])
    }

    @Test(arguments: [
        ["a1"], ["a1", "a10", "a100"], ["12345678-a", "12345678-b", "12345678"],
        ["abcdefgé1", "abcdefgé2", "abcdefgè"],
        ["ABCDEFGH1", "abcdefgh1"],
    ])
    func everyShortIDNamesItsRow(ids: [String]) throws {
        let store = try store(ids)
        for (id, short) in try store.shortIDs(ids.map { RowID($0) }, .article) {
            #expect(try store.resolve(short, .article) == id)
        }
    }

    @Test func whatIsNotHereIsCutToo() throws {
        let id = RowID("cab60f9c-3b17-5859-82e9-f6b9094f9a0a")
        #expect(try store([]).shortIDs([id], .commitment) == [id: "cab60f9c"])
    }

    @Test func hundredsOfRowsOfOneMomentAreToldApart() throws {
        let store = try workspace.makeStore()
        let ids = try (0..<300).map { try store.addArticle(headline: "\($0)") }
        let short = try store.shortIDs(ids, .article)
        #expect(Set(short.values).count == ids.count)
        for id in ids { #expect(try store.resolve(short[id] ?? "", .article) == id) }
    }
}
