// Random change sets that obey every rule, from a seed.
import Chance
import ReplicationModel

struct SampleGenerator {
    var random: SeededRandom
    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func changeSet(tables tableCount: ClosedRange<Int> = 1...4) -> ChangeSet {
        let sequence = Bool.random(using: &random) ? 1 : number(of: 2...UInt64(Int64.max))
        let names = Set((0..<Int.random(in: tableCount, using: &random)).map { _ in "table \(number(of: 0...999))" })
        let base = Int64(number(of: 1...UInt64(Int64.max / 2)))
        let tables = names.sorted().map { table($0, base: base) }
        let rows = tables.flatMap(\.rows)
        let stamps = rows.map(\.stamp)
        let first = sequence == 1
        return ChangeSet(
            header: ChangeSetHeader(
                origin: origin(), sequence: SequenceNumber(sequence),
                previous: first ? .none : digest(), contextChanges: context(),
                firstStamp: stamps.min() ?? .zero, lastStamp: stamps.max() ?? .zero,
                totalsBefore: first
                    ? .zero : Totals(changes: number(of: 0...1 << 62), bytes: number(of: 0...1 << 62)),
                changes: tables.reduce(0) { $0 + writes($1) },
                besideBytes: tables.flatMap(\.rows).flatMap(\.cells).reduce(0) { sum, cell in
                    if case .beside(let value) = cell { sum + value.byteCount } else { sum }
                }),
            tables: tables)
    }

    /// Counted here anew, not by the code under test.
    private func writes(_ table: TableChanges) -> UInt64 {
        table.rows.reduce(0) { sum, row in
            switch row.kind {
            case .insert: sum + 1 + UInt64(table.fieldSets[row.fieldSet].count)
            case .update: sum + UInt64(table.fieldSets[row.fieldSet].count)
            case .delete, .undelete: sum + 1
            }
        }
    }

    private mutating func table(_ name: String, base: Int64) -> TableChanges {
        let fields = (0..<Int.random(in: 1...12, using: &random)).map { index in
            let columns = Int.random(in: 0...4, using: &random) == 0 ? ["g\(index)a", "g\(index)b"] : ["c\(index)"]
            return Field(name: columns.count == 1 ? columns[0] : "g\(index)", columns: columns)
        }
        // The whole row first, so that every field is in a set; then some parts of it.
        var masks: Set<UInt64> = [(1 << UInt64(fields.count)) - 1]
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            masks.insert(number(of: 1...(1 << UInt64(fields.count)) - 1))
        }
        let fieldSets = masks.sorted().map { mask in fields.indices.filter { mask >> UInt64($0) & 1 == 1 } }
        var stamp = base
        var rows: [RowChange] = []
        func add(_ kind: RowChangeKind, _ fieldSet: Int, _ cells: [Cell], _ id: [UInt8], _ step: Int64) {
            stamp += step
            guard let stamp = Stamp(rawValue: stamp) else { return }
            rows.append(RowChange(kind: kind, id: RowID(bytes: id), stamp: stamp, fieldSet: fieldSet, cells: cells))
        }
        for index in 0..<(fieldSets.count + Int.random(in: 0...6, using: &random)) {
            // The index makes ids distinct; what stands before it leaves them in no order.
            var id = randomBytes(Int.random(in: 0...40, using: &random)) + [UInt8(index)]
            if Bool.random(using: &random) { id = Array("018f-\(100 + index)".utf8) }
            let step = Int64(number(of: 0...1 << 40))
            let fieldSet = index < fieldSets.count ? index : fieldSets.count - 1
            let kinds: [RowChangeKind] = index < fieldSets.count ? [.insert, .update] : [.delete, .undelete, .insert]
            let kind = kinds.randomElement(using: &random) ?? .insert
            if kind == .delete || kind == .undelete {
                add(kind, 0, [], id, step)
            } else {
                let count = fieldSets[fieldSet].reduce(0) { $0 + fields[$1].columns.count }
                let cells = (0..<count).map { _ in cell() }
                add(kind, fieldSet, cells, id, step)
                // The same row again, in the register that is left.
                if kind == .update, Bool.random(using: &random) { add(.delete, 0, [], id, 0) }
            }
        }
        return TableChanges(table: name, fields: fields, fieldSets: fieldSets, rows: rows)
    }

    private mutating func cell() -> Cell {
        switch Int.random(in: 0...8, using: &random) {
        case 0: return .inline(.null)
        case 1: return .inline(.integer(Int64(bitPattern: number(of: 0...UInt64.max))))
        case 2: return .inline(.integer(Int64.random(in: -300...300, using: &random)))
        case 3:
            let value = Double(bitPattern: random.next())
            return .inline(.real(value.isNaN ? -0.0 : value))
        case 4: return .inline(.text(randomBytes(Int.random(in: 0...256, using: &random))))
        case 5: return .inline(.blob(randomBytes([0, 63, 64, 256].randomElement(using: &random) ?? 0)))
        case 6: return .beside(LargeValue(kind: .text, digest: digest(), byteCount: number(of: 257...5000)))
        case 7: return .beside(LargeValue(kind: .blob, digest: digest(), byteCount: number(of: 257...70_000)))
        default: return .inline(Value("a plain word"))
        }
    }

    /// As likely short as long.
    private mutating func number(of range: ClosedRange<UInt64>) -> UInt64 {
        let shift = UInt64.random(in: 0...63, using: &random)
        return min(max(random.next() >> shift, range.lowerBound), range.upperBound)
    }

    mutating func randomBytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }

    private mutating func identifier() -> Identifier128 {
        Identifier128(high: random.next(), low: random.next())
    }

    private mutating func digest() -> Digest { Digest(first: identifier(), second: identifier()) }

    private mutating func origin() -> Origin { Origin(node: NodeID(identifier()), incarnation: random.next()) }

    private mutating func context() -> VersionVector {
        var vector = VersionVector()
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            vector[origin()] = SequenceNumber(number(of: 1...UInt64(Int64.max)))
        }
        return vector
    }
}
