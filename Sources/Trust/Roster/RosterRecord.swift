// One record of the roster: a node's certificate, or a revocation.
//
// Invariant: a record is its bytes; reading and writing them changes nothing.

public import ReplicationModel

/// A record of the roster (replication.md, section 7).
public enum RosterRecord: Hashable, Sendable {
    /// A node's certificate, in DER.
    case certificate(Certificate)
    /// A revocation, in the encoding of `Protocols/trust.md`.
    case revocation(Revocation)

    /// Reads a record of at most 16 KiB; its first bytes tell which kind it is. Does not ask who signed it.
    /// - Throws: `malformed` or `roleMissing`.
    public init(bytes: [UInt8]) throws(CertificateRefusal) {
        if bytes.starts(with: Revocation.magic) {
            self = .revocation(try Revocation(bytes: bytes))
        } else {
            self = .certificate(try Certificate(der: bytes))
        }
    }

    /// The record as it is kept and sent.
    public var bytes: [UInt8] {
        switch self {
        case .certificate(let certificate): certificate.der
        case .revocation(let revocation): revocation.bytes
        }
    }

    /// SHA-256 over `bytes`.
    public var digest: Digest {
        switch self {
        case .certificate(let certificate): certificate.digest
        case .revocation(let revocation): revocation.digest
        }
    }

    /// The node it speaks of.
    public var node: NodeID {
        switch self {
        case .certificate(let certificate): certificate.nodeID
        case .revocation(let revocation): revocation.node
        }
    }

    /// Checks that `authority` signed it for its workspace.
    /// - Throws: `otherWorkspace` or `otherAuthority`.
    public func check(issuedBy authority: AuthorityCertificate) throws(CertificateRefusal) {
        switch self {
        case .certificate(let certificate): try certificate.check(issuedBy: authority)
        case .revocation(let revocation): try revocation.check(issuedBy: authority)
        }
    }
}
