// A replica with something in every table of the engine, as one file that tests copy and damage.
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

/// A sound replica of one file, without a write-ahead log that would hide what is overwritten.
final class DamageFixture {
    let workspace: TestWorkspace
    private let file: String
    private let key: SigningKey
    private var copies = 0

    /// Those among the settings, which nobody signs.
    static let stamps = ["stamp_floor", "accepted_stamp"]

    init() throws {
        let workspace = try TestWorkspace()
        let (a, b) = (try workspace.replica("a"), try workspace.replica("b"))
        try Self.fillConflicts(a, b, workspace)
        try Self.fillWaiting(a, workspace)
        try a.addRosterRecords([Array("a record".utf8), Array("another".utf8)])
        try Self.fillCuts(a, workspace)
        try a.execute("UPDATE notes SET title = 'later', body = NULL WHERE id = 'n1'")
        try a.execute("DELETE FROM links WHERE id = 'l0'")
        for conflict in try a.conflicts().prefix(2) { try a.accept(conflict) }
        try a.execute("DELETE FROM sync_acknowledgements WHERE id = (SELECT min(id) FROM sync_acknowledgements)")
        try a.seal()
        // As a replica has them that was taken back, and whose operator accepted a stamp.
        try a.connections.engineWrite { writer in
            for name in Self.stamps {
                try Settings.set(name, to: .integer(workspace.stamp(-60).rawValue), in: writer)
            }
        }
        try a.expectSound(workspace.authors)
        self.workspace = workspace
        key = a.key
        file = workspace.directory.appendingPathComponent("whole.sqlite").path
        try a.backup(to: file)
    }

    private static func long(_ text: String) -> Value { Value(String(repeating: text, count: 400)) }

    /// Conflicts of single fields, groups, large values and existence; a deleted row; history of both sides.
    private static func fillConflicts(_ a: Replica, _ b: Replica, _ workspace: TestWorkspace) throws {
        try a.execute(
            """
            INSERT INTO notes(id, title, body, due_on, due_precision, amount)
            VALUES ('n1', 'one', ?, '2026-11-24', 'day', 1.5), ('n2', 'two', 'short', '2026', 'year', x'00ff'),
            ('n3', 'three', NULL, NULL, NULL, 7), ('n4', 'four', '', '2027', 'year', -3)
            """, [long("a ")])
        try a.execute("INSERT INTO links(id, note_id, target) VALUES ('l0', 'n1', 'n2')")
        try workspace.pull(b, from: a)
        try b.execute(
            "UPDATE notes SET title = 'from b', body = ?, due_on = '2028', due_precision = 'month' WHERE id = 'n1'",
            [long("b ")])
        try b.execute("DELETE FROM notes WHERE id = 'n2'")
        try b.execute("INSERT INTO links(id, note_id, target) VALUES ('l1', 'n1', 'n2')")
        try b.seal()
        try a.execute(
            "UPDATE notes SET title = 'from a', body = ?, due_on = '2029', due_precision = 'day' WHERE id = 'n1'",
            [long("c ")])
        try a.execute("UPDATE notes SET title = 'kept' WHERE id = 'n2'")
        try a.execute("DELETE FROM notes WHERE id = 'n4'")
        try workspace.pull(a, from: b)
        try workspace.pull(b, from: a)
        try b.execute("UPDATE links SET target = 'n4' WHERE id = 'l1'")
        try workspace.pull(a, from: b)
    }

    /// A field of a newer schema, change sets that are held, a value that has yet to come.
    private static func fillWaiting(_ a: Replica, _ workspace: TestWorkspace) throws {
        func take(_ changeSets: [SealedChangeSet]) throws {
            let report = try a.apply(changeSets, from: nil, authors: workspace.authors)
            #expect(report.violation == nil)
        }
        var newer = Forger(workspace.authors)
        let fields = [Field(name: "title", columns: ["title"]), Field(name: "rank", columns: ["rank", "rank_of"])]
        try take([
            newer.write(
                .insert, "notes", "p1", fields: fields, [Value("parked"), .integer(5), long("d ")],
                at: workspace.stamp())
        ])
        var other = Forger(workspace.authors)
        try take([
            other.write(.insert, "maps", "m1", [("scale", .integer(1)), ("image", long("e "))], at: workspace.stamp()),
            other.write(.insert, "links", "w1", [("target", long("f "))], at: workspace.stamp(1)),
        ])
        var ahead = Forger(workspace.authors)
        try take([ahead.write(.insert, "links", "y1", [("target", Value("x"))], at: workspace.stamp(86_400))])
        var early = Forger(workspace.authors)
        let whole = early.write(
            .insert, "notes", "v1", [("title", Value("v")), ("body", long("g "))], at: workspace.stamp())
        try take([SealedChangeSet(body: whole.body, signature: whole.signature, values: [nil])])
    }

    /// A revoked node, an origin that forked, and an edit of a row that went with the revoked node's work.
    private static func fillCuts(_ a: Replica, _ workspace: TestWorkspace) throws {
        var revoked = Forger(workspace.authors)
        var forked = Forger(workspace.authors)
        let before = forked
        for changeSet in [
            revoked.write(.insert, "notes", "c1", [("title", Value("void"))], at: workspace.stamp()),
            forked.write(.insert, "notes", "c2", [("title", Value("one"))], at: workspace.stamp()),
        ] {
            #expect(try a.apply([changeSet], from: nil, authors: workspace.authors).violation == nil)
        }
        try a.execute("UPDATE notes SET title = 'of a', body = ? WHERE id = 'c1'", [long("h ")])
        try a.seal()
        let authority = try CertificateAuthority(
            workspace: workspace.workspace.id, workspaceName: "test", now: workspace.clock.now)
        let revocation = try authority.revoke(
            revoked.key.publicKey.nodeID, lastAccepted: [7: SequenceNumber(3)], reason: "stolen",
            now: workspace.clock.now)
        #expect(try a.addRosterRecords([revocation.bytes])?.beyondCuts == 1)
        var copy = before
        let other = copy.write(.insert, "notes", "c2", [("title", Value("other"))], at: workspace.stamp())
        let one = try #require(try a.signedChangeSet(Dot(origin: forked.origin, sequence: forked.sequence)))
        let proof = try ForkProof(
            ForkProof.Half(body: one.body, signature: one.signature),
            ForkProof.Half(body: other.body, signature: other.signature), key: forked.key.publicKey)
        #expect(try a.addForkProofs([proof])?.beyondCuts == 1)
        #expect(try !a.read { try $0.query("SELECT 1 FROM sync_set_aside_edits") }.isEmpty)
    }

    /// A path for one more copy.
    func copyFile() throws -> String {
        copies += 1
        let path = workspace.directory.appendingPathComponent("copy\(copies).sqlite").path
        try FileManager.default.copyItem(atPath: file, toPath: path)
        return path
    }

    func open(_ path: String) throws -> Replica {
        try Replica.open(
            at: path, key: key, tables: [TestTables.notes, TestTables.links],
            clock: { [clock = workspace.clock] in clock.now })
    }

    func remove(_ path: String) {
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
    }
}

/// What nothing signs and nothing rests on. Each with its reason, which the documentation gives too.
enum Unverifiable {
    /// Whole tables, and columns by `table.column`.
    static let reasons: [String: String] = [
        "sync_addresses": "where peers were found; the next contact says it anew",
        "sync_notices": "sentences for the operator",
        "sync_forks.met_at": "when this node met it, by its own clock",
        "sync_peers": "what peers told of themselves; the next contact says it anew",
        "sync_change_sets.position": "the order of arrival, which only causality bounds",
        "sync_change_sets.received_at": "when this node got it, by its own clock",
        "sync_change_sets.received_from": "who relayed it, which decides nothing",
        "sync_held.number": "a number of this replica's own",
        "sync_held.tried_under": "where it is another, the change set is tried once more",
        "sync_held.detail": "a sentence for people",
        "sync_held.received_at": "when this node got it, by its own clock",
        "sync_held.received_from": "who relayed it, which decides nothing",
        "sync_settings.declared": "made anew when the replica is opened",
        "sync_settings.note": "what this program noted for itself",
        "sync_origins of nothing": "an origin of which nothing is applied yet is named by nothing",
        "sync_shapes unused": "a list of fields that no insert has",
        "sync_rows row": "a number of this replica's own, where nothing refers to it",
    ]

    static func covers(_ table: String, _ column: String, _ row: [String: Value], _ reader: Reader) throws -> Bool {
        switch table {
        case "sync_settings":
            let name = row["name"]?.string ?? ""
            return name == "declared" || name.hasPrefix("note_")
        case "sync_origins":
            return row["applied"] == .integer(0)
        case "sync_shapes":
            return try ["notes", "links", "sync_acknowledgements"].allSatisfy {
                try reader.query("SELECT 1 FROM \"sync_rows_\($0)\" WHERE shape = ?", [row["number"] ?? .null]).isEmpty
            }
        case _ where table.hasPrefix("sync_rows_") && column == "row":
            let number = row["row"] ?? .null
            let name = table.dropFirst("sync_rows_".count)
            let owner = "table_number = (SELECT number FROM sync_tables WHERE name = '\(name)') AND row = ?"
            return try [
                "sync_versions_\(name)\" WHERE row = ?", "sync_conflicts\" WHERE \(owner)",
                "sync_parked\" WHERE \(owner)", "sync_awaiting\" WHERE \(owner)",
            ].allSatisfy { try reader.query("SELECT 1 FROM \"\($0)", [number]).isEmpty }
        default: break
        }
        return reasons[table] != nil || reasons["\(table).\(column)"] != nil
    }
}
