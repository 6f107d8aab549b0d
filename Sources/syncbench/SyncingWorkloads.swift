// What a replica does for its peers: reading the log, proving, applying.

import ReplicaStore
import ReplicationModel
import Trust

/// A sender with all articles in its log, and one receiver a round that takes them in batch by batch.
final class Exchange {
    /// As a session would ask for: one to two change sets of 1 MiB of body with the values beside them.
    static let batchBytes = 8 << 20
    let stage: Stage
    let path: String
    let sender: Replica
    let database: PlainDatabase

    init(_ stage: Stage) throws {
        self.stage = stage
        path = stage.path()
        sender = try stage.replica(path)
        database = try PlainDatabase(path: path)
        _ = try stage.insertAll(into: database)
        try sender.seal()
        try database.checkpoint()
    }

    deinit { stage.remove(path) }

    /// Everything after `vector`, batch by batch.
    func forEachBatch(
        after vector: VersionVector = VersionVector(), _ body: ([OutgoingChangeSet]) throws -> Void
    ) throws {
        var vector = vector
        while true {
            let outgoing = try sender.outgoing(lackedBy: vector, maximumBytes: Self.batchBytes)
            guard let last = outgoing.changeSets.last else { return }
            try body(outgoing.changeSets)
            vector[last.header.origin] = last.header.sequence
        }
    }

    func receiver() throws -> (path: String, replica: Replica) {
        let path = stage.path()
        return (path, try stage.replica(path, key: SigningKey.generate()))
    }

    func apply(_ batch: [OutgoingChangeSet], to receiver: Replica) throws {
        let report = try receiver.apply(batch.map(\.sealed), from: sender.node, authors: stage.author)
        if let violation = report.violation { throw violation }
        guard report.changeSets == batch.count else { throw PlainError(description: "a batch was not applied whole") }
    }
}

/// The baseline inserts the same rows in transactions of the same sizes.
struct ApplyRounds: Rounds {
    private let exchange: Exchange

    init(stage: Stage) throws { exchange = try Exchange(stage) }

    func measure(_ contender: Contender) throws -> Measurement {
        var cost = Cost()
        if contender == .ours {
            let (path, replica) = try exchange.receiver()
            defer { exchange.stage.remove(path) }
            try exchange.forEachBatch { batch in
                try cost.measure { try exchange.apply(batch, to: replica) }
            }
            return Measurement(cost)
        }
        let (path, _, database) = try exchange.stage.database(contender)
        defer { exchange.stage.remove(path) }
        let insertion = try database.prepare(ArticleTable.insertion)
        var number = 0
        try exchange.forEachBatch { batch in
            // An insert of twelve columns counts eleven fields and existence.
            let rows = batch.reduce(0) { $0 + Int($1.header.changes) } / 12
            let articles = (number..<number + rows).map(Article.init(number:))
            number += rows
            try cost.measure {
                try database.transaction { for article in articles { try insertion.insert(article) } }
            }
        }
        guard number == exchange.stage.articles else {
            throw PlainError(description: "the batches miscount their rows")
        }
        return Measurement(cost)
    }
}

/// The baseline updates the same rows in its transactions of 1,000.
final class ApplyUpdatesRounds: Rounds {
    private let stage: Stage
    private let sender: UpdatedStore
    private let receiver: Replica
    private let receiverDatabase: PlainDatabase
    private let plain: [Contender: UpdatedStore]

    init(stage: Stage) throws {
        self.stage = stage
        sender = try UpdatedStore(.ours, stage)
        let path = stage.path()
        receiver = try stage.replica(path, key: SigningKey.generate())
        receiverDatabase = try PlainDatabase(path: path)
        plain = try Dictionary(
            uniqueKeysWithValues: Contender.allCases.filter { $0 != .ours }.map { ($0, try UpdatedStore($0, stage)) })
        _ = try pull()
    }

    private func pull() throws -> Cost {
        guard let replica = sender.replica else { preconditionFailure("the sender is a replica") }
        var cost = Cost()
        while true {
            let lacked = try replica.outgoing(
                lackedBy: receiver.vectors().applied, maximumBytes: Exchange.batchBytes)
            guard !lacked.changeSets.isEmpty else { break }
            let report = try cost.measure {
                try receiver.apply(lacked.changeSets.map(\.sealed), from: replica.node, authors: stage.author)
            }
            if let violation = report.violation { throw violation }
        }
        try receiverDatabase.checkpoint()
        return cost
    }

    func measure(_ contender: Contender) throws -> Measurement {
        if let plain = plain[contender] {
            let cost = try plain.updateAll()
            try plain.checkpoint()
            return Measurement(cost)
        }
        _ = try sender.updateAll()
        try sender.replica?.seal()
        return Measurement(try pull())
    }
}

struct OutgoingRounds: Rounds {
    private let exchange: Exchange
    private let plain: [Contender: PlainDatabase]

    init(stage: Stage) throws {
        exchange = try Exchange(stage)
        plain = try Dictionary(
            uniqueKeysWithValues: Contender.allCases.filter { $0 != .ours }.map { contender in
                let database = try stage.database(contender).database
                _ = try stage.insertAll(into: database)
                try database.checkpoint()
                return (contender, database)
            })
    }

    func measure(_ contender: Contender) throws -> Measurement {
        var cost = Cost()
        try cost.measure {
            if let database = plain[contender] {
                _ = try database.prepare(ArticleTable.selection).readAll()
            } else {
                try exchange.forEachBatch { _ in }
            }
        }
        return Measurement(cost)
    }
}

struct ProveRounds: Rounds {
    private let exchange: Exchange

    init(stage: Stage) throws { exchange = try Exchange(stage) }

    func measure(_ contender: Contender) throws -> Measurement {
        var cost = Cost()
        try exchange.forEachBatch { batch in
            for changeSet in batch {
                try cost.measure {
                    if contender == .ours {
                        _ = try exchange.sender.prove(changeSet.sealed, authors: exchange.stage.author)
                    } else {
                        _ = SHA256.digest(changeSet.sealed.body)
                        for value in changeSet.sealed.values { _ = SHA256.digest(value ?? []) }
                    }
                }
            }
        }
        return Measurement(cost)
    }
}

struct AppliedFileSizeRounds: Rounds {
    private let stage: Stage
    private let exchange: Exchange

    init(stage: Stage) throws {
        self.stage = stage
        exchange = try Exchange(stage)
    }

    func measure(_ contender: Contender) throws -> Measurement {
        guard contender == .ours else { return try FileSizeRounds(stage: stage).measure(contender) }
        let (path, replica) = try exchange.receiver()
        defer { stage.remove(path) }
        try exchange.forEachBatch { try exchange.apply($0, to: replica) }
        try PlainDatabase(path: path).checkpoint()
        return Measurement(bytes: try stage.size(path))
    }
}
