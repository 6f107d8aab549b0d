// What the programs of one node wrote and what is in no change set of it yet: the witness against capture and sealing.
//
// Invariant: it is kept from what rows were before and after each statement, by plain SELECTs, and from nothing that the
// engine keeps.

internal import ReplicationModel

/// One field of one row, or the row's existence.
struct Register: Hashable, Comparable {
    /// What stands for existence where fields are named.
    static let existence = "(row)"

    let table: String
    let id: RowID
    let field: String

    static func < (left: Self, right: Self) -> Bool {
        if left.table != right.table { return left.table < right.table }
        if left.id != right.id { return left.id.bytes.lexicographicallyPrecedes(right.id.bytes) }
        return left.field < right.field
    }
    var description: String { "\(table) \(id) \(field)" }
}

/// What a write put into a register.
enum Content: Hashable {
    case existence(alive: Bool)
    case values([Value])
}

struct WriteBook {
    struct Entry: Hashable {
        var content: Content
        /// What the writer's clock showed.
        var at: WallClock
    }

    /// The last write of each register.
    private(set) var entries: [Register: Entry] = [:]
    /// How many writes there were, overwritten ones too.
    private(set) var count = 0
    private(set) var latest = WallClock(milliseconds: .min)

    var isEmpty: Bool { entries.isEmpty }

    mutating func write(_ register: Register, _ content: Content, at time: WallClock) {
        entries[register] = Entry(content: content, at: time)
        count += 1
        latest = max(latest, time)
    }

    /// Adds what one transaction wrote.
    mutating func add(_ other: WriteBook) {
        entries.merge(other.entries) { $1 }
        count += other.count
        latest = max(latest, other.latest)
    }

    /// Adds what one transaction wrote to one table.
    mutating func add(_ other: WriteBook, table: String) {
        var part = other
        part.entries = other.entries.filter { $0.key.table == table }
        add(part)
    }

    /// The same, but for some registers.
    func without(_ registers: some Sequence<Register>) -> WriteBook {
        var rest = self
        for register in registers { rest.entries[register] = nil }
        return rest
    }

    /// What a statement did to one row, told from the row before and after it.
    ///
    /// - Parameter inserts: it was an insert where the row is there afterwards, even over a row that was there.
    mutating func note(
        _ table: Table, _ id: RowID, before: [Value]?, after: [Value]?, inserts: Bool, at time: WallClock
    ) {
        func write(_ field: String, _ content: Content) {
            self.write(Register(table: table.name, id: id, field: field), content, at: time)
        }
        guard let after else {
            if before != nil { write(Register.existence, .existence(alive: false)) }
            return
        }
        let isNew = before == nil || inserts
        if isNew { write(Register.existence, .existence(alive: true)) }
        for field in table.fields {
            let places = field.columns.compactMap { column in table.columns.firstIndex { $0.name == column } }
            let values = places.map { after[$0] }
            if isNew || values != places.map({ before?[$0] }) { write(field.name, .values(values)) }
        }
    }
}
