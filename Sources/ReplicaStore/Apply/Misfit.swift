// What columns here would not keep as it was signed.
//
// Invariant: what passes is given back bit for bit by the tables it is applied to.

internal import ReplicationModel
internal import ReplicationWire

extension EngineTransaction {
    /// A column that would not give back what was signed, since SQLite makes of it what the column's type says. One of this
    /// declaration never held such a value.
    func misfit(in proven: ProvenChangeSet) throws -> (table: String, column: String)? {
        var beside = proven.sealed.values[...]
        return try proven.view.withRows { reader in
            for part in proven.view.tables {
                guard let table = self.table(named: part.table) else { continue }
                let columns = part.fieldSets.map { set in set.flatMap { part.fields[$0].columns } }
                let affinities = columns.map { $0.map { table.affinity(of: $0) } }
                // Columns of text change nothing but numbers, so most parts need no second look.
                let keepsText = affinities.allSatisfy { $0.allSatisfy { $0 == .text || $0 == .none } }
                for place in part.rows {
                    var values = beside.prefix(place.besideCount)
                    beside.removeFirst(place.besideCount)
                    guard part.holdsNumbers || !keepsText else { continue }
                    let row = reader.row(place)
                    for (index, cell) in row.cells.enumerated() {
                        var large: [UInt8]?
                        if case .beside = cell { large = values.popFirst() ?? nil }
                        let affinity = affinities[row.fieldSet][index]
                        guard affinity.mayChange(cell), let value = Self.value(of: cell, large) else { continue }
                        guard try affinity.keeps(value, writer) else {
                            return (part.table, columns[row.fieldSet][index])
                        }
                    }
                }
            }
            return nil
        }
    }

    /// Nil where it has not come, or is a blob, which no column changes.
    private static func value(of cell: Cell, _ large: [UInt8]?) -> Value? {
        switch cell {
        case .inline(let value): return value
        case .beside(let cell):
            guard let large, cell.kind == .text else { return nil }
            return .text(large)
        }
    }
}
