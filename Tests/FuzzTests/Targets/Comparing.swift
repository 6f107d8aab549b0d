// Comparing by ranges: what a member may ask of a replica, and what it may answer to one that asks.
import Foundation
import ReplicationCore
import ReplicationModel
import ReplicationWire

@testable import ReplicaStore

extension FuzzTarget {
    /// Questions that a frame can carry, to a replica of some rows. Each is refused as one that asks for what is not here, or
    /// answered for just the range that was asked about, in a frame that the asking side accepts.
    static let comparisonQuestions = FuzzTarget(
        "comparison-questions", testRuns: 150, seeds: { [[], Array(0...255), Array((0...255).reversed())] }
    ) { bytes in
        var source = ByteSource(bytes)
        let vector = Compared.vector
        repeat {
            let question = ComparisonQuestion(
                vector: source.byte() > 250 ? Identifier128(high: 1, low: 1) : vector,
                scope: source.byte() > 200 ? Compared.scope(&source) : [], wantsDeclarations: source.flag(),
                ranges: (0...source.below(3)).map { _ in Compared.question(&source) })
            // Beyond a frame's bounds it does not get here.
            guard let frame = try? FrameCodec.decode(FrameCodec.encode(.comparisonQuestion(question))) else { continue }
            try expect(frame == .comparisonQuestion(question), "a question changes on its way")
            try Compared.check(answerTo: question)
        } while !source.isEmpty
    }

    /// Answers that a frame can carry, true ones among them, to a replica that compares itself. It comes to an end, asks for
    /// nothing beyond a frame's bounds, names no more differences than it may, and none where every answer was true.
    static let comparisonAnswers = FuzzTarget(
        "comparison-answers", testRuns: 60,
        seeds: { [[], Array(0...255), Array((0...255).reversed()), [UInt8](repeating: 9, count: 200)] }
    ) { bytes in
        var source = ByteSource(bytes)
        var comparison = RangeComparison(Compared.sections)
        var isHonest = true
        var questions = 0
        while true {
            switch comparison.next() {
            case .done:
                // One list may bring many at once, and each item has a few dozen parts at most.
                let limit =
                    RangeComparison.differenceLimit + FrameLimits.comparisonKeys * FrameLimits.comparisonItemParts
                try expect(comparison.differences.count <= limit, "\(comparison.differences.count) differences")
                try expect(!isHonest || comparison.differences.isEmpty, "a replica differs from itself")
                return
            case .cut(let requests):
                comparison.cut(try Compared.replica.cut(requests.map { ($0.range, $0.parts) }))
            case .ask(let ranges):
                questions += 1
                try expect(questions <= 1000, "it does not end")
                let question = ComparisonQuestion(vector: Compared.vector, ranges: ranges)
                _ = try decoded(FrameCodec.encode(.comparisonQuestion(question)))
                guard case .ranges(let here, _) = try Compared.replica.answer(question) else {
                    throw Finding("a replica at rest moved")
                }
                var there = here
                // Past the input's end the peer is honest.
                if source.flag() { Compared.twist(&there, &source) }
                let frame = FrameCodec.encode(.comparisonAnswer(.ranges(there, declared: [])))
                guard case .comparisonAnswer(.ranges(let told, _))? = try? FrameCodec.decode(frame) else { return }
                isHonest = isHonest && told == here
                do {
                    try comparison.took(here: here, there: told)
                } catch {
                    return try expect(!isHonest, "a true answer is refused: \(error)")
                }
            }
        }
    }
}

/// One replica for all inputs, which only read it: rows of two tables, some deleted, some in conflict.
private enum Compared {
    private static let tables = [
        Table("notes", columns: [Column("title"), Column("body")]),
        Table("links", columns: [Column("target"), Column("amount", "")]),
    ]
    static let sections: [ComparisonSection] = [.table("notes"), .table("links"), .ledger, .origins]
    private static let directory = made { try scratchDirectory() }

    static let replica = made { () throws -> Replica in
        let workspace = Workspace(id: SampleFrames.workspace, name: "fuzz")
        let (ours, theirs) = (SampleKeys.key(5), SampleKeys.key(6))
        atexit { try? FileManager.default.removeItem(atPath: Compared.directory) }
        let clock: @Sendable () -> WallClock = { WallClock(milliseconds: 1_770_000_000_000) }
        let replica = try Replica.create(
            at: directory + "/compared.sqlite", workspace: workspace, key: ours, incarnation: 7, tables: tables,
            clock: clock)
        let other = try Replica.create(
            at: directory + "/other.sqlite", workspace: workspace, key: theirs, incarnation: 7, tables: tables,
            clock: clock)
        for (number, writer) in [replica, other].enumerated() {
            try writer.write { writer in
                for row in 0..<150 {
                    let id = Value(row % 3 == 0 ? "both \(row)" : "row \(number) \(row)")
                    try writer.execute(
                        "INSERT INTO notes(id, title, body) VALUES (?, ?, ?)",
                        [id, Value("title \(number)"), .integer(Int64(row))])
                    if row % 5 == 0 { try writer.execute("DELETE FROM notes WHERE id = ?", [id]) }
                }
                try writer.execute("INSERT INTO links(id, target) VALUES (?, 'x')", [Value("\(number)")])
            }
            try writer.seal()
        }
        let authors = KnownKeys(keys: [ours, theirs])
        let run = try other.outgoing(lackedBy: VersionVector(), maximumBytes: 8 << 20)
        let report = try replica.apply(run.changeSets.map(\.sealed), from: other.node, authors: authors)
        guard report.violation == nil, report.conflicts > 0 else { throw Finding("there is nothing to compare") }
        return replica
    }
    static let vector = made { try replica.comparisonVector().digest }
    private static let fields: [Field] = ["title", "body", "target", "amount"].map { Field(name: $0, columns: [$0]) }

    private static func made<Result>(_ make: () throws -> Result) -> Result {
        do { return try make() } catch { preconditionFailure("cannot make a replica to compare: \(error)") }
    }

    // MARK: Questions

    static func scope(_ source: inout ByteSource) -> [DeclaredTable] {
        (0...source.below(2)).map { _ in
            DeclaredTable(
                name: source.pick(["notes", "links", "nothing", "sync_rows_notes"]),
                fields: (0..<source.below(4)).map { _ in source.pick(fields) })
        }
    }

    private static func key(_ source: inout ByteSource) -> [UInt8] {
        switch source.below(5) {
        case 0: []
        case 1: Array("both \(source.byte())".utf8)
        case 2: Array("row \(source.below(2)) \(source.byte())".utf8)
        case 3: Origin(node: replica.node, incarnation: source.number()).bytes
        default: source.bytes(source.below(40))
        }
    }

    static func question(_ source: inout ByteSource) -> RangeQuestion {
        let section = source.pick(sections + [.table("nothing"), .table("notes\" --")])
        let range = ComparisonRange(section, from: key(&source), to: key(&source))
        switch source.below(3) {
        case 0: return RangeQuestion(range, .items)
        case 1:
            var keys = (0..<source.below(6)).map { _ in key(&source) }
            if source.byte() < 230 { keys.sort { $0.lexicographicallyPrecedes($1) } }
            return RangeQuestion(range, .fingerprints(boundaries: keys))
        // One about no keys is answered like a list of no items.
        default: return RangeQuestion(range, .parts(keys: (0...source.below(5)).map { _ in key(&source) }))
        }
    }

    static func check(answerTo question: ComparisonQuestion) throws {
        let answer: ComparisonAnswer
        do {
            answer = try replica.answer(question)
        } catch let error as ReplicaError where error.code == .input {
            return
        }
        try expect(
            try decoded(FrameCodec.encode(.comparisonAnswer(answer))) == .comparisonAnswer(answer),
            "an answer changes on its way: \(answer)")
        guard case .ranges(let answers, let declared) = answer else {
            return try expect(question.vector != vector, "a replica at rest moved")
        }
        try expect(question.vector == vector, "an answer for another vector")
        try expect(declared.isEmpty != question.wantsDeclarations, "declarations that nobody asked for, or none")
        try expect(answers.count == question.ranges.count, "\(answers.count) answers")
        for (asked, told) in zip(question.ranges, answers) { try check(asked, told) }
    }

    private static func check(_ asked: RangeQuestion, _ told: RangeAnswer) throws {
        switch (asked.detail, told) {
        case (.fingerprints(let boundaries), .fingerprints(let parts)):
            try expect(parts.count == boundaries.count + 1, "\(parts.count) parts of \(boundaries.count) boundaries")
            let whole = ComparisonQuestion(vector: vector, ranges: [RangeQuestion(asked.range, .items)])
            guard case .ranges(let answers, _) = try replica.answer(whole),
                case .items(let items, false)? = answers.first
            else { throw Finding("what was counted is not listed") }
            try expect(parts.reduce(0) { $0 + $1.count } == UInt64(items.count), "parts hold others than the whole")
        case (.items, .items(let items, let more)):
            try expect(!more, "a list of \(items.count) is cut off")
            for (before, after) in zip(items, items.dropFirst()) {
                try expect(before.key.lexicographicallyPrecedes(after.key), "a list in no order")
            }
            for item in items {
                let isWithin =
                    !item.key.lexicographicallyPrecedes(asked.range.from)
                    && (asked.range.to.isEmpty || item.key.lexicographicallyPrecedes(asked.range.to))
                try expect(isWithin, "an item beyond the range")
            }
        case (.parts(let keys), .parts(let parts)):
            try expect(parts.count == keys.count, "\(parts.count) items of \(keys.count) keys")
        default: throw Finding("an answer of another kind than was asked for")
        }
    }

    // MARK: Answers

    /// Says something else, in one place.
    static func twist(_ answers: inout [RangeAnswer], _ source: inout ByteSource) {
        if source.byte() > 250 { answers.removeLast() }
        guard !answers.isEmpty else { return }
        let place = source.below(min(answers.count, 256))
        switch answers[place] {
        case .fingerprints(var parts):
            for _ in 0...source.below(4) where !parts.isEmpty {
                let at = source.below(min(parts.count, 256))
                switch source.below(4) {
                case 0: parts[at].fingerprint = Identifier128(high: source.number(), low: 1)
                case 1: parts[at].count = source.number()
                case 2:
                    parts[at] = RangeFingerprint(count: source.number(), fingerprint: Identifier128(high: 1, low: 1))
                default: if source.byte() > 200 { parts.remove(at: at) }
                }
            }
            answers[place] = .fingerprints(parts)
        case .items(var items, let more):
            for _ in 0...source.below(4) {
                let item = ItemFingerprint(key: key(&source), fingerprint: Identifier128(high: 2, low: source.number()))
                let at = source.below(min(items.count, 255) + 1)
                switch source.below(3) {
                case 0: items.insert(item, at: at)
                case 1 where at < items.count: items.remove(at: at)
                case 2 where at < items.count: items[at].fingerprint = item.fingerprint
                default: items.append(item)
                }
            }
            if source.flag() { items.sort { $0.key.lexicographicallyPrecedes($1.key) } }
            answers[place] = .items(items, more: source.byte() > 200 ? !more : more)
        case .parts(var lists):
            let part = ItemPart(
                name: source.pick(["(row)", "title", "x\u{301}"]), value: Identifier128(high: 3, low: source.number()),
                versions: Identifier128(high: 3, low: source.number()), current: nil)
            for index in lists.indices where source.flag() {
                switch source.below(3) {
                case 0: lists[index].append(part)
                case 1: lists[index].removeAll()
                default: if !lists[index].isEmpty { lists[index][0] = part }
                }
            }
            if source.byte() > 240 { lists.append([part]) }
            answers[place] = .parts(lists)
        }
    }
}
