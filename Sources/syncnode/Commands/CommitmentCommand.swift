// syncnode commitment, and what its commands share

public import ArgumentParser
import Foundation
public import NewsStore
import ReplicationModel

struct CommitmentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "commitment", abstract: "Who undertook what, by when, and what became of it.",
        discussion: """
            A commitment has parties, articles that report it, and events. An id may be cut to any beginning that names one \
            commitment; lists show one that does.

            Record one, follow it, see what is late:
              syncnode commitment add --title "Open the timetable" \\
                --party "Port of Istanbul" --due-on 2026-09-01
              syncnode commitment log 0198f3a2 --kind progress --note "A draft is out."
              syncnode commitment list --overdue
            """,
        subcommands: [
            Add.self, List.self, Show.self, Set.self, Log.self, Delete.self, Restore.self,
        ])

    /// `NAME`, or `NAME=ROLE`.
    static func party(_ text: String) throws -> CommitmentParty {
        guard let equals = text.lastIndex(of: "=") else { return CommitmentParty(text) }
        let (name, role) = (text[..<equals], text[text.index(after: equals)...])
        guard !role.allSatisfy(\.isWhitespace), !name.allSatisfy(\.isWhitespace) else {
            throw CommandFailure(
                .usage,
                """
                --party “\(text)”: beside “=” there is nothing.
                Write the party's name, or NAME=ROLE, for instance "Port of Odesa=host".
                """)
        }
        return CommitmentParty(String(name), role: String(role).trimmingCharacters(in: .whitespaces))
    }
}

extension CommitmentStatus: ExpressibleByArgument {}
extension CommitmentEventKind: ExpressibleByArgument {}
