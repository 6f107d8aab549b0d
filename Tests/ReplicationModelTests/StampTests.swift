// Stamps follow the wall clock where they may and causality always; versions are a total order on the writer's data.
import ReplicationModel
import Testing

@Suite struct StampTests {
    private func stamp(_ milliseconds: Int64, _ counter: Int64 = 0) throws -> Stamp {
        try #require(Stamp(rawValue: milliseconds << 16 | counter))
    }

    @Test func aStampIsItsMillisecondsAndItsCounter() throws {
        let stamp = try stamp(1_700_000_000_123, 77)
        #expect(stamp.wallClock.milliseconds == 1_700_000_000_123)
        #expect(stamp.counter == 77)
        #expect(stamp.description == "1700000000123.77")
        #expect(Stamp(WallClock(milliseconds: 5)).rawValue == 5 << 16)
    }

    @Test func noStampIsNegative() {
        #expect(Stamp(rawValue: -1) == nil)
        #expect(Stamp(rawValue: .min) == nil)
        #expect(Stamp(WallClock(milliseconds: -1)) == .zero)
        #expect(Stamp(WallClock(milliseconds: .min)) == .zero)
    }

    @Test func timesPastTheLastCountAsTheLast() {
        let last = Stamp(WallClock(milliseconds: .max))
        #expect(last.wallClock.milliseconds == Int64.max >> 16)
        #expect(last <= .greatest)
    }

    @Test func followingIsLaterAndNotBeforeItsTime() throws {
        let now = try stamp(1000, 5)
        #expect(now.following(at: WallClock(milliseconds: 900)) == (try stamp(1000, 6)))
        #expect(now.following(at: WallClock(milliseconds: 1000)) == (try stamp(1000, 6)))
        #expect(now.following(at: WallClock(milliseconds: 1001)) == (try stamp(1001)))
        // A full counter runs over into the next millisecond.
        #expect(try stamp(1000, 0xffff).following(at: WallClock(milliseconds: 0)) == (try stamp(1001)))
        #expect(Stamp.zero.following(at: WallClock(milliseconds: -5)) > .zero)
        #expect(Stamp.greatest.following(at: WallClock(milliseconds: 0)) == .greatest)
    }

    @Test func orderHoldsBothWays() throws {
        let ascending = [.zero, try stamp(0, 1), try stamp(1), try stamp(1, 0xffff), try stamp(2), .greatest]
        for (i, left) in ascending.enumerated() {
            for (j, right) in ascending.enumerated() {
                #expect((left < right) == (i < j))
                #expect((left > right) == (i > j))
                #expect((left == right) == (i == j))
            }
        }
    }

    @Test func versionsCompareByStampThenOrigin() throws {
        func version(_ milliseconds: Int64, _ node: UInt64, _ incarnation: UInt64, _ sequence: UInt64) throws -> Version
        {
            Version(
                stamp: try stamp(milliseconds),
                origin: Origin(node: NodeID(Identifier128(high: 0, low: node)), incarnation: incarnation),
                sequence: SequenceNumber(sequence))
        }
        let ascending = [
            try version(1, 9, 9, 9), try version(2, 1, 1, 9), try version(2, 1, 2, 1), try version(2, 2, 0, 1),
            try version(3, 0, 0, 1),
        ]
        for (i, left) in ascending.enumerated() {
            for (j, right) in ascending.enumerated() {
                #expect((left < right) == (i < j))
                #expect((right < left) == (j < i))
                #expect(max(left, right) == max(right, left))
            }
        }
    }
}
