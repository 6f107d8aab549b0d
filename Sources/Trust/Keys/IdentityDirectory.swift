// Who this node is: its key, its certificate, its authority, in a directory that only its owner can enter.
//
// Invariant: a certificate stands here only if it belongs to the key and was signed by the authority that stands here.

public import ReplicationModel

/// `DIR/identity`, mode 0700: `key.pem` (0600), `certificate.pem`, `authority.pem`, on admin nodes that hold the
/// authority `authority-key.pem` (0600), and `invitations/`.
public struct IdentityDirectory: Sendable {
    /// The directory itself.
    public let path: String
    /// The node's private key.
    public let key: SigningKey
    /// What the node shows to others; nil until it has been admitted.
    public private(set) var certificate: Certificate?
    /// Whom the node believes; nil until it has been admitted.
    public private(set) var authority: AuthorityCertificate?

    /// The node.
    public var node: NodeID { key.publicKey.nodeID }
    /// Invitations that this node has given out.
    public var invitations: InvitationStore { InvitationStore(path: path + "/invitations") }
    /// Whether this node holds the authority's private key.
    public var holdsAuthority: Bool { SecureFile.exists(file(Names.authorityKey)) }

    private enum Names {
        static let key = "key.pem"
        static let certificate = "certificate.pem"
        static let authority = "authority.pem"
        static let authorityKey = "authority-key.pem"

        static func contain(_ name: String) -> Bool { [key, certificate, authority, authorityKey].contains(name) }
    }

    /// Makes a new workspace with its authority, and this node as its first, an admin. The directory appears whole or
    /// not at all.
    /// - Parameters:
    ///   - path: the directory; it must not exist, or be empty. The directory above it must exist.
    ///   - workspaceName: 1 to 64 bytes. - nodeName: likewise.
    /// - Throws: `alreadyExists` where there is an identity, `invalidName`, `inputOutput`.
    public static func initialize(path: String, workspaceName: String, nodeName: String, now: WallClock)
        throws(TrustError) -> IdentityDirectory
    {
        let authority = try CertificateAuthority(workspace: .random(), workspaceName: workspaceName, now: now)
        let key = SigningKey.generate()
        let certificate = try authority.issue(to: key.publicKey, name: nodeName, role: .admin, now: now)
        try make(path: path) { directory throws(TrustError) in
            try key.save(path: directory + Names.key)
            try authority.key.save(path: directory + Names.authorityKey)
            try write(authority.certificate.pem, directory + Names.authority)
            try write(certificate.pem, directory + Names.certificate)
        }
        return try open(path: path)
    }

    /// Makes this node's key, for a node that is to be admitted elsewhere. Where a key waits for its certificate already
    /// that one is used, so that asking twice asks the same.
    /// - Throws: `alreadyExists` where the node belongs to a workspace; else as `open` and `initialize`.
    public static func prepareToJoin(path: String) throws(TrustError) -> IdentityDirectory {
        let identity = try prepareToAsk(path: path)
        guard let certificate = identity.certificate else { return identity }
        throw TrustError(
            .alreadyExists, "join with", path,
            cause: "this node is \"\(certificate.name)\" of workspace \(certificate.workspace) already",
            nextStep: "use another --data directory for another workspace")
    }

    /// The same, for a node that asks for its first certificate or, being a member, for one that lasts longer.
    public static func prepareToAsk(path: String) throws(TrustError) -> IdentityDirectory {
        guard !exists(path: path) else { return try open(path: path) }
        let key = SigningKey.generate()
        try make(path: path) { directory throws(TrustError) in try key.save(path: directory + Names.key) }
        return try open(path: path)
    }

    /// Whether there is an identity, of a member or of a node that waits.
    public static func exists(path: String) -> Bool { SecureFile.exists(path + "/" + Names.key) }

    /// Reads an identity and checks that its parts belong together and are not open to others. Does not ask what time it
    /// is.
    /// - Throws: `notFound`, `exposedFile` (with the `chmod` to run), `malformed`, `mismatch`.
    public static func open(path: String) throws(TrustError) -> IdentityDirectory {
        try SecureFile.checkPrivateDirectory(path: path, operation: "open the identity directory")
        var identity = IdentityDirectory(path: path, key: try SigningKey.load(path: path + "/" + Names.key))
        if SecureFile.exists(identity.file(Names.authority)) {
            identity.authority = try identity.read(Names.authority) { pem throws(CertificateRefusal) in
                try AuthorityCertificate(pem: pem)
            }
        }
        // A crash while a certificate was installed may have left the authority alone: the node still waits. The certificate
        // alone no crash leaves; to take that for a node that waits would let another certificate take its place.
        if SecureFile.exists(identity.file(Names.certificate)) {
            guard let authority = identity.authority else {
                throw TrustError(
                    .malformed, "open the identity directory", path,
                    cause: "certificate.pem is there, and the authority.pem that it came with is not",
                    nextStep: "restore authority.pem from the backup; every member of the workspace has the same one")
            }
            let certificate = try identity.read(Names.certificate) { pem throws(CertificateRefusal) in
                try Certificate(pem: pem)
            }
            try identity.check(certificate, authority)
            identity.certificate = certificate
        }
        return identity
    }

    private init(path: String, key: SigningKey) {
        self.path = path
        self.key = key
    }

    /// The request to be admitted, for this node's key.
    /// - Throws: `invalidName`.
    public func request(name: String) throws(TrustError) -> CertificateRequest {
        try CertificateRequest(name: name, key: key)
    }

    /// Takes in the certificate that an admin node made, or a renewed one, on disk when this returns.
    /// - Throws: `mismatch` where it is not for this node's key, not signed by `authority`, or of another authority
    ///   than the one this node believes.
    public mutating func install(_ certificate: Certificate, authority: AuthorityCertificate) throws(TrustError) {
        try check(certificate, authority)
        try Self.removeUnfinished(beside: path)
        try whileLocked("install the certificate in") { () throws(TrustError) in
            // As it is now: another program may have installed one meanwhile.
            let current = try Self.open(path: path)
            if let present = current.authority, current.certificate != nil, present != authority {
                throw TrustError(
                    .mismatch, "install the certificate of", "\"\(certificate.name)\"",
                    cause: "it comes from another authority than this node's (\(present.fingerprint))",
                    nextStep: "use another --data directory for another workspace")
            }
            try Self.write(authority.pem, file(Names.authority))
            try Self.write(certificate.pem, file(Names.certificate))
        }
        self.authority = authority
        self.certificate = certificate
    }

    /// Runs `body` while nobody else, in this process or another, does so: what it asks of the roster is still so when it
    /// writes. Whoever has the lock must not ask for it again.
    public func alone<Result>(_ operation: String, _ body: () throws -> Result) throws -> Result {
        try SecureFile.whileLocked(directory: path, operation: operation, anyway: body)
    }

    private func whileLocked(_ operation: String, _ body: () throws(TrustError) -> Void) throws(TrustError) {
        try SecureFile.whileLocked(directory: path, operation: operation) { () throws(TrustError) in
            SecureFile.removeUnfinishedFiles(in: path, of: Names.contain)
            try body()
        }
    }

    /// Private keys that a program left behind which broke off while it made an identity here.
    private static func removeUnfinished(beside path: String) throws(TrustError) {
        try SecureFile.whileLocked(
            directory: SecureFile.directory(of: path), operation: "open the identity directory"
        ) { () throws(TrustError) in
            SecureFile.removeUnfinishedDirectories(beside: path, holding: Names.contain)
        }
    }

    /// The certificate and the authority of a node that has been admitted.
    /// - Throws: `notFound` where it waits for its certificate.
    public func membership() throws(TrustError) -> (certificate: Certificate, authority: AuthorityCertificate) {
        guard let certificate, let authority else {
            throw TrustError(
                .notFound, "use the identity in", path, cause: "this node has not been admitted to a workspace yet",
                nextStep: "run `syncnode join CODE`, or `syncnode join --certificate FILE` with what an admin made")
        }
        return (certificate, authority)
    }

    /// The workspace's authority with its key.
    /// - Throws: `notFound` where this node does not hold it; `exposedFile`; `mismatch`.
    public func certificateAuthority() throws(TrustError) -> CertificateAuthority {
        let authority = try membership().authority
        guard holdsAuthority else {
            throw TrustError(
                .notFound, "use the authority of workspace", "\"\(authority.name)\"",
                cause: "this node does not hold its private key",
                nextStep: "run the command on the node that made "
                    + "the workspace, or on one that its authority-key.pem was copied to")
        }
        return try CertificateAuthority(certificate: authority, key: .load(path: file(Names.authorityKey)))
    }

    private func check(_ certificate: Certificate, _ authority: AuthorityCertificate) throws(TrustError) {
        func mismatch(_ cause: String, _ nextStep: String) -> TrustError {
            TrustError(
                .mismatch, "use the certificate of", "\"\(certificate.name)\"", cause: cause, nextStep: nextStep)
        }
        guard certificate.publicKey == key.publicKey else {
            throw mismatch(
                "it was made for node \(certificate.nodeID), and this node's key is \(node)'s",
                "use the certificate that answers this node's own request")
        }
        do {
            try certificate.check(issuedBy: authority)
        } catch {
            throw mismatch(error.description, "take certificate and authority from the same admin node")
        }
    }

    private func file(_ name: String) -> String { path + "/" + name }

    private func read<Result>(_ name: String, _ body: ([UInt8]) throws(CertificateRefusal) -> Result)
        throws(TrustError) -> Result
    {
        let contents = try SecureFile.contents(path: file(name), operation: "read")
        do {
            return try body(contents)
        } catch {
            throw TrustError(
                .malformed, "read", file(name), cause: error.description, nextStep: "restore the file from a backup")
        }
    }

    private static func write(_ contents: [UInt8], _ path: String) throws(TrustError) {
        try SecureFile.replace(path: path, contents: contents, mode: 0o644, operation: "write")
    }

    /// Fills a directory beside `path` and gives it that name when everything in it is on disk.
    private static func make(path: String, _ fill: (String) throws(TrustError) -> Void) throws(TrustError) {
        let operation = "make the identity directory"
        // Whoever finds another's half-made directory under this lock, finds one that nobody is making any more.
        try SecureFile.whileLocked(directory: SecureFile.directory(of: path), operation: operation) {
            () throws(TrustError) in
            SecureFile.removeUnfinishedDirectories(beside: path, holding: Names.contain)
            let temporary = try SecureFile.createUnfinishedDirectory(beside: path, operation: operation)
            do throws(TrustError) {
                try fill(temporary + "/")
                try SecureFile.moveDirectory(temporary, to: path, operation: operation)
            } catch {
                SecureFile.removeDirectory(temporary)
                throw error
            }
        }
    }
}
