// syncnode doctor

import ArgumentParser
import NewsStore
import NodeRuntime
import ReplicaStore

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "What is wrong with this set-up, and how to mend it.")

    @Flag(
        help: ArgumentHelp(
            "Make an empty replica where it is lost.",
            discussion:
                "Only where replica.sqlite is gone and identity/ is there. What peers have comes back with the next pull."
        ))
    var rebuild = false
    @Flag(help: "Show no more what `status` and `doctor` tell of restored and copied replicas; it has been read.")
    var dismiss = false
    @OptionGroup var options: GlobalOptions

    struct Document: Encodable {
        struct Check: Encodable {
            let name: String
            let state: String
            let finding: String
            let remedy: String
        }
        let checks: [Check]
        let healthy: Bool
    }

    func run() async throws {
        if rebuild {
            let node = try Node.recover(options.directory, tables: NewsTables.all)
            say(
                "Made an empty replica for “\(node.name)”, under a new origin. Now add a peer if none is known, and `syncnode pull`."
            )
        }
        if dismiss { try options.openNode().replica.dismissNotices() }
        var opened: Node?
        let checks = Doctor.examine(options.directory) {
            let node = try options.openNode()
            opened = node
            return node
        }
        let worst = checks.contains { $0.state == .broken }
        let document = Document(
            checks: checks.map {
                .init(name: $0.name, state: $0.state.rawValue, finding: $0.finding, remedy: $0.remedy)
            },
            healthy: !worst)
        try options.print(document, text: checks.map { Self.line($0, opened) }.joined(separator: "\n"))
        if worst { throw ExitCode(ExitStatus.configuration.rawValue) }
    }

    /// - Parameter node: whose names are used; nil where it could not be opened.
    private static func line(_ check: Doctor.Check, _ node: Node?) -> String {
        let terminal = Terminal.output
        func words(_ text: String) -> String { printable(node?.naming(text) ?? text) }
        let mark =
            switch check.state {
            case .well: terminal.styled("✓", .green)
            case .watch: terminal.styled("!", .yellow)
            case .broken: terminal.styled("✗", .red)
            }
        let remedy = check.remedy.isEmpty ? "" : "\n    → \(words(check.remedy))"
        return "\(mark) \(terminal.styled(check.name, .bold))  \(words(check.finding))\(remedy)"
    }
}
