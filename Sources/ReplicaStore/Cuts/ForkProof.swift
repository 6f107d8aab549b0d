// A fork proof: two change sets of one origin, both signed by its node, that cannot both belong to one history.
//
// Invariant: whoever has the proof can check it, and needs neither a replica nor a roster to do so.

public import ReplicationModel
internal import ReplicationWire
public import Trust

/// Shows that an origin forked (`Protocols/trust.md`, "Fork proofs"): two change sets with one sequence number, or one
/// that names another predecessor than the one its node signed. A node that keeps to the rules makes no such pair.
public struct ForkProof: Hashable, Sendable {
    /// The encoded proof.
    public let bytes: [UInt8]
    /// SHA-256 over `bytes`.
    public let name: Digest
    /// The key that signed both.
    public let key: PublicKey
    /// The origin, and the sequence that stands for two change sets.
    public let fork: Dot

    /// What a proof begins with, and no record of the roster does.
    public static let magic = FrameLimits.forkProofMagic
    /// Two bodies, and what stands around them.
    public static let greatestBytes = 2 * Limits.acceptedBodyBytes + 256

    /// One of the two.
    struct Half: Hashable {
        let body: [UInt8]
        let signature: [UInt8]
        let header: ChangeSetHeader
        let digest: Digest

        init(body: [UInt8], signature: [UInt8]) throws {
            self.body = body
            self.signature = signature
            do {
                header = try ChangeSetCodec.decodeHeader(body)
            } catch {
                throw ForkProofError("one of its change sets is malformed: \(error)")
            }
            digest = SHA256.digest(body)
        }
    }

    let halves: [Half]

    /// Makes a proof of two signed change sets, in either order.
    ///
    /// - Throws: `ForkProofError` where they prove nothing.
    init(_ one: Half, _ other: Half, key: PublicKey) throws {
        let isOrdered =
            one.header.sequence != other.header.sequence
            ? one.header.sequence < other.header.sequence
            : one.digest.bytes.lexicographicallyPrecedes(other.digest.bytes)
        let (first, second) = isOrdered ? (one, other) : (other, one)
        var bytes = Self.magic + key.bytes
        for half in [first, second] {
            bytes += withUnsafeBytes(of: UInt32(half.body.count).bigEndian) { Array($0) } + half.body + half.signature
        }
        try self.init(bytes, key, first, second)
    }

    /// Reads a proof, and checks it.
    ///
    /// - Throws: `ForkProofError` unless it is the one encoding of a proof that holds.
    public init(bytes: [UInt8]) throws {
        guard bytes.count <= Self.greatestBytes, bytes.starts(with: Self.magic) else {
            throw ForkProofError(
                "it does not begin as a fork proof does, or is longer than \(Self.greatestBytes) bytes")
        }
        var rest = bytes[Self.magic.count...]
        func take(_ count: Int) throws -> [UInt8] {
            guard count <= rest.count else { throw ForkProofError("it ends too early") }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        guard let key = try? PublicKey(bytes: take(32)) else { throw ForkProofError("it holds no key") }
        func half() throws -> Half {
            let count = try take(4).reduce(0) { $0 << 8 | Int($1) }
            guard count <= Limits.acceptedBodyBytes else { throw ForkProofError("a change set of \(count) bytes") }
            let body = try take(count)
            return try Half(body: body, signature: take(64))
        }
        let (first, second) = (try half(), try half())
        guard rest.isEmpty else { throw ForkProofError("something follows its end") }
        try self.init(bytes, key, first, second)
    }

    private init(_ bytes: [UInt8], _ key: PublicKey, _ first: Half, _ second: Half) throws {
        let (one, two) = (first.header, second.header)
        guard one.origin == two.origin, one.origin.node == key.nodeID else {
            throw ForkProofError("its change sets are not of one origin, or not of the node whose key it names")
        }
        if one.sequence == two.sequence {
            guard first.digest.bytes.lexicographicallyPrecedes(second.digest.bytes) else {
                throw ForkProofError("its change sets are one and the same, or stand in the wrong order")
            }
        } else {
            guard one.sequence.next == two.sequence, two.previous != first.digest else {
                throw ForkProofError("its change sets may well belong to one history")
            }
        }
        for half in [first, second] {
            guard ChangeSetSignature.verify(half.signature, bodyDigest: half.digest, publicKey: key) else {
                throw ForkProofError("\(half.header.dot) in it is not signed by its origin's node")
            }
        }
        self.bytes = bytes
        name = SHA256.digest(bytes)
        self.key = key
        fork = one.dot
        halves = [first, second]
    }

    /// Whether it says more than another proof of the same origin: the lower fork, and of two the one whose name is smaller.
    func precedes(_ other: ForkProof) -> Bool {
        fork.sequence != other.fork.sequence
            ? fork.sequence < other.fork.sequence : name.bytes.lexicographicallyPrecedes(other.name.bytes)
    }

    /// The two change sets: their sequences, and the digests of their bodies.
    public var changeSets: [(dot: Dot, digest: Digest, writtenAt: WallClock)] {
        halves.map { ($0.header.dot, $0.digest, $0.header.lastStamp.wallClock) }
    }
}

/// Why bytes are no fork proof.
public struct ForkProofError: Error, Hashable, Sendable, CustomStringConvertible {
    /// For people.
    public let description: String

    init(_ cause: String) { description = "This proves no fork: \(cause)." }
}
