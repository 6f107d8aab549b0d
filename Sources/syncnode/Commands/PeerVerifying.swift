// syncnode verify PEER

import NodeRuntime
import ReplicaStore
import ReplicationCore
import ReplicationModel

enum PeerVerifying {
    struct Difference: Encodable {
        /// A table's name, `(conflicts)` or `(log)`.
        let table: String
        let row: String
        @Nullable var field: String?
        let what: String
        /// here, there or unknown.
        let wrong: String
        let nextStep: String
    }

    struct Peer: Encodable {
        let name: String
        @Nullable var id: String?
        let address: String
    }

    struct Traffic: Encodable {
        let questions: Int
        let bytesSent: UInt64
        let bytesReceived: UInt64
    }

    struct Document: Encodable {
        let peer: Peer
        /// equal, differs, unequal_vectors, catching_up, unsettled or failed.
        let outcome: String
        let lackedHere: UInt64
        let lackedThere: UInt64
        let items: [String: UInt64]
        let differences: [Difference]
        let more: Bool
        let notCompared: [String]
        let findingsHere: [VerifyCommand.Finding]
        let traffic: Traffic
        let durationMs: Int64
        @Nullable var error: PeerExchange.Failure?
    }

    static func run(_ name: String, syncing: Bool, _ node: Node, _ options: GlobalOptions) async throws {
        guard let target = try node.targets([name]).first else { preconditionFailure("one name is one target") }
        let bar = ProgressBar("verify \(target.name)")
        let task = Task {
            await node.verify(with: target, syncing: syncing) { progress in
                switch progress {
                case .connecting: bar.update(done: 0, total: nil, note: "connecting")
                case .exchanging(.received(let tally)):
                    bar.update(done: tally.changes, total: nil, note: "changes, \(Figures.bytes(tally.bytes))")
                case .exchanging: break
                case .comparing(let questions): bar.update(done: UInt64(questions), total: nil, note: "questions")
                case .verifyingHere(let progress): VerifyCommand.show(progress, bar)
                }
            }
        }
        let interrupt = Interrupt { task.cancel() }
        defer { interrupt.stop() }
        let result = await task.value
        bar.finish()
        try options.print(document(result, node), text: text(result, node))
        try end(result, node)
    }

    // MARK: Words

    private static func document(_ result: PeerVerification, _ node: Node) -> Document {
        var (outcome, lackedHere, lackedThere) = ("", UInt64(0), UInt64(0))
        var failure: PeerSyncFailure?
        switch result.outcome {
        case .equal: outcome = "equal"
        case .differs: outcome = "differs"
        case .unequalVectors(let here, let there): (outcome, lackedHere, lackedThere) = ("unequal_vectors", here, there)
        case .catchingUp: outcome = "catching_up"
        case .unsettled: outcome = "unsettled"
        case .failed(let why): (outcome, failure) = ("failed", why)
        }
        return Document(
            peer: Peer(name: result.name, id: result.node.map { "\($0)" }, address: result.address), outcome: outcome,
            lackedHere: lackedHere, lackedThere: lackedThere,
            items: Dictionary(uniqueKeysWithValues: result.items.map { (title($0.key), $0.value) }),
            differences: result.differences.map { difference($0, result.name, node) }, more: result.isCutShort,
            notCompared: result.notCompared, findingsHere: result.local?.findings.map(VerifyCommand.Finding.init) ?? [],
            traffic: Traffic(
                questions: result.questions, bytesSent: result.bytesSent, bytesReceived: result.bytesReceived),
            durationMs: result.durationMilliseconds,
            error: failure.map { .init(kind: $0.kind.rawValue, message: $0.message) })
    }

    private static func title(_ section: ComparisonSection) -> String {
        switch section {
        case .table(let name): name
        case .ledger: "(conflicts)"
        case .origins: "(log)"
        }
    }

    private static func difference(_ found: PeerDifference, _ peer: String, _ node: Node) -> Difference {
        let difference = found.difference
        let isOrigin = difference.section == .origins
        return Difference(
            table: title(difference.section),
            row: isOrigin
                ? Origin(bytes: difference.key).map { "\($0)" } ?? "?" : "\(RowID(bytes: difference.key))",
            field: isOrigin ? nil : difference.part, what: what(difference.kind, peer, node),
            wrong: found.side.rawValue,
            nextStep: nextStep(found, peer))
    }

    private static func what(_ kind: ContentDifference.Kind, _ peer: String, _ node: Node) -> String {
        func told(_ version: Version?) -> String {
            guard let version else { return "no write" }
            return "the write of \(node.name(of: version.origin.node)) at \(Figures.time(version.stamp.wallClock))"
        }
        switch kind {
        case .onlyHere: return "it is here and not at \(peer)"
        case .onlyThere: return "it is at \(peer) and not here"
        case .value(let here, let there):
            return here == there
                ? "both hold \(told(here)), and not the same value of it"
                : "here stands \(told(here)), at \(peer) \(told(there))"
        case .versions(let here, let there):
            return here == there
                ? "the values are equal, and other writes of it are known here than at \(peer)"
                : "the values are equal, but here stands \(told(here)), at \(peer) \(told(there))"
        }
    }

    private static func nextStep(_ found: PeerDifference, _ peer: String) -> String {
        switch found.side {
        case .here:
            let finding = found.finding.map { "\($0.what). \($0.kind.remedy)" } ?? "Run `syncnode verify`."
            return "This replica is wrong: \(finding)"
        case .there:
            return
                "Here it follows from the signed log, so \(peer) is wrong: run `syncnode verify` there, and do what it says."
        case .unknown:
            return "Run `syncnode verify` on both; where both are sound, the origin has forked."
        }
    }

    private static func text(_ result: PeerVerification, _ node: Node) -> String {
        let terminal = Terminal.output
        let name = terminal.styled(printableLine(result.name), .bold)
        let rows = result.items.filter { if case .table = $0.key { true } else { false } }.reduce(0) { $0 + $1.value }
        let counts =
            "\(rows.of("row")), \((result.items[.ledger] ?? 0).of("conflict")), "
            + "\((result.items[.origins] ?? 0).of("log"))"
        let traffic =
            "\(result.questions.of("question")), \(Figures.bytes(result.bytesSent + result.bytesReceived)), "
            + Figures.duration(seconds: Double(result.durationMilliseconds) / 1000)
        var lines: [String] = []
        switch result.outcome {
        case .equal: lines.append("\(name)  \(terminal.styled("equal", .green, .bold))  ·  \(counts)  ·  \(traffic)")
        case .differs:
            let count = result.differences.count.of("difference")
            lines.append(
                "\(name)  \(terminal.styled((result.isCutShort ? "at least " : "") + count, .red, .bold))  ·  \(counts)  ·  \(traffic)"
            )
        case .unequalVectors, .catchingUp, .unsettled:
            lines.append("\(name)  \(terminal.styled("not compared", .yellow))  ·  \(traffic)")
        case .failed(let failure): lines.append("\(name)  \(terminal.styled(failure.kind.rawValue, .red))")
        }
        for found in result.differences {
            let one = difference(found, result.name, node)
            lines.append(
                terminal.styled("✗ ", .red)
                    + "\(one.table) \(printableLine(one.row)) \(printableLine(one.field ?? "")): \(one.what).")
            lines.append("  \(one.nextStep)")
        }
        for one in result.notCompared {
            lines.append(terminal.styled("  not compared: \(printableLine(one))", .yellow))
        }
        return lines.joined(separator: "\n")
    }

    private static func end(_ result: PeerVerification, _ node: Node) throws {
        let peer = result.name
        switch result.outcome {
        case .equal: return
        case .differs:
            let first = result.differences.first.map { difference($0, peer, node) }
            let place = first.map { "\($0.table) \($0.row) \($0.field ?? ""): \($0.what). \($0.nextStep)" }
            throw CommandFailure(
                .badData, "The contents differ from those of \(peer). The first: \(place ?? "more than can be listed.")"
            )
        case .unequalVectors(let here, let there):
            let lacks =
                here > 0 && there > 0
                ? "this node lacks \(here.of("change set")) and \(peer) lacks \(there)"
                : here > 0
                    ? "this node lacks \(here.of("change set"))"
                    : "\(peer) lacks \(there.of("change set"))"
            throw CommandFailure(
                .tryAgain,
                "Cannot compare with \(peer): \(lacks), so that contents must differ. Run `syncnode verify \(peer) --sync`, or sync first."
            )
        case .catchingUp:
            throw CommandFailure(
                .tryAgain,
                "Cannot compare with \(peer): values have yet to arrive on one side. Run `syncnode sync`, then verify again."
            )
        case .unsettled:
            throw CommandFailure(
                .tryAgain,
                "Cannot compare with \(peer): one side wrote each time it was asked. Try again when it is calmer.")
        case .failed(let failure): try PeerExchange.report([failure], node)
        }
    }
}
