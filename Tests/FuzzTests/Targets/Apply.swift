// Applying: what a writer of the workspace signs with its own key, and means to do harm with.
import Foundation
import ReplicationModel
import ReplicationWire
import Trust

@testable import ReplicaStore

extension FuzzTarget {
    /// Change sets of two writers, well signed, for a schema that knows half of what they name. Whatever they say, the
    /// replica stays whole, and hands on what it took to another that ends with the same contents.
    static let apply = FuzzTarget("apply", testRuns: 30, seeds: { [[], Array(0...250), Array((0...250).reversed())] }) {
        bytes in
        try withScratchDirectory { directory in
            var source = ByteSource(bytes)
            let writers = Writers()
            let first = try writers.replica(directory + "/first.sqlite")
            var makers = writers.keys.map {
                ChangeSetMaker(
                    origin: Origin(node: $0.publicKey.nodeID, incarnation: 1), after: Writers.now - 1_000_000)
            }
            var steps = 0
            repeat {
                steps += 1
                let index = source.below(makers.count)
                let seen = source.flag() ? try first.vectors().applied : VersionVector()
                let context = VersionVector(seen.entries.filter { $0.key != makers[index].origin && source.flag() })
                let (changeSet, values) = makers[index].make(&source, context: context)
                let body = ChangeSetCodec.encode(changeSet)
                let signature = ChangeSetSignature.sign(bodyDigest: SHA256.digest(body), key: writers.keys[index])
                let report = try first.apply(
                    [SealedChangeSet(body: body, signature: signature, values: values)], from: nil,
                    authors: writers.known)
                if report.violation == nil { makers[index].follow(changeSet, body: body) }
                if source.byte() > 200 {
                    try first.execute(
                        "INSERT OR REPLACE INTO notes(id, title) VALUES ('a', ?)", [.integer(Int64(source.byte()))])
                }
            } while !source.isEmpty && steps < 24
            try first.seal()
            let findings = try first.verify(authors: writers.known).findings
            try expect(findings.isEmpty, "the replica is damaged: \(findings.prefix(3))")
            try relay(first, to: writers.replica(directory + "/second.sqlite"), writers)
        }
    }

    private static func relay(_ first: Replica, to second: Replica, _ writers: Writers) throws {
        while true {
            let run = try first.outgoing(lackedBy: second.vectors().applied, maximumBytes: 1 << 20)
            guard !run.changeSets.isEmpty else { break }
            let report = try second.apply(run.changeSets.map(\.sealed), from: first.node, authors: writers.known)
            if let violation = report.violation {
                throw Finding("what one replica took, another refuses: \(violation)")
            }
        }
        for table in ["notes", "links"] {
            try expect(
                first.contents(table) == second.contents(table), "two replicas with equal vectors differ in \(table)")
        }
    }
}

private let sampleKeys = [SampleKeys.key(3), SampleKeys.key(4), SampleKeys.key(5)]

/// Two writers without replicas, and replicas that know them.
private struct Writers {
    static let now: Int64 = 1_770_000_000_000
    let keys = sampleKeys
    let known = KnownKeys(keys: sampleKeys)
    private static let tables = [
        Table(
            "notes", columns: [Column("title"), Column("body"), Column("due_on"), Column("due_precision")],
            groups: ["due": ["due_on", "due_precision"]]),
        Table("links", columns: [Column("target"), Column("amount", "")]),
    ]

    /// The third key is the replicas'.
    func replica(_ path: String) throws -> Replica {
        try Replica.create(
            at: path, workspace: Workspace(id: SampleFrames.workspace, name: "fuzz"), key: keys[2],
            incarnation: 7, tables: Self.tables,
            clock: { WallClock(milliseconds: Self.now) })
    }
}

extension Replica {
    fileprivate func contents(_ table: String) throws -> [[Value]] {
        try read { try $0.query("SELECT * FROM \"\(table)\" ORDER BY id").map(\.values) }
    }

    fileprivate func execute(_ sql: String, _ arguments: [Value]) throws {
        try write { try $0.execute(sql, arguments) }
    }
}

/// Those who may be an author.
struct KnownKeys: AuthorDirectory {
    let keys: [SigningKey]

    func key(of dot: Dot) throws -> PublicKey {
        guard let key = keys.first(where: { $0.publicKey.nodeID == dot.origin.node }) else {
            throw ApplyViolation(kind: .author, dot: dot, description: "nobody knows its author")
        }
        return key.publicKey
    }
}

/// Gives a directory in memory, where there is one, that is removed afterwards.
func withScratchDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = try scratchDirectory()
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// Makes such a directory; whoever asks for it removes it.
func scratchDirectory() throws -> String {
    let files = FileManager.default
    let parent = files.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : files.temporaryDirectory.path
    let path = "\(parent)/syncnode-fuzz-\(UUID().uuidString)"
    try files.createDirectory(atPath: path, withIntermediateDirectories: false)
    return path
}
