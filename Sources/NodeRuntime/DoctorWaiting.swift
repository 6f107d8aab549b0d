// What waits on a node, and what keeps peers from being level with it, as `doctor` says it.
//
// Invariant: every finding that somebody has to act on says who has to do what, and where.

internal import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import Trust

extension Doctor {
    /// What cuts keep out, which is as it should be; and edits of this node that wait for rows on the other side of one.
    static func setAside(_ node: Node) throws -> Check {
        let cutOff = try node.cutOff()
        let edits = try node.replica.waitingEdits()
        guard !cutOff.isEmpty || !edits.isEmpty else {
            return Check(name: "set aside", state: .well, finding: "nothing here is cut off", remedy: "")
        }
        var findings = cutOff.map { node.sentence($0) }
        var remedies = cutOff.map { node.advice($0) }
        if let first = edits.first {
            findings.append(
                "\(edits.count.of("edit")) of this node, \(first.table) \(first.id)\(first.field.map { " \($0)" } ?? "")\(edits.count == 1 ? "" : " and others"), wait\(edits.count == 1 ? "s" : "") for rows that are set aside."
            )
            remedies.append(
                "They are written again when their rows come back; to have them now, write the rows anew under these ids."
            )
        }
        return Check(
            name: "set aside", state: edits.isEmpty ? .well : .watch, finding: findings.joined(separator: "\n    "),
            remedy: remedies.filter { !$0.isEmpty }.joined(separator: "\n    → "))
    }

    static func waiting(_ node: Node) throws -> Check {
        let status = try node.replica.status()
        var findings: [String] = []
        var remedies: [String] = []
        let runs = try node.replica.heldRuns().filter { !$0.isCutOff }
        if !runs.isEmpty {
            findings.append("\(runs.reduce(0) { $0 + $1.count }) held (`syncnode held`)")
            schema(runs, node, &findings, &remedies)
        }
        full(try node.replica.heldTallies().filter(\.isFull), runs, node, &findings, &remedies)
        if status.conflicts > 0 { findings.append("\(status.conflicts.of("conflict")) (`syncnode conflicts`)") }
        if status.parked > 0 {
            findings.append("\(status.parked.of("value")) of columns that this version does not know")
            remedies.append("Update syncnode: a newer version wrote what it does not know.")
        }
        if status.misfits > 0, let first = try node.replica.misfits(limit: 1).first {
            findings.append(
                "\(status.misfits.of("value")) that their columns would not keep: the first \(first.table) \(first.id), \(first.field), by “\(node.name(of: first.author.node))”"
            )
            remedies.append(
                "They are kept beside their tables, which have defaults there, and hold nothing up (`syncnode held`): write those fields anew, and see what wrote them."
            )
        }
        if status.awaiting > 0 { findings.append("\(status.awaiting.of("value")) still to come") }
        let lost = try node.replica.awaitedOfCutOrigins()
        if let first = lost.first {
            remedies.append(
                "\(lost.count) of the values to come are of a node that is cut off, and no later change brings them: \(first.table) \(first.id), \(first.field)\(lost.count > 1 ? ", and others" : ""). Sync with every node that may have them; if none has, write the field anew."
            )
        }
        return Check(
            name: "waiting", state: findings.isEmpty ? .well : .watch,
            finding: findings.isEmpty ? "nothing is held, parked or in conflict" : findings.joined(separator: ", "),
            remedy: remedies.joined(separator: " "))
    }

    /// What waits for another schema than this program's.
    private static func schema(_ runs: [HeldRun], _ node: Node, _ findings: inout [String], _ remedies: inout [String])
    {
        let first = runs.first { $0.root == nil && ($0.cause == .unknownTable || $0.cause == .schemaDiffers) }
        guard let first else { return }
        let name = "“\(node.name(of: first.origin.node))”"
        findings.append("\(name) wrote what this version of syncnode cannot take: \(first.detail)")
        remedies.append(
            first.cause == .unknownTable
                ? "Update syncnode here: what \(name) wrote after that, and what builds on it, waits until then, here and nowhere else. All of it is taken in by itself afterwards."
                : "If \(name) runs a newer syncnode, update here, and all of it is taken in by itself. If not, see what it is (`syncnode held show \(first.origin):\(first.first)`); what no version takes can only be cut off, by revoking its author."
        )
    }

    /// Whose share of what may be held is used up.
    private static func full(
        _ tallies: [HeldTally], _ runs: [HeldRun], _ node: Node, _ findings: inout [String],
        _ remedies: inout [String]
    ) {
        for tally in tallies {
            let name = "“\(node.name(of: tally.author))”"
            findings.append(
                "as much of \(name) as is kept (\(tally.changeSets.of("change set")), \(tally.bytes / 1_000_000) MB), so no more of it is taken"
            )
            let cause = runs.first { $0.origin.node == tally.author }
            let why = cause.map { "Of the first of it: \($0.detail). " } ?? ""
            remedies.append(
                why
                    + "Its peers keep what is not taken, and send it once there is room: when the cause is gone (`syncnode held`) what waits is applied by itself. A node that floods is to be revoked: `syncnode revoke \(node.commandName(of: tally.author))`."
            )
        }
    }

    /// Whether this node wrote what it may not. A reader was never a writer, so all that it wrote is such.
    static func rights(_ node: Node) throws -> Check {
        guard !node.certificate.role.mayWrite else {
            return Check(name: "rights", state: .well, finding: "this node may write", remedy: "")
        }
        let status = try node.replica.status()
        let sealed = status.applied.entries.filter { $0.key.node == node.id }.reduce(0) {
            $0 + Int64(clamping: $1.value.rawValue)
        }
        guard status.unsealed > 0 || sealed > 0 else {
            return Check(name: "rights", state: .well, finding: "this node reads, and wrote nothing", remedy: "")
        }
        var written: [String] = []
        if status.unsealed > 0 { written.append(status.unsealed.of("edit")) }
        if sealed > 0 { written.append("\(sealed.of("change set")) of edits") }
        let isOne = status.unsealed + sealed == 1
        return Check(
            name: "rights", state: .broken,
            finding:
                "this node is a reader, and \(written.joined(separator: " and ")) \(isOne ? "was" : "were") written here: no node takes \(isOne ? "it" : "them"), and sessions end at \(isOne ? "it" : "them")",
            remedy:
                "Ask an admin for a writer's certificate: `syncnode join --request FILE` here, `syncnode admit FILE --role writer --out CERT` there, `syncnode join --certificate CERT` here, and start `serve` again; or join anew as a reader from another --data directory."
        )
    }

    /// Addresses at which nobody of this workspace ever answered, or at which this node is refused.
    static func addresses(_ node: Node) throws -> Check {
        let known = try node.replica.addresses()
        let troubled = known.filter { $0.failure != nil && ($0.node == nil || $0.failure?.kind == "refused") }
        guard !troubled.isEmpty else {
            return Check(
                name: "addresses", state: .well,
                finding: known.isEmpty ? "none is dialled" : "\(known.count.of("address", "addresses")) known",
                remedy: "")
        }
        return Check(
            name: "addresses", state: .watch,
            finding: troubled.map {
                "\($0.address) \($0.node == nil ? "never answered as a peer" : "refuses"): \($0.failure?.message ?? "")"
            }.joined(separator: "\n    "),
            remedy: troubled.map { "`syncnode peer remove \($0.address)` if it is wrong." }
                .joined(separator: "\n    → "))
    }

    static func peers(_ node: Node) throws -> Check {
        let lag = try node.lag()
        let troubled = lag.filter { [.refused, .held].contains($0.report.state) }
        if lag.isEmpty {
            return Check(
                name: "peers", state: .watch, finding: "no other node is known",
                remedy: "`syncnode invite NAME` for a new node, `syncnode peer add HOST:PORT` for a known one.")
        }
        guard let first = troubled.first(where: { $0.report.state == .refused }) ?? troubled.first else {
            return Check(
                name: "peers", state: .well, finding: "\(lag.count) known; `syncnode lag` shows how they stand",
                remedy: "")
        }
        return Check(
            name: "peers", state: first.report.state == .refused ? .broken : .watch,
            finding: "“\(first.name)” is \(first.report.state.rawValue): \(first.report.cause)",
            remedy: (try waitsForUpdate(first, node)
                ? "Update syncnode on “\(first.name)”, which does not know what was written elsewhere. Until then it takes nothing more of whom it holds something of, and everything else goes on; afterwards it catches up by itself. "
                : "") + "`syncnode lag` shows all.")
    }

    /// Whether what a peer holds waits for a schema that it does not have.
    private static func waitsForUpdate(_ lag: PeerLag, _ node: Node) throws -> Bool {
        let record = try node.replica.peers().first { $0.node == lag.node }
        return record?.facts?.held.contains { $0.cause == .unknownTable || $0.cause == .schemaDiffers } ?? false
    }
}
