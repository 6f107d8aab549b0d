// Nodes as they are run: the shipped program, each in a process and a directory of its own.
//
// Invariant: no process that was started here outlives the object that stands for it.

import Foundation

/// The program `syncnode`, which is built beside this one.
enum Program {
    static func path() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("syncnode").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw PlainError(
                description: "cannot run \(path): it is not there. Build it with `swift build -c release` first.")
        }
        return path
    }
}

/// One node's directory.
struct BenchNode {
    let data: String
    var replica: String { data + "/replica.sqlite" }

    /// Runs a command to its end; it must succeed.
    func run(_ arguments: String...) throws {
        let process = try process(arguments)
        let errors = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw PlainError(
                description: "syncnode \(arguments.joined(separator: " ")): " + String(decoding: said, as: UTF8.self))
        }
    }

    fileprivate func process(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Program.path())
        process.arguments = arguments + ["--data", data]
        process.standardInput = FileHandle.nullDevice
        return process
    }
}

/// A node that serves until this object goes.
final class BenchServer {
    /// HOST:PORT.
    let address: String
    private let process: Process

    init(_ node: BenchNode) throws {
        process = try node.process(["serve", "--listen", "127.0.0.1:0"])
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var said = ""
        while !said.contains("\n") {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw PlainError(description: "syncnode serve ended before it was ready") }
            said += String(decoding: more, as: UTF8.self)
        }
        guard let address = said.firstMatch(of: /peers=(\S+)/)?.output.1 else {
            throw PlainError(description: "syncnode serve says “\(said)” and no address")
        }
        self.address = String(address)
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }
}

/// A workspace on this machine: its first node, and others admitted to it without a network.
final class BenchWorkspace {
    let first: BenchNode
    private let directory: String
    private var count = 0

    init(_ stage: Stage) throws {
        directory = try stage.folder()
        first = BenchNode(data: directory + "/first")
        try first.run("init", "--workspace", "bench", "--name", "first")
    }

    // What stays lies under the directory for temporary files.
    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func admit() throws -> BenchNode {
        count += 1
        let name = "node\(count)"
        let node = BenchNode(data: directory + "/" + name)
        try node.run("join", "--request", node.data + ".request", "--name", name)
        try first.run("admit", node.data + ".request", "--out", node.data + ".admission", "--role", "writer")
        try node.run("join", "--certificate", node.data + ".admission")
        return node
    }

    /// Makes room; what stays goes with the rest.
    func remove(_ node: BenchNode) { try? FileManager.default.removeItem(atPath: node.data) }
}
