// Writes an article as ninjs 2.x, or as a line of our own columns.
//
// Invariant: reading back what is written here gives the same id, columns and subjects.

internal import ReplicationModel

/// What ninjs and the store agree on to name an article that has no name of its own outside.
enum NewsItem {
    private static let foreignPrefix = "urn:syncnode:article:"

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
        return .members([
            "uri": .string(fields[.uri] ?? uri(id: id)),
            "standard": .members([
                "name": .string("ninjs"), "version": .string("2.1"),
                "schema": .string("https://www.iptc.org/std/ninjs/ninjs-schema_2.1.json"),
            ]),
            "type": .string("text"),
            "version": text(.version),
            "firstcreated": isDay ? date.map { .string($0.text + "T00:00:00Z") } : nil,
            "versioncreated": text(.versioncreated),
            "pubstatus": text(.pubstatus),
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
            "published_on": isDay ? nil : text(.publishedOn),
        ])
    }

    /// One line of JSON Lines: `id`, the columns by name, and `subjects`.
    static func columns(id: RowID, fields: [ArticleField: String], subjects: [String]) -> JSON {
        var members = [JSON.Member(name: "id", value: .string(id.description))]
        for field in ArticleField.allCases {
            if let text = fields[field] { members.append(JSON.Member(name: field.rawValue, value: .string(text))) }
        }
        if !subjects.isEmpty {
            members.append(JSON.Member(name: "subjects", value: .array(subjects.map { .string($0) })))
        }
        return .object(members)
    }
}
