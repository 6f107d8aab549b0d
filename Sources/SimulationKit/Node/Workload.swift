// What programs and people do on a node: every way in which SQL writes a row, and the ledger.
//
// Invariant: what a transaction did is told from the rows before and after each of its statements, by plain SELECTs.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    private struct RolledBack: Error {}

    /// One transaction of a program: one to three statements, or an import; sometimes rolled back.
    ///
    /// - Parameter oddly: as few programs do.
    func write(on node: SimulatedNode, oddly: Bool = false) throws {
        guard node.role != .reader else { return }
        let statements: [Statement] =
            if oddly {
                (0..<writing.within(1...3)).map { _ in oddStatement(node) }
            } else if writing.chance(10) {
                importStatements(node)
            } else {
                (0..<writing.within(1...3)).map { _ in statement(node) }
            }
        let rollsBack = writing.chance(80)
        setTime(node)
        let journal = node.machine.disk.isTroubled ? try node.replica?.read { try node.journalEnds($0) } : [:]
        var book = WriteBook()
        let done: Void? = try work(node, "writes") { store in
            do {
                try store.replica.write { writer in
                    book = WriteBook()
                    for statement in statements { try run(statement, node, writer, &book) }
                    if rollsBack { throw RolledBack() }
                }
                node.witness.book.add(book)
            } catch is RolledBack {
                return
            } catch {
                node.doubt(book, journal: journal ?? [:])
                throw error
            }
        }
        trace.note(
            "\(node.name) writes \(statements.count)\(rollsBack ? ", rolled back" : "")\(done == nil ? ", fails" : "")")
        for (register, entry) in book.entries.sorted(by: { $0.key < $1.key }) {
            trace.detail("\(register.description) \(Self.describe(entry.content))")
        }
        tallies.count("transactions")
        if done != nil { changed(node) }
    }

    // MARK: Statements

    private struct Statement {
        let sql: String
        let arguments: [Value]
        let table: Table
        /// The rows that it may touch.
        let ids: Ids
        /// Where the row is there afterwards, it was inserted, even over one that was there.
        var inserts = false
        /// The second row takes the first's id, where there is a second row.
        var renames = false

        enum Ids {
            case these([String])
            /// Those not before it.
            case from(String)
        }
    }

    private func run(_ statement: Statement, _ node: SimulatedNode, _ writer: Writer, _ book: inout WriteBook) throws {
        let ids: [RowID]
        switch statement.ids {
        case .these(let names): ids = names.map { RowID($0) }
        case .from(let first):
            ids = try writer.query(
                "SELECT id FROM \"\(statement.table.name)\" WHERE id >= ? ORDER BY id", [Value(first)]
            )
            .compactMap { row in
                guard case .text(let bytes) = row[0] else { return nil }
                return RowID(bytes: bytes)
            }
        }
        let before = try ids.map { try SimulatedNode.row(statement.table, $0, writer) }
        try writer.execute(statement.sql, statement.arguments)
        for (index, id) in ids.enumerated() {
            let after = try SimulatedNode.row(statement.table, id, writer)
            let inserts = statement.renames ? index == 0 && before[1] != nil && ids[0] != ids[1] : statement.inserts
            book.note(statement.table, id, before: before[index], after: after, inserts: inserts, at: node.machine.now)
        }
    }

    private func id() -> String { "r\(writing.below(12))" }

    private func freshID(_ node: SimulatedNode) -> String {
        "\(node.name)-\(String(writing.next(), radix: 16))"
    }

    private func text() -> Value {
        switch writing.below(100) {
        case 0..<70: Value("v\(writing.below(1_000_000))")
        case 70..<75: .text([0, 0xff] + writing.bytes(writing.below(30)))
        case 75..<95: long(writing.within(250...2_000))
        case 95..<99: long(writing.within(2_000...20_000))
        default: long(writing.chance(300) ? writing.within(100_000...200_000) : 30_000)
        }
    }

    private func long(_ count: Int) -> Value {
        let seed = Array(String(writing.next(), radix: 16).utf8)
        return .text((0..<count).map { seed[$0 % seed.count] })
    }

    private func amount() -> Value {
        switch writing.below(6) {
        case 0: .null
        case 1: .real(Double(bitPattern: writing.next() & 0x7FEF_FFFF_FFFF_FFFF))
        case 2: .real(writing.chance(500) ? -0.0 : 1)
        case 3: .blob(writing.bytes(writing.below(400)))
        case 4: Value("x")
        default: .integer(Int64(writing.below(4)))
        }
    }

    private func importStatements(_ node: SimulatedNode) -> [Statement] {
        tallies.count("imports")
        return (0..<writing.within(50...300)).map { _ in
            let id = freshID(node)
            return Statement(
                sql: "INSERT INTO notes(id, title, body) VALUES (?, ?, ?)",
                arguments: [Value(id), Value("imported"), long(writing.within(10...400))], table: node.tables[0],
                ids: .these([id]), inserts: true)
        }
    }

    /// Deletes in every table, texts that are empty and not NULL, and ids that nobody would think of.
    private func oddStatement(_ node: SimulatedNode) -> Statement {
        let table = writing.pick(node.tables)
        let column = writing.pick(table.columns).name
        let prefix = ["links": "l", "marks": "m"][table.name] ?? ""
        let ids = [
            " ", "r1\u{0}", "R1", "r1 ", "é", "e\u{301}", "😀", String(repeating: "x", count: RowID.byteCountLimit),
            "x'; --",
        ]
        let id = writing.chance(500) ? prefix + self.id() : writing.pick(ids)
        let value: Value = writing.pick([Value(""), Value(" "), Value("0"), Value("\u{0}"), .integer(0)])
        func one(_ sql: String, _ arguments: [Value], inserts: Bool = false) -> Statement {
            Statement(sql: sql, arguments: arguments, table: table, ids: .these([id]), inserts: inserts)
        }
        switch writing.below(4) {
        case 0: return one("DELETE FROM \(table.name) WHERE id = ?", [Value(id)])
        case 1: return one("UPDATE \(table.name) SET \(column) = ? WHERE id = ?", [value, Value(id)])
        case 2 where column != "title":
            return one("UPDATE \(table.name) SET \(column) = NULL WHERE id = ?", [Value(id)])
        default:
            return one(
                "INSERT OR REPLACE INTO \(table.name)(id, \(column)) VALUES (?, ?)", [Value(id), value], inserts: true)
        }
    }

    private func statement(_ node: SimulatedNode) -> Statement {
        let notes = node.tables[0]
        let name = writing.chance(850) ? id() : freshID(node)
        let key = Value(name)
        func one(_ sql: String, _ arguments: [Value], inserts: Bool = false) -> Statement {
            Statement(sql: sql, arguments: arguments, table: notes, ids: .these([name]), inserts: inserts)
        }
        switch writing.below(24) {
        case 0...2:
            return one("INSERT OR IGNORE INTO notes(id, title, body) VALUES (?, ?, ?)", [key, text(), text()])
        case 3:
            return one("REPLACE INTO notes(id, body, amount) VALUES (?, ?, ?)", [key, text(), amount()], inserts: true)
        case 4, 5:
            return one(
                """
                INSERT INTO notes(id, body) VALUES (?, ?)
                ON CONFLICT(id) DO UPDATE SET body = excluded.body
                """, [key, text()])
        case 6...9: return one("UPDATE notes SET title = ? WHERE id = ?", [text(), key])
        case 10, 11: return one("UPDATE notes SET body = ? WHERE id = ?", [text(), key])
        case 12: return one("UPDATE notes SET amount = ? WHERE id = ?", [amount(), key])
        case 13, 14:
            return one(
                "UPDATE notes SET due_on = ?, due_precision = ? WHERE id = ?",
                [text(), writing.chance(500) ? .null : text(), key])
        case 15:
            return one(
                "UPDATE notes SET title = ?, body = ?, due_on = ?, due_precision = ?, amount = ? WHERE id = ?",
                [text(), text(), text(), text(), amount(), key])
        case 16:
            return Statement(
                sql: "UPDATE notes SET amount = ? WHERE id >= ?", arguments: [amount(), Value("r5")], table: notes,
                ids: .from("r5"))
        case 17, 18: return one("DELETE FROM notes WHERE id = ?", [key])
        case 19:
            let other = id()
            return Statement(
                sql: "UPDATE OR REPLACE notes SET id = ? WHERE id = ?", arguments: [Value(other), key], table: notes,
                ids: .these([other, name]), renames: true)
        case 20:
            return Statement(
                sql: "INSERT OR REPLACE INTO links(id, note_id, target) VALUES (?, ?, ?)",
                arguments: [Value("l" + name), key, text()], table: node.tables[1], ids: .these(["l" + name]),
                inserts: true)
        case 21 where node.tables.count > 2:
            return Statement(
                sql: "INSERT OR REPLACE INTO marks(id, note_id, kind) VALUES (?, ?, ?)",
                arguments: [Value("m" + name), key, text()], table: node.tables[2], ids: .these(["m" + name]),
                inserts: true)
        case 22 where node.tables.count > 2:
            return one(
                "UPDATE notes SET place_name = ?, place_code = ?, tag = ? WHERE id = ?", [text(), text(), text(), key])
        default:
            return Statement(
                sql: "PRAGMA recursive_triggers = \(writing.chance(500) ? "ON" : "OFF")", arguments: [], table: notes,
                ids: .these([]))
        }
    }
}
