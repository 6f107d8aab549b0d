// What the log tells of change sets without what is in them: for whoever has to decide where a node's work is cut off.
//
// Invariant: it is read, and changes nothing.

public import ReplicationModel

/// How one change set of the log came to be there.
public struct Arrival: Sendable, Hashable {
    public let dot: Dot
    /// By its author's clock: its last stamp.
    public let writtenAt: WallClock
    /// By this node's clock.
    public let receivedAt: WallClock
    /// Who brought it; nil where it was sealed here.
    public let receivedFrom: NodeID?
    /// Field writes.
    public let changes: UInt64
}

extension Replica {
    /// The last change sets that a node wrote and are applied here, by all its origins; those that came last first.
    public func lastArrivals(of node: NodeID, limit: Int) throws -> [Arrival] {
        try read { reader in
            var found: [Arrival] = []
            for record in try OriginBook(reader).records where record.origin.node == node {
                found += try reader.query(
                    """
                    SELECT seq, last_stamp, received_at, received_from, changes - coalesce((
                        SELECT changes FROM sync_change_sets before
                        WHERE before.origin = c.origin AND before.seq = c.seq - 1), 0)
                    FROM sync_change_sets c WHERE origin = ? ORDER BY seq DESC LIMIT ?
                    """, [.integer(record.number), .integer(Int64(limit))]
                ).map { row in
                    guard let sequence = row[0].integer, let stamp = row[1].integer.flatMap({ Stamp(rawValue: $0) }),
                        let received = row[2].integer, let changes = row[4].integer
                    else { throw ReplicaError.damaged("sync_change_sets") }
                    return Arrival(
                        dot: Dot(origin: record.origin, sequence: SequenceNumber(UInt64(bitPattern: sequence))),
                        writtenAt: stamp.wallClock, receivedAt: WallClock(milliseconds: received),
                        receivedFrom: row[3].bytes.flatMap { NodeID(bytes: $0) }, changes: UInt64(max(changes, 0)))
                }
            }
            return Array(
                found.sorted { ($0.receivedAt, $0.dot.sequence) > ($1.receivedAt, $1.dot.sequence) }.prefix(limit))
        }
    }
}
