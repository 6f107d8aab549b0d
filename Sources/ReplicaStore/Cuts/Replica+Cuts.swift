// Revocations and fork proofs as a replica takes them in, and what a revocation would do.
//
// Invariant: a record that cuts something off and what it does to log and tables are one transaction.

public import ReplicationModel
internal import ReplicationWire
internal import Trust

/// A fork that is proven here.
public struct KnownFork: Sendable, Hashable {
    public let proof: ForkProof
    public let metAt: WallClock
}

/// What a cut would set aside, or has.
public struct BlastRadius: Sendable, Hashable {
    /// Change sets after the cut itself.
    public var beyond: UInt64 = 0
    /// By node, change sets that build on those.
    public var dependent: [NodeID: UInt64] = [:]
}

extension Replica {
    /// How often this replica was rewound: a session that began before the last time rests on a vector that is void.
    public func rewinds() throws -> Int64 {
        try read(Self.rewinds)
    }

    static func rewinds(_ reader: Reader) throws -> Int64 {
        try Settings.value(Settings.rewinds, reader)?.integer ?? 0
    }

    /// Where origins are cut off.
    public func cuts() throws -> Cuts { try read { try CutStore.load($0, own: node) } }

    // MARK: Records

    /// A node that forks more origins than this is to be revoked: of its forks those of the smallest origins count.
    private static let forksOfNode = 16

    /// Keeps records of the roster; where a revocation is among them, rewinds what it cuts off.
    ///
    /// - Parameter records: checked by who adds them.
    @discardableResult
    public func addRosterRecords(_ records: [[UInt8]]) throws -> Rewind? { try learn(records: records, proofs: []) }

    /// Keeps proofs that say more than those known, freezes their origins, and rewinds.
    @discardableResult
    public func addForkProofs(_ proofs: [ForkProof]) throws -> Rewind? { try learn(records: [], proofs: proofs) }

    /// Keeps both, and rewinds once for all of them.
    ///
    /// - Parameters:
    ///   - records: of the roster, checked by who adds them.
    ///   - proofs: checked likewise; those that say no more than is known are passed over.
    @discardableResult
    public func learn(records: [[UInt8]], proofs: [ForkProof]) throws -> Rewind? {
        let proofs = try newest(proofs)
        guard !records.isEmpty || !proofs.isEmpty else { return nil }
        func addAll(_ writer: Writer) throws {
            for record in records {
                try writer.execute(
                    "INSERT OR IGNORE INTO sync_roster(digest, record) VALUES (?, ?)",
                    [.blob(SHA256.digest(record).bytes), .blob(record)])
            }
            for proof in proofs { try add(proof, writer) }
        }
        guard !proofs.isEmpty || records.contains(where: { $0.starts(with: Revocation.magic) }) else {
            try write(addAll)
            return nil
        }
        return try settle(addAll)
    }

    private func newest(_ proofs: [ForkProof]) throws -> [ForkProof] {
        guard !proofs.isEmpty else { return [] }
        let known = Dictionary(firstOf: try forks().map { ($0.proof.fork.origin, $0.proof) })
        return try proofs.map { try lowered($0) }.filter { proof in
            known[proof.fork.origin].map { proof.precedes($0) } ?? true
        }
    }

    private func add(_ proof: ForkProof, _ writer: Writer) throws {
        let fork = proof.fork
        let present = try writer.query("SELECT proof FROM sync_forks WHERE origin = ?", [.blob(fork.origin.bytes)])
            .first
        if let present, try !proof.precedes(Self.proof(present[0])) { return }
        try writer.execute(
            "INSERT OR REPLACE INTO sync_forks(origin, seq, name, met_at, proof) VALUES (?, ?, ?, ?, ?)",
            [
                .blob(fork.origin.bytes), .integer(Int64(bitPattern: fork.sequence.rawValue)),
                .blob(proof.name.bytes), .integer(clock().milliseconds), .blob(proof.bytes),
            ])
        try writer.execute(
            """
            DELETE FROM sync_forks WHERE substr(origin, 1, 16) = ?1 AND origin NOT IN
            (SELECT origin FROM sync_forks WHERE substr(origin, 1, 16) = ?1 ORDER BY origin LIMIT \(Self.forksOfNode))
            """, [.blob(fork.origin.node.bytes)])
    }

    /// A proof that is kept here.
    private static func proof(_ column: Value) throws -> ForkProof {
        guard let bytes = column.bytes, let proof = try? ForkProof(bytes: bytes) else {
            throw ReplicaError.damaged("a proof in sync_forks")
        }
        return proof
    }

    /// A proof made where one side did not answer may lie above the place where the histories part: what it holds is compared
    /// with what is here, which may show a lower one.
    private func lowered(_ proof: ForkProof) throws -> ForkProof {
        var lowest = proof
        for half in proof.halves {
            for sequence in [half.header.sequence, half.header.sequence.previous] where sequence > .zero {
                let dot = Dot(origin: proof.fork.origin, sequence: sequence)
                // Most pairs prove nothing: they are one and the same, or follow each other.
                guard let ours = try signedChangeSet(dot),
                    let own = try? ForkProof.Half(body: ours.body, signature: ours.signature),
                    let other = try? ForkProof(own, half, key: proof.key), other.precedes(lowest)
                else { continue }
                lowest = other
            }
        }
        return lowest
    }

    /// Writes something that cuts may follow from, and brings the replica in line with them.
    func settle(_ body: (Writer) throws -> Void) throws -> Rewind? {
        try seal()
        return try engineWrite { writer in
            try body(writer)
            return try Rewinder(writer, self).run()
        }
    }

    /// The forks that are proven, by origin.
    public func forks() throws -> [KnownFork] {
        try read { reader in
            try reader.query("SELECT proof, met_at FROM sync_forks ORDER BY origin").map { row in
                guard let at = row[1].integer else { throw ReplicaError.damaged("sync_forks") }
                return KnownFork(proof: try Self.proof(row[0]), metAt: WallClock(milliseconds: at))
            }
        }
    }

    /// Changes whenever a record or proof was added.
    public func rosterMark() throws -> String {
        try read { reader in
            let forks = try reader.query("SELECT hex(name) FROM sync_forks ORDER BY origin").compactMap { $0[0].string }
            return "\(try reader.integer("SELECT count(*) FROM sync_roster") ?? 0) \(forks.joined(separator: " "))"
        }
    }

    /// Forks that were met and are not proven yet: where a peer has what follows, it may be asked.
    public func forkSuspicions() throws -> [ForkSuspicion] {
        try read { try Self.forkSuspicions(OriginBook($0), $0) }
    }

    static func forkSuspicions(_ origins: OriginBook, _ reader: Reader) throws -> [ForkSuspicion] {
        let held = try reader.query(
            "SELECT origin, min(seq), body FROM sync_held WHERE cause = 'forked' GROUP BY origin")
        guard !held.isEmpty else { return [] }
        let cuts = try CutStore.load(reader, own: nil)
        return try held.compactMap { row in
            guard let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[1].integer,
                let body = row[2].bytes
            else { return nil }
            let dot = Dot(origin: origin, sequence: SequenceNumber(UInt64(bitPattern: sequence)))
            guard !cuts.exclude(dot), let suspicion = try suspicion(of: dot, body, origins, reader) else { return nil }
            return cuts.mayForkLower(suspicion) ? suspicion : nil
        }
    }

    /// Why a change set was held: its own origin has another history here, or one that it builds on. Nil where a cut took back
    /// what it builds on, so that nothing can be told.
    private static func suspicion(of dot: Dot, _ body: [UInt8], _ origins: OriginBook, _ reader: Reader) throws
        -> ForkSuspicion?
    {
        let applied = origins[dot.origin]?.applied ?? .zero
        let digest = origins[dot.origin]?.digest ?? .none
        guard applied.next == dot.sequence else {
            return ForkSuspicion(origin: dot.origin, differs: min(applied, dot.sequence))
        }
        // `verify` reports a body that does not read; here nothing more can be told of it.
        if let header = try? ChangeSetCodec.decodeHeader(body), header.previous == digest {
            guard origins.applied.covers(header.contextChanges) else { return nil }
            if let breach = try Applier.laterContext(of: header, origins, reader) { return breach }
        }
        return ForkSuspicion(origin: dot.origin, differs: min(applied, dot.sequence))
    }

    // MARK: Before it is done

    /// What would be set aside if a node were revoked with these last sequences, besides what is cut off already.
    public func blastRadius(revoking node: NodeID, lastAccepted: [UInt64: SequenceNumber]) throws -> BlastRadius {
        try read { reader in
            let origins = try OriginBook(reader)
            var cuts = try CutStore.load(reader, own: self.node)
            cuts.revoke(node, lastAccepted: lastAccepted)
            var radius = BlastRadius()
            for (number, first) in try Rewinder.firstSetAside(by: cuts, origins, reader) {
                let origin = try origins.origin(number)
                let applied = origins[origin]?.applied ?? .zero
                let count = applied.rawValue - first.previous.rawValue
                let beyond = cuts[origin].map { applied.rawValue - min($0.lastAccepted, applied).rawValue } ?? 0
                radius.beyond += beyond
                if count > beyond { radius.dependent[origin.node, default: 0] += count - beyond }
            }
            return radius
        }
    }
}
