// One node: its machine, its identity, and, while its process is alive, its open replica and its sessions.
//
// Invariant: whatever a node was told is committed, or told others that it has, is there after every restart.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Synchronization
internal import Trust

final class SimulatedNode {
    let index: Int
    let machine: Machine
    /// Those of another node where this machine holds a copy of its directory.
    var key: SigningKey
    var certificate: Certificate
    var tables: [Table]
    /// Nil while the process is not running.
    var store: SessionStore?
    /// Of a second program that has the replica open; it dies with the process.
    var program: SessionStore?
    /// Grows with every process, so that what an earlier one began is not finished by a later one.
    var process = 0
    var sessions: [SimulatedSession] = []
    /// What is known of its replica without asking it.
    var witness = Witness()
    /// Transactions that failed at their commits, in order: after a crash, or on a copy of the disk, one of them may turn out to have
    /// happened. Each was to stand in the place of the one before, and may have failed before it got there.
    private(set) var doubtful: [Doubtful] = []
    /// Joined the workspace, at some time.
    var hasJoined = false
    /// Its disk as it was at some time, and what was known of it then.
    var backup: Backup?
    /// Its replica as it was copied while it was in use.
    var copy: Backup?
    /// How often its disk failed it.
    var diskFailures = 0
    /// How often what it held was released beside its sessions.
    var releases = 0
    /// How many sessions it began, which numbers them in the trace.
    var sessionCount = 0

    struct Doubtful {
        let writes: WriteBook
        /// By table, the journal's last entry before it.
        let journal: [String: Int64]
        /// How often the disk had synced: where it synced again, something else was committed in its place.
        let syncs: Int
        let isOneTransaction: Bool
    }

    init(index: Int, machine: Machine, key: SigningKey, certificate: Certificate, tables: [Table]) {
        self.index = index
        self.machine = machine
        self.key = key
        self.certificate = certificate
        self.tables = tables
    }

    /// Notes a transaction that failed at its commit.
    ///
    /// - Parameters:
    ///   - journal: by table, the journal's last entry before it.
    ///   - isOneTransaction: it happens in all tables or in none.
    func doubt(_ writes: WriteBook, journal: [String: Int64], isOneTransaction: Bool = true) {
        forgetDoubt()
        doubtful.append(
            Doubtful(writes: writes, journal: journal, syncs: machine.disk.syncs, isOneTransaction: isOneTransaction))
    }

    /// What was committed after a transaction that failed stands in its place.
    func forgetDoubt() { doubtful.removeAll { machine.disk.syncs > $0.syncs } }

    /// What may have happened, the latest first; nothing is in doubt afterwards.
    func takeDoubtful() -> [Doubtful] {
        defer { doubtful = [] }
        return doubtful.reversed()
    }

    /// The disk is that of another machine, or of another time.
    func takeOver(doubtful: [Doubtful]) { self.doubtful = doubtful }

    struct Backup {
        let files: [String: [UInt8]]
        var witness: Witness
        let doubtful: [Doubtful]
        let tables: [Table]
        let mark: VirtualMark
        /// Under which it wrote.
        let origin: Origin?
    }

    static let path = "/replica.sqlite"

    var role: MemberRole { certificate.role }
    var id: NodeID { key.publicKey.nodeID }
    var name: String { "n\(index)" }
    var isUp: Bool { store != nil }
    var replica: Replica? { store?.replica }

    /// Draws incarnations.
    func mint(_ random: SeededRandom) -> @Sendable () -> UInt64 {
        let stream = Mutex(random)
        return { stream.withLock { $0.next() | 1 } }
    }

    var clock: @Sendable () -> WallClock { { [machine] in machine.now } }

    func table(_ name: String) -> Table? {
        name == SimulatedSchema.acknowledgements.name
            ? SimulatedSchema.acknowledgements : tables.first { $0.name == name }
    }

    /// The process is gone; its sessions with it.
    func forgetProcess() {
        (store, program) = (nil, nil)
        process += 1
        sessions = []
    }

    /// All columns of a row by the table's declaration; nil where there is none.
    static func row(_ table: Table, _ id: RowID, _ reader: Reader) throws -> [Value]? {
        let columns = table.columns.map { "\"\($0.name)\"" }.joined(separator: ", ")
        return try reader.query("SELECT \(columns) FROM \"\(table.name)\" WHERE id = ?", [.text(id.bytes)]).first?
            .values
    }

    /// The journals' last captured entries: tells whether a transaction took place that nobody was told of.
    func journalEnds(_ reader: Reader) throws -> [String: Int64] {
        var ends: [String: Int64] = [:]
        for table in tables + [SimulatedSchema.acknowledgements] {
            let last = try reader.query(
                "SELECT ifnull(max(n), 0) FROM \"sync_journal_\(table.name)\" WHERE op NOT IN (6, 7)"
            )
            .first?[0]
            if case .integer(let number) = last { ends[table.name] = number }
        }
        return ends
    }

    /// Whether a table's journal has an entry of some moment after another entry.
    static func hasJournaled(_ table: String, at: WallClock, after last: Int64, _ reader: Reader) throws -> Bool {
        try !reader.query(
            "SELECT 1 FROM \"sync_journal_\(table)\" WHERE n > ? AND at = ? AND op NOT IN (6, 7) LIMIT 1",
            [.integer(last), .integer(at.milliseconds)]
        ).isEmpty
    }
}
