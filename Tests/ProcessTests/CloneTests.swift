// A node's whole directory copied while it serves and writes; both copies go on serving and writing beside each other.
import Foundation
import ReplicaStore
import Testing
import Trust

@Suite(.serialized) struct CloneTests {
    private func identity(_ node: Node) -> String { node.data + "/identity" }

    private func origin(_ node: Node) async throws -> String {
        try #require(try await node.json("status")["origin"]?.text)
    }

    private func notices(_ node: Node) async throws -> [String] {
        try await node.json("status")["notices"]?.elements.compactMap { $0["kind"]?.text } ?? []
    }

    private func forks(_ node: Node) async throws -> [JSON] { try await node.json("forks")["forks"]?.elements ?? [] }

    /// hq, and istanbul with its twin.
    private struct Twins {
        let hq: Node
        let istanbul: Node
        let twin: Node
        let hub: Server
        /// istanbul's.
        let service: Server
        /// Under which it had written until then.
        let former: String
        var all: [Node] { [hq, istanbul, twin] }
    }

    /// istanbul, live with hq, is copied with all its files as it stands at one moment, as a machine is, and goes on.
    private func twins() async throws -> Twins {
        let bureaus = try Bureaus()
        let nodes = try await bureaus.workspace("hq", "istanbul")
        let (hq, istanbul) = (nodes[0], nodes[1])
        let hub = try await hq.serve()
        try await istanbul.run("peer", "add", hub.address)
        let service = try await istanbul.serve()
        for number in 0..<3 { try await istanbul.carries("both-\(number)", to: hq) }
        let former = try await origin(istanbul)
        service.child.signal(SIGSTOP)
        _ = try await eventually("it is held still") { try service.child.isHeldStill() ? true : nil }
        let twin = bureaus.node("twin")
        let outcome = try await Child.run("cp", ["-a", istanbul.data, twin.data])
        #expect(outcome.status == 0, "\(outcome)")
        service.child.signal(SIGCONT)
        return Twins(hq: hq, istanbul: istanbul, twin: twin, hub: hub, service: service, former: former)
    }

    /// Both write at once, articles of their own and other fields of one article; all of it comes to all three.
    private func writeOnBothSides(_ twins: Twins, _ written: Int, _ location: SourceLocation = #_sourceLocation)
        async throws
    {
        for round in 0..<8 {
            async let original: Void = twins.istanbul.insertArticle("original-\(round)", "by the original")
            async let copy: Void = twins.twin.insertArticle("twin-\(round)", "by the twin")
            _ = try await (original, copy)
        }
        async let byline: String = twins.istanbul.sql("UPDATE articles SET byline = 'original' WHERE id = 'both-0'")
        async let source: String = twins.twin.sql("UPDATE articles SET source = 'twin' WHERE id = 'both-0'")
        _ = try await (byline, source)
        for node in twins.all {
            let query = "SELECT count(*), max(byline), max(source) FROM articles"
            var seen = ""
            do {
                _ = try await eventually("what both wrote, at \(node.name)", within: 60, every: 100) { () -> Bool? in
                    seen = try await node.sql(query)
                    return seen == "\(written + 16)|original|twin" ? true : nil
                }
            } catch {
                Issue.record("\(error): \(seen); \(twins.hub.child.errors.suffix(2000))", sourceLocation: location)
            }
        }
    }

    /// With both services stopped, each pushes once more, at the same time; then all that is anywhere is everywhere.
    private func finish(_ twins: Twins, _ copy: Server) async throws {
        try await copy.stop()
        try await twins.service.stop()
        for node in [twins.istanbul, twins.twin] { try await node.insertArticle("last-\(node.name)", "pushed") }
        async let original = twins.istanbul.exchange("push", twins.hub)
        async let other = twins.twin.exchange("push", twins.hub)
        _ = try await (original, other)
        for _ in 0..<2 { for node in [twins.istanbul, twins.twin] { try await node.exchange("sync", twins.hub) } }
        try await twins.hub.stop()
        for node in twins.all {
            let pushed = try await node.sql("SELECT id FROM articles WHERE headline = 'pushed' ORDER BY id")
            #expect(pushed == "last-istanbul\nlast-twin", "\(node.name)")
        }
        try await expectAgreementButHeld(twins.all)
    }

    /// The copy is known for one: it takes an origin of its own before it writes anything, and its operator is told.
    @Test(.timeLimit(.minutes(5))) func aCopyAndItsOriginalLiveAtOnce() async throws {
        let twins = try await twins()
        let copy = try await twins.twin.serve()
        try await writeOnBothSides(twins, 3)
        #expect(try await notices(twins.twin) == ["copied"])
        #expect(copy.child.errors.contains("high-water mark is a copy"), "\(copy.child.errors)")
        #expect(try await notices(twins.istanbul).isEmpty)
        #expect(try await origin(twins.istanbul) == twins.former)
        #expect(try await origin(twins.twin) != twins.former)
        let doctor = try await twins.twin.attempt("doctor").text
        #expect(doctor.contains("have one join as a node of its own"), "\(doctor)")
        try await finish(twins, copy)
        for node in twins.all { #expect(try await forks(node).isEmpty, "\(node.name)") }
    }

    /// A copy that nothing tells from the original, as of a virtual machine: both write under one name. Whoever meets both sees it;
    /// each goes on under a name of its own, and what both wrote is there.
    @Test(.timeLimit(.minutes(5))) func aCloneThatNothingTellsApartLosesNothing() async throws {
        let twins = try await twins()
        let node = try IdentityDirectory.open(path: identity(twins.twin)).node
        let file = HighWaterMarkFile(directory: identity(twins.twin), node: node)
        // A copy of a file has another birth; a copy of a disk has not.
        switch try file.read() {
        case .copied(_, let mark):
            try FileManager.default.removeItem(atPath: file.path)
            try file.update { _ in mark }
        case .mark: break
        case .absent, .damaged: throw TestFailure("the mark was not copied")
        }
        try await twins.twin.insertArticle("parting-twin", "under one name")
        // Sealed before it meets anybody.
        try await twins.twin.json("lag")
        try await twins.istanbul.carries("parting-original", to: twins.hq)
        var ends: [[String]] = []
        for node in [twins.istanbul, twins.twin] {
            let end = try await node.sql(
                """
                SELECT hex(o.origin), c.seq, hex(c.digest) FROM sync_change_sets c
                JOIN sync_origins o ON o.number = c.origin WHERE c.received_from IS NULL ORDER BY c.seq DESC LIMIT 1
                """)
            ends.append(end.split(separator: "|").map(String.init))
        }
        try #require(
            ends[0].count == 3 && ends[0][..<2] == ends[1][..<2] && ends[0][2] != ends[1][2], "no fork: \(ends)")

        let copy = try await twins.twin.serve()
        try await writeOnBothSides(twins, 5)
        for node in twins.all {
            let proven = try await eventually("\(node.name) has the proof", within: 30, every: 100) { () -> [JSON]? in
                let known = try await forks(node)
                return known.isEmpty ? nil : known
            }
            let isRight = proven.contains {
                $0["node"]?.text == "istanbul" && $0["origin"]?.text == twins.former
                    && "\($0["sequence"]?.int ?? 0)" == ends[0][1]
            }
            #expect(isRight, "\(node.name): \(proven)")
            #expect(try await notices(node).contains("rewound"), "\(node.name)")
            let doctor = try await node.attempt("doctor").text
            #expect(doctor.contains("Two copies of “istanbul” wrote under one name"), "\(node.name): \(doctor)")
        }
        let names = Set([twins.former, try await origin(twins.istanbul), try await origin(twins.twin)])
        #expect(names.count == 3, "\(names)")
        try await finish(twins, copy)
    }
}
