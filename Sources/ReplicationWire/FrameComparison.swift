// Questions and answers of a comparison, as frames carry them.
//
// Invariant: as everywhere in frames, what is encoded within the limits is decoded to the same; nothing beyond them is.
internal import FoundationEssentials
internal import ReplicationModel
internal import SwiftProtobuf

// MARK: - To the wire

extension FrameCodec {
    static func wireQuestion(_ question: ComparisonQuestion) -> WireComparisonQuestion {
        .with {
            $0.vectorDigest = Data(question.vector.bytes)
            $0.scope = question.scope.map(wireTable)
            $0.wantsDeclarations = question.wantsDeclarations
            $0.ranges = question.ranges.map(wireRange)
        }
    }

    private static func wireTable(_ table: DeclaredTable) -> WireDeclaredTable {
        .with {
            $0.name = table.name
            $0.fields = table.fields.map { field in
                .with {
                    $0.name = field.name
                    $0.columns = field.columns
                }
            }
        }
    }

    private static func wireRange(_ question: RangeQuestion) -> WireRangeQuestion {
        .with {
            switch question.range.section {
            case .table(let name):
                $0.section = .table
                $0.table = name
            case .ledger: $0.section = .ledger
            case .origins: $0.section = .origins
            }
            $0.from = Data(question.range.from)
            $0.to = Data(question.range.to)
            switch question.detail {
            case .fingerprints(let boundaries):
                $0.detail = .fingerprints
                $0.boundaries = boundaries.map { Data($0) }
            case .items: $0.detail = .items
            case .parts(let keys):
                $0.detail = .parts
                $0.keys = keys.map { Data($0) }
            }
        }
    }

    static func wireAnswer(_ answer: ComparisonAnswer) -> WireComparisonAnswer {
        .with {
            switch answer {
            case .moved(let vector):
                $0.moved = true
                $0.applied = wireVector(vector.entries)
            case .catchingUp: $0.catchingUp = true
            case .ranges(let ranges, let declared):
                $0.declared = declared.map(wireTable)
                $0.ranges = ranges.map(wireRange)
            }
        }
    }

    private static func wireRange(_ answer: RangeAnswer) -> WireRangeAnswer {
        .with {
            switch answer {
            case .fingerprints(let fingerprints):
                $0.fingerprints = fingerprints.map { one in
                    .with {
                        $0.count = one.count
                        $0.fingerprint = Data(one.fingerprint.bytes)
                    }
                }
            case .items(let items, let more):
                $0.items = items.map { item in
                    .with {
                        $0.key = Data(item.key)
                        $0.fingerprint = Data(item.fingerprint.bytes)
                    }
                }
                $0.more = more
            case .parts(let items):
                $0.parts = items.map { parts in .with { $0.parts = parts.map(wirePart) } }
            }
        }
    }

    private static func wirePart(_ part: ItemPart) -> WireItemPart {
        .with {
            $0.name = part.name
            $0.value = Data(part.value.bytes)
            $0.versions = Data(part.versions.bytes)
            guard let current = part.current else { return }
            $0.origin = Data(current.origin.bytes)
            $0.sequence = current.sequence.rawValue
            $0.stamp = current.stamp.rawValue
        }
    }
}

// MARK: - From the wire

extension FrameCodec {
    static func readQuestion(_ wire: WireComparisonQuestion) throws(FrameError) -> ComparisonQuestion {
        guard let vector = try identifier(wire.vectorDigest, "vector_digest") else {
            throw .malformed("comparison question: no vector")
        }
        guard wire.ranges.count <= FrameLimits.comparisonRanges,
            wire.ranges.reduce(0, { $0 + $1.boundaries.count + 1 }) <= FrameLimits.comparisonParts,
            wire.ranges.reduce(0, { $0 + $1.keys.count }) <= FrameLimits.comparisonKeys
        else { throw .tooLarge("comparison question: too many ranges") }
        var ranges: [RangeQuestion] = []
        for range in wire.ranges { ranges.append(try readRange(range)) }
        try checkDisjoint(ranges)
        return ComparisonQuestion(
            vector: vector, scope: try readTables(wire.scope), wantsDeclarations: wire.wantsDeclarations, ranges: ranges
        )
    }

    /// So that one question costs at most one walk through the store.
    private static func checkDisjoint(_ questions: [RangeQuestion]) throws(FrameError) {
        var ranges: [ComparisonSection: [ComparisonRange]] = [:]
        for question in questions {
            if case .parts = question.detail { continue }
            ranges[question.range.section, default: []].append(question.range)
        }
        for section in ranges.values {
            let sorted = section.sorted { $0.from.lexicographicallyPrecedes($1.from) }
            for (range, next) in zip(sorted, sorted.dropFirst())
            where range.to.isEmpty || next.from.lexicographicallyPrecedes(range.to) {
                throw .malformed("comparison question: ranges that overlap")
            }
        }
    }

    private static func readRange(_ wire: WireRangeQuestion) throws(FrameError) -> RangeQuestion {
        let section: ComparisonSection
        switch wire.section {
        case .table: section = .table(try name(wire.table, "table"))
        case .ledger: section = .ledger
        case .origins: section = .origins
        case .UNRECOGNIZED: throw .malformed("comparison question: a section that is not known")
        }
        let range = ComparisonRange(
            section, from: wire.from.isEmpty ? [] : try key(wire.from), to: wire.to.isEmpty ? [] : try key(wire.to))
        switch wire.detail {
        case .fingerprints: return RangeQuestion(range, .fingerprints(boundaries: try keys(wire.boundaries)))
        case .items: return RangeQuestion(range, .items)
        case .parts: return RangeQuestion(range, .parts(keys: try keys(wire.keys)))
        case .UNRECOGNIZED: throw .malformed("comparison question: a detail that is not known")
        }
    }

    static func readAnswer(_ wire: WireComparisonAnswer) throws(FrameError) -> ComparisonAnswer {
        if wire.moved { return .moved(try vector(wire.applied)) }
        if wire.catchingUp { return .catchingUp }
        guard wire.ranges.count <= FrameLimits.comparisonRanges,
            wire.ranges.reduce(0, { $0 + $1.fingerprints.count }) <= FrameLimits.comparisonParts,
            wire.ranges.reduce(0, { $0 + $1.items.count }) <= FrameLimits.comparisonItems,
            wire.ranges.reduce(0, { $0 + $1.parts.count }) <= FrameLimits.comparisonKeys
        else { throw .tooLarge("comparison answer: more than was asked for") }
        var ranges: [RangeAnswer] = []
        for range in wire.ranges { ranges.append(try readRange(range)) }
        return .ranges(ranges, declared: try readTables(wire.declared))
    }

    /// Which of the three it is follows from what it holds; an empty one answers with no items.
    private static func readRange(_ wire: WireRangeAnswer) throws(FrameError) -> RangeAnswer {
        if !wire.fingerprints.isEmpty {
            var fingerprints: [RangeFingerprint] = []
            for one in wire.fingerprints {
                fingerprints.append(
                    RangeFingerprint(
                        count: try number(one.count, "count"), fingerprint: try fingerprint(one.fingerprint)))
            }
            return .fingerprints(fingerprints)
        }
        guard wire.parts.isEmpty else {
            var items: [[ItemPart]] = []
            for item in wire.parts {
                guard item.parts.count <= FrameLimits.comparisonItemParts else {
                    throw .tooLarge("comparison answer: an item of \(item.parts.count) parts")
                }
                var parts: [ItemPart] = []
                for part in item.parts { parts.append(try readPart(part)) }
                items.append(parts)
            }
            return .parts(items)
        }
        var items: [ItemFingerprint] = []
        for item in wire.items {
            items.append(ItemFingerprint(key: try key(item.key), fingerprint: try fingerprint(item.fingerprint)))
        }
        guard ascend(items.map(\.key)) else { throw .malformed("comparison answer: items that do not ascend") }
        return .items(items, more: wire.more)
    }

    private static func readPart(_ wire: WireItemPart) throws(FrameError) -> ItemPart {
        var current: ReplicationModel.Version?
        if !wire.origin.isEmpty {
            guard let origin = Origin(bytes: wire.origin), let stamp = Stamp(rawValue: wire.stamp) else {
                throw .malformed("comparison answer: a version that does not read as one")
            }
            current = ReplicationModel.Version(stamp: stamp, origin: origin, sequence: try sequence(wire.sequence))
        }
        return ItemPart(
            name: try name(wire.name, "part"), value: try fingerprint(wire.value),
            versions: try fingerprint(wire.versions), current: current)
    }

    private static func readTables(_ wire: [WireDeclaredTable]) throws(FrameError) -> [DeclaredTable] {
        guard wire.count <= Limits.tables, wire.reduce(0, { $0 + $1.fields.count }) <= FrameLimits.declaredFields,
            wire.allSatisfy({ $0.fields.reduce(0) { $0 + $1.columns.count } <= Table.columnLimit })
        else { throw .tooLarge("comparison: too many tables or fields") }
        var tables: [DeclaredTable] = []
        for table in wire {
            var fields: [Field] = []
            for field in table.fields {
                var columns: [String] = []
                for column in field.columns { columns.append(try name(column, "column")) }
                fields.append(Field(name: try name(field.name, "field"), columns: columns))
            }
            tables.append(DeclaredTable(name: try name(table.name, "table"), fields: fields))
        }
        return tables
    }

    private static func name(_ text: String, _ what: String) throws(FrameError) -> String {
        guard (1...Limits.nameBytes).contains(text.utf8.count) else {
            throw .malformed("comparison: the name of a \(what) has \(text.utf8.count) bytes")
        }
        return text
    }

    private static func keys(_ wire: [Data]) throws(FrameError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        for one in wire { keys.append(try key(one)) }
        guard ascend(keys) else { throw .malformed("comparison: keys that do not ascend") }
        return keys
    }

    private static func key(_ data: Data) throws(FrameError) -> [UInt8] {
        guard (1...RowID.byteCountLimit).contains(data.count) else {
            throw .malformed("comparison: a key of \(data.count) bytes")
        }
        return [UInt8](data)
    }

    private static func ascend(_ keys: [[UInt8]]) -> Bool {
        zip(keys, keys.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) }
    }

    private static func fingerprint(_ data: Data) throws(FrameError) -> Identifier128 {
        guard let fingerprint = try identifier(data, "fingerprint") else {
            throw .malformed("comparison: no fingerprint")
        }
        return fingerprint
    }
}
