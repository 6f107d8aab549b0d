// syncnode join, over the network or with files; syncnode admit, for the files' other side

import ArgumentParser
import Foundation
import NewsStore
import NodeRuntime
import ReplicaStore
import Trust

struct JoinCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Become a node of a workspace.",
        discussion: """
            With a code from `syncnode invite`:  syncnode join
            It asks for the code; `syncnode join -` reads it from standard input. `syncnode join CODE` works too, but other \
            users of this machine can read a command's arguments while it runs, and whoever reads the code first may join.
            Without a network, with files carried by hand:
              here:             syncnode join --request FILE --name NAME
              on an admin node: syncnode admit FILE --out CERT
              here:             syncnode join --certificate CERT
            The same three steps give a member a new certificate before its own runs out.
            """)

    @Argument(help: "The code that `syncnode invite` printed; `-` reads it from standard input.") var code: String?
    @Option(help: ArgumentHelp("Write a request to be admitted, to carry to an admin node.", valueName: "file"))
    var request: String?
    @Option(help: ArgumentHelp("Take in what `syncnode admit` wrote.", valueName: "file")) var certificate: String?
    @Option(help: "What this node asks to be called, with --request; else the name it has, or this machine's.")
    var name: String?
    @OptionGroup var options: GlobalOptions

    func validate() throws {
        let given = [code, request, certificate].compactMap { $0 }
        guard given.count == 1 || given.isEmpty && asksForCode else {
            throw ValidationError("Give either a code, `-` to read one, or --request FILE, or --certificate FILE.")
        }
        guard name == nil || request != nil else {
            throw ValidationError("--name goes with --request; with a code, the invitation says the name.")
        }
    }

    /// Whether somebody is there to be asked.
    private var asksForCode: Bool { isatty(STDIN_FILENO) == 1 }

    /// What was given, or the first line of standard input.
    private func givenCode() throws -> String {
        if let code, code != "-" { return code }
        if asksForCode { say("Paste the code that `syncnode invite` printed:") }
        let line = readLine()?.trimmingCharacters(in: .whitespaces) ?? ""
        guard !line.isEmpty else {
            throw CommandFailure(
                .badData, "Standard input holds no code.\nPaste what `syncnode invite` printed on the inviting node.")
        }
        return line
    }

    func run() async throws {
        if let request {
            try Files.checkMayWrite("CERTIFICATE REQUEST", to: request)
            let made = try Node.joinRequest(options.directory, name: name)
            try Files.write(made.pem, to: request)
            say("Carry \(request) to an admin node, and run there: syncnode admit \(request) --out CERT")
            try options.print(
                ["request": request, "node_id": "\(made.publicKey.nodeID)"],
                text: """
                      node   \(made.publicKey.nodeID)
                    `syncnode admit` shows this id: if the file goes by an unsafe way, tell it to the admin by another.
                    """)
            return
        }
        let node: Node
        if let certificate, let present = try? options.openNode().certificate {
            node = try Node.join(options.directory, admission: Files.read(certificate), tables: NewsTables.all)
            try options.print(
                InitCommand.Document(node),
                text: """
                    The certificate of “\(node.name)” is good until \(Figures.time(node.certificate.notAfter)); the one before was until \
                    \(Figures.time(present.notAfter)).
                    Where `syncnode serve` runs, start it again.
                    """)
            return
        }
        if let certificate {
            node = try Node.join(options.directory, admission: Files.read(certificate), tables: NewsTables.all)
        } else {
            try Node.checkMayJoin(options.directory)
            node = try await Node.join(options.directory, code: givenCode(), tables: NewsTables.all)
        }
        let next =
            try node.replica.addresses().isEmpty
            ? "`syncnode peer add HOST:PORT`, and `syncnode pull`" : "`syncnode pull`"
        try options.print(
            InitCommand.Document(node),
            text: """
                This node is “\(node.name)” now, \(Figures.role(node.certificate.role)) of workspace “\(node.replica.workspace.name)”.
                  data   \(node.directory)
                  node   \(node.id)
                Next: \(next) fetches what the workspace has.
                """)
    }
}

struct AdmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admit", abstract: "Admit a node that has no network, from its request file.",
        discussion: "Compare the node's id with what the other side was shown, if the file came by an unsafe way.")

    @Argument(help: ArgumentHelp("What `syncnode join --request` wrote.", valueName: "file")) var request: String
    @Option(help: ArgumentHelp("Where to write the certificate to carry back.", valueName: "file")) var out: String
    @Option(help: "What it is called; else what it asks for.") var name: String?
    @Option(help: "What it may do: writer, reader or admin; else what it may now, or writer for a new node.")
    var role: RoleArgument?
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        let node = try options.openNode()
        let asked = try Files.read(request)
        try Files.checkMayWrite("CERTIFICATE", to: out)
        let admission = try node.admit(request: asked, name: name, role: role?.role)
        let admitted = admission.certificate
        do {
            try Files.write(admission.pem, to: out)
        } catch let failure as CommandFailure {
            // The roster has it, and a roster forgets nobody.
            throw CommandFailure(
                failure.status,
                "\(failure)\n“\(admitted.name)” is admitted; run the same command with another --out.")
        }
        try options.print(
            [
                "node_id": "\(admitted.nodeID)", "name": admitted.name, "role": admitted.role.rawValue,
                "certificate": out,
            ],
            text: """
                Admitted “\(admitted.name)” as \(Figures.role(admitted.role)).
                  node   \(admitted.nodeID)
                If the request came by an unsafe way, compare this id with the one that `syncnode join --request` showed there.
                Carry \(out) back, and run there: syncnode join --certificate \(out)
                """)
    }
}
