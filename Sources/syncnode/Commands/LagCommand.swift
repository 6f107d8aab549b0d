// syncnode lag

import ArgumentParser
import Foundation
import NodeRuntime
import ReplicationCore
import ReplicationModel

struct LagCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lag", abstract: "How far this node and its peers are apart, and why.",
        discussion: """
            BEHIND is what this node lacks of the peer's, AHEAD what the peer lacks of ours. Figures rest on what was \
            acknowledged, at the time given; “?” is unknown, never zero. It answers with the service stopped and no network.
            """)

    @Flag(help: "Show it again every second, until interrupted.") var watch = false
    @OptionGroup var options: GlobalOptions

    struct Amount: Encodable {
        @Nullable var changeSets: UInt64?
        @Nullable var changes: UInt64?
        @Nullable var bytes: UInt64?
        @Nullable var seconds: Double?

        init(_ figures: LagFigures) {
            changeSets = figures.changeSets
            changes = figures.changes
            bytes = figures.bytes
            seconds = figures.seconds
        }
    }

    struct Peer: Encodable {
        let name: String
        @Nullable var id: String?
        let addresses: [String]
        let state: String
        let cause: String
        @Nullable var lastContact: JSONTime?
        @Nullable var clockOffsetMs: Int64?
        @Nullable var roundTripMs: Double?
        let behind: Amount
        let ahead: Amount
        @Nullable var figuresAsOf: JSONTime?
        @Nullable var figuresToldBy: String?
    }

    struct Document: Encodable {
        let node: String
        let asOf: JSONTime
        let peers: [Peer]
    }

    func run() async throws {
        let node = try options.openNode()
        repeat {
            let now = node.clock()
            let lag = try node.lag()
            if options.json {
                try printJSON(
                    Document(node: node.name, asOf: JSONTime(now), peers: lag.map { Self.peer($0, node) }),
                    onOneLine: watch)
            } else {
                let clearing = watch && Terminal.output.isTerminal ? "\u{1b}[H\u{1b}[2J" : ""
                try emit(clearing + Self.table(lag, node, now))
            }
            if watch { try await Task.sleep(for: .seconds(1)) }
        } while watch
    }

    private static func peer(_ lag: PeerLag, _ node: Node) -> Peer {
        Peer(
            name: lag.name, id: lag.node.map { "\($0)" }, addresses: lag.addresses, state: lag.report.state.rawValue,
            cause: lag.report.cause, lastContact: lag.lastContact.map { JSONTime($0) },
            clockOffsetMs: lag.clockOffsetMilliseconds, roundTripMs: lag.roundTripMilliseconds,
            behind: Amount(lag.report.behind), ahead: Amount(lag.report.ahead),
            figuresAsOf: lag.report.asOf.map { JSONTime($0) },
            figuresToldBy: lag.report.toldBy.map { node.name(of: $0) })
    }

    private static func table(_ lag: [PeerLag], _ node: Node, _ now: WallClock) -> String {
        guard !lag.isEmpty else { return "“\(node.name)” knows no other node yet." }
        var table = TextTable("peer", "state", "behind", "ahead", "last contact", "clock", "round trip", "cause")
        table.lastIsProse = true
        for peer in lag {
            table.add([
                (peer.name, .bold), (peer.report.state.rawValue, style(peer.report.state)),
                (amount(peer.report.behind), nil),
                (amount(peer.report.ahead), nil),
                (peer.lastContact.map { ago($0, now) } ?? "never", nil),
                (peer.clockOffsetMilliseconds.map { ($0 >= 0 ? "+" : "") + "\($0) ms" } ?? "?", nil),
                (peer.roundTripMilliseconds.map { String(format: "%.1f ms", $0) } ?? "?", nil),
                (cause(peer, node, now), .dim),
            ])
        }
        return table.text()
    }

    private static func ago(_ time: WallClock, _ now: WallClock) -> String {
        Figures.duration(seconds: Double(now.milliseconds - time.milliseconds) / 1000) + " ago"
    }

    private static func cause(_ lag: PeerLag, _ node: Node, _ now: WallClock) -> String {
        let cause = node.naming(lag.report.cause)
        guard let teller = lag.report.toldBy else { return cause }
        let time = lag.report.asOf.map { " " + ago($0, now) } ?? ""
        return [cause, "as told by \(node.name(of: teller))\(time)"].filter { !$0.isEmpty }.joined(separator: "; ")
    }

    private static func style(_ state: LagState) -> Style {
        switch state {
        case .live, .inSync: .green
        case .catchingUp, .offline, .neverMet: .yellow
        case .refused, .held: .red
        }
    }

    /// `0`, or `12 changes, 3.4 kB, 5 min`, with `?` for what is not known.
    private static func amount(_ figures: LagFigures) -> String {
        if figures.changeSets == 0 { return "0" }
        guard let sets = figures.changeSets else { return "?" }
        let what = figures.changes.map { $0.of("change") } ?? sets.of("change set")
        let age = figures.seconds.map { Figures.duration(seconds: $0) } ?? "?"
        return "\(what), \(figures.bytes.map { Figures.bytes($0) } ?? "?"), \(age)"
    }
}
