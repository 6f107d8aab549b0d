// A node's certificate: its name, its role and its key, vouched for by the workspace's authority.
//
// Invariant: a value of this type keeps to the profile; whether the authority signed it is asked with `check`.

public import ReplicationModel

/// An X.509 v3 certificate of a node (`Protocols/trust.md`, "Certificates").
public struct Certificate: Sendable {
    /// The certificate's bytes; at most 16 KiB.
    public let der: [UInt8]
    /// SHA-256 over `der`: names this certificate among the roster's records.
    public let digest: Digest
    /// The node's name: 1 to 64 bytes.
    public let name: String
    /// What the node may do.
    public let role: MemberRole
    /// The workspace the node belongs to.
    public let workspace: WorkspaceID
    /// The key the node proves itself with and signs its change sets with.
    public let publicKey: PublicKey
    /// The node.
    public let nodeID: NodeID
    /// 1 to 20 bytes, big-endian; 16 random ones in certificates made here.
    public let serial: [UInt8]
    /// From when it opens sessions; whole seconds.
    public let notBefore: WallClock
    /// Until when it opens sessions; whole seconds.
    public let notAfter: WallClock

    let issuer: String
    let signedPart: [UInt8]
    let signature: [UInt8]

    /// Reads a certificate. Asks neither who signed it nor what time it is.
    /// - Throws: `malformed` or `roleMissing`.
    public init(der: [UInt8]) throws(CertificateRefusal) {
        let contents = try X509Contents(der: der)
        let name = contents.subject
        typealias Profile = CertificateProfile
        guard contents.has(Profile.basicConstraints, Profile.nodeConstraints, critical: true),
            contents.has(Profile.keyUsage, Profile.nodeKeyUsage, critical: true),
            contents.has(Profile.extendedKeyUsage, Profile.nodeExtendedKeyUsage, critical: false),
            contents.extensions.values.filter(\.isCritical).count == 2
        else {
            throw CertificateRefusal(
                .malformed, "the certificate of \"\(name)\" is not made for a node; ask an admin for one")
        }
        guard let field = contents.extensions[Profile.role],
            let role = MemberRole.allCases.first(where: { field.value == DER.utf8String($0.rawValue) })
        else {
            throw CertificateRefusal(
                .roleMissing, "the certificate of \"\(name)\" names no role; ask an admin for a new one")
        }
        workspace = try contents.workspace()
        self.der = der
        digest = SHA256.digest(der)
        self.name = name
        self.role = role
        publicKey = contents.publicKey
        nodeID = contents.publicKey.nodeID
        serial = contents.serial
        notBefore = contents.notBefore
        notAfter = contents.notAfter
        issuer = contents.issuer
        signedPart = contents.signedPart
        signature = contents.signature
    }

    /// Reads the first certificate in PEM text.
    public init(pem: [UInt8]) throws(CertificateRefusal) {
        try self.init(der: try PEM.firstCertificate(pem))
    }

    /// The certificate in PEM, as it stands in `certificate.pem`.
    public var pem: [UInt8] { PEM.encode([PEM.Block(label: "CERTIFICATE", bytes: der)]) }

    /// Checks that `authority` signed it for its workspace. Asks nothing about time, since what a node signed while its
    /// certificate was valid stays valid.
    /// - Throws: `otherWorkspace` or `otherAuthority`.
    public func check(issuedBy authority: AuthorityCertificate) throws(CertificateRefusal) {
        guard workspace == authority.workspace else {
            throw CertificateRefusal(
                .otherWorkspace,
                "\"\(name)\" belongs to workspace \(workspace), and this is workspace \(authority.workspace) "
                    + "(\"\(authority.name)\"); check the address, or join this workspace")
        }
        guard issuer == authority.name, authority.publicKey.isValidSignature(signature, for: signedPart) else {
            throw CertificateRefusal(
                .otherAuthority,
                "the certificate of \"\(name)\" was not signed by the authority of workspace \"\(authority.name)\"; "
                    + "ask an admin of this workspace for an invitation")
        }
    }

    /// Checks that `now` lies within its validity, both ends included (RFC 5280, 4.1.2.5).
    /// - Throws: `expired` or `notYetValid`.
    public func check(at now: WallClock) throws(CertificateRefusal) {
        try checkValidity("the certificate of \"\(name)\"", notBefore, notAfter, now)
    }
}

extension Certificate: Hashable {
    /// Certificates are equal when their bytes are.
    public static func == (left: Self, right: Self) -> Bool { left.der == right.der }
    /// Feeds the digest of the bytes.
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}

/// The workspace's authority, as everyone may know it (`Protocols/trust.md`, "Certificates").
public struct AuthorityCertificate: Sendable {
    /// The certificate's bytes; at most 16 KiB.
    public let der: [UInt8]
    /// SHA-256 over `der`: what an invitation pins.
    public let fingerprint: Digest
    /// The workspace's name: 1 to 64 bytes.
    public let name: String
    /// The workspace.
    public let workspace: WorkspaceID
    /// Checks what the authority signed.
    public let publicKey: PublicKey
    /// From when it is valid; whole seconds.
    public let notBefore: WallClock
    /// Until when nodes it admitted can open sessions; whole seconds.
    public let notAfter: WallClock

    /// Reads an authority's certificate and checks the signature it made over itself.
    /// - Throws: `malformed`.
    public init(der: [UInt8]) throws(CertificateRefusal) {
        let contents = try X509Contents(der: der)
        typealias Profile = CertificateProfile
        guard contents.has(Profile.basicConstraints, Profile.authorityConstraints, critical: true),
            contents.has(Profile.keyUsage, Profile.authorityKeyUsage, critical: true),
            contents.extensions.values.filter(\.isCritical).count == 2, contents.issuer == contents.subject,
            contents.publicKey.isValidSignature(contents.signature, for: contents.signedPart)
        else {
            throw CertificateRefusal(
                .malformed,
                "the certificate of \"\(contents.subject)\" is not a workspace authority's; check which file was named")
        }
        workspace = try contents.workspace()
        self.der = der
        fingerprint = SHA256.digest(der)
        name = contents.subject
        publicKey = contents.publicKey
        notBefore = contents.notBefore
        notAfter = contents.notAfter
    }

    /// Reads the first certificate in PEM text.
    public init(pem: [UInt8]) throws(CertificateRefusal) {
        try self.init(der: try PEM.firstCertificate(pem))
    }

    /// The certificate in PEM, as it stands in `authority.pem`.
    public var pem: [UInt8] { PEM.encode([PEM.Block(label: "CERTIFICATE", bytes: der)]) }

    /// Checks that `now` lies within its validity, both ends included.
    /// - Throws: `expired` or `notYetValid`.
    public func check(at now: WallClock) throws(CertificateRefusal) {
        try checkValidity("the authority of workspace \"\(name)\"", notBefore, notAfter, now)
    }
}

extension AuthorityCertificate: Hashable {
    /// Certificates are equal when their bytes are.
    public static func == (left: Self, right: Self) -> Bool { left.der == right.der }
    /// Feeds the fingerprint.
    public func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }
}

extension X509Contents {
    func workspace() throws(CertificateRefusal) -> WorkspaceID {
        guard let value = extensions[CertificateProfile.workspace]?.value, value.count == 18,
            value.starts(with: [0x04, 0x10]), let workspace = WorkspaceID(bytes: value.dropFirst(2))
        else {
            throw CertificateRefusal(
                .malformed, "the certificate of \"\(subject)\" names no workspace; ask an admin for a new one")
        }
        return workspace
    }
}

extension PEM {
    static func firstCertificate(_ text: [UInt8]) throws(CertificateRefusal) -> [UInt8] {
        guard let block = decode(text, limit: 16)?.first(where: { $0.label == "CERTIFICATE" }) else {
            throw CertificateRefusal(
                .malformed, "the text holds no whole certificate in PEM; check which file was named")
        }
        return block.bytes
    }
}

private func checkValidity(_ what: String, _ notBefore: WallClock, _ notAfter: WallClock, _ now: WallClock)
    throws(CertificateRefusal)
{
    guard now >= notBefore else {
        throw CertificateRefusal(
            .notYetValid,
            "\(what) is valid from \(rfc3339(notBefore)), and this machine's clock says \(rfc3339(now)); check the clocks"
        )
    }
    // A certificate is valid to the end of the second it names.
    guard now.milliseconds / 1000 <= notAfter.milliseconds / 1000 else {
        throw CertificateRefusal(
            .expired,
            "\(what) was valid until \(rfc3339(notAfter)), and this machine's clock says \(rfc3339(now)); "
                + "ask an admin for a new one, or check the clock")
    }
}
