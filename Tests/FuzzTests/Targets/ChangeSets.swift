// Bodies of change sets: what any writer may sign, and any relay may pass on.
import Foundation
import ReplicationModel
import ReplicationWire
import Trust

extension FuzzTarget {
    /// The bytes of a body.
    static let changeSet = FuzzTarget(
        "change-set", maximumBytes: 16 << 10, testRuns: 3000,
        seeds: { try SampleChangeSets.vectors() + SampleChangeSets.chain(large: true).map(\.body) }
    ) { try check(body: $0) }

    /// A body that is right but for a few bytes: the mutation is of the change set, and what the header says of the rows is
    /// counted anew.
    static let changeSetParts = FuzzTarget(
        "change-set-parts", testRuns: 1500, seeds: { [[], Array(0...200), Array((0...250).reversed())] }
    ) { bytes in
        var source = ByteSource(bytes)
        var maker = ChangeSetMaker(origin: SampleFrames.origin(1))
        let context = VersionVector([SampleFrames.origin(2): SequenceNumber(source.number() >> 2)])
        let (changeSet, _) = maker.make(&source, context: source.flag() ? context : VersionVector())
        var body = ChangeSetCodec.encode(changeSet)
        if source.isEmpty, let known = try? ChangeSetCodec.decode(body) {
            try expect(known == changeSet, "decoding gives another change set than was encoded")
        }
        while !source.isEmpty {
            let at = (Int(source.byte()) << 8 | Int(source.byte())) % body.count
            switch source.below(3) {
            case 0: body[at] = source.byte()
            case 1: body.insert(source.byte(), at: at)
            default: if body.count > 1 { body.remove(at: at) }
            }
        }
        try check(body: body)
    }

    private static func check(body: [UInt8]) throws {
        let header = try? ChangeSetCodec.decodeHeader(body)
        // Applying reads it where it stands: by the same rules, to the same end.
        let view = try? ChangeSetView(body)
        guard let changeSet = try? ChangeSetCodec.decode(body) else {
            return try expect(view == nil, "a body that decoding refuses can be read where it stands")
        }
        try expect(ChangeSetCodec.encode(changeSet) == body, "a body has two encodings")
        try expect(header == changeSet.header, "the header read alone is another")
        try expect(
            view?.changeSet == changeSet && view?.besideCells == changeSet.besideCells,
            "a body reads otherwise where it stands")
        let rows = changeSet.tables.reduce(0) { $0 + $1.rows.count }
        try expect((1...Limits.rowChanges).contains(rows), "\(rows) row changes")
    }
}

/// Bodies to begin from.
enum SampleChangeSets {
    private struct File: Decodable {
        struct Vector: Decodable { let body: String }
        let accepted: [Vector]
        let malformed: [Vector]
    }

    /// The golden vectors, those that must be refused too.
    static func vectors() throws -> [[UInt8]] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: root.appending(path: "Protocols/vectors/change-sets.json"))
        let file = try JSONDecoder().decode(File.self, from: data)
        return (file.accepted + file.malformed).map { vector in
            let digits = Array(vector.body.utf8).map { UInt8($0 > 0x39 ? $0 - 0x57 : $0 - 0x30) }
            return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        }.filter { $0.count <= 16 << 10 }
    }

    /// A few of one origin that follow one another, unsigned.
    static func chain(large: Bool) -> [SealedChangeSet] {
        var source = ByteSource(Array(repeating: 0x35, count: 40) + Array(0...200))
        var maker = ChangeSetMaker(origin: SampleFrames.origin(3))
        return (0..<3).map { _ in
            let (changeSet, values) = maker.make(&source, context: VersionVector())
            let body = ChangeSetCodec.encode(changeSet)
            maker.follow(changeSet, body: body)
            return SealedChangeSet(body: body, signature: [UInt8](repeating: 1, count: 64), values: values)
        }
    }
}

/// Makes change sets of one origin out of choices. Each follows the one before; the rest is as legal as the choices.
struct ChangeSetMaker {
    let origin: Origin
    private(set) var sequence = SequenceNumber.zero
    private(set) var previous = Digest.none
    private(set) var totals = Totals.zero
    /// Of the last row that was made.
    private(set) var stamp: Int64

    init(origin: Origin, after milliseconds: Int64 = 1_000_000) {
        self.origin = origin
        stamp = milliseconds << 16
    }

    private static let tableNames = ["links", "notes", "x\"); DROP TABLE notes; --", "été"]
    private static let columnNames = [
        "amount", "body", "due_on", "due_precision", "id\"", "new one", "target", "title",
    ]

    /// A change set, and the values that travel beside it.
    mutating func make(_ source: inout ByteSource, context: VersionVector) -> (ChangeSet, values: [[UInt8]?]) {
        var values: [[UInt8]?] = []
        let first = source.below(Self.tableNames.count)
        let last = min(first + source.below(2), Self.tableNames.count - 1)
        stamp += 1 + Int64(source.byte())
        let base = stamp
        var least = Int64.max
        let tables = (first...last).map { index -> TableChanges in
            stamp = base
            let table = self.table(Self.tableNames[index], &source, &values)
            least = min(least, table.rows.first?.stamp.rawValue ?? base)
            return table
        }
        let stamps = tables.flatMap { $0.rows.map(\.stamp) }
        stamp = stamps.map(\.rawValue).max() ?? base
        let header = ChangeSetHeader(
            origin: origin, sequence: sequence.next, previous: previous, contextChanges: context,
            firstStamp: stamps.min() ?? .zero, lastStamp: stamps.max() ?? .zero, totalsBefore: totals,
            changes: tables.reduce(0) { $0 + Self.writes($1) },
            besideBytes: tables.flatMap(\.rows).flatMap(\.cells).reduce(0) { sum, cell in
                if case .beside(let value) = cell { sum + value.byteCount } else { sum }
            })
        return (ChangeSet(header: header, tables: tables), values)
    }

    /// What is made next comes after this one.
    mutating func follow(_ changeSet: ChangeSet, body: [UInt8]) {
        sequence = changeSet.header.sequence
        previous = SHA256.digest(body)
        totals = Totals(
            changes: totals.changes + changeSet.header.changes,
            bytes: totals.bytes + UInt64(body.count) + changeSet.header.besideBytes)
    }

    private static func writes(_ table: TableChanges) -> UInt64 {
        table.rows.reduce(0) { sum, row in
            switch row.kind {
            case .insert: sum + 1 + UInt64(table.fieldSets[row.fieldSet].count)
            case .update: sum + UInt64(table.fieldSets[row.fieldSet].count)
            case .delete, .undelete: sum + 1
            }
        }
    }

    private mutating func table(
        _ name: String, _ source: inout ByteSource, _ values: inout [[UInt8]?]
    ) -> TableChanges {
        let start = source.below(Self.columnNames.count)
        var columns = Self.columnNames[start...].prefix(source.below(4) + 1).map { $0 }
        var fields: [Field] = []
        if columns.count > 1, source.byte() > 200 {
            fields.append(Field(name: source.flag() ? "due" : "pair", columns: Array(columns.prefix(2))))
            columns.removeFirst(2)
        }
        fields += columns.map { Field(name: $0, columns: [$0]) }
        let all = Array(fields.indices)
        let fieldSets = fields.count > 1 && source.flag() ? [[0], all] : [all]
        var used = Set<Int>()
        var rows: [RowChange] = []
        for index in 0..<(source.below(4) + fieldSets.count) {
            let kind = source.pick([RowChangeKind.insert, .update, .update, .delete, .undelete])
            stamp += Int64(source.byte() >> 2)
            let id = RowID(source.pick(["a", "b", "c", "d\u{0}", "\u{301}"]) + (source.flag() ? "" : "\(index)"))
            // The first rows use each field set once: one that is not used is malformed.
            let isListing = index < fieldSets.count || kind == .insert || kind == .update
            let set = index < fieldSets.count ? index : source.below(fieldSets.count)
            let cells =
                isListing ? fieldSets[set].flatMap { fields[$0].columns }.map { _ in cell(&source, &values) } : []
            used.insert(set)
            let stamp = Stamp(rawValue: self.stamp) ?? .greatest
            let listed = kind == .update ? RowChangeKind.update : .insert
            rows.append(
                RowChange(
                    kind: isListing ? listed : kind, id: id, stamp: stamp, fieldSet: isListing ? set : 0, cells: cells))
        }
        return TableChanges(table: name, fields: fields, fieldSets: fieldSets, rows: rows)
    }

    private func cell(_ source: inout ByteSource, _ values: inout [[UInt8]?]) -> Cell {
        switch source.below(9) {
        case 0: return .inline(.null)
        case 1: return .inline(.integer(Int64(bitPattern: source.number())))
        case 2:
            let value = Double(bitPattern: source.number())
            return .inline(.real(value.isNaN ? -0.0 : value))
        case 3: return .inline(.text(source.bytes(source.below(256))))
        case 4: return .inline(.blob(source.bytes(source.below(70))))
        case 5, 6:
            let value = [UInt8](repeating: source.byte(), count: 257 + source.below(256))
            values.append(source.byte() > 240 ? nil : value)
            return .beside(
                LargeValue(
                    kind: source.flag() ? .text : .blob, digest: SHA256.digest(value), byteCount: UInt64(value.count)))
        default: return .inline(Value("word"))
        }
    }
}
