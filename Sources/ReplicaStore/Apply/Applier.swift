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
    let view: ChangeSetView
    let digest: Digest
    var header: ChangeSetHeader { view.header }
    /// With all its values: made anew each time.
    var changeSet: ChangeSet { view.changeSet }
    /// The change set it is.
    public var dot: Dot { view.header.dot }
}

/// Why a change set was refused: something its sender must not have sent.
public struct ApplyViolation: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of violation, which decides what the peer is told.
    public enum Kind: Sendable, Hashable { case malformed, signature, author, gap, fork }
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
    public var changeSets = 0
    public var duplicates = 0
    public var changes: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Conflicts that came to be shown, less those that went.
    public var conflicts = 0
    /// The change sets before it in the batch are applied; it and what follows are not.
    public var violation: ApplyViolation?
}

final class Applier {
    enum Outcome {
        case applied(ChangeSetHeader, bodyBytes: Int)
        case duplicate
        case hold(HeldCause, String, until: HeldRelease)
    }

    let transaction: EngineTransaction
    let merger: RegisterMerger
    /// Origins of which something is held.
    private let isHeld: (Origin) -> Bool
    /// Dots that the operator released whatever their stamps.
    private let released: Set<Dot>
    /// Of the row that is being inserted: which parameters take the values beside the body.
    var besidePlaces: [(parameter: Int32, kind: LargeValue.Kind)] = []
    var writer: Writer { transaction.writer }

    init(_ transaction: EngineTransaction, released: Set<Dot>, isHeld: @escaping (Origin) -> Bool) {
        self.transaction = transaction
        self.isHeld = isHeld
        self.released = released
        merger = RegisterMerger(transaction)
    }

    /// Applies one change set, or says why it must wait.
    func apply(_ proven: ProvenChangeSet, from peer: NodeID?) throws -> Outcome {
        let header = proven.header
        try checkMayBegin(header)
        let record = try transaction.origins.record(for: header.origin, in: writer)
        if header.sequence <= record.applied { return try duplicate(proven, record) }
        if let wait = try mustWait(header, record) { return wait }
        try checkChain(proven, record)
        try checkRuleS(header, record)
        if let wait = try clockOrSchema(proven.view) { return wait }
        try transaction.origins.extendContext(
            of: record.number, at: header.sequence, by: header.contextChanges, in: writer)
        var values = proven.sealed.values[...]
        try proven.view.withRows { reader in
            for part in proven.view.tables { try apply(part, reader, header, &values) }
        }
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
            throw ApplyViolation(
                kind: .fork, dot: proven.dot,
                description:
                    "\(proven.dot) is known here with another content, both signed by its author: the origin has forked, by a copied or restored replica or by intent."
            )
        }
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
        let header = proven.header
        guard header.previous == record.digest else {
            throw ApplyViolation(
                kind: .fork, dot: header.dot,
                description: "\(header.dot) does not follow the change set known before it: the origin has forked.")
        }
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
    private func checkRuleS(_ header: ChangeSetHeader, _ record: OriginRecord) throws {
        var floor = record.lastStamp
        for (origin, sequence) in header.contextChanges.sorted {
            let statement = try writer.prepare("SELECT last_stamp FROM sync_change_sets WHERE origin = ? AND seq = ?")
            statement.bind(1, try transaction.origins.number(of: origin))
            statement.bind(2, Int64(bitPattern: sequence.rawValue))
            guard let stamp = try statement.first({ Stamp(rawValue: statement.integer(0)) }) ?? nil else {
                throw ReplicaError.damaged("the log lacks \(origin):\(sequence)")
            }
            floor = max(floor, stamp)
        }
        guard floor < header.firstStamp else {
            throw ApplyViolation(
                kind: .malformed, dot: header.dot,
                description:
                    "\(header.dot) is stamped \(header.firstStamp), not after \(floor), which its author had seen.")
        }
    }

    private func clockOrSchema(_ changeSet: ChangeSetView) throws -> Outcome? {
        let header = changeSet.header
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
        for part in changeSet.tables {
            guard let table = transaction.table(named: part.table) else {
                return .hold(
                    .unknownTable, "names the table \(part.table), which is not declared here", until: .declarations)
            }
            for field in part.fields where try !merger.agrees(field, with: table) {
                return .hold(
                    .schemaDiffers, "\(part.table).\(field.name) has other columns here", until: .declarations)
            }
            if let column = Self.misfit(in: part, of: changeSet, table) {
                return .hold(
                    .schemaDiffers, "\(part.table).\(column) holds text here, and a number was written",
                    until: .declarations)
            }
        }
        return nil
    }

    /// A column that SQLite would store a number in as text, so that it would not be the value that was signed. A column of
    /// this declaration never held one.
    private static func misfit(in part: TableView, of changeSet: ChangeSetView, _ table: CompiledTable) -> String? {
        guard part.holdsNumbers else { return nil }
        let columns = part.fieldSets.map { $0.flatMap { part.fields[$0].columns } }
        return changeSet.withRows { reader in
            for row in part.rows {
                var misfit: String?
                reader.forEachCell(of: row) { index, cell in
                    switch cell {
                    case .integer, .real:
                        let column = columns[row.fieldSet][index]
                        if table.textColumns.contains(column) { misfit = misfit ?? column }
                    case .null, .inline, .beside: break
                    }
                }
                if let misfit { return misfit }
            }
            return nil
        }
    }
}
