// The command line: one file a command, which asks the library and prints what it says.

import ArgumentParser
import Foundation
import NodeRuntime

@main
struct Syncnode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "syncnode",
        abstract: "Articles and commitments on every desk, with or without a network.",
        discussion: """
            Every node keeps a whole replica in one SQLite file that any program may read and write. When nodes meet they \
            exchange signed change sets over mutual TLS; of two writes of one field the later wins, and what lost is kept.

            A first workspace:
              syncnode init --workspace desk --name hq
              syncnode article import story.txt
              syncnode serve

            A second node, with the code that `syncnode invite istanbul` prints on the first:
              syncnode join
              syncnode pull
            """,
        version: Node.software,
        groupedSubcommands: [
            CommandGroup(
                name: "Workspace and members",
                subcommands: [
                    InitCommand.self, InviteCommand.self, JoinCommand.self, AdmitCommand.self, RosterCommand.self,
                    RevokeCommand.self, PeerCommand.self,
                ]),
            CommandGroup(
                name: "Sync",
                subcommands: [
                    ServeCommand.self, PullCommand.self, PushCommand.self, SyncCommand.self, WatchCommand.self,
                ]),
            CommandGroup(
                name: "Articles and commitments", subcommands: [ArticleCommand.self, CommitmentCommand.self]),
            CommandGroup(
                name: "Operators",
                subcommands: [
                    LagCommand.self, StatusCommand.self, VerifyCommand.self, BackupCommand.self, RecoverCommand.self,
                    DoctorCommand.self,
                ]),
            CommandGroup(
                name: "What was lost, what waits",
                subcommands: [ConflictsCommand.self, HeldCommand.self, ForksCommand.self]),
        ])

    /// Errors become one short text and one of sysexits' codes.
    static func main() async {
        Terminal.keepClosedStreams()
        Signals.begin()
        do {
            var command = try parseAsRoot(GlobalOptions.afterCommand(Array(CommandLine.arguments.dropFirst())))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            fail(error)
        }
    }
}
