// Change sets made by hand: what a node with another schema, a wrong clock or ill intent would send.
import ReplicationModel
import ReplicationWire
import Trust

@testable import ReplicaStore

/// A node without a replica: it signs whatever a test wants signed.
struct Forger {
    let key: SigningKey
    let origin: Origin
    private(set) var sequence = SequenceNumber.zero
    private(set) var previous = Digest.none
    private(set) var totals = Totals.zero

    init(_ authors: TestAuthors, key: SigningKey = .generate(), incarnation: UInt64 = 1) {
        self.key = key
        origin = Origin(node: key.publicKey.nodeID, incarnation: incarnation)
        authors.admit(key)
    }

    /// What a change set says wrongly.
    struct Lies {
        var sequence: SequenceNumber?
        var previous: Digest?
        var totals: Totals?
        var signer: SigningKey?
    }

    /// One change set of one row, and the state after it.
    mutating func write(
        _ kind: RowChangeKind = .insert, _ table: String = "links", _ id: String = "f1",
        _ values: [(String, Value)] = [], at stamp: Stamp, seen: VersionVector = VersionVector(), lies: Lies = Lies()
    ) -> SealedChangeSet {
        write(
            kind, table, id, fields: values.map { Field(name: $0.0, columns: [$0.0]) }, values.map(\.1), at: stamp,
            seen: seen, lies: lies)
    }

    mutating func write(
        _ kind: RowChangeKind, _ table: String, _ id: String, fields: [Field], _ values: [Value], at stamp: Stamp,
        seen: VersionVector = VersionVector(), lies: Lies = Lies()
    ) -> SealedChangeSet {
        let cells = values.map(ChangeSetBuilder.cell)
        let row = RowChange(kind: kind, id: RowID(id), stamp: stamp, fieldSet: 0, cells: cells)
        let listsFields = kind == .insert || kind == .update
        let part = TableChanges(
            table: table, fields: fields, fieldSets: listsFields ? [Array(fields.indices)] : [], rows: [row])
        let header = ChangeSetHeader(
            origin: origin, sequence: lies.sequence ?? sequence.next, previous: lies.previous ?? previous,
            contextChanges: seen, firstStamp: stamp, lastStamp: stamp, totalsBefore: lies.totals ?? totals,
            changes: part.changes, besideBytes: part.besideCells.reduce(0) { $0 + $1.byteCount })
        let body = ChangeSetCodec.encode(ChangeSet(header: header, tables: [part]))
        let digest = SHA256.digest(body)
        sequence = header.sequence
        previous = digest
        totals = header.totalsAfter(bodyBytes: body.count)
        return SealedChangeSet(
            body: body, signature: ChangeSetSignature.sign(bodyDigest: digest, key: lies.signer ?? key),
            values: zip(values, cells).compactMap { value, cell -> [UInt8]?? in
                guard case .beside = cell else { return nil }
                switch value {
                case .text(let bytes), .blob(let bytes): return .some(bytes)
                default: return nil
                }
            })
    }
}

extension TestWorkspace {
    /// The stamp of so many seconds from now.
    func stamp(_ seconds: Int64 = 0) -> Stamp {
        Stamp(WallClock(milliseconds: clock.now.milliseconds + seconds * 1000))
    }
}
