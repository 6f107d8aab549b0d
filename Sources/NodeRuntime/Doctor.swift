// What is wrong with a node's set-up, found by looking at it, and how to mend it.
//
// Invariant: an examination changes nothing.

internal import Foundation
internal import ReplicaStore
internal import ReplicationCore
internal import ReplicationModel
internal import Trust

/// Examines a node.
public enum Doctor {
    /// How a check came out.
    public enum State: String, Sendable {
        case well
        /// Works, and wants an eye on it.
        case watch
        case broken
    }

    /// One thing that was looked at.
    public struct Check: Sendable {
        public let name: String
        public let state: State
        /// What was found.
        public let finding: String
        /// What to do; empty where nothing need be done.
        public let remedy: String
    }

    private static let day: Int64 = 86_400_000
    /// A replica takes a new origin when it was restored, copied or moved: so often something is set up wrongly.
    private static let manyOrigins = 100

    /// - Parameter open: opens the node.
    public static func examine(_ directory: String, open: () throws -> Node) -> [Check] {
        var checks = [diskSpace(directory)]
        let node: Node
        do {
            node = try open()
        } catch {
            let finding = (error as? SQLError)?.explained(at: Node.replicaPath(directory)) ?? "\(error)"
            checks.append(Check(name: "node", state: .broken, finding: finding, remedy: remedy(for: error)))
            return checks
        }
        checks.append(
            Check(
                name: "identity", state: .well,
                finding: "“\(node.name)”, \(node.certificate.role.rawValue), \(node.id)", remedy: ""))
        checks.append(certificate(node))
        for check in [clock, origin, forks, stamps, replica, setAside, waiting, peers] {
            do {
                checks.append(try check(node))
            } catch {
                checks.append(
                    Check(name: "replica", state: .broken, finding: "\(error)", remedy: "Run `syncnode verify`."))
            }
        }
        return checks
    }

    /// What helps where the node cannot be opened.
    private static func remedy(for error: any Error) -> String {
        let damaged =
            "If it is damaged, move replica.sqlite* to a safe place and keep it. `syncnode recover HOST:PORT` makes the replica anew and fetches everything from that peer; then `syncnode recover --salvage FILE` writes again what only the old file holds."
        switch error {
        case let error as ReplicaError where error.code == .absent:
            return
                "If the replica is lost, `syncnode recover HOST:PORT` makes it anew and fetches everything from that peer (`syncnode doctor --rebuild` only makes it)."
        case let error as ReplicaError: return [.damaged, .notAReplica].contains(error.code) ? damaged : ""
        case let error as SQLError: return error.isCorrupt ? damaged : ""
        default: return ""
        }
    }

    private static func diskSpace(_ directory: String) -> Check {
        let free: Int64
        do {
            let attributes = try FileManager.default.attributesOfFileSystem(forPath: directory)
            free = (attributes[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
        } catch {
            return Check(
                name: "directory", state: .broken,
                finding: "\(directory) cannot be looked at: \(error.localizedDescription)",
                remedy: "Make it with `syncnode init` or `syncnode join`, or name another with --data.")
        }
        guard access(directory, W_OK) == 0 else {
            let cause = String(cString: strerror(errno))
            return Check(
                name: "disk", state: .broken, finding: "\(directory) cannot be written to: \(cause)",
                remedy:
                    "Nothing can be written here, sealed or taken in. If it is the mode, `chmod u+w`. If the disk became read-only by itself, it is failing: copy the whole directory to another one, and start it there."
            )
        }
        let megabytes = free / 1_000_000
        return Check(
            name: "disk", state: megabytes < 500 ? .watch : .well, finding: "\(megabytes) MB free under \(directory)",
            remedy: megabytes < 500 ? "Make room: a replica that cannot write takes nothing in." : "")
    }

    private static let renewal =
        "Here: `syncnode join --request FILE`; on an admin node: `syncnode admit FILE --out CERT`; here: `syncnode join --certificate CERT`, and start `serve` again."

    private static func certificate(_ node: Node) -> Check {
        let left = node.certificate.notAfter.milliseconds - node.clock().milliseconds
        if left < 0 {
            return Check(
                name: "certificate", state: .broken,
                finding: "it ran out \((-left / day).of("day")) ago: no peer talks to this node",
                remedy: "Ask an admin for a new one. \(renewal)")
        }
        return Check(
            name: "certificate", state: left < 30 * day ? .watch : .well,
            finding: "valid for \((left / day).of("more day", "more days"))",
            remedy: left < 30 * day ? "Ask an admin for a new one before it runs out. \(renewal)" : "")
    }

    /// What happened to the replica that the operator has not dismissed.
    private static func origin(_ node: Node) throws -> Check {
        let notices = try node.replica.notices()
        let own = try node.replica.vectors().applied.entries.keys.count { $0.node == node.id }
        if own >= manyOrigins {
            return Check(
                name: "origin", state: .watch,
                finding:
                    "this node has written under \(own) origins; past \(Limits.originsOfNode) no peer takes what it writes any more",
                remedy:
                    "See why it is taken for restored, copied or moved again and again: in a container, keep the data directory and /etc/machine-id from one start to the next. Before the limit is reached, join as a new node."
            )
        }
        guard let last = notices.last else {
            return Check(
                name: "origin", state: .well, finding: "writes as \(try node.replica.origin)", remedy: "")
        }
        return Check(
            name: "origin", state: .watch,
            finding: notices.map { "\(rfc3339($0.at)): \($0.text)" }.joined(separator: "\n    "),
            remedy: (last.kind == .copied
                ? "If both copies are in use, have one join as a node of its own. " : "")
                + "`syncnode doctor --dismiss` when you have read this.")
    }

    /// Origins that two histories grew under.
    private static func forks(_ node: Node) throws -> Check {
        let forks = try node.replica.forks().map(\.proof.fork)
        guard let fork = forks.first else {
            let suspicions = try node.replica.forkSuspicions()
            guard let suspicion = suspicions.first else {
                return Check(name: "forks", state: .well, finding: "no origin is known to have forked", remedy: "")
            }
            return Check(
                name: "forks", state: .watch,
                finding:
                    "\(suspicion.origin) was met with another history than the one here, and no peer has shown where they part",
                remedy: "Sync with a node that has the other history: `syncnode held` says who sent it.")
        }
        let name = node.name(of: fork.origin.node)
        return Check(
            name: "forks", state: .watch,
            finding: "\(forks.count.of("origin has", "origins have")) forked; “\(name)” at \(fork)",
            remedy:
                "Two copies of “\(name)” wrote under one name. Nothing is lost by it: see that only one of them is used, and `syncnode forks` for the proof."
        )
    }

    /// Origins that are stamped ahead of this clock.
    private static func stamps(_ node: Node) throws -> Check {
        let ahead = try node.replica.stampsAhead()
        guard let furthest = ahead.first else {
            return Check(name: "stamps", state: .well, finding: "no stamp lies ahead of this clock", remedy: "")
        }
        let isOwn = furthest.origin.node == node.id
        return Check(
            name: "stamps", state: .broken,
            finding: isOwn
                ? "this node stamped edits \(furthest.milliseconds / 1000) s ahead of this clock, until \(rfc3339(furthest.until)), as \(furthest.origin)"
                : "“\(node.name(of: furthest.origin.node))” stamped edits \(furthest.milliseconds / 1000) s ahead of this clock, until \(rfc3339(furthest.until)), as \(furthest.origin)",
            remedy: isOwn
                ? "Peers hold these, and what follows them, until that time. On each, `syncnode held release --author NAME` takes them in now."
                : "If this clock is right, that node's was wrong. `syncnode held release --author NAME` takes in now what `syncnode held` lists."
        )
    }

    private static func clock(_ node: Node) throws -> Check {
        let offsets = try node.replica.peers().compactMap { $0.facts?.clockOffsetMilliseconds }.sorted()
        if let doubt = try node.replica.clockDoubtMilliseconds() {
            return Check(
                name: "clock", state: .watch,
                finding:
                    "this clock is \(doubt / day) days past everything the replica knows of: edits wait in the journal until a peer confirms the time",
                remedy:
                    "If `date` shows the wrong time, set it. Else nothing need be done: the next `syncnode sync` settles it."
            )
        }
        guard !offsets.isEmpty else {
            return Check(name: "clock", state: .well, finding: "no peer's clock to compare with yet", remedy: "")
        }
        let median = offsets[offsets.count / 2]
        let isOff = abs(median) > 60_000
        return Check(
            name: "clock", state: isOff ? (abs(median) > Limits.aheadMilliseconds ? .broken : .watch) : .well,
            finding: "peers' clocks are \(median) ms ahead of this one (median of \(offsets.count))",
            remedy: isOff
                ? "Set this machine's clock, best by NTP."
                    + (median < -Limits.aheadMilliseconds
                        ? " Until then edits are stamped with what peers met within a day take for the present." : "")
                : "")
    }

    private static func replica(_ node: Node) throws -> Check {
        let problems = try node.replica.quickCheck()
        return Check(
            name: "replica", state: problems.isEmpty ? .well : .broken,
            finding: problems.first ?? "SQLite finds no damage",
            remedy: problems.isEmpty
                ? "" : "Run `syncnode verify` for what is affected; keep the file; restore or rebuild.")
    }
}
