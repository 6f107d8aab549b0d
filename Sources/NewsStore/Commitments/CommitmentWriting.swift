// Writing commitments: add, set, link, log.
//
// Invariant: a link's id is made of what it links, so the same link made twice, here or on two nodes, is one row.

internal import ReplicaStore
public import ReplicationModel

/// A commitment to be added.
public struct NewCommitment: Hashable, Sendable {
    /// What was promised, in one line.
    public var title: String
    /// Its fields but the title; later ones win.
    public var assignments: [FieldAssignment]
    /// At least one.
    public var parties: [CommitmentParty]
    /// The id, or its beginning, of the article that reports it.
    public var article: String?
    /// The words of the article that report it.
    public var quote: String?

    /// A commitment without a source yet.
    public init(
        title: String, parties: [CommitmentParty], assignments: [FieldAssignment] = [], article: String? = nil,
        quote: String? = nil
    ) {
        self.title = title
        self.parties = parties
        self.assignments = assignments
        self.article = article
        self.quote = quote
    }
}

/// What logging an event did.
public struct LoggedEvent: Hashable, Sendable {
    /// The event's row.
    public let id: RowID
    /// The commitment it belongs to.
    public let commitment: RowID
    /// Where the commitment stands now.
    public let status: String
    /// Whether the event moved it there.
    public let movedStatus: Bool
}

extension NewsStore {
    /// Adds a commitment, with its parties and the article that reports it.
    /// - Throws: `NewsError.Code.badArgument` for a wrong field, word or date; `.notFound` for an unknown article.
    public func addCommitment(_ new: NewCommitment) throws -> RowID {
        let operation = "add commitment"
        let title = try FieldRules.nonEmpty(new.title, field: "title", operation: operation)
        let parties = try new.parties.map { try Self.checked($0, operation: operation) }
        guard !parties.isEmpty else {
            throw NewsError(
                .badArgument, operation: operation, object: "\"\(title.prefix(60))\"", cause: "it has no party",
                nextStep: "Name who is bound by it with --party.")
        }
        var values = try Self.columns(new.assignments, operation: operation)
        values["title"] = Value(title)
        if values["status"] == nil { values["status"] = Value(CommitmentStatus.proposed.rawValue) }
        let id = RowID.fresh()
        try replica.write { writer in
            let article = try new.article.map { try Self.resolve($0, .article, operation: operation, in: writer) }
            let columns = values.keys.sorted()
            let marks = String(repeating: ", ?", count: columns.count)
            try writer.execute(
                "INSERT INTO commitments(id, \(columns.joined(separator: ", "))) VALUES(?\(marks))",
                [id.sqlValue] + columns.map { values[$0] ?? .null })
            for party in parties { try Self.link(party, to: id, in: writer) }
            if let article { try Self.link(article, quote: new.quote, to: id, in: writer) }
        }
        return id
    }

    /// Sets fields of a commitment, where an empty value clears one, and links what is named, all of it or nothing.
    /// - Parameters:
    ///   - parties: to be added; one that the commitment has gets the role.
    ///   - article: one more that reports it, or one that does and whose link gets the quote.
    /// - Returns: the commitment's id, and whether anything differed.
    @discardableResult
    public func setCommitment(
        _ prefix: String, _ assignments: [FieldAssignment], parties: [CommitmentParty] = [], article: String? = nil,
        quote: String? = nil
    ) throws -> (id: RowID, changed: Bool) {
        let operation = "set"
        let values = try Self.columns(assignments, operation: operation)
        let parties = try parties.map { try Self.checked($0, operation: operation) }
        return try replica.write { writer in
            let id = try Self.resolve(prefix, .commitment, operation: operation, in: writer)
            let source = try article.map { try Self.resolve($0, .article, operation: operation, in: writer) }
            var changed = try Self.update(
                table: "commitments", id: id, values.map { ($0.key, $0.value) }, in: writer)
            for party in parties { changed = try Self.link(party, to: id, in: writer) || changed }
            if let source { changed = try Self.link(source, quote: quote, to: id, in: writer) || changed }
            return (id, changed)
        }
    }

    /// Names one more party of a commitment, or gives a party a role.
    public func addParty(_ party: CommitmentParty, to prefix: String) throws {
        try setCommitment(prefix, [], parties: [party])
    }

    /// Names one more article that reports a commitment, or gives the link its quote.
    public func addSource(article: String, quote: String?, to prefix: String) throws {
        try setCommitment(prefix, [], article: article, quote: quote)
    }

    /// Writes down that something happened to a commitment, and moves its status accordingly.
    ///
    /// The status follows `CommitmentStatus.after(_:)`, and only where no event of a later date is on record: what is
    /// written down belatedly is history and moves nothing.
    /// - Throws: `NewsError.Code.notFound` or `.ambiguous` for the commitment or the article.
    public func log(
        _ kind: CommitmentEventKind, for prefix: String, on date: PartialDate, note: String? = nil,
        article: String? = nil
    ) throws -> LoggedEvent {
        let operation = "log"
        return try replica.write { writer in
            let id = try Self.resolve(prefix, .commitment, operation: operation, in: writer)
            let source = try article.map { try Self.resolve($0, .article, operation: operation, in: writer) }
            // What is known to the month alone is not before a day of that month.
            let laterEvents = try writer.query(
                """
                SELECT 1 FROM commitment_events
                WHERE commitment_id = ?1 AND substr(occurred_on, 1, length(?2)) > ?2 LIMIT 1
                """, [id.sqlValue, Value(date.text)])
            let event = RowID.fresh()
            try writer.execute(
                """
                INSERT INTO commitment_events(id, commitment_id, occurred_on, kind, note, article_id)
                VALUES(?, ?, ?, ?, ?, ?)
                """,
                [
                    event.sqlValue, id.sqlValue, Value(date.text), Value(kind.rawValue), note.sqlValue,
                    source?.sqlValue ?? .null,
                ])
            let row = try writer.query("SELECT status FROM commitments WHERE id = ?", [id.sqlValue]).first
            let current = row?.text(0) ?? CommitmentStatus.proposed.rawValue
            // A word this version does not know gives way to one that everyone does.
            let target = CommitmentStatus(rawValue: current).map { $0.after(kind) } ?? kind.status
            guard laterEvents.isEmpty, target.rawValue != current else {
                return LoggedEvent(id: event, commitment: id, status: current, movedStatus: false)
            }
            try writer.execute(
                "UPDATE commitments SET status = ? WHERE id = ?", [Value(target.rawValue), id.sqlValue])
            return LoggedEvent(id: event, commitment: id, status: target.rawValue, movedStatus: true)
        }
    }

    // MARK: Columns and links

    /// The columns that assignments set, checked; the due date brings its precision.
    private static func columns(
        _ assignments: [FieldAssignment], operation: String
    ) throws(NewsError) -> [String: Value] {
        var values: [String: Value] = [:]
        for assignment in assignments {
            let (name, text) = (assignment.field, assignment.value)
            try FieldRules.size(text, field: name, operation: operation)
            switch CommitmentField(rawValue: name) {
            case .title: values[name] = Value(try FieldRules.nonEmpty(text, field: name, operation: operation))
            case .text, .instrument, .notes: values[name] = Optional(text).sqlValue
            case .agreedOn:
                values[name] = (try FieldRules.date(text, field: name, operation: operation)?.text).sqlValue
            case .dueOn:
                let date = try FieldRules.date(text, field: name, operation: operation)
                values[name] = (date?.text).sqlValue
                values["due_precision"] = (date?.precision.rawValue).sqlValue
            case .status:
                let status = try FieldRules.word(text, CommitmentStatus.self, field: name, operation: operation)
                values[name] = Value(status.rawValue)
            case nil:
                throw FieldRules.unknownField(
                    name, of: CommitmentField.allCases.map(\.rawValue), operation: operation)
            }
        }
        return values
    }

    private static func checked(_ party: CommitmentParty, operation: String) throws(NewsError) -> CommitmentParty {
        CommitmentParty(try FieldRules.nonEmpty(party.name, field: "party", operation: operation), role: party.role)
    }

    /// Makes the link, or gives it the role, and says whether anything differed.
    @discardableResult
    private static func link(_ party: CommitmentParty, to commitment: RowID, in writer: Writer) throws -> Bool {
        let id = RowID.named(kind: "commitment_parties", [commitment.description, party.name])
        try writer.execute(
            """
            INSERT INTO commitment_parties(id, commitment_id, party, role) VALUES(?1, ?2, ?3, ?4)
            ON CONFLICT(id) DO UPDATE SET role = ?4 WHERE ?4 IS NOT NULL AND role IS NOT ?4
            """, [id.sqlValue, commitment.sqlValue, Value(party.name), party.role.sqlValue])
        return writer.changedRowCount > 0
    }

    /// Makes the link, or gives it the quote, and says whether anything differed.
    @discardableResult
    private static func link(
        _ article: RowID, quote: String?, to commitment: RowID, in writer: Writer
    ) throws -> Bool {
        let id = RowID.named(kind: "commitment_sources", [commitment.description, article.description])
        try writer.execute(
            """
            INSERT INTO commitment_sources(id, commitment_id, article_id, quote) VALUES(?1, ?2, ?3, ?4)
            ON CONFLICT(id) DO UPDATE SET quote = ?4 WHERE ?4 IS NOT NULL AND quote IS NOT ?4
            """, [id.sqlValue, commitment.sqlValue, article.sqlValue, quote.sqlValue])
        return writer.changedRowCount > 0
    }
}
