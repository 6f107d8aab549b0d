// Programs that write in every way SQL has, at random.
import Chance
import ReplicationModel

@testable import ReplicaStore

extension SeededRandom {
    /// True once in so many times.
    mutating func oneIn(_ times: Int) -> Bool { Int.random(in: 0..<times, using: &self) == 0 }

    /// One transaction of one to three statements, sometimes rolled back.
    mutating func write(to replica: Replica) throws {
        struct RolledBack: Error {}
        let rollsBack = Int.random(in: 0..<8, using: &self) == 0
        do {
            try replica.write { writer in
                for _ in 0..<Int.random(in: 1...3, using: &self) {
                    try statement(writer)
                }
                if rollsBack { throw RolledBack() }
            }
        } catch is RolledBack {}
    }

    fileprivate mutating func statement(_ writer: Writer) throws {
        let id = Value("n\(Int.random(in: 0..<4, using: &self))")
        let small = Value("v\(Int.random(in: 0..<1_000_000, using: &self))")
        let large = Value(String(repeating: "x", count: 300) + "\(Int.random(in: 0..<1_000_000, using: &self))")
        let text = Bool.random(using: &self) ? small : large
        switch Int.random(in: 0..<12, using: &self) {
        case 0, 1:
            try writer.execute("INSERT OR IGNORE INTO notes(id, title, body) VALUES (?, ?, ?)", [id, small, text])
        case 2: try writer.execute("INSERT OR REPLACE INTO notes(id, title, body) VALUES (?, ?, ?)", [id, small, text])
        case 3:
            try writer.execute("PRAGMA recursive_triggers = \(Bool.random(using: &self) ? "ON" : "OFF")")
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
            let other = Value("n\(Int.random(in: 0..<4, using: &self))")
            try writer.execute("UPDATE OR REPLACE notes SET id = ? WHERE id = ?", [other, id])
        default: try writer.execute("INSERT OR REPLACE INTO links(id, note_id) VALUES (?, ?)", [id, small])
        }
    }
}
