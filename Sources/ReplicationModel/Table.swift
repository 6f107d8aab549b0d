// What a replicated table is declared to be.

/// One column of a replicated table.
public struct Column: Hashable, Sendable {
    public let name: String
    /// What stands behind the name in `CREATE TABLE`: a type, and a `DEFAULT` where the column is `NOT NULL`.
    public let definition: String

    public init(_ name: String, _ definition: String = "TEXT") {
        self.name = name
        self.definition = definition
    }
}

/// A field: the unit that wins or loses. One column, or a group of columns that only mean something together.
public struct Field: Hashable, Sendable {
    /// The column's name, or the group's.
    public let name: String
    /// In the order in which their values travel; never empty.
    public let columns: [String]

    public init(name: String, columns: [String]) {
        self.name = name
        self.columns = columns
    }
}

/// The declaration of a replicated table: `id TEXT PRIMARY KEY` and these columns. It has no constraint that two valid
/// replicas could break together.
public struct Table: Hashable, Sendable {
    /// A mask of columns must fit 63 bits of a SQLite integer.
    public static let columnLimit = 63

    public let name: String
    /// Without `id`.
    public let columns: [Column]
    /// One for each column or group, in column order.
    public let fields: [Field]

    /// - Parameter groups: group name to the columns it binds. A column in no group is a field of its own.
    public init(_ name: String, columns: [Column], groups: [String: [String]] = [:]) {
        self.name = name
        self.columns = columns
        let groupOfColumn = Dictionary(
            uniqueKeysWithValues: groups.flatMap { group in group.value.map { ($0, group.key) } })
        var fields: [Field] = []
        for column in columns {
            guard let group = groupOfColumn[column.name] else {
                fields.append(Field(name: column.name, columns: [column.name]))
                continue
            }
            if !fields.contains(where: { $0.name == group }) {
                fields.append(Field(name: group, columns: groups[group] ?? []))
            }
        }
        self.fields = fields
    }
}
