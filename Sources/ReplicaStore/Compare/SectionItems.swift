// The items of the ledger and of the log's ends, and the canonical bytes that fingerprints are taken over.
//
// Invariant: the bytes follow from what is known alone: no number of this replica's own is in them.

internal import ReplicationModel
internal import Trust

/// One section of a replica, within one snapshot.
protocol SectionItems {
    /// The keys of a range, ascending, as one query.
    func keys(from: [UInt8], to: [UInt8]) -> (sql: String, arguments: [Value])
    /// Every item of a range with its fingerprint, ascending, until `body` returns false.
    func walk(from: [UInt8], to: [UInt8], _ body: ([UInt8], Identifier128) throws -> Bool) throws
    /// What one item consists of; nothing where there is none.
    func parts(of key: [UInt8]) throws -> [ItemPart]
}

/// Origins by the numbers that this replica gave them.
struct OriginNames {
    private let names: [Int64: Origin]
    init(_ book: OriginBook) { names = Dictionary(firstOf: book.records.map { ($0.number, $0.origin) }) }

    /// A version as it is kept; nil where it does not read as one.
    func version(_ stamp: Int64, _ origin: Int64, _ sequence: Int64) -> Version? {
        guard let stamp = Stamp(rawValue: stamp), let origin = names[origin] else { return nil }
        return Version(stamp: stamp, origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
    }
}

/// Bytes under way to a fingerprint.
struct CanonicalBytes {
    private(set) var bytes: [UInt8] = []

    mutating func clear() { bytes.removeAll(keepingCapacity: true) }
    var fingerprint: Identifier128 { SHA256.digest(bytes).first }

    mutating func append(_ byte: UInt8) { bytes.append(byte) }
    mutating func append(_ number: UInt64) { withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) } }
    mutating func append(_ part: [UInt8]) {
        append(UInt64(part.count))
        bytes += part
    }
    mutating func append(_ text: String) { append(Array(text.utf8)) }

    /// As it stands in a body; 0.0 and -0.0 are one, as they are to capture.
    mutating func append(_ cell: Cell) {
        switch cell {
        case .inline(.null): append(UInt8(0))
        case .inline(.integer(let integer)):
            append(UInt8(1))
            append(UInt64(bitPattern: integer))
        case .inline(.real(let real)):
            append(UInt8(2))
            append(real == 0 ? 0 : real.bitPattern)
        case .inline(.text(let text)):
            append(UInt8(3))
            append(text)
        case .inline(.blob(let blob)):
            append(UInt8(4))
            append(blob)
        case .beside(let large):
            append(large.kind == .text ? UInt8(5) : UInt8(6))
            append(large.byteCount)
            append(large.digest.bytes)
        }
    }

    /// Each write of a register, ascending.
    mutating func append(_ versions: [Version]) {
        append(UInt64(versions.count))
        for version in versions { append(version) }
    }

    mutating func append(_ version: Version) {
        append(UInt64(bitPattern: version.stamp.rawValue))
        bytes += version.origin.bytes
        append(version.sequence.rawValue)
    }
}

/// A query over keys with its bounds; text keys and blobs are each compared as bytes.
func keyRange(_ select: String, _ column: String, from: [UInt8], to: [UInt8], asText: Bool) -> (
    sql: String, arguments: [Value]
) {
    var conditions: [String] = []
    var arguments: [Value] = []
    for (bytes, comparison) in [(from, ">="), (to, "<")] where !bytes.isEmpty {
        conditions.append("\(column) \(comparison) ?")
        arguments.append(asText ? .text(bytes) : .blob(bytes))
    }
    let sql = ([select] + conditions).joined(separator: " AND ")
    return (sql + " ORDER BY \(column)", arguments)
}

/// One item for each origin of which something is applied: how far, and the digest of its last change set.
struct OriginItems: SectionItems {
    private let reader: Reader
    init(_ reader: Reader) { self.reader = reader }

    func keys(from: [UInt8], to: [UInt8]) -> (sql: String, arguments: [Value]) {
        keyRange("SELECT origin FROM sync_origins WHERE applied > 0", "origin", from: from, to: to, asText: false)
    }

    func walk(from: [UInt8], to: [UInt8], _ body: ([UInt8], Identifier128) throws -> Bool) throws {
        let (sql, arguments) = keyRange(
            "SELECT origin, applied, digest FROM sync_origins WHERE applied > 0", "origin", from: from, to: to,
            asText: false)
        let statement = try reader.prepare(sql)
        try statement.bind(arguments)
        defer { statement.reset() }
        while try statement.step() {
            var bytes = CanonicalBytes()
            bytes.append(UInt64(bitPattern: statement.integer(1)))
            bytes.append(statement.bytes(2))
            guard try body(statement.bytes(0), bytes.fingerprint) else { return }
        }
    }

    func parts(of key: [UInt8]) throws -> [ItemPart] {
        var parts: [ItemPart] = []
        try walk(from: key, to: key + [0]) { _, fingerprint in
            parts.append(
                ItemPart(name: "log", value: fingerprint, versions: Identifier128(high: 0, low: 0), current: nil))
            return false
        }
        return parts
    }
}

/// One item for each entry of the conflict ledger whose field is compared.
struct LedgerItems: SectionItems {
    private let tables: [Int64: CompiledTable]
    private let fields: [Int64: [Int64: String]]
    private let reader: Reader
    private let names: OriginNames
    private let contents: LoggedContents

    init(
        _ tables: [CompiledTable], _ fields: [String: [CompiledField]], _ reader: Reader, _ names: OriginNames
    ) {
        self.tables = Dictionary(firstOf: tables.map { ($0.number, $0) })
        var numbers: [Int64: [Int64: String]] = [:]
        for table in tables {
            numbers[table.number, default: [:]][CompiledField.existence] = LoggedContents.existenceName
            for field in fields[table.name] ?? [] { numbers[table.number]?[field.number] = field.name }
        }
        self.fields = numbers
        self.reader = reader
        self.names = names
        contents = LoggedContents(reader)
    }

    func keys(from: [UInt8], to: [UInt8]) -> (sql: String, arguments: [Value]) {
        keyRange("SELECT key FROM sync_conflicts WHERE 1", "key", from: from, to: to, asText: true)
    }

    func walk(from: [UInt8], to: [UInt8], _ body: ([UInt8], Identifier128) throws -> Bool) throws {
        try entries(from: from, to: to) { key, parts in
            var bytes = CanonicalBytes()
            for part in parts {
                bytes.append(part.name)
                part.value.append(to: &bytes)
                part.versions.append(to: &bytes)
            }
            return try body(key, bytes.fingerprint)
        }
    }

    func parts(of key: [UInt8]) throws -> [ItemPart] {
        var found: [ItemPart] = []
        try entries(from: key, to: key + [0]) { _, parts in
            found = parts
            return false
        }
        return found
    }

    private func entries(from: [UInt8], to: [UInt8], _ body: ([UInt8], [ItemPart]) throws -> Bool) throws {
        let (sql, arguments) = keyRange(
            """
            SELECT key, number, table_number, row, field, stamp, origin, seq, has_successor, shown FROM sync_conflicts
            WHERE 1
            """, "key", from: from, to: to, asText: true)
        let statement = try reader.prepare(sql)
        try statement.bind(arguments)
        defer { statement.reset() }
        while try statement.step() {
            guard let table = tables[statement.integer(2)],
                let field = fields[table.number]?[statement.integer(4)]
            else { continue }
            let id = try reader.query(
                "SELECT id FROM \"sync_rows_\(table.name)\" WHERE row = ?", [.integer(statement.integer(3))]
            ).first?[0]
            var entry = CanonicalBytes()
            entry.append(table.name)
            entry.append(field)
            if case .text(let id)? = id { entry.append(id) }
            entry.append(UInt64(bitPattern: statement.integer(8)))
            entry.append(UInt64(bitPattern: statement.integer(9)))
            let lost = names.version(statement.integer(5), statement.integer(6), statement.integer(7))
            func signed() throws -> [Cell] {
                guard let lost, case .text(let id)? = id,
                    case .cells(let cells)? = try contents.readable(
                        lost, table: table.name, id: RowID(bytes: id), field: field)?.content
                else { return [] }
                return cells
            }
            let parts = [
                ItemPart(
                    name: "entry", value: entry.fingerprint, versions: fingerprint(of: lost.map { [$0] } ?? []),
                    current: lost),
                ItemPart(
                    name: "values", value: try values(statement.integer(1), signed), versions: fingerprint(of: []),
                    current: lost),
                try witnesses(statement.integer(1)),
            ]
            guard try body(statement.bytes(0), parts) else { return }
        }
    }

    private func fingerprint(of versions: [Version]) -> Identifier128 {
        var bytes = CanonicalBytes()
        bytes.append(versions)
        return bytes.fingerprint
    }

    /// What was lost is one thing, whether or not all its values arrived: one that did not stands as its author signed it.
    private func values(_ conflict: Int64, _ signed: () throws -> [Cell]) throws -> Identifier128 {
        let statement = try reader.prepare(
            "SELECT ordinal, absent, value FROM sync_conflict_values WHERE conflict = ? ORDER BY ordinal")
        statement.bind(1, conflict)
        var cells: [(ordinal: Int64, cell: Cell?)] = []
        try statement.forEach {
            cells.append((statement.integer(0), statement.integer(1) == 0 ? statement.cell(2) : nil))
        }
        let written = cells.contains { $0.cell == nil } ? try signed() : []
        var bytes = CanonicalBytes()
        for (ordinal, cell) in cells {
            if let cell {
                bytes.append(cell)
            } else if let place = Int(exactly: ordinal), written.indices.contains(place) {
                bytes.append(written[place])
            } else {
                bytes.append(UInt8(0xee))
            }
        }
        return bytes.fingerprint
    }

    private func witnesses(_ conflict: Int64) throws -> ItemPart {
        let statement = try reader.prepare(
            "SELECT stamp, origin, seq, differs FROM sync_conflict_witnesses WHERE conflict = ?")
        statement.bind(1, conflict)
        var witnesses: [(version: Version, differs: Int64)] = []
        try statement.forEach {
            if let version = names.version(statement.integer(0), statement.integer(1), statement.integer(2)) {
                witnesses.append((version, statement.integer(3)))
            }
        }
        witnesses.sort { $0.version < $1.version }
        var bytes = CanonicalBytes()
        for witness in witnesses { bytes.append(UInt64(bitPattern: witness.differs)) }
        return ItemPart(
            name: "winners", value: bytes.fingerprint, versions: fingerprint(of: witnesses.map(\.version)),
            current: witnesses.last?.version)
    }
}

extension Identifier128 {
    fileprivate func append(to bytes: inout CanonicalBytes) {
        bytes.append(high)
        bytes.append(low)
    }
}
