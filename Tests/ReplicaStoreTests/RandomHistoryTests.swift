// Random histories: programs that write in every way SQL has, replicas that meet in any order and part in the middle.
// Afterwards every replica is what the Oracle says, and equal to every other.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct RandomHistoryTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    @Test(arguments: 0..<60) func everyReplicaIsWhatTheOracleSays(seed: Int) throws {
        var random = Generator(state: UInt64(seed))
        let workspace = try TestWorkspace()
        let replicas = try (0..<Int.random(in: 2...4, using: &random)).map { try workspace.replica("r\($0)") }
        for _ in 0..<Int.random(in: 10...90, using: &random) {
            guard let replica = replicas.randomElement(using: &random) else { continue }
            if Int.random(in: 0..<100, using: &random) < 60 {
                try write(replica, &random)
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

    /// One transaction of one to three statements, sometimes rolled back.
    private func write(_ replica: Replica, _ random: inout Generator) throws {
        struct RolledBack: Error {}
        let rollsBack = Int.random(in: 0..<8, using: &random) == 0
        do {
            try replica.write { writer in
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    try statement(writer, &random)
                }
                if rollsBack { throw RolledBack() }
            }
        } catch is RolledBack {}
    }

    private func statement(_ writer: Writer, _ random: inout Generator) throws {
        let id = Value("n\(Int.random(in: 0..<4, using: &random))")
        let small = Value("v\(Int.random(in: 0..<1_000_000, using: &random))")
        let large = Value(String(repeating: "x", count: 300) + "\(Int.random(in: 0..<1_000_000, using: &random))")
        let text = Bool.random(using: &random) ? small : large
        switch Int.random(in: 0..<12, using: &random) {
        case 0, 1:
            try writer.execute("INSERT OR IGNORE INTO notes(id, title, body) VALUES (?, ?, ?)", [id, small, text])
        case 2: try writer.execute("INSERT OR REPLACE INTO notes(id, title, body) VALUES (?, ?, ?)", [id, small, text])
        case 3:
            try writer.execute("PRAGMA recursive_triggers = \(Bool.random(using: &random) ? "ON" : "OFF")")
            try writer.execute("REPLACE INTO notes(id, body) VALUES (?, ?)", [id, text])
        case 4:
            try writer.execute(
                "INSERT INTO notes(id, body) VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET body = excluded.body",
                [id, text])
        case 5, 6: try writer.execute("UPDATE notes SET title = ? WHERE id = ?", [small, id])
        case 7: try writer.execute("UPDATE notes SET body = ? WHERE id >= ?", [text, id])
        case 8:
            try writer.execute(
                "UPDATE notes SET due_on = ?, due_precision = ? WHERE id = ?", [small, .null, id])
        case 9: try writer.execute("DELETE FROM notes WHERE id = ?", [id])
        case 10:
            let other = Value("n\(Int.random(in: 0..<4, using: &random))")
            try writer.execute("UPDATE OR REPLACE notes SET id = ? WHERE id = ?", [other, id])
        default: try writer.execute("INSERT OR REPLACE INTO links(id, note_id) VALUES (?, ?)", [id, small])
        }
    }
}
