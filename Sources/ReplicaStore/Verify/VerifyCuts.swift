// Verifying what cuts are kept by: revocations and fork proofs, the cuts that follow from them, and this node's edits that
// wait to be written again.
//
// Invariant: a proof is checked from its own bytes, whatever the columns beside it say.

internal import ReplicationModel
internal import Trust

extension Verification {
    func checkCuts() throws {
        for row in try reader.query("SELECT origin, seq, name, proof FROM sync_forks") {
            guard let bytes = row[3].bytes, let proof = try? ForkProof(bytes: bytes) else {
                let origin = row[0].bytes.flatMap { Origin(bytes: $0) }
                let sequence = row[1].integer.map { SequenceNumber(UInt64(bitPattern: $0)) }
                report.add(
                    .author, "a fork proof proves nothing", table: "sync_forks",
                    dot: origin.flatMap { origin in sequence.map { Dot(origin: origin, sequence: $0) } })
                continue
            }
            let said: [Value] = [
                .blob(proof.fork.origin.bytes), .integer(Int64(bitPattern: proof.fork.sequence.rawValue)),
                .blob(proof.name.bytes),
            ]
            if Array(row.values.prefix(3)) != said {
                report.add(.author, "a fork proof is kept under another name", table: "sync_forks", dot: proof.fork)
            }
        }
        // Of a node as a whole nothing is accepted: its row names no sequence, and nobody reads one there.
        let stray = try reader.integer("SELECT EXISTS(SELECT 1 FROM sync_cuts WHERE length(origin) = 16 AND seq <> 0)")
        if try stray == 1 || CutStore.derive(reader) != CutStore.load(reader, own: nil) {
            report.add(
                .author, "what is kept does not follow from the revocations and fork proofs here", table: "sync_cuts")
        }
        let edits = try reader.query(
            """
            SELECT table_number, id, field, ordinal, origin, seq, with_insert, value, digest FROM sync_set_aside_edits
            """)
        for row in edits where row.values.last != .blob(SetAsideEdits.digest(of: row.values.dropLast()).bytes) {
            let table = tables.values.first { .integer($0.number) == row[0] }?.name
            report.add(
                .history,
                "an edit of \(table ?? "table \(row[0].number)") that waits to be written again is not as it was set aside",
                table: "sync_set_aside_edits", id: Self.rowID(row[1]))
        }
    }
}
