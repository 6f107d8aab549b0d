// A node of a test as it lies on disk: a replica, and an identity directory with its high-water mark.
import Foundation
import ReplicationModel
import Synchronization
import Testing
import Trust

@testable import ReplicaStore

final class MarkedNode: Sendable {
    static let tables = [TestTables.notes, TestTables.links]
    let directory: URL
    let key: SigningKey
    let clock: TestClock
    let machine: MachineID

    var path: String { directory.appendingPathComponent("replica.sqlite").path }
    var identity: String { directory.appendingPathComponent("identity").path }
    var mark: HighWaterMarkFile {
        HighWaterMarkFile(directory: identity, node: key.publicKey.nodeID, machine: machine)
    }

    private init(_ directory: URL, _ key: SigningKey, _ clock: TestClock, _ machine: MachineID) {
        self.directory = directory
        self.key = key
        self.clock = clock
        self.machine = machine
    }

    /// A new node, with an empty replica.
    static func make(_ name: String, in workspace: TestWorkspace) throws -> (MarkedNode, Replica) {
        let key = SigningKey.generate()
        workspace.authors.admit(key)
        let node = MarkedNode(
            workspace.directory.appendingPathComponent(name), key, workspace.clock, MachineID.current)
        try FileManager.default.createDirectory(atPath: node.identity, withIntermediateDirectories: true)
        return (node, try node.create(in: workspace))
    }

    /// A workspace with a node that has a mark, its replica, and the replica of a peer.
    static func withPeer() throws -> (TestWorkspace, MarkedNode, Replica, peer: Replica) {
        let workspace = try TestWorkspace()
        let (node, replica) = try make("a", in: workspace)
        return (workspace, node, replica, try workspace.replica("b"))
    }

    func create(in workspace: TestWorkspace) throws -> Replica {
        try Replica.create(
            at: path, workspace: workspace.workspace, key: key, incarnation: Replica.randomIncarnation(),
            tables: Self.tables, mark: mark, clock: { [clock] in clock.now })
    }

    func open(mark: (any HighWaterMarkStorage)? = nil) throws -> Replica {
        try Replica.open(
            at: path, key: key, tables: Self.tables, mark: mark ?? self.mark, clock: { [clock] in clock.now })
    }

    /// The same files in another directory, as `cp -a` makes them.
    func copied(to name: String) throws -> MarkedNode {
        let copy = MarkedNode(directory.deletingLastPathComponent().appendingPathComponent(name), key, clock, machine)
        try FileManager.default.copyItem(at: directory, to: copy.directory)
        return copy
    }

    /// The same files, seen by another machine: a disk that was moved.
    func moved(toMachine id: String) throws -> MarkedNode {
        let file = directory.appendingPathComponent("machine-\(id)")
        try Data(id.utf8).write(to: file)
        return MarkedNode(directory, key, clock, MachineID(readingFirstOf: [file.path]))
    }

    /// Puts a backup in the replica's place.
    func restore(_ backup: String) throws {
        for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + end) }
        try FileManager.default.copyItem(atPath: backup, toPath: path)
    }

    var markBytes: [UInt8] {
        get throws { Array(try Data(contentsOf: URL(fileURLWithPath: mark.path))) }
    }

    /// Writes bytes into the mark's file as it is, so that it stays the same file.
    func damageMark(_ bytes: [UInt8]) throws {
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: mark.path))
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: bytes)
        try handle.close()
    }
}

/// Counts what goes to a storage, and fails after it on demand: as a crash does between the mark and the commit.
final class CountingStorage: HighWaterMarkStorage {
    struct Crash: Error {}
    private let storage: any HighWaterMarkStorage
    private let state = Mutex((syncs: 0, writes: 0, crashes: false))

    init(_ storage: any HighWaterMarkStorage) { self.storage = storage }

    /// With and without a sync.
    var writes: Int { state.withLock { $0.writes } }
    var syncs: Int { state.withLock { $0.syncs } }
    var crashesAfterWriting: Bool {
        get { state.withLock { $0.crashes } }
        set { state.withLock { $0.crashes = newValue } }
    }

    func read() throws -> HighWaterReading { try storage.read() }

    func update(_ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        var written = false
        try storage.update { try Self.note(body($0), &written) }
        try count(written, synced: true)
    }

    func updateUnsynced(_ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        var written = false
        try storage.updateUnsynced { try Self.note(body($0), &written) }
        try count(written, synced: false)
    }

    private static func note(_ mark: HighWaterMark?, _ written: inout Bool) -> HighWaterMark? {
        written = mark != nil
        return mark
    }

    private func count(_ written: Bool, synced: Bool) throws {
        guard written else { return }
        if state.withLock({ state in
            state.writes += 1
            if synced { state.syncs += 1 }
            return state.crashes
        }) {
            throw Crash()
        }
    }
}

/// Takes in what nodes send, and finds two change sets under one name.
final class ForkWatch {
    private var digests: [Dot: Digest] = [:]

    func look(at replica: Replica, _ location: SourceLocation = #_sourceLocation) throws {
        for row in try replica.read({
            try $0.query(
                "SELECT o.origin, c.seq, c.digest FROM sync_change_sets c JOIN sync_origins o ON o.number = c.origin")
        }) {
            guard let origin = row[0].bytes.flatMap({ Origin(bytes: $0) }), let sequence = row[1].integer,
                let digest = row[2].bytes.flatMap({ Digest(bytes: $0) })
            else {
                Issue.record("an unreadable row of the log", sourceLocation: location)
                continue
            }
            let dot = Dot(origin: origin, sequence: SequenceNumber(UInt64(sequence)))
            if let known = digests.updateValue(digest, forKey: dot), known != digest {
                Issue.record("a fork: two change sets are called \(dot)", sourceLocation: location)
            }
        }
    }
}

extension TestWorkspace {
    /// Both have what either has.
    func meet(_ one: Replica, _ other: Replica) throws {
        try pull(one, from: other)
        try pull(other, from: one)
        try pull(one, from: other)
    }
}

extension Replica {
    func note(_ id: String, _ title: String) throws {
        try execute("INSERT OR REPLACE INTO notes(id, title) VALUES (?, ?)", [Value(id), Value(title)])
    }

    /// What the operator is told of, and nothing else.
    func expectNotices(
        _ kinds: ReplicaNotice.Kind..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let notices = try self.notices()
        #expect(notices.map(\.kind) == kinds, "\(notices)", sourceLocation: sourceLocation)
    }
}
