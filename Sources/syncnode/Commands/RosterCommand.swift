// syncnode roster

import ArgumentParser
import NodeRuntime
import ReplicaStore
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
        @Nullable var validUntil: JSONTime?
        let isThisNode: Bool
        let fingerprint: String
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
                validUntil: member.lasting.map { JSONTime($0.notAfter) }, isThisNode: member.node == node.id,
                fingerprint: member.newest.map { "\($0.digest)" } ?? "")
        }.sorted { $0.name < $1.name }
        try options.print(Document(workspace: node.replica.workspace.name, members: members), text: Self.table(members))
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
                (member.standing, member.standing == "member" ? .green : .red),
                (String((member.validUntil.map { Figures.time($0.time) } ?? "").prefix(10)), nil), (member.id, .dim),
            ])
        }
        return table.text()
    }
}
