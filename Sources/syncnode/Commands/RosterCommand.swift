// syncnode roster

import ArgumentParser
import NodeRuntime
import ReplicaStore
import ReplicationModel
import Trust

struct RosterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roster", abstract: "List the members of the workspace.")

    @OptionGroup var options: GlobalOptions

    struct Member: Encodable {
        let id: String
        let name: String
        let role: String
        let standing: String
        @Nullable var revocation: Revocation?
        @Nullable var validUntil: JSONTime?
        let isThisNode: Bool
        let fingerprint: String
    }
    struct Revocation: Encodable {
        let at: JSONTime
        let reason: String
        /// By origin, the last sequence that counts; of others nothing does.
        let lastAccepted: [String: UInt64]
    }
    struct Document: Encodable {
        let workspace: String
        let members: [Member]
    }

    func run() async throws {
        let node = try options.openNode()
        let roster = try node.refreshRoster()
        let members = roster.members.map { member in
            Member(
                id: "\(member.node)", name: member.name ?? "", role: member.role?.rawValue ?? "",
                standing: Self.word(roster.standing(of: member.node, now: node.clock())),
                revocation: Self.revocation(of: member),
                validUntil: member.lasting.map { JSONTime($0.notAfter) }, isThisNode: member.node == node.id,
                fingerprint: member.newest.map { "\($0.digest)" } ?? "")
        }.sorted { $0.name < $1.name }
        try options.print(Document(workspace: node.replica.workspace.name, members: members), text: Self.table(members))
    }

    private static func revocation(of member: RosterMember) -> Revocation? {
        guard let revoked = member.revoked else { return nil }
        return Revocation(
            at: JSONTime(revoked.at), reason: revoked.reason,
            lastAccepted: Dictionary(
                uniqueKeysWithValues: (member.cuts.revoked[member.node] ?? [:]).map {
                    ("\(Origin(node: member.node, incarnation: $0.key))", $0.value.rawValue)
                }))
    }

    /// `revoked 2026-11-25 (laptop stolen)`
    private static func standing(_ member: Member) -> String {
        guard let revocation = member.revocation else { return member.standing }
        return "\(member.standing) \(Figures.time(revocation.at.time).prefix(10))"
            + (revocation.reason.isEmpty ? "" : " (\(shortened(revocation.reason, to: 40)))")
    }

    private static func word(_ standing: Standing) -> String {
        switch standing {
        case .member: "member"
        case .revoked: "revoked"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .unknown: "unknown"
        }
    }

    private static func table(_ members: [Member]) -> String {
        var table = TextTable("name", "role", "standing", "valid until", "node")
        for member in members {
            table.add([
                (member.name + (member.isThisNode ? " *" : ""), member.isThisNode ? .bold : nil), (member.role, nil),
                (standing(member), member.standing == "member" ? .green : .red),
                (String((member.validUntil.map { Figures.time($0.time) } ?? "").prefix(10)), nil), (member.id, .dim),
            ])
        }
        return table.text()
    }
}
