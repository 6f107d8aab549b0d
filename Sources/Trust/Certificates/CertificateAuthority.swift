// The workspace's authority with its private key: admits nodes and revokes them.
//
// Invariant: every record it signs names its own workspace and keeps to the profile that `Certificate` reads.

public import ReplicationModel

/// A certificate authority for one workspace, held by admin nodes only.
public struct CertificateAuthority: Sendable {
    /// What everyone may know of it.
    public let certificate: AuthorityCertificate
    let key: SigningKey

    /// Makes the authority of a new workspace.
    /// - Parameters:
    ///   - workspace: the workspace's id; `WorkspaceID.random()` for a new one.
    ///   - workspaceName: 1 to 64 bytes.
    ///   - key: its own; a new one.
    /// - Throws: `invalidName`.
    public init(
        workspace: WorkspaceID, workspaceName: String, now: WallClock, key: SigningKey = .generate(),
        serial: CertificateSerial = .random()
    ) throws(TrustError) {
        try CertificateProfile.checkName(workspaceName, operation: "make the authority of workspace")
        let template = X509Template(
            serial: serial, issuer: workspaceName, subject: workspaceName,
            notBefore: now.advanced(by: -CertificateProfile.backdateMilliseconds),
            notAfter: now.advanced(by: CertificateProfile.authorityValidityMilliseconds),
            publicKey: key.publicKey, extensions: Self.authorityExtensions(workspace, key.publicKey))
        do {
            certificate = try AuthorityCertificate(der: template.signed(with: key))
        } catch {
            preconditionFailure("an authority's certificate made here does not keep to the profile: \(error)")
        }
        self.key = key
    }

    /// Joins a certificate and its key.
    /// - Throws: `mismatch` where they do not belong together.
    public init(certificate: AuthorityCertificate, key: SigningKey) throws(TrustError) {
        guard certificate.publicKey == key.publicKey else {
            throw TrustError(
                .mismatch, "use the authority of workspace", "\"\(certificate.name)\"",
                cause: "its private key does not belong to its certificate",
                nextStep: "restore authority.pem and authority-key.pem from the same backup")
        }
        self.certificate = certificate
        self.key = key
    }

    /// Admits a node, or renews its certificate. Ask `Roster.checkMayIssue` first.
    /// - Parameters:
    ///   - publicKey: the node's key, from its request.
    ///   - name: 1 to 64 bytes.
    ///   - now: it becomes valid 5 minutes earlier, for nodes with slow clocks, and lasts two years, or as long as the
    ///     authority if that is less.
    /// - Throws: `invalidName`, or `expired` where the authority itself is not valid now.
    public func issue(to publicKey: PublicKey, name: String, role: MemberRole, now: WallClock)
        throws(TrustError) -> Certificate
    {
        try issue(
            to: publicKey, name: name, role: role,
            notBefore: now.advanced(by: -CertificateProfile.backdateMilliseconds),
            notAfter: now.advanced(by: CertificateProfile.nodeValidityMilliseconds), now: now)
    }

    /// Admits a node for a time of the caller's choosing, cut to the authority's own end.
    public func issue(
        to publicKey: PublicKey, name: String, role: MemberRole, notBefore: WallClock, notAfter: WallClock,
        now: WallClock, serial: CertificateSerial = .random()
    ) throws(TrustError) -> Certificate {
        try CertificateProfile.checkName(name, operation: "issue a certificate to")
        do {
            try certificate.check(at: now)
        } catch {
            throw TrustError(
                .expired, "issue a certificate to", "\"\(name)\"", cause: error.description,
                nextStep: "set the clock right, or make a new workspace authority")
        }
        let template = X509Template(
            serial: serial, issuer: certificate.name, subject: name, notBefore: notBefore,
            notAfter: min(notAfter, certificate.notAfter), publicKey: publicKey,
            extensions: Self.nodeExtensions(
                certificate.workspace, role: role, publicKey: publicKey, authority: certificate.publicKey))
        do {
            return try Certificate(der: template.signed(with: key))
        } catch {
            preconditionFailure("a certificate made here does not keep to the profile: \(error)")
        }
    }

    /// Revokes a node: of each origin of it, what comes after the sequence given here is accepted from nobody, and of
    /// origins not given here nothing is.
    /// - Parameters:
    ///   - lastAccepted: by incarnation; at most `Revocation.greatestOrigins`.
    ///   - reason: for people; cut to 512 bytes.
    /// - Throws: `malformed` where there are too many origins.
    public func revoke(
        _ node: NodeID, lastAccepted: [UInt64: SequenceNumber], reason: String, now: WallClock
    ) throws(TrustError) -> Revocation {
        try Revocation(
            workspace: certificate.workspace, node: node, time: now, reason: reason, lastAccepted: lastAccepted,
            key: key)
    }

    static func nodeExtensions(
        _ workspace: WorkspaceID, role: MemberRole, publicKey: PublicKey, authority: PublicKey
    ) -> [X509Extension] {
        typealias Profile = CertificateProfile
        return [
            X509Extension(identifier: Profile.basicConstraints, isCritical: true, value: Profile.nodeConstraints),
            X509Extension(identifier: Profile.keyUsage, isCritical: true, value: Profile.nodeKeyUsage),
            X509Extension(identifier: Profile.extendedKeyUsage, value: Profile.nodeExtendedKeyUsage),
            X509Extension(identifier: Profile.subjectKeyIdentifier, value: DER.octetString(keyIdentifier(publicKey))),
            X509Extension(
                identifier: Profile.authorityKeyIdentifier,
                value: DER.sequence(DER.element(0x80, keyIdentifier(authority)))),
            X509Extension(identifier: Profile.role, value: DER.utf8String(role.rawValue)),
            X509Extension(identifier: Profile.workspace, value: DER.octetString(workspace.bytes)),
        ]
    }

    static func authorityExtensions(_ workspace: WorkspaceID, _ publicKey: PublicKey) -> [X509Extension] {
        typealias Profile = CertificateProfile
        return [
            X509Extension(identifier: Profile.basicConstraints, isCritical: true, value: Profile.authorityConstraints),
            X509Extension(identifier: Profile.keyUsage, isCritical: true, value: Profile.authorityKeyUsage),
            X509Extension(identifier: Profile.subjectKeyIdentifier, value: DER.octetString(keyIdentifier(publicKey))),
            X509Extension(identifier: Profile.workspace, value: DER.octetString(workspace.bytes)),
        ]
    }

    /// A key's identifier is the node id it gives: the first 16 bytes of SHA-256 over the key (RFC 7093, 2, shortened).
    private static func keyIdentifier(_ key: PublicKey) -> [UInt8] { key.nodeID.bytes }
}

extension WorkspaceID {
    /// A new workspace's id: 128 random bits.
    public static func random() -> WorkspaceID {
        WorkspaceID(SHA256.digest(SecureRandom.bytes(32)).first)
    }
}

extension WallClock {
    /// A time `milliseconds` later, or the last or first there is.
    func advanced(by milliseconds: Int64) -> WallClock {
        let (sum, overflow) = self.milliseconds.addingReportingOverflow(milliseconds)
        return WallClock(milliseconds: overflow ? (milliseconds > 0 ? .max : .min) : sum)
    }
}
