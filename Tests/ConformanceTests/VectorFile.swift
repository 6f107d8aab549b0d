// Reads Protocols/vectors/change-sets.json into values of the model.
//
// Invariant: nothing here encodes or decodes a body; what the codec says is compared with what the file says.
import Foundation
import ReplicationModel
import Testing

struct VectorFile: Decodable {
    struct Key: Decodable {
        let seed: String
        let `public`: String
        let node: String
    }
    struct Accepted: Decodable, CustomTestStringConvertible {
        let name: String
        let body: String
        let digest: String
        let signature: String
        let totalsAfter: VectorTotals
        let changeSet: VectorChangeSet
        var testDescription: String { name }
    }
    struct Malformed: Decodable, CustomTestStringConvertible {
        let name: String
        let rule: String
        let body: String
        var testDescription: String { name }
    }

    let key: Key
    let accepted: [Accepted]
    let malformed: [Malformed]

    static func load() throws -> VectorFile {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let file = root.appending(path: "Protocols/vectors/change-sets.json")
        return try JSONDecoder().decode(VectorFile.self, from: Data(contentsOf: file))
    }
}

/// Something in the file is not what this reader knows.
struct VectorError: Error, CustomStringConvertible {
    let description: String
}

struct VectorTotals: Decodable {
    let changes: String
    let bytes: String
    func model() throws -> Totals { Totals(changes: try number(changes), bytes: try number(bytes)) }
}

struct VectorChangeSet: Decodable {
    struct Entry: Decodable {
        let origin: String
        let sequence: String
    }
    struct FieldEntry: Decodable {
        let name: String
        let columns: [String]
    }
    struct Row: Decodable {
        let kind: String
        let id: String
        let stamp: String
        let fieldSet: Int
        let cells: [VectorCell?]
    }
    struct TableEntry: Decodable {
        let table: String
        let fields: [FieldEntry]
        let fieldSets: [[Int]]
        let rows: [Row]
    }

    let origin: String
    let sequence: String
    let previous: String
    let context: [Entry]
    let firstStamp: String
    let lastStamp: String
    let totalsBefore: VectorTotals
    let changes: UInt64
    let besideBytes: UInt64
    let tables: [TableEntry]

    func model() throws -> ChangeSet {
        var context = VersionVector()
        for entry in self.context {
            context[try unwrap(Origin(entry.origin))] = SequenceNumber(try number(entry.sequence))
        }
        let header = ChangeSetHeader(
            origin: try unwrap(Origin(origin)), sequence: SequenceNumber(try number(sequence)),
            previous: try unwrap(Digest(bytes: try bytes(previous))), contextChanges: context,
            firstStamp: try readStamp(firstStamp), lastStamp: try readStamp(lastStamp),
            totalsBefore: try totalsBefore.model(),
            changes: changes, besideBytes: besideBytes)
        return ChangeSet(header: header, tables: try tables.map { try $0.model() })
    }
}

extension VectorChangeSet.TableEntry {
    func model() throws -> TableChanges {
        TableChanges(
            table: table, fields: fields.map { Field(name: $0.name, columns: $0.columns) }, fieldSets: fieldSets,
            rows: try rows.map { try $0.model() })
    }
}

extension VectorChangeSet.Row {
    func model() throws -> RowChange {
        let kinds: [String: RowChangeKind] = [
            "insert": .insert, "update": .update, "delete": .delete, "undelete": .undelete,
        ]
        return RowChange(
            kind: try unwrap(kinds[kind]), id: RowID(bytes: try bytes(id)), stamp: try readStamp(stamp),
            fieldSet: fieldSet, cells: try cells.map { try $0?.model() ?? .inline(.null) })
    }
}

struct VectorCell: Decodable {
    struct Beside: Decodable {
        let digest: String
        let bytes: UInt64
    }
    let integer: String?
    let real: String?
    let text: String?
    let blob: String?
    let besideText: Beside?
    let besideBlob: Beside?

    func model() throws -> Cell {
        if let integer { return .inline(.integer(try unwrap(Int64(integer)))) }
        if let real { return .inline(.real(Double(bitPattern: try unwrap(UInt64(real, radix: 16))))) }
        if let text { return .inline(.text(try bytes(text))) }
        if let blob { return .inline(.blob(try bytes(blob))) }
        if let besideText { return .beside(try large(.text, besideText)) }
        return .beside(try large(.blob, try unwrap(besideBlob)))
    }

    private func large(_ kind: LargeValue.Kind, _ value: Beside) throws -> LargeValue {
        LargeValue(kind: kind, digest: try unwrap(Digest(bytes: try bytes(value.digest))), byteCount: value.bytes)
    }
}

func bytes(_ text: String) throws -> [UInt8] {
    let digits = try text.map { try unwrap($0.hexDigitValue) }
    guard digits.count.isMultiple(of: 2) else { throw VectorError(description: "odd hexadecimal") }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

private func number(_ text: String) throws -> UInt64 { try unwrap(UInt64(text)) }
private func readStamp(_ text: String) throws -> Stamp { try unwrap(Int64(text).flatMap(Stamp.init(rawValue:))) }

func unwrap<Wrapped>(_ value: Wrapped?) throws -> Wrapped {
    guard let value else { throw VectorError(description: "unreadable \(Wrapped.self)") }
    return value
}
