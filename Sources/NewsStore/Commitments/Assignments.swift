// `FIELD=VALUE` as people type it, checked before anything is written.
//
// Invariant: what passes here keeps every rule that the columns' words and dates have.

internal import ReplicationModel

/// One `FIELD=VALUE`.
public struct FieldAssignment: Hashable, Sendable {
    /// The column's name.
    public let field: String
    /// Empty clears the field.
    public let value: String

    /// An assignment, not checked yet.
    public init(field: String, value: String) {
        self.field = field
        self.value = value
    }

    /// Reads `FIELD=VALUE`; the value may hold further `=`.
    /// - Throws: `NewsError.Code.badArgument` where there is no `=`.
    public init(parsing text: String) throws(NewsError) {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw NewsError(
                .badArgument, operation: "read", object: "\"\(text.prefix(60))\"", cause: "it is not FIELD=VALUE",
                nextStep: "Write for instance headline=\"A new headline\".")
        }
        self.init(
            field: TextDecoding.trimmed(String(text[..<equals])), value: String(text[text.index(after: equals)...]))
    }
}

/// Rules of single values, shared by every operation that takes them from a person.
enum FieldRules {
    /// An empty date is none.
    static func date(_ text: String, field: String, operation: String) throws(NewsError) -> PartialDate? {
        let trimmed = TextDecoding.trimmed(text)
        guard !trimmed.isEmpty else { return nil }
        guard let date = PartialDate(trimmed) else {
            throw NewsError(
                .badArgument, operation: operation, object: "\(field) \"\(trimmed.prefix(40))\"",
                cause: "this is no date",
                nextStep: "Write YYYY-MM-DD, or YYYY-MM or YYYY where no more is known.")
        }
        return date
    }

    static func word<Word: RawRepresentable & CaseIterable>(
        _ text: String, _ type: Word.Type, field: String, operation: String
    ) throws(NewsError) -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: TextDecoding.trimmed(text)) else {
            throw NewsError(
                .badArgument, operation: operation, object: "\(field) \"\(text.prefix(40))\"",
                cause: "there is no such \(field)",
                nextStep: "Use one of \(Word.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        return word
    }

    static func unknownField(_ name: String, of valid: [String], operation: String) -> NewsError {
        NewsError(
            .badArgument, operation: operation, object: "field \"\(name.prefix(40))\"", cause: "there is no such field",
            nextStep: "Use one of \(valid.joined(separator: ", ")).")
    }

    static func nonEmpty(_ text: String, field: String, operation: String) throws(NewsError) -> String {
        let trimmed = TextDecoding.trimmed(text)
        guard !trimmed.isEmpty else {
            throw NewsError(
                .badArgument, operation: operation, object: field, cause: "it is empty", nextStep: "Give it a text.")
        }
        return trimmed
    }

    static func size(_ text: String, field: String, operation: String) throws(NewsError) {
        guard text.utf8.count <= Limits.valueBytes else {
            throw NewsError(
                .badInput, operation: operation, object: field,
                cause: "\(text.utf8.count) bytes are more than a value may have (\(Limits.valueBytes))",
                nextStep: "Shorten it, or keep the rest elsewhere and name it in url.")
        }
    }

    /// The columns that assignments to an article set; nil clears one. `subjects` is told apart by the caller.
    static func article(
        _ assignments: [FieldAssignment], operation: String
    ) throws(NewsError) -> (fields: [ArticleField: String?], subjects: [String]?) {
        var fields: [ArticleField: String?] = [:]
        var subjects: [String]?
        for assignment in assignments {
            try size(assignment.value, field: assignment.field, operation: operation)
            if assignment.field == "subjects" {
                subjects = try subjectList(assignment.value, operation: operation)
                continue
            }
            guard let field = ArticleField(rawValue: assignment.field), ArticleField.settable.contains(field) else {
                let names = ArticleField.settable.map(\.rawValue) + ["subjects"]
                throw unknownField(assignment.field, of: names, operation: operation)
            }
            switch field {
            case .publishedOn:
                fields[field] = .some(try date(assignment.value, field: field.rawValue, operation: operation)?.text)
            case .pubstatus:
                let status = try word(
                    assignment.value, PublicationStatus.self, field: field.rawValue, operation: operation)
                fields[field] = status.rawValue
            case .headline:
                fields[field] = try nonEmpty(assignment.value, field: field.rawValue, operation: operation)
            default: fields[field] = .some(assignment.value.isEmpty ? nil : assignment.value)
            }
        }
        return (fields, subjects)
    }

    /// Subjects in one text are parted by semicolons: names hold commas.
    static func subjectList(_ text: String, operation: String) throws(NewsError) -> [String] {
        var draft = ArticleDraft()
        guard draft.addSubjects(text.split(separator: ";")) else {
            throw NewsError(
                .badArgument, operation: operation, object: "subjects",
                cause: "they are more than an article may have (\(ArticleDraft.subjectLimit))",
                nextStep: "Give fewer; they are parted by semicolons.")
        }
        return draft.subjects
    }
}
