// What a replica knows, in a few numbers.

/// For each origin, the highest sequence number applied with none missing below it. An origin not named stands at 0.
public struct VersionVector: Hashable, Sendable {
    /// Never holds a zero.
    public private(set) var entries: [Origin: SequenceNumber]

    public init(_ entries: [Origin: SequenceNumber] = [:]) {
        self.entries = entries.filter { $0.value > .zero }
    }

    public var isEmpty: Bool { entries.isEmpty }
    public var count: Int { entries.count }

    public subscript(origin: Origin) -> SequenceNumber {
        get { entries[origin] ?? .zero }
        set { entries[origin] = newValue > .zero ? newValue : nil }
    }

    public func contains(_ dot: Dot) -> Bool { self[dot.origin] >= dot.sequence }

    /// Whether everything that `other` knows is known here.
    public func covers(_ other: VersionVector) -> Bool { other.entries.allSatisfy { self[$0.key] >= $0.value } }

    /// The least vector that covers both.
    public mutating func formUnion(_ other: VersionVector) {
        entries.merge(other.entries) { max($0, $1) }
    }

    public func union(_ other: VersionVector) -> VersionVector {
        var result = self
        result.formUnion(other)
        return result
    }

    /// The entries of `self` that differ from those of `base`, as a delta carries them.
    public func changes(since base: VersionVector) -> VersionVector {
        VersionVector(entries.filter { base[$0.key] != $0.value })
    }

    /// How many change sets `self` has that `other` lacks.
    public func countBeyond(_ other: VersionVector) -> UInt64 {
        entries.reduce(0) {
            $0 + ($1.value.rawValue > other[$1.key].rawValue ? $1.value.rawValue - other[$1.key].rawValue : 0)
        }
    }

    /// Entries ordered by origin: the one order in which a vector is written down or digested.
    public var sorted: [(origin: Origin, sequence: SequenceNumber)] {
        entries.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
