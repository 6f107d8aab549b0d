// What applying would do, without doing it.
//
// Invariant: the transaction is always rolled back.

public import ReplicationModel
internal import ReplicationWire

/// What came of a rehearsal.
public struct Rehearsal: Sendable {
    public let report: ApplyReport
    /// Conflicts that are open afterwards and were not before.
    public let conflicts: [Conflict]
    /// Field writes by table.
    public let changesByTable: [String: UInt64]
}

extension Replica {
    /// Applies change sets, looks, and takes everything back.
    public func rehearse(_ batch: [SealedChangeSet], from peer: NodeID?, authors: any AuthorDirectory) throws
        -> Rehearsal
    {
        struct RolledBack: Error {
            let result: Rehearsal
        }
        let proven = try batch.map { try prove($0, authors: authors) }
        var changesByTable: [String: UInt64] = [:]
        for changeSet in proven {
            for table in changeSet.changeSet.tables { changesByTable[table.table, default: 0] += table.changes }
        }
        do {
            return try connections.engineWrite { writer -> Rehearsal in
                let before = Set(try ConflictReader(writer).all(acknowledged: false).map(\.key))
                let report = try Batch(writer, replica: self, peer: peer).run(proven)
                let conflicts = try ConflictReader(writer).all(acknowledged: false).filter { !before.contains($0.key) }
                throw RolledBack(
                    result: Rehearsal(report: report, conflicts: conflicts, changesByTable: changesByTable))
            }
        } catch let rolledBack as RolledBack {
            return rolledBack.result
        }
    }
}
