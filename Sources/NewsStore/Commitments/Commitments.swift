// Commitments as they are shown and listed.
//
// Invariant: a link whose other end was deleted, or has not arrived yet, is shown with what is known and never hides
// the rest.

internal import ReplicaStore
public import ReplicationModel

/// Who is bound by a commitment, or bound to whom.
public struct CommitmentParty: Hashable, Sendable {
    /// The party's name.
    public let name: String
    /// What it is in the commitment, in the words of whoever wrote it down.
    public let role: String?

    /// A party, with or without a role.
    public init(_ name: String, role: String? = nil) {
        self.name = name
        self.role = role
    }
}

/// An article that reports a commitment.
public struct CommitmentSource: Hashable, Sendable {
    /// The article's name.
    public let article: RowID
    /// The words that report it.
    public let quote: String?
    /// nil where the article is not here.
    public let headline: String?
    /// nil where it is not known.
    public let publishedOn: String?
}

/// Something that happened to a commitment.
public struct CommitmentEvent: Hashable, Sendable {
    /// The row's name.
    public let id: RowID
    /// A date, or nil where a program left it out.
    public let occurredOn: String?
    /// A `CommitmentEventKind`, or a word that this version does not know.
    public let kind: String
    /// In free words.
    public let note: String?
    /// The article that reports it.
    public let article: RowID?
    /// nil where there is no article, or it is not here.
    public let headline: String?
}

/// One line of a list of commitments.
public struct CommitmentSummary: Hashable, Sendable {
    /// The row's name.
    public let id: RowID
    /// The columns that hold something.
    public let fields: [CommitmentField: String]
    /// `day`, `month` or `year`: how much of the due date is known.
    public let duePrecision: PartialDate.Precision?
    /// In alphabetical order.
    public let parties: [CommitmentParty]

    /// The value of a column, or nil.
    public subscript(_ field: CommitmentField) -> String? { fields[field] }

    /// Whether all of its due date lies before `day`, and something is still expected of it.
    public func isOverdue(on day: PartialDate) -> Bool {
        guard let due = fields[.dueOn].flatMap({ PartialDate($0) }), due.hasPassed(on: day) else { return false }
        return fields[.status].flatMap { CommitmentStatus(rawValue: $0) }?.isClosed != true
    }
}

/// One commitment, whole.
public struct Commitment: Hashable, Sendable {
    /// Its columns and parties.
    public let summary: CommitmentSummary
    /// The articles that report it.
    public let sources: [CommitmentSource]
    /// In the order of their dates.
    public let events: [CommitmentEvent]
}

/// Which commitments to list. Conditions that are nil do not count.
public struct CommitmentQuery: Hashable, Sendable {
    /// A party's name, in any case of its letters.
    public var party: String?
    /// Where it stands.
    public var status: CommitmentStatus?
    /// Past its due date on that day and not closed (fulfilled, lapsed or withdrawn). A date known to the month is past
    /// when the month is.
    public var overdueOn: PartialDate?
    /// At most so many.
    public var limit: Int?

    /// Every commitment, by due date.
    public init(
        party: String? = nil, status: CommitmentStatus? = nil, overdueOn: PartialDate? = nil, limit: Int? = nil
    ) {
        self.party = party
        self.status = status
        self.overdueOn = overdueOn
        self.limit = limit
    }

    fileprivate func filter(_ reader: Reader) throws -> (sql: String, arguments: [Value]) {
        var conditions: [String] = []
        var arguments: [Value] = []
        if let party {
            let spellings = try Spellings(of: party, in: "party", of: "commitment_parties", reader)
            conditions.append(
                "c.id IN (SELECT commitment_id FROM commitment_parties WHERE \(spellings.condition("party")))")
            arguments += spellings.values
        }
        if let status {
            conditions.append("coalesce(c.status, 'proposed') = ?")
            arguments.append(Value(status.rawValue))
        }
        if let overdueOn {
            // Dates are ISO 8601 cut to what is known: compared at the due date's own length.
            // What a program wrote in another form is no date, here as in what is shown.
            let form = "[0-9][0-9][0-9][0-9]"
            conditions.append(
                """
                c.due_on < substr(?, 1, length(c.due_on)) AND coalesce(c.status, '') NOT IN (?, ?, ?)
                AND (c.due_on GLOB '\(form)' OR c.due_on GLOB '\(form)-[0-9][0-9]'
                OR c.due_on GLOB '\(form)-[0-9][0-9]-[0-9][0-9]')
                """)
            arguments.append(Value(overdueOn.text))
            arguments += CommitmentStatus.allCases.filter(\.isClosed).map { Value($0.rawValue) }
        }
        return (conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND "), arguments)
    }
}

extension NewsStore {
    private static let commitmentColumns = CommitmentField.allCases.map { "c.\($0.rawValue)" }.joined(separator: ", ")

    /// Commitments, the first due first, those without a due date last.
    public func commitments(_ query: CommitmentQuery = CommitmentQuery()) throws -> [CommitmentSummary] {
        return try replica.read { reader in
            let filter = try query.filter(reader)
            let rows = try reader.query(
                """
                SELECT \(Self.commitmentColumns), c.id FROM commitments c \(filter.sql)
                ORDER BY c.due_on IS NULL, c.due_on, c.title, c.id LIMIT ?
                """, filter.arguments + [.integer(Int64(query.limit ?? -1))])
            return try rows.map { row in
                let id = row.rowID(CommitmentField.allCases.count)
                return Self.summary(id, row, parties: try Self.parties(of: id, in: reader))
            }
        }
    }

    /// Names of parties in which `text` occurs: what a name that nothing is filed under may have meant.
    public func partyNames(containing text: String, limit: Int) throws -> [String] {
        let sought = SearchText.folded(text)
        return try replica.read { reader in
            let names = try reader.query("SELECT DISTINCT party FROM commitment_parties ORDER BY party")
            return Array(
                names.lazy.compactMap { $0.text(0) }.filter { SearchText.folded($0).contains(sought) }.prefix(limit))
        }
    }

    /// One commitment with its parties, sources and events.
    public func commitment(_ prefix: String) throws -> Commitment {
        try replica.read { reader in
            let id = try Self.resolve(prefix, .commitment, operation: "show", in: reader)
            return try Self.commitment(id, in: reader)
        }
    }

    private static func commitment(_ id: RowID, in reader: Reader) throws -> Commitment {
        let rows = try reader.query("SELECT \(commitmentColumns) FROM commitments c WHERE c.id = ?", [id.sqlValue])
        let sources = try reader.query(
            """
            SELECT s.article_id, s.quote, a.headline, a.published_on FROM commitment_sources s
            LEFT JOIN articles a ON a.id = s.article_id WHERE s.commitment_id = ?
            ORDER BY a.published_on, s.article_id
            """, [id.sqlValue])
        let events = try reader.query(
            """
            SELECT e.id, e.occurred_on, e.kind, e.note, e.article_id, a.headline FROM commitment_events e
            LEFT JOIN articles a ON a.id = e.article_id WHERE e.commitment_id = ? ORDER BY e.occurred_on, e.id
            """, [id.sqlValue])
        guard let row = rows.first else {
            throw NewsError(
                .notFound, operation: "show", object: "commitment \(id)", cause: "it was deleted in between",
                nextStep: "Bring it back with `syncnode commitment restore`.")
        }
        return Commitment(
            summary: summary(id, row, parties: try parties(of: id, in: reader)),
            sources: sources.map {
                CommitmentSource(article: $0.rowID(0), quote: $0.text(1), headline: $0.text(2), publishedOn: $0.text(3))
            },
            events: events.map {
                CommitmentEvent(
                    id: $0.rowID(0), occurredOn: $0.text(1), kind: $0.text(2) ?? "", note: $0.text(3),
                    article: $0.text(4).map { RowID($0) }, headline: $0.text(5))
            })
    }

    private static func summary(_ id: RowID, _ row: Row, parties: [CommitmentParty]) -> CommitmentSummary {
        var fields: [CommitmentField: String] = [:]
        for (index, field) in CommitmentField.allCases.enumerated() { fields[field] = row.text(index) }
        // Told from the date itself: a program that writes `due_on` alone need not know of `due_precision`.
        let precision = fields[.dueOn].map { PartialDate($0)?.precision ?? .day }
        return CommitmentSummary(id: id, fields: fields, duePrecision: precision, parties: parties)
    }

    private static func parties(of commitment: RowID, in reader: Reader) throws -> [CommitmentParty] {
        try reader.query(
            "SELECT party, role FROM commitment_parties WHERE commitment_id = ? ORDER BY party, id",
            [commitment.sqlValue]
        ).map { CommitmentParty($0.text(0) ?? "", role: $0.text(1)) }
    }
}
