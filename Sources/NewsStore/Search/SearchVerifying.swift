// Verifying the search index against the articles, and making it anew.
//
// Invariant: what the index has of a row is compared term by term, place by place, with what the row would give now; rows that
// wait for the next search to be taken in are no damage.

public import ReplicaStore
internal import ReplicationModel

extension NewsStore {
    /// Adds to a report what is out of step; nothing where the index was never made, or is to be made anew by the next search
    /// because an older program made it.
    ///
    /// - Parameter progress: told articles done, of how many.
    public static func verifySearchIndex(
        of replica: Replica, into report: inout VerifyReport,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws {
        guard try replica.read({ try searchForm(in: $0) }) == SearchText.form else { return }
        let suspects: (ids: [RowID], cursor: FeedCursor)
        do {
            suspects = try replica.withScratch { try SearchComparison($0).suspects(progress) }
        } catch let error as SQLError where error.isCorrupt || error.primaryCode == 1 {
            return report.add(.derived, "the search index cannot be read: \(error.message)", table: "search")
        }
        guard !suspects.ids.isEmpty else { return }
        let waiting = try changedRows(of: replica, since: suspects.cursor)
        for id in suspects.ids where !waiting.contains(id) {
            report.add(.derived, "the search index does not hold this row as it is", table: "articles", id: id)
        }
    }

    /// Rows that the next search takes in.
    private static func changedRows(of replica: Replica, since cursor: FeedCursor) throws -> Set<RowID> {
        var changed: Set<RowID> = []
        var cursor = cursor
        while true {
            let page = try replica.changedRows(in: "articles", after: cursor, limit: 10_000)
            changed.formUnion(page.ids)
            guard !page.reachedEnd else { return changed }
            cursor = page.next
        }
    }

    /// Makes the search index anew from the articles.
    public func rebuildSearchIndex() throws {
        try replica.write { try Self.makeSearchTables(in: $0) }
        try updateSearchIndex()
    }
}

/// One comparison, in a scratch database to which the replica is attached.
private struct SearchComparison {
    private let scratch: Writer
    /// Rows indexed anew at once.
    private static let batchRows = 500
    /// For each document of the index that counts, a sum over all places of all its terms.
    private var kept: [Int64: UInt64] = [:]

    init(_ scratch: Writer) throws {
        self.scratch = scratch
        try scratch.execute(
            """
            CREATE VIRTUAL TABLE fresh USING fts5(headline, summary, body, credits, content = '',
                tokenize = "\(SearchText.tokenizer)")
            """)
        try scratch.execute("CREATE VIRTUAL TABLE temp.fresh_terms USING fts5vocab('main', 'fresh', 'instance')")
        try scratch.execute("CREATE VIRTUAL TABLE temp.kept_terms USING fts5vocab('replica', 'search', 'instance')")
        kept = try sums("kept_terms")
    }

    /// Rows that the index does not hold as they are, and how far the index says that it has come.
    func suspects(_ progress: (Int, Int) -> Void) throws -> (ids: [RowID], cursor: FeedCursor) {
        func state(_ name: String) throws -> Value {
            try scratch.query("SELECT value FROM replica.search_state WHERE name = ?", [Value(name)]).first?[0] ?? .null
        }
        let cursor = try state("cursor").string.flatMap { FeedCursor(text: $0) } ?? .start
        // While it is made anew it holds what it has come to.
        guard try state("scanned_to") == .null else { return ([], cursor) }
        let total = try scratch.query("SELECT count(*) FROM replica.articles").first?.integer(0) ?? 0
        var suspects: [RowID] = []
        var batch: [(document: Int64, id: RowID, text: [String])] = []
        var done = 0
        try scratch.forEach(
            """
            SELECT \(NewsStore.indexedColumns), a.id, d.document, d.content FROM replica.articles a
            LEFT JOIN replica.search_documents d ON d.id = a.id ORDER BY a.id
            """
        ) { row in
            done += 1
            let text = NewsStore.indexedText(of: row)
            guard case .integer(let document) = row[8], row[9] == .integer(NewsStore.fingerprint(text)) else {
                return suspects.append(row.rowID(7))
            }
            batch.append((document, row.rowID(7), text))
            guard batch.count == Self.batchRows else { return }
            suspects += try compare(batch)
            batch = []
            progress(done, Int(total))
        }
        suspects += try compare(batch)
        for row in try scratch.query(
            "SELECT id FROM replica.search_documents WHERE id NOT IN (SELECT id FROM replica.articles)")
        {
            suspects.append(row.rowID(0))
        }
        return (suspects, cursor)
    }

    private func compare(_ batch: [(document: Int64, id: RowID, text: [String])]) throws -> [RowID] {
        for row in batch {
            try scratch.execute(
                "INSERT INTO fresh(rowid, headline, summary, body, credits) VALUES (?, ?, ?, ?, ?)",
                [.integer(row.document)] + row.text.map { Value(SearchText.words(in: $0).joined(separator: " ")) })
        }
        let fresh = try sums("fresh_terms")
        try scratch.execute("INSERT INTO fresh(fresh) VALUES ('delete-all')")
        return batch.filter { fresh[$0.document] != kept[$0.document] }.map(\.id)
    }

    /// Sums do not depend on the order in which an index keeps its terms.
    private func sums(_ table: String) throws -> [Int64: UInt64] {
        var sums: [Int64: UInt64] = [:]
        try scratch.forEach("SELECT doc, term, col, \"offset\" FROM temp.\(table)") { row in
            guard case .text(let term) = row[1], case .text(let column) = row[2] else { return }
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in term { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            for byte in column { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ UInt64(bitPattern: row.integer(3))) &* 0x9e37_79b9_7f4a_7c15
            sums[row.integer(0), default: 0] &+= hash ^ (hash >> 29)
        }
        return sums
    }
}
