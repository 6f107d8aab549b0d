// A workload: something a replica does, beside what plain SQLite does of it; or how long something takes to be seen.
//
// Invariant: what a workload sets up, and whatever it needs to check that the work was done, is off the clock.

/// What the numbers of a workload count.
enum Unit: String, Sendable {
    case seconds, bytes
}

/// What one round of one contender came to.
struct Measurement {
    /// In the workload's unit.
    let value: Double
    /// Of the processor; nil where the unit is no time.
    let processorSeconds: Double?

    init(_ cost: Cost) {
        value = cost.seconds
        processorSeconds = cost.processorSeconds
    }

    /// Work done by other processes, whose processor time is not known here.
    init(seconds: Double) {
        value = seconds
        processorSeconds = nil
    }

    init(bytes: Double) {
        value = bytes
        processorSeconds = nil
    }
}

/// One workload, ready to be measured: whatever it set up for all its rounds it holds.
protocol Rounds {
    mutating func measure(_ contender: Contender) throws -> Measurement
}

struct Workload: Sendable {
    let name: String
    let summary: String
    var unit = Unit.seconds
    /// The greatest ratio to plain SQLite that is aimed at; nil where none is stated.
    let aim: Double?
    var rounds = 5
    let setUp: @Sendable (Stage) throws -> any Rounds

    /// Stands beside the workloads, as it has no baseline: plain SQLite has no peers.
    static let liveLatency = "live-latency"

    static let all: [Workload] = [
        Workload(
            name: "insert", summary: "a program inserts articles, captured", aim: 1.25, setUp: InsertRounds.init),
        Workload(
            name: "update", summary: "a program updates one field of each, captured", aim: 1.35,
            setUp: UpdateRounds.init),
        Workload(
            name: "one-row-transactions", summary: "inserts, each in a transaction of its own", aim: 1.6,
            setUp: OneRowRounds.init),
        Workload(
            name: "insert-seal", summary: "inserts, then seals them", aim: 1.7, setUp: InsertSealRounds.init),
        Workload(
            name: "update-seal", summary: "updates one field of each, then seals", aim: nil, rounds: 3,
            setUp: UpdateSealRounds.init),
        Workload(
            name: "apply", summary: "proves and applies what a peer sent", aim: 1.5, setUp: ApplyRounds.init),
        Workload(
            name: "apply-updates", summary: "applies a peer's one-field updates", aim: nil, rounds: 3,
            setUp: ApplyUpdatesRounds.init),
        Workload(
            name: "outgoing", summary: "reads the log with its values; baseline reads the table", aim: nil, rounds: 3,
            setUp: OutgoingRounds.init),
        Workload(
            name: "prove", summary: "proves what a peer sent; baseline only hashes it", aim: nil, rounds: 3,
            setUp: ProveRounds.init),
        Workload(
            name: "file-size", summary: "the writer's file after insert and seal", unit: .bytes, aim: 1.15, rounds: 1,
            setUp: FileSizeRounds.init),
        Workload(
            name: "file-size-applied", summary: "the receiver's file after apply", unit: .bytes, aim: 1.15, rounds: 1,
            setUp: AppliedFileSizeRounds.init),
        Workload(
            name: "first-sync", summary: "a new node pulls everything over TLS from another process", aim: 2.5,
            rounds: 3, setUp: FirstSyncRounds.init),
    ]
}
