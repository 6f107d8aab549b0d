// What a column of SQLite makes of a value that is put into it.
//
// Invariant: a value is said to be kept exactly where the column gives it back bit for bit.

internal import ReplicationModel

/// A column's affinity: https://www.sqlite.org/datatype3.html, section 3.1.
enum ColumnAffinity: Sendable {
    case text
    /// INTEGER and NUMERIC, which store alike.
    case numeric
    case real
    /// BLOB, or no type at all: every value is kept.
    case none

    init(declaredType: String) {
        let type = declaredType.uppercased()
        func names(_ words: String...) -> Bool { words.contains { type.contains($0) } }
        self =
            if names("INT") {
                .numeric
            } else if names("CHAR", "CLOB", "TEXT") {
                .text
            } else if type.isEmpty || names("BLOB") {
                .none
            } else if names("REAL", "FLOA", "DOUB") {
                .real
            } else {
                .numeric
            }
    }

    /// A declared type that has it.
    var typeName: String {
        switch self {
        case .text: "TEXT"
        case .numeric: "NUMERIC"
        case .real: "REAL"
        case .none: ""
        }
    }

    /// Whether the column may make another value of a cell's: asked of every cell, so it looks at no bytes.
    func mayChange(_ cell: Cell) -> Bool {
        switch self {
        case .none: return false
        case .text:
            switch cell {
            case .inline(.integer), .inline(.real): return true
            default: return false
            }
        case .numeric:
            switch cell {
            case .inline(.real), .inline(.text), .beside: return true
            default: return false
            }
        case .real:
            switch cell {
            case .inline(.integer), .inline(.real), .inline(.text), .beside: return true
            default: return false
            }
        }
    }

    /// Whether the column gives a value back as it is.
    func keeps(_ value: Value, _ reader: Reader) throws -> Bool {
        switch (self, value) {
        case (.none, _), (_, .null), (_, .blob), (.text, .text), (.numeric, .integer): return true
        case (.text, .integer), (.text, .real), (.real, .integer): return false
        case (.numeric, .real(let real)):
            // A whole number that 64 bits hold becomes an integer, but for the least.
            guard let whole = Int64(exactly: real) else { return true }
            return whole == .min
        case (.real, .real(let real)):
            // Stored as an integer where it is whole, which has no -0.0.
            return real != 0 || real.sign == .plus
        case (.numeric, .text(let bytes)), (.real, .text(let bytes)):
            return try !Self.readsAsNumber(bytes, reader)
        }
    }

    /// SQLite's own word: compared with a number, text that reads as one is one, and any other text is greater than all.
    private static func readsAsNumber(_ text: [UInt8], _ reader: Reader) throws -> Bool {
        try reader.integer("SELECT ? <= CAST(9e999 AS REAL)", .text(text)) == 1
    }
}
