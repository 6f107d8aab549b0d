// Where a workload is measured: scratch files, keys, and a clock that is only on while it should be.

import Foundation
import ReplicaStore
import ReplicationModel
import Trust

/// Who is measured. The two plain ones are the baselines.
enum Contender: String, CaseIterable {
    /// A replica.
    case ours
    /// SQLite with a replica's page size.
    case plain
    /// SQLite as it comes: pages of 4 KiB.
    case plainAsItComes = "plain_as_it_comes"

    /// A replica's is 8 KiB; ReplicaStore says why.
    var pageBytes: Int? { self == .plain ? 8192 : nil }
}

/// What one round cost.
struct Cost {
    var seconds = 0.0
    /// Of the processor, in all threads.
    var processorSeconds = 0.0

    mutating func measure<T>(_ body: () throws -> T) rethrows -> T {
        let (start, processorStart) = (ContinuousClock.now, Self.processorTime())
        defer {
            let elapsed = start.duration(to: .now).components
            seconds += Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
            processorSeconds += Self.processorTime() - processorStart
        }
        return try body()
    }

    private static func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}

/// The one node that writes may author.
struct SoleAuthor: AuthorDirectory {
    let publicKey: PublicKey
    func key(of dot: Dot) throws -> PublicKey { publicKey }
}

/// Scratch space and sizes of one run.
final class Stage {
    let articles: Int
    let perTransaction = 1000
    let key: SigningKey
    private let directory: URL
    private var files = 0

    init(articles: Int, under parent: String?) throws {
        self.articles = articles
        key = SigningKey.generate()
        let parent = parent.map { URL(fileURLWithPath: $0) } ?? FileManager.default.temporaryDirectory
        directory = parent.appendingPathComponent("syncbench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    // What stays lies under the directory for temporary files.
    deinit { try? FileManager.default.removeItem(at: directory) }

    var author: SoleAuthor { SoleAuthor(publicKey: key.publicKey) }

    /// A fresh path; the file goes with the stage, or with `remove`.
    func path() -> String {
        files += 1
        return directory.appendingPathComponent("\(files).sqlite").path
    }

    /// A fresh directory, which goes with the stage.
    func folder() throws -> String {
        files += 1
        let folder = directory.appendingPathComponent("\(files)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder.path
    }

    /// Makes room; there may be no log beside the file.
    func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
    }

    /// Bytes of a database; after a checkpoint nothing of it is elsewhere.
    func size(_ path: String) throws -> Double {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.size] as? NSNumber)?.doubleValue ?? 0
    }

    /// An empty replica. Its connections stay open while a program writes to the file beside them.
    func replica(_ path: String, key: SigningKey? = nil) throws -> Replica {
        try Replica.create(
            at: path, workspace: Workspace(id: WorkspaceID(Identifier128(high: 1, low: 2)), name: "bench"),
            key: key ?? self.key, incarnation: 1, tables: [ArticleTable.declaration],
            clock: { WallClock(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) })
    }

    /// A fresh database of a contender, with an empty `articles`.
    func database(_ contender: Contender) throws -> (path: String, replica: Replica?, database: PlainDatabase) {
        let path = path()
        let replica = contender == .ours ? try replica(path) : nil
        let database = try PlainDatabase(path: path, pageBytes: contender.pageBytes)
        if replica == nil { try database.run(ArticleTable.creation) }
        return (path, replica, database)
    }

    /// Calls `body` for each transaction's worth of articles, made off the clock.
    func forEachTransaction(_ body: ([Article]) throws -> Void) rethrows {
        for start in stride(from: 0, to: articles, by: perTransaction) {
            try body((start..<min(start + perTransaction, articles)).map(Article.init(number:)))
        }
    }

    /// A program that writes all articles; returns what that cost.
    func insertAll(into database: PlainDatabase) throws -> Cost {
        var cost = Cost()
        let insertion = try database.prepare(ArticleTable.insertion)
        try forEachTransaction { articles in
            try cost.measure {
                try database.transaction { for article in articles { try insertion.insert(article) } }
            }
        }
        return cost
    }
}
