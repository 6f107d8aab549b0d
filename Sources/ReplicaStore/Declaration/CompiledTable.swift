// A replicated table as this replica keeps it: declaration, numbers and columns by position.
//
// Invariant: a column's position and a field's number never change once given; masks and versions refer to them.

internal import ReplicationModel

/// A field with its number in this replica.
struct CompiledField {
    let number: Int64
    let name: String
    let columns: [String]
    /// Positions of `columns` in `CompiledTable.columns`; empty for a field that is not declared here.
    let positions: [Int]

    /// What stands for existence wherever a field's number does.
    static let existence: Int64 = 0
}

/// One object, so that passing it about costs one count and not one for each of its parts.
final class CompiledTable: Sendable {
    let number: Int64
    let name: String
    /// By position, `id` left out.
    let columns: [String]
    private let affinities: [String: ColumnAffinity]
    /// Declared here, in order of their first column.
    let fields: [CompiledField]

    private let fieldsByName: [String: Int]
    /// For each column position, the index of its field.
    let fieldOfColumn: [Int]

    init(
        number: Int64, name: String, columns: [String], affinities: [String: ColumnAffinity], fields: [CompiledField]
    ) {
        self.number = number
        self.name = name
        self.columns = columns
        self.affinities = affinities
        self.fields = fields
        fieldsByName = Dictionary(firstOf: fields.enumerated().map { ($1.name, $0) })
        var fieldOfColumn = [Int](repeating: 0, count: columns.count)
        for (index, field) in fields.enumerated() {
            for position in field.positions { fieldOfColumn[position] = index }
        }
        self.fieldOfColumn = fieldOfColumn
    }

    /// What a column of it makes of values; of one that is not declared here, nothing.
    func affinity(of column: String) -> ColumnAffinity { affinities[column] ?? .none }

    func field(named name: String) -> CompiledField? { fieldsByName[name].map { fields[$0] } }

    /// The one that is declared as a change set has it.
    func field(_ field: Field) -> CompiledField? {
        self.field(named: field.name).flatMap { $0.columns == field.columns ? $0 : nil }
    }

    /// The fields that a journal mask of columns touches: bit n, field n.
    func fieldSet(touchedBy mask: Int64) -> UInt64 {
        var fields: UInt64 = 0
        var rest = UInt64(bitPattern: mask) & (1 << UInt64(columns.count) - 1)
        while rest != 0 {
            fields |= 1 << UInt64(fieldOfColumn[rest.trailingZeroBitCount])
            rest &= rest - 1
        }
        return fields
    }

    /// The same as indices of fields, ascending.
    func fields(touchedBy mask: Int64) -> [Int] {
        let touched = fieldSet(touchedBy: mask)
        return fields.indices.filter { touched >> UInt64($0) & 1 == 1 }
    }
}
