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
        // What a column here would make another value of goes beside its table, register by register.
        let isKept = try transaction.keeps(proven)
        try proven.view.withRows { reader in
            for part in proven.view.tables { try apply(part, reader, header, isKept: isKept, &values) }
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
        let header = proven.header
        guard header.totalsBefore == record.totals else {
            throw ApplyViolation(
                kind: .malformed, dot: header.dot,
                description:
                    "\(header.dot) counts \(header.totalsBefore.changes) changes before it where \(record.totals.changes) came."
            )
        }
        for (origin, sequence) in header.contextChanges.sorted
        where try transaction.origins.lastSeen(of: origin, by: record.number, writer) >= sequence {
            throw ApplyViolation(
                kind: .malformed, dot: header.dot,
                description: "\(header.dot) takes back what it had seen of \(origin).")
        }
    }

    /// Every stamp is greater than every stamp in the causal context. Older context was checked when it was new.
    ///
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
        let header = proven.header
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
        for part in proven.view.tables {
            guard let table = transaction.table(named: part.table) else {
                return .hold(
                    .unknownTable, "names the table \(part.table), which is not declared here", until: .declarations)
            }
            for field in part.fields where try !merger.agrees(field, with: table) {
                return .hold(
                    .schemaDiffers, "\(part.table).\(field.name) has other columns here", until: .declarations)
            }
        }
        return nil
    }
}
