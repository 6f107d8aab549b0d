// What a session is told of this replica, when it begins and whenever something was committed.
//
// Invariant: all of it is of one moment, so that no two parts of it contradict each other.

public import ReplicationModel
internal import Trust

/// Where a replica stands, as its peers are concerned.
public struct ReplicaStanding: Sendable {
    public let applied: VersionVector
    /// The part of `applied` below which no value is awaited.
    public let safe: VersionVector
    /// Where the histories end.
    public let heads: Heads
    /// How often the replica was rewound.
    public let rewinds: Int64
    /// The tables and fields declared here, digested: peers with another schema see it at once.
    public let schemaDigest: Digest
    /// The first change set of each origin that waits.
    public let held: [HeldChangeSet]
    /// Change sets of which a value is awaited.
    public let awaited: [Dot]
    /// Forks that were met and are not proven yet.
    public let suspicions: [ForkSuspicion]
    /// Of each peer that was met, what it had acknowledged, and when that was true by this clock.
    public let met: [(node: NodeID, safe: VersionVector, at: WallClock)]
}

extension Replica {
    /// Where this replica stands: read at every commit for every session, so in one snapshot and each table once.
    public func standing() throws -> ReplicaStanding {
        let now = clock()
        return try read { reader in
            let origins = try OriginBook(reader)
            return ReplicaStanding(
                applied: origins.applied, safe: try Self.safe(origins, reader), heads: origins.heads,
                rewinds: try Self.rewinds(reader), schemaDigest: try Self.schemaDigest(reader),
                held: try HeldStore.firstOfEachOrigin(reader, cuts: CutStore.load(reader, own: node)),
                awaited: try Self.awaited(reader, at: now), suspicions: try Self.forkSuspicions(origins, reader),
                met: try Self.met(reader))
        }
    }

    private static func schemaDigest(_ reader: Reader) throws -> Digest {
        let lines = try Declaration.load(reader).sorted { $0.name < $1.name }.flatMap { table in
            table.fields.sorted { $0.name < $1.name }.map {
                "\(table.name) \($0.name): \($0.columns.joined(separator: " "))\n"
            }
        }
        return SHA256.digest(Array(lines.joined().utf8))
    }
}
