// What the kernel says of a running program: its connections, its memory, its processor time.
//
// Invariant: a connection counts as held only while the program has a descriptor of it and neither side has closed it.
import Foundation

/// A connection, as the side that was dialled has it.
struct HeldConnection: Sendable {
    /// Of who dialled, without the port.
    let address: String
    /// Sent, and not taken by the other side's kernel.
    let unsentBytes: Int
    /// Come, and not read yet.
    let unreadBytes: Int
}

extension Server {
    /// The connections that it holds, by who dialled: ADDRESS:PORT.
    func held() async throws -> [String: HeldConnection] {
        let rows = try await rows(inState: "01")
        let sockets = try child.sockets()
        var held: [String: HeldConnection] = [:]
        for row in rows where sockets.contains(row.inode) {
            held["\(row.address):\(row.port)"] = HeldConnection(
                address: row.address, unsentBytes: row.sending, unreadBytes: row.receiving)
        }
        return held
    }

    /// Connections that the kernel has made, and the server has not taken yet.
    func queued() async throws -> Int {
        // Of a socket that listens the second figure counts them.
        try await rows(inState: "0A").reduce(0) { $0 + $1.receiving }
    }

    private struct Row {
        let address: String
        let port: Int
        let sending: Int
        let receiving: Int
        let inode: Substring
    }

    /// Of /proc/net/tcp what has this port of 127.0.0.1 as its own; see proc_net_tcp of the kernel's documentation.
    private func rows(inState state: String) async throws -> [Row] {
        let hex = String(port, radix: 16, uppercase: true)
        let own = "0100007F:" + String(repeating: "0", count: 4 - hex.count) + hex
        // A crowd leaves thousands of rows of connections that are over: another program looks through them.
        let pattern = "^ *[0-9]+: \(own) [0-9A-F]{8}:[0-9A-F]{4} \(state) "
        let outcome = try await Child.run("grep", ["-E", pattern, "/proc/net/tcp"])
        guard outcome.status <= 1 else { throw TestFailure("no table of connections: \(outcome)") }
        return try outcome.text.split(separator: "\n").map { line in
            let words = line.split(separator: " ")
            guard words.count > 9, let (address, port) = Self.pair(words[2]),
                let (sending, receiving) = Self.pair(words[4])
            else { throw TestFailure("no row of a table of connections: \(line)") }
            // The address stands there as this machine's memory holds it.
            let octets = [0, 8, 16, 24].map { "\((address >> $0) & 0xff)" }
            return Row(
                address: octets.joined(separator: "."), port: port, sending: sending, receiving: receiving,
                inode: words[9])
        }
    }

    private static func pair(_ text: Substring) -> (Int, Int)? {
        let numbers = text.split(separator: ":").compactMap { Int($0, radix: 16) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
}

extension Child {
    /// The inodes of its sockets.
    fileprivate func sockets() throws -> Set<Substring> {
        let directory = "/proc/\(pid)/fd"
        var inodes: Set<Substring> = []
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
            var buffer = [CChar](repeating: 0, count: 64)
            // One that was closed since is not there any more, and leads nowhere.
            let count = readlink(directory + "/" + name, &buffer, buffer.count)
            let target = String(decoding: buffer.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if target.hasPrefix("socket:[") { inodes.insert(target.dropFirst(8).dropLast()) }
        }
        return inodes
    }

    /// Resident memory in bytes.
    ///
    /// - Parameter field: `VmRSS` for now, `VmHWM` for the most there ever was.
    func memory(_ field: String) throws -> Int {
        let line = try procFile("status").split(separator: "\n").first { $0.hasPrefix(field + ":") }
        guard let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
            throw TestFailure("no \(field) of \(name)")
        }
        return kilobytes << 10
    }

    /// How long it has computed, all threads together.
    func processorSeconds() throws -> Double {
        let words = try stat()
        guard words.count > 12, let user = Double(words[11]), let system = Double(words[12]) else {
            throw TestFailure("no processor time of \(name)")
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Whether a signal holds it still: that takes a moment after it was sent.
    func isHeldStill() throws -> Bool { try stat().first == "T" }

    /// How many files it may have open.
    func descriptorLimit() throws -> Int {
        let line = try procFile("limits").split(separator: "\n").first { $0.hasPrefix("Max open files") }
        let words = line?.split(whereSeparator: \.isWhitespace) ?? []
        guard words.count > 3, let limit = Int(words[3]) else { throw TestFailure("no limit of \(name)") }
        return limit
    }

    /// Sets how many files it may have open. Those that are open stay open.
    func limitDescriptors(to limit: Int) async throws {
        let outcome = try await Child.run("prlimit", ["--pid", "\(pid)", "--nofile=\(limit):"])
        guard outcome.status == 0, try descriptorLimit() == limit else {
            throw TestFailure("cannot set the limit of \(name): \(outcome)")
        }
    }

    /// From its state on: what stands before may have blanks in it.
    private func stat() throws -> [Substring] {
        let text = try procFile("stat")
        guard let end = text.lastIndex(of: ")") else { throw TestFailure("no state of \(name)") }
        return text[text.index(after: end)...].split(separator: " ")
    }

    private func procFile(_ file: String) throws -> String {
        try String(contentsOfFile: "/proc/\(pid)/\(file)", encoding: .utf8)
    }
}
