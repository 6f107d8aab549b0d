// syncnode pull --plan

import NodeRuntime
import ReplicaStore
import ReplicationCore
import ReplicationModel

enum PullPlanning {
    struct Peer: Encodable {
        let name: String
        @Nullable var id: String?
        let address: String
        let wouldReceive: PeerExchange.Count
        let changesByTable: [String: UInt64]
        let conflicts: [ConflictsCommand.Item]
        let held: Int
        let partial: Bool
        @Nullable var error: PeerExchange.Failure?
    }

    struct Document: Encodable {
        let peers: [Peer]
        /// What the peers' roster did to this replica: it is taken in whatever else is only planned.
        let notices: [StatusCommand.Notice]
    }

    static func run(_ names: [String], _ options: GlobalOptions) async throws {
        let node = try options.openNode()
        var peers: [Peer] = []
        var failures: [PeerSyncFailure] = []
        let targets = try node.targets(names)
        let told = try node.replica.notices().last?.number ?? 0
        for target in targets {
            let plan = await node.plan(with: target)
            let report = plan.rehearsal?.report
            if let failure = plan.peer.failure {
                failures.append(targets.count == 1 ? failure : failure.named(plan.peer))
            }
            peers.append(
                Peer(
                    name: plan.peer.name, id: plan.peer.node.map { "\($0)" }, address: plan.peer.address,
                    wouldReceive: .init(
                        .init(
                            changeSets: UInt64(report?.changeSets ?? 0), changes: report?.changes ?? 0,
                            bytes: report?.bytes ?? 0)),
                    changesByTable: plan.rehearsal?.changesByTable ?? [:],
                    conflicts: plan.rehearsal?.conflicts.map { .init($0, node) } ?? [], held: report?.held.count ?? 0,
                    partial: plan.isPartial,
                    error: plan.peer.failure.map { .init(kind: $0.kind.rawValue, message: $0.message) }))
        }
        let news = try PeerExchange.notices(of: node, after: told)
        let warnings = news.map { PeerExchange.line($0, node) }
        try options.print(
            Document(peers: peers, notices: news.map(StatusCommand.Notice.init)),
            text: ([peers.map(text).joined(separator: "\n\n")] + warnings).joined(separator: "\n"))
        try PeerExchange.report(failures, node)
    }

    private static func text(_ peer: Peer) -> String {
        let terminal = Terminal.output
        let name = terminal.styled(printableLine(peer.name), .bold)
        guard peer.error == nil else { return "\(name)  \(terminal.styled("could not be asked", .red))" }
        guard peer.wouldReceive.changeSets > 0 || peer.held > 0 else { return "\(name)  nothing new" }
        var lines = [
            "\(name)  would bring \(peer.partial ? "at least " : "")\(peer.wouldReceive.changes.of("change")) in "
                + "\(peer.wouldReceive.changeSets.of("change set")), \(Figures.bytes(peer.wouldReceive.bytes))"
        ]
        for (table, changes) in peer.changesByTable.sorted(by: { $0.key < $1.key }) {
            lines.append("  \(table): \(changes.of("change"))")
        }
        if peer.held > 0 { lines.append("  \(peer.held) would be held") }
        for conflict in peer.conflicts {
            lines.append(
                terminal.styled("  conflict", .yellow)
                    + " \(conflict.table) \(printableLine(String(conflict.row.prefix(13)))) \(conflict.field): "
                    + "“\(printableLine(ConflictText.short(conflict.lost)))” by \(conflict.lost.author) would lose to "
                    + "“\(printableLine(ConflictText.short(conflict.current)))” by \(conflict.current.author)")
        }
        return lines.joined(separator: "\n")
    }
}
