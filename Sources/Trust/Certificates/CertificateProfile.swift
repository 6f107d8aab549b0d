// What this system's X.509 v3 certificates hold: extension numbers, their exact bytes, lifetimes and names.
//
// Invariant: the bytes here are what `Protocols/trust.md` states; builder and reader both take them from here.

internal import ReplicationModel

/// What a node may do in its workspace.
public enum MemberRole: String, Hashable, Sendable, CaseIterable, Codable {
    /// Receives, and writes nothing that others accept.
    case reader
    /// Receives and writes.
    case writer
    /// Writes, and may hold the authority's key: invites, admits and revokes.
    case admin

    /// Whether change sets of a node with this role are accepted.
    public var mayWrite: Bool { self != .reader }
}

enum CertificateProfile {
    /// 2.25 and a UUID (941fbefe-0cad-4b10-8f05-e8ea967f41af): an arc that needs no registration (ITU-T X.667).
    static let arc = "2.25.196890578364483420054359680536822104495"
    /// A UTF8String: the role's word.
    static let role = arc + ".1"
    /// An OCTET STRING of 16 bytes: the workspace's id.
    static let workspace = arc + ".2"

    static let basicConstraints = "2.5.29.19"
    static let keyUsage = "2.5.29.15"
    static let extendedKeyUsage = "2.5.29.37"
    static let subjectKeyIdentifier = "2.5.29.14"
    static let authorityKeyIdentifier = "2.5.29.35"

    /// Of a node: not an authority; digitalSignature; TLS server and client.
    static let nodeConstraints: [UInt8] = [0x30, 0x00]
    static let nodeKeyUsage: [UInt8] = [0x03, 0x02, 0x07, 0x80]
    static let nodeExtendedKeyUsage: [UInt8] =
        [0x30, 0x14] + [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01]
        + [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]
    /// Of an authority: an authority with no authority below it; keyCertSign and cRLSign.
    static let authorityConstraints: [UInt8] = [0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00]
    static let authorityKeyUsage: [UInt8] = [0x03, 0x02, 0x01, 0x06]

    /// A roster record, and so a certificate, is never larger (exchange.proto).
    static let greatestBytes = 16 << 10
    static let greatestRequestBytes = 4 << 10

    private static let dayMilliseconds: Int64 = 24 * 60 * 60 * 1000
    /// Two years: a node in a field office may meet an admin node once a year and must not be locked out between two
    /// such meetings. Time is not what takes a node's rights away; a revocation is.
    static let nodeValidityMilliseconds = 731 * dayMilliseconds
    /// Twenty years: replacing the authority means admitting every node anew, so it outlives the machines.
    static let authorityValidityMilliseconds = 7305 * dayMilliseconds
    /// Certificates begin this long before they are made, so that a node whose clock is as slow as replication
    /// tolerates can use its own at once.
    static let backdateMilliseconds = Limits.aheadMilliseconds

    /// Names are shown at terminals and named on command lines: 1 to 64 bytes of UTF-8, no controls, no invisible
    /// formatting, no white space at the ends; and no colon, which would make a node's name look like HOST:PORT.
    static func isValidName(_ name: String) -> Bool {
        guard (1...64).contains(name.utf8.count), let first = name.unicodeScalars.first,
            let last = name.unicodeScalars.last, !first.properties.isWhitespace, !last.properties.isWhitespace
        else { return false }
        return name.unicodeScalars.allSatisfy { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
            default: scalar != ":"
            }
        }
    }

    static func checkName(_ name: String, operation: String) throws(TrustError) {
        guard isValidName(name) else {
            throw TrustError(
                .invalidName, operation, "\"\(name.prefix(64).filter { $0.isASCII && $0 >= " " })\"",
                cause: "a name is 1 to 64 bytes long, without colons, control characters or white space at its ends",
                nextStep: "choose another name")
        }
    }
}

/// The few pieces of DER that are put together here.
enum DER {
    static func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = contents.count
        if rest < 128 {
            length = [UInt8(rest)]
        } else {
            while rest > 0 {
                length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
                rest >>= 8
            }
            length.insert(0x80 | UInt8(length.count), at: 0)
        }
        return [tag] + length + contents
    }

    static func sequence(_ contents: [UInt8]) -> [UInt8] { element(0x30, contents) }
    static func octetString(_ contents: [UInt8]) -> [UInt8] { element(0x04, contents) }
    static func utf8String(_ text: String) -> [UInt8] { element(0x0c, Array(text.utf8)) }

    /// A certificate from its signed part: AlgorithmIdentifier Ed25519, and the signature as a BIT STRING.
    static func signed(_ signedPart: [UInt8], signature: some Collection<UInt8>) -> [UInt8] {
        sequence(signedPart + [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70] + element(0x03, [0] + signature))
    }
}
