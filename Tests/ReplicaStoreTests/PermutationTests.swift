// Concurrent writes, delivered in every order that respects causality and with duplicates: one result, one ledger.
import Foundation
import ReplicationModel
import ReplicationWire
import Testing

@testable import ReplicaStore

/// What three nodes do without knowing of each other, after they all have the base.
struct ConcurrentScript: Sendable, CustomTestStringConvertible {
    let name: String
    var base: [String] = [
        "INSERT INTO notes(id, title, body, due_on, due_precision) VALUES ('n1', 'one', 'b1', '2026', 'year')"
    ]
    /// For each node, what it seals, one change set after another; a number n: first takes in all of node n.
    let nodes: [[Step]]
    /// Conflicts that are shown at the end.
    let shown: Int

    enum Step: Sendable, ExpressibleByStringLiteral {
        case seal(String)
        case pull(Int)
        init(stringLiteral value: String) { self = .seal(value) }
    }

    var testDescription: String { name }

    static let all: [ConcurrentScript] = [
        .init(
            name: "different fields",
            nodes: [
                ["UPDATE notes SET title = 'a'"], ["UPDATE notes SET body = 'b'"], ["UPDATE notes SET due_on = 'c'"],
            ],
            shown: 0),
        .init(
            name: "the same field",
            nodes: [
                ["UPDATE notes SET title = 'a'"], ["UPDATE notes SET title = 'b'"], ["UPDATE notes SET title = 'c'"],
            ],
            shown: 2),
        .init(
            name: "the same field, large values",
            nodes: [
                ["UPDATE notes SET body = 'a' || hex(zeroblob(300))"],
                ["UPDATE notes SET body = 'b' || hex(zeroblob(300))"],
                ["UPDATE notes SET body = 'c' || hex(zeroblob(300))"],
            ], shown: 2),
        .init(
            name: "the same field, equal values",
            nodes: [
                ["UPDATE notes SET title = 'x'"], ["UPDATE notes SET title = 'x'"], ["UPDATE notes SET title = 'x'"],
            ],
            shown: 0),
        .init(
            name: "the same field, twice each",
            nodes: [
                ["UPDATE notes SET title = 'a1'", "UPDATE notes SET title = 'a2'"],
                ["UPDATE notes SET title = 'b1'", "UPDATE notes SET title = 'b2'"], [],
            ], shown: 1),
        .init(
            name: "one that had seen another",
            nodes: [
                ["UPDATE notes SET title = 'a'"], [.pull(0), "UPDATE notes SET title = 'b'"],
                ["UPDATE notes SET title = 'c'"],
            ],
            shown: 1),
        .init(
            name: "an edit after the meeting heals a conflict that it saw",
            nodes: [
                ["UPDATE notes SET title = 'a'"], ["UPDATE notes SET title = 'b'"],
                [.pull(0), .pull(1), "UPDATE notes SET title = 'c'"],
            ], shown: 1),
        .init(
            name: "a field group",
            nodes: [
                ["UPDATE notes SET due_on = '2027-01'"], ["UPDATE notes SET due_precision = 'day'"],
                ["UPDATE notes SET due_on = '2028', due_precision = 'month'"],
            ], shown: 2),
        .init(
            name: "delete and edit",
            nodes: [
                ["DELETE FROM notes"], ["UPDATE notes SET title = 'b'"], ["UPDATE notes SET title = 'c', body = 'c'"],
            ],
            shown: 1),
        .init(
            name: "delete and delete", nodes: [["DELETE FROM notes"], ["DELETE FROM notes"], ["DELETE FROM notes"]],
            shown: 0),
        .init(
            name: "delete and insert again",
            nodes: [
                ["DELETE FROM notes", "INSERT INTO notes(id, title) VALUES ('n1', 'again')"], ["DELETE FROM notes"],
                ["UPDATE notes SET title = 'c'"],
            ], shown: 2),
        .init(
            name: "insert again while others delete and edit",
            base: [
                "INSERT INTO notes(id, title) VALUES ('n1', 'one')", "DELETE FROM notes",
            ],
            nodes: [
                ["INSERT INTO notes(id, title) VALUES ('n1', 'a')"],
                ["INSERT INTO notes(id, title) VALUES ('n1', 'b')", "DELETE FROM notes"],
                [],
            ], shown: 2),
        .init(
            name: "inserts of one id, equal values", base: [],
            nodes: [
                ["INSERT INTO notes(id, title, body) VALUES ('n1', 't', 'b')"],
                ["INSERT INTO notes(id, title, body) VALUES ('n1', 't', 'b')"],
                ["INSERT INTO notes(id, title, body) VALUES ('n1', 't', 'b')"],
            ], shown: 0),
        .init(
            name: "inserts of one id, different values", base: [],
            nodes: [
                ["INSERT INTO notes(id, title, body) VALUES ('n1', 'a', 'b')"],
                ["INSERT INTO notes(id, title, body) VALUES ('n1', 'b', 'b')"],
                ["INSERT INTO notes(id, title, amount) VALUES ('n1', 'a', 3)"],
                // The amounts that two of them left out are no loss.
            ], shown: 4),
        .init(
            name: "undelete, delete, edit",
            base: [
                "INSERT INTO notes(id, title) VALUES ('n1', 'one')", "DELETE FROM notes",
            ],
            nodes: [
                ["undelete"], ["undelete", "DELETE FROM notes"], ["INSERT INTO notes(id, title) VALUES ('n1', 'c')"],
            ],
            shown: 2),
        .init(
            name: "replace and rename onto each other",
            nodes: [
                ["UPDATE notes SET id = 'n2'"], ["REPLACE INTO notes(id, title) VALUES ('n2', 'b')"],
                ["UPDATE notes SET body = 'c'"],
            ], shown: 3),
    ]
}

@Suite struct PermutationTests {
    @Test(arguments: ConcurrentScript.all) func everyOrderOfDeliveryEndsAlike(script: ConcurrentScript) throws {
        let workspace = try TestWorkspace()
        let nodes = try ["a", "b", "c"].map { try workspace.replica($0) }
        for statement in script.base {
            try nodes[0].execute(statement)
            try nodes[0].seal()
        }
        for node in nodes.dropFirst() { try workspace.pull(node, from: nodes[0]) }
        let receiver = try workspace.replica("receiver")
        try workspace.pull(receiver, from: nodes[0])
        let base = try receiver.vectors().applied

        for (node, steps) in zip(nodes, script.nodes) {
            for step in steps {
                // Who wins must not hang on how fast this machine is.
                workspace.clock.advance(1_000)
                switch step {
                case .pull(let other): try workspace.pull(node, from: nodes[other])
                case .seal("undelete"): #expect(try node.undelete(table: "notes", id: RowID("n1")))
                case .seal(let statement):
                    try node.execute(statement)
                    try node.setJournalTime(workspace.clock.now.milliseconds)
                    try node.seal()
                }
            }
        }
        var concurrent: [Dot: SealedChangeSet] = [:]
        for node in nodes {
            for changeSet in try node.outgoing(lackedBy: base, maximumBytes: .max).changeSets {
                // The author's own copy has its values.
                if concurrent[changeSet.header.dot] == nil || changeSet.header.origin.node == node.node {
                    concurrent[changeSet.header.dot] = changeSet.sealed
                }
            }
        }
        let orders = try Self.orders(of: concurrent, after: base)
        #expect(!orders.isEmpty)
        let copy = workspace.directory.appendingPathComponent("base.sqlite").path
        try receiver.backup(to: copy)

        var ends: Set<[String]> = []
        for (index, order) in orders.enumerated() {
            let path = workspace.directory.appendingPathComponent("order-\(index).sqlite").path
            try FileManager.default.copyItem(atPath: copy, toPath: path)
            let replica = try Replica.open(
                at: path, key: receiver.key, tables: [TestTables.notes, TestTables.links], clock: receiver.clock)
            for (place, changeSet) in order.enumerated() {
                try expectApplied([changeSet], by: replica, workspace)
                // Once more, alone and with all that came before.
                try expectApplied([changeSet], by: replica, workspace)
                try expectApplied(Array(order[...place]), by: replica, workspace)
            }
            ends.insert(try end(of: replica))
            let oracle = try Oracle(replica)
            try oracle.check(replica, [TestTables.notes, TestTables.links], "\(script.name), order \(index)")
            #expect(oracle.lost().values.filter { $0 }.count == script.shown, "\(script.name), order \(index)")
            #expect(try replica.conflictCount() == script.shown)
            try replica.expectSound(workspace.authors)
            try FileManager.default.removeItem(atPath: path)
        }
        #expect(ends.count == 1)

        // And the authors themselves, who met their own writes first.
        for node in nodes {
            for other in nodes where other !== node { try workspace.pull(node, from: other) }
        }
        for node in nodes { #expect(try ends == [end(of: node)]) }
    }

    private func expectApplied(_ batch: [SealedChangeSet], by replica: Replica, _ workspace: TestWorkspace) throws {
        let report = try replica.apply(batch, from: nil, authors: workspace.authors)
        #expect(report.violation == nil)
        #expect(report.held.isEmpty)
    }

    /// Contents, graveyard and ledger.
    private func end(of replica: Replica) throws -> [String] {
        try ["notes", "sync_graveyard_notes"].flatMap { table in try replica.contents(table).map { "\(table) \($0)" } }
            + replica.ledgerText()
    }

    /// Every order in which each change set comes after all that its author had seen.
    private static func orders(
        of changeSets: [Dot: SealedChangeSet], after base: VersionVector
    ) throws -> [[SealedChangeSet]] {
        var seen: [Dot: VersionVector] = [:]
        for (dot, sealed) in changeSets {
            var context = try ChangeSetCodec.decodeHeader(sealed.body).contextChanges
            context[dot.origin] = dot.sequence.previous
            seen[dot] = context
        }
        func extend(_ vector: VersionVector, _ left: Set<Dot>) -> [[Dot]] {
            guard !left.isEmpty else { return [[]] }
            return left.filter { vector.covers(seen[$0] ?? VersionVector()) }.flatMap { dot in
                var vector = vector
                vector[dot.origin] = dot.sequence
                return extend(vector, left.subtracting([dot])).map { [dot] + $0 }
            }
        }
        return extend(base, Set(changeSets.keys)).map { $0.compactMap { changeSets[$0] } }
    }

    // MARK: Who wins

    /// - Returns: the title everywhere, and the titles that lost.
    private func meet(_ timeOfA: Int64, _ timeOfB: Int64) throws -> (title: Value, lost: [Value?], greater: Value) {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id) VALUES ('n1')")
        try a.setJournalTime(1_000)
        try workspace.pull(b, from: a)
        for (replica, name, time) in [(a, "a", timeOfA), (b, "b", timeOfB)] {
            try replica.execute("UPDATE notes SET title = ?", [Value(name)])
            try replica.setJournalTime(time)
            try replica.seal()
        }
        try workspace.pull(a, from: b)
        try workspace.pull(b, from: a)
        #expect(try a.contents("notes") == b.contents("notes"))
        #expect(try a.ledgerText() == b.ledgerText())
        return (
            try a.contents("notes")[0][1], try b.conflicts().flatMap(\.lostValues),
            try a.origin < b.origin ? Value("b") : Value("a")
        )
    }

    @Test func theLaterWriteWinsWhoeverMadeIt() throws {
        let later = try meet(3_000, 2_000)
        #expect(later.title == Value("a") && later.lost == [Value("b")])
        let earlier = try meet(2_000, 3_000)
        #expect(earlier.title == Value("b") && earlier.lost == [Value("a")])
    }

    @Test func atTheSameStampTheGreaterOriginWins() throws {
        for _ in 0..<4 {
            let end = try meet(2_000, 2_000)
            #expect(end.title == end.greater)
            #expect(end.lost != [end.greater] && end.lost.count == 1)
        }
    }

    @Test func aSlowClockDoesNotLoseWhatSawTheOther() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try a.execute("INSERT INTO notes(id, title) VALUES ('n1', 'a')")
        try a.setJournalTime(9_000)
        try workspace.pull(b, from: a)
        try b.execute("UPDATE notes SET title = 'b'")
        try b.setJournalTime(1_000)
        try workspace.pull(a, from: b)
        #expect(try a.contents("notes")[0][1] == Value("b"))
        #expect(try a.ledgerText().isEmpty)
    }
}
