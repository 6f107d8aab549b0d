// A replica in a few numbers, and a copy of it.

internal import GRDB
public import ReplicationModel
internal import Trust

/// What `syncnode status` tells.
public struct ReplicaStatus: Sendable {
    public var origin: Origin
    public var applied: VersionVector
    public var safe: VersionVector
    /// Rows of each replicated table.
    public var rows: [(table: String, count: Int64)]
    /// Captured edits that are in no change set yet.
    public var unsealed: Int64
    public var held: Int64
    /// Values of columns that are not declared here.
    public var parked: Int64
    /// Values that stand beside their table, as its column would make others of them.
    public var misfits: Int64
    public var conflicts: Int
    /// Fields whose value has not arrived.
    public var awaiting: Int64
    public var changeSets: Int64
    /// Of the database file, and of its write-ahead log.
    public var sizeBytes: UInt64
    public var walBytes: UInt64
    /// Of the newest change applied or sealed.
    public var lastStamp: Stamp
}

extension Replica {
    public func status() throws -> ReplicaStatus {
        let conflicts = try conflictCount()
        return try read { reader in
            let origins = try OriginBook(reader)
            let tables = try Declaration.load(reader)
            return ReplicaStatus(
                origin: try Settings.ownOrigin(reader), applied: origins.applied, safe: try Self.safe(origins, reader),
                rows: try tables.filter { $0.name != Acknowledgements.table.name }.map {
                    ($0.name, try reader.integer("SELECT count(*) FROM \"\($0.name)\"") ?? 0)
                },
                unsealed: try JournalReader.unsealedCount(tables, reader),
                held: try reader.integer("SELECT count(*) FROM sync_held") ?? 0,
                parked: try reader.integer("SELECT count(*) FROM sync_parked WHERE NOT misfit") ?? 0,
                misfits: try reader.integer("SELECT count(*) FROM sync_parked WHERE misfit") ?? 0, conflicts: conflicts,
                awaiting: try reader.integer("SELECT count(*) FROM sync_awaiting") ?? 0,
                changeSets: try reader.integer("SELECT count(*) FROM sync_change_sets") ?? 0,
                sizeBytes: fileSystem.size(path), walBytes: fileSystem.size(path + "-wal"),
                lastStamp: origins.greatestStamp)
        }
    }

    /// Copies the replica as it stands to a new file, while others go on writing. The copy is whole and compact.
    ///
    /// - Throws: `ReplicaError.exists` where there is a file already.
    public func backup(to destination: String) throws {
        guard !fileSystem.exists(destination), fileSystem.createPrivate(destination) || !fileSystem.exists(destination)
        else {
            throw ReplicaError(
                .exists, "Cannot back up to \(destination): there is a file already. Choose another name.")
        }
        do {
            try connections.execute("VACUUM INTO ?", destination)
        } catch {
            // Half a copy is none.
            fileSystem.remove(destination)
            throw error
        }
        // The copy may be put in the replica's place one day: no sequence number in it may be given out again by one that
        // is older.
        while let own = try read({ try OriginBook($0)[Settings.ownOrigin($0)] }), try !vouch(for: own) {}
    }

    // MARK: The roster's records, as they came

    /// DER or revocation records, each signed by the workspace's authority; checked by who adds them.
    public func rosterRecords() throws -> [[UInt8]] {
        try read { try $0.query("SELECT record FROM sync_roster ORDER BY digest").compactMap(\.values.first?.bytes) }
    }

    /// A number that changes with every commit of another connection or process.
    public func dataVersion() throws -> Int64 { try connections.dataVersion() }
}

extension Replica {
    /// A database of its own in memory, in which this replica is attached to be read, as `replica`: for work that nobody keeps.
    /// All that is read is of one moment.
    public func withScratch<T>(_ body: (Writer) throws -> T) throws -> T {
        try Connections.scratch(attaching: fileSystem.location(path), body)
    }

    /// Makes every index of SQLite anew from its table.
    public func rebuildIndexes() throws {
        try connections.engineWrite { try $0.execute("REINDEX") }
    }

    /// Lets go of the roster's records that are not what they are kept as, so that they are taken in again when a peer sends
    /// them.
    public func dropDamagedRosterRecords() throws {
        try connections.engineWrite { writer in
            for row in try writer.query("SELECT digest, record FROM sync_roster") {
                guard row[1].bytes.map({ SHA256.digest($0).bytes }) != row[0].bytes else { continue }
                try writer.execute("DELETE FROM sync_roster WHERE digest IS ?", [row[0]])
            }
        }
    }

    /// Makes the triggers of capture anew from what is declared.
    public func rebuildCapture() throws {
        try connections.engineWrite { writer in
            for table in try Declaration.load(writer) {
                let triggers = Capture.triggers(for: table)
                try writer.executeAll(triggers)
                try writer.execute(
                    "UPDATE sync_tables SET capture = ? WHERE number = ?", [Value(triggers), .integer(table.number)])
            }
        }
    }

    /// What SQLite itself finds wrong with the file; empty where nothing.
    public func quickCheck() throws -> [String] {
        try read { try $0.query("PRAGMA quick_check").compactMap { $0[0].string }.filter { $0 != "ok" } }
    }
}
