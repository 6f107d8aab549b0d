// What people do on a node: they settle conflicts, bring deleted rows back, release what is held.
//
// Invariant: the book learns of it from the rows before and after, as it learns of a program's writes.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    /// Deals with one of the open conflicts, if there is any.
    func settleConflict(on node: SimulatedNode) throws {
        guard node.role != .reader, let replica = node.replica else { return }
        setTime(node)
        let open = try replica.conflicts()
        guard !open.isEmpty else { return }
        let conflict = open[decisions.below(open.count)]
        let keeps = decisions.chance(500)
        guard let table = node.table(conflict.table) else { return }
        try check(conflict, node, table)
        let bringsBack = keeps && conflict.field == Register.existence && conflict.lostValues == [.integer(1)]
        if bringsBack, try !sealFirst(node) { return }
        let journal = try replica.read { try node.journalEnds($0) }
        let writes = try replica.read { try writesOfSettling(conflict, keeps: keeps, table, node, $0) }
        let done: Void? = try work(node, "settles \(conflict.key)") { store in
            do {
                if keeps { try store.replica.keep(conflict) } else { try store.replica.accept(conflict) }
                let acknowledgements = SimulatedSchema.acknowledgements.name
                // Bringing a row back seals it, and then the conflict is acknowledged.
                for table in Set(writes.entries.keys.map(\.table)).sorted() {
                    if bringsBack, table == acknowledgements {
                        node.witness.later.add(writes, table: table)
                    } else {
                        node.witness.book.add(writes, table: table)
                    }
                }
            } catch let error as ReplicaError where error.code == .input {
                // Its value has not arrived, or its row is deleted: nothing is written.
                tallies.count("not-kept")
            } catch {
                node.doubt(writes, journal: journal, isOneTransaction: false)
                throw error
            }
        }
        trace.note("\(node.name) \(keeps ? "keeps" : "accepts") \(conflict.key)\(done == nil ? ", fails" : "")")
        tallies.count(keeps ? "kept" : "accepted")
        if done != nil { changed(node) }
    }

    /// What is said to have lost is what that change set wrote, column by column.
    private func check(_ conflict: Conflict, _ node: SimulatedNode, _ table: Table) throws {
        let dot = Dot(origin: conflict.lost.origin, sequence: conflict.lost.sequence)
        guard let entry = entry(dot, at: node) else { return }
        let register = Register(table: conflict.table, id: conflict.row, field: conflict.field)
        var written: [Cell]?
        for changes in entry.changeSet.tables where changes.table == conflict.table {
            changes.forEachWrite { found, row, cells in
                guard found == register, row.stamp == conflict.lost.stamp else { return }
                let isExistence = found.field == Register.existence
                written = isExistence ? [.inline(.integer(row.kind == .delete ? 0 : 1))] : cells
            }
        }
        let columns = table.fields.first { $0.name == conflict.field }?.columns ?? []
        // An older schema does not declare the field.
        guard let written, columns.isEmpty || conflict.columns == columns, written.count == conflict.lostValues.count,
            zip(conflict.lostValues, written).allSatisfy({ $0.map(Self.cell) ?? $1 == $1 })
        else {
            throw SimulationViolation(
                "\(node.name) says that \(register.description) lost \(conflict.columns) \(conflict.lostValues), and \(describe(VersionVector([dot.origin: dot.sequence]))) wrote \(written as Any)"
            )
        }
    }

    /// Bringing a row back seals before it: done by itself, so that a delete of before is looked for where it was sealed.
    private func sealFirst(_ node: SimulatedNode) throws -> Bool {
        try work(node, "seals") { try $0.replica.seal() } != nil
    }

    /// What settling a conflict writes, by what it promises.
    private func writesOfSettling(
        _ conflict: Conflict, keeps: Bool, _ table: Table, _ node: SimulatedNode, _ reader: Reader
    ) throws -> WriteBook {
        var book = WriteBook()
        let now = node.machine.now
        let acknowledgement = SimulatedSchema.acknowledgements
        let key = RowID(conflict.key)
        if try SimulatedNode.row(acknowledgement, key, reader) == nil {
            let subject = "\(conflict.table) \(conflict.row) \(conflict.field) \(conflict.lost)"
            book.note(acknowledgement, key, before: nil, after: [Value(subject)], inserts: true, at: now)
        }
        guard keeps else { return book }
        let row = try SimulatedNode.row(table, conflict.row, reader)
        if conflict.field == Register.existence {
            let isAlive = conflict.lostValues == [.integer(1)]
            if isAlive != (row != nil) {
                let register = Register(table: table.name, id: conflict.row, field: Register.existence)
                book.write(register, .existence(alive: isAlive), at: now)
            }
        } else if let row {
            var kept = row
            for (column, value) in zip(conflict.columns, conflict.lostValues) {
                guard let place = table.columns.firstIndex(where: { $0.name == column }), let value else { continue }
                kept[place] = value
            }
            book.note(table, conflict.row, before: row, after: kept, inserts: false, at: now)
        }
        return book
    }

    /// Brings a deleted row back, if there is any.
    func undelete(on node: SimulatedNode) throws {
        guard node.role != .reader, let replica = node.replica else { return }
        setTime(node)
        let table = node.tables[0]
        let dead = try replica.read {
            try $0.query("SELECT id FROM \"sync_graveyard_\(table.name)\" ORDER BY id").compactMap { row -> RowID? in
                guard case .text(let bytes) = row[0] else { return nil }
                return RowID(bytes: bytes)
            }
        }
        guard !dead.isEmpty else { return }
        let id = decisions.pick(dead)
        guard try sealFirst(node) else { return }
        let register = Register(table: table.name, id: id, field: Register.existence)
        var book = WriteBook()
        book.write(register, .existence(alive: true), at: node.machine.now)
        let journal = try replica.read { try node.journalEnds($0) }
        let done = try work(node, "undeletes \(id)") { store in
            do {
                guard try store.replica.undelete(table: table.name, id: id) else { return false }
                node.witness.book.add(book)
                return true
            } catch {
                node.doubt(book, journal: journal)
                throw error
            }
        }
        trace.note("\(node.name) undeletes \(id): \(done.map { "\($0)" } ?? "fails")")
        if done == true {
            tallies.count("undeleted")
            changed(node)
        }
    }
}
