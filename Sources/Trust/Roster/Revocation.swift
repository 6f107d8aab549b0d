// A revocation: the authority's word that a node is out, and which of its work still counts.
//
// Invariant: one revocation has one encoding, and its bytes are what the authority signed.

public import ReplicationModel

/// A revocation, signed by the workspace's authority (`Protocols/trust.md`, "Revocations").
public struct Revocation: Hashable, Sendable {
    /// The encoded record; at most 16 KiB.
    public let bytes: [UInt8]
    /// SHA-256 over `bytes`: names this revocation among the roster's records.
    public let digest: Digest
    /// The workspace whose authority revokes.
    public let workspace: WorkspaceID
    /// The node that is out.
    public let node: NodeID
    /// When it was revoked, by the authority's clock. For people; no rule depends on it.
    public let time: WallClock
    /// Why; for people; at most 512 bytes.
    public let reason: String
    /// By incarnation of the node: the last sequence that is accepted. Of others nothing is.
    public let lastAccepted: [UInt64: SequenceNumber]

    /// A record of 16 KiB holds 960 origins of 16 bytes beside a reason of 512.
    public static let greatestOrigins = Limits.originsOfNode
    static let greatestReasonBytes = 512
    /// What a revocation begins with, and no certificate does.
    public static let magic = Array("syncrev1".utf8)
    private static let context = Array("syncnode revocation v1\0".utf8)

    init(
        workspace: WorkspaceID, node: NodeID, time: WallClock, reason: String,
        lastAccepted: [UInt64: SequenceNumber], key: SigningKey
    ) throws(TrustError) {
        guard lastAccepted.count <= Self.greatestOrigins else {
            throw TrustError(
                .malformed, "revoke", node.description,
                cause: "it has \(lastAccepted.count) origins, and a revocation holds \(Self.greatestOrigins)",
                nextStep: "leave out those whose work is not to be kept")
        }
        let reason = Self.bounded(reason)
        var writer = ByteWriter()
        writer.append(Self.magic)
        writer.append(workspace.bytes)
        writer.append(node.bytes)
        writer.append(UInt64(max(time.milliseconds, 0)))
        writer.append(UInt16(reason.utf8.count))
        writer.append(Array(reason.utf8))
        writer.append(UInt16(lastAccepted.count))
        for (incarnation, sequence) in lastAccepted.sorted(by: { $0.key < $1.key }) {
            writer.append(incarnation)
            writer.append(sequence.rawValue)
        }
        writer.append(key.sign(Self.context + writer.bytes))
        bytes = writer.bytes
        digest = SHA256.digest(bytes)
        self.workspace = workspace
        self.node = node
        self.time = WallClock(milliseconds: max(time.milliseconds, 0))
        self.reason = reason
        self.lastAccepted = lastAccepted
    }

    /// Reads a revocation. Does not ask who signed it.
    /// - Throws: `malformed` unless it is the one encoding of what it says.
    public init(bytes: [UInt8]) throws(CertificateRefusal) {
        let malformed = CertificateRefusal(.malformed, "the revocation is malformed; ask an admin for the roster")
        guard bytes.count <= CertificateProfile.greatestBytes else { throw malformed }
        var reader = ByteReader(bytes[...])
        guard reader.take(Self.magic.count).map(Array.init) == Self.magic,
            let workspace = reader.take(16).flatMap({ WorkspaceID(bytes: $0) }),
            let node = reader.take(16).flatMap({ NodeID(bytes: $0) }),
            let time = reader.takeUInt64(), let milliseconds = Int64(exactly: time),
            let reasonCount = reader.takeUInt16(), reasonCount <= Self.greatestReasonBytes,
            let reasonBytes = reader.take(Int(reasonCount)),
            let reason = String(validating: reasonBytes, as: UTF8.self),
            let count = reader.takeUInt16(), count <= Self.greatestOrigins
        else { throw malformed }
        var lastAccepted: [UInt64: SequenceNumber] = [:]
        var previous: UInt64?
        for _ in 0..<count {
            guard let incarnation = reader.takeUInt64(), let sequence = reader.takeUInt64(),
                previous.map({ $0 < incarnation }) ?? true
            else { throw malformed }
            lastAccepted[incarnation] = SequenceNumber(sequence)
            previous = incarnation
        }
        guard reader.rest.count == 64 else { throw malformed }
        self.bytes = bytes
        digest = SHA256.digest(bytes)
        self.workspace = workspace
        self.node = node
        self.time = WallClock(milliseconds: milliseconds)
        self.reason = reason
        self.lastAccepted = lastAccepted
    }

    /// Checks that `authority` signed it for its workspace.
    /// - Throws: `otherWorkspace` or `otherAuthority`.
    public func check(issuedBy authority: AuthorityCertificate) throws(CertificateRefusal) {
        guard workspace == authority.workspace else {
            throw CertificateRefusal(
                .otherWorkspace, "the revocation of \(node) is of workspace \(workspace), not of this one")
        }
        let message = Self.context + bytes.dropLast(64)
        guard authority.publicKey.isValidSignature(Array(bytes.suffix(64)), for: message) else {
            throw CertificateRefusal(
                .otherAuthority, "the revocation of \(node) was not signed by this workspace's authority")
        }
    }

    /// Cut to whole characters within the limit, controls shown as spaces.
    private static func bounded(_ reason: String) -> String {
        var result = ""
        for character in reason {
            let isControl = character.unicodeScalars.contains { $0.properties.generalCategory == .control }
            let shown = isControl ? " " : character
            if result.utf8.count + shown.utf8.count > greatestReasonBytes { break }
            result.append(shown)
        }
        return result
    }
}

/// Writes numbers big-endian.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []
    mutating func append(_ part: [UInt8]) { bytes += part }
    mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { bytes += $0 }
    }
}

/// Reads what a stranger wrote: nil past the end, never a trap.
struct ByteReader {
    private(set) var rest: ArraySlice<UInt8>
    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
    mutating func takeUInt8() -> UInt8? { take(1)?.first }
    mutating func takeUInt16() -> UInt16? { take(2)?.reduce(0) { $0 << 8 | UInt16($1) } }
    mutating func takeUInt32() -> UInt32? { take(4)?.reduce(0) { $0 << 8 | UInt32($1) } }
    mutating func takeUInt64() -> UInt64? { take(8)?.reduce(0) { $0 << 8 | UInt64($1) } }
}
