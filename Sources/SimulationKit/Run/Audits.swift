// What operators, followers and scripts ask of a replica at any time, between whatever else happens to it.
//
// Invariant: it draws from a stream of its own and changes nothing, so that a run with it and one without are the same run.

internal import Chance
internal import ReplicaExchange
internal import ReplicaStore
internal import ReplicationCore
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
            _ = (try replica.status(), try replica.notices())
            try checkWhatIsSaidOfPeers(node, replica)
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

    /// Nobody is said to have what it never had.
    private func checkWhatIsSaidOfPeers(_ node: SimulatedNode, _ replica: Replica) throws {
        for peer in try replica.peers() {
            let all = had[peer.node] ?? VersionVector()
            for said in [peer.facts?.applied, peer.secondHand?.applied].compactMap({ $0 }) where !all.covers(said) {
                throw SimulationViolation(
                    "\(node.name) says that \(peer.node) has \(describe(said)), and it had \(describe(all)) at most")
            }
            guard let facts = peer.facts, !facts.applied.covers(facts.safe) else { continue }
            throw SimulationViolation("\(node.name) says that more is safe at \(peer.node) than it has")
        }
    }

    /// Once everyone met everyone and all have the same, everyone says so.
    func checkLag() throws {
        for node in members {
            guard let replica = node.replica else { continue }
            let applied = try replica.vectors().applied
            for other in Set(members.map(\.id)).subtracting([node.id]) {
                let facts = try replica.peer(other)?.facts
                let safe = try members.filter { $0.id == other }.compactMap { try $0.replica?.vectors().safe }
                guard facts?.applied == applied, safe.contains(where: { $0 == facts?.safe }) else {
                    throw SimulationViolation(
                        "\(node.name) says that \(other) has \(facts.map { "\(describe($0.applied)), safe \(describe($0.safe))" } ?? "nothing"), and all have \(describe(applied)), safe there \(safe.map(describe))"
                    )
                }
            }
        }
    }

    /// What taking a batch in would come to, as `pull --plan` tells it; nil for most.
    func rehearse(
        _ output: SessionOutput, node: SimulatedNode, from peer: NodeID
    ) throws -> ReplicaStore.ApplyReport? {
        guard case .applyBatch(let batch, let leftOut) = output, audits.chance(50), leftOut.isEmpty,
            !node.machine.disk.isTroubled, let store = node.store, try store.replica.status().unsealed == 0
        else { return nil }
        tallies.count("rehearsed")
        return try store.replica.rehearse(batch, from: peer, authors: store.roster).report
    }

    func check(_ rehearsed: ReplicaStore.ApplyReport?, against inputs: [SessionInput], of node: SimulatedNode) throws {
        guard let rehearsed else { return }
        for case .applied(let report) in inputs {
            guard report.applied == rehearsed.applied, report.held == rehearsed.held,
                report.received.changes == rehearsed.changes, report.received.bytes == rehearsed.bytes,
                report.conflicts == UInt64(max(rehearsed.conflicts, 0))
            else {
                throw SimulationViolation("\(node.name) rehearsed \(rehearsed), and then it came to \(report)")
            }
        }
    }

    /// Compares two replicas by ranges, as `verify PEER` does: where all have the same it finds nothing.
    func compareByRanges(_ node: SimulatedNode, _ other: SimulatedNode) throws {
        guard let here = node.replica, let there = other.replica else { return }
        var question = ComparisonQuestion(vector: try here.comparisonVector().digest)
        let sections = try here.comparisonDeclarations().map { ComparisonSection.table($0.name) }
        var comparison = RangeComparison(sections + [.ledger, .origins])
        while true {
            switch comparison.next() {
            case .done:
                guard comparison.differences.isEmpty, !comparison.isCutShort else {
                    throw SimulationViolation(
                        "\(node.name) finds differences in what \(other.name) has: \(comparison.differences)")
                }
                return
            case .cut(let requests):
                comparison.cut(try here.cut(requests.map { (range: $0.range, parts: $0.parts) }))
            case .ask(let ranges):
                question.ranges = ranges
                guard case .ranges(let ours, _) = try here.answer(question),
                    case .ranges(let theirs, _) = try there.answer(question)
                else { throw SimulationViolation("\(node.name) and \(other.name) cannot be compared") }
                try comparison.took(here: ours, there: theirs)
            }
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
