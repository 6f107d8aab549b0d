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
        for part in proven.changeSet.tables {
            guard let table = self.table(named: part.table) else { continue }
            let columns = part.fieldSets.map { set in set.flatMap { part.fields[$0].columns } }
            let affinities = columns.map { $0.map { table.affinity(of: $0) } }
            for row in part.rows {
                for (index, cell) in row.cells.enumerated() {
                    var large: [UInt8]?
                    if case .beside = cell { large = beside.popFirst() ?? nil }
                    guard affinities[row.fieldSet][index].mayChange(cell) else { continue }
                    let value: Value
                    switch cell {
                    case .inline(let inline): value = inline
                    case .beside(let cell):
                        guard let large, cell.kind == .text else { continue }
                        value = .text(large)
                    }
                    guard try affinities[row.fieldSet][index].keeps(value, writer) else {
                        return (part.table, columns[row.fieldSet][index])
                    }
                }
            }
        }
        return nil
    }
}
