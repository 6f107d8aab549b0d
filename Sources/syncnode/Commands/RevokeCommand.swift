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
            What it wrote and is known here stays; what comes after that is accepted from nobody, whoever brings it. The \
            revocation travels with every exchange, and no node forgets it. A node that had more takes it back when it \
            learns of this, and writes its own work again that was built on it: nothing of others is lost.

            Revoking again can accept more, with --accept, and never less: what was held then comes in everywhere. So where it \
            is in doubt what a lost machine wrote, accept less, look at what `syncnode held` keeps, and accept more.
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
            /// Here, before.
            let applied: UInt64
            /// The last that this node has heard of, anywhere.
            let known: UInt64
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
        struct Latest: Encodable {
            let origin: String
            let sequence: UInt64
            /// By its own clock.
            let writtenAt: JSONTime
            let receivedAt: JSONTime
            @Nullable var receivedFrom: String?
            /// Field writes.
            let changes: UInt64
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
        /// Whether it makes, or would make, any difference to what counts.
        let changes: Bool
        let cuts: [Cut]
        let setAside: SetAside
        /// What was held, and is applied now.
        let letIn: [Count]
        let beyondTheCut: [Holder]
        /// What came of it last, at most five, the last first.
        let latest: [Latest]
    }

    /// What is told of one run.
    private struct Story {
        let own: Node
        let member: RosterMember
        let plan: RevocationPlan
        let known: [Origin: SequenceNumber]
        let changes: Bool
        var letIn: [(node: NodeID, changeSets: UInt64)] = []
        var name: String { own.name(of: member.node) }
    }

    func run() async throws {
        let own = try options.openNode()
        guard let member = try own.member(named: node) else {
            throw CommandFailure(.noInput, "“\(node)” is no node of this workspace. `syncnode roster` lists them.")
        }
        try own.checkMayRevoke(member.node)
        let known = try known(member.node, own)
        let accepted = try accepted(known)
        try checkNothingIsTakenBack(accepted, member, own)
        let plan = try own.planRevocation(of: member.node, accepting: accepted)
        var story = Story(
            own: own, member: member, plan: plan, known: known,
            changes: !member.isRevoked
                || plan.cuts.contains {
                    $0.lastAccepted != (member.cuts.revoked[member.node]?[$0.origin.incarnation] ?? .zero)
                })
        if !self.plan, story.changes {
            let before = try own.replica.heldTallies()
            try own.revoke(plan, reason: reason)
            let left = Dictionary(
                uniqueKeysWithValues: try own.replica.heldTallies().map { ($0.author, $0.changeSets) })
            story.letIn = before.compactMap { tally in
                let gone = tally.changeSets - (left[tally.author] ?? 0)
                return gone > 0 ? (tally.author, UInt64(gone)) : nil
            }
        }
        try options.print(document(story), text: text(story))
    }

    private func checkNothingIsTakenBack(
        _ accepted: [UInt64: SequenceNumber], _ member: RosterMember, _ own: Node
    ) throws {
        for (incarnation, sequence) in accepted {
            guard let cut = member.cuts.revoked[member.node]?[incarnation], sequence < cut else { continue }
            let origin = Origin(node: member.node, incarnation: incarnation)
            throw CommandFailure(
                .refused,
                "Cannot lower the cut of \(own.short(origin)) to \(sequence): a revocation has accepted it up to \(cut), and what one accepts no other takes back. Nothing was done. What is wrong in it can be overwritten or deleted like anything else."
            )
        }
    }

    private func accepted(_ known: [Origin: SequenceNumber]) throws -> [UInt64: SequenceNumber] {
        var accepted: [UInt64: SequenceNumber] = [:]
        for text in accept {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard let sequence = parts.last.flatMap({ UInt64($0) }), parts.count <= 2 else {
                throw CommandFailure(
                    .usage, "--accept \(text): give SEQUENCE, or ORIGIN:SEQUENCE as `revoke --plan` shows it.")
            }
            let origins = known.keys.sorted()
            let matches = parts.count == 1 ? origins : origins.filter { $0.isMeant(by: parts[0]) }
            guard matches.count == 1 else {
                throw CommandFailure(
                    .usage,
                    "--accept \(text): “\(node)” has \(origins.count.of("origin")), give one of them: \(origins.map { "\($0)" }.joined(separator: ", "))."
                )
            }
            accepted[matches[0].incarnation] = SequenceNumber(sequence)
        }
        return accepted
    }

    /// The node's origins that were heard of, and the last of each: applied here, held, or told by a peer.
    private func known(_ node: NodeID, _ own: Node) throws -> [Origin: SequenceNumber] {
        var known: [Origin: SequenceNumber] = [:]
        func hear(_ origin: Origin, _ sequence: SequenceNumber) {
            if origin.node == node { known[origin] = max(known[origin] ?? .zero, sequence) }
        }
        for (origin, sequence) in try own.replica.vectors().applied.entries { hear(origin, sequence) }
        for run in try own.replica.heldRuns() { hear(run.origin, run.last) }
        for record in try own.replica.peers() {
            for vector in [record.facts?.applied, record.secondHand?.applied] {
                for (origin, sequence) in vector?.entries ?? [:] { hear(origin, sequence) }
            }
        }
        return known
    }

    private func document(_ story: Story) -> Document {
        let (plan, own) = (story.plan, story.own)
        return Document(
            nodeId: "\(plan.node)", name: story.name, reason: reason, revoked: !self.plan || story.member.isRevoked,
            changes: story.changes,
            cuts: plan.cuts.map {
                .init(
                    origin: "\($0.origin)", lastAccepted: $0.lastAccepted.rawValue, applied: $0.applied.rawValue,
                    known: (story.known[$0.origin] ?? .zero).rawValue)
            },
            setAside: .init(
                changeSets: plan.radius.beyond,
                builtOnThem: plan.radius.dependent.sorted { $0.key < $1.key }.map {
                    .init(name: own.name(of: $0.key), id: "\($0.key)", changeSets: $0.value)
                }),
            letIn: story.letIn.map { .init(name: own.name(of: $0.node), id: "\($0.node)", changeSets: $0.changeSets) },
            beyondTheCut: plan.holders.map {
                .init(
                    name: own.name(of: $0.node), id: "\($0.node)", origin: "\($0.origin)",
                    sequence: $0.sequence.rawValue, asOf: JSONTime($0.asOf),
                    toldBy: $0.toldBy.map { own.name(of: $0) })
            },
            latest: plan.latest.map {
                .init(
                    origin: "\($0.dot.origin)", sequence: $0.dot.sequence.rawValue, writtenAt: JSONTime($0.writtenAt),
                    receivedAt: JSONTime($0.receivedAt), receivedFrom: $0.receivedFrom.map { own.name(of: $0) },
                    changes: $0.changes)
            })
    }

    private func text(_ story: Story) -> String {
        let (plan, own) = (story.plan, story.own)
        let command = "syncnode revoke \(own.commandName(of: plan.node))"
        var lines = [heading(story)]
        for cut in plan.cuts {
            let origin = own.short(cut.origin)
            lines.append(
                "Of \(origin) everything up to \(cut.lastAccepted) is accepted; \(cut.applied) \(self.plan || !story.changes ? "are" : "were") applied here."
            )
            let known = story.known[cut.origin] ?? .zero
            if cut.lastAccepted > known {
                lines.append(
                    "Nobody that this node has heard of has more than \(known) of it: whoever holds its key can write what comes up to \(cut.lastAccepted), and it will count."
                )
            }
        }
        if plan.cuts.isEmpty { lines.append("Nothing of it is known here, so nothing it ever wrote is accepted.") }
        if plan.radius.beyond > 0 {
            lines.append("Set aside here: \(plan.radius.beyond.of("change set")) of its own.")
        }
        for (node, count) in plan.radius.dependent.sorted(by: { $0.key < $1.key }) {
            lines.append(
                "Set aside here: \(count.of("change set")) of “\(own.name(of: node))” that build on them, and that it writes again."
            )
        }
        for count in story.letIn {
            lines.append(
                "Let in here: \(count.changeSets.of("change set")) of “\(own.name(of: count.node))” that had been held."
            )
        }
        for holder in plan.holders {
            let told = holder.toldBy.map { ", as “\(own.name(of: $0))” said" } ?? ""
            lines.append(
                "“\(own.name(of: holder.node))” has it up to \(holder.sequence) (\(Figures.time(holder.asOf))\(told)) and will set that aside. To keep it: \(command) --accept \(Node.short(incarnationOf: holder.origin)):\(holder.sequence)"
            )
        }
        if !self.plan, story.changes, plan.radius.beyond > 0 {
            lines.append("Nothing is deleted: `syncnode held` shows what is set aside, and how to let it in again.")
        }
        let text = lines.map(printable).joined(separator: "\n")
        return self.plan && !plan.latest.isEmpty ? text + "\n\n" + latest(plan, own) : text
    }

    /// Where it was lost before some of that came, less is to be accepted.
    private func latest(_ plan: RevocationPlan, _ own: Node) -> String {
        var table = TextTable("came last", "from", "written, by its clock", "changes", "to accept nothing later")
        for changeSet in plan.latest {
            table.add(
                Figures.time(changeSet.receivedAt), changeSet.receivedFrom.map { own.name(of: $0) } ?? "here",
                Figures.time(changeSet.writtenAt), changeSet.changes.grouped,
                "--accept \(Node.short(incarnationOf: changeSet.dot.origin)):\(changeSet.dot.sequence)")
        }
        return table.text()
    }

    private func heading(_ story: Story) -> String {
        guard story.changes else {
            return
                "“\(story.name)” is revoked already, and this changes nothing. To accept more of it: --accept ORIGIN:SEQUENCE."
        }
        if self.plan {
            return story.member.isRevoked
                ? "“\(story.name)” is revoked already. Accepting more of it would do this; nothing is done yet."
                : "Revoking “\(story.name)” would do this; nothing is done yet."
        }
        return story.member.isRevoked
            ? "Accepted more of “\(story.name)”, which stays revoked. The others learn of it when they next meet this node, or one that knows."
            : "Revoked “\(story.name)”. The others learn of it when they next meet this node, or one that knows."
    }
}
