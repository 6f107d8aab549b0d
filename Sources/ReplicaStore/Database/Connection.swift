// The door to SQLite for everything above this target: plain SQL in, `Value`s out.
//
// Invariant: a `Reader` or `Writer` lives inside one transaction and never outlives it.

internal import CSQLite
internal import GRDB
public import ReplicationModel

/// Reads within one snapshot.
public class Reader {
    let database: GRDB.Database
    let declarations: DeclarationCache

    /// - Parameter declarations: what is remembered of them; by default nothing.
    init(_ database: GRDB.Database, _ declarations: DeclarationCache = DeclarationCache()) {
        self.database = database
        self.declarations = declarations
    }

    /// All rows of a query. Statements are prepared once for each SQL text.
    public func query(_ sql: String, _ arguments: [Value] = []) throws -> [Row] {
        var rows: [Row] = []
        try forEach(sql, arguments) { rows.append($0) }
        return rows
    }

    /// One row after another, without holding them all.
    public func forEach(_ sql: String, _ arguments: [Value] = [], _ body: (Row) throws -> Void) throws {
        let statement = try prepare(sql)
        try statement.bind(arguments)
        let columns = statement.columnNames
        let range = 0..<statement.columnCount
        try statement.forEach { try body(Row(columns: columns, values: statement.values(range))) }
    }

    func prepare(_ sql: String) throws -> Statement {
        try translatingErrors { try Statement(database.cachedStatement(sql: sql)) }
    }

    /// The one integer a query gives; nil where it gives no row or NULL.
    func integer(_ sql: String, _ arguments: Value...) throws -> Int64? {
        let statement = try prepare(sql)
        try statement.bind(arguments)
        return try statement.first { statement.isNull(0) ? nil : statement.integer(0) } ?? nil
    }
}

/// Reads and writes within one transaction.
public final class Writer: Reader {
    /// Runs one statement.
    public func execute(_ sql: String, _ arguments: [Value] = []) throws {
        let statement = try prepare(sql)
        try statement.bind(arguments)
        try statement.run()
    }

    /// Rows that the last statement inserted, updated or deleted; those of triggers do not count.
    public var changedRowCount: Int { Int(sqlite3_changes(database.sqliteConnection)) }

    /// Runs statements with the capture triggers on, as any program's are, on the connection that has them off.
    func capturing<T>(_ body: () throws -> T) throws -> T {
        func enable(_ enabled: Int32) throws {
            let code = syncnode_sqlite_enable_triggers(database.sqliteConnection, enabled)
            guard code == SQLITE_OK else { throw SQLError(code: code, message: "cannot switch triggers", sql: nil) }
        }
        try enable(1)
        do {
            let result = try body()
            try enable(0)
            return result
        } catch {
            try enable(0)
            throw error
        }
    }

    /// Runs statements under a savepoint.
    ///
    /// - Parameter undoes: errors that leave nothing of them; after any other the whole transaction is void.
    func savepoint<T>(undoneBy undoes: (any Error) -> Bool, _ body: () throws -> T) throws -> T {
        try execute("SAVEPOINT attempt")
        do {
            let result = try body()
            try execute("RELEASE attempt")
            return result
        } catch  where undoes(error) {
            try execute("ROLLBACK TO attempt")
            try execute("RELEASE attempt")
            throw error
        }
    }

    var lastInsertedRow: Int64 { sqlite3_last_insert_rowid(database.sqliteConnection) }

    /// Runs several statements that take no arguments.
    func executeAll(_ sql: String) throws {
        try translatingErrors { try database.execute(sql: sql) }
    }
}

/// GRDB's errors as this target's.
func translatingErrors<T>(_ body: () throws -> T) throws -> T {
    do {
        return try body()
    } catch let error as GRDB.DatabaseError {
        throw SQLError(
            code: error.extendedResultCode.rawValue, message: error.message ?? "\(error.resultCode)", sql: error.sql)
    }
}

/// The connections of one process to one replica.
struct Connections: Sendable {
    /// Capture triggers on; also reads, each in a snapshot of its own.
    private let pool: DatabasePool
    /// Capture triggers off: seals, applies, and keeps its own books.
    private let engine: DatabaseQueue
    private let gate = UseGate()
    private let declarations = DeclarationCache()

    /// Pages of 8 KiB hold three articles of 2 KB where pages of 4 KiB hold one: half the time and two thirds of the size.
    private static let pageBytes = 8192
    /// How long to wait for another process's transaction before saying so; ours are bounded to well under a second.
    private static let busySeconds = 60.0

    init(path: String, readOnly: Bool = false) throws {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .callback { [gate] attempts in Self.waits(attempts, unless: gate) }
        configuration.readonly = readOnly
        configuration.maximumReaderCount = 4
        configuration.acceptsDoubleQuotedStringLiterals = false
        configuration.prepareDatabase { database in
            if !readOnly {
                try database.execute(sql: "PRAGMA page_size = \(Self.pageBytes)")
            }
            try database.execute(sql: "PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY")
        }
        var engineConfiguration = configuration
        engineConfiguration.journalMode = readOnly ? .default : .wal
        engineConfiguration.prepareDatabase { database in
            let code = syncnode_sqlite_enable_triggers(database.sqliteConnection, 0)
            guard code == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: code)) }
        }
        let (pool, engine) = try translatingErrors {
            let pool = try DatabasePool(path: path, configuration: configuration)
            let engine = try DatabaseQueue(path: path, configuration: engineConfiguration)
            return (pool, engine)
        }
        self.pool = pool
        self.engine = engine
        guard !readOnly else { return }
        // Every commit is synced before it is spoken of: GRDB sets NORMAL for WAL, which a power cut may take back.
        try translatingErrors {
            try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            try engine.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        }
    }

    /// Waits as SQLite does for another program's transaction, a little longer each time; not while this one is closing.
    ///
    /// - Returns: whether to try again.
    private static func waits(_ attempts: Int, unless gate: UseGate) -> Bool {
        let waited =
            (0..<min(attempts, busyMilliseconds.count)).reduce(0) { $0 + busyMilliseconds[$1] }
            + max(0, attempts - busyMilliseconds.count) * longestBusyMilliseconds
        guard Double(waited) < busySeconds * 1000, !gate.isClosing else { return false }
        let pause = attempts < busyMilliseconds.count ? busyMilliseconds[attempts] : longestBusyMilliseconds
        sqlite3_sleep(Int32(pause))
        return true
    }

    private static let busyMilliseconds = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50]
    private static let longestBusyMilliseconds = 100

    /// What a file says it is, without changing a byte of it: it may be anybody's.
    static func marks(path: String) throws -> (application: Int64, version: Int64) {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(busySeconds)
        return try translatingErrors {
            try DatabaseQueue(path: path, configuration: configuration).read { database in
                (
                    try Int64.fetchOne(database, sql: "PRAGMA application_id") ?? 0,
                    try Int64.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                )
            }
        }
    }

    /// Copies a file, as it stands and without changing a byte of it, over another.
    static func copy(_ path: String, to destination: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(busySeconds)
        try translatingErrors {
            let target = try DatabaseQueue(path: destination)
            try DatabaseQueue(path: path, configuration: configuration).backup(to: target)
            try target.close()
        }
    }

    /// One transaction on a database of its own in memory, in which a replica is attached to be read, as `replica`; nothing of
    /// it is kept.
    static func scratch<T>(attaching location: String, _ body: (Writer) throws -> T) throws -> T {
        try translatingErrors {
            var result: T?
            var configuration = Configuration()
            configuration.busyMode = .timeout(busySeconds)
            try DatabaseQueue(configuration: configuration).writeWithoutTransaction { database in
                try database.execute(sql: "ATTACH ? AS replica", arguments: [location])
                // One that means to write would keep every other program from writing.
                try database.inTransaction(.deferred) {
                    result = try body(Writer(database, DeclarationCache()))
                    return .rollback
                }
            }
            guard let result else { preconditionFailure("a transaction that did not throw has a result") }
            return result
        }
    }

    /// Whoever waits for another program's transaction gives up; who comes from now on is turned away.
    func beginClosing() { gate.beginClosing() }

    func close() throws {
        gate.close()
        try translatingErrors {
            // The pool's readers are the last of it to go, and one that only reads cannot write the log back.
            try pool.close()
            try engine.close()
        }
    }

    func read<T>(_ body: (Reader) throws -> T) throws -> T {
        try gate.pass { try translatingErrors { try pool.read { try body(Reader($0, declarations)) } } }
    }

    /// Reads where sealing and applying go on: what is read here is in that connection's memory when they begin.
    func engineRead<T>(_ body: (Reader) throws -> T) throws -> T {
        // Not GRDB's `read`: it sets `PRAGMA query_only` for the time, upon which SQLite compiles every statement of the
        // connection anew.
        try gate.pass {
            try translatingErrors {
                try engine.writeWithoutTransaction { database in
                    try transaction(.deferred, database) { try body(Reader(database, declarations)) }
                }
            }
        }
    }

    /// One transaction with capture.
    func write<T>(_ body: (Writer) throws -> T) throws -> T {
        try gate.pass { try translatingErrors { try pool.writeWithoutTransaction { try immediate($0, body) } } }
    }

    /// One transaction that is not synced by itself, but with the next that is: for what may be lost to a power cut.
    func writeUnsynced<T>(_ body: (Writer) throws -> T) throws -> T {
        try gate.pass {
            try translatingErrors {
                try pool.writeWithoutTransaction { database in
                    try database.execute(sql: "PRAGMA synchronous = NORMAL")
                    let result = Result { try immediate(database, body) }
                    // Whatever came of it: everything else that this connection commits is synced, or it commits nothing.
                    try database.execute(sql: "PRAGMA synchronous = FULL")
                    return try result.get()
                }
            }
        }
    }

    /// One transaction without capture.
    func engineWrite<T>(_ body: (Writer) throws -> T) throws -> T {
        try gate.pass { try translatingErrors { try engine.writeWithoutTransaction { try immediate($0, body) } } }
    }

    /// One statement outside any transaction.
    func execute(_ sql: String, _ argument: String) throws {
        try gate.pass {
            try translatingErrors {
                try pool.writeWithoutTransaction { try $0.execute(sql: sql, arguments: [argument]) }
            }
        }
    }

    /// A number that changes with every commit of another connection or process than the engine's.
    func dataVersion() throws -> Int64 {
        try gate.pass {
            try translatingErrors {
                try engine.writeWithoutTransaction { try Reader($0).integer("PRAGMA data_version") ?? 0 }
            }
        }
    }

    private func immediate<T>(_ database: Database, _ body: (Writer) throws -> T) throws -> T {
        try transaction(.immediate, database) { try body(Writer(database, declarations)) }
    }

    private func transaction<T>(
        _ kind: GRDB.Database.TransactionKind, _ database: GRDB.Database, _ body: () throws -> T
    ) throws -> T {
        var result: T?
        try database.inTransaction(kind) {
            result = try body()
            return .commit
        }
        guard let result else { preconditionFailure("a committed transaction has a result") }
        return result
    }
}
