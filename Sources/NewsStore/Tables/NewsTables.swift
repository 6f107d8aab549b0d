// What articles and commitments are, declared to the replication engine.
//
// Invariant: no column carries a constraint that two valid replicas could break together. Columns are nullable, as a row
// may arrive from a node with another schema, or a program may write part of one; readers take NULL as "not known".

public import ReplicationModel

/// The replicated tables of the news store, and the indexes that every replica keeps for itself.
public enum NewsTables {
    /// Every replicated table, in the order of `status`.
    public static let all: [Table] = [
        articles, commitments, commitmentParties, commitmentSources, commitmentEvents, articleSubjects,
    ]

    static let articles = Table(
        "articles",
        columns: ArticleField.allCases.map { field in
            switch field {
            case .headline, .body: Column(field.rawValue, "TEXT DEFAULT ''")
            case .pubstatus: Column(field.rawValue, "TEXT DEFAULT 'usable'")
            default: Column(field.rawValue)
            }
        },
        // A version number and its time say together which delivery of an item the row holds.
        groups: ["delivery": ["version", "versioncreated"]])

    static let commitments = Table(
        "commitments",
        columns: [
            Column("title", "TEXT DEFAULT ''"), Column("text"), Column("instrument"), Column("agreed_on"),
            Column("due_on"), Column("due_precision"), Column("status", "TEXT DEFAULT 'proposed'"), Column("notes"),
        ],
        groups: ["due": ["due_on", "due_precision"]])

    static let commitmentParties = Table(
        "commitment_parties", columns: [Column("commitment_id"), Column("party"), Column("role")])

    static let commitmentSources = Table(
        "commitment_sources", columns: [Column("commitment_id"), Column("article_id"), Column("quote")])

    static let commitmentEvents = Table(
        "commitment_events",
        columns: [Column("commitment_id"), Column("occurred_on"), Column("kind"), Column("note"), Column("article_id")])

    static let articleSubjects = Table("article_subjects", columns: [Column("article_id"), Column("subject")])

    /// Plain indexes, which every replica makes for itself: each by its name and what it is on.
    static let localIndexes: [(name: String, columns: String)] = [
        ("articles_by_day", "articles(published_on)"),
        ("commitment_parties_by_commitment", "commitment_parties(commitment_id)"),
        ("commitment_sources_by_commitment", "commitment_sources(commitment_id)"),
        ("commitment_sources_by_article", "commitment_sources(article_id)"),
        ("commitment_events_by_commitment", "commitment_events(commitment_id)"),
        ("article_subjects_by_article", "article_subjects(article_id)"),
    ]

    /// The search index: made with the first search, brought up to date by every one.
    ///
    /// `search` is contentless, so it stores no text twice. It is keyed by a document number of its own and never by the
    /// article's rowid, which VACUUM and replication are free to change.
    static let searchSchema: [String] = [
        """
        CREATE VIRTUAL TABLE search USING fts5(
            headline, summary, body, credits, content = '', tokenize = "\(SearchText.tokenizer)", prefix = '2 3')
        """,
        """
        CREATE TABLE search_documents(
            document INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, content INTEGER NOT NULL)
        """,
        "CREATE TABLE search_state(name TEXT PRIMARY KEY NOT NULL, value) WITHOUT ROWID",
    ]
}
