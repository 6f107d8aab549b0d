// The cuts as this replica keeps them.
//
// Invariant: what is kept follows from the roster's revocations and the fork proofs of the same transaction, and the log
// holds nothing beyond it.

internal import ReplicationModel
internal import Trust

enum CutStore {
    /// - Parameter own: this replica's node. Its own revocation cuts nothing off here: it is out, nobody takes what it
    ///   writes, and what it wrote stays readable.
    static func load(_ reader: Reader, own: NodeID?) throws -> Cuts {
        var cuts = Cuts()
        for row in try reader.query("SELECT origin, cause, seq FROM sync_cuts") {
            guard let bytes = row[0].bytes, let cause = row[1].string.flatMap({ Cut.Cause(rawValue: $0) }),
                let sequence = row[2].integer.map({ SequenceNumber(UInt64(bitPattern: $0)) })
            else { throw ReplicaError.damaged("sync_cuts") }
            switch cause {
            case .revoked:
                guard let node = NodeID(bytes: bytes.prefix(16)) else { throw ReplicaError.damaged("sync_cuts") }
                guard node != own else { continue }
                cuts.revoke(
                    node, lastAccepted: Origin(bytes: bytes).map { [$0.incarnation: sequence] } ?? [:])
            case .forked:
                guard let origin = Origin(bytes: bytes) else { throw ReplicaError.damaged("sync_cuts") }
                cuts.fork(origin, at: sequence)
            }
        }
        return cuts
    }

    /// What the roster's records and the fork proofs say.
    static func derive(_ reader: Reader) throws -> Cuts {
        var cuts = Cuts()
        let magic = Value.blob(Revocation.magic)
        for row in try reader.query(
            "SELECT record FROM sync_roster WHERE substr(record, 1, \(Revocation.magic.count)) = ?", [magic])
        {
            guard let bytes = row[0].bytes, let revocation = try? Revocation(bytes: bytes) else {
                throw ReplicaError.damaged("sync_roster")
            }
            cuts.revoke(revocation.node, lastAccepted: revocation.lastAccepted)
        }
        for row in try reader.query("SELECT origin, seq FROM sync_forks") {
            guard let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[1].integer else {
                throw ReplicaError.damaged("sync_forks")
            }
            cuts.fork(origin, at: SequenceNumber(UInt64(bitPattern: sequence)))
        }
        return cuts
    }

    static func save(_ cuts: Cuts, in writer: Writer) throws {
        try writer.execute("DELETE FROM sync_cuts")
        func add(_ origin: [UInt8], _ cause: Cut.Cause, _ sequence: SequenceNumber) throws {
            try writer.execute(
                "INSERT INTO sync_cuts(origin, cause, seq) VALUES (?, ?, ?)",
                [.blob(origin), Value(cause.rawValue), .integer(Int64(bitPattern: sequence.rawValue))])
        }
        for (node, accepted) in cuts.revoked.sorted(by: { $0.key.bytes.lexicographicallyPrecedes($1.key.bytes) }) {
            try add(node.bytes, .revoked, .zero)
            for (incarnation, sequence) in accepted.sorted(by: { $0.key < $1.key }) {
                try add(Origin(node: node, incarnation: incarnation).bytes, .revoked, sequence)
            }
        }
        for (origin, sequence) in cuts.forked.sorted(by: { $0.key < $1.key }) {
            try add(origin.bytes, .forked, sequence)
        }
    }
}
