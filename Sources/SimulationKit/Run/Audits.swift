// What operators, followers and scripts ask of a replica at any time, between whatever else happens to it.
//
// Invariant: it draws from a stream of its own and only reads, so that a run with it and one without are the same run.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationModel
internal import Trust

extension Simulation {
    func audit() throws {
        let node = nodes[audits.below(nodes.count)]
        let kind = audits.below(1_000)
        guard node.isUp, !node.machine.disk.isTroubled, !node.machine.disk.isDown else { return }
        setTime(node)
        switch kind {
        case ..<4: try verify(node)
        case 4..<300: try follow(node, toTheEnd: false)
        case 300..<320: try inspect(node)
        default: break
        }
    }

    /// The engine's own word: whatever is unsealed, held, parked, awaited or set aside now is no damage.
    func verify(_ node: SimulatedNode) throws {
        guard let store = node.store else { return }
        tallies.count("verified")
        let findings = try store.replica.verify(authors: store.roster).findings
        guard findings.isEmpty else { throw SimulationViolation("\(node.name) verify: \(findings)") }
    }

    /// What only tells something tells it in every state.
    private func inspect(_ node: SimulatedNode) throws {
        guard let replica = node.replica else { return }
        do {
            _ = (try replica.status(), try replica.peers(), try replica.notices())
            let runs = try replica.heldRuns()
            for run in runs { _ = try replica.heldContents(Dot(origin: run.origin, sequence: run.first)) }
            _ = (try replica.heldTallies(), try replica.waitingEdits(), try replica.awaitedOfCutOrigins())
            _ = (try replica.misfits(), try replica.stampsAhead(), try replica.lastArrivals(of: node.id, limit: 5))
            guard try replica.conflictCount() == replica.conflicts().count else {
                throw SimulationViolation("\(node.name) counts other conflicts than it lists")
            }
        } catch let error as ReplicaError {
            throw SimulationViolation("\(node.name) cannot tell what it holds: \(error)")
        }
    }

    // MARK: Following

    /// Follows the feed of changes as a search index does: a page, or to its end.
    func follow(_ node: SimulatedNode, toTheEnd: Bool) throws {
        guard let replica = node.replica else { return }
        for table in node.tables where toTheEnd || audits.chance(500) {
            var follower = node.witness.followers[table.name] ?? Follower()
            var isAtEnd = false
            repeat {
                let page = try replica.changedRows(
                    in: table.name, after: follower.cursor,
                    limit: audits.weighted([(audits.within(1...20), 50), (200, 50)]))
                try replica.read { reader in
                    for id in page.ids {
                        let values = try SimulatedNode.row(table, id, reader)
                        follower.rows[id] = values.map { values in
                            Dictionary(uniqueKeysWithValues: zip(table.columns.map(\.name), values))
                        }
                    }
                }
                follower.cursor = page.next
                isAtEnd = page.reachedEnd
            } while toTheEnd && !isAtEnd
            node.witness.followers[table.name] = follower
        }
    }

    /// Whoever followed the feed to its end has what the tables hold.
    func checkFollowers(of node: SimulatedNode) throws {
        guard let replica = node.replica else { return }
        try follow(node, toTheEnd: true)
        for table in node.tables {
            let followed = node.witness.followers[table.name]?.rows ?? [:]
            let columns = table.columns.map { ", \"\($0.name)\"" }.joined()
            var count = 0
            for row in try replica.read({ try $0.query("SELECT id\(columns) FROM \"\(table.name)\"") }) {
                guard case .text(let bytes) = row[0] else { continue }
                count += 1
                let id = RowID(bytes: bytes)
                let found = followed[id]
                for (column, value) in zip(table.columns, row.values.dropFirst())
                where found?[column.name] ?? .null != value {
                    throw SimulationViolation(
                        "\(node.name): who followed its changes has \(Contents.text(found?[column.name].map { [$0] })) in \(table.name) \(id) \(column.name), and the table \(Contents.text([value]))"
                    )
                }
            }
            guard count == followed.count else {
                throw SimulationViolation(
                    "\(node.name): who followed its changes has \(followed.count) rows of \(table.name), and the table \(count)"
                )
            }
        }
    }
}

/// What a follower of one table's changes has come to.
struct Follower {
    var cursor = FeedCursor.start
    /// By column; of a schema that was, where it was read then.
    var rows: [RowID: [String: Value]] = [:]
}
