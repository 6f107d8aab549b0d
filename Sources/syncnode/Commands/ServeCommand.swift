// syncnode serve

import ArgumentParser
import Foundation
import Logging
import NodeRuntime
import PeerTransport
import ServiceLifecycle

/// How much to log, as it is typed.
enum LogLevelArgument: String, ExpressibleByArgument, CaseIterable {
    case trace, debug, info, notice, warning, error, critical
    var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .info }
}

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Answer peers, and keep a live session with every known one.",
        discussion: """
            In the foreground, with a log on standard error. One line on standard output says when it is ready:
              ready peers=HOST:PORT console=off
            SIGTERM stops it within 5 seconds; so do Ctrl-C and a terminal that closes, but not in a script's background or under \
            nohup. Other programs may write to the replica meanwhile; it notices at once.
            """)

    @Option(help: ArgumentHelp("Where to listen; port 0 picks a free one.", valueName: "host:port"))
    var listen = "0.0.0.0:7742"
    @Option(
        help: ArgumentHelp(
            "Where the operator console listens; it is not part of this version.", valueName: "host:port|off"))
    var console = "off"
    @Option(help: "How much to log: trace, debug, info, notice, warning, error or critical.") var logLevel =
        LogLevelArgument.info
    @OptionGroup var options: GlobalOptions

    func validate() throws {
        guard console == "off" else {
            throw ValidationError("This version has no operator console: leave --console out, or say off.")
        }
    }

    func run() async throws {
        let node = try options.openNode()
        var logger = Logger(label: "syncnode", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = logLevel.level
        let service = NodeService(node: node, listen: try Endpoint(listen), logger: logger) { endpoint in
            // Whether or not anybody waits for the line, it serves.
            try? emit("ready peers=\(endpoint) console=off")
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [service], gracefulShutdownSignals: Signals.ending, logger: logger))
        try await group.run()
    }
}
