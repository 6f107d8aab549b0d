// Taking articles in, and giving them out again.
//
// Invariant: taking the same input in again writes nothing, and never undoes an edit or a deletion made here in between.

internal import ReplicaStore
public import ReplicationModel

/// What became of one article of an import.
public struct ImportedArticle: Hashable, Sendable {
    /// What was done with it.
    public enum Outcome: String, Sendable {
        /// It is a new row.
        case created
        /// The row is there, from this or from another delivery that is not older; nothing was written.
        case known
        /// A newer version of the item; the columns that differ were written.
        case updated
        /// An older version of the item than the row holds; nothing was written.
        case outdated
        /// The row was deleted, here or on another node; nothing was written.
        case deleted
    }

    /// The row.
    public let id: RowID
    /// As it came in.
    public let headline: String
    /// What was done.
    public let outcome: Outcome
    /// Whether a row that is known holds something else than what came in, and neither says that it is the newer one.
    ///
    /// The item may have been corrected under the same version, or edited here since: the row does not tell which. So it is
    /// said, and nothing is overwritten.
    public let differs: Bool
    /// Whether the row is new.
    public var created: Bool { outcome == .created }
}

/// How far an import has come.
public struct ImportProgress: Hashable, Sendable {
    /// Articles read.
    public internal(set) var read = 0
    /// Rows that are new.
    public internal(set) var created = 0
    /// Rows that a newer version changed.
    public internal(set) var updated = 0
    /// Articles whose row was deleted before; it stays so.
    public internal(set) var deleted = 0
    /// Known articles whose row holds something else.
    public internal(set) var differing = 0
    /// Members of JSON objects that had no place here, each once: the first thousand.
    public internal(set) var ignored: Set<String> = []

    fileprivate mutating func count(_ article: ImportedArticle) {
        read += 1
        created += article.outcome == .created ? 1 : 0
        updated += article.outcome == .updated ? 1 : 0
        deleted += article.outcome == .deleted ? 1 : 0
        differing += article.differs ? 1 : 0
    }
}

extension NewsStore {
    /// Articles in one transaction: as many as make its cost small beside theirs.
    private static let batchCount = 1000
    /// Text in one transaction: enough for a thousand long stories, little enough to hold.
    private static let batchBytes = 16 << 20
    /// Names that are mentioned; an input may have a new one in every line.
    private static let ignoredLimit = 1_000

    /// Takes in every article of a reader, in transactions of 1,000.
    ///
    /// A row that is there is written only where the article says that it is a newer version of the same item, and then only
    /// in what the article itself carries: a field that it leaves out keeps what it holds, and so do subjects, which an
    /// editor may have added. What was deleted stays deleted, subjects of a row too.
    ///
    /// An error stops at its article; what stood before it is in, and importing the mended input again recognises it.
    /// - Parameters:
    ///   - onArticle: told of each article once it is committed.
    ///   - progress: told after each transaction.
    /// - Throws: `NewsError.Code.badInput` naming line and cause, and what the replica throws.
    @discardableResult
    public func importArticles(
        _ reader: inout ArticleReader, onArticle: (ImportedArticle) throws -> Void,
        progress: (ImportProgress) -> Void = { _ in }
    ) throws -> ImportProgress {
        var total = ImportProgress()
        var batch = ImportBatch()
        func commit() throws {
            guard !batch.isEmpty else { return }
            let (articles, refusal) = try take(batch.entries)
            for (article, entry) in zip(articles, batch.entries) {
                total.count(article)
                for name in entry.draft.ignored where total.ignored.count < Self.ignoredLimit {
                    total.ignored.insert(name)
                }
                try onArticle(article)
            }
            batch = ImportBatch()
            progress(total)
            if let refusal { throw refusal }
        }
        // The engine knows a deleted row by its seal: one that was inserted and deleted since the last has left nothing to be
        // found. Where this clock is in doubt such a one may come back.
        try replica.sealUnlessClockIsDoubtful()
        while true {
            let next: (draft: ArticleDraft, place: String)?
            do { next = try reader.nextPlaced() } catch {
                try commit()
                throw error
            }
            guard let next else { break }
            batch.add(next.draft, next.place)
            if batch.entries.count >= Self.batchCount || batch.byteCount >= Self.batchBytes { try commit() }
        }
        try commit()
        // What was taken in is a change set of its own, and an edit that follows is a write beside it: so two bureaus that
        // took in the same story see what each changed, and no conflict where only one did.
        try replica.sealUnlessClockIsDoubtful()
        return total
    }

    private struct ImportBatch {
        private(set) var entries: [(draft: ArticleDraft, place: String)] = []
        private(set) var byteCount = 0
        var isEmpty: Bool { entries.isEmpty }

        mutating func add(_ draft: ArticleDraft, _ place: String) {
            entries.append((draft, place))
            byteCount += draft.fields.values.reduce(0) { $0 + $1.utf8.count }
        }
    }

    /// Takes in as many as can be, in one transaction; and why the next one cannot.
    private func take(_ batch: [(draft: ArticleDraft, place: String)]) throws -> ([ImportedArticle], NewsError?) {
        try replica.write { writer in
            var articles: [ImportedArticle] = []
            for (draft, place) in batch {
                do {
                    let (outcome, differs) = try Self.take(draft, place, in: writer)
                    articles.append(
                        ImportedArticle(
                            id: draft.id, headline: draft[.headline] ?? "", outcome: outcome, differs: differs))
                } catch let refusal as NewsError {
                    // Nothing of this one was written yet.
                    return (articles, refusal)
                }
            }
            return (articles, nil)
        }
    }

    private static func take(
        _ draft: ArticleDraft, _ place: String, in writer: Writer
    ) throws -> (ImportedArticle.Outcome, differs: Bool) {
        let id = draft.id
        let rows = try writer.query("SELECT version, versioncreated FROM articles WHERE id = ?", [id.sqlValue])
        guard let row = rows.first else {
            guard try !writer.isDeleted(table: articlesTable, id: id) else { return (.deleted, false) }
            try insertArticle(id, draft.inserted, in: writer)
            try linkSubjects(draft.subjects, to: id, in: writer)
            return (.created, false)
        }
        let held = Delivery(version: row.text(0), created: row.text(1))
        let incoming = Delivery(version: draft[.version], created: draft[.versioncreated])
        if incoming.isNewer(than: held) {
            return (try update(id, to: draft, place, in: writer) ? .updated : .known, false)
        }
        if held.isNewer(than: incoming) { return (.outdated, false) }
        return (.known, try !draft.isNamedByContent && differs(draft, from: id, in: writer))
    }

    /// Writes what a newer version carries and the row does not hold, and says whether there was anything.
    private static func update(_ id: RowID, to draft: ArticleDraft, _ place: String, in writer: Writer) throws -> Bool {
        var values = columns(draft.carried)
        let current = try writer.query("SELECT \(allColumns) FROM articles WHERE id = ?", [id.sqlValue])
        let held = current.first.map { fields(of: $0, ArticleField.allCases) } ?? [:]
        // A headline that was made of the body goes with the body, as long as nobody wrote another.
        if let derived = draft[.headline], draft.derived.contains(.headline),
            held[.headline] == held[.body].map(Headline.derived(from:))
        {
            values.append((ArticleField.headline.rawValue, Value(derived)))
        }
        let replaced = values.reduce(0) {
            $0 + (ArticleField(rawValue: $1.column).flatMap { held[$0] }?.utf8.count ?? 0)
        }
        let byteCount = held.values.reduce(0) { $0 + $1.utf8.count } - replaced
        guard values.reduce(byteCount, { $0 + $1.value.byteCount }) <= Limits.rowBytes else {
            throw NewsError(
                .badInput, operation: "import", object: place,
                cause: "with what the article holds it is longer than \(Limits.rowBytes) bytes",
                nextStep: "Shorten it, or the article \(id), and import again.")
        }
        let written = try update(table: articlesTable, id: id, values, in: writer)
        let linked = try linkSubjects(missingSubjects(draft.subjects, of: id, in: writer), to: id, in: writer)
        return written || linked
    }

    private static func differs(_ draft: ArticleDraft, from id: RowID, in writer: Writer) throws -> Bool {
        let values = columns(draft.carried)
        return try !differences(table: articlesTable, id: id, values, in: writer).isEmpty
            || !missingSubjects(draft.subjects, of: id, in: writer).isEmpty
    }

    private static let articlesTable = Kind.article.table

    private static func columns(_ fields: [ArticleField: String]) -> [(column: String, value: Value)] {
        fields.map { ($0.key.rawValue, Value($0.value)) }
    }

    /// Those that the article has not, and that nobody took off it.
    private static func missingSubjects(_ names: [String], of article: RowID, in writer: Writer) throws -> [String] {
        guard !names.isEmpty else { return [] }
        let linked = Set(try subjects(of: article, in: writer).map(\.id))
        return try names.filter { name in
            let id = subjectID(name, of: article)
            return try !linked.contains(id) && !writer.isDeleted(table: "article_subjects", id: id)
        }
    }

    // MARK: Export

    /// How an export is written.
    public enum ExportFormat: String, Sendable, CaseIterable {
        /// One JSON array of ninjs 2.1 items.
        case ninjs
        /// One object of our own columns a line.
        case jsonl
    }

    /// Writes every article that a query names, in order of their ids, as UTF-8.
    /// - Parameters:
    ///   - query: its search and limit do not count.
    ///   - write: given pieces of about 64 KiB.
    public func exportArticles(
        _ format: ExportFormat, _ query: ArticleQuery = ArticleQuery(), write: ([UInt8]) throws -> Void
    ) throws {
        let columns = ArticleField.allCases.map { "a.\($0.rawValue)" }.joined(separator: ", ")
        var output: [UInt8] = format == .ninjs ? Array("[".utf8) : []
        var isFirst = true
        try replica.read { reader in
            let conditions = try query.conditions(reader)
            let filter = conditions.sql.isEmpty ? "" : "WHERE " + conditions.sql.joined(separator: " AND ")
            try reader.forEach("SELECT \(columns), a.id FROM articles a \(filter) ORDER BY a.id", conditions.arguments)
            { row in
                let id = row.rowID(ArticleField.allCases.count)
                let fields = Self.fields(of: row, ArticleField.allCases)
                let subjects = try Self.subjects(of: id, in: reader).map(\.name)
                if format == .ninjs {
                    output += (isFirst ? "\n" : ",\n").utf8
                    NewsItem.ninjs(id: id, fields: fields, subjects: subjects).write(into: &output)
                } else {
                    NewsItem.columns(id: id, fields: fields, subjects: subjects).write(into: &output)
                    output.append(0x0a)
                }
                isFirst = false
                if output.count >= 64 << 10 {
                    try write(output)
                    output.removeAll(keepingCapacity: true)
                }
            }
        }
        if format == .ninjs { output += "\n]\n".utf8 }
        if !output.isEmpty { try write(output) }
    }
}

/// Which delivery of a provider's item a row or a draft holds.
struct Delivery: Hashable {
    let version: String?
    let created: String?

    /// By the time it was made, and between equal times by the number; what carries neither is newer than nothing.
    func isNewer(than other: Delivery) -> Bool {
        let (mine, theirs) = (created.flatMap { Moment($0) }, other.created.flatMap { Moment($0) })
        if mine != theirs {
            guard let mine else { return false }
            return theirs.map { $0 < mine } ?? true
        }
        guard let number = version.flatMap({ VersionNumber($0) }) else { return false }
        return other.version.flatMap { VersionNumber($0) }.map { $0 < number } ?? true
    }
}

/// A version as providers count: `3`, `1.10`, `20250412.2`. Its parts are compared one by one, as numbers of any length;
/// one that is missing counts as 0.
struct VersionNumber: Comparable {
    /// Digits without zeros in front, the last part not zero.
    private let parts: [Substring]

    /// Nil where it is no dotted number: then it is a name, and names have no order.
    init?(_ text: String) {
        var parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else { return nil }
        parts = parts.map { $0.drop { $0 == "0" } }
        while parts.last?.isEmpty == true { parts.removeLast() }
        self.parts = parts
    }

    static func < (one: VersionNumber, other: VersionNumber) -> Bool {
        for (mine, theirs) in zip(one.parts, other.parts) where mine != theirs {
            return (mine.utf8.count, String(mine)) < (theirs.utf8.count, String(theirs))
        }
        return one.parts.count < other.parts.count
    }
}
