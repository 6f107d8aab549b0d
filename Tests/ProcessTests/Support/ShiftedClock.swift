// A clock that a test sets forward while a service runs by it.
//
// Invariant: only what is started by it sees it; the machine's own clock is left alone.
import Foundation

struct ShiftedClock: Sendable {
    private let path: String
    private let variables: [String: String]

    /// - Parameter movesUptime: the clock that counts from the start of the machine goes with it.
    init(_ bureaus: Bureaus, movesUptime: Bool = false) async throws {
        path = "\(bureaus.directory)/clock-\(UUID().uuidString)"
        let found = try await Child.run("faketime", ["-f", "+0d", "printenv", "LD_PRELOAD"])
        let library = found.text.trimmingCharacters(in: .newlines)
        guard found.status == 0, !library.isEmpty else { throw TestFailure("faketime names no library: \(found)") }
        // It looks the time up in the file whenever it is asked.
        var variables = ["LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1"]
        if !movesUptime { variables["FAKETIME_DONT_FAKE_MONOTONIC"] = "1" }
        self.variables = variables
        try set(ahead: 0)
    }

    /// At one moment for all that run by it.
    func set(ahead seconds: Int) throws {
        try Data("+\(seconds)\n".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    fileprivate func start(_ arguments: [String], _ node: Node) throws -> Child {
        // The first program that loads the library changes its environment, in which Swift looks for the arguments: it is `env`,
        // whose place the program then takes.
        try Child(
            "env", [Bureaus.program] + arguments, environment: variables.merging(["SYNCNODE_DATA": node.data]) { $1 })
    }
}

extension Node {
    /// Starts `serve` by a clock of its own, and waits until it is ready.
    func serve(by clock: ShiftedClock) async throws -> Server {
        let child = try clock.start(["serve", "--listen", "127.0.0.1:0"], self)
        let address = try await eventually("\(name) serves: \(child.errors)", within: 30) { () -> String? in
            if let status = child.status { throw TestFailure("\(name): serve ended with \(status): \(child.errors)") }
            let text = String(decoding: child.output, as: UTF8.self)
            return text.firstMatch(of: /ready peers=(\S+) console=/).map { String($0.output.1) }
        }
        // What the library shares between programs is left behind where one took another's place.
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            try? FileManager.default.removeItem(atPath: "/dev/shm/\(name)\(child.pid)")
        }
        return Server(node: self, child: child, address: address)
    }
}
