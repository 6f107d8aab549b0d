// What frames.json says of a comparison, as values of the model.
import ReplicationModel
import Testing

struct DeclaredVector: Decodable {
    struct FieldVector: Decodable {
        let name: String
        let columns: [String]
    }
    let name: String
    let fields: [FieldVector]

    func model() -> DeclaredTable {
        DeclaredTable(name: name, fields: fields.map { Field(name: $0.name, columns: $0.columns) })
    }
}

struct RangeVector: Decodable {
    let section: String
    let table: String?
    let from: String
    let to: String
    let detail: String
    let keys: [String]

    func model() throws -> RangeQuestion {
        let section: ComparisonSection =
            switch section {
            case "ledger": .ledger
            case "origins": .origins
            default: .table(try unwrap(table))
            }
        let keys = try keys.map { try bytes($0) }
        let detail: RangeQuestion.Detail =
            switch detail {
            case "fingerprints": .fingerprints(boundaries: keys)
            case "items": .items
            default: .parts(keys: keys)
            }
        return RangeQuestion(ComparisonRange(section, from: try bytes(from), to: try bytes(to)), detail)
    }
}

/// One of the three is there.
struct RangeAnswerVector: Decodable {
    struct Fingerprint: Decodable {
        let count: String
        let fingerprint: String
    }
    struct Item: Decodable {
        let key: String
        let fingerprint: String
    }
    struct Part: Decodable {
        let name: String
        let value: String
        let versions: String
        let origin: String?
        let sequence: String?
        let stamp: String?

        func model() throws -> ItemPart {
            let current = try origin.map { origin in
                Version(
                    stamp: try unwrap(Stamp(rawValue: unwrap(Int64(unwrap(stamp))))),
                    origin: try unwrap(Origin(origin)),
                    sequence: SequenceNumber(try unwrap(UInt64(unwrap(sequence)))))
            }
            return ItemPart(
                name: name, value: try identifier(value), versions: try identifier(versions), current: current)
        }
    }
    let fingerprints: [Fingerprint]?
    let items: [Item]?
    let more: Bool?
    let parts: [[Part]]?

    func model() throws -> RangeAnswer {
        if let fingerprints {
            return .fingerprints(
                try fingerprints.map {
                    RangeFingerprint(
                        count: try unwrap(UInt64($0.count)), fingerprint: try identifier($0.fingerprint))
                })
        }
        if let parts { return .parts(try parts.map { try $0.map { try $0.model() } }) }
        return .items(
            try unwrap(items).map {
                ItemFingerprint(key: try bytes($0.key), fingerprint: try identifier($0.fingerprint))
            },
            more: try unwrap(more))
    }
}

private func identifier(_ text: String) throws -> Identifier128 { try unwrap(Identifier128(bytes: bytes(text))) }
