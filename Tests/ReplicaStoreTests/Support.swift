// Replicas on temporary files for tests, and the exchange between two of them without a network.
import Foundation
import ReplicationCore
import ReplicationModel
import Synchronization
import Testing
import Trust

@testable import ReplicaStore

/// Keys of the test's nodes: whoever is in it may author.
final class TestAuthors: AuthorDirectory {
    private let keys = Mutex<[NodeID: PublicKey]>([:])

    func admit(_ key: SigningKey) {
        keys.withLock { $0[key.publicKey.nodeID] = key.publicKey }
    }

    func key(of dot: Dot) throws -> PublicKey {
        guard let key = keys.withLock({ $0[dot.origin.node] }) else {
            throw ApplyViolation(kind: .author, dot: dot, description: "nobody knows \(dot.origin.node)")
        }
        return key
    }
}

/// A clock that tests set.
final class TestClock: Sendable {
    private let milliseconds: Mutex<Int64>
    init(_ milliseconds: Int64 = Int64(Date().timeIntervalSince1970 * 1000)) { self.milliseconds = Mutex(milliseconds) }
    var now: WallClock {
        get { WallClock(milliseconds: milliseconds.withLock { $0 }) }
        set { milliseconds.withLock { $0 = newValue.milliseconds } }
    }
    func advance(_ by: Int64) { milliseconds.withLock { $0 += by } }
}

/// Replicas of one workspace in a temporary directory, removed when it goes.
final class TestWorkspace {
    let directory: URL
    let authors = TestAuthors()
    let clock = TestClock()
    let workspace = Workspace(id: WorkspaceID(Identifier128(high: 1, low: 2)), name: "test")

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("syncnode-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    func replica(_ name: String, tables: [Table] = [TestTables.notes, TestTables.links]) throws -> Replica {
        let key = SigningKey.generate()
        authors.admit(key)
        let clock = self.clock
        return try Replica.create(
            at: directory.appendingPathComponent("\(name).sqlite").path, workspace: workspace, key: key,
            incarnation: UInt64.random(in: 1...UInt64.max), tables: tables, clock: { clock.now })
    }

    /// Everything that `receiver` lacks of `sender`, in one go; batches of `limit` change sets.
    @discardableResult
    func pull(_ receiver: Replica, from sender: Replica, atMost limit: Int = .max) throws
        -> ReplicaStore.ApplyReport
    {
        try sender.seal()
        var report = ReplicaStore.ApplyReport()
        var left = limit
        while left > 0 {
            let outgoing = try sender.outgoing(lackedBy: receiver.vectors().applied, maximumBytes: 1 << 20)
            let batch = outgoing.changeSets.prefix(left).map(\.sealed)
            guard !batch.isEmpty else { break }
            left -= batch.count
            report = try receiver.apply(Array(batch), from: sender.node, authors: authors)
            if let violation = report.violation { throw violation }
            if !report.held.isEmpty || outgoing.reachedEnd { break }
        }
        return report
    }
}

enum TestTables {
    static let notes = Table(
        "notes",
        columns: [
            Column("title", "TEXT NOT NULL DEFAULT ''"), Column("body"), Column("due_on"), Column("due_precision"),
            Column("amount", ""),
        ], groups: ["due": ["due_on", "due_precision"]])
    static let links = Table("links", columns: [Column("note_id"), Column("target")])
}

extension Replica {
    /// All rows of a table, by id.
    func contents(_ table: String) throws -> [[Value]] {
        try read { try $0.query("SELECT * FROM \"\(table)\" ORDER BY id").map(\.values) }
    }

    func execute(_ sql: String, _ arguments: [Value] = []) throws {
        try write { try $0.execute(sql, arguments) }
    }

    /// The ledger as one comparable text.
    func ledgerText() throws -> [String] {
        try read { reader in
            try reader.query(
                """
                SELECT c.key, c.shown, v.ordinal, v.absent, quote(v.value),
                    (SELECT group_concat(w.stamp || ':' || w.differs) FROM
                        (SELECT w.* FROM sync_conflict_witnesses w JOIN sync_origins o ON o.number = w.origin
                            WHERE w.conflict = c.number ORDER BY w.stamp, o.origin) w)
                FROM sync_conflicts c JOIN sync_conflict_values v ON v.conflict = c.number ORDER BY c.key, v.ordinal
                """
            ).map { "\($0.values)" }
        }
    }
}

/// Compares two replicas as `verify PEER` does, without a network.
func differences(_ here: Replica, _ there: Replica) throws -> [ContentDifference] {
    let sections = try here.comparisonDeclarations().map { ComparisonSection.table($0.name) } + [.ledger, .origins]
    var comparison = RangeComparison(sections)
    let vector = try here.comparisonVector().digest
    while true {
        switch comparison.next() {
        case .done: return comparison.differences
        case .cut(let requests): comparison.cut(try here.cut(requests.map { ($0.range, $0.parts) }))
        case .ask(let ranges):
            let question = ComparisonQuestion(vector: vector, ranges: ranges)
            guard case .ranges(let ours, _) = try here.answer(question),
                case .ranges(let theirs, _) = try there.answer(question)
            else {
                Issue.record("not at the same vector")
                return []
            }
            try comparison.took(here: ours, there: theirs)
        }
    }
}
