// syncnode init

import ArgumentParser
import NewsStore
import NodeRuntime
import ReplicaStore
import Trust

struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a new workspace, with this node as its first.",
        discussion: "The workspace's authority is made here: this node can invite others, and revoke them.")

    @Option(help: "What the workspace is called.") var workspace: String
    @Option(help: "What this node is called.") var name: String
    @OptionGroup var options: GlobalOptions

    struct Document: Encodable {
        struct Named: Encodable { let id: String, name: String }
        struct Member: Encodable { let id: String, name: String, role: String }
        let workspace: Named
        let node: Member
        let data: String
    }

    func run() async throws {
        let node = try Node.initialize(options.directory, workspace: workspace, name: name, tables: NewsTables.all)
        try options.print(
            Document(node),
            text: """
                Workspace “\(workspace)” is made, and this node is “\(name)”, an admin.
                  data   \(node.directory)
                  node   \(node.id)
                Next: `syncnode serve`, and `syncnode invite NAME` for each further node.
                """)
    }
}

extension InitCommand.Document {
    init(_ node: Node) {
        workspace = Named(id: "\(node.replica.workspace.id)", name: node.replica.workspace.name)
        self.node = Member(id: "\(node.id)", name: node.name, role: node.certificate.role.rawValue)
        data = node.directory
    }
}
