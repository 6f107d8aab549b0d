// What follows from the roster: who may open a session, whose change sets count, to whom a certificate may be given.
//
// Invariant: whose change sets count depends on no clock, so that every node with the same roster answers alike.

public import ReplicationModel

/// How a node stands at some moment.
public enum Standing: Hashable, Sendable {
    /// The roster says nothing of it.
    case unknown
    /// It is out, for ever.
    case revoked(Revocation)
    /// Its last certificate has run out: it opens no session, and what it wrote remains.
    case expired(Certificate)
    /// Its certificate is not valid yet, by the clock asked with.
    case notYetValid(Certificate)
    /// It may open sessions, with this role. The certificate is the one that lasts longest.
    case member(Certificate, role: MemberRole)
}

/// Whether a change set counts, as far as its author goes.
public enum Authorship: Hashable, Sendable {
    /// It counts if this key signed it.
    case allowed(PublicKey)
    /// The roster has no certificate of the author: nothing of the change set can be proven, so it is refused.
    case unknownAuthor
    /// No certificate ever let the author write.
    case notAWriter(MemberRole)
    /// It comes after the last sequence that the author's revocation accepts.
    case beyondRevocation(lastAccepted: SequenceNumber)
}

extension Roster {
    /// How `node` stands at `now`.
    public func standing(of node: NodeID, now: WallClock) -> Standing {
        guard let member = member(node) else { return .unknown }
        if let revocation = member.revocations.first { return .revoked(revocation) }
        guard let certificate = member.lasting, let role = member.role else { return .unknown }
        do {
            try certificate.check(at: now)
            return .member(certificate, role: role)
        } catch {
            return error.code == .expired ? .expired(certificate) : .notYetValid(certificate)
        }
    }

    /// Whether the change set that `dot` names counts, as far as its author goes. No clock is asked: an expired
    /// certificate does not take back what was signed under it, and nobody could tell when that was.
    public func authorship(of dot: Dot) -> Authorship {
        if let last = member(dot.origin.node)?.lastAccepted(of: dot.origin), dot.sequence > last {
            return .beyondRevocation(lastAccepted: last)
        }
        return authorship(by: dot.origin.node)
    }

    /// Whether what `node` signs counts, wherever it is cut off: what comes after a cut is still held, and its
    /// signature checked.
    public func authorship(by node: NodeID) -> Authorship {
        guard let member = member(node), let newest = member.newest else { return .unknownAuthor }
        return member.wasEverAllowedToWrite ? .allowed(newest.publicKey) : .notAWriter(newest.role)
    }

    /// Whether the change set that `dot` names counts if its signature is right.
    public func mayAuthor(_ dot: Dot) -> Bool {
        if case .allowed = authorship(of: dot) { true } else { false }
    }

    /// Checks that the holder of `certificate` may open a session at `now`. A certificate of this authority that the
    /// roster does not hold yet is as good as one it holds: a new node may come here before the news of it.
    /// - Throws: `otherAuthority`, `otherWorkspace`, `revoked`, `expired` or `notYetValid`.
    public func checkMayConnect(_ certificate: Certificate, now: WallClock) throws(CertificateRefusal) {
        try certificate.check(issuedBy: authority)
        if let revocation = member(certificate.nodeID)?.revocations.first {
            let reason = revocation.reason.isEmpty ? "" : " (\(revocation.reason))"
            throw CertificateRefusal(
                .revoked,
                "node \"\(certificate.name)\" was revoked at \(rfc3339(revocation.time))\(reason); to come back it must "
                    + "join again with a new key")
        }
        try authority.check(at: now)
        try certificate.check(at: now)
    }

    /// Checks that a certificate may be given, before `CertificateAuthority.issue`.
    /// - Throws: `refused` for a revoked key, for a reader's certificate to a node that could write (what it wrote would
    ///   count on some nodes and not on others), and for a name that another node in good standing has.
    public func checkMayIssue(to publicKey: PublicKey, name: String, role: MemberRole) throws(TrustError) {
        func refused(_ cause: String, _ nextStep: String) -> TrustError {
            TrustError(.refused, "issue a certificate to", "\"\(name)\"", cause: cause, nextStep: nextStep)
        }
        let node = publicKey.nodeID
        if let member = member(node) {
            if member.isRevoked {
                throw refused("its key was revoked", "let the node join again with a new key")
            }
            if member.wasEverAllowedToWrite && !role.mayWrite {
                throw refused(
                    "it may write now, and a certificate cannot take that back",
                    "revoke it, and let it join again as a reader with a new key")
            }
        }
        if members(named: name).contains(where: { $0.node != node && !$0.isRevoked }) {
            throw refused("another node has this name", "choose another name, or revoke that node")
        }
    }
}
