// Full-text search over articles: an index of this replica's own, brought up to date by the searches themselves.
//
// Invariant: a hit counts only if its document number is the one `search_documents` holds for the row now; so edits,
// deletes, remote changes and VACUUM can leave stale entries behind, but never a wrong answer.

internal import ReplicaStore
internal import ReplicationModel

/// How far the index has been brought up to date.
public struct SearchProgress: Hashable, Sendable {
    /// Rows looked at so far in this call.
    public internal(set) var rows = 0
    /// Whether the index is being made anew, because too much of it was stale.
    public internal(set) var isRebuilding = false
}

extension NewsStore {
    /// Rows in one transaction: short enough that writers elsewhere wait a fraction of a second.
    private static let indexBatch = 500
    /// Fewer stale entries than this are not worth making the index anew.
    private static let staleFloor: Int64 = 1000
    /// bm25's weights: headline, summary, body, credits.
    private static let weights = "10.0, 4.0, 1.0, 3.0"

    /// Articles in which all words occur, best first, and between equals the newest.
    func search(
        _ words: String, _ query: ArticleQuery, progress: (SearchProgress) -> Void
    ) throws -> [ArticleSummary] {
        let terms = try SearchTerms(words)
        try updateSearchIndex(progress: progress)
        let columns = (Self.listedFields + [.body]).map(\.rawValue).joined(separator: ", ")
        return try replica.read { reader in
            let conditions = try query.conditions(reader)
            let filter = conditions.sql.map { " AND " + $0 }.joined()
            let hits = try reader.query(
                """
                SELECT d.id FROM search
                JOIN search_documents d ON d.document = search.rowid JOIN articles a ON a.id = d.id
                WHERE search MATCH ?\(filter)
                ORDER BY bm25(search, \(Self.weights)), a.published_on DESC, a.id LIMIT ?
                """,
                [Value(terms.expression)] + conditions.arguments + [.integer(Int64(query.limit ?? -1))])
            return try hits.compactMap { hit in
                let id = hit.rowID(0)
                let rows = try reader.query("SELECT \(columns) FROM articles WHERE id = ?", [id.sqlValue])
                return rows.first.map { row in
                    let body = row.text(Self.listedFields.count)
                    let fields = Self.fields(of: row, Self.listedFields)
                    return ArticleSummary(
                        id: id, fields: fields, snippet: body.flatMap { terms.snippet(of: $0) },
                        markedHeadline: fields[.headline].map { terms.marked($0) })
                }
            }
        }
    }

    /// Brings the index up to date with every row that changed, here or by replication. A search does so by itself; a
    /// service may do so before anyone asks.
    public func updateSearchIndex(progress: (SearchProgress) -> Void = { _ in }) throws {
        try prepareSearchTables()
        var done = SearchProgress()
        try followFeed(&done, progress)
        if try startRebuildIfStale() {
            done.isRebuilding = true
            try followFeed(&done, progress)
        }
    }

    private func prepareSearchTables() throws {
        guard try replica.read({ try Self.searchForm(in: $0) }) != SearchText.form else { return }
        try replica.write { writer in
            // Another process may have been here in between.
            guard try Self.searchForm(in: writer) != SearchText.form else { return }
            try Self.makeSearchTables(in: writer)
        }
    }

    /// Makes the index's tables, empty, in the place of any that are there.
    static func makeSearchTables(in writer: Writer) throws {
        for table in ["search", "search_documents", "search_state"] {
            try writer.execute("DROP TABLE IF EXISTS \(table)")
        }
        for statement in NewsTables.searchSchema { try writer.execute(statement) }
        try setState("form", .integer(SearchText.form), in: writer)
    }

    /// The rules that the index was made by; nil where there is none.
    static func searchForm(in reader: Reader) throws -> Int64? {
        let exists = "SELECT 1 FROM sqlite_master WHERE name = 'search_state'"
        guard try !reader.query(exists).isEmpty else { return nil }
        // The first form was not noted.
        return try state("form", in: reader).integerValue ?? 1
    }

    // MARK: Following the feed

    /// Where the index stands.
    private struct Position: Hashable {
        /// Everything before it in the feed of changes is indexed.
        var cursor: FeedCursor
        /// While the index is made anew: the last row of the table that was gone through.
        var scannedTo: RowID?
    }

    private func followFeed(_ done: inout SearchProgress, _ progress: (SearchProgress) -> Void) throws {
        while true {
            let position = try replica.read { try Self.position(in: $0) }
            var next = position
            let ids: [RowID]
            var isLast = false
            if let scannedTo = position.scannedTo {
                done.isRebuilding = true
                ids = try idsAfter(scannedTo)
                next.scannedTo = ids.last
            } else {
                let page = try replica.changedRows(in: "articles", after: position.cursor, limit: Self.indexBatch)
                (ids, next.cursor, isLast) = (page.ids, page.next, page.reachedEnd)
            }
            if next != position { try advance(from: position, to: next, ids, &done, progress) }
            if isLast { return }
        }
    }

    /// Indexes rows in short transactions, of which only the last moves the position: a page of the feed may hold all
    /// that one change set changed, and is gone through again where it was cut short.
    private func advance(
        from position: Position, to next: Position, _ ids: [RowID], _ done: inout SearchProgress,
        _ progress: (SearchProgress) -> Void
    ) throws {
        var rest = ids[...]
        repeat {
            let batch = rest.prefix(Self.indexBatch)
            rest = rest.dropFirst(Self.indexBatch)
            let isOurs = try replica.write { writer in
                // Another process may have been here in between; then its work stands, and ours goes on from there.
                guard try Self.position(in: writer) == position else { return false }
                for id in batch { try Self.index(id, in: writer) }
                guard rest.isEmpty else { return true }
                try Self.setState("cursor", Value(next.cursor.text), in: writer)
                try Self.setState("scanned_to", next.scannedTo?.sqlValue ?? .null, in: writer)
                return true
            }
            guard isOurs else { return }
            done.rows += batch.count
            progress(done)
        } while !rest.isEmpty
    }

    private func idsAfter(_ id: RowID) throws -> [RowID] {
        try replica.read { reader in
            try reader.query(
                "SELECT id FROM articles WHERE id > ? ORDER BY id LIMIT \(Self.indexBatch)", [id.sqlValue]
            ).map { $0.rowID(0) }
        }
    }

    /// Gives a row's present contents a document number of their own, or takes the row out.
    private static func index(_ id: RowID, in writer: Writer) throws {
        let row = try writer.query("SELECT \(indexedColumns) FROM articles WHERE id = ?", [id.sqlValue]).first
        guard let row else {
            try writer.execute("DELETE FROM search_documents WHERE id = ?", [id.sqlValue])
            return
        }
        let columns = indexedText(of: row)
        let content = fingerprint(columns)
        let known = try writer.query("SELECT content FROM search_documents WHERE id = ?", [id.sqlValue]).first
        if known?[0] == .integer(content) { return }
        // Numbers are never used again, as an entry of the old one may still be in the index.
        let document = try state("next_document", in: writer).integerValue ?? 1
        try writer.execute(
            """
            INSERT INTO search_documents(document, id, content) VALUES(?1, ?2, ?3)
            ON CONFLICT(id) DO UPDATE SET document = ?1, content = ?3
            """, [.integer(document), id.sqlValue, .integer(content)])
        try writer.execute(
            "INSERT INTO search(rowid, headline, summary, body, credits) VALUES(?, ?, ?, ?, ?)",
            [.integer(document)] + columns.map { Value(SearchText.words(in: $0).joined(separator: " ")) })
        try setState("next_document", .integer(document + 1), in: writer)
    }

    static let indexedColumns = "headline, summary, body, byline, source, distributor, dateline"

    /// What of a row is indexed, for each column of the index: `row` begins with `indexedColumns`.
    static func indexedText(of row: Row) -> [String] {
        let credits = (3...6).compactMap { row.text($0) }.joined(separator: "\n")
        return [row.text(0) ?? "", row.text(1) ?? "", row.text(2) ?? "", credits]
    }

    /// FNV-1a over what is indexed: an edit of another column leaves the entry as it is.
    static func fingerprint(_ columns: [String]) -> Int64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for column in columns {
            for byte in column.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ 0xff) &* 0x100_0000_01b3
        }
        return Int64(bitPattern: hash)
    }

    // MARK: Making the index anew

    /// Empties the index where more than half of it is stale; the table is then gone through from its beginning, and
    /// the feed from where it stands.
    private func startRebuildIfStale() throws -> Bool {
        func isStale(_ reader: Reader) throws -> Bool {
            let live = try reader.query("SELECT count(*) FROM search_documents").first?.integer(0) ?? 0
            let given = (try Self.state("next_document", in: reader).integerValue ?? 1) - 1
            let emptied = try Self.state("emptied_at", in: reader).integerValue ?? 0
            let stale = given - emptied - live
            return stale > Self.staleFloor && stale > live
        }
        guard try replica.read(isStale) else { return false }
        return try replica.write { writer in
            guard try isStale(writer) else { return false }
            let given = (try Self.state("next_document", in: writer).integerValue ?? 1) - 1
            try writer.execute("INSERT INTO search(search) VALUES('delete-all')")
            try writer.execute("DELETE FROM search_documents")
            try Self.setState("emptied_at", .integer(given), in: writer)
            try Self.setState("scanned_to", Value(""), in: writer)
            return true
        }
    }

    // MARK: State

    private static func position(in reader: Reader) throws -> Position {
        let cursor = try state("cursor", in: reader).string.flatMap { FeedCursor(text: $0) }
        let scannedTo = try state("scanned_to", in: reader)
        guard case .text(let bytes) = scannedTo else { return Position(cursor: cursor ?? .start, scannedTo: nil) }
        return Position(cursor: cursor ?? .start, scannedTo: RowID(bytes: bytes))
    }

    static func state(_ name: String, in reader: Reader) throws -> Value {
        try reader.query("SELECT value FROM search_state WHERE name = ?", [Value(name)]).first?[0] ?? .null
    }

    private static func setState(_ name: String, _ value: Value, in writer: Writer) throws {
        try writer.execute(
            "INSERT INTO search_state(name, value) VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2",
            [Value(name), value])
    }
}

extension Value {
    fileprivate var integerValue: Int64? {
        guard case .integer(let value) = self else { return nil }
        return value
    }
}
