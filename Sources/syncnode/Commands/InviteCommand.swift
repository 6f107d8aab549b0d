// syncnode invite

import ArgumentParser
import NodeRuntime
import PeerTransport
import Trust

/// What a member may do, as it is typed.
enum RoleArgument: String, ExpressibleByArgument, CaseIterable {
    case writer, reader, admin

    var role: MemberRole {
        switch self {
        case .writer: .writer
        case .reader: .reader
        case .admin: .admin
        }
    }
}

/// `90s`, `30m`, `24h`, `7d`.
struct DurationArgument {
    static let day = DurationArgument(seconds: 86400)
    let seconds: Int64

    private init(seconds: Int64) { self.seconds = seconds }

    /// Throws what it should be.
    @Sendable static func read(_ argument: String) throws -> DurationArgument {
        guard let duration = DurationArgument(argument: argument) else {
            throw ValidationError("Write 90s, 30m, 24h or 7d: more than nothing, and ten years at most.")
        }
        return duration
    }

    private init?(argument: String) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        guard let unit = argument.last.flatMap({ units[$0] }), let count = Int64(argument.dropLast()), count > 0 else {
            return nil
        }
        let (seconds, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow, seconds <= Self.greatestSeconds else { return nil }
        self.seconds = seconds
    }

    /// Ten years: nobody means to invite for longer.
    private static let greatestSeconds: Int64 = 3650 * 86400
}

struct InviteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite", abstract: "Make a one-time code with which a new node joins.",
        discussion: """
            Whoever has the code becomes a member: hand it over as you would a key. The node must be able to reach this one, \
            with `syncnode serve` running, while it joins.
            """)

    @Argument(help: "What the new node is called.") var name: String
    @Option(help: "What it may do: writer, reader or admin.") var role = RoleArgument.writer
    @Option(
        help: ArgumentHelp("How long the code is good for: 90s, 30m, 24h or 7d; a day if left out.", valueName: "24h"),
        transform: DurationArgument.read)
    var expires = DurationArgument.day
    @Option(
        help: ArgumentHelp(
            "Where this node is reached; else where it last served. May be repeated.", valueName: "host:port"))
    var address: [String] = []
    @OptionGroup var options: GlobalOptions

    struct Document: Encodable {
        let code: String
        let name: String
        let role: String
        let addresses: [String]
        let expiresAt: JSONTime
    }

    /// Whether an address leads nowhere but to the machine that dials it.
    private static func isLoopback(_ address: String) -> Bool {
        guard let host = try? Endpoint(address).host.lowercased() else { return false }
        return host == "localhost" || host == "::1" || host.wholeMatch(of: /127\.[0-9.]+/) != nil
    }

    func run() async throws {
        let node = try options.openNode()
        let code = try node.invite(name, role: role.role, validFor: expires.seconds, addresses: address)
        say(
            "For “\(name)”, \(Figures.role(role.role)), once, until \(Figures.time(code.expiresAt)). On the new node run `syncnode join` and paste it. It will dial \(code.addresses.joined(separator: ", "))."
        )
        if code.addresses.allSatisfy(Self.isLoopback) {
            say(
                "No other machine reaches this one there: for a node elsewhere, invite with `--address HOST:PORT`, where this one is reached."
            )
        }
        try options.print(
            Document(
                code: code.text, name: name, role: role.rawValue, addresses: code.addresses,
                expiresAt: JSONTime(code.expiresAt)), text: code.text)
    }
}
