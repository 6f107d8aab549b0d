// What a service says in its log, and the sessions that it has.
//
// Invariant: a line counts once it is whole.
import Foundation

extension Server {
    /// Lines of its log that have all of these words, oldest first.
    func logged(_ words: String...) -> [Substring] { logged(words) }

    /// Waits for a line with all of these words.
    func says(_ words: String..., within seconds: Double = 30) async throws {
        _ = try await eventually("\(words) in the log of \(node.name):\n\(child.errors)", within: seconds) {
            logged(words).isEmpty ? nil : true
        }
    }

    private func logged(_ words: [String]) -> [Substring] {
        let log = child.errors
        let whole = log[..<(log.lastIndex(of: "\n") ?? log.startIndex)]
        return whole.split(separator: "\n").filter { line in words.allSatisfy { line.contains($0) } }
    }

    /// Waits until it has a live session with a peer, and nothing lacks on either side.
    func isLive(with peer: Server) async throws {
        let what = { "\(node.name) is live with \(peer.node.name):\n\(child.errors)\n\(peer.child.errors)" }
        _ = try await eventually(what(), within: 30) { try await node.state(of: peer.node.name) == "live" ? true : nil }
    }
}

extension Node {
    /// How a peer stands, as `lag` says.
    func state(of peer: String) async throws -> String? {
        let peers = try await json("lag")["peers"]?.elements ?? []
        return peers.first { $0["name"]?.text == peer }?["state"]?.text
    }
}
