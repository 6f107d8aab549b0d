// Reads a whole body in one pass and checks what its parts say of one another.
//
// Invariant: what is returned obeys every rule of Protocols/change-set.md that can be told from the body alone.
import ReplicationModel

extension ChangeSetReader {
    mutating func header() throws(ChangeSetFormatError) -> ChangeSetHeader {
        for expected in ChangeSetFormat.magic {
            let start = offset
            guard try byte() == expected else {
                throw failure(.format, "this is no change set of format 1", at: start)
            }
        }
        let origin = try origin()
        let (sequence, previous) = try place()
        let context = try context(without: origin)
        let (first, last) = try stampRange()
        let start = offset
        let totals = Totals(changes: try natural("total of changes"), bytes: try natural("total of bytes"))
        let changes = UInt64(
            try number("field writes", 1...Limits.rowChanges * (Table.columnLimit + 1)))
        let besideBytes = UInt64(try number("bytes beside the body", 0...Limits.besideBytes))
        guard sequence.rawValue > 1 || totals == .zero else {
            throw failure(.chain, "something was written before the first change set", at: start)
        }
        // Neither sum can overflow 64 bits: the totals have 63, and the rest is bounded by the limits.
        let bytesAfter = totals.bytes + UInt64(count) + besideBytes
        guard totals.changes + changes <= UInt64(Int64.max), bytesAfter <= UInt64(Int64.max) else {
            throw failure(.chain, "the totals after this change set do not fit 63 bits", at: start)
        }
        return ChangeSetHeader(
            origin: origin, sequence: sequence, previous: previous, contextChanges: context, firstStamp: first,
            lastStamp: last, totalsBefore: totals, changes: changes, besideBytes: besideBytes)
    }

    private mutating func place() throws(ChangeSetFormatError) -> (SequenceNumber, Digest) {
        let start = offset
        let sequence = SequenceNumber(try natural("sequence"))
        guard sequence > .zero else { throw failure(.chain, "sequences count from 1", at: start) }
        let previous = try digest()
        guard (previous == .none) == (sequence.rawValue == 1) else {
            throw failure(.chain, "the first change set, and no other, names none before it", at: start)
        }
        return (sequence, previous)
    }

    private mutating func context(without own: Origin) throws(ChangeSetFormatError) -> VersionVector {
        let count = try count(of: "context entries", 0...Limits.origins, leastBytes: 25)
        guard count > 0 else { return VersionVector() }
        var entries = [Origin: SequenceNumber](minimumCapacity: count)
        var last: Origin?
        for _ in 0..<count {
            let start = offset
            let origin = try origin()
            if let last, last >= origin { throw failure(.order, "context entries do not ascend", at: start) }
            guard origin != own else { throw failure(.chain, "the context names its own origin", at: start) }
            last = origin
            let sequence = try natural("sequence of a context entry")
            guard sequence > 0 else { throw failure(.limit, "a context entry stands at 0", at: start) }
            entries[origin] = SequenceNumber(sequence)
        }
        return VersionVector(entries)
    }

    private mutating func stampRange() throws(ChangeSetFormatError) -> (Stamp, Stamp) {
        let start = offset
        let first = try natural("first stamp")
        // Neither has more than 63 bits, so that the sum fits 64.
        let last = first + (try natural("range of stamps"))
        guard first > 0, let first = Stamp(bits: first), let last = Stamp(bits: last) else {
            throw failure(.limit, "a stamp lies outside 1 to 2^63 - 1", at: start)
        }
        return (first, last)
    }

    /// A number in the header that is no count of what follows.
    private mutating func number(
        _ what: StaticString, _ range: ClosedRange<Int>
    ) throws(ChangeSetFormatError) -> Int {
        let start = offset
        let value = try varint()
        guard value >= UInt64(range.lowerBound), value <= UInt64(range.upperBound) else {
            throw failure(
                .limit, "\(value) \(what), allowed are \(range.lowerBound) to \(range.upperBound)", at: start)
        }
        return Int(value)
    }

    /// - Parameter rows: what becomes of the rows of each table.
    mutating func changeSet<Rows: RowCollector>(
        _ rows: Rows.Type
    ) throws(ChangeSetFormatError) -> (header: ChangeSetHeader, tables: [ReadTable<Rows>]) {
        let header = try header()
        var tally = Tally(firstStamp: header.firstStamp, lastStamp: header.lastStamp)
        let tableCount = try count(of: "tables", 1...Limits.tables)
        var tables: [ReadTable<Rows>] = []
        tables.reserveCapacity(tableCount)
        var names = Set<String>()
        for _ in 0..<tableCount {
            let start = offset
            let name = try name(of: "table")
            if let last = tables.last, !last.name.utf8.lexicographicallyPrecedes(name.utf8) {
                throw failure(.order, "tables do not ascend by name", at: start)
            }
            guard names.insert(name).inserted else { throw failure(.name, "a table is named twice", at: start) }
            tables.append(try table(name, &tally))
        }
        guard remaining == 0 else { throw failure(.trailing, "\(remaining) bytes follow the last row") }
        guard tally.changes == header.changes else {
            throw failure(.header, "\(tally.changes) field writes where the header says \(header.changes)")
        }
        guard tally.besideBytes == header.besideBytes else {
            throw failure(
                .header, "\(tally.besideBytes) bytes beside the body where the header says \(header.besideBytes)")
        }
        guard tally.least == header.firstStamp, tally.greatest == header.lastStamp else {
            throw failure(.header, "the rows' stamps do not span those of the header")
        }
        return (header, tables)
    }

    private mutating func table<Rows: RowCollector>(
        _ name: String, _ tally: inout Tally
    ) throws(ChangeSetFormatError) -> ReadTable<Rows> {
        let fields = try fields()
        let fieldSetStart = offset
        let fieldSets = try fieldSets(of: fields, atMost: tally.rowsLeft)
        let rowCount = try count(of: "row changes", 1...Limits.rowChanges, leastBytes: ChangeSetFormat.leastRowBytes)
        guard rowCount <= tally.rowsLeft else {
            throw failure(.limit, "more than \(Limits.rowChanges) row changes")
        }
        tally.rowsLeft -= rowCount

        var rows = Rows(rowCount: rowCount)
        var cells: [CellView] = []
        var registers = RegisterCheck(rowCount: rowCount)
        var used = [Bool](repeating: false, count: fieldSets.count)
        var stamp = tally.firstStamp
        for index in 0..<rowCount {
            let start = offset
            let row = try rowView(after: stamp, fieldSets, &tally, cells: &cells)
            stamp = row.stamp
            if index == 0 { tally.least = min(tally.least, stamp) }
            var mask: UInt64 = row.kind.writesExistence ? RegisterCheck.existence : 0
            if row.kind.listsFields {
                used[row.fieldSet] = true
                mask |= fieldSets[row.fieldSet].mask
            }
            tally.changes += UInt64(mask.nonzeroBitCount)
            guard registers.admit(row.id, mask, self) else {
                throw failure(.register, "a field or the existence of a row is written twice", at: start)
            }
            rows.append(row, cells, self)
        }
        tally.greatest = max(tally.greatest, stamp)
        guard used.allSatisfy({ $0 }) else {
            throw failure(.fields, "a field set that no row change uses", at: fieldSetStart)
        }
        return ReadTable(name: name, fields: fields, fieldSets: fieldSets, rows: rows)
    }

    private mutating func fields() throws(ChangeSetFormatError) -> [Field] {
        let fieldCount = try count(of: "fields", 0...Table.columnLimit)
        var fields: [Field] = []
        fields.reserveCapacity(fieldCount)
        var fieldNames = Set<String>()
        var columnNames = Set<String>()
        for _ in 0..<fieldCount {
            let start = offset
            let name = try name(of: "field")
            guard fieldNames.insert(name).inserted else { throw failure(.name, "a field is named twice", at: start) }
            let columnCount = try count(of: "columns of a field", 1...Table.columnLimit)
            guard columnNames.count + columnCount <= Table.columnLimit else {
                throw failure(.limit, "a table has more than \(Table.columnLimit) columns", at: start)
            }
            var columns: [String] = []
            columns.reserveCapacity(columnCount)
            for _ in 0..<columnCount {
                let start = offset
                let column = try self.name(of: "column")
                guard column != "id" else { throw failure(.name, "`id` names the row and is no column", at: start) }
                guard columnNames.insert(column).inserted else {
                    throw failure(.name, "a column is named twice", at: start)
                }
                columns.append(column)
            }
            fields.append(Field(name: name, columns: columns))
        }
        return fields
    }

    private mutating func fieldSets(
        of fields: [Field], atMost rows: Int
    ) throws(ChangeSetFormatError) -> [FieldSet] {
        // Every field set is used by a row change, so that there cannot be more of them.
        let setCount = try count(of: "field sets", 0...rows)
        var sets: [FieldSet] = []
        sets.reserveCapacity(setCount)
        var all: UInt64 = 0
        for _ in 0..<setCount {
            let start = offset
            let mask = try natural("field set")
            guard mask >> UInt64(fields.count) == 0 else {
                throw failure(.fields, "a field set names a field that is not listed", at: start)
            }
            if let last = sets.last, last.mask >= mask {
                throw failure(.order, "field sets do not ascend", at: start)
            }
            all |= mask
            sets.append(FieldSet(mask: mask, fields: fields))
        }
        guard all.nonzeroBitCount == fields.count else {
            throw failure(.fields, "a field that no field set holds")
        }
        return sets
    }

    /// - Parameter cells: emptied first.
    @inline(__always)
    private mutating func rowView(
        after last: Stamp, _ fieldSets: [FieldSet], _ tally: inout Tally, cells: inout [CellView]
    ) throws(ChangeSetFormatError) -> RowView {
        cells.removeAll(keepingCapacity: true)
        let start = offset
        guard let kind = RowChangeKind(rawValue: try byte()) else {
            throw failure(.kind, "a row change of an unknown kind", at: start)
        }
        let idLength = Int(try byte())
        guard idLength > 0 else { throw failure(.limit, "a row's id is empty", at: start) }
        let id = try range(idLength)
        let step = try varint()
        guard step <= UInt64(tally.lastStamp.rawValue - last.rawValue),
            let stamp = Stamp(bits: UInt64(last.rawValue) + step)
        else {
            throw failure(.header, "a stamp lies beyond the last one of the header", at: start)
        }
        guard kind.listsFields else {
            return RowView(kind: kind, id: id, stamp: stamp, fieldSet: 0, cells: offset)
        }
        let fieldSet = try varint()
        guard fieldSet < UInt64(fieldSets.count) else {
            throw failure(.fields, "a row change names a field set that is not listed", at: start)
        }
        guard kind == .insert || fieldSets[Int(fieldSet)].mask != 0 else {
            throw failure(.kind, "an update writes no field", at: start)
        }
        let cellsStart = offset
        try readCells(fieldSets[Int(fieldSet)].columnCount, &tally, from: start, into: &cells)
        return RowView(kind: kind, id: id, stamp: stamp, fieldSet: Int(fieldSet), cells: cellsStart)
    }

    @inline(__always)
    private mutating func readCells(
        _ count: Int, _ tally: inout Tally, from start: Int, into cells: inout [CellView]
    ) throws(ChangeSetFormatError) {
        guard count <= remaining else {
            throw failure(.truncated, "\(count) cells cannot stand in the \(remaining) bytes left")
        }
        var besideBytes: UInt64 = 0
        var inlineBytes = 0
        for _ in 0..<count {
            let cell = try cellView()
            switch cell {
            // At most 63 values of at most 8 MiB.
            case .beside(let value): besideBytes += value.byteCount
            case .inline(_, let range): inlineBytes += range.count
            case .null, .integer, .real: break
            }
            cells.append(cell)
        }
        guard besideBytes + UInt64(inlineBytes) <= UInt64(Limits.rowBytes) else {
            throw failure(.limit, "the values of a row change exceed \(Limits.rowBytes) bytes", at: start)
        }
        tally.besideBytes += besideBytes
        guard tally.besideBytes <= UInt64(Limits.besideBytes) else {
            throw failure(.limit, "more than \(Limits.besideBytes) bytes beside the body", at: start)
        }
    }
}

extension RowChangeKind {
    /// Whether a row change of this kind names a field set and holds cells.
    var listsFields: Bool { self == .insert || self == .update }
}

extension Stamp {
    fileprivate init?(bits: UInt64) {
        guard let value = Int64(exactly: bits) else { return nil }
        self.init(rawValue: value)
    }
}

/// What the rows add up to, to be compared with the header.
private struct Tally {
    let firstStamp: Stamp
    let lastStamp: Stamp
    var least = Stamp.greatest
    var greatest = Stamp.zero
    var changes: UInt64 = 0
    var besideBytes: UInt64 = 0
    var rowsLeft = Limits.rowChanges

    init(firstStamp: Stamp, lastStamp: Stamp) {
        self.firstStamp = firstStamp
        self.lastStamp = lastStamp
    }
}

/// A field set as the rows need it.
struct FieldSet {
    /// Bit n: field n is written.
    let mask: UInt64
    let indices: [Int]
    let columnCount: Int

    init(mask: UInt64, fields: [Field]) {
        self.mask = mask
        indices = fields.indices.filter { mask >> UInt64($0) & 1 == 1 }
        columnCount = indices.reduce(0) { $0 + fields[$1].columns.count }
    }
}
