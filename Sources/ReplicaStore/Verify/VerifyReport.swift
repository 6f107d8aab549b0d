// What verifying a replica found, for the person who must mend it.
//
// Invariant: the first difference is named exactly; the number kept is bounded, the number counted is not.

public import ReplicationModel

/// Something in a replica that is not as it was written.
public struct VerifyFinding: Sendable, Hashable, CustomStringConvertible {
    /// The kinds of damage, each with what it means and what to do. More may be added.
    public struct Kind: Sendable, Hashable, CustomStringConvertible {
        /// One word for scripts.
        public let name: String
        /// What it means for the data.
        public let meaning: String
        /// What to do next.
        public let remedy: String
        /// The same word.
        public var description: String { name }

        private init(_ name: String, _ meaning: String, _ remedy: String) {
            self.name = name
            self.meaning = meaning
            self.remedy = remedy
        }

        private static let replace =
            "Keep this file: move it away and run `syncnode recover HOST:PORT`, which fetches everything from that peer; or restore the last good backup, and pull. What only this file has, `syncnode recover --salvage FILE` writes again."

        /// SQLite finds the file itself damaged.
        public static let file = Kind(
            "file",
            "The file is damaged beneath the level of rows: by its disk, or by a program that wrote past SQLite.",
            replace)
        /// An index does not say what its table says.
        public static let index = Kind(
            "index", "A look-up may miss rows that are there.",
            "Run `syncnode verify --repair`: indexes are made anew from their tables.")
        /// A change set in the log is not the bytes that were signed.
        public static let changeSet = Kind(
            "change_set", "The change set cannot be passed on, and what it wrote cannot be checked.", replace)
        /// What came from a peer and waits is not what was proven then.
        public static let held = Kind(
            "held", "It is not applied, so that nothing else is wrong for it.",
            "Pull: when its turn comes it is dropped, and comes again from a node that has it. Look after the disk.")
        /// A signature does not vouch for its change set.
        public static let signature = Kind(
            "signature", "Nobody vouches for what this change set wrote.", replace)
        /// Nobody knows the author, or it was not allowed to write.
        public static let author = Kind(
            "author", "The signature cannot be checked, as the roster does not let the author write this.",
            "Pull, so that the roster becomes whole; if that does not help, see `syncnode roster`.")
        /// A change set is missing, or does not follow the one before it.
        public static let chain = Kind(
            "chain", "What this origin wrote is not all here, so peers cannot get it from this node.", replace)
        /// A column of the log says something else than the signed body.
        public static let header = Kind(
            "header", "Lag, order or origin of change sets are told wrongly.", replace)
        /// What an author had seen is not what it signed that it had.
        public static let context = Kind(
            "context", "Conflicts may be seen where there are none, or missed.", replace)
        /// A stamp does not come after all that its author had seen.
        public static let stamp = Kind(
            "stamp", "Winners of fields may depend on the order of arrival.", replace)
        /// The vector says something else than the log.
        public static let vector = Kind(
            "vector", "Peers are told that this replica has something else than it has.", replace)
        /// A signed write is not known to the metadata.
        public static let unknownWrite = Kind(
            "unknown_write", "The replica has forgotten a write, and may let an older one win.", replace)
        /// The metadata knows a write that nobody signed.
        public static let unsignedWrite = Kind(
            "unsigned_write", "The replica believes in a write that is in no change set, and may let it win.", replace)
        /// A value is not the one that its author signed.
        public static let value = Kind(
            "value",
            "The value was changed behind the back of capture, or by the disk; other nodes have the signed one.",
            "Write the right value through SQL, as an edit of this node; other nodes show the signed one. To keep the one that is here, write another first: what changes nothing is no edit."
        )
        /// A row is not where its existence says.
        public static let existence = Kind(
            "existence", "The row was added or removed behind the back of capture; other nodes see it otherwise.",
            "Insert or delete the row once more with capture on, so that the workspace agrees.")
        /// Something that is awaited or parked is not where it should be.
        public static let waiting = Kind(
            "waiting", "A value that has yet to arrive, or a column that is not declared here, would be lost.", replace)
        /// The conflict ledger does not follow from the writes.
        public static let ledger = Kind(
            "ledger", "A lost value is missing, wrong, or kept for no reason; other nodes see other conflicts.", replace
        )
        /// The journal or its mark contradicts itself.
        public static let journal = Kind(
            "journal", "Edits made here may never be sealed.",
            "Move this file away, keep it, and run `syncnode recover HOST:PORT`; then `syncnode recover --salvage FILE` writes again what only that file has."
        )
        /// What is declared, or the engine's own tables, are not as they were made.
        public static let schema = Kind(
            "schema", "Rows can no longer be read as what they were written as.", replace)
        /// A record of the roster is not the bytes that the authority signed.
        public static let roster = Kind(
            "roster", "A member may be taken for a stranger, or a revocation may be forgotten.",
            "Run `syncnode verify --repair`, which lets go of it, and pull from any peer: it sends the record again.")
        /// The sealed part of a journal is not what it was: earlier values, as this node alone keeps them.
        public static let history = Kind(
            "history",
            "What this node shows of earlier values and times may be wrong; the present ones are not touched.",
            "Nothing needs mending for the workspace's sake. A replica made anew by `syncnode recover` begins a new history."
        )
        /// Something that is derived from the tables, such as a search index, is out of step with them.
        public static let derived = Kind(
            "derived", "Searches may miss rows or find what is no longer there; the rows themselves are sound.",
            "Run `syncnode verify --repair`: it is made anew from the tables.")
        /// Triggers that capture writes are missing or were changed.
        public static let capture = Kind(
            "capture", "Edits of other programs are lost to replication.",
            "Run `syncnode verify --repair`: the triggers are made anew. Edits made without them show as other findings."
        )
    }

    /// What kind of damage.
    public let kind: Kind
    /// What is wrong, and what was expected.
    public let what: String
    /// The table it is in, of the workspace or of the engine.
    public let table: String?
    /// The row.
    public let id: RowID?
    /// The field, `(row)` for existence.
    public let field: String?
    /// The change set.
    public let dot: Dot?

    /// Where it is: table, row, field and change set, as far as they are known.
    public var place: String {
        let row = id.map { " row \($0)" } ?? ""
        let column = field.map { " field \($0)" } ?? ""
        let changeSet = dot.map { " change set \($0)" } ?? ""
        return (table.map { "table \($0)" } ?? "") + row + column + changeSet
    }

    /// What, where, what it means and what to do.
    public var description: String {
        let place = place.trimmingPrefix(" ")
        let sentence = what.hasSuffix(".") ? what : what + "."
        return (place.isEmpty ? "" : "\(place): ") + "\(sentence) \(kind.meaning) \(kind.remedy)"
    }
}

/// How far verifying has come.
public struct VerifyProgress: Sendable, Hashable {
    /// What is being looked at.
    public enum Stage: String, Sendable, CaseIterable { case file, log, rows, journals, ledger, held }
    /// The present stage.
    public let stage: Stage
    /// Done of `total` in this stage: change sets in the log, tables in rows and journals, entries in the ledger.
    public let done: Int64
    /// Zero where it is not known.
    public let total: Int64
}

/// What verifying found and how much it looked at.
public struct VerifyReport: Sendable {
    /// More are only counted.
    static let findingLimit = 100

    /// The first hundred, in the order in which they were found.
    public private(set) var findings: [VerifyFinding] = []
    /// All of them.
    public private(set) var findingCount = 0
    /// Change sets in the log, each with its signature.
    public internal(set) var changeSets: Int64 = 0
    /// Field and existence writes in them.
    public internal(set) var writes: Int64 = 0
    /// Current values compared with what was signed.
    public internal(set) var values: Int64 = 0
    /// Rows of replicated tables, deleted ones included.
    public internal(set) var rows: Int64 = 0
    /// Entries of the conflict ledger.
    public internal(set) var conflicts: Int64 = 0
    /// Registers of more writes than the ledger's rule was checked for.
    public internal(set) var uncheckedRegisters: Int64 = 0
    /// Change sets that are held, each with its signature.
    public internal(set) var held: Int64 = 0
    /// Edits that are in no change set yet; no damage.
    public internal(set) var unsealed: Int64 = 0
    /// Signed values that unsealed edits hide, so that nothing is left to compare; no damage.
    public internal(set) var hidden: Int64 = 0
    /// Values that have not arrived: the replica is catching up; no damage.
    public internal(set) var awaiting: Int64 = 0
    /// Values of columns that are not declared here; no damage.
    public internal(set) var parked: Int64 = 0

    /// Nothing was found.
    public var isSound: Bool { findingCount == 0 }
    /// The first difference.
    public var first: VerifyFinding? { findings.first }

    /// Adds what was found beside the engine, such as in an index that it knows nothing of.
    public mutating func add(
        _ kind: VerifyFinding.Kind, _ what: String, table: String? = nil, id: RowID? = nil, field: String? = nil,
        dot: Dot? = nil
    ) {
        findingCount += 1
        guard findings.count < Self.findingLimit else { return }
        findings.append(VerifyFinding(kind: kind, what: what, table: table, id: id, field: field, dot: dot))
    }
}
