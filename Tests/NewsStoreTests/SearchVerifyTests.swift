// Verifying the search index: out of step is found and named, behind is no damage, and made anew it is right.
import NewsStore
import ReplicaStore
import Testing

@Suite struct SearchVerifyTests {
    private let workspace: NewsWorkspace

    init() throws { workspace = try NewsWorkspace() }

    private func findings(_ store: NewsStore) throws -> [VerifyFinding] {
        var report = try store.replica.verify(authors: workspace)
        try NewsStore.verifySearchIndex(of: store.replica, into: &report)
        return report.findings
    }

    private func indexed() throws -> NewsStore {
        let store = try workspace.makeStore()
        for number in 1...40 {
            _ = try store.addArticle(
                headline: "Ferry \(number)", body: "The ferry number \(number) sails at noon.", assignments: [])
        }
        #expect(try store.found("noon").count == 40)
        return store
    }

    @Test func anIndexThatIsRightOrBehindIsNoDamage() throws {
        let fresh = try workspace.makeStore(1)
        #expect(try findings(fresh) == [], "never made")
        let store = try indexed()
        #expect(try findings(store) == [])
        try store.replica.write { writer in
            try writer.execute("UPDATE articles SET body = 'Something else.' WHERE headline = 'Ferry 7'")
            try writer.execute("DELETE FROM articles WHERE headline = 'Ferry 8'")
            try writer.execute("INSERT INTO articles(id, headline) VALUES ('new', 'Ferry 41')")
        }
        #expect(try findings(store) == [], "the next search takes them in")
        #expect(try store.found("noon").count == 38)
        #expect(try findings(store) == [])
    }

    @Test(arguments: [
        "DELETE FROM search_documents WHERE document = 3",
        "UPDATE search_documents SET content = content + 1 WHERE document = 3",
        "UPDATE search_documents SET document = 1000 WHERE document = 3",
        "UPDATE search_documents SET id = 'nobody' WHERE document = 3",
        "INSERT INTO search(rowid, headline, summary, body, credits) VALUES (3, 'extra', '', '', '')",
        "DELETE FROM search_data WHERE id > 10",
    ]) func whatIsOutOfStepIsFoundAndMadeAnew(damage: String) throws {
        let store = try indexed()
        try store.replica.write { try $0.execute(damage) }
        let found = try findings(store)
        #expect(!found.isEmpty && found.allSatisfy { $0.kind == .derived }, "\(found)")
        #expect(found.contains { $0.table == "articles" || $0.table == "search" })
        try store.rebuildSearchIndex()
        #expect(try findings(store) == [])
        #expect(try store.found("noon").count == 40)
    }
}
