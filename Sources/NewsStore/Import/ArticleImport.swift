// Taking articles in, and giving them out again.
//
// Invariant: taking the same input in again writes nothing, and never undoes an edit made here in between.

internal import ReplicaStore
public import ReplicationModel

/// What became of one article of an import.
public struct ImportedArticle: Hashable, Sendable {
    /// What was done with it.
    public enum Outcome: String, Sendable {
        /// It is a new row.
        case created
        /// The row is there, from this or from an older delivery; nothing was written.
        case known
        /// A newer version of the item; the columns that differ were written.
        case updated
        /// An older version of the item than the row holds; nothing was written.
        case outdated
    }

    /// The row.
    public let id: RowID
    /// As it came in.
    public let headline: String
    /// What was done.
    public let outcome: Outcome
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
    /// Members of JSON objects that had no place here, each once: the first thousand.
    public internal(set) var ignored: Set<String> = []
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
        var batch: [ArticleDraft] = []
        var bytes = 0
        func commit() throws {
            guard !batch.isEmpty else { return }
            let outcomes = try take(batch)
            for (draft, outcome) in zip(batch, outcomes) {
                total.read += 1
                total.created += outcome == .created ? 1 : 0
                total.updated += outcome == .updated ? 1 : 0
                for name in draft.ignored where total.ignored.count < Self.ignoredLimit { total.ignored.insert(name) }
                try onArticle(ImportedArticle(id: draft.id, headline: draft[.headline] ?? "", outcome: outcome))
            }
            batch.removeAll(keepingCapacity: true)
            bytes = 0
            progress(total)
        }
        while true {
            let next: ArticleDraft?
            do { next = try reader.next() } catch {
                try commit()
                throw error
            }
            guard let draft = next else { break }
            batch.append(draft)
            bytes += draft.fields.values.reduce(0) { $0 + $1.utf8.count }
            if batch.count >= Self.batchCount || bytes >= Self.batchBytes { try commit() }
        }
        try commit()
        // What was taken in is a change set of its own, and an edit that follows is a write beside it: so two bureaus that
        // took in the same story see what each changed, and no conflict where only one did.
        try replica.sealUnlessClockIsDoubtful()
        return total
    }

    private func take(_ batch: [ArticleDraft]) throws -> [ImportedArticle.Outcome] {
        try replica.write { writer in try batch.map { try Self.take($0, in: writer) } }
    }

    private static func take(_ draft: ArticleDraft, in writer: Writer) throws -> ImportedArticle.Outcome {
        let id = draft.id
        var fields = draft.fields
        if fields[.pubstatus] == nil { fields[.pubstatus] = PublicationStatus.usable.rawValue }
        let rows = try writer.query("SELECT version, versioncreated FROM articles WHERE id = ?", [id.sqlValue])
        guard let row = rows.first else {
            try insertArticle(id, fields, in: writer)
            try linkSubjects(draft.subjects, to: id, in: writer)
            return .created
        }
        let held = Delivery(version: row.text(0), created: row.text(1))
        let incoming = Delivery(version: fields[.version], created: fields[.versioncreated])
        if incoming.isNewer(than: held) {
            // A field that the newer version does not carry keeps what it holds.
            let written = try update(
                table: "articles", id: id, fields.map { ($0.key.rawValue, Value($0.value)) }, in: writer)
            let linked = try linkSubjects(draft.subjects, to: id, in: writer)
            return written || linked ? .updated : .known
        }
        return held.isNewer(than: incoming) ? .outdated : .known
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
        let conditions = query.conditions
        let filter = conditions.sql.isEmpty ? "" : "WHERE " + conditions.sql.joined(separator: " AND ")
        let columns = ArticleField.allCases.map { "a.\($0.rawValue)" }.joined(separator: ", ")
        var output: [UInt8] = format == .ninjs ? Array("[".utf8) : []
        var isFirst = true
        try replica.read { reader in
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
        guard let number = version.flatMap({ Int64($0) }) else { return false }
        return other.version.flatMap { Int64($0) }.map { $0 < number } ?? true
    }
}
