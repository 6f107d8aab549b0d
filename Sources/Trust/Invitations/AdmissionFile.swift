// What an admin hands to a node that joins without a network.
//
// Invariant: the first certificate is the node's, the second its authority's; the rest is the roster.

/// The file that `admit --out` writes and `join --certificate` reads: PEM blocks.
public struct AdmissionFile: Hashable, Sendable {
    /// The certificate of the node that asked.
    public let certificate: Certificate
    /// The authority that signed it.
    public let authority: AuthorityCertificate
    /// Encoded roster records, so that the node knows the others' keys at once.
    public let records: [[UInt8]]

    private static let revocationLabel = "SYNCNODE REVOCATION"
    /// Far more nodes than a workspace has; bounds the memory a file can take.
    private static let greatestRecords = 65_536

    /// Puts a file together; the roster's records are those the admin node knows.
    public init(certificate: Certificate, authority: AuthorityCertificate, roster: Roster) {
        self.certificate = certificate
        self.authority = authority
        records = roster.records.map(\.bytes)
    }

    /// Reads such a file.
    /// - Throws: `malformed`, also where a record is damaged, or what is wrong between certificate and authority. What the
    ///   records say is left to `Roster.merging`.
    public init(pem: [UInt8]) throws(CertificateRefusal) {
        let limit = Self.greatestRecords
        // One more than there may be: what is over is not to be passed over.
        guard let all = PEM.decode(pem, limit: limit + 1), all.count <= limit else {
            throw CertificateRefusal(
                .malformed,
                "the file is damaged or cut off within a block, or has more than \(limit) of them; carry it over again")
        }
        let blocks = all.filter { $0.label == "CERTIFICATE" || $0.label == Self.revocationLabel }
        guard blocks.count >= 2, blocks.prefix(2).allSatisfy({ $0.label == "CERTIFICATE" }) else {
            throw CertificateRefusal(
                .malformed,
                "the file does not begin with a node's certificate and its authority's; "
                    + "name the file that `syncnode admit --out` wrote")
        }
        let certificate = try Certificate(der: blocks[0].bytes)
        let authority = try AuthorityCertificate(der: blocks[1].bytes)
        try certificate.check(issuedBy: authority)
        self.certificate = certificate
        self.authority = authority
        records = blocks.dropFirst(2).map(\.bytes)
    }

    /// The file's bytes.
    public var pem: [UInt8] {
        let first = [certificate.der, authority.der].map { PEM.Block(label: "CERTIFICATE", bytes: $0) }
        return PEM.encode(
            first
                + records.map {
                    let isRevocation = $0.starts(with: Revocation.magic)
                    return PEM.Block(label: isRevocation ? Self.revocationLabel : "CERTIFICATE", bytes: $0)
                })
    }
}
