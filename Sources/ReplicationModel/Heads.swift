// The ends of histories: two replicas with one vector have one history of each origin only where these are equal too.
//
// Invariant: an origin has at most one head, and none that is number 0.

/// For each origin, the last change set and what it is.
public struct Heads: Hashable, Sendable {
    /// The first 16 bytes of the digests of the change sets' bodies.
    public private(set) var digests: [Origin: Identifier128] = [:]
    /// Their sequence numbers.
    public private(set) var vector = VersionVector()

    /// None.
    public init() {}

    /// Takes in one; number 0 is none.
    public mutating func insert(_ dot: Dot, _ digest: Identifier128) {
        guard dot.sequence > .zero else { return }
        vector[dot.origin] = dot.sequence
        digests[dot.origin] = digest
    }

    /// The bytes that the digest of histories is taken over: ascending, 24 bytes of origin, 8 of sequence, 16 of digest.
    public var digestInput: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digests.count * 48)
        for (origin, sequence) in vector.sorted {
            bytes += origin.bytes
            withUnsafeBytes(of: sequence.rawValue.bigEndian) { bytes.append(contentsOf: $0) }
            bytes += digests[origin]?.bytes ?? []
        }
        return bytes
    }
}
