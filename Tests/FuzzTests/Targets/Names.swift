// The texts by which people and peers name things: origins, ids, places, dates, times, addresses, cursors.
import PeerTransport
import ReplicaStore
import ReplicationModel

@testable import NewsStore

extension FuzzTarget {
    /// What reads a name writes it back.
    static let names = FuzzTarget(
        "names", maximumBytes: 256, testRuns: 3000,
        seeds: {
            [
                SampleFrames.origin(1).description, SampleFrames.node(1).description, "hq.example:7742", "[::1]:1",
                "2026-05-09", "2026-05", "2026", "2026-05-09T10:00:00.5+03:00", "0000-01-01T00:00:00+23:59",
                "9999-12-31T23:59:60-23:59", "j12.34", "1:2",
            ].map { Array($0.utf8) }
        }
    ) { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        if let origin = Origin(text) { try expect(Origin(origin.description) == origin, "origin \(text)") }
        if let node = NodeID(text) { try expect(NodeID(node.description) == node, "node \(text)") }
        if let workspace = WorkspaceID(text) {
            try expect(WorkspaceID(workspace.description) == workspace, "workspace \(text)")
        }
        if let endpoint = try? Endpoint(text) {
            try expect((try? Endpoint(endpoint.description)) == endpoint, "endpoint \(text)")
        }
        if let cursor = FeedCursor(text: text) { try expect(FeedCursor(text: cursor.text) == cursor, "cursor \(text)") }
        if let date = PartialDate(text) {
            try expect(PartialDate(date.text) == date, "date \(text)")
            try expect(!date.hasPassed(on: date), "the date \(text) has passed on itself")
        }
        if let moment = Moment(text) {
            try expect(Moment(moment.text)?.milliseconds == moment.milliseconds, "the time \(text) as \(moment.text)")
        }
    }
}
