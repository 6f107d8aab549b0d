// syncnode pull, push, sync

import ArgumentParser
import Foundation
import NodeRuntime
import ReplicaStore
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Synchronization

struct PullCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull", abstract: "Fetch what peers have and this node lacks.",
        discussion: "Cost follows what is missing. Broken off, it goes on where it was.")

    @Argument(
        help: ArgumentHelp("A node's name, or HOST:PORT; every known peer where none is given.", valueName: "peer"))
    var peers: [String] = []
    @Flag(
        help:
            "Show what would come and what would conflict, and apply no change sets. Revocations and fork proofs that the peer knows do take effect."
    )
    var plan = false
    @OptionGroup var options: GlobalOptions

    func run() async throws {
        if plan {
            try await PullPlanning.run(peers, options)
        } else {
            try await PeerExchange.run(peers, mode: .pull, verb: "pull", options)
        }
    }
}

struct PushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Send peers what this node has and they lack.")

    @Argument(
        help: ArgumentHelp("A node's name, or HOST:PORT; every known peer where none is given.", valueName: "peer"))
    var peers: [String] = []
    @OptionGroup var options: GlobalOptions

    func run() async throws { try await PeerExchange.run(peers, mode: .push, verb: "push", options) }
}

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "sync", abstract: "Pull and push in one go.")

    @Argument(
        help: ArgumentHelp("A node's name, or HOST:PORT; every known peer where none is given.", valueName: "peer"))
    var peers: [String] = []
    @OptionGroup var options: GlobalOptions

    func run() async throws { try await PeerExchange.run(peers, mode: .sync, verb: "sync", options) }
}

/// What the three have in common.
enum PeerExchange {
    struct Count: Encodable {
        let changeSets: UInt64
        let changes: UInt64
        let bytes: UInt64

        init(_ tally: Tally) {
            changeSets = tally.changeSets
            changes = tally.changes
            bytes = tally.bytes
        }
    }

    struct Failure: Encodable {
        let kind: String
        let message: String
    }

    struct Peer: Encodable {
        let name: String
        @Nullable var id: String?
        let address: String
        let received: Count
        let sent: Count
        let conflicts: UInt64
        let held: UInt64
        let durationMs: Int64
        @Nullable var error: Failure?

        init(_ result: PeerSyncResult) {
            name = result.name
            id = result.node.map { "\($0)" }
            address = result.address
            received = Count(result.summary.received)
            sent = Count(result.summary.sent)
            conflicts = result.summary.conflicts
            held = result.summary.held
            durationMs = result.durationMilliseconds
            error = result.failure.map { Failure(kind: $0.kind.rawValue, message: $0.message) }
        }
    }

    struct Document: Encodable {
        let peers: [Peer]
        /// What happened to this replica meanwhile that its operator should know.
        let notices: [StatusCommand.Notice]
    }

    static func run(_ names: [String], mode: SyncMode, verb: String, _ options: GlobalOptions) async throws {
        let node = try options.openNode()
        let targets = try node.targets(names)
        let told = try node.replica.notices().last?.number ?? 0
        let results = try await exchange(node, targets, mode, verb) { result in
            if !options.json { try emit(line(result, node)) }
        }
        var failures = results.compactMap { result in
            targets.count == 1 ? result.failure : result.failure?.named(result)
        }
        if results.count < targets.count {
            failures.append(
                PeerSyncFailure(
                    kind: .interrupted,
                    message: "Stopped before \((targets.count - results.count).of("peer was", "peers were")) asked."))
        }
        let news = try notices(of: node, after: told)
        if options.json {
            try printJSON(
                Document(
                    peers: results.map(Peer.init),
                    notices: news.map(StatusCommand.Notice.init)))
        } else {
            for notice in news { try emit(line(notice, node)) }
        }
        try report(failures, node)
    }

    /// What a peer's revocations and fork proofs did to this replica since the notice of that number.
    static func notices(of node: Node, after told: Int64) throws -> [ReplicaNotice] {
        try node.replica.notices().filter { $0.number > told }
    }

    static func line(_ notice: ReplicaNotice, _ node: Node) -> String {
        Terminal.output.styled("! " + printable(node.naming(notice.text)), .yellow)
    }

    /// Ends the command as the first failure wants it, with all of them in words.
    static func report(_ failures: [PeerSyncFailure], _ node: Node) throws {
        guard let failure = failures.first else { return }
        let text = node.naming(failures.map(\.message).joined(separator: "\n"))
        switch failure.kind {
        case .unreachable: throw CommandFailure(.unavailable, text)
        case .refused: throw CommandFailure(.refused, text)
        case .protocolError: throw CommandFailure(.badData, text)
        case .interrupted: throw CommandFailure(.tryAgain, text)
        case .local:
            switch failure.trouble {
            case .busy: throw CommandFailure(.tryAgain, text)
            case .damaged: throw CommandFailure(.badData, text)
            case .noPeer: throw CommandFailure(.noInput, text)
            case .other: throw CommandFailure(.inputOutput, text)
            }
        }
    }

    /// One peer after the other, to the last or until a signal stops it cleanly.
    ///
    /// - Parameter done: told of each.
    private static func exchange(
        _ node: Node, _ targets: [SyncTarget], _ mode: SyncMode, _ verb: String,
        done: @escaping @Sendable (PeerSyncResult) throws -> Void
    ) async throws -> [PeerSyncResult] {
        let work = Task {
            var results: [PeerSyncResult] = []
            for target in targets where !Task.isCancelled {
                let result = await exchange(node, target, mode, verb)
                results.append(result)
                try done(result)
            }
            return results
        }
        let interrupt = Interrupt { work.cancel() }
        defer { interrupt.stop() }
        return try await work.value
    }

    /// One peer, with a bar.
    private static func exchange(_ node: Node, _ target: SyncTarget, _ mode: SyncMode, _ verb: String) async
        -> PeerSyncResult
    {
        let bar = ProgressBar("\(verb) \(target.name)")
        defer { bar.finish() }
        let expected = Mutex<UInt64?>(nil)
        return await node.exchange(with: target, mode: mode) { event in
            switch event {
            case .greeted(_, _, let backlog): expected.withLock { $0 = backlog?.changes }
            case .received(let tally):
                bar.update(
                    done: tally.changes, total: expected.withLock { $0 },
                    note: "changes, \(Figures.bytes(tally.bytes))")
            case .sent(let tally):
                bar.update(done: tally.changes, total: nil, note: "changes sent, \(Figures.bytes(tally.bytes))")
            default: break
            }
        }
    }

    private static func line(_ result: PeerSyncResult, _ node: Node) -> String {
        let terminal = Terminal.output
        let name = terminal.styled(printableLine(result.name), .bold)
        if let failure = result.failure, result.summary.received.changeSets == 0, result.summary.sent.changeSets == 0 {
            return "\(name)  \(terminal.styled(failure.kind.rawValue, .red))"
        }
        var parts: [String] = []
        let (received, sent) = (result.summary.received, result.summary.sent)
        if received.changeSets > 0 {
            parts.append(
                "received \(received.changes.of("change")) in \(received.changeSets.of("change set")), \(Figures.bytes(received.bytes))"
            )
        }
        if sent.changeSets > 0 {
            parts.append(
                "sent \(sent.changes.of("change")) in \(sent.changeSets.of("change set")), \(Figures.bytes(sent.bytes))"
            )
        }
        if parts.isEmpty { parts.append("nothing new") }
        if result.summary.conflicts > 0 {
            // The same exchange may have brought what settles them: a hint would then lead to an empty list.
            let met = result.summary.conflicts.of("conflict")
            let open = try? node.replica.conflictCount()
            parts.append(
                open == 0
                    ? met + ", none open"
                    : terminal.styled(met + (open.map { ", \($0) open" } ?? "") + " (syncnode conflicts)", .yellow))
        }
        if result.summary.held > 0 {
            parts.append(terminal.styled("\(result.summary.held) held (syncnode held)", .yellow))
        }
        parts.append(Figures.duration(seconds: Double(result.durationMilliseconds) / 1000))
        if let failure = result.failure { parts.append(terminal.styled(failure.kind.rawValue, .red)) }
        return "\(name)  \(parts.joined(separator: "  ·  "))"
    }
}
