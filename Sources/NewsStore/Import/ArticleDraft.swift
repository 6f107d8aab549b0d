// An article as an importer understood it, before it meets the store.
//
// Invariant: everything in it, the id included, is a function of the bytes read: two nodes that read the same bytes
// make the same row.

public import ReplicationModel

/// One article to be taken in.
public struct ArticleDraft: Hashable, Sendable {
    /// The columns that are known; what is not known is left out, and never empty.
    public internal(set) var fields: [ArticleField: String]
    /// In the order given, each once.
    public internal(set) var subjects: [String]
    /// Members of the input that have no place here, for the importer to mention.
    public internal(set) var ignored: [String]
    /// The id that the input itself gives, if any.
    var givenID: RowID?

    init(fields: [ArticleField: String] = [:], subjects: [String] = [], ignored: [String] = [], givenID: RowID? = nil) {
        self.fields = fields
        self.subjects = subjects
        self.ignored = ignored
        self.givenID = givenID
    }

    /// The value of a column, or nil.
    public subscript(_ field: ArticleField) -> String? { fields[field] }

    /// The id that the input gives (`id`, or a `urn:uuid:` as `uri`), else one made of the provider's `uri`, else one
    /// made of every column: what differs in any column is another story, and one id never stands for two contents.
    public var id: RowID {
        if let givenID { return givenID }
        if let uri = fields[.uri] { return .named(kind: "article by uri", [uri]) }
        return .named(
            kind: "article by content",
            ArticleField.allCases.map { fields[$0].map { "=" + $0 } ?? "" } + ["subjects"] + subjects)
    }

    /// Sets a column as it is given, or leaves it out where there is nothing but white space.
    mutating func set(_ field: ArticleField, _ value: String?) {
        guard let value, !value.unicodeScalars.allSatisfy(TextDecoding.isSpace) else { return }
        fields[field] = value
    }

    /// Each becomes a row; a story has a dozen.
    static let subjectLimit = 1_024

    /// False where there are as many as an article may have; then it is left out.
    @discardableResult
    mutating func addSubject(_ subject: String) -> Bool {
        let name = TextDecoding.collapsed(subject)
        guard !name.isEmpty, !subjects.contains(name) else { return true }
        guard subjects.count < Self.subjectLimit else { return false }
        subjects.append(name)
        return true
    }

    /// A column that holds more than the engine takes.
    var oversizedField: ArticleField? {
        ArticleField.allCases.first { (fields[$0]?.utf8.count ?? 0) > Limits.valueBytes }
    }

    /// Gives an article without a headline one from its first sentence.
    mutating func completeHeadline() {
        guard fields[.headline] == nil else { return }
        set(.headline, fields[.body].map(Headline.derived(from:)))
    }
}
