// The simulator itself: what it is there to find, put in by hand, is found.
import ReplicaExchange
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore
@testable import SimulationKit

@Suite(.timeLimit(.minutes(60))) struct SabotageTests {
    /// A whole run, with something done to it before the last comparison.
    private func violation(
        nodes: Int = 3, steps: Int = 60, _ sabotage: @escaping @Sendable (Simulation) throws -> Void
    ) async throws -> String? {
        let options = SimulationOptions(seed: 3, nodes: nodes, steps: steps, faults: [])
        return try await apart(Runs.command(of: options)) {
            let simulation = try Simulation(options)
            return simulation.run(beforeComparing: { try sabotage(simulation) }).violation?.description
        }
    }

    @Test func withoutSabotageNothingIsFound() async throws {
        #expect(try await violation { _ in } == nil)
    }

    /// What somebody does to a replica past capture, and what the model says where all replicas have it alike.
    private static let damages = [
        ("UPDATE notes SET body = 'other' WHERE id = (SELECT min(id) FROM notes)", "wrote"),
        ("DELETE FROM notes WHERE id = (SELECT min(id) FROM notes)", "should be alive"),
        ("UPDATE sync_conflicts SET shown = 1 - shown", "should be shown"),
        ("DELETE FROM sync_conflicts", "the ledger lacks"),
        ("UPDATE sync_versions_notes SET seq = seq + 1", "the log replayed from nothing"),
        ("UPDATE sync_versions_notes SET stamp = stamp + 1", "in the replicas or in the model, not in both"),
        ("UPDATE sync_change_sets SET digest = zeroblob(32) WHERE seq = 1", "not in the log as it was sealed"),
    ]

    @Test(arguments: damages) func damageOfOneIsFound(statement: String, _: String) async throws {
        let found = try await violation { try Self.damage([$0.nodes[1]], statement) }
        #expect(found?.contains("have equal vectors and differ") == true, "\(found ?? "nothing")")
    }

    @Test(arguments: damages) func damageOfAllIsFound(statement: String, words: String) async throws {
        let found = try await violation { try Self.damage($0.nodes, statement) }
        #expect(found?.contains(words) == true, "\(found ?? "nothing")")
    }

    private static func damage(_ nodes: [SimulatedNode], _ statement: String) throws {
        for node in nodes {
            guard let replica = node.replica else { continue }
            // Nothing is captured there, and no trigger is missing afterwards.
            try replica.connections.engineWrite { writer in
                try writer.execute(statement)
                guard try writer.integer("SELECT changes()") ?? 0 > 0 else {
                    throw SimulationViolation("there is nothing to damage at \(node.name)")
                }
            }
        }
    }

    @Test func whatIsSentToWhoHasAllIsFound() async throws {
        let found = try await violation(nodes: 2, steps: 20) { simulation in
            let (one, other) = (simulation.nodes[0], simulation.nodes[1])
            try simulation.write(on: one)
            simulation.isIdle = true
            try simulation.exchange(one, other)
        }
        #expect(found?.contains("have the same, and yet") == true)
    }

    @Test func aWriteThatNoProgramMadeIsFound() async throws {
        let found = try await violation(nodes: 2, steps: 0) { simulation in
            let node = simulation.nodes[0]
            try node.replica?.write { try $0.execute("INSERT INTO notes(id, title) VALUES ('x', 'y')") }
            try simulation.seal(node)
        }
        #expect(found?.contains("which no program wrote") == true)
    }

    @Test func ownWorkThatIsNotWrittenAgainIsFound() async throws {
        let found = try await violation { simulation in
            let node = simulation.nodes[1]
            guard case .text(let id) = try node.replica?.read({ try $0.query("SELECT min(id) FROM notes") }).first?[0]
            else { throw SimulationViolation("there is no row") }
            let dot = Dot(origin: Origin(node: node.id, incarnation: 1), sequence: SequenceNumber(1))
            node.witness.owed[Register(table: "notes", id: RowID(bytes: id), field: "title")] =
                SetAside(
                    stamp: .zero, dot: dot, digest: SHA256.digest([]), cells: [.inline(Value("lost"))], alive: nil)
        }
        #expect(found?.contains("it was not written again") == true)
    }

    @Test func whatIsLeftBeyondACutIsFound() async throws {
        let found = try await violation { simulation in
            let node = simulation.nodes[1]
            guard let store = node.store else { return }
            node.witness.cuts.add(fork: Dot(origin: try store.replica.origin, sequence: SequenceNumber(1)))
            try simulation.look(at: node, store)
        }
        #expect(found?.contains("has what comes after a cut") == true)
    }

    @Test func theShrinkerFindsTheSmallestThatFails() {
        var shrinker = Shrinker { $0.steps >= 37 && $0.nodes >= 3 && $0.faults.contains(.cut) }
        let smallest = shrinker.shrink(SimulationOptions(seed: 1, nodes: 5, steps: 500))
        #expect(smallest == SimulationOptions(seed: 1, nodes: 3, steps: 37, faults: [.cut]))
    }
}
