// One prepared statement, stepped by hand: what GRDB's row types would cost on a hot path is saved here.
//
// Invariant: a statement is reset, and holds no row, whenever no closure of this file is running.

internal import CSQLite
internal import GRDB
public import ReplicationModel
internal import Trust

/// A failure of SQLite: what was tried, with SQLite's code and message, and never a row's values.
public struct SQLError: Error, CustomStringConvertible, Sendable {
    /// SQLite's extended result code.
    public let code: Int32
    public let message: String
    public let sql: String?

    public var primaryCode: Int32 { code & 0xff }
    public var isConstraint: Bool { primaryCode == SQLITE_CONSTRAINT }
    static func isConstraint(_ error: any Error) -> Bool { (error as? SQLError)?.isConstraint == true }
    public var isFull: Bool { primaryCode == SQLITE_FULL }
    public var isReadOnly: Bool { primaryCode == SQLITE_READONLY }
    public var isBusy: Bool { primaryCode == SQLITE_BUSY }
    /// A table or column that the SQL names is not there: SQLite's plain error, which a sound replica never meets.
    var isUnknownName: Bool { primaryCode == SQLITE_ERROR }
    public var isCorrupt: Bool { primaryCode == SQLITE_CORRUPT || primaryCode == SQLITE_NOTADB }

    public var description: String {
        "SQLite says: \(message) (code \(code))" + (sql.map { " in: \($0.prefix(200))" } ?? "")
    }

    /// SQLite's own words, with the file they are about and what to do.
    public func explained(at replica: String) -> String {
        let nextStep =
            switch primaryCode {
            case SQLITE_READONLY, SQLITE_CANTOPEN:
                "Let this user write to it and its directory: `chmod u+w` on the directory and on \(replica)*."
            case SQLITE_BUSY, SQLITE_LOCKED: "Another program has it locked: try again when that is done."
            case SQLITE_FULL: "The disk is full: make room, and try again."
            case SQLITE_CORRUPT, SQLITE_NOTADB: "Run `syncnode doctor`; keep the file."
            default: "Check the disk, and run `syncnode doctor`."
            }
        return "Cannot use the replica \(replica): \(self). \(nextStep)"
    }
}

/// A row that a query gave.
public struct Row: Sendable {
    public let columns: [String]
    public let values: [Value]

    public subscript(_ index: Int) -> Value { values[index] }

    /// - Precondition: the query names such a column.
    public subscript(_ column: String) -> Value {
        guard let index = columns.firstIndex(of: column) else {
            preconditionFailure("the query has no column \(column), only \(columns.joined(separator: ", "))")
        }
        return values[index]
    }
}

/// A prepared statement of one connection; used on that connection's thread only.
struct Statement {
    private let statement: GRDB.Statement
    private let handle: OpaquePointer

    init(_ statement: GRDB.Statement) {
        self.statement = statement
        handle = statement.sqliteStatement
    }

    private static let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    // MARK: Binding; indices count from 1, as SQLite's do.

    func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(handle, index, value) }
    func bind(_ index: Int32, _ value: Int) { sqlite3_bind_int64(handle, index, Int64(value)) }
    func bind(_ index: Int32, _ value: Double) { sqlite3_bind_double(handle, index, value) }
    func bindNull(_ index: Int32) { sqlite3_bind_null(handle, index) }

    func bind(_ index: Int32, text bytes: [UInt8]) {
        bytes.withUnsafeBytes { buffer in
            let base = buffer.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
            _ = sqlite3_bind_text64(
                handle, index, base?.assumingMemoryBound(to: CChar.self), UInt64(buffer.count), Self.copied,
                UInt8(SQLITE_UTF8))
        }
    }

    func bind(_ index: Int32, blob bytes: [UInt8]) {
        guard !bytes.isEmpty else {
            sqlite3_bind_zeroblob(handle, index, 0)
            return
        }
        bytes.withUnsafeBytes { buffer in
            _ = sqlite3_bind_blob64(handle, index, buffer.baseAddress, UInt64(buffer.count), Self.copied)
        }
    }

    /// Binds bytes that SQLite reads where they are: they stay there until the statement has run.
    func bindBorrowed(_ index: Int32, _ kind: LargeValue.Kind, _ bytes: UnsafeRawBufferPointer) {
        // An empty value has an address too: without one SQLite takes it for NULL.
        let base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
        switch kind {
        case .text:
            _ = sqlite3_bind_text64(
                handle, index, base?.assumingMemoryBound(to: CChar.self), UInt64(bytes.count), nil, UInt8(SQLITE_UTF8))
        case .blob: _ = sqlite3_bind_blob64(handle, index, base, UInt64(bytes.count), nil)
        }
    }

    func bind(_ index: Int32, _ text: String) { bind(index, text: Array(text.utf8)) }

    func bind(_ index: Int32, _ value: Value) {
        switch value {
        case .null: bindNull(index)
        case .integer(let integer): bind(index, integer)
        case .real(let double): sqlite3_bind_double(handle, index, double)
        case .text(let bytes): bind(index, text: bytes)
        case .blob(let bytes): bind(index, blob: bytes)
        }
    }

    func bind(_ values: [Value]) throws {
        guard sqlite3_bind_parameter_count(handle) == Int32(values.count) else {
            throw failure(
                SQLITE_MISUSE, "\(values.count) arguments for \(sqlite3_bind_parameter_count(handle)) parameters")
        }
        for (index, value) in values.enumerated() { bind(Int32(index + 1), value) }
    }

    // MARK: Running

    /// Runs to the end and resets.
    func run() throws {
        while try step() {}
        reset()
    }

    /// Steps through all rows, and resets, whatever `body` throws.
    func forEach(_ body: () throws -> Void) throws {
        defer { reset() }
        while try step() { try body() }
    }

    /// Gives `body` the first row where there is one, and resets.
    func first<T>(_ body: () throws -> T) throws -> T? {
        defer { reset() }
        return try step() ? try body() : nil
    }

    /// True where a row is there to read.
    func step() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code:
            let error = failure(code, nil)
            reset()
            throw error
        }
    }

    func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    // MARK: Reading the current row; indices count from 0.

    var columnCount: Int32 { sqlite3_column_count(handle) }
    var columnNames: [String] { (0..<columnCount).map { String(cString: sqlite3_column_name(handle, $0)) } }

    func isNull(_ index: Int32) -> Bool { sqlite3_column_type(handle, index) == SQLITE_NULL }
    func integer(_ index: Int32) -> Int64 { sqlite3_column_int64(handle, index) }
    func bytes(_ index: Int32) -> [UInt8] { withBytes(index, Self.copy) }
    func text(_ index: Int32) -> String { String(decoding: bytes(index), as: UTF8.self) }

    func value(_ index: Int32) -> Value {
        switch sqlite3_column_type(handle, index) {
        case SQLITE_INTEGER: .integer(sqlite3_column_int64(handle, index))
        case SQLITE_FLOAT: .real(sqlite3_column_double(handle, index))
        case SQLITE_TEXT: .text(bytes(index))
        case SQLITE_BLOB: .blob(bytes(index))
        default: .null
        }
    }

    /// How a column stands in a body.
    func cell(_ index: Int32) -> Cell { largeValue(index).map(Cell.beside) ?? .inline(value(index)) }

    /// What a body says of a column that stands beside it, digested where SQLite holds it; nil where it stands in the body.
    func largeValue(_ index: Int32) -> LargeValue? {
        guard let kind = kind(index) else { return nil }
        return withBytes(index) { bytes in
            guard bytes.count > Limits.inlineValueBytes else { return nil }
            return LargeValue(kind: kind, digest: SHA256.digest(bytes), byteCount: UInt64(bytes.count))
        }
    }

    /// A column's bytes where they are what a body says of a value beside it; nil where they are not.
    func bytes(_ index: Int32, matching large: LargeValue) -> [UInt8]? {
        guard kind(index) == large.kind else { return nil }
        return withBytes(index) { bytes in
            guard UInt64(bytes.count) == large.byteCount, SHA256.digest(bytes) == large.digest else { return nil }
            return Self.copy(bytes)
        }
    }

    /// Nil where a column is neither text nor blob.
    func kind(_ index: Int32) -> LargeValue.Kind? {
        switch sqlite3_column_type(handle, index) {
        case SQLITE_TEXT: .text
        case SQLITE_BLOB: .blob
        default: nil
        }
    }

    /// A text's or blob's bytes where SQLite holds them.
    func withBytes<T>(_ index: Int32, _ body: (UnsafeRawBufferPointer) -> T) -> T {
        let start = sqlite3_column_blob(handle, index)
        return body(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, index))))
    }

    /// A copy that stays allocated until it is filled. `Array(bytes)` does not: where its result goes unused the optimizer
    /// (of Swift 6.3 at least) frees the array before it copies into it.
    private static func copy(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: bytes.count) { copy, count in
            UnsafeMutableRawBufferPointer(copy).copyMemory(from: bytes)
            count = bytes.count
        }
    }

    func values(_ range: Range<Int32>) -> [Value] { range.map(value) }

    private func failure(_ code: Int32, _ message: String?) -> SQLError {
        let connection = sqlite3_db_handle(handle)
        return SQLError(
            code: code == SQLITE_MISUSE ? code : sqlite3_extended_errcode(connection),
            message: message ?? String(cString: sqlite3_errmsg(connection)), sql: statement.sql)
    }
}

extension Dictionary {
    /// Of what is read from a file: where a disk makes two of one key, the first stands, and `verify` says what is wrong.
    init(firstOf pairs: some Sequence<(Key, Value)>) { self.init(pairs, uniquingKeysWith: { first, _ in first }) }
}
