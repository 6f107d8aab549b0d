// One node of a test's workspace: a directory, and the real program run on it.
import Foundation
import Synchronization
import Testing

/// A directory of its own for one test, and the nodes in it.
final class Bureaus: Sendable {
    let directory: String

    /// The program, which is built beside the tests.
    static let program: String = {
        let own =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        var place = URL(fileURLWithPath: own).deletingLastPathComponent()
        // A test bundle may be a directory; the products stand beside it.
        for _ in 0..<4 {
            let candidate = place.appendingPathComponent("syncnode").path
            if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
            place.deleteLastPathComponent()
        }
        return CommandLine.arguments.first { $0.hasSuffix(".xctest") }
            .map { URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("syncnode").path }
            ?? "syncnode"
    }()

    init() throws {
        directory =
            FileManager.default.temporaryDirectory
            .appendingPathComponent("syncnode-process-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit {
        if ProcessInfo.processInfo.environment["SYNCNODE_KEEP"] == nil {
            try? FileManager.default.removeItem(atPath: directory)
        }
    }

    /// Where a node of that name lives, or will.
    func node(_ name: String) -> Node { Node(name, directory + "/" + name, self) }

    /// A new workspace with its first node.
    func found(_ name: String = "hq", workspace: String = "desk") async throws -> Node {
        let node = node(name)
        try await node.run("init", "--workspace", workspace, "--name", name)
        return node
    }

    /// A node admitted with files, as one without a network is.
    func admit(_ name: String, by admin: Node, role: String = "writer") async throws -> Node {
        let node = node(name)
        try await node.run("join", "--request", "\(directory)/\(name).request", "--name", name)
        try await admin.run(
            "admit", "\(directory)/\(name).request", "--out", "\(directory)/\(name).admission", "--role", role)
        try await node.run("join", "--certificate", "\(directory)/\(name).admission")
        return node
    }

    /// A workspace of these nodes, the first of them the admin, all admitted with files.
    func workspace(_ names: String...) async throws -> [Node] {
        var nodes = [try await found(names[0])]
        for name in names.dropFirst() { nodes.append(try await admit(name, by: nodes[0])) }
        return nodes
    }

    func file(_ name: String, _ contents: String) throws -> String {
        let path = directory + "/" + name
        try Data(contents.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }
}

struct Node: Sendable {
    let name: String
    let data: String
    private let bureaus: Bureaus
    var replica: String { data + "/replica.sqlite" }

    init(_ name: String, _ data: String, _ bureaus: Bureaus) {
        self.name = name
        self.data = data
        self.bureaus = bureaus
    }

    /// Runs a command to its end, however it ends.
    func attempt(_ arguments: [String], input: String = "", environment: [String: String] = [:]) async throws -> Outcome
    {
        try await start(arguments, input: input, environment: environment).wait()
    }
    func attempt(_ arguments: String...) async throws -> Outcome { try await attempt(arguments) }

    func start(_ arguments: [String], input: String = "", environment: [String: String] = [:]) throws -> Child {
        try Child(
            Bureaus.program, arguments, input: Array(input.utf8),
            environment: ["SYNCNODE_DATA": data].merging(environment) { $1 })
    }

    /// Runs a command that must succeed.
    @discardableResult
    func run(_ arguments: String...) async throws -> String { try await run(arguments) }

    @discardableResult
    func run(_ arguments: [String], input: String = "") async throws -> String {
        let outcome = try await attempt(arguments, input: input)
        guard outcome.status == 0 else {
            throw TestFailure("\(name): syncnode \(arguments.joined(separator: " ")): \(outcome)")
        }
        return outcome.text.trimmingCharacters(in: .newlines)
    }

    /// Runs a command that must succeed, with `--json`.
    @discardableResult
    func json(_ arguments: String...) async throws -> JSON {
        let outcome = try await attempt(arguments + ["--json"])
        guard outcome.status == 0 else {
            throw TestFailure("\(name): syncnode \(arguments.joined(separator: " ")): \(outcome)")
        }
        return try JSON(outcome.output)
    }

    /// Starts `serve` and waits until it is ready.
    func serve(at address: String = "127.0.0.1:0", _ more: String...) async throws -> Server {
        let child = try start(["serve", "--listen", address] + more)
        let ready: String = try await eventually("\(name) serves; \(child.errors)", within: 30) {
            if let status = child.status { throw TestFailure("\(name): serve ended with \(status): \(child.errors)") }
            let text = String(decoding: child.output, as: UTF8.self)
            return text.contains("\n") ? text.split(separator: "\n").first.map(String.init) : nil
        }
        guard let match = ready.wholeMatch(of: /ready peers=(\S+:\d+) console=\S+/) else {
            throw TestFailure("no ready line: \(ready)")
        }
        return Server(node: self, child: child, address: String(match.output.1))
    }

    /// Pulls from, pushes to or syncs with nodes at addresses.
    @discardableResult
    func exchange(_ verb: String, _ peers: Server...) async throws -> JSON {
        let outcome = try await attempt([verb] + peers.map(\.address) + ["--json"])
        guard outcome.status == 0 else {
            throw TestFailure("\(name): \(verb) from \(peers.map(\.node.name)): \(outcome)")
        }
        return try JSON(outcome.output)
    }

    // MARK: What other programs see

    /// Runs SQL in the sqlite3 shell.
    @discardableResult
    func sql(_ statements: String) async throws -> String {
        let outcome = try await Child.run("sqlite3", [replica, ".timeout 60000", statements])
        guard outcome.status == 0, outcome.errors.isEmpty else {
            throw TestFailure("\(name): sqlite3 \(statements.prefix(300)): \(outcome)")
        }
        return outcome.text.trimmingCharacters(in: .newlines)
    }

    /// Runs a Python program with the replica's path as its first argument.
    @discardableResult
    func python(_ program: String, _ arguments: String..., environment: [String: String] = [:]) async throws -> String {
        let outcome = try await Child.run("python3", ["-c", program, replica] + arguments, environment: environment)
        guard outcome.status == 0 else { throw TestFailure("\(name): python: \(outcome)") }
        return outcome.text.trimmingCharacters(in: .newlines)
    }

    func insertArticle(_ id: String, _ headline: String) async throws {
        try await sql("INSERT INTO articles(id, headline) VALUES ('\(id)', '\(headline)')")
    }

    func headline(_ id: String) async throws -> String {
        try await sql("SELECT headline FROM articles WHERE id = '\(id)'")
    }

    /// Whether `verify` finds nothing.
    func expectSound(_ location: SourceLocation = #_sourceLocation) async throws {
        let outcome = try await attempt("verify", "--json")
        #expect(outcome.status == 0, "\(name): \(outcome)", sourceLocation: location)
    }

    func vector() async throws -> JSON? { try await json("status")["version_vector"] }
}

/// A node that serves.
struct Server: Sendable {
    let node: Node
    let child: Child
    /// HOST:PORT.
    let address: String
    var port: Int { Int(address.split(separator: ":").last ?? "") ?? 0 }

    /// Stops it as a service manager does.
    func stop(_ location: SourceLocation = #_sourceLocation) async throws {
        child.signal(SIGTERM)
        let outcome = try await child.wait(seconds: 10)
        #expect(outcome.status == 0, "\(node.name): \(outcome)", sourceLocation: location)
    }

    /// As a power cut would.
    func crash(_ location: SourceLocation = #_sourceLocation) async throws {
        child.signal(SIGKILL)
        let outcome = try await child.wait()
        // One that had ended by itself was not killed.
        #expect(outcome.status == 128 + SIGKILL, "\(node.name): \(outcome)", sourceLocation: location)
    }
}
