// What goes wrong in a simulation, by name, and how often it did.
//
// Invariant: a fault is counted where it takes effect, not where it is planned.

/// A kind of fault. Its raw value is what the command line calls it.
public enum Fault: String, CaseIterable, Sendable, Hashable, Comparable {
    /// A process dies; what it wrote is with the kernel.
    case kill
    /// The power goes, between operations or at any write, and takes unsynced writes with it.
    case powerCut = "power-cut"
    /// A write, sync, truncation or deletion fails once.
    case diskError = "disk-error"
    /// No room for a while.
    case diskFull = "disk-full"
    case clockDrift = "clock-drift"
    case clockJump = "clock-jump"
    /// A clock is set back, so that it shows times it has shown before.
    case clockBack = "clock-back"
    /// A clock is a year ahead, and repaired later.
    case clockYear = "clock-year"
    /// Two nodes do not reach each other.
    case partition
    /// One of two nodes does not reach the other.
    case oneWay = "one-way"
    /// A connection is cut between any two bytes.
    case cut
    /// A connection is so slow that later ones overtake it.
    case slow
    /// A node joins later.
    case lateJoin = "late-join"
    /// A node runs an older schema for a while.
    case oldSchema = "old-schema"
    /// A node's disk is put back as it was some time ago; its identity is not.
    case restore
    /// A node's whole directory is copied to another machine, and both go on.
    case copy
    /// A node's whole machine is cloned, high-water mark and all, and both write under one origin.
    case fork
    /// A node's high-water mark is deleted.
    case markLost = "mark-lost"
    /// The workspace's authority puts a node out, with a cut at what is known of its work or below; or raises the cut.
    case revoke
    /// A whole machine is put back as it was some time ago, high-water mark and all: its clone, in another time.
    case rollBack = "roll-back"
    /// An operator lets in some of what waits for a clock.
    case letIn = "let-in"
    /// A second program opens a node's replica beside the one that runs, and writes, seals or releases.
    case secondProgram = "second-program"
    /// Programs write what few do: empty texts, odd ids, deletes in every table.
    case oddWrites = "odd-writes"
    /// A node's disk is gone: its replica is made anew for the identity that is left, or put back from a copy that was made of
    /// it while it was in use.
    case diskLost = "disk-lost"

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// How often each thing happened.
public struct Tallies: Sendable, Equatable {
    /// By name: the faults, and what the run came through besides.
    public private(set) var counts: [String: Int] = [:]

    public init() {}

    public subscript(name: String) -> Int { counts[name] ?? 0 }
    public subscript(fault: Fault) -> Int { counts[fault.rawValue] ?? 0 }

    mutating func count(_ name: String, _ times: Int = 1) { counts[name, default: 0] += times }
    mutating func count(_ fault: Fault) { count(fault.rawValue) }

    /// Adds those of another run.
    public mutating func add(_ other: Tallies) { counts.merge(other.counts) { $0 + $1 } }

    /// Adds what `text` says.
    public mutating func add(text: some StringProtocol) {
        for part in text.split(separator: " ") {
            let pair = part.split(separator: "=")
            if pair.count == 2, let number = Int(pair[1]) { count(String(pair[0]), number) }
        }
    }

    /// What was met too seldom for so many runs to prove anything; nothing for a handful of runs.
    ///
    /// - Parameter faults: those that the runs may meet; of what they lead to, all is asked for where they may meet all.
    public func missing(in runs: Int, of faults: Set<Fault>) -> [(name: String, count: Int)] {
        let outcomes = faults == Set(Fault.allCases) ? Self.outcomes : []
        return (faults.sorted().map(\.rawValue) + outcomes).map { ($0, self[$0]) }.filter { $0.1 < runs / 20 }
    }

    /// What faults lead to, and what the checks look at.
    private static let outcomes = [
        "copied-in-use", "deaths-at-opening", "failed-sessions", "failures-at-opening", "forks-proven",
        "held-clock_ahead", "held-forked", "held-revoked", "held-unknown_table", "held-waits_for_earlier", "imports",
        "kept", "live-rings", "lost-unsynced", "raised", "rehearsed", "rewinds", "rewritten", "undeleted", "upgrades",
        "verified",
    ]

    /// `name=count`, by name.
    public var text: String { counts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ") }
}
