// A workload: something a replica does, beside what plain SQLite does of it.
//
// Later, once there is a transport: `first-sync` (two processes over TLS; `measure` starts the sender, and the clock
// runs from the receiver's dial to its last commit) and `live-latency` (commit at one process to visible at the other;
// a distribution, so its `Measurement` holds percentiles in milliseconds). Each is one more entry of `Workload.all`.

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
    ]
}
