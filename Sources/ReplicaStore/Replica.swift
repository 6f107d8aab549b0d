// A replica: one SQLite file that holds a whole workspace, and everything that may be done to it.
//
// Invariant: whatever this process is doing when it is killed, the file is as before or as after.

public import ReplicationModel
internal import ReplicationWire
public import Trust

/// A workspace by id and name.
public struct Workspace: Hashable, Sendable {
    public let id: WorkspaceID
    public let name: String
    public init(id: WorkspaceID, name: String) {
        self.id = id
        self.name = name
    }
}

/// One open replica. Any number of processes may have the same replica open; within a process, calls may come from any
/// thread, and block it: none belongs on an event loop.
public final class Replica: Sendable {
    public let path: String
    let fileSystem: FileSystem
    public let workspace: Workspace
    /// The node whose replica this is.
    public let node: NodeID
    let connections: Connections
    let key: SigningKey
    let clock: @Sendable () -> WallClock
    /// Nil where nothing outlives the replica: what is taken back then goes unnoticed.
    let incarnationGuard: IncarnationGuard?

    private init(
        path: String, fileSystem: FileSystem, workspace: Workspace, node: NodeID, connections: Connections,
        key: SigningKey, clock: @escaping @Sendable () -> WallClock, incarnationGuard: IncarnationGuard?
    ) {
        self.path = path
        self.fileSystem = fileSystem
        self.workspace = workspace
        self.node = node
        self.connections = connections
        self.key = key
        self.clock = clock
        self.incarnationGuard = incarnationGuard
    }

    // MARK: Making and opening

    /// Makes the file, its tables, and a first origin of the node.
    ///
    /// - Parameters:
    ///   - fileSystem: where the file is to be kept.
    ///   - incarnation: random, never zero.
    ///   - tables: the replicated tables.
    ///   - mark: where the high-water mark is kept. Nil is for replicas that are never restored: those of tests.
    ///   - mint: draws further incarnations, random and never zero.
    /// - Throws: `ReplicaError.exists` where there is a file already.
    public static func create(
        at path: String, in fileSystem: FileSystem = .system, workspace: Workspace, key: SigningKey,
        incarnation: UInt64, tables: [Table], mark: (any HighWaterMarkStorage)? = nil,
        mint: @escaping @Sendable () -> UInt64 = randomIncarnation, clock: @escaping @Sendable () -> WallClock
    ) throws -> Replica {
        try fileSystem.makingAlone(at: path) {
            guard !fileSystem.exists(path) || fileSystem.isEmpty(path) else {
                throw ReplicaError(
                    .exists,
                    "Cannot make a replica at \(path): there is a file already. Choose another --data directory; or, if that replica is of no use any more, move it away and keep it."
                )
            }
            // SQLite throws away a log that stands beside an empty file, and with it the last edits of the replica that was.
            guard !fileSystem.exists(path + "-wal") || fileSystem.isEmpty(path + "-wal") else {
                throw ReplicaError(
                    .exists,
                    "Cannot make a replica at \(path): \(path)-wal is there, with the last edits of the replica that was. Stop what uses that one, and move the file to where its replica is, under the same name with -wal behind it."
                )
            }
            fileSystem.createPrivate(path)
            do {
                return try make(
                    at: path, in: fileSystem, workspace: workspace, key: key, incarnation: incarnation, tables: tables,
                    mark: mark, mint: mint, clock: clock)
            } catch {
                // Half a replica is none.
                for suffix in ["", "-wal", "-shm"] { fileSystem.remove(path + suffix) }
                throw error
            }
        }
    }

    private static func make(
        at path: String, in fileSystem: FileSystem, workspace: Workspace, key: SigningKey, incarnation: UInt64,
        tables: [Table], mark: (any HighWaterMarkStorage)?, mint: @escaping @Sendable () -> UInt64,
        clock: @escaping @Sendable () -> WallClock
    ) throws -> Replica {
        let connections = try Connections(path: fileSystem.location(path))
        let origin = Origin(node: key.publicKey.nodeID, incarnation: incarnation)
        try connections.engineWrite { writer in
            try writer.executeAll("PRAGMA application_id = \(Schema.applicationID)")
            try migrate(writer)
            try Settings.set("workspace", to: .blob(workspace.id.bytes), in: writer)
            try Settings.set("workspace_name", to: Value(workspace.name), in: writer)
            try Settings.set("origin", to: .blob(origin.bytes), in: writer)
            try writer.execute("INSERT INTO sync_origins(origin) VALUES (?)", [.blob(origin.bytes)])
            try Declaration.declare(tables + [Acknowledgements.table], in: writer)
        }
        let replica = Replica(
            path: path, fileSystem: fileSystem, workspace: workspace, node: origin.node, connections: connections,
            key: key, clock: clock, incarnationGuard: mark.map { IncarnationGuard(storage: $0, mint: mint) })
        try replica.beginMark()
        return replica
    }

    /// Opens the file, brings its tables to the present form, and declares what is new. A replica that does not agree with
    /// its high-water mark takes a new incarnation.
    ///
    /// - Parameter settles: false leaves one that does not agree with its mark as it is, to be looked at, until something is to be
    ///   sealed.
    /// - Throws: `ReplicaError`: `.absent`, `.notAReplica`, `.tooNew`, `.damaged` where it
    ///   contradicts itself, `.refused` where it is another node's, `.fork` where it went on beside the one that the mark
    ///   speaks of.
    public static func open(
        at path: String, in fileSystem: FileSystem = .system, key: SigningKey, tables: [Table],
        mark: (any HighWaterMarkStorage)? = nil, settles: Bool = true,
        mint: @escaping @Sendable () -> UInt64 = randomIncarnation, clock: @escaping @Sendable () -> WallClock
    ) throws -> Replica {
        guard fileSystem.exists(path), !fileSystem.isEmpty(path) else {
            throw ReplicaError(
                .absent,
                "Cannot open \(path): there is no replica. If this node is new, make one with `syncnode init`, or join a workspace; if its replica is lost, `syncnode recover HOST:PORT` makes it anew and fetches everything from that peer."
            )
        }
        let connections: Connections
        do {
            _ = try form(of: path, at: fileSystem.location(path))
            connections = try Connections(path: fileSystem.location(path))
        } catch let error as SQLError where error.isCorrupt {
            throw notAReplica(path)
        }
        let node = key.publicKey.nodeID
        let (workspace, origin) = try connections.read { reader in
            guard case .blob(let id) = try Settings.value("workspace", reader), let id = WorkspaceID(bytes: id),
                let name = try Settings.value("workspace_name", reader)?.string
            else { throw ReplicaError.damaged("sync_settings lacks the workspace") }
            return (Workspace(id: id, name: name), try Settings.ownOrigin(reader))
        }
        guard origin.node == node else {
            throw ReplicaError(
                .refused,
                "Cannot open \(path): it is the replica of node \(origin.node), and the key here is that of \(node). A replica goes with the identity directory it was made with: put that one beside it, or move the file away and run `syncnode recover` for a replica of this node."
            )
        }
        let replica = Replica(
            path: path, fileSystem: fileSystem, workspace: workspace, node: node, connections: connections, key: key,
            clock: clock, incarnationGuard: mark.map { IncarnationGuard(storage: $0, mint: mint) })
        do {
            try replica.bringUpToDate(tables)
        } catch let error as SQLError where error.isConstraint || error.isUnknownName {
            throw ReplicaError.form(path, error)
        }
        if settles { try replica.settleIncarnation() }
        return replica
    }

    /// Draws an incarnation.
    public static let randomIncarnation: @Sendable () -> UInt64 = { UInt64.random(in: 1...UInt64.max) }

    static func notAReplica(_ path: String) -> ReplicaError {
        ReplicaError(
            .notAReplica, "Cannot open \(path): it is not a replica of syncnode, or its first page is damaged.")
    }

    /// The number of steps that made the file what it is.
    ///
    /// - Throws: `ReplicaError`: `.notAReplica`, or `.tooNew` where this program does not know them all.
    static func form(of path: String, at location: String) throws -> Int64 {
        let (application, version) = try Connections.marks(path: location)
        guard application == Schema.applicationID else { throw notAReplica(path) }
        guard version <= Schema.steps.count else {
            throw ReplicaError(
                .tooNew,
                "Cannot open \(path): a newer syncnode made it (form \(version), this one reads up to \(Schema.steps.count)). Install the newer version."
            )
        }
        return version
    }

    private func bringUpToDate(_ tables: [Table]) throws {
        let tables = tables + [Acknowledgements.table]
        let declared = "capture \(Capture.form) graveyard \(Graveyard.form) \(tables.map { "\($0)" }.joined())".utf8
        let mark = Value(SHA256.digest(Array(declared)).description)
        let current = try connections.read { reader in
            try reader.integer("PRAGMA user_version") == Int64(Schema.steps.count)
                && Settings.value("declared", reader) == mark
        }
        guard !current else { return }
        try connections.engineWrite { try Self.migrate($0) }
        // What was captured under the former declarations is sealed under them: an insert did not write columns that
        // came later, and a delete buries the values that are parked. A clock in doubt is no reason to wait: nothing can be
        // read nor written before this, and so nobody be asked for the time.
        try seal()
        try engineWrite { writer in
            try Sealer(try engineTransaction(writer), key: key).sealAll()
            try Declaration.declare(tables, in: writer)
        }
        // Revocations that were taken in before cuts were kept.
        _ = try settle { _ in }
        // At last: who is killed before does all of it again.
        try connections.engineWrite { try Settings.set("declared", to: mark, in: $0) }
        try releaseHeld()
    }

    static func migrate(_ writer: Writer) throws {
        let version = Int(try writer.integer("PRAGMA user_version") ?? 0)
        for step in Schema.steps.dropFirst(version) { try writer.executeAll(step) }
        if version < Schema.steps.count { try writer.executeAll("PRAGMA user_version = \(Schema.steps.count)") }
    }

    /// Lets nobody begin anything more, and whoever waits for another program's transaction give up: so that closing takes no
    /// longer than what is being written now.
    public func beginClosing() { connections.beginClosing() }

    /// Closes every connection; whoever is the last to close writes the log back into the file, and removes it. Nothing can
    /// be done with the replica afterwards.
    public func close() throws { try connections.close() }

    // MARK: Plain SQL

    /// Reads within one snapshot.
    public func read<T>(_ body: (Reader) throws -> T) throws -> T { try connections.read(body) }

    /// Writes within one transaction; what it changes in replicated tables is captured.
    public func write<T>(_ body: (Writer) throws -> T) throws -> T { try connections.write(body) }

    // MARK: Sealing and vectors

    /// Turns all captured edits into signed change sets, in transactions of at most 10,000 edits, each synced to disk.
    @discardableResult
    public func seal() throws -> SealReport {
        var report = SealReport()
        guard try connections.engineRead({ try JournalReader.hasUnsealed(Declaration.load($0), $0) }) else {
            return report
        }
        var reachedEnd = false
        while !reachedEnd {
            try engineWrite { writer in
                let sealer = try Sealer(try engineTransaction(writer), key: key)
                reachedEnd = try sealer.sealChunk()
                report.changeSets += sealer.report.changeSets
                report.changes += sealer.report.changes
            }
        }
        return report
    }

    /// Seals, unless this clock is so far past everything the replica knows of that a peer should say first what time it is:
    /// what is stamped far ahead is held by everyone, and so is all that follows. Nothing need be sealed before it can be sent.
    ///
    /// - Returns: nil where edits wait for that.
    @discardableResult
    public func sealUnlessClockIsDoubtful() throws -> SealReport? {
        try clockDoubtMilliseconds() == nil ? seal() : nil
    }

    /// The present origin of this replica.
    public var origin: Origin {
        get throws { try read { try Settings.ownOrigin($0) } }
    }

    /// What is applied, and the part of it below which no value is awaited.
    public func vectors() throws -> (applied: VersionVector, safe: VersionVector) {
        try read { reader in
            let origins = try OriginBook(reader)
            return (origins.applied, try Self.safe(origins, reader))
        }
    }

    static func safe(_ origins: OriginBook, _ reader: Reader) throws -> VersionVector {
        var safe = origins.applied
        for row in try reader.query("SELECT origin, min(seq) FROM sync_awaiting GROUP BY origin") {
            guard case .integer(let number) = row[0], case .integer(let sequence) = row[1], sequence > 0 else {
                throw ReplicaError.damaged("sync_awaiting")
            }
            safe[try origins.origin(number)] = SequenceNumber(UInt64(bitPattern: sequence)).previous
        }
        return safe
    }

    // MARK: What others lack

    /// The next run of change sets for someone who has `vector`, in an order that respects causality. When this returns,
    /// the high-water mark vouches for them: they may leave this machine.
    ///
    /// - Parameters:
    ///   - skipped: origins that the other cannot take now.
    ///   - maximumBytes: where to stop; at least one change set comes where any is lacked.
    public func outgoing(
        lackedBy vector: VersionVector, skipping skipped: Set<Origin> = [], maximumBytes: Int
    ) throws -> OutgoingChangeSets {
        try heed(vector)
        while true {
            let (outgoing, own) = try read { reader in
                let log = try Log(reader)
                let outgoing = try log.outgoing(lackedBy: vector, skipping: skipped, maximumBytes: maximumBytes)
                let own = try Settings.ownOrigin(reader)
                return (outgoing, outgoing.changeSets.contains { $0.header.origin == own } ? log.origins[own] : nil)
            }
            guard let own else { return outgoing }
            if try vouch(for: own) { return outgoing }
        }
    }

    /// How much someone who has `vector` lacks of this replica.
    public func backlog(lackedBy vector: VersionVector) throws -> Backlog {
        try read { try Log($0).backlog(lackedBy: vector) }
    }

    /// Figures of the log, and the vectors they go with, all of one moment.
    public func withLogFigures<T>(
        _ body: (LogFigures, _ applied: VersionVector, _ safe: VersionVector) throws -> T
    ) throws -> T {
        try read { reader in
            let origins = try OriginBook(reader)
            return try body(LogFigures(log: try Log(reader)), origins.applied, try Self.safe(origins, reader))
        }
    }

    /// A fact that this replica keeps for itself, by name; nil where it was never set.
    public func note(_ name: String) throws -> String? {
        try read { try Settings.value("note_" + name, $0)?.string }
    }

    /// Keeps a fact, by name.
    public func setNote(_ name: String, to text: String) throws {
        guard try note(name) != text else { return }
        try write { try Settings.set("note_" + name, to: Value(text), in: $0) }
    }
}
