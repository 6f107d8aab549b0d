// A transaction that fails in the middle leaves nothing behind, and the next attempt works.
import ReplicationModel
import Testing

@testable import ReplicaStore

@Suite struct AtomicityTests {
    private func fill(_ replica: Replica) throws {
        for index in 0..<30 {
            try replica.execute(
                "INSERT INTO notes(id, title, body) VALUES (?, 'x', ?)",
                [Value("n\(index)"), Value(String(repeating: "\(index) ", count: 2_000))])
            if index.isMultiple(of: 3) { try replica.execute("UPDATE notes SET title = 'again ' || id") }
            if index.isMultiple(of: 5) { try replica.execute("DELETE FROM notes WHERE id = ?", [Value("n\(index)")]) }
            try replica.seal()
        }
    }

    /// Bounds the file to so many pages more than it has; nil lifts the bound.
    private func bound(_ replica: Replica, pages: Int64?) throws {
        let count = try replica.read { try $0.integer("PRAGMA page_count") } ?? 0
        try replica.damage("PRAGMA max_page_count = \(pages.map { count + $0 } ?? 1 << 30)")
    }

    @Test func aDiskThatFillsWhileApplyingLeavesNothingHalfDone() throws {
        let workspace = try TestWorkspace()
        let (a, b, whole) = (try workspace.replica("a"), try workspace.replica("b"), try workspace.replica("whole"))
        try fill(a)
        try whole.execute("INSERT INTO notes(id, title) VALUES ('n3', 'concurrent')")
        try whole.seal()
        try workspace.pull(b, from: whole)
        let batch = try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map(\.sealed)
        let before = try b.dump()
        var failures = 0
        for pages in stride(from: Int64(0), through: 400, by: 4) {
            try bound(b, pages: pages)
            do {
                _ = try b.apply(batch, from: a.node, authors: workspace.authors)
                break
            } catch let error as SQLError where error.isFull {
                failures += 1
                #expect(try b.dump() == before, "\(pages) pages")
            }
        }
        #expect(failures > 5)
        try bound(b, pages: nil)
        _ = try b.apply(batch, from: a.node, authors: workspace.authors)
        try workspace.pull(whole, from: a)
        #expect(try b.contents("notes") == whole.contents("notes"))
        #expect(try b.ledgerText() == whole.ledgerText())
        try b.expectSound(workspace.authors)
    }

    @Test func aDiskThatFillsWhileSealingLosesNoEdit() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.write { writer in
            for index in 0..<500 {
                try writer.execute(
                    "INSERT INTO notes(id, body) VALUES (?, ?)",
                    [Value("n\(index)"), Value(String(repeating: "x", count: 200))])
            }
        }
        let before = try a.dump()
        var failures = 0
        for pages in stride(from: Int64(0), through: 100, by: 2) {
            try bound(a, pages: pages)
            do {
                try a.seal()
                break
            } catch let error as SQLError where error.isFull {
                failures += 1
                #expect(try a.dump() == before, "\(pages) pages")
            }
        }
        #expect(failures > 3)
        try bound(a, pages: nil)
        try workspace.pull(b, from: a)
        #expect(try b.contents("notes") == a.contents("notes"))
        #expect(try b.contents("notes").count == 500)
        try a.expectSound(workspace.authors)
    }

    @Test func aReplayedLogGivesTheSameTables() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try fill(a)
        // One change set a transaction, as after a crash between any two.
        while try !workspace.pull(b, from: a, atMost: 1).applied.covers(a.vectors().applied) {}
        #expect(try b.contents("notes") == a.contents("notes"))
        #expect(try b.contents("sync_graveyard_notes") == a.contents("sync_graveyard_notes"))
        try b.expectSound(workspace.authors)
    }
}
