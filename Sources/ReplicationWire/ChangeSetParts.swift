// Helpers for those who make change sets and for those who carry the values beside them.
//
// Invariant: values beside a body are counted, sent and stored in the order in which their cells stand in it.
public import ReplicationModel

extension RowChange {
    /// What stands beside the body for this row change, in order.
    public var besideCells: [LargeValue] {
        cells.compactMap { cell in
            guard case .beside(let value) = cell else { return nil }
            return value
        }
    }
}

extension TableChanges {
    /// What stands beside the body for these rows, in order.
    public var besideCells: [LargeValue] { rows.flatMap(\.besideCells) }

    /// The same row changes in the form a body may hold: without fields that no field set holds and field sets that no
    /// row change uses, and with field sets in ascending order.
    public func normalized() -> TableChanges {
        var used = [Bool](repeating: false, count: fieldSets.count)
        for row in rows where row.kind.listsFields { used[row.fieldSet] = true }
        let usedSets = fieldSets.indices.filter { used[$0] }
        let usedFields = Set(usedSets.flatMap { fieldSets[$0] }).sorted()
        var newIndex = [Int](repeating: 0, count: fields.count)
        for (new, old) in usedFields.enumerated() { newIndex[old] = new }

        // Two equal field sets become one.
        let sets = usedSets.map { old in (old: old, indices: fieldSets[old].map { newIndex[$0] }) }
        let ordered = Set(sets.map(\.indices)).sorted { left, right in
            left.reversed().lexicographicallyPrecedes(right.reversed())
        }
        let position = Dictionary(uniqueKeysWithValues: ordered.enumerated().map { ($0.element, $0.offset) })
        var newSet = [Int](repeating: 0, count: fieldSets.count)
        for set in sets { newSet[set.old] = position[set.indices] ?? 0 }
        let newRows = rows.map { row in
            RowChange(
                kind: row.kind, id: row.id, stamp: row.stamp,
                fieldSet: row.kind.listsFields ? newSet[row.fieldSet] : 0, cells: row.cells)
        }
        return TableChanges(table: table, fields: usedFields.map { fields[$0] }, fieldSets: ordered, rows: newRows)
    }

    /// Field writes, as `Totals` counts them.
    public var changes: UInt64 {
        rows.reduce(0) { sum, row in
            let fields = row.kind.listsFields ? fieldSets[row.fieldSet].count : 0
            return sum + UInt64(fields) + (row.kind.writesExistence ? 1 : 0)
        }
    }
}

extension ChangeSet {
    /// What stands beside the body, in order: `SealedChangeSet.values` has one element for each.
    public var besideCells: [LargeValue] { tables.flatMap(\.besideCells) }
}

extension ChangeSetHeader {
    /// What the origin has written up to and with this change set: the `totalsBefore` of the next.
    ///
    /// The header is one that was decoded, so that the sums fit.
    public func totalsAfter(bodyBytes: Int) -> Totals {
        Totals(
            changes: totalsBefore.changes + changes,
            bytes: totalsBefore.bytes + UInt64(bodyBytes) + besideBytes)
    }
}
