// What a replica tells of its contents: equal for equal contents however they came about, and different where anything is.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@testable import ReplicaStore

@Suite struct CompareTests {
    /// Two replicas that came to the same by different ways.
    private func equals(_ workspace: TestWorkspace, rows: Int = 0) throws -> (Replica, Replica) {
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        let long = Value(String(repeating: "long ", count: 300))
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('same', 'by a', ?)", [long])
        try b.execute("INSERT INTO notes(id, title, amount) VALUES ('same', 'by b', -0.0)")
        try b.execute("INSERT INTO links(id, target) VALUES ('l1', 'x'), ('l2', 'y')")
        try a.seal()
        try b.seal()
        for replica in [(a, b), (b, a)] { try workspace.pull(replica.0, from: replica.1) }
        try a.execute("UPDATE notes SET due_on = '2026', title = 'again a'")
        try b.execute("UPDATE notes SET title = 'again b'")
        try b.execute("DELETE FROM links WHERE id = 'l1'")
        if rows > 0 {
            try b.execute(
                """
                INSERT INTO notes(id, title, body) WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                SELECT printf('row %06d', i), 'title ' || i, 'body ' || i FROM n
                """, [.integer(Int64(rows))])
        }
        try a.seal()
        for replica in [(b, a), (a, b)] { try workspace.pull(replica.0, from: replica.1) }
        #expect(try a.vectors().applied == b.vectors().applied)
        return (a, b)
    }

    @Test func equalContentsAreEqualHoweverTheyCameAbout() throws {
        let workspace = try TestWorkspace()
        let (a, b) = try equals(workspace)
        #expect(try a.conflictCount() > 0)
        #expect(try differences(a, b) == [])
        #expect(try differences(b, a) == [])
    }

    private func expect(
        _ part: String?, key: String, in section: ComparisonSection, after damage: String,
        location: SourceLocation = #_sourceLocation
    ) throws {
        let workspace = try TestWorkspace()
        let (a, b) = try equals(workspace)
        try b.damage(damage)
        for found in [try differences(a, b), try differences(b, a)] {
            #expect(
                found.contains { $0.section == section && $0.key == Array(key.utf8) && $0.part == part }, "\(found)",
                sourceLocation: location)
            #expect(found.count == 1, "\(found)", sourceLocation: location)
        }
    }

    @Test func eachKindOfDifferenceIsNamed() throws {
        let notes = ComparisonSection.table("notes")
        try expect("title", key: "same", in: notes, after: "UPDATE notes SET title = 'forged'")
        try expect("due", key: "same", in: notes, after: "UPDATE notes SET due_precision = 'day'")
        try expect("amount", key: "same", in: notes, after: "UPDATE notes SET amount = '1'")
        try expect(nil, key: "stray", in: notes, after: "INSERT INTO notes(id) VALUES ('stray')")
        try expect("target", key: "l1", in: .table("links"), after: "UPDATE sync_graveyard_links SET target = 'z'")
        try expect(
            "title", key: "same", in: notes,
            after:
                "DELETE FROM sync_versions_notes WHERE field = (SELECT number FROM sync_fields WHERE name = 'title') AND stamp = (SELECT min(stamp) FROM sync_versions_notes)"
        )
        try expect(
            "(row)", key: "l2", in: .table("links"), after: "UPDATE sync_rows_links SET alive = 3 WHERE id = 'l2'")
    }

    /// A row that is deleted by all that was written, and stands in the table all the same.
    @Test func aDeletedRowThatIsBackInTheTableIsNamed() throws {
        try expect(
            "(row)", key: "l1", in: .table("links"), after: "INSERT INTO links(id, target) VALUES ('l1', 'x')")
    }

    /// What was lost is the same, whether its value came or was superseded on the way.
    @Test func aLostValueThatDidNotArriveIsNoDifference() throws {
        let workspace = try TestWorkspace()
        let (a, c) = (try workspace.replica("a"), try workspace.replica("c"))
        let (with, without) = (try workspace.replica("with"), try workspace.replica("without"))
        func apply(_ changeSet: SealedChangeSet, to replica: Replica) throws {
            #expect(try replica.apply([changeSet], from: nil, authors: workspace.authors).violation == nil)
        }
        func first() throws -> SealedChangeSet {
            try #require(try a.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.first).sealed
        }
        try a.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'of a', ?)", [large("lost")])
        try a.seal()
        try apply(first(), to: with)
        try a.execute("UPDATE notes SET body = 'superseded'")
        try a.seal()
        try apply(first(), to: without)
        #expect(try without.status().awaiting == 1)
        workspace.clock.advance(10_000)
        try c.execute("INSERT INTO notes(id, title, body) VALUES ('n1', 'of c', 'of c')")
        for replica in [with, without] { try workspace.pull(replica, from: c) }
        #expect(try with.vectors().applied == without.vectors().applied)
        #expect(try with.conflictCount() > 0)
        #expect(try with.ledgerText() != without.ledgerText(), "one has the value that was lost")
        #expect(try differences(with, without) == [] && differences(without, with) == [])
        // What is there is compared all the same.
        try with.damage("UPDATE sync_conflict_values SET value = 'forged' WHERE length(value) > 100")
        #expect(try differences(with, without).map(\.part) == ["values"])
    }

    @Test func theLedgerAndTheLogAreCompared() throws {
        let workspace = try TestWorkspace()
        let (a, b) = try equals(workspace)
        let key = try #require(
            try a.read { try $0.query("SELECT key FROM sync_conflicts WHERE shown").first?[0].string })
        try b.damage(
            "UPDATE sync_conflict_values SET value = 'other' WHERE conflict = (SELECT number FROM sync_conflicts WHERE key = ?)",
            [Value(key)])
        let found = try differences(a, b)
        #expect(found.map(\.section) == [.ledger] && found.map(\.key) == [Array(key.utf8)], "\(found)")
        #expect(found.first?.part == "values")
        try b.damage("UPDATE sync_origins SET digest = zeroblob(32) WHERE number = 1")
        #expect(try differences(a, b).contains { $0.section == .origins })
    }

    @Test func oneFieldAmongManyRowsIsFoundInAFewQuestions() throws {
        let workspace = try TestWorkspace()
        let (a, b) = try equals(workspace, rows: 3_000)
        #expect(try differences(a, b) == [])
        try b.damage("UPDATE notes SET body = body || 'x' WHERE id IN ('row 000001', 'row 001717', 'row 003000')")
        let cost = try cost(a, b)
        let keys = cost.differences.map { String(decoding: $0.key, as: UTF8.self) }
        #expect(keys == ["row 000001", "row 001717", "row 003000"])
        #expect(cost.differences.allSatisfy { $0.part == "body" })
        #expect(cost.questions <= rounds(3_000) + 2, "\(cost.questions)")
    }

    // MARK: What it costs

    /// What a comparison found, and what travelled for it.
    private struct Cost {
        var differences: [ContentDifference] = []
        var questions = 0
        /// Of questions and answers as frames.
        var bytes = 0
    }

    /// As `verify PEER` asks, each question and answer encoded.
    private func cost(_ here: Replica, _ there: Replica) throws -> Cost {
        let tables = try here.comparisonDeclarations().map { ComparisonSection.table($0.name) }
        var comparison = RangeComparison(tables + [.ledger, .origins])
        let vector = try here.comparisonVector().digest
        var cost = Cost()
        while true {
            switch comparison.next() {
            case .done:
                cost.differences = comparison.differences
                return cost
            case .cut(let requests): comparison.cut(try here.cut(requests.map { ($0.range, $0.parts) }))
            case .ask(let ranges):
                let question = ComparisonQuestion(vector: vector, ranges: ranges)
                let answer = try there.answer(question)
                guard case .ranges(let ours, _) = try here.answer(question), case .ranges(let theirs, _) = answer else {
                    Issue.record("not at the same vector")
                    return cost
                }
                cost.questions += 1
                cost.bytes += FrameCodec.encode(.comparisonQuestion(question)).count
                cost.bytes += FrameCodec.encode(.comparisonAnswer(answer)).count
                try comparison.took(here: ours, there: theirs)
            }
        }
    }

    /// So often is a range of so many rows cut into sixteen until its parts are small enough to be listed.
    private func rounds(_ rows: Int) -> Int {
        var (rounds, part) = (1, (rows + 15) / 16)
        while part > 32 {
            part = (part + 15) / 16
            rounds += 1
        }
        return rounds
    }

    /// Boundaries and fingerprints of sixteen parts, some 700 bytes; a list of up to 32 rows, some 1,100; a row's fields, some 500.
    private static let bytesOfRound = 1_200
    /// The first question of all: the largest table in sixteen parts, and the small sections.
    private static let bytesOfNothing = 2_000

    /// Sixteen times the rows cost one round more for each difference, and not sixteen times the bytes.
    @Test(.timeLimit(.minutes(10))) func differencesCostTheirNumberTimesTheLogarithmOfTheRows() throws {
        let sizes = [500, 2_000, 8_000]
        let numbers = [1, 4, 16]
        var costs: [Int: [Int: Cost]] = [:]
        for rows in sizes {
            let workspace = try TestWorkspace()
            let (a, b) = try equals(workspace, rows: rows)
            let equal = try cost(a, b)
            #expect(equal.differences == [] && equal.questions == 1, "\(rows) rows: \(equal)")
            #expect(equal.bytes < Self.bytesOfNothing, "\(rows) rows: \(equal.bytes)")
            var changed = 0
            for number in numbers {
                // Those of the number before stand among them; all lie apart from each other.
                for place in changed..<number {
                    try b.damage(
                        "UPDATE notes SET body = body || 'x' WHERE id = printf('row %06d', ?)",
                        [.integer(Int64(1 + place * (rows / 16)))])
                }
                changed = number
                let cost = try cost(a, b)
                #expect(cost.differences.count == number, "\(rows) rows: \(cost.differences)")
                #expect(cost.differences.allSatisfy { $0.section == .table("notes") && $0.part == "body" })
                costs[rows, default: [:]][number] = cost
                // The rounds of cutting, a list, and the fields of what differs.
                #expect(cost.questions <= rounds(rows) + 2, "\(rows) rows, \(number) differ: \(cost.questions)")
                let bound = Self.bytesOfNothing + number * (rounds(rows) + 2) * Self.bytesOfRound
                #expect(cost.bytes <= bound, "\(rows) rows, \(number) differ: \(cost.bytes) bytes, \(bound) allowed")
            }
        }
        for number in numbers {
            let few = try #require(costs[500]?[number])
            for rows in sizes.dropFirst() {
                let many = try #require(costs[rows]?[number])
                let more = rounds(rows) - rounds(500)
                try #require(more == 1, "\(rows) rows are not a round more than 500")
                #expect(many.questions <= few.questions + more, "\(rows) rows, \(number) differ: \(many.questions)")
                #expect(
                    many.bytes <= few.bytes + number * more * Self.bytesOfRound,
                    "\(rows) rows, \(number) differ: \(many.bytes) bytes, of 500 rows \(few.bytes)")
            }
        }
    }

    @Test func anotherVectorIsNotAnswered() throws {
        let workspace = try TestWorkspace()
        let (a, b) = try equals(workspace)
        let question = ComparisonQuestion(
            vector: try a.comparisonVector().digest, ranges: [RangeQuestion(ComparisonRange(.origins), .items)])
        // An edit that nobody sealed yet: it is sealed first, and then the vector is another one.
        try b.execute("UPDATE notes SET title = 'new'")
        let answer = try b.answer(question)
        #expect(answer == .moved(try b.vectors().applied))
        #expect(try b.vectors().applied != a.vectors().applied)
    }

    @Test func whatIsNotDeclaredAlikeIsRefusedAndNoDamage() throws {
        let workspace = try TestWorkspace()
        let (a, _) = try equals(workspace)
        let vector = try a.comparisonVector().digest
        func ask(_ scope: [DeclaredTable], _ table: String) throws -> ComparisonAnswer {
            try a.answer(
                ComparisonQuestion(
                    vector: vector, scope: scope, wantsDeclarations: true,
                    ranges: [RangeQuestion(ComparisonRange(.table(table)), .items)]))
        }
        guard case .ranges(_, let declared) = try ask([], "notes") else {
            Issue.record("no answer")
            return
        }
        #expect(declared == (try a.comparisonDeclarations()) && declared.map(\.name).contains("links"))
        let title = DeclaredTable(name: "notes", fields: [Field(name: "title", columns: ["title"])])
        #expect(try ask([title], "notes") != ask([], "notes"))
        #expect(throws: ReplicaError.self) { try ask([], "nothing") }
        #expect(throws: ReplicaError.self) {
            try ask([DeclaredTable(name: "notes", fields: [Field(name: "title", columns: ["body"])])], "notes")
        }
    }

    @Test func whatIsCancelledEnds() throws {
        let workspace = try TestWorkspace()
        let (a, _) = try equals(workspace, rows: 600)
        let question = ComparisonQuestion(
            vector: try a.comparisonVector().digest,
            ranges: [RangeQuestion(ComparisonRange(.table("notes")), .fingerprints(boundaries: []))])
        #expect(throws: CancellationError.self) { try a.answer(question) { true } }
    }
}
