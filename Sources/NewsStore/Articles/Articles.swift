// Articles: add, list, show, set.
//
// Invariant: a statement writes only the columns whose values differ, so that an edit of one field never competes with
// another's edit of another.

internal import ReplicaStore
public import ReplicationModel

/// One article, whole.
public struct Article: Hashable, Sendable {
    /// The row's name.
    public let id: RowID
    /// The columns that hold something.
    public let fields: [ArticleField: String]
    /// In alphabetical order.
    public let subjects: [String]
    /// Commitments that name it as a source; one may have been deleted, or not have arrived.
    public let commitments: [LinkedCommitment]

    /// A commitment that an article reports.
    public struct LinkedCommitment: Hashable, Sendable {
        /// The commitment's name.
        public let id: RowID
        /// nil where it is not here.
        public let title: String?
        /// nil where it is not here.
        public let status: String?
        /// The words of the article that report it.
        public let quote: String?
    }

    /// The value of a column, or nil.
    public subscript(_ field: ArticleField) -> String? { fields[field] }
}

/// One line of a list of articles.
public struct ArticleSummary: Hashable, Sendable {
    /// The row's name.
    public let id: RowID
    /// All columns but the body and the summary, where they hold something.
    public let fields: [ArticleField: String]
    /// Where the words searched for stand; nil in a plain list.
    public let snippet: Snippet?
    /// The whole headline with those words marked; nil in a plain list.
    public let markedHeadline: Snippet?

    /// The value of a column, or nil.
    public subscript(_ field: ArticleField) -> String? { fields[field] }
}

/// Which articles to list. Conditions that are nil do not count.
public struct ArticleQuery: Hashable, Sendable {
    /// Words to search for, best match first.
    public var search: String?
    /// The agency or the distributor, in any case of its letters.
    public var source: String?
    /// Published on that date or later.
    public var since: PartialDate?
    /// At most so many.
    public var limit: Int?

    /// Every article, the newest first.
    public init(search: String? = nil, source: String? = nil, since: PartialDate? = nil, limit: Int? = nil) {
        self.search = search
        self.source = source
        self.since = since
        self.limit = limit
    }

    /// What the conditions but the search ask of a row of `articles a`.
    func conditions(_ reader: Reader) throws -> (sql: [String], arguments: [Value]) {
        var sql: [String] = []
        var arguments: [Value] = []
        if let source {
            let agencies = try Spellings(of: source, in: "source", of: "articles", reader)
            let distributors = try Spellings(of: source, in: "distributor", of: "articles", reader)
            sql.append("(\(agencies.condition("a.source")) OR \(distributors.condition("a.distributor")))")
            arguments += agencies.values + distributors.values
        }
        if let since {
            sql.append("a.published_on >= ?")
            arguments.append(Value(since.text))
        }
        return (sql, arguments)
    }
}

extension NewsStore {
    /// The columns that a list shows.
    static let listedFields = ArticleField.allCases.filter { $0 != .body && $0 != .summary }
    static let allColumns = ArticleField.allCases.map(\.rawValue).joined(separator: ", ")

    /// Adds an article written here.
    /// - Parameter assignments: fields as in `article set`; `subjects` is a list parted by semicolons.
    /// - Throws: `NewsError.Code.badArgument` for a field or value that there is not.
    public func addArticle(
        headline: String, body: String? = nil, assignments: [FieldAssignment] = []
    ) throws -> RowID {
        let operation = "add article"
        var all = [FieldAssignment(field: "headline", value: headline)]
        if let body { all.append(FieldAssignment(field: "body", value: body)) }
        let (values, subjects) = try FieldRules.article(all + assignments, operation: operation)
        var fields = values.compactMapValues { $0 }
        if fields[.pubstatus] == nil { fields[.pubstatus] = PublicationStatus.usable.rawValue }
        let id = RowID.fresh()
        try replica.write { writer in
            try Self.insertArticle(id, fields, in: writer)
            try Self.linkSubjects(subjects ?? [], to: id, in: writer)
        }
        return id
    }

    /// Sets fields of an article; an empty value clears one. `subjects` replaces the whole list.
    /// - Returns: the article's id, and whether anything differed.
    @discardableResult
    public func setArticle(_ prefix: String, _ assignments: [FieldAssignment]) throws -> (id: RowID, changed: Bool) {
        let operation = "set"
        let (values, subjects) = try FieldRules.article(assignments, operation: operation)
        return try replica.write { writer in
            let id = try Self.resolve(prefix, .article, operation: operation, in: writer)
            var changed = try Self.update(
                table: "articles", id: id, values.map { ($0.key.rawValue, $0.value.sqlValue) }, in: writer)
            if let subjects {
                let current = try Self.subjects(of: id, in: writer)
                for subject in current where !subjects.contains(subject.name) {
                    try writer.execute("DELETE FROM article_subjects WHERE id = ?", [subject.id.sqlValue])
                    changed = true
                }
                changed = try Self.linkSubjects(subjects, to: id, in: writer) || changed
            }
            return (id, changed)
        }
    }

    /// One article, with its subjects and the commitments that it is a source of.
    public func article(_ prefix: String) throws -> Article {
        try replica.read { reader in
            let id = try Self.resolve(prefix, .article, operation: "show", in: reader)
            let rows = try reader.query("SELECT \(Self.allColumns) FROM articles WHERE id = ?", [id.sqlValue])
            let links = try reader.query(
                """
                SELECT s.commitment_id, c.title, c.status, s.quote FROM commitment_sources s
                LEFT JOIN commitments c ON c.id = s.commitment_id WHERE s.article_id = ? ORDER BY s.commitment_id
                """, [id.sqlValue])
            return Article(
                id: id, fields: rows.first.map { Self.fields(of: $0, ArticleField.allCases) } ?? [:],
                subjects: try Self.subjects(of: id, in: reader).map(\.name),
                commitments: links.map {
                    Article.LinkedCommitment(id: $0.rowID(0), title: $0.text(1), status: $0.text(2), quote: $0.text(3))
                })
        }
    }

    /// Articles, the newest first; with a search, the best match first.
    /// - Parameter progress: told while the search index is brought up to date.
    public func articles(
        _ query: ArticleQuery = ArticleQuery(), progress: (SearchProgress) -> Void = { _ in }
    ) throws -> [ArticleSummary] {
        if let words = query.search { return try search(words, query, progress: progress) }
        var articles: [ArticleSummary] = []
        let columns = Self.listedFields.map { "a.\($0.rawValue)" }.joined(separator: ", ")
        try replica.read { reader in
            let conditions = try query.conditions(reader)
            let filter = conditions.sql.isEmpty ? "" : "WHERE " + conditions.sql.joined(separator: " AND ")
            try reader.forEach(
                "SELECT \(columns), a.id FROM articles a \(filter) ORDER BY a.published_on DESC, a.id DESC LIMIT ?",
                conditions.arguments + [.integer(Int64(query.limit ?? -1))]
            ) { row in
                let id = row.rowID(Self.listedFields.count)
                articles.append(
                    ArticleSummary(
                        id: id, fields: Self.fields(of: row, Self.listedFields), snippet: nil, markedHeadline: nil))
            }
        }
        return articles
    }

    // MARK: Rows

    /// - Parameter fields: the columns that begin the row, in order.
    static func fields(of row: Row, _ fields: [ArticleField]) -> [ArticleField: String] {
        var values: [ArticleField: String] = [:]
        for (index, field) in fields.enumerated() { values[field] = row.text(index) }
        return values
    }

    private static let insertSQL =
        "INSERT INTO articles(id, \(allColumns)) VALUES(?\(String(repeating: ", ?", count: ArticleField.allCases.count)))"

    static func insertArticle(_ id: RowID, _ fields: [ArticleField: String], in writer: Writer) throws {
        try writer.execute(insertSQL, [id.sqlValue] + ArticleField.allCases.map { fields[$0].sqlValue })
    }

    /// Those of the values that the row does not hold, in order of their columns; none where there is no such row.
    static func differences(
        table: String, id: RowID, _ values: [(column: String, value: Value)], in reader: Reader
    ) throws -> [(column: String, value: Value)] {
        guard !values.isEmpty else { return [] }
        let values = values.sorted { $0.column < $1.column }
        let columns = values.map(\.column).joined(separator: ", ")
        guard let row = try reader.query("SELECT \(columns) FROM \(table) WHERE id = ?", [id.sqlValue]).first else {
            return []
        }
        return values.enumerated().filter { row[$0.offset] != $0.element.value }.map(\.element)
    }

    /// Writes the columns that differ, and says whether any did.
    static func update(table: String, id: RowID, _ values: [(column: String, value: Value)], in writer: Writer) throws
        -> Bool
    {
        let different = try differences(table: table, id: id, values, in: writer)
        guard !different.isEmpty else { return false }
        let assignments = different.map { "\($0.column) = ?" }.joined(separator: ", ")
        try writer.execute("UPDATE \(table) SET \(assignments) WHERE id = ?", different.map(\.value) + [id.sqlValue])
        return true
    }

    // MARK: Subjects

    static func subjects(of article: RowID, in reader: Reader) throws -> [(id: RowID, name: String)] {
        try reader.query(
            "SELECT id, subject FROM article_subjects WHERE article_id = ? ORDER BY subject, id", [article.sqlValue]
        ).map { ($0.rowID(0), $0.text(1) ?? "") }
    }

    /// The row that links an article to a subject: the same link made twice is one row.
    static func subjectID(_ subject: String, of article: RowID) -> RowID {
        .named(kind: "article_subjects", [article.description, subject])
    }

    /// Links what is not linked yet, and says whether there was any.
    @discardableResult
    static func linkSubjects(_ subjects: [String], to article: RowID, in writer: Writer) throws -> Bool {
        var changed = false
        for subject in subjects {
            let id = subjectID(subject, of: article)
            try writer.execute(
                "INSERT INTO article_subjects(id, article_id, subject) VALUES(?, ?, ?) ON CONFLICT(id) DO NOTHING",
                [id.sqlValue, article.sqlValue, Value(subject)])
            changed = changed || writer.changedRowCount > 0
        }
        return changed
    }
}
