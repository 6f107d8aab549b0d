// Finding where two replicas differ, by ranges: a machine that asks both stores the same and goes on where they differ.
//
// Invariant: only ranges whose answers differ are asked about again, each cut into sixteen, so what is asked follows the
// differences and the logarithm of what is there; and it ends, as every range becomes smaller or is listed.
public import ReplicationModel
internal import ReplicationWire

/// Something that one side has otherwise than the other.
public struct ContentDifference: Hashable, Sendable {
    /// What of it.
    public enum Kind: Hashable, Sendable {
        /// The item is at the peer alone, or here alone.
        case onlyThere, onlyHere
        /// The values differ.
        case value(here: Version?, there: Version?)
        /// The values are equal, and the writes known are not.
        case versions(here: Version?, there: Version?)
    }
    public let section: ComparisonSection
    /// The row's id, or the item's key.
    public let key: [UInt8]
    /// A field, `(row)` for existence; nil where the item is on one side alone.
    public let part: String?
    public let kind: Kind
}

/// One comparison, at one vector.
public struct RangeComparison: Sendable {
    /// What is to be done next.
    public enum Step: Hashable, Sendable {
        /// Cut ranges of this replica; answer with `cut`.
        case cut([CutRequest])
        /// Ask both sides; answer with `took`.
        case ask([RangeQuestion])
        case done
    }

    /// Cut a range into parts with equally many items.
    public struct CutRequest: Hashable, Sendable {
        public let range: ComparisonRange
        public let parts: Int
    }

    /// Parts that a range which differs is cut into: four rounds for a hundred thousand rows.
    static let fanOut = 16
    /// A range of so many items is listed instead: cheaper than another round.
    static let listedItems: UInt64 = 32
    /// Ranges that are gone on with at once, the first ones first.
    static let rangesInRound = 32
    /// More differences are only said to be there.
    public static let differenceLimit = 100

    private struct Pending: Sendable {
        let range: ComparisonRange
        /// Items on the larger side; nil: not known.
        let count: UInt64?
    }

    private enum Asked: Sendable {
        case nothing
        case cut([Pending])
        case ranges([RangeQuestion])
    }

    private var pending: [Pending]
    /// Items that differ, still to be taken apart.
    private var differing: [(section: ComparisonSection, key: [UInt8])] = []
    private var asked = Asked.nothing
    /// In the order of sections and keys within a round.
    public private(set) var differences: [ContentDifference] = []
    /// There are more than these.
    public private(set) var isCutShort = false
    /// Items on this side that were compared.
    public private(set) var itemCounts: [ComparisonSection: UInt64] = [:]

    /// - Parameter sections: those that both sides have.
    public init(_ sections: [ComparisonSection]) {
        pending = sections.map { Pending(range: ComparisonRange($0), count: nil) }
    }

    /// The next step; the same until it is answered.
    public mutating func next() -> Step {
        if case .ranges(let questions) = asked { return .ask(questions) }
        if case .cut(let ranges) = asked { return .cut(ranges.map(Self.request)) }
        if differences.count >= Self.differenceLimit {
            isCutShort = isCutShort || !pending.isEmpty || !differing.isEmpty
            return .done
        }
        if !differing.isEmpty {
            let section = differing[0].section
            let keys = differing.prefix { $0.section == section }.prefix(FrameLimits.comparisonKeys).map(\.key)
            asked = .ranges([RangeQuestion(ComparisonRange(section), .parts(keys: keys))])
            return next()
        }
        guard !pending.isEmpty else { return .done }
        let round = Array(pending.prefix(Self.rangesInRound))
        let large = round.filter { $0.count ?? .max > Self.listedItems }
        guard large.isEmpty else {
            asked = .cut(large)
            return .cut(large.map(Self.request))
        }
        asked = .ranges(round.map { RangeQuestion($0.range, .items) })
        return next()
    }

    private static func request(_ pending: Pending) -> CutRequest {
        CutRequest(range: pending.range, parts: fanOut)
    }

    /// - Parameter boundaries: for each range, the first keys of all its parts but the first.
    public mutating func cut(_ boundaries: [[[UInt8]]]) {
        guard case .cut(let ranges) = asked, ranges.count == boundaries.count else { return }
        var questions = zip(ranges, boundaries).map { RangeQuestion($0.range, .fingerprints(boundaries: $1)) }
        // What is small enough is listed in the same round.
        questions += pending.prefix(Self.rangesInRound).filter { $0.count ?? .max <= Self.listedItems }
            .map { RangeQuestion($0.range, .items) }
        asked = .ranges(questions)
    }

    /// - Parameters:
    ///   - here: this store's answer to each range.
    ///   - there: the peer's.
    public mutating func took(here: [RangeAnswer], there: [RangeAnswer]) throws(Violation) {
        guard case .ranges(let questions) = asked else { return }
        asked = .nothing
        guard there.count == questions.count, here.count == questions.count else {
            throw Violation(.malformed, "\(there.count) answers to \(questions.count) ranges")
        }
        var next: [Pending] = []
        for (index, question) in questions.enumerated() {
            switch (question.detail, here[index], there[index]) {
            case (.fingerprints(let boundaries), .fingerprints(let ours), .fingerprints(let theirs)):
                guard theirs.count == boundaries.count + 1, ours.count == theirs.count else {
                    throw Violation(.malformed, "fingerprints that were not asked for")
                }
                next += compare(question.range, boundaries, ours, theirs)
            case (.items, .items(let ours, let more), .items(let theirs, let moreThere)):
                compare(question.range, ours, theirs, more: more, moreThere: moreThere)
            case (.parts(let keys), .parts(let ours), .parts(let theirs)):
                guard theirs.count == keys.count, ours.count == keys.count else {
                    throw Violation(.malformed, "parts that were not asked for")
                }
                for (index, key) in keys.enumerated() {
                    compare(question.range.section, key, ours[index], theirs[index])
                }
                differing.removeFirst(keys.count)
            default: throw Violation(.malformed, "an answer of another kind than was asked for")
            }
        }
        let isParts = questions.contains { if case .parts = $0.detail { true } else { false } }
        if !isParts { pending = next + pending.dropFirst(min(Self.rangesInRound, pending.count)) }
    }

    private mutating func compare(
        _ range: ComparisonRange, _ boundaries: [[UInt8]], _ ours: [RangeFingerprint], _ theirs: [RangeFingerprint]
    ) -> [Pending] {
        if range.from.isEmpty, range.to.isEmpty {
            itemCounts[range.section] = ours.reduce(0) { $0 + $1.count }
        }
        let edges = [range.from] + boundaries + [range.to]
        return ours.indices.compactMap { index in
            guard ours[index] != theirs[index] else { return nil }
            // What this side cannot cut any further is listed, whatever the peer says that it has there.
            let count = boundaries.isEmpty ? 0 : max(ours[index].count, min(theirs[index].count, ours[index].count * 2))
            return Pending(
                range: ComparisonRange(range.section, from: edges[index], to: edges[index + 1]), count: count)
        }
    }

    private mutating func compare(
        _ range: ComparisonRange, _ ours: [ItemFingerprint], _ theirs: [ItemFingerprint], more: Bool, moreThere: Bool
    ) {
        isCutShort = isCutShort || more || moreThere
        let here = Dictionary(ours.map { ($0.key, $0.fingerprint) }) { first, _ in first }
        let there = Dictionary(theirs.map { ($0.key, $0.fingerprint) }) { first, _ in first }
        let keys = Set(here.keys).union(there.keys).sorted { $0.lexicographicallyPrecedes($1) }
        // What stands after the end of a list that was cut off is not known of that side.
        let ends = [(ours, more), (theirs, moreThere)].filter(\.1).map { $0.0.last?.key }
        guard !ends.contains(nil) else { return }
        let end = ends.compactMap { $0 }.min { $0.lexicographicallyPrecedes($1) }
        for key in keys where here[key] != there[key] {
            if let end, end.lexicographicallyPrecedes(key) { break }
            guard differences.count + differing.count < Self.differenceLimit else {
                isCutShort = true
                return
            }
            if here[key] != nil, there[key] != nil {
                differing.append((range.section, key))
            } else {
                differences.append(
                    ContentDifference(
                        section: range.section, key: key, part: nil, kind: here[key] == nil ? .onlyThere : .onlyHere))
            }
        }
    }

    private mutating func compare(
        _ section: ComparisonSection, _ key: [UInt8], _ ours: [ItemPart], _ theirs: [ItemPart]
    ) {
        func add(_ part: String?, _ kind: ContentDifference.Kind) {
            differences.append(ContentDifference(section: section, key: key, part: part, kind: kind))
        }
        guard !ours.isEmpty, !theirs.isEmpty else {
            return add(nil, ours.isEmpty ? .onlyThere : .onlyHere)
        }
        let there = Dictionary(theirs.map { ($0.name, $0) }) { first, _ in first }
        for part in ours {
            guard let other = there[part.name] else {
                add(part.name, .value(here: part.current, there: nil))
                continue
            }
            if part.value != other.value {
                add(part.name, .value(here: part.current, there: other.current))
            } else if part.versions != other.versions {
                add(part.name, .versions(here: part.current, there: other.current))
            }
        }
        for part in theirs where !ours.contains(where: { $0.name == part.name }) {
            add(part.name, .value(here: nil, there: part.current))
        }
    }
}
