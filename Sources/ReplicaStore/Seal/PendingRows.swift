// What a run of captured edits comes to, row by row: the last write of each register counts.
//
// Invariant: one entry a row, in the order in which rows were first written.

internal import ReplicationModel

struct PendingRow {
    /// Index in the transaction's tables.
    let table: Int
    let id: RowID
    var existence: (kind: RowChangeKind, stamp: Stamp)?
    /// The journal entry that keeps the values of a row deleted in this chunk.
    var deletion: Int64?
    /// Where the stamps of its fields begin.
    fileprivate let stampsStart: Int
}

struct PendingRows {
    private(set) var rows: [PendingRow] = []
    private let tables: [CompiledTable]
    /// One a field of each row, one row after another; zero where the field was not written.
    private var stamps: [Stamp] = []
    private var places: [RowPlaces]

    init(tables: [CompiledTable], capacity: Int) {
        self.tables = tables
        rows.reserveCapacity(capacity)
        places = tables.map { _ in RowPlaces() }
    }

    /// By field.
    func stamps(of row: PendingRow) -> ArraySlice<Stamp> { stamps[range(of: row)] }

    private func range(of row: PendingRow) -> Range<Int> {
        row.stampsStart..<row.stampsStart + tables[row.table].fields.count
    }

    mutating func add(_ entry: JournalEntry, at stamp: Stamp) {
        let place = places[entry.table].place(of: entry.id, rows)
        if place == rows.count {
            rows.append(PendingRow(table: entry.table, id: entry.id, stampsStart: stamps.count))
            stamps.append(contentsOf: repeatElement(.zero, count: tables[entry.table].fields.count))
        }
        switch entry.operation {
        case .insert:
            rows[place].existence = (.insert, stamp)
            rows[place].deletion = nil
            for index in range(of: rows[place]) { stamps[index] = stamp }
        case .update:
            var rest = tables[entry.table].fieldSet(touchedBy: entry.mask)
            while rest != 0 {
                stamps[rows[place].stampsStart + rest.trailingZeroBitCount] = stamp
                rest &= rest - 1
            }
        case .delete:
            rows[place].existence = (.delete, stamp)
            rows[place].deletion = entry.n
        case .undelete:
            rows[place].existence = (.undelete, stamp)
            rows[place].deletion = nil
        case .overwritten, .rebuilt: break
        }
    }
}

/// Finds the rows of one table by their ids.
///
/// While ids ascend, as those of rows made one after another do, they are distinct and nothing is stored; from the first
/// that does not, every id stands in a dictionary.
private struct RowPlaces {
    private var last: RowID?
    private var isAscending = true
    private var known: [Int] = []
    private var placeOfID: [RowID: Int] = [:]

    /// The place of a row among `rows`, or the next one where it is new.
    mutating func place(of id: RowID, _ rows: [PendingRow]) -> Int {
        if isAscending {
            if last.map({ $0.bytes.lexicographicallyPrecedes(id.bytes) }) ?? true {
                last = id
                known.append(rows.count)
                return rows.count
            }
            isAscending = false
            for place in known { placeOfID[rows[place].id] = place }
        }
        if let place = placeOfID[id] { return place }
        placeOfID[id] = rows.count
        return rows.count
    }
}
