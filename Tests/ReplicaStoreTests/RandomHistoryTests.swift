// Random histories: programs that write in every way SQL has, replicas that meet in any order and part in the middle.
// Afterwards every replica is what the Oracle says, and equal to every other.
import Chance
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct RandomHistoryTests {
    @Test(arguments: 0..<60) func everyReplicaIsWhatTheOracleSays(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let workspace = try TestWorkspace()
        let replicas = try (0..<Int.random(in: 2...4, using: &random)).map { try workspace.replica("r\($0)") }
        for _ in 0..<Int.random(in: 10...90, using: &random) {
            guard let replica = replicas.randomElement(using: &random) else { continue }
            if Int.random(in: 0..<100, using: &random) < 60 {
                try random.write(to: replica)
                if Int.random(in: 0..<3, using: &random) == 0 { try replica.seal() }
            } else if let other = replicas.filter({ $0 !== replica }).randomElement(using: &random) {
                let limit = Bool.random(using: &random) ? Int.max : Int.random(in: 0...3, using: &random)
                try workspace.pull(other, from: replica, atMost: limit)
            }
        }
        for replica in replicas {
            // In the middle of everything, unsealed edits and awaited values included.
            #expect(try replica.verify(authors: workspace.authors).findings == [], "seed \(seed)")
            try replica.seal()
        }
        for _ in 0...replicas.count {
            for a in replicas {
                for b in replicas where a !== b { try workspace.pull(b, from: a) }
            }
        }
        let oracle = try Oracle(replicas[0])
        for replica in replicas {
            #expect(try replica.vectors().applied == replicas[0].vectors().applied)
            #expect(try replica.vectors().safe == replica.vectors().applied)
            let difference = try Set(replica.ledgerText()).symmetricDifference(replicas[0].ledgerText()).sorted()
            #expect(difference == [], "seed \(seed)")
            #expect(try replica.verify(authors: workspace.authors).findings == [], "seed \(seed)")
            try oracle.check(replica, [TestTables.notes, TestTables.links], "seed \(seed)")
        }
    }
}
