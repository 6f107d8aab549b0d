// SQLite's C interface with nothing between: the driver of every baseline, and of every program's writes to a replica.
//
// Both sides of a ratio are driven by this file wherever a program writes, so that the driver's cost is equal on both.

import CSQLite

/// A failure of SQLite in the benchmark itself.
struct PlainError: Error, CustomStringConvertible {
    let description: String
}

/// One connection, in WAL mode, with every commit synced.
final class PlainDatabase {
    private let handle: OpaquePointer

    /// - Parameter pageBytes: nil takes the page size as SQLite comes, or as the file has it.
    init(path: String, pageBytes: Int? = nil) throws {
        var opened: OpaquePointer?
        guard sqlite3_open(path, &opened) == SQLITE_OK, let opened else {
            throw PlainError(description: "cannot open \(path)")
        }
        handle = opened
        if let pageBytes { try run("PRAGMA page_size = \(pageBytes)") }
        try run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 60000")
    }

    deinit { sqlite3_close_v2(handle) }

    func run(_ sql: String) throws {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else {
            throw PlainError(description: String(cString: sqlite3_errmsg(handle)) + " in " + sql)
        }
    }

    func prepare(_ sql: String) throws -> PlainStatement {
        var statement: OpaquePointer?
        guard sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil) == SQLITE_OK,
            let statement
        else { throw PlainError(description: String(cString: sqlite3_errmsg(handle)) + " in " + sql) }
        return PlainStatement(statement)
    }

    func transaction(_ body: () throws -> Void) throws {
        try run("BEGIN IMMEDIATE")
        try body()
        try run("COMMIT")
    }

    /// The one integer that a query gives.
    func integer(_ sql: String) throws -> Int {
        try prepare(sql).integer()
    }

    func checkpoint() throws { try run("PRAGMA wal_checkpoint(TRUNCATE)") }
}

/// A prepared statement, finalized when it goes.
final class PlainStatement {
    private let handle: OpaquePointer
    init(_ handle: OpaquePointer) { self.handle = handle }
    deinit { sqlite3_finalize(handle) }

    /// Runs an insertion of one article, whose bytes SQLite reads where they are.
    func insert(_ article: Article) throws {
        try article.bytes.withUnsafeBytes { bytes in
            for (index, range) in article.ranges.enumerated() { bind(Int32(index + 1), bytes, range) }
            try finish()
        }
    }

    /// Runs the update of one article's headline.
    func update(_ article: Article, headline: [UInt8]) throws {
        try article.bytes.withUnsafeBytes { bytes in
            try headline.withUnsafeBytes { headline in
                bind(1, headline, headline.indices)
                bind(2, bytes, article.ranges[0])
                try finish()
            }
        }
    }

    /// Whether a query of an id has a row for this article's.
    func finds(_ article: Article) throws -> Bool {
        try article.bytes.withUnsafeBytes { bytes in
            bind(1, bytes, article.ranges[0])
            defer { sqlite3_reset(handle) }
            switch sqlite3_step(handle) {
            case SQLITE_ROW: return true
            case SQLITE_DONE: return false
            case let code: throw PlainError(description: "SQLite's code \(code) while reading")
            }
        }
    }

    func integer() throws -> Int {
        defer { sqlite3_reset(handle) }
        guard sqlite3_step(handle) == SQLITE_ROW else { throw PlainError(description: "a query gave no row") }
        return Int(sqlite3_column_int64(handle, 0))
    }

    /// Steps through all rows; returns how many bytes their columns hold.
    func readAll() -> Int {
        var bytes = 0
        let columns = sqlite3_column_count(handle)
        while sqlite3_step(handle) == SQLITE_ROW {
            for column in 0..<columns {
                let start = sqlite3_column_blob(handle, column)
                bytes +=
                    [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
                    .count
            }
        }
        sqlite3_reset(handle)
        return bytes
    }

    private func bind(_ index: Int32, _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        let start = bytes.baseAddress.map { ($0 + range.lowerBound).assumingMemoryBound(to: CChar.self) }
        sqlite3_bind_text(handle, index, start, Int32(range.count), nil)
    }

    private func finish() throws {
        let code = sqlite3_step(handle)
        sqlite3_reset(handle)
        guard code == SQLITE_DONE else { throw PlainError(description: "SQLite's code \(code) while writing") }
    }
}
