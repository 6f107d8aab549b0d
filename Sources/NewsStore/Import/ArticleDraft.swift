// An article as an importer understood it, before it meets the store.
//
// Invariant: everything in it, the id included, is a function of the bytes read: two nodes that read the same bytes
// make the same row.

public import ReplicationModel

/// One article to be taken in.
public struct ArticleDraft: Hashable, Sendable {
    /// The columns that are known; what is not known is left out, and never empty.
    public internal(set) var fields: [ArticleField: String]
    /// Those of them that the input does not say itself: made of others, for a row that is new. A row that is there has
    /// them already, and an editor may have mended them.
    public internal(set) var derived: Set<ArticleField> = []
    /// Columns that the input itself says are empty: a new row has nothing there, whatever could be derived.
    var emptied: Set<ArticleField> = []
    /// Columns that earlier versions of this program did not fill from the same input. The id is made without them, so that
    /// what was taken in then has the same name now.
    var unnamed: Set<ArticleField> = []
    /// In the order given, each once.
    public private(set) var subjects: [String] = []
    private var knownSubjects: Set<String> = []
    /// Members of the input that have no place here, for the importer to mention.
    public internal(set) var ignored: [String] = []
    /// The id that the input itself gives, if any.
    var givenID: RowID?

    init(fields: [ArticleField: String] = [:]) { self.fields = fields }

    /// The value of a column, or nil.
    public subscript(_ field: ArticleField) -> String? { fields[field] }

    /// The id that the input gives (`id`, or a `urn:uuid:` as `uri`), else one made of the provider's `uri`, else one
    /// made of every column: what differs in any column is another story, and one id never stands for two contents.
    public var id: RowID {
        if let givenID { return givenID }
        if let uri = fields[.uri] { return .named(kind: "article by uri", [uri]) }
        return .named(
            kind: "article by content",
            ArticleField.allCases.map { field in
                unnamed.contains(field) ? "" : fields[field].map { "=" + $0 } ?? ""
            } + ["subjects"] + subjects)
    }

    /// Whether the id says it all: what has the same id then came in as the same content.
    var isNamedByContent: Bool { givenID == nil && fields[.uri] == nil }

    /// What the input says itself.
    var carried: [ArticleField: String] {
        fields.filter { !derived.contains($0.key) && !emptied.contains($0.key) }
    }

    /// The columns of a new row.
    var inserted: [ArticleField: String] {
        var fields = fields.filter { !emptied.contains($0.key) }
        if fields[.pubstatus] == nil, !emptied.contains(.pubstatus) {
            fields[.pubstatus] = PublicationStatus.usable.rawValue
        }
        return fields
    }

    /// Sets a column as it is given, or leaves it out where there is nothing but white space.
    mutating func set(_ field: ArticleField, _ value: String?) {
        guard let value, !value.unicodeScalars.allSatisfy(TextDecoding.isSpace) else { return }
        fields[field] = value
    }

    /// Sets a column that the input does not say itself, where it says nothing.
    mutating func derive(_ field: ArticleField, _ value: String?) {
        guard fields[field] == nil else { return }
        set(field, value)
        if fields[field] != nil { derived.insert(field) }
    }

    /// Each becomes a row; a story has a dozen.
    static let subjectLimit = 1_024

    /// Adds subjects, each once. False, and none is added, where they are more than an article may have, or one is longer
    /// than a value may be.
    mutating func addSubjects(_ names: some Sequence<some StringProtocol>) -> Bool {
        var added: [String] = []
        var known = Set<String>()
        for name in names {
            let name = TextDecoding.collapsed(String(name))
            guard !name.isEmpty, !knownSubjects.contains(name), known.insert(name).inserted else { continue }
            guard name.utf8.count <= Limits.valueBytes, subjects.count + added.count < Self.subjectLimit else {
                return false
            }
            added.append(name)
        }
        subjects += added
        knownSubjects.formUnion(known)
        return true
    }

    /// Why the store cannot hold it: a column, or all of them together, longer than the engine takes. Nil where it can.
    var misfit: String? {
        let counts = inserted.mapValues { $0.utf8.count }
        if let field = ArticleField.allCases.first(where: { (counts[$0] ?? 0) > Limits.valueBytes }) {
            return "\(field.rawValue) is longer than \(Limits.valueBytes) bytes"
        }
        if counts.values.reduce(0, +) > Limits.rowBytes {
            return "all its columns together are longer than \(Limits.rowBytes) bytes"
        }
        return nil
    }

    /// Gives an article without a headline one from its first sentence.
    mutating func completeHeadline() {
        guard fields[.headline] == nil, !emptied.contains(.headline), let body = fields[.body] else { return }
        derive(.headline, Headline.derived(from: body))
        if Headline.beginsEmpty(body) { unnamed.insert(.headline) }
    }
}
