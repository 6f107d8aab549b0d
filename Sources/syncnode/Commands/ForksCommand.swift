// syncnode forks

import ArgumentParser
import Foundation
import NodeRuntime
import ReplicaStore
import ReplicationModel

struct ForksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forks", abstract: "Origins that two copies of one node went on under.",
        discussion: """
            A node's directory was copied or restored, and both copies wrote under one name; or a node lies. A fork proof \
            shows it: two change sets, both signed, that cannot both belong to one history. Who has it, accepts nothing of \
            that origin from there on; others' work goes on. Each copy writes its own work again under a name of its own.
            """, subcommands: [List.self, Show.self, Export.self, Check.self], defaultSubcommand: List.self)

    struct Item: Encodable {
        struct ChangeSet: Encodable {
            let id: String
            let digest: String
            let writtenAt: JSONTime
        }
        let id: String
        let node: String
        let nodeId: String
        let origin: String
        let sequence: UInt64
        @Nullable var metAt: JSONTime?
        let changeSets: [ChangeSet]

        init(_ proof: ForkProof, metAt: WallClock?, name: String) {
            id = String("\(proof.name)".prefix(16))
            node = name
            nodeId = "\(proof.fork.origin.node)"
            origin = "\(proof.fork.origin)"
            sequence = proof.fork.sequence.rawValue
            self.metAt = metAt.map { JSONTime($0) }
            changeSets = proof.changeSets.map {
                ChangeSet(id: "\($0.dot)", digest: "\($0.digest)", writtenAt: JSONTime($0.writtenAt))
            }
        }

        var text: String {
            """
            fork \(id)
            “\(node)” forked at \(origin):\(sequence); nothing of this origin from there on counts

            \(changeSets.map { "\($0.id)  \($0.digest)  written \(Figures.time($0.writtenAt.time))" }.joined(separator: "\n"))
            """
        }
    }

    private static func find(_ id: String, _ node: Node) throws -> KnownFork {
        let matches = try node.replica.forks().filter { "\($0.proof.name)".hasPrefix(id.lowercased()) }
        guard let fork = matches.first, matches.count == 1 else {
            throw CommandFailure(
                .noInput,
                "\(matches.isEmpty ? "No fork" : "More than one fork") has the id \(id). `syncnode forks` lists them.")
        }
        return fork
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the forks that are proven.")
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let items = try node.replica.forks().map {
                Item($0.proof, metAt: $0.metAt, name: node.name(of: $0.proof.fork.origin.node))
            }
            var table = TextTable("id", "node", "cut off from", "known since")
            for item in items {
                table.add(
                    item.id, item.node, "\(item.origin):\(item.sequence)",
                    item.metAt.map { Figures.time($0.time) } ?? "")
            }
            try options.print(["forks": items], text: items.isEmpty ? "No fork is known." : table.text())
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one fork.")
        @Argument(help: "The fork's id, or its beginning.") var id: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let fork = try ForksCommand.find(id, node)
            let item = Item(fork.proof, metAt: fork.metAt, name: node.name(of: fork.proof.fork.origin.node))
            try options.print(item, text: item.text)
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the proof to a file that anyone can check.",
            discussion: "It holds the two change sets whole, with what was written in them.")
        @Argument(help: "The fork's id, or its beginning.") var id: String
        @Argument(help: ArgumentHelp("Where to; it must not exist.", valueName: "file"), completion: .file())
        var file: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let node = try options.openNode()
            let proof = try ForksCommand.find(id, node).proof
            let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            var code = descriptor < 0 ? errno : Terminal.write(Data(proof.bytes), to: descriptor)
            if descriptor >= 0 {
                if close(descriptor) != 0, code == 0 { code = errno }
                if code != 0 { unlink(file) }
            }
            guard code == 0 else {
                throw CommandFailure(
                    .inputOutput,
                    "Cannot write \(file): \(String(cString: strerror(code))). Name a file that is not there yet, where you may write."
                )
            }
            try options.print(
                ["file": file], text: "Wrote \(Figures.bytes(UInt64(proof.bytes.count))) to \(file).")
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a proof; needs no node and no workspace.")
        @Argument(help: "A file that `forks export` wrote.", completion: .file()) var file: String
        @OptionGroup var options: GlobalOptions

        func run() async throws {
            let bytes = try Files.read(file)
            let proof: ForkProof
            do {
                proof = try ForkProof(bytes: bytes)
            } catch {
                throw CommandFailure(.badData, "\(file): \(error)")
            }
            let item = Item(proof, metAt: nil, name: String("\(proof.fork.origin.node)".prefix(12)))
            try options.print(item, text: "The proof holds.\n" + item.text)
        }
    }
}
