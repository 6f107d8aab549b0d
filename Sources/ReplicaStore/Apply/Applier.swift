// Applying: what other origins wrote, into tables, graveyard, ledger, log and vector.
//
// Invariant: a change set is applied wholly or not at all, in causal order, and everything received is applied, a
// duplicate, held, or refused with its cause.

public import ReplicationModel
internal import ReplicationWire
internal import Trust

/// A change set that is well formed, signed by its author, and whose values match their digests.
public struct ProvenChangeSet: Sendable {
    let sealed: SealedChangeSet
    let changeSet: ChangeSet
    let digest: Digest
    /// The change set it is.
    public var dot: Dot { changeSet.header.dot }
}

/// Why a change set was refused: something its sender must not have sent.
public struct ApplyViolation: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of violation, which decides what the peer is told.
    public enum Kind: Sendable, Hashable {
        case malformed, signature, author, gap
        /// No breach: it has to wait, and as much of its author waits here as is kept.
        case heldEnough
    }
    public let kind: Kind
    public let dot: Dot?
    public let description: String
}

/// What applying a batch did.
public struct ApplyReport: Sendable {
    public var applied = VersionVector()
    /// The part of `applied` below which no value is awaited.
    public var safe = VersionVector()
    /// Held of this batch.
    public var held: [HeldChangeSet] = []
    /// Origins of which two histories were met.
    public var forks: [ForkSuspicion] = []
    public var changeSets = 0
    public var duplicates = 0
    public var changes: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Conflicts that came to be shown, less those that went.
    public var conflicts = 0
    /// The change sets before it in the batch are applied; it and what follows are not.
    public var violation: ApplyViolation?
    /// Field writes of this node that a cut had set aside, and that were written again.
    public var rewritten: UInt64 = 0
    /// How often this replica was rewound: where that changed, what it acknowledged before is void.
    public var rewinds: Int64 = 0
}

final class Applier {
    enum Outcome {
        case applied(ChangeSetHeader, bodyBytes: Int)
        case duplicate
        case hold(HeldCause, String, until: HeldRelease)
        /// What is known here of its origin is another history than the one it belongs to.
        case fork(ForkSuspicion)
    }

    private let transaction: EngineTransaction
    private let merger: RegisterMerger
    /// Origins of which something is held.
    private let isHeld: (Origin) -> Bool
    /// Dots that the operator released whatever their stamps.
    private let released: Set<Dot>
    private var writer: Writer { transaction.writer }

    init(_ transaction: EngineTransaction, released: Set<Dot>, isHeld: @escaping (Origin) -> Bool) {
        self.transaction = transaction
        self.isHeld = isHeld
        self.released = released
        merger = RegisterMerger(transaction)
    }

    /// Applies one change set, or says why it must wait.
    func apply(_ proven: ProvenChangeSet, from peer: NodeID?) throws -> Outcome {
        let header = proven.changeSet.header
        try checkMayBegin(header)
        let record = try transaction.origins.record(for: header.origin, in: writer)
        if header.sequence <= record.applied { return try duplicate(proven, record) }
        if let cut = transaction.cuts[header.origin], header.sequence > cut.lastAccepted {
            let why = cut.cause == .revoked ? "its author was revoked after" : "its origin forked after"
            return .hold(HeldCause(cut.cause), "\(why) \(cut.lastAccepted)", until: .anything)
        }
        if let wait = try mustWait(header, record) { return wait }
        if header.previous != record.digest {
            return .fork(ForkSuspicion(origin: header.origin, differs: record.applied))
        }
        try checkChain(proven, record)
        if let fork = try checkRuleS(header, record) { return fork }
        if let wait = try clockOrSchema(proven) { return wait }
        try transaction.origins.extendContext(
            of: record.number, at: header.sequence, by: header.contextChanges, in: writer)
        var values = proven.sealed.values[...]
        for table in proven.changeSet.tables { try apply(table, header, &values) }
        try transaction.append(
            LoggedChangeSet(
                header: header, body: proven.sealed.body, digest: proven.digest, signature: proven.sealed.signature,
                receivedFrom: peer))
        return .applied(header, bodyBytes: proven.sealed.body.count)
    }

    // MARK: Checks

    /// A writer may not make more origins than a revocation can list, nor the workspace more than a vector can hold: then no
    /// node could greet another any more.
    private func checkMayBegin(_ header: ChangeSetHeader) throws {
        guard transaction.origins[header.origin] == nil else { return }
        let known = transaction.origins.records
        func refused(_ why: String) -> ApplyViolation {
            ApplyViolation(
                kind: .author, dot: header.dot,
                description: "\(header.dot) is refused: \(why). See who makes them, and revoke it.")
        }
        guard known.count(where: { $0.origin.node == header.origin.node }) < Limits.originsOfNode else {
            throw refused("its node has \(Limits.originsOfNode) origins here, the limit")
        }
        guard known.count < Limits.origins else {
            throw refused("the workspace has \(Limits.origins) origins, the limit")
        }
    }

    private func duplicate(_ proven: ProvenChangeSet, _ record: OriginRecord) throws -> Outcome {
        let statement = try writer.prepare("SELECT digest FROM sync_change_sets WHERE origin = ? AND seq = ?")
        statement.bind(1, record.number)
        statement.bind(2, Int64(bitPattern: proven.dot.sequence.rawValue))
        let known = try statement.first { statement.bytes(0) }
        guard known == proven.digest.bytes else {
            return .fork(ForkSuspicion(origin: proven.dot.origin, differs: proven.dot.sequence))
        }
        try AwaitedValues.fill(proven, transaction, merger)
        return .duplicate
    }

    /// Something before it is missing: held where that is what waits, a gap otherwise.
    private func mustWait(_ header: ChangeSetHeader, _ record: OriginRecord) throws -> Outcome? {
        if header.sequence != record.applied.next {
            guard isHeld(header.origin) else {
                throw ApplyViolation(
                    kind: .gap, dot: header.dot,
                    description:
                        "\(header.dot) came while only \(record.applied) are known: what lies between is missing.")
            }
            let predecessor = Dot(origin: header.origin, sequence: header.sequence.previous)
            return .hold(.waitsForEarlier, "waits for \(predecessor)", until: .after(predecessor))
        }
        for (origin, sequence) in header.contextChanges.sorted {
            let known = transaction.origins[origin]?.applied ?? .zero
            guard known < sequence else { continue }
            guard isHeld(origin) else {
                throw ApplyViolation(
                    kind: .gap, dot: header.dot,
                    description: "\(header.dot) builds on \(origin):\(sequence), of which only \(known) are known.")
            }
            let missing = Dot(origin: origin, sequence: sequence)
            return .hold(.waitsForEarlier, "waits for \(missing)", until: .after(missing))
        }
        return nil
    }

    private func checkChain(_ proven: ProvenChangeSet, _ record: OriginRecord) throws {
        let header = proven.changeSet.header
        guard header.totalsBefore == record.totals else {
            throw ApplyViolation(
                kind: .malformed, dot: header.dot,
                description:
                    "\(header.dot) counts \(header.totalsBefore.changes) changes before it where \(record.totals.changes) came."
            )
        }
        let context = try transaction.origins.context(of: record.number, writer)
        for (origin, sequence) in header.contextChanges.sorted where context[origin] >= sequence {
            throw ApplyViolation(
                kind: .malformed, dot: header.dot,
                description: "\(header.dot) takes back what it had seen of \(origin).")
        }
    }

    /// Every stamp is greater than every stamp in the causal context. Older context was checked when it was new.
    /// What its author had written before is known here, so a stamp that does not follow it breaks the rule. What it had seen
    /// of others it names by number alone: where that has a later stamp here, it is another change set of that number, and
    /// its origin has forked; or the author breaks the rule after all, which a search for the fork shows.
    private func checkRuleS(_ header: ChangeSetHeader, _ record: OriginRecord) throws -> Outcome? {
        guard record.lastStamp < header.firstStamp else {
            throw ApplyViolation(
                kind: .malformed, dot: header.dot,
                description:
                    "\(header.dot) is stamped \(header.firstStamp), not after \(record.lastStamp), which its author had seen."
            )
        }
        return try Self.laterContext(of: header, transaction.origins, writer).map { .fork($0) }
    }

    /// What the author says it had seen, and is stamped later here.
    static func laterContext(of header: ChangeSetHeader, _ origins: OriginBook, _ reader: Reader) throws
        -> ForkSuspicion?
    {
        for (origin, sequence) in header.contextChanges.sorted {
            let statement = try reader.prepare("SELECT last_stamp FROM sync_change_sets WHERE origin = ? AND seq = ?")
            statement.bind(1, try origins.number(of: origin))
            statement.bind(2, Int64(bitPattern: sequence.rawValue))
            guard let stamp = try statement.first({ Stamp(rawValue: statement.integer(0)) }) ?? nil else {
                throw ReplicaError.damaged("the log lacks \(origin):\(sequence)")
            }
            if stamp >= header.firstStamp { return ForkSuspicion(origin: origin, differs: sequence) }
        }
        return nil
    }

    private func clockOrSchema(_ proven: ProvenChangeSet) throws -> Outcome? {
        let header = proven.changeSet.header
        let ahead = header.lastStamp.wallClock.milliseconds - transaction.now.milliseconds
        if released.contains(header.dot) {
            try transaction.accept(upTo: header.lastStamp)
        } else if ahead > Limits.aheadMilliseconds,
            try !transaction.builds(onAccepted: header.lastStamp)
        {
            return .hold(
                .clockAhead, "stamped \(ahead / 1000) s ahead of this node's clock",
                until: .at(
                    WallClock(milliseconds: header.lastStamp.wallClock.milliseconds - Limits.aheadMilliseconds)))
        }
        for part in proven.changeSet.tables {
            guard let table = transaction.table(named: part.table) else {
                return .hold(
                    .unknownTable, "names the table \(part.table), which is not declared here", until: .declarations)
            }
            for field in part.fields where try !merger.agrees(field, with: table) {
                return .hold(
                    .schemaDiffers, "\(part.table).\(field.name) has other columns here", until: .declarations)
            }
        }
        if let (table, column) = try transaction.misfit(in: proven) {
            return .hold(
                .schemaDiffers,
                "\(table).\(column) has another type here, which would make another value of what was written",
                until: .declarations)
        }
        return nil
    }

    // MARK: Rows

    /// Applies some rows of a change set that is in the log already.
    ///
    /// - Parameter values: those beside the rows' cells, in order.
    func replay(_ part: TableChanges, _ header: ChangeSetHeader, values: [[UInt8]?]) throws {
        var values = values[...]
        try apply(part, header, &values)
    }

    /// How the cells of one field set fall to fields, and how a fresh row is inserted with them.
    private struct Plan {
        /// Each with the range of its cells.
        let fields: [(field: CompiledField, cells: Range<Int>)]
        let shape: Int64
        /// Nil where some field is not declared here, or none is listed.
        let insert: Statement?
        /// For each parameter of `insert` after the id, the cell.
        let cells: [Int]
    }

    private func apply(_ part: TableChanges, _ header: ChangeSetHeader, _ values: inout ArraySlice<[UInt8]?>) throws {
        guard let table = transaction.table(named: part.table) else {
            preconditionFailure("unknown tables were held")
        }
        let store = try transaction.store(table)
        let fields = try part.fields.map { try merger.field($0, of: table) }
        let plans = try part.fieldSets.map { try plan($0.map { fields[$0] }, table) }
        for row in part.rows {
            let received = Self.take(row.cells, from: &values)
            let version = Version(stamp: row.stamp, origin: header.origin, sequence: header.sequence)
            let plan = row.kind == .insert || row.kind == .update ? plans[row.fieldSet] : nil
            if row.kind == .insert, let plan,
                let state = try store.insertRow(row.id, shape: plan.shape, version: version)
            {
                try insertFresh(row, received, plan, state, version, table, store)
                continue
            }
            var state = try store.findOrMake(row.id)
            let target = RegisterMerger.Row(table: table, store: store, id: row.id)
            if row.kind.writesExistence {
                try merger.mergeExistence(row.kind, version, target, &state)
            }
            for (field, range) in plan?.fields ?? [] {
                try merger.merge(
                    field, row.kind, version, cells: Array(row.cells[range]), values: Array(received[range]), target,
                    state)
            }
        }
    }

    private func plan(_ fields: [CompiledField], _ table: CompiledTable) throws -> Plan {
        var ranges: [(CompiledField, Range<Int>)] = []
        var start = 0
        for field in fields {
            ranges.append((field, start..<start + field.columns.count))
            start += field.columns.count
        }
        let shape = try transaction.shapes.number(of: fields.map(\.number), in: writer)
        guard fields.allSatisfy({ !$0.positions.isEmpty }) else {
            return Plan(fields: ranges, shape: shape, insert: nil, cells: [])
        }
        let columns = fields.flatMap(\.columns).map { ", \"\($0)\"" }.joined()
        let parameters = String(repeating: ", ?", count: start)
        let insert = try writer.prepare("INSERT INTO \"\(table.name)\"(id\(columns)) VALUES (?\(parameters))")
        return Plan(fields: ranges, shape: shape, insert: insert, cells: Array(0..<start))
    }

    private func insertFresh(
        _ row: RowChange, _ received: [LedgerValue], _ plan: Plan, _ state: RowState, _ version: Version,
        _ table: CompiledTable, _ store: TableStore
    ) throws {
        let complete = received.allSatisfy { $0 != .absent }
        if complete, let insert = plan.insert {
            insert.bind(1, text: row.id.bytes)
            for (index, value) in received.enumerated() {
                if case .present(let value) = value { insert.bind(Int32(index + 2), value) }
            }
            try insert.run()
            return
        }
        // Something is absent or not declared here: the row with what there is, the rest awaited or parked.
        let columns = plan.fields.filter { !$0.field.positions.isEmpty }.flatMap { field, range in
            zip(field.columns, received[range]).compactMap { column, value -> (String, Value)? in
                guard case .present(let value) = value, received[range].allSatisfy({ $0 != .absent }) else {
                    return nil
                }
                return (column, value)
            }
        }
        let names = columns.map { ", \"\($0.0)\"" }.joined()
        let parameters = String(repeating: ", ?", count: columns.count)
        try writer.execute(
            "INSERT INTO \"\(table.name)\"(id\(names)) VALUES (?\(parameters))",
            [.text(row.id.bytes)] + columns.map(\.1))
        for (field, range) in plan.fields {
            if received[range].contains(.absent) {
                try transaction.awaitValue(of: version, table: table, row: state.row, field: field.number)
            } else if field.positions.isEmpty {
                try Parking.park(Array(received[range]), field, row: state.row, of: table, in: writer)
            }
        }
    }

    /// The values of a row's cells, those beside the body taken from `values`.
    static func take(_ cells: [Cell], from values: inout ArraySlice<[UInt8]?>) -> [LedgerValue] {
        cells.map { cell in
            switch cell {
            case .inline(let value): return .present(value)
            case .beside(let large):
                guard let bytes = values.popFirst() ?? nil else { return .absent }
                return .present(large.kind == .text ? .text(bytes) : .blob(bytes))
            }
        }
    }
}
