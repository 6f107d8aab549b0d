// What goes wrong with keys, files, certificates and invitations, told so that a person can act on it.
//
// Invariant: an error says what was tried, on what, why it failed and what to do next, and holds no secret.

/// A failure of this target's operations on keys, files, certificates and invitations.
///
/// Certificates that are understood but not accepted give `CertificateRefusal`; a TLS session that fails gives
/// `TLSFailure`.
public struct TrustError: Error, Hashable, Sendable {
    /// What kind of failure, for programs. More codes may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// A stable word, fit for JSON.
        public let description: String
        private init(_ description: String) { self.description = description }

        /// A file that must be private can be read or written by others, or belongs to another user.
        public static let exposedFile = Code("exposed_file")
        /// No such file, directory or invitation.
        public static let notFound = Code("not_found")
        /// It would replace what must not be replaced.
        public static let alreadyExists = Code("already_exists")
        /// The file system refused.
        public static let inputOutput = Code("input_output")
        /// The bytes or the text are not what they should be.
        public static let malformed = Code("malformed")
        /// A name that no node or workspace may have.
        public static let invalidName = Code("invalid_name")
        /// Two things that must belong together do not: key and certificate, certificate and authority.
        public static let mismatch = Code("mismatch")
        /// Its time has passed.
        public static let expired = Code("expired")
        /// A one-time invitation that another node has used.
        public static let alreadyUsed = Code("already_used")
        /// The other side did not prove that it knows the secret.
        public static let wrongProof = Code("wrong_proof")
        /// The roster does not allow it.
        public static let refused = Code("refused")
        /// OpenSSL failed where it should not.
        public static let cryptography = Code("cryptography")
    }

    /// What kind of failure.
    public let code: Code
    /// What was tried, as it follows "cannot": "load the signing key".
    public let operation: String
    /// On what: a path, or a name.
    public let object: String
    /// Why it failed.
    public let cause: String
    /// What to do next.
    public let nextStep: String

    /// An error; the parts read as "cannot OPERATION OBJECT: CAUSE; NEXT STEP".
    public init(_ code: Code, _ operation: String, _ object: String, cause: String, nextStep: String) {
        self.code = code
        self.operation = operation
        self.object = object
        self.cause = cause
        self.nextStep = nextStep
    }
}

extension TrustError {
    /// Whether somebody did not let it be done, and nothing is wrong here.
    public var isRefusal: Bool { [.expired, .alreadyUsed, .wrongProof, .refused].contains(code) }
}

extension TrustError: CustomStringConvertible {
    /// One line for people.
    public var description: String { "cannot \(operation) \(object): \(cause); \(nextStep)" }
}

/// Why a certificate that was presented or received is not accepted.
public struct CertificateRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of refusal, for programs. More codes may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// A stable word, fit for JSON.
        public let description: String
        private init(_ description: String) { self.description = description }

        /// Not a certificate of the profile in `Protocols/trust.md`.
        public static let malformed = Code("malformed")
        /// Signed by someone other than this workspace's authority.
        public static let otherAuthority = Code("other_authority")
        /// Made for another workspace.
        public static let otherWorkspace = Code("other_workspace")
        /// Names no role.
        public static let roleMissing = Code("role_missing")
        /// Its time has passed.
        public static let expired = Code("expired")
        /// Its time has not come, by this machine's clock.
        public static let notYetValid = Code("not_yet_valid")
        /// The roster holds a revocation of the node.
        public static let revoked = Code("revoked")
        /// The roster does not know the node.
        public static let unknown = Code("unknown")
        /// The node's role does not allow what it wants to do.
        public static let role = Code("role")
    }

    /// What kind of refusal.
    public let code: Code
    /// For people: which certificate, why, and what to do next.
    public let description: String

    /// - Parameter description: which certificate, why it is refused, and what to do next, in one line.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
