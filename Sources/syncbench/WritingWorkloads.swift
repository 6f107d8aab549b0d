// Programs that write to a replica, and sealing what they wrote.

import ReplicaStore

struct InsertRounds: Rounds {
    let stage: Stage

    func measure(_ contender: Contender) throws -> Measurement {
        let (path, replica, database) = try stage.database(contender)
        defer { stage.remove(path) }
        return try withExtendedLifetime(replica) { Measurement(try stage.insertAll(into: database)) }
    }
}

struct InsertSealRounds: Rounds {
    let stage: Stage

    func measure(_ contender: Contender) throws -> Measurement {
        let (path, replica, database) = try stage.database(contender)
        defer { stage.remove(path) }
        var cost = try stage.insertAll(into: database)
        if let replica { _ = try cost.measure { try replica.seal() } }
        return Measurement(cost)
    }
}

struct OneRowRounds: Rounds {
    let stage: Stage

    func measure(_ contender: Contender) throws -> Measurement {
        let (path, replica, database) = try stage.database(contender)
        defer { stage.remove(path) }
        let articles = (0..<stage.articles / 50).map(Article.init(number:))
        let insertion = try database.prepare(ArticleTable.insertion)
        var cost = Cost()
        try cost.measure {
            for article in articles { try database.transaction { try insertion.insert(article) } }
        }
        return withExtendedLifetime(replica) { Measurement(cost) }
    }
}

/// A store that holds all articles, sealed where it is a replica, and updates every one of them each round.
final class UpdatedStore {
    let replica: Replica?
    private let database: PlainDatabase
    private let stage: Stage
    private var round = 0

    init(_ contender: Contender, _ stage: Stage) throws {
        self.stage = stage
        (_, replica, database) = try stage.database(contender)
        _ = try stage.insertAll(into: database)
        try replica?.seal()
        try database.checkpoint()
    }

    func updateAll() throws -> Cost {
        round += 1
        let update = try database.prepare(ArticleTable.update)
        var cost = Cost()
        try stage.forEachTransaction { articles in
            let headlines = articles.indices.map { Array("Headline \($0), corrected for the \(round)th time".utf8) }
            try cost.measure {
                try database.transaction {
                    for (article, headline) in zip(articles, headlines) {
                        try update.update(article, headline: headline)
                    }
                }
            }
        }
        return cost
    }

    func checkpoint() throws { try database.checkpoint() }
}

struct UpdateRounds: Rounds {
    private let stores: [Contender: UpdatedStore]

    init(stage: Stage) throws {
        stores = try Dictionary(uniqueKeysWithValues: Contender.allCases.map { ($0, try UpdatedStore($0, stage)) })
    }

    func measure(_ contender: Contender) throws -> Measurement {
        guard let store = stores[contender] else { preconditionFailure("every contender has a store") }
        let cost = try store.updateAll()
        try store.replica?.seal()
        try store.checkpoint()
        return Measurement(cost)
    }
}

struct UpdateSealRounds: Rounds {
    private let stores: [Contender: UpdatedStore]

    init(stage: Stage) throws {
        stores = try Dictionary(uniqueKeysWithValues: Contender.allCases.map { ($0, try UpdatedStore($0, stage)) })
    }

    func measure(_ contender: Contender) throws -> Measurement {
        guard let store = stores[contender] else { preconditionFailure("every contender has a store") }
        var cost = try store.updateAll()
        if let replica = store.replica { _ = try cost.measure { try replica.seal() } }
        try store.checkpoint()
        return Measurement(cost)
    }
}

struct FileSizeRounds: Rounds {
    let stage: Stage

    func measure(_ contender: Contender) throws -> Measurement {
        let (path, replica, database) = try stage.database(contender)
        defer { stage.remove(path) }
        _ = try stage.insertAll(into: database)
        try replica?.seal()
        try database.checkpoint()
        return Measurement(bytes: try stage.size(path))
    }
}
