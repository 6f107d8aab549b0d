// Version vectors as frames carry them: whole, as a difference to a remembered one, and with what is not safe yet.
//
// Invariant: a vector and its difference to any base give the vector back.
public import ReplicationModel

/// A whole vector, or its difference to one that both sides remember.
public struct VectorDelta: Hashable, Sendable {
    /// Digest of the base; nil: `entries` is the whole vector.
    public var base: Identifier128?
    /// Against a base, zero says that the base's entry is gone: the replica was restored to an earlier state.
    public var entries: [Origin: SequenceNumber]

    /// The whole vector.
    public init(whole vector: VersionVector) {
        base = nil
        entries = vector.entries
    }

    /// What takes `remembered` to `vector`, or the whole vector where that is no longer.
    public init(_ vector: VersionVector, since remembered: RememberedVector) {
        var changed = vector.changes(since: remembered.vector).entries
        for origin in remembered.vector.entries.keys where vector[origin] == .zero { changed[origin] = .zero }
        let pays = changed.count < vector.count
        self.init(base: pays ? remembered.digest : nil, entries: pays ? changed : vector.entries)
    }

    init(base: Identifier128?, entries: [Origin: SequenceNumber]) {
        self.base = base
        self.entries = entries
    }

    /// The vector; nil where it builds on a base other than `remembered`.
    public func vector(from remembered: RememberedVector?) -> VersionVector? {
        guard let base else { return VersionVector(entries) }
        guard let remembered, remembered.digest == base else { return nil }
        var result = remembered.vector
        for (origin, sequence) in entries { result[origin] = sequence }
        return result
    }
}

/// A vector that was exchanged with a peer in an earlier session, and its digest.
public struct RememberedVector: Hashable, Sendable {
    /// The vector itself.
    public let vector: VersionVector
    /// The first 16 bytes of SHA-256 over `vector.digestInput`. Whoever keeps the vector makes the digest.
    public let digest: Identifier128

    /// Puts one together; each parameter is the property of its name.
    public init(vector: VersionVector, digest: Identifier128) {
        self.vector = vector
        self.digest = digest
    }
}

extension VersionVector {
    /// The bytes that a vector's digest is taken over: its entries ascending, 24 bytes of origin and 8 of sequence each.
    public var digestInput: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 32)
        for (origin, sequence) in sorted {
            bytes += origin.bytes
            for shift in stride(from: UInt64(56), through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: sequence.rawValue >> shift))
            }
        }
        return bytes
    }
}

/// Below what nothing is awaited, for the origins where that stands lower than what is applied.
public struct SafeBelow: Hashable, Sendable {
    /// May hold zeros: nothing of that origin is safe yet.
    public var entries: [Origin: SequenceNumber]

    /// Puts one together; each parameter is the property of its name.
    public init(_ entries: [Origin: SequenceNumber] = [:]) { self.entries = entries }
    /// Everything applied is safe.
    public static let all = SafeBelow()

    /// The part of `applied` below which nothing is awaited: what counts as acknowledged.
    public func safe(of applied: VersionVector) -> VersionVector {
        var result = applied
        for (origin, sequence) in entries where sequence < result[origin] { result[origin] = sequence }
        return result
    }
}
