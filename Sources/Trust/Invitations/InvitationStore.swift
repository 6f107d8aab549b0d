// The invitations a node has given out, each one file, and each good for one node.
//
// Invariant: of any number of processes and threads that redeem one invitation for different nodes, one succeeds.

internal import Foundation
public import ReplicationModel

/// An invitation as the inviting node keeps it: with what checks a proof, and not with the secret itself.
public struct Invitation: Hashable, Sendable {
    /// Which one.
    public let id: InvitationID
    /// The name the joining node will have.
    public let name: String
    /// Its role.
    public let role: MemberRole
    /// When it was made.
    public let createdAt: WallClock
    /// After this nobody is let in with it.
    public let expiresAt: WallClock
    /// The node that used it; nil while nobody has.
    public internal(set) var usedBy: NodeID?
    let proofKey: JoinProofKey
}

/// The invitations of one identity directory: `invitations/ID.json`, and `ID.used` beside it once one is used.
public struct InvitationStore: Sendable {
    /// The directory.
    public let path: String

    init(path: String) { self.path = path }

    /// Keeps a new invitation, on disk when this returns.
    /// - Returns: the invitation and its secret, which is kept nowhere.
    /// - Throws: `invalidName` or `inputOutput`.
    public func create(name: String, role: MemberRole, now: WallClock, expiresAt: WallClock)
        throws(TrustError) -> (invitation: Invitation, secret: InvitationSecret)
    {
        try CertificateProfile.checkName(name, operation: "invite")
        let secret = InvitationSecret.random()
        let invitation = Invitation(
            id: secret.invitationID, name: name, role: role, createdAt: now, expiresAt: expiresAt,
            proofKey: secret.proofKey)
        if !SecureFile.exists(path) {
            do {
                try SecureFile.createDirectory(path: path, operation: "invite")
            } catch {
                // Another process made it just now.
                if error.code != .alreadyExists { throw error }
            }
        }
        try write(try Stored(invitation).encoded(), to: file(invitation.id), operation: "invite")
        return (invitation, secret)
    }

    /// Makes a file of this directory, and clears away what a program that broke off left of another: it holds a proof key.
    private func write(_ contents: [UInt8], to file: String, operation: String) throws(TrustError) {
        try SecureFile.whileLocked(directory: path, operation: operation) { () throws(TrustError) in
            SecureFile.removeUnfinishedFiles(in: path) { $0.hasSuffix(".json") || $0.hasSuffix(".used") }
            let result = contents.withUnsafeBytes { bytes in
                Result { () throws(TrustError) in
                    try SecureFile.create(path: file, contents: bytes, mode: 0o600, operation: operation)
                }
            }
            try result.get()
        }
    }

    /// The invitation with this id.
    /// - Throws: `notFound`, `exposedFile` or `malformed`.
    public func invitation(_ id: InvitationID) throws(TrustError) -> Invitation {
        guard SecureFile.exists(file(id)) else {
            throw TrustError(
                .notFound, "find", "invitation \(id)", cause: "this node gave out no such invitation",
                nextStep: "dial the node that made the code, or ask for a new one")
        }
        let contents = try SecureFile.withPrivateContents(path: file(id), operation: "read the invitation") {
            Array($0)
        }
        guard var invitation = Stored.decode(contents), invitation.id == id else {
            throw TrustError(
                .malformed, "read the invitation", file(id), cause: "it is not what syncnode wrote",
                nextStep: "delete it and invite again")
        }
        if SecureFile.exists(usedFile(id)) { invitation.usedBy = try usedBy(id) }
        return invitation
    }

    /// Every invitation, from the oldest to the newest.
    public func all() throws(TrustError) -> [Invitation] {
        guard SecureFile.exists(path) else { return [] }
        var invitations: [Invitation] = []
        for name in try SecureFile.names(inDirectory: path, operation: "list the invitations in")
        where name.hasSuffix(".json") {
            guard let bytes = Hexadecimal.decode(name.dropLast(5)), let id = InvitationID(bytes: bytes) else {
                continue
            }
            invitations.append(try invitation(id))
        }
        return invitations.sorted { $0.createdAt < $1.createdAt }
    }

    /// Checks a proof and uses up the invitation, on disk when this returns. The same key may redeem again, so that a
    /// node whose answer was lost on the way gets in.
    /// - Parameters:
    ///   - proof: as it stands in the join request.
    ///   - exporter: of this TLS session (`JoinProofKey.exporterLabel`).
    /// - Returns: the invitation: which name and role the certificate is to have.
    /// - Throws: `notFound`, `expired`, `wrongProof` or `alreadyUsed`.
    public func redeem(
        _ id: InvitationID, proof: [UInt8], exporter: [UInt8], request: CertificateRequest, now: WallClock
    ) throws(TrustError) -> Invitation {
        var invitation = try invitation(id)
        func refused(_ code: TrustError.Code, _ cause: String) -> TrustError {
            TrustError(
                code, "redeem", "the invitation of \"\(invitation.name)\"", cause: cause, nextStep: "invite again")
        }
        guard invitation.proofKey.isValid(proof, exporter: exporter, request: request.der) else {
            throw refused(.wrongProof, "the other side did not prove that it knows the secret")
        }
        guard now <= invitation.expiresAt else {
            throw refused(.expired, "it was valid until \(rfc3339(invitation.expiresAt))")
        }
        let node = request.publicKey.nodeID
        do {
            try write(Array("\(node)\n".utf8), to: usedFile(id), operation: "mark as used the invitation")
        } catch {
            guard error.code == .alreadyExists else { throw error }
            guard try usedBy(id) == node else { throw refused(.alreadyUsed, "another node has used it") }
        }
        invitation.usedBy = node
        return invitation
    }

    private func file(_ id: InvitationID) -> String { "\(path)/\(id).json" }
    private func usedFile(_ id: InvitationID) -> String { "\(path)/\(id).used" }

    private func usedBy(_ id: InvitationID) throws(TrustError) -> NodeID {
        let text = try SecureFile.withPrivateContents(path: usedFile(id), operation: "read the invitation") {
            Array($0)
        }
        guard let node = NodeID(String(decoding: text, as: UTF8.self).prefix { $0 != "\n" }) else {
            throw TrustError(
                .malformed, "read the invitation", usedFile(id), cause: "it names no node",
                nextStep: "leave it: the invitation counts as used; invite again")
        }
        return node
    }
}

/// The file's form.
private struct Stored: Codable {
    var version = 1
    let id: String
    let name: String
    let role: MemberRole
    let createdAtMs: Int64
    let expiresAtMs: Int64
    let proofKey: String

    enum CodingKeys: String, CodingKey {
        case version, id, name, role
        case createdAtMs = "created_at_ms"
        case expiresAtMs = "expires_at_ms"
        case proofKey = "proof_key"
    }

    init(_ invitation: Invitation) {
        id = invitation.id.description
        name = invitation.name
        role = invitation.role
        createdAtMs = invitation.createdAt.milliseconds
        expiresAtMs = invitation.expiresAt.milliseconds
        proofKey = Hexadecimal.encode(invitation.proofKey.bytes)
    }

    func encoded() throws(TrustError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            return [UInt8](try encoder.encode(self)) + [0x0a]
        } catch {
            preconditionFailure("strings and numbers cannot be written as JSON: \(error)")
        }
    }

    /// Nil where the file holds none: whoever reads it says which file.
    static func decode(_ contents: [UInt8]) -> Invitation? {
        guard let stored = try? JSONDecoder().decode(Stored.self, from: Data(contents)), stored.version == 1,
            let id = Hexadecimal.decode(stored.id).flatMap({ InvitationID(bytes: $0) }),
            let proofKey = Hexadecimal.decode(stored.proofKey), proofKey.count == 32
        else { return nil }
        return Invitation(
            id: id, name: stored.name, role: stored.role, createdAt: WallClock(milliseconds: stored.createdAtMs),
            expiresAt: WallClock(milliseconds: stored.expiresAtMs), proofKey: JoinProofKey(bytes: proofKey))
    }
}
