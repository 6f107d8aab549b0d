// Whether a row was deleted: for whoever takes in what may have been here before.
//
// Invariant: only reads; a row is deleted where `Replica.undelete` would bring it back, or would once its delete is sealed.

public import ReplicationModel

extension Reader {
    /// Whether a row was once here and was deleted, on this node or on another whose delete has arrived.
    ///
    /// False for one that is there, that nobody inserted, that is known from writes to its fields alone, or whose insert was
    /// taken back by a revocation: none of these has anything to bring back. One that was inserted and deleted since
    /// the last sealing counts as never inserted.
    /// - Parameter table: a replicated table.
    public func isDeleted(table: String, id: RowID) throws -> Bool {
        // One that is alive by the metadata and not in the table was deleted by a program, and its delete is not sealed yet.
        try integer(
            """
            SELECT 1 FROM "sync_rows_\(table)" r WHERE r.id = ?1
            AND (r.alive OR r.shape IS NOT NULL
                OR EXISTS(SELECT 1 FROM "sync_versions_\(table)" v WHERE v.row = r.row AND v.field = \(CompiledField.existence)))
            AND NOT EXISTS(SELECT 1 FROM "\(table)" t WHERE t.id = ?1)
            """, .text(id.bytes)) == 1
    }
}
