// The simulator itself: what it is there to find, put in by hand, is found.
import ReplicaExchange
import ReplicaStore
import ReplicationModel
import Testing
import Trust

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

    @Test(arguments: [
        "UPDATE notes SET body = 'other' WHERE id = (SELECT min(id) FROM notes)",
        "DELETE FROM notes WHERE id = (SELECT min(id) FROM notes)",
        "INSERT INTO sync_graveyard_notes(id) VALUES ('odd')",
        "UPDATE sync_conflicts SET shown = 1 - shown",
        "DELETE FROM sync_conflicts",
        "UPDATE sync_versions_notes SET seq = seq + 1",
        "UPDATE sync_change_sets SET digest = zeroblob(32) WHERE position = 3",
    ]) func damageIsFound(statement: String) async throws {
        let found = try await violation { simulation in
            try simulation.nodes[1].replica?.write { writer in
                for trigger in ["insert", "update", "rename", "delete"] {
                    try writer.execute("DROP TRIGGER sync_\(trigger)_notes")
                }
                try writer.execute(statement)
            }
        }
        #expect(found != nil)
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
