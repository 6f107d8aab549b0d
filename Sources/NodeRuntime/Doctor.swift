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
    /// The write-ahead log grows to some megabytes before it is written back, and what is taken in comes on top of that.
    private static let leastFreeBytes: Int64 = 16_000_000

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
        for check in [rights, clock, origin, forks, stamps, replica, setAside, waiting, addresses, peers] {
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
        if free < leastFreeBytes {
            return Check(
                name: "disk", state: .broken, finding: "\(megabytes) MB free under \(directory)",
                remedy: "Make room: next to nothing can be written here, sealed or taken in.")
        }
        return Check(
            name: "disk", state: megabytes < 500 ? .watch : .well, finding: "\(megabytes) MB free under \(directory)",
            remedy: megabytes < 500 ? "Make room: a replica that cannot write takes nothing in." : "")
    }

    private static let renewal =
        "Here: `syncnode join --request FILE`; on an admin node: `syncnode admit FILE --out CERT`; here: `syncnode join --certificate CERT`, and start `serve` again."

    static func certificate(_ node: Node) -> Check {
        let now = node.clock()
        guard now >= node.certificate.notBefore else {
            return Check(
                name: "certificate", state: .broken,
                finding:
                    "this clock is before the certificate begins: it says \(rfc3339(now)), and the certificate is valid from \(rfc3339(node.certificate.notBefore))",
                remedy: "Set the clock, best by NTP. Until then no session begins.")
        }
        let left = node.certificate.notAfter.milliseconds - now.milliseconds
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
        let waiting = try ahead.first {
            try $0.isHeld || ($0.origin.node == node.id && !isTakenIn($0.origin, node))
        }
        let told = waiting ?? furthest
        let isOwn = told.origin.node == node.id
        let finding =
            (isOwn ? "this node" : "“\(node.name(of: told.origin.node))”")
            + " stamped edits \(span(told.milliseconds)) ahead of this clock, until \(rfc3339(told.until)), as \(told.origin)"
        guard waiting != nil else {
            // Released: what builds on it needs no second word.
            return Check(
                name: "stamps", state: .watch, finding: finding + "; all of it is taken in",
                remedy: isOwn
                    ? "If this clock was set back, set it right. Else nothing need be done."
                    : "If this clock is behind, set it right. Else nothing need be done.")
        }
        let release = "`syncnode held release --author \(node.commandName(of: told.origin.node))`"
        return Check(
            name: "stamps", state: .broken, finding: finding,
            remedy: isOwn
                ? "If this clock was set back, set it right. If it is right, peers hold these, and what follows them, until that time. On each, \(release) takes them in now."
                : "If this clock is right, that node's was wrong. \(release) takes in now what `syncnode held` lists.")
    }

    /// Whether every peer that was met has all that was written here under an origin.
    private static func isTakenIn(_ origin: Origin, _ node: Node) throws -> Bool {
        let own = try node.replica.vectors().applied[origin]
        let met = try node.replica.peers().filter { node.roster.member($0.node)?.isRevoked == false }
            .compactMap(\.facts)
        return !met.isEmpty && met.allSatisfy { $0.applied[origin] >= own }
    }

    /// How long that is, whichever way: its two greatest units.
    private static func span(_ milliseconds: Int64) -> String {
        let length = milliseconds.magnitude
        guard length >= 1000 else { return "\(length) ms" }
        let seconds = length / 1000
        let units = [
            (seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s"),
        ]
        return units.drop { $0.0 == 0 }.prefix(2).filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
            .joined(separator: " ")
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
            finding:
                "peers' clocks are \(span(median)) \(median < 0 ? "behind" : "ahead of") this one (median of \(offsets.count))",
            // Two clocks alone do not tell which of them is right.
            remedy: isOff
                ? (offsets.count < 3
                    ? "Compare `date` here and there, and set the clock that is wrong, best by NTP."
                    : "Set this machine's clock, best by NTP.")
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
