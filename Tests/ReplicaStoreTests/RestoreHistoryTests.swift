// Random histories of a node that is backed up, restored, copied, carried off, crashes and loses its mark, beside peers
// that do not: no fork ever, everything that was sent comes back, and in the end all are equal.
import Chance
import Foundation
import ReplicationModel
import Testing
import Trust

@testable import ReplicaStore

@Suite struct RestoreHistoryTests {
    /// One life of the node: a directory, and the replica open in it.
    private final class Place {
        let node: MarkedNode
        var replica: Replica
        var backups: [String] = []
        init(_ node: MarkedNode, _ replica: Replica) {
            self.node = node
            self.replica = replica
        }
    }

    private struct Tally {
        var restores = 0
        var copies = 0
        var lostMarks = 0
        var salvages = 0
    }

    @Test(arguments: 0..<40) func noHistoryForks(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let workspace = try TestWorkspace()
        let (node, first) = try MarkedNode.make("a", in: workspace)
        var places = [Place(node, first)]
        let peers = [try workspace.replica("b"), try workspace.replica("c")]
        let watch = ForkWatch()
        var tally = Tally()
        for step in 0..<Int.random(in: 20...80, using: &random) {
            guard let place = places.randomElement(using: &random), let peer = peers.randomElement(using: &random)
            else { continue }
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<7: try random.write(to: place.replica)
            case 7: try random.write(to: peer)
            case 8: try place.replica.seal()
            case 9...11: try workspace.pull(peer, from: place.replica, atMost: random.oneIn(2) ? .max : 2)
            case 12: try workspace.pull(place.replica, from: peer, atMost: random.oneIn(2) ? .max : 2)
            case 13: try workspace.pull(peers[0], from: peers[1])
            case 14: try backUp(place, "\(step)", workspace, &random)
            case 15, 16: try restore(place, workspace, peers, &random, &tally)
            case 17: try reopen(place)
            case 18: try loseMark(place, &random, &tally)
            default:
                guard places.count < 4 else { continue }
                try place.replica.close()
                let copy = try place.node.copied(to: "copy-\(step)")
                place.replica = try place.node.open()
                places.append(Place(copy, try copy.open()))
                tally.copies += 1
            }
            try watch.look(at: place.replica)
            try watch.look(at: peer)
        }
        try settle(places.map(\.replica) + peers, workspace, watch, "seed \(seed), \(tally)")
    }

    private func settle(_ replicas: [Replica], _ workspace: TestWorkspace, _ watch: ForkWatch, _ what: String) throws {
        for _ in 0...replicas.count {
            for a in replicas {
                for b in replicas where a !== b { try workspace.pull(b, from: a) }
            }
        }
        for replica in replicas {
            try watch.look(at: replica)
            #expect(try replica.vectors().applied == replicas[0].vectors().applied, "\(what)")
            #expect(try replica.contents("notes") == replicas[0].contents("notes"), "\(what)")
            #expect(try replica.contents("links") == replicas[0].contents("links"), "\(what)")
            #expect(try replica.ledgerText() == replicas[0].ledgerText(), "\(what)")
            #expect(try replica.verify(authors: workspace.authors).findings == [], "\(what)")
        }
    }

    /// By the program, or as a copy of the file while nothing has it open.
    private func backUp(_ place: Place, _ name: String, _ workspace: TestWorkspace, _ random: inout SeededRandom) throws
    {
        let file = place.node.directory.path + "-backup-" + name
        if random.oneIn(2) {
            try place.replica.backup(to: file)
        } else {
            try place.replica.close()
            try FileManager.default.copyItem(atPath: place.node.path, toPath: file)
            place.replica = try place.node.open()
        }
        place.backups.append(file)
    }

    private func restore(
        _ place: Place, _ workspace: TestWorkspace, _ peers: [Replica], _ random: inout SeededRandom,
        _ tally: inout Tally
    ) throws {
        guard let backup = place.backups.randomElement(using: &random) else { return }
        try place.replica.close()
        try place.node.restore(backup)
        tally.restores += 1
        do {
            place.replica = try place.node.open()
        } catch let error as ReplicaError where error.code == .fork {
            // A copy of the file that had gone on unsent, put back beside another that did: as the message says, the
            // replica is made anew, and what only that file has is written again.
            for end in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: place.node.path + end) }
            place.replica = try place.node.create(in: workspace)
            for peer in peers { try workspace.pull(place.replica, from: peer) }
            _ = try place.replica.salvage(from: backup)
            tally.salvages += 1
        }
    }

    private func reopen(_ place: Place) throws {
        let origin = try place.replica.origin
        let wasWhole = if case .mark = try place.node.mark.read() { true } else { false }
        try place.replica.close()
        place.replica = try place.node.open()
        // Nothing was taken back: nothing changes.
        #expect(try (place.replica.origin == origin) == wasWhole)
    }

    private func loseMark(_ place: Place, _ random: inout SeededRandom, _ tally: inout Tally) throws {
        // Under the open replica, too.
        let isClosed = random.oneIn(2)
        if isClosed { try place.replica.close() }
        if random.oneIn(2) {
            try? FileManager.default.removeItem(atPath: place.node.mark.path)
        } else if FileManager.default.fileExists(atPath: place.node.mark.path) {
            try place.node.damageMark(Array("nonsense".utf8))
        }
        if isClosed { place.replica = try place.node.open() }
        tally.lostMarks += 1
    }
}
