// How articles and commitments look as JSON, for the command line and for whoever else shows them.
//
// Invariant: every column stands under its own name, and one that is not known is null, never missing.

internal import ReplicationModel

private struct ColumnName: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
    init(_ name: String) { stringValue = name }
}

extension KeyedEncodingContainer where Key == ColumnName {
    fileprivate mutating func put<T: Encodable>(_ name: String, _ value: T) throws {
        try encode(value, forKey: ColumnName(name))
    }
}

extension Article: Encodable {
    /// `id`, the columns, `subjects` and `commitments`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("id", id.description)
        for field in ArticleField.allCases { try container.put(field.rawValue, fields[field]) }
        try container.put("subjects", subjects)
        try container.put("commitments", commitments)
    }
}

extension Article.LinkedCommitment: Encodable {
    /// `id`, `title`, `status`, `quote`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("id", id.description)
        try container.put("title", title)
        try container.put("status", status)
        try container.put("quote", quote)
    }
}

extension ArticleSummary: Encodable {
    /// `id`, the columns but `body` and `summary`, and `snippet`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("id", id.description)
        for field in NewsStore.listedFields { try container.put(field.rawValue, fields[field]) }
        try container.put("snippet", snippet?.text)
    }
}

extension ImportedArticle: Encodable {
    /// `id`, `headline`, `created`, `outcome`, `differs`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("id", id.description)
        try container.put("headline", headline)
        try container.put("created", created)
        try container.put("outcome", outcome.rawValue)
        try container.put("differs", differs)
    }
}

extension CommitmentParty: Encodable {
    /// `party`, `role`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("party", name)
        try container.put("role", role)
    }
}

extension CommitmentSource: Encodable {
    /// `article_id`, `quote`, `headline`, `published_on`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("article_id", article.description)
        try container.put("quote", quote)
        try container.put("headline", headline)
        try container.put("published_on", publishedOn)
    }
}

extension CommitmentEvent: Encodable {
    /// `id`, `occurred_on`, `kind`, `note`, `article_id`, `headline`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("id", id.description)
        try container.put("occurred_on", occurredOn)
        try container.put("kind", kind)
        try container.put("note", note)
        try container.put("article_id", article?.description)
        try container.put("headline", headline)
    }
}

extension CommitmentSummary: Encodable {
    /// `id`, the columns, and `parties`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try encode(into: &container)
    }

    fileprivate func encode(into container: inout KeyedEncodingContainer<ColumnName>) throws {
        try container.put("id", id.description)
        for field in CommitmentField.allCases { try container.put(field.rawValue, fields[field]) }
        try container.put("due_precision", duePrecision?.rawValue)
        try container.put("parties", parties)
    }
}

extension Commitment: Encodable {
    /// The summary's members, `sources` and `events`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try summary.encode(into: &container)
        try container.put("sources", sources)
        try container.put("events", events)
    }
}

extension LoggedEvent: Encodable {
    /// `id`, `commitment_id`, `status`, `moved_status`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        try container.put("id", id.description)
        try container.put("commitment_id", commitment.description)
        try container.put("status", status)
        try container.put("moved_status", movedStatus)
    }
}
