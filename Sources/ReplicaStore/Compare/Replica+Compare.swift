// What this replica holds, told by ranges: the answers to a peer's questions, and to the same ones asked here.
//
// Invariant: an answer is true for one snapshot whose vector it names, with nothing unsealed and nothing awaited in it.

public import ReplicationModel
internal import ReplicationWire
internal import Trust

extension Replica {
    /// How often an answer is begun anew because some program wrote between sealing and reading.
    private static let sealAttempts = 5

    /// Answers a question from one snapshot.
    ///
    /// - Parameter isCancelled: asked every few hundred rows.
    /// - Throws: `CancellationError`; `ReplicaError.input` where it asks for a table or key that cannot be here.
    public func answer(_ question: ComparisonQuestion, isCancelled: @escaping () -> Bool = { false }) throws
        -> ComparisonAnswer
    {
        for _ in 0..<Self.sealAttempts {
            try sealUnlessClockIsDoubtful()
            let answer = try read { reader -> ComparisonAnswer? in
                let tables = try Declaration.load(reader)
                guard try !JournalReader.hasUnsealed(tables, reader) else { return nil }
                let applied = try OriginBook(reader).applied
                guard SHA256.digest(applied.digestInput).first == question.vector else { return .moved(applied) }
                guard try reader.integer("SELECT EXISTS(SELECT 1 FROM sync_awaiting)") == 0 else { return .catchingUp }
                let contents = try ContentReader(reader, tables, question.scope, isCancelled)
                return .ranges(
                    try contents.answers(to: question.ranges),
                    declared: question.wantsDeclarations ? Self.declarations(tables) : [])
            }
            if let answer { return answer }
        }
        return .moved(try vectors().applied)
    }

    /// Cuts each range into parts with equally many items: the first keys of all but the first part, cut short.
    public func cut(_ ranges: [(range: ComparisonRange, parts: Int)]) throws -> [[[UInt8]]] {
        try read { reader in
            let contents = try ContentReader(reader, Declaration.load(reader), []) { false }
            return try ranges.map { try contents.boundaries(of: $0.range, parts: $0.parts) }
        }
    }

    /// The vector that a comparison can begin at, once everything captured is sealed.
    public func comparisonVector() throws -> (applied: VersionVector, digest: Identifier128) {
        try sealUnlessClockIsDoubtful()
        let applied = try vectors().applied
        return (applied, SHA256.digest(applied.digestInput).first)
    }

    /// What is declared here, as a peer is told it.
    public func comparisonDeclarations() throws -> [DeclaredTable] {
        try read { Self.declarations(try Declaration.load($0)) }
    }

    private static func declarations(_ tables: [CompiledTable]) -> [DeclaredTable] {
        tables.map { table in
            DeclaredTable(
                name: table.name, fields: table.fields.map { Field(name: $0.name, columns: $0.columns) })
        }.sorted { $0.name < $1.name }
    }
}

/// The sections of a replica, within one snapshot.
struct ContentReader {
    let reader: Reader
    private let isCancelled: () -> Bool
    private let tables: [String: RowItems]
    private let ledger: LedgerItems
    private let origins: OriginItems

    init(
        _ reader: Reader, _ tables: [CompiledTable], _ scope: [DeclaredTable], _ isCancelled: @escaping () -> Bool
    ) throws {
        self.reader = reader
        self.isCancelled = isCancelled
        var fields: [String: [CompiledField]] = [:]
        for table in tables {
            let asked = scope.first { $0.name == table.name }?.fields
            fields[table.name] = try Self.compared(table, scope.isEmpty ? nil : asked ?? [])
        }
        let names = OriginNames(try OriginBook(reader))
        self.tables = Dictionary(
            firstOf: try tables.map {
                ($0.name, try RowItems($0, fields[$0.name] ?? [], reader, names))
            })
        ledger = LedgerItems(tables, fields, reader, names)
        origins = OriginItems(reader)
    }

    /// Fields by name, in the order of their names as bytes; all of them where none are asked for.
    private static func compared(_ table: CompiledTable, _ asked: [Field]?) throws -> [CompiledField] {
        let fields = try asked.map { asked in
            try asked.map { field in
                guard let known = table.field(field) else {
                    throw ReplicaError(.input, "\(table.name).\(field.name) is not declared here as it is asked for.")
                }
                return known
            }
        }
        return (fields ?? table.fields).sorted { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }
    }

    private func section(_ section: ComparisonSection) throws -> any SectionItems {
        switch section {
        case .table(let name):
            guard let table = tables[name] else {
                throw ReplicaError(.input, "There is no replicated table \(name).")
            }
            return table
        case .ledger: return ledger
        case .origins: return origins
        }
    }

    // MARK: Answers

    func answers(to questions: [RangeQuestion]) throws -> [RangeAnswer] {
        var listed = 0
        return try questions.map { question in
            let items = try section(question.range.section)
            switch question.detail {
            case .fingerprints(let boundaries):
                return .fingerprints(try fingerprints(of: question.range, boundaries, items))
            case .items:
                var found: [ItemFingerprint] = []
                var more = false
                try walk(question.range, items) { key, fingerprint in
                    more = listed == FrameLimits.comparisonItems
                    guard !more else { return false }
                    listed += 1
                    found.append(ItemFingerprint(key: key, fingerprint: fingerprint))
                    return true
                }
                return .items(found, more: more)
            case .parts(let keys): return .parts(try keys.map { try items.parts(of: $0) })
            }
        }
    }

    private func fingerprints(
        of range: ComparisonRange, _ boundaries: [[UInt8]], _ items: any SectionItems
    ) throws -> [RangeFingerprint] {
        let hasher = RangeHasher()
        var done: [RangeFingerprint] = []
        try walk(range, items) { key, fingerprint in
            while done.count < boundaries.count, !key.lexicographicallyPrecedes(boundaries[done.count]) {
                done.append(hasher.finish())
            }
            hasher.add(fingerprint)
            return true
        }
        while done.count <= boundaries.count { done.append(hasher.finish()) }
        return done
    }

    /// Stops where `body` returns false.
    private func walk(
        _ range: ComparisonRange, _ items: any SectionItems, _ body: ([UInt8], Identifier128) throws -> Bool
    ) throws {
        var walked = 0
        try items.walk(from: range.from, to: range.to) { key, fingerprint in
            walked += 1
            if walked % 256 == 0, isCancelled() { throw CancellationError() }
            return try body(key, fingerprint)
        }
    }

    // MARK: Boundaries

    func boundaries(of range: ComparisonRange, parts: Int) throws -> [[UInt8]] {
        let keys = try section(range.section).keys(from: range.from, to: range.to)
        let count = try reader.query("SELECT count(*) FROM (\(keys.sql))", keys.arguments).first?[0].integer ?? 0
        guard count > 1 else { return [] }
        let places = Set((1..<min(Int64(parts), count)).map { $0 * count / min(Int64(parts), count) })
        var boundaries: [[UInt8]] = []
        var index: Int64 = 0
        var before: [UInt8] = []
        let statement = try reader.prepare(keys.sql)
        try statement.bind(keys.arguments)
        try statement.forEach {
            defer { index += 1 }
            guard places.contains(index) || places.contains(index + 1) else { return }
            let key = statement.bytes(0)
            if places.contains(index) {
                // As short as still tells it from the key before it.
                let shared = zip(before, key).prefix { $0 == $1 }.count
                boundaries.append(Array(key.prefix(shared + 1)))
            }
            before = key
        }
        return boundaries
    }
}

/// Fingerprints of one part of a range after another.
private final class RangeHasher {
    private var hasher = SHA256.Incremental()
    private var bytes: [UInt8] = []
    private var count: UInt64 = 0

    func add(_ fingerprint: Identifier128) {
        count += 1
        fingerprint.append(to: &bytes)
        guard bytes.count > 1 << 14 else { return }
        hasher.update(bytes)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Ends a part, and begins the next.
    func finish() -> RangeFingerprint {
        hasher.update(bytes)
        bytes.removeAll(keepingCapacity: true)
        var ended = SHA256.Incremental()
        swap(&hasher, &ended)
        defer { count = 0 }
        return RangeFingerprint(count: count, fingerprint: ended.finalize().first)
    }
}

extension Identifier128 {
    /// Its 16 bytes, without an array of their own.
    func append(to bytes: inout [UInt8]) {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { bytes.append(contentsOf: $0) }
    }
}
