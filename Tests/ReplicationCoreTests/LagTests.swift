// The arithmetic of lag, and of waiting.
import ReplicationCore
import ReplicationModel
import ReplicationWire
import Testing

@Suite struct LagTests {
    private let now = WallClock(milliseconds: 1_000_000)
    /// Each change set holds 10 changes and 100 bytes, and was written at its sequence number in seconds.
    private let log = LogTotals(
        totals: { _, sequence in Totals(changes: sequence.rawValue * 10, bytes: sequence.rawValue * 100) },
        writtenAt: { WallClock(milliseconds: Int64($0.sequence.rawValue) * 1000) })

    private func vector(_ entries: [UInt64: UInt64]) -> VersionVector {
        VersionVector(Dictionary(uniqueKeysWithValues: entries.map { (origin($0.key), SequenceNumber($0.value)) }))
    }

    private func peer(_ entries: [UInt64: UInt64], asOf: Int64 = 900_000, backlog: Backlog? = nil) -> PeerVector {
        PeerVector(
            applied: vector(entries), safe: vector(entries), asOf: WallClock(milliseconds: asOf), backlog: backlog)
    }

    private func report(
        ours: [UInt64: UInt64], known: [PeerVector], held: [HeldChangeSet] = [],
        connection: PeerConnection = .connected(live: true),
        safe: [UInt64: UInt64]? = nil, totals: LogTotals? = nil
    ) -> LagReport {
        Lag.report(
            ours: vector(ours), oursSafe: vector(safe ?? ours), known: known, heldHere: held, connection: connection,
            totals: totals ?? log, now: now)
    }

    @Test func aheadIsASubtractionOverTheLog() {
        let result = report(ours: [1: 10, 2: 3], known: [peer([1: 7])])
        #expect(result.ahead == LagFigures(changeSets: 6, changes: 60, bytes: 600, seconds: 999))
        #expect(result.behind == .none)
        #expect(result.state == .catchingUp)
    }

    @Test func behindIsThePeersWordWhileItHolds() {
        let backlog = Backlog(changeSets: 4, changes: 9, bytes: 90, oldest: WallClock(milliseconds: 940_000))
        let result = report(ours: [1: 1], known: [peer([1: 5], backlog: backlog)])
        #expect(result.behind == LagFigures(changeSets: 4, changes: 9, bytes: 90, seconds: 60))
        let later = report(ours: [1: 3], known: [peer([1: 5], backlog: backlog)])
        #expect(later.behind == LagFigures(changeSets: 2, changes: nil, bytes: nil, seconds: nil), "unknown, not zero")
    }

    @Test func neverMetIsUnknownNotZero() {
        let result = report(ours: [1: 1], known: [], connection: .never)
        #expect(
            result.state == .neverMet && result.behind == .unknown && result.ahead == .unknown && result.asOf == nil)
    }

    @Test func aHoleInTheLogIsUnknown() {
        let hole = LogTotals(totals: { _, sequence in sequence.rawValue < 9 ? nil : .zero }, writtenAt: { _ in nil })
        let result = report(ours: [1: 10], known: [peer([1: 7])], totals: hole)
        #expect(result.ahead == LagFigures(changeSets: 3, changes: nil, bytes: nil, seconds: nil))
    }

    @Test func whatIsAwaitedThereIsNotAcknowledged() {
        var known = peer([1: 5])
        known.safe = vector([1: 2])
        let result = report(ours: [1: 5], known: [known])
        #expect(result.ahead.changeSets == 3 && result.state == .catchingUp)
    }

    @Test func whatIsAwaitedHereIsNotInSync() {
        let result = report(ours: [1: 5], known: [peer([1: 5])], safe: [1: 4])
        #expect(result.state == .catchingUp && !result.cause.isEmpty)
    }

    @Test func secondHandIsMarked() {
        var rumour = peer([1: 9], asOf: 950_000)
        rumour.toldBy = node(3)
        let newer = report(ours: [1: 9], known: [peer([1: 5]), rumour], connection: .ended(now))
        #expect(newer.toldBy == node(3) && newer.asOf == rumour.asOf && newer.state == .inSync)
        rumour.asOf = WallClock(milliseconds: 900_000)
        let equal = report(ours: [1: 9], known: [rumour, peer([1: 5])], connection: .ended(now))
        #expect(equal.toldBy == nil && equal.ahead.changeSets == 4)
        let only = report(ours: [1: 9], known: [rumour], connection: .never)
        #expect(only.state == .neverMet && only.toldBy == node(3) && only.ahead.changeSets == 0)
    }

    @Test func statesAndTheirCauses() {
        let level = [peer([1: 5])]
        #expect(report(ours: [1: 5], known: level).state == .live)
        #expect(report(ours: [1: 5], known: level, connection: .connected(live: false)).state == .inSync)
        #expect(report(ours: [1: 5], known: level, connection: .ended(now)).state == .inSync)
        let ended = report(ours: [1: 6], known: level, connection: .ended(WallClock(milliseconds: 0)))
        #expect(ended.state == .offline && ended.cause == "no session since 1970-01-01T00:00:00Z")
        let lost = report(
            ours: [1: 5], known: level,
            connection: .lost(since: WallClock(milliseconds: 951_782_400_000), cause: "connection refused"))
        #expect(lost.state == .offline && lost.cause == "since 2000-02-29T00:00:00Z: connection refused")
        let refused = report(ours: [1: 5], known: level, connection: .refused(cause: "revoked"))
        #expect(refused.state == .refused && refused.cause == "revoked")
        let unreached = report(ours: [1: 5], known: [], connection: .neverReached(cause: "no route"))
        #expect(unreached.state == .neverMet && unreached.cause == "no route")
        let held = HeldChangeSet(
            dot: Dot(origin: origin(1), sequence: SequenceNumber(6)), cause: .unknownTable, detail: "table `x`",
            releaseAt: nil)
        let here = report(ours: [1: 5], known: [peer([1: 6])], held: [held])
        #expect(here.state == .held && here.cause.contains("unknown_table, table `x`"))
        #expect(report(ours: [1: 5], known: level, held: [held]).state == .live, "held, but not of this peer's")
        var there = peer([1: 5])
        there.held = [held]
        #expect(report(ours: [1: 6], known: [there]).state == .held)
        var since = peer([1: 6], asOf: 950_000)
        since.toldBy = node(3)
        let released = report(ours: [1: 6], known: [there, since], connection: .ended(now))
        #expect(released.state == .inSync, "another saw it applied there since")
    }

    @Test func aClockThatWentBackMakesNoNegativeAge() {
        let result = report(ours: [1: 2_000], known: [peer([1: 1_999])])
        #expect(result.ahead.seconds == 0)
    }

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00Z"), (1_790_000_000_999, "2026-09-21T14:13:20Z"),
        (-1000, "1969-12-31T23:59:59Z"),
        (4_102_444_799_000, "2099-12-31T23:59:59Z"), (Int64.max, "9999-12-31T23:59:59Z"),
        (Int64.min, "0000-01-01T00:00:00Z"),
    ])
    func timesAreWritten(milliseconds: Int64, text: String) {
        let report = report(ours: [1: 1], known: [peer([:])], connection: .ended(WallClock(milliseconds: milliseconds)))
        #expect(report.cause == "no session since \(text)")
    }
}

@Suite struct BackoffTests {
    @Test func doublesWithinItsBoundsAndStartsAnew() {
        var least = Backoff()
        var most = Backoff()
        #expect((0..<12).map { _ in least.failed(random: 0) }.prefix(4) == [500, 1_000, 2_000, 4_000])
        for _ in 0..<100 { #expect((150...300_000).contains(most.failed(random: .max))) }
        #expect((150_000...300_000).contains(most.failed(random: 12_345)))
        most.succeeded()
        #expect(most.failed(random: 0) == 500)
    }

    @Test func jitterSpreadsOverHalfAStep() {
        let waits = (0..<1_000).map { number in
            var backoff = Backoff()
            return backoff.failed(random: UInt64(number))
        }
        #expect(waits.min() == 500 && waits.max() == 1_000)
        #expect(Set(waits).count > 400)
    }

    @Test func whatThePeerAskedForIsKept() {
        var backoff = Backoff()
        #expect(backoff.failed(random: 0, retryAfterMilliseconds: 3_600_000) == 3_600_000)
        #expect(backoff.failed(random: 0, retryAfterMilliseconds: 1) == 1_000)
        // But not for ever.
        #expect(backoff.failed(random: 0, retryAfterMilliseconds: .max) == 3_600_000)
    }

    /// A peer that is rewound again and again is not dialled ten times a second.
    @Test func whatIsToBeBegunAgainIsDoneLessAndLessOften() {
        var backoff = Backoff()
        #expect((0..<4).map { _ in backoff.again() } == [100, 200, 400, 800])
        for _ in 0..<100 { #expect((1_600...300_000).contains(backoff.again())) }
        #expect(backoff.failures == 0 && backoff.failed(random: 0) == 500)
        #expect(backoff.again() == 100 && backoff.again() == 200)
        backoff.succeeded()
        #expect(backoff.again() == 100)
    }
}
