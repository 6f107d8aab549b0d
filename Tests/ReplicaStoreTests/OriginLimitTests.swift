// A writer that makes origins without end: no more are taken than a revocation can list.
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct OriginLimitTests {
    @Test func aNodeHasNoMoreOriginsThanARevocationLists() throws {
        #expect(Limits.originsOfNode == Revocation.greatestOrigins)
        let workspace = try TestWorkspace()
        let replica = try workspace.replica("a")
        let key = SigningKey.generate()
        func first(_ incarnation: UInt64, key: SigningKey) -> SealedChangeSet {
            var forger = Forger(workspace.authors, key: key, incarnation: incarnation)
            return forger.write(.insert, "links", "f\(incarnation)", at: workspace.stamp(-1))
        }
        let full = (1...UInt64(Limits.originsOfNode)).map { first($0, key: key) }
        let taken = try replica.apply(full, from: nil, authors: workspace.authors)
        #expect(taken.violation == nil && taken.changeSets == Limits.originsOfNode)

        let more = try replica.apply([first(10_000, key: key)], from: nil, authors: workspace.authors)
        #expect(more.violation?.kind == .author && more.violation?.description.contains("origins") == true)
        #expect(more.changeSets == 0)
        // Those it has go on, and so does everyone else.
        var again = Forger(workspace.authors, key: key, incarnation: 1)
        _ = again.write(.insert, "links", "f1", at: workspace.stamp(-1))
        let next = again.write(.insert, "links", "g", at: workspace.stamp())
        let other = first(1, key: SigningKey.generate())
        let report = try replica.apply([next, other], from: nil, authors: workspace.authors)
        #expect(report.violation == nil && report.changeSets == 2)
    }
}
