// The text that one person sends another so that a node can join.
//
// Invariant: a code that lost or changed a character is refused as such, before anything is dialled.

public import ReplicationModel

/// The secret of an invitation: 16 random bytes that only the inviting node's code carries.
public struct InvitationSecret: Hashable, Sendable {
    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// A new secret.
    public static func random() -> InvitationSecret { InvitationSecret(bytes: SecureRandom.bytes(16)) }

    /// Names the invitation without telling the secret.
    public var invitationID: InvitationID {
        InvitationID(derived("syncnode invitation name v1\0").prefix(16))
    }

    /// What proofs are made and checked with.
    public var proofKey: JoinProofKey { JoinProofKey(bytes: derived("syncnode join proof key v1\0")) }

    private func derived(_ purpose: String) -> [UInt8] { HMAC.authenticate(Array(purpose.utf8), key: bytes) }
}

/// Names one invitation: 16 bytes.
public struct InvitationID: Hashable, Sendable, CustomStringConvertible {
    let identifier: Identifier128

    /// - Parameter bytes: exactly 16; anything else gives nil.
    public init?(bytes: some Collection<UInt8>) {
        guard let identifier = Identifier128(bytes: bytes) else { return nil }
        self.identifier = identifier
    }

    init(_ digestPrefix: ArraySlice<UInt8>) {
        guard let identifier = Identifier128(bytes: digestPrefix) else { preconditionFailure("16 bytes of 32") }
        self.identifier = identifier
    }

    /// As they stand in the join request.
    public var bytes: [UInt8] { identifier.bytes }
    /// 32 lower-case hexadecimal digits.
    public var description: String { identifier.description }
}

/// Everything a joining node must know (`Protocols/trust.md`, "Invitation codes"). Has no description, so that it is not
/// logged by accident; `text` is for the person it is meant for.
public struct InvitationCode: Hashable, Sendable {
    /// The workspace to join.
    public let workspace: WorkspaceID
    /// SHA-256 over the authority's certificate.
    public let authorityFingerprint: Digest
    /// What the joining node proves that it knows.
    public let secret: InvitationSecret
    /// After this nobody is let in with it.
    public let expiresAt: WallClock
    /// Where to dial, best first: HOST:PORT, 1 to 8 of them.
    public let addresses: [String]

    /// What every code of this version begins with.
    public static let prefix = "syncnode-invite-1:"
    /// At most this many addresses stand in a code.
    public static let greatestAddresses = 8
    private static let greatestAddressBytes = 255
    /// No code is longer: 8 addresses of 255 bytes and 77 bytes beside them, in base 32, and white space from mail.
    private static let greatestTextBytes = 8192

    /// - Throws: `malformed` for no address, too many, or one that is not HOST:PORT.
    public init(
        workspace: WorkspaceID, authorityFingerprint: Digest, secret: InvitationSecret, expiresAt: WallClock,
        addresses: [String]
    ) throws(TrustError) {
        try Self.check(addresses: addresses)
        self.workspace = workspace
        self.authorityFingerprint = authorityFingerprint
        self.secret = secret
        self.expiresAt = WallClock(milliseconds: max(expiresAt.milliseconds, 0))
        self.addresses = addresses
    }

    /// Checks what a code is to carry, before an invitation is made for it.
    /// - Throws: `malformed` for no address, too many, or one that is not HOST:PORT.
    public static func check(addresses: [String]) throws(TrustError) {
        guard (1...greatestAddresses).contains(addresses.count) else {
            throw malformed(
                "make", "it has \(addresses.count) addresses, and 1 to \(greatestAddresses) are possible",
                "name where this node can be reached with --address HOST:PORT")
        }
        for address in addresses where !isAddress(address) {
            throw malformed(
                "make",
                "\"\(address)\" is not HOST:PORT in at most \(greatestAddressBytes) printable ASCII characters, with a port from 1 on",
                "give addresses such as desk.example.org:7440")
        }
    }

    /// Reads a code as a person pasted or typed it: white space and case do not matter. Does not ask what time it is.
    /// - Throws: `malformed`, with what is wrong with the text.
    public init(text: String) throws(TrustError) {
        let again = "copy the whole code again, from \"\(Self.prefix)\" to its end"
        guard text.utf8.count <= Self.greatestTextBytes else {
            throw Self.malformed("read", "it is longer than any code", again)
        }
        let compact = text.filter { !$0.isWhitespace }
        guard compact.lowercased().hasPrefix(Self.prefix) else {
            let isOther = compact.lowercased().hasPrefix("syncnode-invite-")
            throw isOther
                ? Self.malformed("read", "it is of a version that this program does not know", "update syncnode")
                : Self.malformed("read", "it does not begin with \"\(Self.prefix)\"", again)
        }
        let bytes: [UInt8]
        do {
            bytes = try Base32.decode(compact.dropFirst(Self.prefix.count))
        } catch {
            switch error {
            case .character(let character, let position):
                let shown = character.isASCII && character >= " " ? "\"\(character)\"" : "a character"
                throw Self.malformed("read", "\(shown), \(position) after the colon, is not used in codes", again)
            case .length:
                throw Self.malformed("read", "a character is missing or too many", again)
            }
        }
        guard bytes.count > 4, Self.checksum(Array(bytes.dropLast(4))) == Array(bytes.suffix(4)) else {
            throw Self.malformed("read", "it was mistyped or cut short: its checksum does not fit", again)
        }
        guard let code = Self.decode(bytes.dropLast(4)) else {
            throw Self.malformed("read", "its checksum fits but its contents do not", "ask for a new code")
        }
        self = code
    }

    /// One line to copy and paste: the prefix and base 32.
    public var text: String {
        var writer = ByteWriter()
        writer.append(workspace.bytes)
        writer.append(authorityFingerprint.bytes)
        writer.append(secret.bytes)
        writer.append(UInt64(expiresAt.milliseconds))
        writer.append(UInt8(addresses.count))
        for address in addresses {
            writer.append(UInt8(address.utf8.count))
            writer.append(Array(address.utf8))
        }
        return Self.prefix + Base32.encode(writer.bytes + Self.checksum(writer.bytes))
    }

    /// - Throws: `expired`.
    public func check(at now: WallClock) throws(TrustError) {
        guard now <= expiresAt else {
            throw TrustError(
                .expired, "use", "the invitation code",
                cause: "it was valid until \(rfc3339(expiresAt)), and this machine's clock says \(rfc3339(now))",
                nextStep: "ask for a new code, or check the clock")
        }
    }

    /// Checks that `authority` is the one the code names: to be asked of the answer to a join request.
    /// - Throws: `otherAuthority` or `otherWorkspace`.
    public func check(_ authority: AuthorityCertificate) throws(CertificateRefusal) {
        guard authority.fingerprint == authorityFingerprint else {
            throw CertificateRefusal(
                .otherAuthority,
                "the authority of workspace \"\(authority.name)\" is not the one that the invitation code names; "
                    + "check the address, or ask for a new code")
        }
        guard authority.workspace == workspace else {
            throw CertificateRefusal(
                .otherWorkspace, "the invitation code names another workspace than its authority; ask for a new code")
        }
    }

    private static func decode(_ bytes: ArraySlice<UInt8>) -> InvitationCode? {
        var reader = ByteReader(bytes)
        guard let workspace = reader.take(16).flatMap({ WorkspaceID(bytes: $0) }),
            let fingerprint = reader.take(32).flatMap({ Digest(bytes: $0) }),
            let secret = reader.take(16), let expiry = reader.takeUInt64(),
            let expiresAt = Int64(exactly: expiry), let count = reader.takeUInt8()
        else { return nil }
        var addresses: [String] = []
        for _ in 0..<count {
            guard let length = reader.takeUInt8(), let bytes = reader.take(Int(length)),
                let address = String(validating: bytes, as: UTF8.self)
            else { return nil }
            addresses.append(address)
        }
        guard reader.rest.isEmpty else { return nil }
        // Whatever it breaks of the form, it is no code.
        return try? InvitationCode(
            workspace: workspace, authorityFingerprint: fingerprint, secret: InvitationSecret(bytes: Array(secret)),
            expiresAt: WallClock(milliseconds: expiresAt), addresses: addresses)
    }

    private static func checksum(_ payload: [UInt8]) -> [UInt8] {
        Array(SHA256.digest(Array(prefix.utf8) + payload).bytes.prefix(4))
    }

    private static func isAddress(_ text: String) -> Bool {
        guard text.utf8.count <= greatestAddressBytes, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            let colon = text.lastIndex(of: ":"), colon != text.startIndex,
            let port = UInt16(text[text.index(after: colon)...])
        else { return false }
        return port > 0
    }

    private static func malformed(_ operation: String, _ cause: String, _ nextStep: String) -> TrustError {
        TrustError(.malformed, operation, "the invitation code", cause: cause, nextStep: nextStep)
    }
}
