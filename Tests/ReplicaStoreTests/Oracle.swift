// What a workspace must look like, told from the signed change sets alone by the definitions of the design, without
// the engine's merge: winners are maxima, and lost writes are found by looking at all pairs.
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@testable import ReplicaStore

struct Oracle {
    struct Register: Hashable {
        let table: String
        let id: RowID
        let field: String
    }

    struct Write {
        let version: Version
        let cells: [Cell]
        let alive: Bool?
        let isInsert: Bool
    }

    private(set) var writes: [Register: [Write]] = [:]
    /// The whole causal context of each change set, its own origin's predecessors left out.
    private var contexts: [Dot: VersionVector] = [:]

    /// Reads every change set in a replica's log.
    init(_ replica: Replica) throws {
        var running: [Origin: VersionVector] = [:]
        let bodies = try replica.read { try $0.query("SELECT body FROM sync_change_sets ORDER BY origin, seq") }
        for row in bodies {
            guard case .blob(let body) = row[0] else { continue }
            let changeSet = try ChangeSetCodec.decode(body)
            let header = changeSet.header
            running[header.origin, default: VersionVector()].formUnion(header.contextChanges)
            contexts[header.dot] = running[header.origin]
            for table in changeSet.tables { add(table, header) }
        }
    }

    private mutating func add(_ table: TableChanges, _ header: ChangeSetHeader) {
        for row in table.rows {
            let version = Version(stamp: row.stamp, origin: header.origin, sequence: header.sequence)
            func add(_ field: String, _ cells: [Cell], _ alive: Bool?, to writes: inout [Register: [Write]]) {
                writes[Register(table: table.table, id: row.id, field: field), default: []]
                    .append(Write(version: version, cells: cells, alive: alive, isInsert: row.kind == .insert))
            }
            if row.kind != .update { add("(row)", [], row.kind != .delete, to: &writes) }
            guard row.kind == .insert || row.kind == .update else { continue }
            var start = 0
            for index in table.fieldSets[row.fieldSet] {
                let field = table.fields[index]
                add(field.name, Array(row.cells[start..<start + field.columns.count]), nil, to: &writes)
                start += field.columns.count
            }
        }
    }

    private func saw(_ new: Version, _ old: Version) -> Bool {
        new.origin == old.origin ? new.sequence > old.sequence : contexts[new.dot]?[old.origin] ?? .zero >= old.sequence
    }

    private func concurrent(_ a: Version, _ b: Version) -> Bool { a != b && !saw(a, b) && !saw(b, a) }

    func winner(_ register: Register) -> Write? {
        writes[register]?.max { $0.version < $1.version }
    }

    /// Replication.md, section 5: whether what a write lost to makes it worth looking at.
    private func isShown(_ lost: Write, beside witness: Write, among writes: [Write]) -> Bool {
        if lost.cells == witness.cells && lost.alive == witness.alive { return false }
        guard lost.isInsert, lost.alive == nil else { return true }
        let saidNothing = lost.cells.allSatisfy { $0 == .inline(.null) }
        let wasKnown = writes.contains { $0.isInsert && $0.cells == lost.cells && saw(witness.version, $0.version) }
        return !saidNothing && !wasKnown
    }

    /// The keys of all lost writes, each with whether it is shown beside some witness.
    func lost() -> [String: Bool] {
        var lost: [String: Bool] = [:]
        for (register, writes) in writes {
            for candidate in writes {
                let l = candidate.version
                let witnesses = writes.filter { other in
                    let w = other.version
                    return l < w && concurrent(l, w)
                        && !writes.contains { saw($0.version, l) && concurrent($0.version, w) }
                }
                guard !witnesses.isEmpty else { continue }
                let key = Ledger.key(table: register.table, id: register.id, field: register.field, version: l)
                lost[key] = witnesses.contains { isShown(candidate, beside: $0, among: writes) }
            }
        }
        return lost
    }

    /// Asserts that a replica holds the winners, where they belong, and the ledger of all lost writes.
    func check(_ replica: Replica, _ tables: [Table], _ comment: Comment) throws {
        let misfits = Dictionary(
            uniqueKeysWithValues: try replica.misfits().map { ("\($0.table) \($0.id) \($0.field)", $0.values) })
        let ids = Set(writes.keys.map { [$0.table, $0.id.description] })
        for table in tables {
            let live = try rows(replica, table.name, table)
            let dead = try rows(replica, "sync_graveyard_\(table.name)", table)
            let known = ids.filter { $0[0] == table.name }.map { $0[1] }
            #expect(live.count + dead.count == known.count, comment)
            for id in known {
                let existence = winner(Register(table: table.name, id: RowID(id), field: "(row)"))
                guard let row = existence?.alive == true ? live[id] : dead[id] else {
                    Issue.record("\(comment): \(table.name) \(id) is not where it belongs")
                    continue
                }
                for field in table.fields {
                    guard let winner = winner(Register(table: table.name, id: RowID(id), field: field.name)) else {
                        continue
                    }
                    let beside = misfits["\(table.name) \(id) \(field.name)"]
                    let values = field.columns.compactMap { (beside ?? row)[$0] }
                    #expect(
                        values.map(ChangeSetBuilder.cell) == winner.cells,
                        "\(comment): \(table.name) \(id) \(field.name)")
                }
            }
        }
        let ledger = try replica.read { try $0.query("SELECT key, shown FROM sync_conflicts") }
        let found = Dictionary(uniqueKeysWithValues: ledger.map { ($0[0].string ?? "", $0[1] == .integer(1)) })
        #expect(found == lost(), comment)
        let absent = try replica.read { try $0.query("SELECT * FROM sync_conflict_values WHERE absent") }
        #expect(absent.isEmpty, comment)
        #expect(try replica.read { try $0.query("SELECT * FROM sync_awaiting") }.isEmpty, comment)
    }

    private func rows(_ replica: Replica, _ name: String, _ table: Table) throws -> [String: [String: Value]] {
        let rows = try replica.read { try $0.query("SELECT * FROM \"\(name)\"") }
        return Dictionary(
            uniqueKeysWithValues: rows.map { row in
                (
                    row["id"].string ?? "",
                    Dictionary(uniqueKeysWithValues: table.columns.map { ($0.name, row[$0.name]) })
                )
            })
    }
}
