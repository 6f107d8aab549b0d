// Writes an article as ninjs 2.x, or as a line of our own columns.
//
// Invariant: reading back what is written here gives the same id, columns and subjects, whatever a program wrote into the
// columns: each item is read back when it is made, and what does not come back by itself is added.

internal import ReplicationModel

/// What ninjs and the store agree on to name an article that has no name of its own outside.
enum NewsItem {
    private static let foreignPrefix = "urn:syncnode:article:"

    /// The member of a ninjs item that holds columns as they stand, where ninjs has no form for what they hold: a status of
    /// one's own, a time that is none, null where nothing is and something could be derived.
    static let extensionName = "syncnode"

    /// `urn:uuid:` where the id is a UUID.
    static func uri(id: RowID) -> String {
        let text = id.description
        return canonicalUUID(text) == text ? "urn:uuid:\(text)" : foreignPrefix + text
    }

    /// The row that a uri of this form names; nil for a provider's uri.
    static func rowID(uri: String) -> RowID? {
        if uri.lowercased().hasPrefix("urn:uuid:") { return canonicalUUID(uri.dropFirst(9)).map { RowID($0) } }
        return uri.hasPrefix(foreignPrefix) ? RowID(String(uri.dropFirst(foreignPrefix.count))) : nil
    }

    /// One ninjs 2.1 item.
    static func ninjs(id: RowID, fields: [ArticleField: String], subjects: [String]) -> JSON {
        func text(_ field: ArticleField) -> JSON? { fields[field].map { .string($0) } }
        func list(_ field: ArticleField, contentType: String?) -> JSON? {
            fields[field].map { value in
                .array([
                    .members([
                        "role": .string("main"), "contenttype": contentType.map { .string($0) },
                        "value": .string(value),
                    ])
                ])
            }
        }
        func party(_ field: ArticleField) -> JSON? {
            fields[field].map { .members(["name": .string($0), "rel": .string(field.rawValue)]) }
        }
        let parties = [party(.source), party(.distributor)].compactMap { $0 }
        let date = fields[.publishedOn].flatMap { PartialDate($0) }
        let isDay = date?.precision == .day
        let item = JSON.members([
            "uri": .string(fields[.uri] ?? uri(id: id)),
            "standard": .members([
                "name": .string("ninjs"), "version": .string("2.1"),
                "schema": .string("https://www.iptc.org/std/ninjs/ninjs-schema_2.1.json"),
            ]),
            "type": .string("text"),
            "version": text(.version),
            "firstcreated": isDay ? date.map { .string($0.text + "T00:00:00Z") } : nil,
            "versioncreated": fields[.versioncreated].flatMap { Moment($0) }.map { .string($0.text) },
            "pubstatus": fields[.pubstatus].flatMap { PublicationStatus(rawValue: $0) }.map { .string($0.rawValue) },
            "language": text(.language),
            "headlines": list(.headline, contentType: "text/plain"),
            "descriptions": list(.summary, contentType: "text/plain"),
            "bodies": list(.body, contentType: "text/plain"),
            "by": text(.byline),
            "located": text(.dateline),
            "infosources": parties.isEmpty ? nil : .array(parties),
            "subjects": subjects.isEmpty ? nil : .array(subjects.map { .members(["name": .string($0)]) }),
            "altids": fields[.url].map { .array([.members(["role": .string("url"), "value": .string($0)])]) },
            // ninjs has no name for a date that is known to the month only.
            "published_on": isDay ? nil : date.map { .string($0.text) },
        ])
        let changed = changedColumns(of: item, from: fields)
        return changed.isEmpty
            ? item : item.adding([JSON.Member(name: extensionName, value: .object(members(changed, fields)))])
    }

    /// The columns that reading an item gives otherwise than the row holds them.
    private static func changedColumns(of item: JSON, from fields: [ArticleField: String]) -> [ArticleField] {
        guard let back = try? NewsItemReader.draft(from: item).inserted else { return [] }
        return ArticleField.allCases.filter { $0 != .uri && back[$0] != fields[$0] }
    }

    private static func members(_ columns: [ArticleField], _ fields: [ArticleField: String]) -> [JSON.Member] {
        columns.map { JSON.Member(name: $0.rawValue, value: fields[$0].map { .string($0) } ?? .null) }
    }

    /// One line of JSON Lines: `id`, the columns by name, and `subjects`. A column that is empty is left out, or null where
    /// one that is left out would be filled.
    static func columns(id: RowID, fields: [ArticleField: String], subjects: [String]) -> JSON {
        var item = JSON.object(
            [JSON.Member(name: "id", value: .string(id.description))]
                + members(ArticleField.allCases.filter { fields[$0] != nil }, fields))
        item = item.adding(members(changedColumns(of: item, from: fields).filter { fields[$0] == nil }, fields))
        guard !subjects.isEmpty else { return item }
        return item.adding([JSON.Member(name: "subjects", value: .array(subjects.map { .string($0) }))])
    }
}

extension JSON {
    /// An object with further members at its end.
    fileprivate func adding(_ further: [Member]) -> JSON {
        guard case .object(let members) = self, !further.isEmpty else { return self }
        return .object(members + further)
    }
}
