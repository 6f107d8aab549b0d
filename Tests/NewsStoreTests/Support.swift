// Replicas with the news tables, on temporary files.

import Foundation
import NewsStore
import ReplicaStore
import ReplicationModel
import Trust

/// Replicas of one workspace in a temporary directory, which goes with it.
final class NewsWorkspace: AuthorDirectory {
    private let directory: URL
    private let workspace = Workspace(id: WorkspaceID(Identifier128(high: 7, low: 7)), name: "desk")
    private let keys: [PublicKey]
    private let signingKeys: [SigningKey]

    init(nodes: Int = 2) throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("news-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        signingKeys = (0..<nodes).map { _ in SigningKey.generate() }
        keys = signingKeys.map(\.publicKey)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    func key(of dot: Dot) throws -> PublicKey {
        guard let key = keys.first(where: { NodeID(publicKey: $0) == dot.origin.node }) else {
            throw NewsError(.notFound, operation: "find", object: "author", cause: "nobody knows it", nextStep: "")
        }
        return key
    }

    func makeReplica(_ node: Int = 0) throws -> Replica {
        try Replica.create(
            at: directory.appendingPathComponent("\(node).sqlite").path, workspace: workspace, key: signingKeys[node],
            incarnation: UInt64(node) + 1, tables: NewsTables.all,
            clock: { WallClock(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) })
    }

    func makeStore(_ node: Int = 0) throws -> NewsStore { try NewsStore(makeReplica(node)) }

    /// Everything that `receiver` lacks of `sender`.
    func pull(_ receiver: NewsStore, from sender: NewsStore) throws {
        try sender.replica.seal()
        while true {
            let outgoing = try sender.replica.outgoing(
                lackedBy: receiver.replica.vectors().applied, maximumBytes: 1 << 20)
            if outgoing.changeSets.isEmpty { return }
            let report = try receiver.replica.apply(
                outgoing.changeSets.map(\.sealed), from: sender.replica.node, authors: self)
            if let violation = report.violation { throw violation }
        }
    }
}

extension NewsStore {
    @discardableResult
    func take(_ text: String, _ format: ArticleFormat? = nil) throws -> [ImportedArticle] {
        var reader = try ArticleReader(ArticleInput(name: "in", bytes: Array(text.utf8)), format: format)
        var articles: [ImportedArticle] = []
        try importArticles(&reader, onArticle: { articles.append($0) })
        return articles
    }

    /// Every row of a table as text, for comparing two replicas.
    func contents(_ table: String) throws -> [[Value]] {
        try replica.read { try $0.query("SELECT * FROM \(table) ORDER BY id").map(\.values) }
    }

    func found(_ words: String) throws -> [String] {
        try articles(ArticleQuery(search: words)).compactMap { $0[.headline] }
    }
}
