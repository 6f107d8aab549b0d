// The door to articles and commitments: what commands and the console call.
//
// Invariant: every write goes through one transaction of the replica, so it is captured and replicated whole; no text of
// a caller ever becomes part of an SQL statement.

public import ReplicaStore
public import ReplicationModel

/// Articles, commitments and the search over them, in one replica.
public struct NewsStore: Sendable {
    /// Where everything is kept.
    public let replica: Replica

    /// Makes the indexes that this replica lacks.
    /// - Parameter replica: opened with `NewsTables.all` declared.
    public init(_ replica: Replica) throws {
        self.replica = replica
        let present = try replica.read { reader in
            Set(try reader.query("SELECT name FROM sqlite_master WHERE type = 'index'").compactMap { $0.text(0) })
        }
        let lacking = NewsTables.localIndexes.filter { !present.contains($0.name) }
        guard !lacking.isEmpty else { return }
        try replica.write { writer in
            for index in lacking { try writer.execute("CREATE INDEX IF NOT EXISTS \(index.name) ON \(index.columns)") }
        }
    }

    /// A kind of row that a person names by its id.
    public enum Kind: String, Sendable, CaseIterable {
        case article, commitment

        /// Its table.
        public var table: String { self == .article ? "articles" : "commitments" }
        var titleColumn: String { self == .article ? "headline" : "title" }
    }

    // MARK: Ids

    /// How many rows an ambiguous prefix lists.
    private static let candidateLimit = 5

    /// The one row whose id is `prefix`, or begins with it.
    /// - Throws: `NewsError.Code.notFound`, or `.ambiguous` with the candidates named.
    public func resolve(_ prefix: String, _ kind: Kind, operation: String = "find") throws -> RowID {
        try replica.read { try Self.resolve(prefix, kind, operation: operation, in: $0) }
    }

    static func resolve(_ prefix: String, _ kind: Kind, operation: String, in reader: Reader) throws -> RowID {
        let object = "\(kind.rawValue) \(prefix)"
        guard !prefix.isEmpty else {
            throw NewsError(
                .badArgument, operation: operation, object: kind.rawValue, cause: "the id is empty",
                nextStep: "Give an id, or its first characters.")
        }
        // Our own ids are lower-case; they may be typed in capitals.
        for text in prefix == prefix.lowercased() ? [prefix] : [prefix, prefix.lowercased()] {
            let rows = try reader.query(
                """
                SELECT id, \(kind.titleColumn) FROM \(kind.table) WHERE id >= ?1 AND id < ?2
                ORDER BY id LIMIT \(candidateLimit + 1)
                """,
                [Value(text), Value(text + "\u{10ffff}")])
            if rows.count == 1 || rows.first?[0] == Value(text) { return rows[0].rowID(0) }
            guard rows.isEmpty else { throw ambiguity(object, rows, operation: operation) }
        }
        throw NewsError(
            .notFound, operation: operation, object: object, cause: "no \(kind.rawValue) here has an id that begins so",
            nextStep:
                "List them with `syncnode \(kind.rawValue) list`; a deleted one comes back with `syncnode \(kind.rawValue) restore`."
        )
    }

    private static func ambiguity(_ object: String, _ rows: [Row], operation: String) -> NewsError {
        let shown = rows.prefix(candidateLimit).map { row in
            "\(row.rowID(0)) (\((row.text(1) ?? "").prefix(40)))"
        }
        let more = rows.count > candidateLimit ? ", and more" : ""
        return NewsError(
            .ambiguous, operation: operation, object: object,
            cause: "more than one id begins so: \(shown.joined(separator: ", "))\(more)",
            nextStep: "Give more of the id.")
    }

    // MARK: Deleting and restoring

    /// Deletes a row; what links to it stays, and is whole again when it is restored.
    /// - Returns: the id that the prefix stood for.
    public func delete(_ kind: Kind, _ prefix: String) throws -> RowID {
        try replica.write { writer in
            let id = try Self.resolve(prefix, kind, operation: "delete", in: writer)
            try writer.execute("DELETE FROM \(kind.table) WHERE id = ?", [.text(id.bytes)])
            return id
        }
    }

    /// Brings a deleted row back with the values it had.
    /// - Parameter prefix: of an id that was deleted here or on another node.
    /// - Throws: `NewsError.Code.notFound` where nothing deleted is named so, or `.ambiguous`.
    public func restore(_ kind: Kind, _ prefix: String) throws -> RowID {
        if try replica.undelete(table: kind.table, id: RowID(prefix)) { return RowID(prefix) }
        let deleted = try deletedIDs(kind, prefix: prefix)
        guard deleted.count <= 1 else {
            throw NewsError(
                .ambiguous, operation: "restore", object: "\(kind.rawValue) \(prefix)",
                cause: "more than one deleted id begins so: "
                    + deleted.prefix(Self.candidateLimit).map(\.description).joined(separator: ", "),
                nextStep: "Give more of the id.")
        }
        guard let id = deleted.first, try replica.undelete(table: kind.table, id: id) else {
            throw NewsError(
                .notFound, operation: "restore", object: "\(kind.rawValue) \(prefix)",
                cause: "no deleted \(kind.rawValue) here has an id that begins so",
                nextStep: "See `syncnode \(kind.rawValue) list` for those that are not deleted, or sync first.")
        }
        return id
    }

    /// Rows that changed once and are no longer there. Reads the whole feed: rare, and no index is worth it.
    private func deletedIDs(_ kind: Kind, prefix: String) throws -> [RowID] {
        guard !prefix.isEmpty else { return [] }
        let prefixes = [Array(prefix.utf8), Array(prefix.lowercased().utf8)]
        var candidates: Set<RowID> = []
        var cursor = FeedCursor.start
        while true {
            let page = try replica.changedRows(in: kind.table, after: cursor, limit: 10_000)
            candidates.formUnion(page.ids.filter { id in prefixes.contains { id.bytes.starts(with: $0) } })
            if page.reachedEnd { break }
            cursor = page.next
        }
        return try replica.read { reader in
            try candidates.filter {
                try reader.query("SELECT 1 FROM \(kind.table) WHERE id = ?", [.text($0.bytes)]).isEmpty
            }
            .sorted { $0.description < $1.description }
        }
    }
}

// MARK: - Values

extension Row {
    /// The column as text for showing; nil for NULL and for an empty text.
    func text(_ index: Int) -> String? { shownText(self[index]) }

    func rowID(_ index: Int) -> RowID {
        if case .text(let bytes) = self[index] { return RowID(bytes: bytes) }
        return RowID(shownText(self[index]) ?? "")
    }

    func integer(_ index: Int) -> Int64 {
        if case .integer(let value) = self[index] { return value }
        return 0
    }
}

/// Any program may write any type into a column; readers show it as text.
private func shownText(_ value: Value) -> String? {
    switch value {
    case .null: nil
    case .integer(let number): String(number)
    case .real(let number): String(number)
    case .text(let bytes), .blob(let bytes): bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

extension Optional where Wrapped == String {
    /// NULL for nil and for an empty text.
    var sqlValue: Value { self.flatMap { $0.isEmpty ? nil : Value($0) } ?? .null }
}

extension RowID {
    var sqlValue: Value { .text(bytes) }
}
