// Comparing by ranges: exactly the differences, for little, and no peer keeps it going.
import Chance
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

/// A store of one section: keys with a value each, in order.
private struct SortedItems {
    private(set) var keys: [[UInt8]]
    var values: [[UInt8]: UInt64]

    init(count: Int) {
        keys = (0..<count).map { number in Array("row \(String(10_000_000 + number * 7))".utf8) }
        values = Dictionary(uniqueKeysWithValues: keys.map { ($0, 1) })
    }

    mutating func remove(_ key: [UInt8]) {
        values[key] = nil
        keys.removeAll { $0 == key }
    }

    private func slice(_ range: ComparisonRange) -> ArraySlice<[UInt8]> {
        let start = keys.partitioningIndex { !$0.lexicographicallyPrecedes(range.from) }
        let end = range.to.isEmpty ? keys.count : keys.partitioningIndex { !$0.lexicographicallyPrecedes(range.to) }
        return keys[start..<max(start, end)]
    }

    func cut(_ request: RangeComparison.CutRequest) -> [[UInt8]] {
        let slice = slice(request.range)
        let parts = min(request.parts, slice.count)
        guard parts > 1 else { return [] }
        return (1..<parts).map { slice[slice.startIndex + $0 * slice.count / parts] }
    }

    func answer(_ question: RangeQuestion) -> RangeAnswer {
        switch question.detail {
        case .fingerprints(let boundaries):
            let edges = [question.range.from] + boundaries + [question.range.to]
            return .fingerprints(
                (0..<edges.count - 1).map { index in
                    let items = slice(ComparisonRange(question.range.section, from: edges[index], to: edges[index + 1]))
                    let bytes = items.flatMap { $0 + withUnsafeBytes(of: values[$0]) { Array($0) } }
                    return RangeFingerprint(count: UInt64(items.count), fingerprint: fakeDigest(bytes))
                })
        case .items:
            return .items(
                slice(question.range).map {
                    ItemFingerprint(key: $0, fingerprint: Identifier128(high: 0, low: values[$0] ?? 0))
                }, more: false)
        case .parts(let keys):
            return .parts(
                keys.map { key in
                    values[key].map { value in
                        [
                            ItemPart(
                                name: "same", value: Identifier128(high: 0, low: 0),
                                versions: Identifier128(high: 0, low: 0), current: nil),
                            ItemPart(
                                name: "value", value: Identifier128(high: 0, low: value),
                                versions: Identifier128(high: 0, low: 0), current: nil),
                        ]
                    } ?? []
                })
        }
    }
}

extension Array {
    fileprivate func partitioningIndex(_ belongs: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

@Suite struct RangeComparisonTests {
    private let section = ComparisonSection.table("t")

    /// Runs to the end; every question and answer goes through its bytes.
    private func run(
        _ here: SortedItems, _ there: SortedItems, lie: (RangeAnswer) -> RangeAnswer = { $0 }
    ) throws -> (comparison: RangeComparison, questions: Int, bytes: Int) {
        var comparison = RangeComparison([section])
        var (questions, bytes) = (0, 0)
        while true {
            switch comparison.next() {
            case .done: return (comparison, questions, bytes)
            case .cut(let requests): comparison.cut(requests.map(here.cut))
            case .ask(let ranges):
                questions += 1
                guard questions < 1_000 else {
                    Issue.record("it does not end")
                    return (comparison, questions, bytes)
                }
                let question = ExchangeFrame.comparisonQuestion(
                    ComparisonQuestion(vector: Identifier128(high: 1, low: 1), ranges: ranges))
                let answer = ExchangeFrame.comparisonAnswer(.ranges(ranges.map { lie(there.answer($0)) }, declared: []))
                let sent = FrameCodec.encode(question)
                let received = FrameCodec.encode(answer)
                bytes += sent.count + received.count
                #expect(try FrameCodec.decode(sent) == question)
                guard case .comparisonAnswer(.ranges(let answers, _)) = try FrameCodec.decode(received) else {
                    continue
                }
                try comparison.took(here: ranges.map(here.answer), there: answers)
            }
        }
    }

    @Test func equalSidesCostOneQuestion() throws {
        let items = SortedItems(count: 100_000)
        let (comparison, questions, bytes) = try run(items, items)
        #expect(comparison.differences.isEmpty && !comparison.isCutShort)
        #expect(comparison.itemCounts == [section: 100_000])
        #expect(questions == 1)
        #expect(bytes < 1_000)
    }

    @Test(arguments: [1, 2, 10, 90]) func differencesAreFoundForTheirNumberTimesTheLogarithm(count: Int) throws {
        var random = SeededRandom(seed: UInt64(count))
        let here = SortedItems(count: 100_000)
        var there = here
        let changed = Array(here.keys.shuffled(using: &random).prefix(count))
        for key in changed { there.values[key] = 2 }
        let (comparison, questions, bytes) = try run(here, there)
        #expect(Set(comparison.differences.map(\.key)) == Set(changed))
        #expect(comparison.differences.allSatisfy { $0.part == "value" && $0.kind == .value(here: nil, there: nil) })
        #expect(!comparison.isCutShort)
        // Four rounds of sixteen parts and one list of up to 32 items, at some 40 bytes each.
        #expect(bytes < 1_000 + count * 5_000, "\(bytes)")
        #expect(questions <= 6 + count / 4)
    }

    @Test func itemsOfOneSideAloneAreNamed() throws {
        let here = SortedItems(count: 5_000)
        var there = here
        let (first, last) = (here.keys[0], here.keys[4_999])
        there.remove(first)
        var mine = here
        mine.remove(last)
        let differences = try run(mine, there).comparison.differences
        #expect(differences.map(\.key) == [first, last])
        #expect(differences.map(\.kind) == [.onlyHere, .onlyThere])
    }

    @Test func oneSideMayHoldNothing() throws {
        let (full, empty) = (SortedItems(count: 40), SortedItems(count: 0))
        let there = try run(empty, full).comparison
        #expect(there.differences.count == 40 && there.differences.allSatisfy { $0.kind == .onlyThere })
        let here = try run(full, empty).comparison
        #expect(here.differences.count == 40 && here.differences.allSatisfy { $0.kind == .onlyHere })
        #expect(try run(empty, empty).comparison.differences.isEmpty)
    }

    /// A side whose list was cut off says nothing of what comes after its end, and all of what comes before.
    @Test func aListThatWasCutOffSaysNothingOfWhatFollows() throws {
        func item(_ key: String) -> ItemFingerprint {
            ItemFingerprint(key: Array(key.utf8), fingerprint: Identifier128(high: 0, low: 1))
        }
        func differences(_ ours: [String], _ theirs: [String], more: Bool, moreThere: Bool) throws -> [String] {
            var comparison = RangeComparison([.ledger])
            guard case .cut(let requests) = comparison.next() else { return ["no cut"] }
            comparison.cut(requests.map { _ in [] })
            guard case .ask(let ranges) = comparison.next() else { return ["no question"] }
            func counted(_ count: UInt64) -> [RangeAnswer] {
                ranges.map { _ in
                    .fingerprints([
                        RangeFingerprint(count: count, fingerprint: Identifier128(high: 0, low: count))
                    ])
                }
            }
            try comparison.took(here: counted(3), there: counted(5))
            guard case .ask(let lists) = comparison.next(), lists.map(\.detail) == [.items] else { return ["no list"] }
            try comparison.took(
                here: [.items(ours.map(item), more: more)], there: [.items(theirs.map(item), more: moreThere)])
            #expect(comparison.isCutShort == (more || moreThere))
            return comparison.differences.map { "\(String(decoding: $0.key, as: UTF8.self)) \($0.kind)" }
        }
        #expect(try differences(["a", "z"], [], more: false, moreThere: true) == [])
        #expect(try differences([], ["a"], more: true, moreThere: false) == [])
        // This side's list is whole: what the other lists after its end is at the other alone.
        #expect(
            try differences(["a"], ["b", "c"], more: false, moreThere: true) == [
                "a onlyHere", "b onlyThere", "c onlyThere",
            ])
        #expect(try differences(["b", "z"], ["a", "b"], more: false, moreThere: true) == ["a onlyThere"])
        #expect(
            try differences(["b", "z"], ["a", "b"], more: false, moreThere: false) == ["a onlyThere", "z onlyHere"])
    }

    @Test func whereEverythingDiffersAHundredAreNamed() throws {
        let here = SortedItems(count: 20_000)
        var there = here
        for key in here.keys { there.values[key] = 3 }
        let (comparison, questions, _) = try run(here, there)
        #expect(comparison.differences.count == RangeComparison.differenceLimit && comparison.isCutShort)
        // The first ones, as rounds go on from the beginning.
        #expect(comparison.differences.map(\.key) == Array(here.keys.prefix(RangeComparison.differenceLimit)))
        #expect(questions < 20)
    }

    @Test func aPeerThatLiesEndsItOrIsToldOff() throws {
        var random = SeededRandom(seed: 5)
        let items = SortedItems(count: 3_000)
        func number() -> UInt64 { UInt64.random(in: 0...1 << 53, using: &random) }
        // Counts and fingerprints made up: it ends all the same.
        _ = try run(items, items) { answer in
            guard case .fingerprints(let all) = answer else { return answer }
            return .fingerprints(
                all.map { _ in RangeFingerprint(count: number(), fingerprint: Identifier128(high: number(), low: 0)) })
        }
        // Another kind, or another number, than was asked for.
        #expect(throws: Violation.self) { _ = try run(items, items) { _ in .items([], more: true) } }
        #expect(throws: Violation.self) {
            _ = try run(items, items) { answer in
                guard case .fingerprints(let all) = answer else { return answer }
                return .fingerprints(all + all)
            }
        }
        var there = items
        there.values[items.keys[7]] = 2
        #expect(throws: Violation.self) {
            _ = try run(items, there) { answer in
                guard case .parts = answer else { return answer }
                return .parts([[], []])
            }
        }
    }
}

@Suite struct QuestionTests {
    private let question = ComparisonQuestion(
        vector: Identifier128(high: 1, low: 2),
        ranges: [RangeQuestion(ComparisonRange(.ledger), .fingerprints(boundaries: []))])

    private func connected(_ network: Network) -> (dialler: Endpoint, answerer: Endpoint) {
        let (a, b) = (FakeReplica(node(1)), FakeReplica(node(2)))
        b.write(as: origin(2))
        let pair = network.connect(a, b, SyncMode(receive: false, send: false)) { left, _ in left.staysToAsk = true }
        network.world.run(milliseconds: 1_000)
        return pair
    }

    @Test func aSessionThatStaysToAskSettlesAndIsAnswered() throws {
        let network = Network()
        let (dialler, answerer) = connected(network)
        #expect(dialler.events.contains(.settled))
        #expect(dialler.ending == nil && answerer.ending == nil)
        #expect(dialler.replica.applied.isEmpty, "nothing was asked for")
        dialler.give(.ask(question))
        network.world.run(milliseconds: 1_000)
        #expect(answerer.outputs.contains(.compare(question)))
        answerer.give(.compared(.catchingUp))
        network.world.run(milliseconds: 1_000)
        #expect(dialler.events.contains(.answered(.catchingUp)))
        // It lives on its pings, and ends when it is stopped.
        network.world.run(milliseconds: 100_000)
        #expect(dialler.ending == nil)
        dialler.give(.stop)
        network.world.run(milliseconds: 1_000)
        #expect(dialler.ending == .stopped && answerer.ending == .completed)
        #expect(network.allComplaints == [])
    }

    @Test func aSecondQuestionBeforeTheAnswerIsAViolation() {
        let network = Network()
        let (dialler, answerer) = connected(network)
        dialler.tamper = { frame in
            if case .comparisonQuestion = frame { [frame, frame] } else { [frame] }
        }
        dialler.give(.ask(question))
        network.world.run(milliseconds: 1_000)
        guard case .violated(let violation) = answerer.ending else {
            Issue.record("\(String(describing: answerer.ending))")
            return
        }
        #expect(violation.rule == .unexpectedFrame)
    }

    @Test func anAnswerThatNobodyAskedForIsAViolation() {
        let network = Network()
        let (dialler, answerer) = connected(network)
        answerer.tamper = { frame in
            if case .comparisonAnswer = frame { [frame, frame] } else { [frame] }
        }
        dialler.give(.ask(question))
        network.world.run(milliseconds: 1_000)
        answerer.give(.compared(.catchingUp))
        network.world.run(milliseconds: 1_000)
        guard case .violated = dialler.ending else {
            Issue.record("\(String(describing: dialler.ending))")
            return
        }
    }

    @Test func rangesThatOverlapAreRefusedBeforeAnythingIsRead() {
        func decodes(_ ranges: [ComparisonRange]) -> Bool {
            let asked = ComparisonQuestion(
                vector: Identifier128(high: 1, low: 1), ranges: ranges.map { RangeQuestion($0, .items) })
            do {
                _ = try FrameCodec.decode(FrameCodec.encode(.comparisonQuestion(asked)))
                return true
            } catch {
                return false
            }
        }
        let (a, b, c) = ([UInt8]("a".utf8), [UInt8]("b".utf8), [UInt8]("c".utf8))
        #expect(decodes([ComparisonRange(.ledger, from: b, to: c), ComparisonRange(.ledger, from: a, to: b)]))
        #expect(decodes([ComparisonRange(.ledger), ComparisonRange(.origins)]))
        #expect(!decodes([ComparisonRange(.ledger), ComparisonRange(.ledger)]))
        #expect(!decodes([ComparisonRange(.ledger, from: a, to: c), ComparisonRange(.ledger, from: b)]))
        let many = (0..<FrameLimits.comparisonRanges + 1).map { ComparisonRange(.table("t\($0)")) }
        #expect(!decodes(many))
        #expect(decodes(Array(many.dropLast())))
    }
}
