// The ends of histories, by which two replicas with equal vectors find that an origin forked.
//
// Invariant: only what both have is compared, and a difference is a suspicion: the proof is what the origin's node signed.

public import ReplicationModel

extension Replica {
    /// Where the histories end here.
    public func heads() throws -> Heads { try read { try OriginBook($0).heads } }

    /// What the change sets that a vector names are here.
    ///
    /// - Returns: nil where some of them are not here, so that nothing can be said.
    public func heads(at vector: VersionVector) throws -> Heads? {
        try read { reader in
            let origins = try OriginBook(reader)
            var heads = Heads()
            for (origin, sequence) in vector.entries {
                let dot = Dot(origin: origin, sequence: sequence)
                guard let digest = try Self.digest(of: dot, origins, reader) else { return nil }
                heads.insert(dot, digest)
            }
            return heads
        }
    }

    /// The origins of which a peer has another history, as far as both go.
    public func suspicions(comparing peer: Heads) throws -> [ForkSuspicion] {
        try read { reader in
            let origins = try OriginBook(reader)
            let cuts = try CutStore.load(reader, own: nil)
            return try peer.vector.sorted.compactMap { origin, sequence in
                let suspicion = ForkSuspicion(origin: origin, differs: sequence)
                guard cuts.mayForkLower(suspicion),
                    let digest = try Self.digest(of: Dot(origin: origin, sequence: sequence), origins, reader),
                    digest != peer.digests[origin]
                else { return nil }
                return suspicion
            }
        }
    }

    private static func digest(of dot: Dot, _ origins: OriginBook, _ reader: Reader) throws -> Identifier128? {
        guard let record = origins[dot.origin], record.applied >= dot.sequence else { return nil }
        if record.applied == dot.sequence { return record.digest.first }
        let statement = try reader.prepare("SELECT digest FROM sync_change_sets WHERE origin = ? AND seq = ?")
        statement.bind(1, record.number)
        statement.bind(2, Int64(bitPattern: dot.sequence.rawValue))
        return try statement.first { statement.withBytes(0) { Identifier128(bytes: $0.prefix(16)) } } ?? nil
    }
}
