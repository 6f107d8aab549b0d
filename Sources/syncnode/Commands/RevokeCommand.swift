// syncnode revoke

import ArgumentParser
import NodeRuntime
import ReplicaStore
import ReplicationModel
import Trust

struct RevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Shut a node out for ever.",
        discussion: """
            What it wrote and is known here stays; what comes after that is accepted from nobody, whoever brings it. The
            revocation travels with every exchange, and no node forgets it. A node that had more takes it back when it
            learns of this, and writes its own work again that was built on it: nothing of others is lost.

            Revoking again can accept more, with --accept, and never less: what was held then comes in everywhere.
            """)

    @Argument(help: "The node's name, or the beginning of its id.") var node: String
    @Option(help: "Why, for people.") var reason = ""
    @Option(
        help: ArgumentHelp(
            "The last change set to accept, where it is not the last that is known here. Repeatable.",
            valueName: "[origin:]sequence")) var accept: [String] = []
    @Flag(help: "Show what it would do, and do nothing.") var plan = false
    @OptionGroup var options: GlobalOptions

    struct Document: Encodable {
        struct Cut: Encodable {
            let origin: String
            let lastAccepted: UInt64
            let applied: UInt64
        }
        struct Count: Encodable {
            let name: String
            let id: String
            let changeSets: UInt64
        }
        struct SetAside: Encodable {
            let changeSets: UInt64
            let builtOnThem: [Count]
        }
        struct Holder: Encodable {
            let name: String
            let id: String
            let origin: String
            let sequence: UInt64
            let asOf: JSONTime
            @Nullable var toldBy: String?
        }
        let nodeId: String
        let name: String
        let reason: String
        let revoked: Bool
        let cuts: [Cut]
        let setAside: SetAside
        let beyondTheCut: [Holder]
    }

    func run() async throws {
        let own = try options.openNode()
        guard let member = own.member(named: node) else {
            throw CommandFailure(.noInput, "“\(node)” is no node of this workspace. `syncnode roster` lists them.")
        }
        try own.checkMayRevoke(member.node)
        let plan = try own.planRevocation(of: member.node, accepting: accepted(member, own))
        if !self.plan { try own.revoke(plan, reason: reason) }
        let name = member.name ?? node
        try options.print(document(plan, name, own), text: text(plan, name, own))
    }

    private func accepted(_ member: RosterMember, _ own: Node) throws -> [UInt64: SequenceNumber] {
        var accepted: [UInt64: SequenceNumber] = [:]
        for text in accept {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard let sequence = parts.last.flatMap({ UInt64($0) }), parts.count <= 2 else {
                throw CommandFailure(
                    .usage, "--accept \(text): give SEQUENCE, or ORIGIN:SEQUENCE as `revoke --plan` shows it.")
            }
            let origins = try known(member.node, own)
            let matches = parts.count == 1 ? origins : origins.filter { "\($0)" == parts[0] }
            guard matches.count == 1 else {
                throw CommandFailure(
                    .usage,
                    "--accept \(text): “\(node)” has \(Figures.count(origins.count, "origin")), give one of them: \(origins.map { "\($0)" }.joined(separator: ", "))."
                )
            }
            accepted[matches[0].incarnation] = SequenceNumber(sequence)
        }
        return accepted
    }

    /// The node's origins that were heard of: applied here, held, or told by a peer.
    private func known(_ node: NodeID, _ own: Node) throws -> [Origin] {
        var origins = Set(try own.replica.vectors().applied.entries.keys)
        origins.formUnion(try own.replica.held().map(\.dot.origin))
        for record in try own.replica.peers() {
            if let facts = record.facts { origins.formUnion(facts.applied.entries.keys) }
            if let second = record.secondHand { origins.formUnion(second.applied.entries.keys) }
        }
        return origins.filter { $0.node == node }.sorted()
    }

    private func document(_ plan: RevocationPlan, _ name: String, _ own: Node) -> Document {
        Document(
            nodeId: "\(plan.node)", name: name, reason: reason, revoked: !self.plan,
            cuts: plan.cuts.map {
                .init(
                    origin: "\($0.origin)", lastAccepted: $0.lastAccepted.rawValue, applied: $0.applied.rawValue)
            },
            setAside: .init(
                changeSets: plan.radius.beyond,
                builtOnThem: plan.radius.dependent.sorted { $0.key < $1.key }.map {
                    .init(name: own.name(of: $0.key), id: "\($0.key)", changeSets: $0.value)
                }),
            beyondTheCut: plan.holders.map {
                .init(
                    name: own.name(of: $0.node), id: "\($0.node)", origin: "\($0.origin)",
                    sequence: $0.sequence.rawValue, asOf: JSONTime($0.asOf),
                    toldBy: $0.toldBy.map { own.name(of: $0) })
            })
    }

    private func text(_ plan: RevocationPlan, _ name: String, _ own: Node) -> String {
        var lines = [
            self.plan
                ? "Revoking “\(name)” would do this; nothing is done yet."
                : "Revoked “\(name)”. The others learn of it when they next meet this node, or one that knows."
        ]
        for cut in plan.cuts {
            lines.append(
                "Of \(cut.origin) everything up to \(cut.lastAccepted) is accepted; \(cut.applied) are applied here.")
        }
        if plan.cuts.isEmpty { lines.append("Nothing of it is known here, so nothing it ever wrote is accepted.") }
        if plan.radius.beyond > 0 {
            lines.append("Set aside here: \(Figures.count(Int64(plan.radius.beyond), "change set")) of its own.")
        }
        for (node, count) in plan.radius.dependent.sorted(by: { $0.key < $1.key }) {
            lines.append(
                "Set aside here: \(Figures.count(Int64(count), "change set")) of “\(own.name(of: node))” that build on them, and that it writes again."
            )
        }
        for holder in plan.holders {
            let told = holder.toldBy.map { ", as “\(own.name(of: $0))” said" } ?? ""
            lines.append(
                "“\(own.name(of: holder.node))” has it up to \(holder.sequence) (\(Figures.time(holder.asOf))\(told)) and will set that aside. To keep it: syncnode revoke \(node) --accept \(holder.origin):\(holder.sequence)"
            )
        }
        return lines.joined(separator: "\n")
    }
}
