// Reads an article from a JSON object: IPTC ninjs 2.x, ninjs 1.x, or our own columns by name.
//
// Invariant: one mapping for all three, so a format that was guessed wrong still reads the same article; and what
// `NewsItem` writes gives the same columns.

internal import ReplicationModel

/// Why an object is no article; the caller knows where it stands.
struct NewsItemError: Error, Hashable {
    let cause: String
}

/// Names follow the ninjs schemas (iptc.org/std/ninjs); 1.x had `headline` and `body_text` where 2.x has arrays.
struct NewsItemReader {
    private let members: [JSON.Member]
    /// The first member of each name: a hostile item has many.
    private let values: [String: JSON]
    /// Our own columns as a row holds them, by name: the last word on each, whatever else the item says.
    private let own: [String: JSON]
    private var used: Set<String> = []
    private var draft = ArticleDraft()

    /// `json` must be an object.
    static func draft(from json: JSON) throws(NewsItemError) -> ArticleDraft {
        guard case .object(let members) = json else { throw NewsItemError(cause: "an article must be a JSON object") }
        var reader = NewsItemReader(members: members)
        return try reader.read()
    }

    private init(members: [JSON.Member]) {
        self.members = members
        values = Dictionary(members.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        own = Self.ownColumns(members, values)
    }

    private static let ownMembers = Set(ArticleField.allCases.map(\.rawValue) + ["id", "subjects"])

    /// What `article export` writes: an object that names its row by `id` and has no other members than our columns; and in
    /// a ninjs item the columns that ninjs has no form for.
    private static func ownColumns(_ members: [JSON.Member], _ values: [String: JSON]) -> [String: JSON] {
        if values["id"]?.text?.isEmpty == false, members.allSatisfy({ ownMembers.contains($0.name) }) { return values }
        guard case .object(let columns)? = values[NewsItem.extensionName] else { return [:] }
        return Dictionary(columns.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    private mutating func read() throws(NewsItemError) -> ArticleDraft {
        try readIdentity()
        try readTexts()
        try readProvenance()
        try readDates()
        try readSubjects()
        try readOwnColumns()
        guard draft[.headline] != nil || draft[.body] != nil || draft[.uri] != nil || draft.givenID != nil else {
            throw NewsItemError(cause: "it has neither a headline nor a body")
        }
        draft.completeHeadline()
        draft.ignored = members.map(\.name).filter { !used.contains($0) }
        if let misfit = draft.misfit { throw NewsItemError(cause: misfit) }
        return draft
    }

    private func isOwn(_ field: ArticleField) -> Bool { own[field.rawValue] != nil }

    /// A row may hold what no importer would take: any program writes to it. Such a word stays as it is, and what is empty
    /// stays empty.
    private mutating func readOwnColumns() throws(NewsItemError) {
        _ = take(NewsItem.extensionName)
        for field in ArticleField.allCases where field != .uri {
            guard let value = own[field.rawValue] else { continue }
            draft.derived.remove(field)
            guard value != .null else {
                draft.fields[field] = nil
                draft.emptied.insert(field)
                continue
            }
            guard let text = value.text else { throw NewsItemError(cause: "\(field.rawValue) must be a string") }
            draft.fields[field] = text.isEmpty ? nil : text
            if text.isEmpty { draft.emptied.insert(field) }
        }
    }

    /// A member, now counted as understood; null counts as missing.
    private mutating func take(_ name: String) -> JSON? {
        guard let value = values[name] else { return nil }
        used.insert(name)
        return value == .null ? nil : value
    }

    /// The first of the members that is there, as text.
    private mutating func text(_ names: String...) throws(NewsItemError) -> String? {
        var found: String?
        for name in names {
            guard let value = take(name) else { continue }
            guard let text = value.text else { throw NewsItemError(cause: "\(name) must be a string") }
            if found == nil, !text.isEmpty { found = text }
        }
        return found
    }

    // MARK: Identity

    private mutating func readIdentity() throws(NewsItemError) {
        let id = try text("id")
        for name in ["standard", "type", "representationtype", "profile"] { _ = take(name) }
        if let uri = try text("uri", "guid") {
            if let own = NewsItem.rowID(uri: uri) { draft.givenID = own } else { draft.set(.uri, uri) }
        }
        if let id, draft.givenID == nil, draft[.uri] == nil { draft.givenID = RowID(id) }
        if let given = draft.givenID, !(1...RowID.byteCountLimit).contains(given.bytes.count) {
            let limit = RowID.byteCountLimit
            throw NewsItemError(cause: given.bytes.isEmpty ? "its id is empty" : "its id is longer than \(limit) bytes")
        }
    }

    // MARK: Texts

    private mutating func readTexts() throws(NewsItemError) {
        draft.set(.headline, try text("headline"))
        draft.set(.body, try text("body"))
        draft.set(.summary, try text("summary"))
        for (field, plural, prefix) in [
            (ArticleField.headline, "headlines", "headline_"), (.body, "bodies", "body_"),
            (.summary, "descriptions", "description_"),
        ] {
            let candidates = try versions(plural: plural, prefix: prefix)
            guard draft[field] == nil, let best = candidates.min(by: { $0.rank < $1.rank }) else { continue }
            draft.set(field, best.isHTML ? HTMLText.plain(best.text) : best.text)
        }
        let title = try text("title")
        if draft[.headline] == nil { draft.set(.headline, title) }
    }

    /// One form of a text: ninjs gives several, in different mark-up or for different uses.
    private struct TextVersion {
        let text: String
        let role: String
        let contentType: String

        var isHTML: Bool {
            contentType.contains("html") || (contentType.isEmpty && (role.contains("html") || text.hasPrefix("<")))
        }
        /// Lower is better: plain before HTML before other mark-up; the main one first.
        var rank: Int {
            let markup = contentType.contains("xml") && !isHTML ? 20 : (isHTML ? 10 : 0)
            return markup + (role == "main" ? 0 : (role == "text" || role.isEmpty ? 1 : 2))
        }
    }

    private mutating func versions(plural: String, prefix: String) throws(NewsItemError) -> [TextVersion] {
        var versions: [TextVersion] = []
        if let value = take(plural) {
            guard let elements = value.elements else { throw NewsItemError(cause: "\(plural) must be an array") }
            for element in elements {
                guard let text = element["value"]?.text ?? element.text else {
                    throw NewsItemError(cause: "an element of \(plural) has no value")
                }
                let role = element["role"]?.text ?? ""
                let type = element["contenttype"]?.text ?? ""
                versions.append(TextVersion(text: text, role: role.lowercased(), contentType: type.lowercased()))
            }
        }
        for name in members.map(\.name) where name.hasPrefix(prefix) {
            guard let text = try text(name) else { continue }
            versions.append(TextVersion(text: text, role: String(name.dropFirst(prefix.count)), contentType: ""))
        }
        return versions.filter { !$0.text.isEmpty }
    }

    // MARK: Provenance

    private mutating func readProvenance() throws(NewsItemError) {
        draft.set(.byline, try text("byline", "by"))
        let bylines = names(take("bylines"))
        if draft[.byline] == nil { draft.set(.byline, bylines.map(\.name).joined(separator: ", ")) }

        draft.set(.source, try text("source"))
        draft.set(.distributor, try text("distributor"))
        let sources = names(take("infosources")) + names(take("infosource"))
        let providers = names(take("providers")) + names(take("provider"))
        let isDistributor = { (party: Party) in party.role == "distributor" || party.role == "distributedby" }
        let holder = try text("copyrightholder")
        let source = sources.first { !isDistributor($0) }?.name ?? providers.first?.name ?? holder
        if draft[.source] == nil { draft.set(.source, source) }
        if draft[.distributor] == nil {
            if let distributor = sources.first(where: isDistributor)?.name {
                draft.set(.distributor, distributor)
                if distributor == draft[.source] { draft.unnamed.insert(.distributor) }
            } else if providers.first?.name != draft[.source] {
                draft.set(.distributor, providers.first?.name)
            }
        }

        draft.set(.dateline, try text("dateline", "located"))
        draft.set(.language, try text("language"))
        draft.set(.url, try text("url"))
        let otherNames = take("altids")
        if draft[.url] == nil {
            draft.set(.url, otherNames?.elements?.first { $0["role"]?.text == "url" }?["value"]?.text)
        }
        if let status = try text("pubstatus"), !isOwn(.pubstatus) {
            let known = status == "cancelled" ? .canceled : PublicationStatus(rawValue: status)
            guard let known else {
                let words = PublicationStatus.allCases.map(\.rawValue).joined(separator: ", ")
                throw NewsItemError(cause: "pubstatus \"\(status.prefix(40))\" is none of \(words)")
            }
            draft.set(.pubstatus, known.rawValue)
        }
    }

    private struct Party {
        let name: String
        let role: String
    }

    /// Names from a string, an object, or an array of either.
    private func names(_ value: JSON?) -> [Party] {
        guard let value else { return [] }
        return (value.elements ?? [value]).compactMap { element in
            let name = element.text ?? element["name"]?.text ?? element["value"]?.text ?? element["literal"]?.text
            guard let name, !name.isEmpty else { return nil }
            return Party(name: name, role: (element["rel"]?.text ?? element["role"]?.text ?? "").lowercased())
        }
    }

    // MARK: Dates and subjects

    private mutating func readDates() throws(NewsItemError) {
        draft.set(.version, try text("version"))
        var moments: [String: Moment] = [:]
        for name in ["firstcreated", "contentcreated", "versioncreated"] {
            guard let text = try text(name) else { continue }
            let moment = Moment(text)
            guard moment != nil || name == "versioncreated" && isOwn(.versioncreated) else {
                throw NewsItemError(cause: "\(name) \"\(text.prefix(40))\" is no RFC 3339 time")
            }
            moments[name] = moment
        }
        draft.set(.versioncreated, moments["versioncreated"]?.text)
        if let text = try text("published_on") {
            let date = PartialDate(text) ?? Moment(text)?.day
            guard date != nil || isOwn(.publishedOn) else {
                throw NewsItemError(cause: "published_on \"\(text.prefix(40))\" is no date (YYYY-MM-DD)")
            }
            draft.set(.publishedOn, date?.text)
        } else {
            // ninjs has no such member: whoever writes it, and nothing in it, speaks of our column.
            if values["published_on"] != nil { draft.emptied.insert(.publishedOn) }
            draft.set(.publishedOn, (moments["firstcreated"] ?? moments["contentcreated"])?.day.text)
            // A newer version has a later time; the story was published when it was.
            draft.derive(.publishedOn, moments["versioncreated"]?.day.text)
        }
    }

    private mutating func readSubjects() throws(NewsItemError) {
        var names: [String] = []
        for name in ["subjects", "subject"] {
            guard let value = take(name) else { continue }
            names += (value.elements ?? [value]).compactMap { element in
                element.text ?? element["name"]?.text ?? element["literal"]?.text ?? element["code"]?.text
            }
        }
        guard draft.addSubjects(names) else {
            throw NewsItemError(
                cause:
                    "it has more than \(ArticleDraft.subjectLimit) subjects, or one longer than \(Limits.valueBytes) bytes"
            )
        }
    }
}
