// Two real processes and TLS between them: the first sync of a new node, and how soon a live peer sees a commit.

import Foundation

/// The receiver's `pull` from the start of its process to its end; the baseline inserts the same rows.
final class FirstSyncRounds: Rounds {
    private let stage: Stage
    private let workspace: BenchWorkspace
    private let server: BenchServer

    init(stage: Stage) throws {
        self.stage = stage
        workspace = try BenchWorkspace(stage)
        let database = try PlainDatabase(path: workspace.first.replica)
        _ = try stage.insertAll(into: database)
        // Sealed by the first command that opens a session; here, off the clock, by the server as it starts.
        server = try BenchServer(workspace.first)
        let witness = try workspace.admit()
        try witness.run("pull", server.address)
        workspace.remove(witness)
        try database.checkpoint()
    }

    func measure(_ contender: Contender) throws -> Measurement {
        if contender != .ours { return try InsertRounds(stage: stage).measure(contender) }
        let receiver = try workspace.admit()
        defer { workspace.remove(receiver) }
        var cost = Cost()
        try cost.measure { try receiver.run("pull", server.address) }
        let database = try PlainDatabase(path: receiver.replica)
        guard try database.integer("SELECT count(*) FROM articles") == stage.articles else {
            throw PlainError(description: "the first sync did not bring every article")
        }
        return Measurement(seconds: cost.seconds)
    }
}

/// From a program's commit at one node until a program sees the row at another, while both serve.
enum LiveLatency {
    private static let longestSeconds = 60.0

    /// Milliseconds, one a commit, in order.
    static func measure(_ stage: Stage, samples: Int) throws -> [Double] {
        let workspace = try BenchWorkspace(stage)
        let peer = try workspace.admit()
        let server = try BenchServer(workspace.first)
        try peer.run("peer", "add", server.address)
        let other = try BenchServer(peer)
        return try withExtendedLifetime((server, other)) {
            let writing = try PlainDatabase(path: workspace.first.replica)
            let reading = try PlainDatabase(path: peer.replica)
            let insertion = try writing.prepare(ArticleTable.insertion)
            let look = try reading.prepare("SELECT 1 FROM articles WHERE id = ?")
            // The first is there once the two have found each other; it does not count.
            return try (0...samples).map { number in
                let article = Article(number: number)
                try writing.transaction { try insertion.insert(article) }
                let committed = ContinuousClock.now
                while try !look.finds(article) {
                    guard committed.duration(to: .now) < .seconds(longestSeconds) else {
                        throw PlainError(description: "a commit was not visible within \(longestSeconds) s")
                    }
                    usleep(50)
                }
                let elapsed = committed.duration(to: .now).components
                // Nobody commits in step with the other side's last look.
                usleep(UInt32.random(in: 2_000...6_000))
                return Double(elapsed.seconds) * 1e3 + Double(elapsed.attoseconds) * 1e-15
            }.dropFirst().map { $0 }
        }
    }
}
