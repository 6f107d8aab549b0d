// What one vector says of another: cover, union, difference, and the arithmetic of lag.
import ReplicationModel
import Testing

@Suite struct VersionVectorTests {
    private let a = Origin(node: NodeID(Identifier128(high: 1, low: 0)), incarnation: 1)
    private let b = Origin(node: NodeID(Identifier128(high: 1, low: 0)), incarnation: 2)
    private let c = Origin(node: NodeID(Identifier128(high: 2, low: 0)), incarnation: 0)

    private func vector(_ entries: [Origin: UInt64]) -> VersionVector {
        VersionVector(entries.mapValues(SequenceNumber.init))
    }

    @Test func aZeroIsNoEntry() {
        var some = vector([a: 3, b: 0])
        #expect(some == vector([a: 3]))
        #expect(some[b] == .zero)
        some[a] = .zero
        #expect(some.isEmpty)
    }

    @Test func dotsAreContainedUpToTheEntry() {
        let some = vector([a: 3])
        #expect(some.contains(Dot(origin: a, sequence: SequenceNumber(3))))
        #expect(!some.contains(Dot(origin: a, sequence: SequenceNumber(4))))
        #expect(!some.contains(Dot(origin: b, sequence: SequenceNumber(1))))
    }

    @Test func coverHoldsBothWays() {
        let less = vector([a: 1, b: 2])
        let more = vector([a: 1, b: 3, c: 1])
        let aside = vector([a: 2])
        #expect(more.covers(less) && !less.covers(more))
        #expect(!more.covers(aside) && !aside.covers(more))
        #expect(less.covers(less) && less.covers(VersionVector()) && !VersionVector().covers(less))
    }

    @Test func unionIsTheLeastThatCoversBoth() {
        let vectors = [VersionVector(), vector([a: 1, b: 5]), vector([b: 2, c: 7]), vector([a: 9])]
        for left in vectors {
            #expect(left.union(left) == left)
            for right in vectors {
                let union = left.union(right)
                #expect(union == right.union(left))
                #expect(union.covers(left) && union.covers(right))
                #expect(union.entries.allSatisfy { max(left[$0.key], right[$0.key]) == $0.value })
                for third in vectors { #expect(union.union(third) == left.union(right.union(third))) }
            }
        }
    }

    @Test func changesAreWhatDiffers() {
        let base = vector([a: 1, b: 2])
        let now = vector([a: 1, b: 4, c: 1])
        #expect(now.changes(since: base) == vector([b: 4, c: 1]))
        #expect(base.union(now.changes(since: base)) == now)
        #expect(now.changes(since: now).isEmpty)
    }

    @Test func lagCountsWhatTheOtherLacks() {
        let left = vector([a: 10, b: 2])
        let right = vector([a: 4, b: 5, c: 1])
        #expect(left.countBeyond(right) == 6)
        #expect(right.countBeyond(left) == 4)
        #expect(left.countBeyond(left) == 0)
    }

    @Test func entriesAreWrittenInOneOrder() {
        #expect(vector([c: 1, b: 2, a: 3]).sorted.map(\.origin) == [a, b, c])
        #expect(vector([c: 1, b: 2, a: 3]).sorted.map(\.sequence.rawValue) == [3, 2, 1])
    }
}
