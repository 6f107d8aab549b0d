// What a workspace must look like, by the definitions of the design alone: winners are maxima, and lost writes are found by
// looking at every pair. It reads what was sealed, which was checked against what was written, and shares no code with the
// engine's merge.
//
// Invariant: it depends on the set of change sets and on nothing else.

internal import ReplicationModel
internal import Trust

struct ReferenceModel {
    struct Write {
        let stamp: Stamp
        let origin: Origin
        let originNumber: Int
        let sequence: UInt64
        let context: [UInt64]
        let cells: [Cell]
        let alive: Bool?
        let isInsert: Bool

        /// The order of the design: the greatest (stamp, origin) wins.
        static func isLess(_ a: Write, _ b: Write) -> Bool {
            a.stamp != b.stamp ? a.stamp < b.stamp : a.origin < b.origin
        }
    }

    struct Lost {
        let write: Write
        let witnesses: [Write]
        /// For each of the witnesses, whether the loss is worth looking at.
        let isShownBeside: [Bool]
        var isShown: Bool { isShownBeside.contains(true) }
    }

    private(set) var writes: [Register: [Write]] = [:]

    /// - Parameter entry: the change set of a name.
    init(within vector: VersionVector, _ entry: (Dot) -> Library.Entry?) {
        let origins = vector.sorted.map(\.origin)
        let numbers = Dictionary(uniqueKeysWithValues: origins.enumerated().map { ($1, $0) })
        for (number, origin) in origins.enumerated() {
            for sequence in 1...max(1, vector[origin].rawValue) {
                guard let entry = entry(Dot(origin: origin, sequence: SequenceNumber(sequence))) else { continue }
                var context = [UInt64](repeating: 0, count: origins.count)
                for (other, seen) in entry.context.entries {
                    if let place = numbers[other] { context[place] = seen.rawValue }
                }
                for table in entry.changeSet.tables { add(table, origin, number, sequence, context) }
            }
        }
    }

    private mutating func add(
        _ table: TableChanges, _ origin: Origin, _ number: Int, _ sequence: UInt64, _ context: [UInt64]
    ) {
        table.forEachWrite { register, row, cells in
            let alive = register.field == Register.existence ? row.kind != .delete : nil
            writes[register, default: []].append(
                Write(
                    stamp: row.stamp, origin: origin, originNumber: number, sequence: sequence, context: context,
                    cells: cells, alive: alive, isInsert: row.kind == .insert))
        }
    }

    private static func saw(_ new: Write, _ old: Write) -> Bool {
        new.originNumber == old.originNumber
            ? new.sequence > old.sequence : new.context[old.originNumber] >= old.sequence
    }

    private static func areConcurrent(_ a: Write, _ b: Write) -> Bool {
        !saw(a, b) && !saw(b, a) && (a.originNumber != b.originNumber || a.sequence != b.sequence)
    }

    func winner(_ register: Register) -> Write? { writes[register]?.max(by: Write.isLess) }

    /// A write L is lost when a concurrent greater write W exists and no later write that had seen L is itself concurrent
    /// with W.
    func lost(_ register: Register) -> [Lost] {
        guard let writes = writes[register], let first = writes.first,
            writes.contains(where: { $0.originNumber != first.originNumber })
        else { return [] }
        return writes.compactMap { candidate in
            let followers = writes.filter { Self.saw($0, candidate) }
            let witnesses = writes.filter { other in
                Write.isLess(candidate, other) && Self.areConcurrent(candidate, other)
                    && !followers.contains { Self.areConcurrent($0, other) }
            }
            guard !witnesses.isEmpty else { return nil }
            return Lost(
                write: candidate, witnesses: witnesses,
                isShownBeside: witnesses.map { Self.isShown(candidate, beside: $0, among: writes) })
        }
    }

    /// Equal values are no loss, nor is what an insert left empty, or repeats of another insert that the winner had seen.
    private static func isShown(_ lost: Write, beside witness: Write, among writes: [Write]) -> Bool {
        if lost.alive != nil { return lost.alive != witness.alive }
        if lost.cells == witness.cells { return false }
        guard lost.isInsert else { return true }
        return lost.cells.contains { $0 != .inline(.null) }
            && !writes.contains { $0.isInsert && $0.cells == lost.cells && saw(witness, $0) }
    }

    /// A conflict's name, by `Protocols/replication.md`: 16 digits of a digest over table, row, field, origin and stamp.
    static func key(_ register: Register, _ write: Write) -> String {
        var bytes = Array("syncnode conflict v1\0".utf8)
        for part in [Array(register.table.utf8), register.id.bytes, Array(register.field.utf8), write.origin.bytes] {
            bytes += withUnsafeBytes(of: UInt64(part.count).bigEndian) { Array($0) } + part
        }
        bytes += withUnsafeBytes(of: write.stamp.rawValue.bigEndian) { Array($0) }
        return String(SHA256.digest(bytes).description.prefix(16))
    }
}
