// Random histories with revocations and raised cuts, or with forks, learnt in every order: afterwards every replica is what the
// Oracle says of what is left of the log, and equal to every other.
import Chance
import Foundation
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct CutHistoryTests {
    @Test(arguments: 0..<40) func whateverIsLearntWhenEndsAlike(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let scene = try CutScene()
        var replicas = try (0..<3).map { try scene.replica("r\($0)") }
        let revoked = try scene.replica("revoked")
        var copies: [Replica] = []
        let former = try revoked.origin
        for step in 0..<Int.random(in: 20...60, using: &random) {
            let all = replicas + copies + [revoked]
            guard let one = all.randomElement(using: &random), let other = all.randomElement(using: &random) else {
                continue
            }
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<9: try write(one, scene, &random, allowsLarge: one !== revoked)
            case 9..<15: if one !== other { try scene.pull(one, from: other) }
            case 15..<17: if one !== other, one !== revoked { try scene.tell(one, by: other) }
            case 17 where seed % 2 == 1:
                let last = try revoked.vectors().applied[former].rawValue
                let record = try scene.revocation(
                    revoked, accepting: UInt64.random(in: 0...last, using: &random), origin: former)
                try replicas.randomElement(using: &random)?.addRosterRecords([record])
            default:
                if seed % 2 == 0, copies.isEmpty, step > 8 {
                    try replicas[0].seal()
                    copies.append(try scene.copy(replicas[0], "copy"))
                }
            }
        }
        for replica in replicas + copies {
            #expect(try replica.verify(authors: scene.workspace.authors).findings == [], "seed \(seed), before")
        }
        replicas += copies
        for _ in 0..<3 { try scene.meet(replicas) }
        try scene.expectAgreement(replicas, "seed \(seed)")
        for replica in replicas {
            #expect(try replica.vectors().safe == replica.vectors().applied, "seed \(seed)")
        }
    }

    /// - Parameter allowsLarge: a large value that a node superseded before anyone pulled it is known to nobody else; where that
    ///   node is then revoked in between, nobody who is left can give it.
    private func write(
        _ replica: Replica, _ scene: CutScene, _ random: inout SeededRandom, allowsLarge: Bool = true
    ) throws {
        let id = Value("n\(Int.random(in: 0..<4, using: &random))")
        let small = Value("v\(Int.random(in: 0..<1_000_000, using: &random))")
        let large = Value(
            String(repeating: "x", count: allowsLarge ? 300 : 3) + "\(Int.random(in: 0..<1_000_000, using: &random))")
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1:
            try scene.write(
                replica, "INSERT OR IGNORE INTO notes(id, title, body) VALUES (?, ?, ?)", [id, small, large])
        case 2: try scene.write(replica, "REPLACE INTO notes(id, body) VALUES (?, ?)", [id, large])
        case 3: try scene.write(replica, "UPDATE notes SET title = ? WHERE id = ?", [small, id])
        case 4, 5: try scene.write(replica, "UPDATE notes SET body = ? WHERE id >= ?", [large, id])
        case 6:
            try scene.write(replica, "UPDATE notes SET due_on = ?, due_precision = 'day' WHERE id = ?", [small, id])
        default: try scene.write(replica, "DELETE FROM notes WHERE id = ?", [id])
        }
    }
}
