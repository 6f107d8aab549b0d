// Facts about the replica, by name.
//
// Invariant: nobody signs them, so one of them is a digest of the others.

internal import ReplicationModel
internal import Trust

enum Settings {
    /// The last position that the log had before a rewind left nothing in it.
    static let logFloor = "log_floor"
    /// How often this replica was rewound, or lost something else that peers had been told of: what they were told before is void.
    static let rewinds = "rewinds"

    static func value(_ name: String, _ reader: Reader) throws -> Value? {
        try reader.query("SELECT value FROM sync_settings WHERE name = ?", [Value(name)]).first?[0]
    }

    static func set(_ name: String, to value: Value, in writer: Writer) throws {
        // Over facts that are damaged no new digest is made: it would hide that from whoever verifies.
        let isSound = try Self.value(digestName, writer) == nil || areSound(writer)
        let statement = "INSERT OR REPLACE INTO sync_settings(name, value) VALUES (?, ?)"
        try writer.execute(statement, [Value(name), value])
        if isSound { try writer.execute(statement, [Value(digestName), .blob(digest(writer).bytes)]) }
    }

    static func countRewind(in writer: Writer) throws {
        try set(rewinds, to: .integer((value(rewinds, writer)?.integer ?? 0) + 1), in: writer)
    }

    private static let digestName = "digest"

    /// SHA-256 over the facts that something rests on: not over what is made anew at every opening, nor over what this
    /// program noted for itself.
    private static func digest(_ reader: Reader) throws -> Digest {
        var bytes: [UInt8] = []
        for row in try reader.query(
            """
            SELECT name, value FROM sync_settings WHERE name NOT IN ('declared', '\(digestName)')
            AND name NOT LIKE 'note!_%' ESCAPE '!' ORDER BY name
            """)
        {
            for value in row.values { value.appendDigestInput(to: &bytes) }
        }
        return SHA256.digest(bytes)
    }

    /// Whether they are as they were last written.
    static func areSound(_ reader: Reader) throws -> Bool {
        try value(digestName, reader) == .blob(digest(reader).bytes)
    }

    static func ownOrigin(_ reader: Reader) throws -> Origin {
        guard case .blob(let bytes) = try value("origin", reader), let origin = Origin(bytes: bytes) else {
            throw ReplicaError.damaged("sync_settings lacks the origin")
        }
        return origin
    }
}
