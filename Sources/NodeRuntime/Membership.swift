// Becoming and making members: a workspace's first node, invitations, joining with and without a network, revocation.
//
// Invariant: a node's identity is on disk before its replica is made, and what was broken off between the two goes on when it
// is repeated; the certificate of a new member is in the roster before it is handed out.

internal import Foundation
internal import PeerTransport
internal import ReplicaStore
public import ReplicationModel
internal import ReplicationWire
public import Trust
internal import NIOCore
internal import NIOPosix

extension Node {
    // MARK: A new workspace

    /// Makes a workspace with this node as its first, an admin.
    public static func initialize(
        _ directory: String, workspace: String, name: String, tables: [Table],
        clock: @escaping @Sendable () -> WallClock = systemClock
    ) throws -> Node {
        let premises = Premises(directory)
        let identity: IdentityDirectory
        if premises.hasIdentity {
            identity = try openIdentity(directory)
            try check(identity, isOfTheSame: workspace, name, premises)
        } else {
            try premises.checkMayMakeIdentity(to: "make a workspace in")
            try makeDirectory(directory)
            identity = try IdentityDirectory.initialize(
                path: identityPath(directory), workspaceName: workspace, nodeName: name, now: clock())
        }
        return try makeReplica(directory, identity, records: [], tables: tables, clock: clock)
    }

    /// Throws unless making this workspace was broken off before it had a replica: then it goes on.
    private static func check(
        _ identity: IdentityDirectory, isOfTheSame workspace: String, _ name: String, _ premises: Premises
    ) throws {
        let operation = "make a workspace in"
        guard let certificate = identity.certificate, let authority = identity.authority else {
            throw TrustError(
                .alreadyExists, operation, premises.directory,
                cause: "there is a node already, which waits to be admitted to another",
                nextStep: "go on with `syncnode join`, or use another --data directory")
        }
        guard !premises.hasReplica, !premises.hadReplica, identity.holdsAuthority, certificate.name == name,
            authority.name == workspace
        else { throw premises.alreadyMember(certificate, of: authority, to: operation) }
    }

    private static func makeDirectory(_ directory: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw TrustError(
                .inputOutput, "make the directory", directory, cause: error.localizedDescription,
                nextStep: "choose a --data directory that you may write to")
        }
    }

    /// Makes an empty replica for an identity whose replica is lost, under a new incarnation: what this node wrote before
    /// comes back from its peers.
    ///
    /// - Parameter peers: HOST:PORT each; where peers are is lost with the replica.
    public static func recover(
        _ directory: String, peers: [String] = [], tables: [Table],
        clock: @escaping @Sendable () -> WallClock = systemClock
    ) throws -> Node {
        let identity = try openIdentity(directory)
        let addresses = try peers.map { try Endpoint($0).description }
        let node = try makeReplica(directory, identity, records: [], isLost: true, tables: tables, clock: clock)
        for address in addresses { try node.replica.addAddress(address) }
        return node
    }

    /// - Parameter isLost: whether the node had a replica; nil: as its high-water mark says.
    private static func makeReplica(
        _ directory: String, _ identity: IdentityDirectory, records: [[UInt8]], isLost: Bool? = nil, tables: [Table],
        clock: @escaping @Sendable () -> WallClock
    ) throws -> Node {
        let (certificate, authority) = try identity.membership()
        let isLost = isLost ?? Premises(directory).hadReplica
        let replica = try Replica.create(
            at: replicaPath(directory), workspace: Workspace(id: authority.workspace, name: authority.name),
            key: identity.key, incarnation: UInt64.random(in: 1...UInt64.max), tables: tables,
            mark: highWaterMark(identity), clock: clock)
        let merge = Roster(authority: authority).merging(records: [certificate.der] + records)
        try replica.addRosterRecords(merge.roster.records.map(\.bytes))
        if isLost { try replica.noteRecovery() }
        return try Node(directory: directory, identity: identity, replica: replica, clock: clock)
    }

    // MARK: Inviting and admitting

    /// Makes a one-time code for a new node.
    ///
    /// - Parameters:
    ///   - addresses: where this node is reached; where none is given, where it last served.
    public func invite(_ name: String, role: MemberRole, validFor seconds: Int64, addresses: [String]) throws
        -> InvitationCode
    {
        _ = try identity.certificateAuthority()
        guard admitsNodes else {
            throw TrustError(
                .refused, "invite", "\"\(name)\"",
                cause:
                    "this node holds the authority's key, but its certificate is a \(certificate.role.rawValue)'s, and nobody joins through a node that is no admin",
                nextStep:
                    "make it one, here: `syncnode join --request FILE`, `syncnode admit FILE --role admin --out CERT`, `syncnode join --certificate CERT`; then start `syncnode serve` again"
            )
        }
        guard clock().milliseconds / 1000 <= certificate.notAfter.milliseconds / 1000 else {
            throw TrustError(
                .refused, "invite", "\"\(name)\"",
                cause:
                    "this node's own certificate ran out at \(rfc3339(certificate.notAfter)), so nobody could join through it",
                nextStep:
                    "renew it, here: `syncnode join --request FILE`, `syncnode admit FILE --out CERT`, `syncnode join --certificate CERT`; then start `syncnode serve` again"
            )
        }
        if refreshRosterHas(name) {
            throw TrustError(
                .refused, "invite", "\"\(name)\"", cause: "a node of this name is in the workspace",
                nextStep: "choose another name, or revoke that node first")
        }
        let reachable = try addresses.isEmpty ? knownAddresses() : addresses.map { try Endpoint($0).description }
        guard !reachable.isEmpty else {
            throw TrustError(
                .refused, "invite", "\"\(name)\"", cause: "it is not known where this node can be reached",
                nextStep: "name it with --address HOST:PORT, or run `syncnode serve` once")
        }
        // Before the invitation is kept: one whose code was never made would stay for ever.
        try InvitationCode.check(addresses: reachable)
        let now = clock()
        let expiresAt = WallClock(milliseconds: now.milliseconds + seconds * 1000)
        let (_, secret) = try identity.invitations.create(name: name, role: role, now: now, expiresAt: expiresAt)
        return try InvitationCode(
            workspace: certificate.workspace, authorityFingerprint: authority.fingerprint, secret: secret,
            expiresAt: expiresAt, addresses: reachable)
    }

    private func refreshRosterHas(_ name: String) -> Bool {
        roster.members(named: name).contains { !$0.isRevoked }
    }

    private func knownAddresses() throws -> [String] {
        try replica.note("served_at").map { [$0] } ?? []
    }

    /// Gives the node that made a request its certificate.
    ///
    /// - Parameters:
    ///   - request: PEM, as `join --request` wrote it.
    ///   - name: nil takes the name in the request.
    ///   - role: nil leaves a member the role it has, and makes anybody else a writer.
    public func admit(request pem: [UInt8], name: String?, role: MemberRole?) throws -> AdmissionFile {
        let request = try CertificateRequest(pem: pem)
        let certificate = try admittingAlone { roster in
            let present = roster.member(request.publicKey.nodeID)?.role
            return try issue(to: request, name: name ?? request.name, role: role ?? present ?? .writer, roster)
        }
        return AdmissionFile(certificate: certificate, authority: authority, roster: try refreshRoster())
    }

    /// Whether somebody may be admitted is asked of the roster, and then the roster is written: between the two nobody else
    /// admits, in another session or another program.
    private func admittingAlone<Result>(_ body: (Roster) throws -> Result) throws -> Result {
        try identity.alone("admit a node with") { try body(refreshRoster()) }
    }

    private func issue(to request: CertificateRequest, name: String, role: MemberRole, _ roster: Roster) throws
        -> Certificate
    {
        let authority = try identity.certificateAuthority()
        try roster.checkMayIssue(to: request.publicKey, name: name, role: role)
        let certificate = try authority.issue(to: request.publicKey, name: name, role: role, now: clock())
        try replica.addRosterRecords([certificate.der])
        try refreshRoster()
        return certificate
    }

    /// Gives the holder of an invitation its certificate. One who asks again, since the answer was lost on the way, is given
    /// one that it was given before: each certificate is a record that every node keeps for ever. Which of several lasts
    /// longest does not matter: that one may have been made while this clock ran ahead, and not be valid yet.
    private func admit(_ invitation: Invitation, _ request: CertificateRequest) throws -> Certificate {
        try admittingAlone { roster in
            let now = clock()
            let given = roster.member(request.publicKey.nodeID)?.certificates.last { certificate in
                certificate.name == invitation.name && certificate.role == invitation.role
                    && (try? certificate.check(at: now)) != nil
            }
            if let given, roster.member(given.nodeID)?.isRevoked == false { return given }
            return try issue(to: request, name: invitation.name, role: invitation.role, roster)
        }
    }

    /// Of the roster's records as many as one frame holds: first who is revoked, so that whoever joins has no session with
    /// them, then whose answer this is. What is left out comes with the first exchange.
    private func recordsForJoining() throws -> [[UInt8]] {
        let records = try replica.rosterRecords()
        let revocations = records.filter { $0.starts(with: Revocation.magic) }
        let certificates = records.filter { !$0.starts(with: Revocation.magic) && $0 != certificate.der }
        return Array((revocations + [certificate.der] + certificates).prefix(FrameLimits.rosterRecordsInFrame))
    }

    // MARK: Joining over the network

    /// Checks that a node can begin in a directory, before somebody is asked for a code.
    public static func checkMayJoin(_ directory: String) throws {
        let premises = Premises(directory)
        // What a member does with a code depends on the code.
        guard try !premises.hasIdentity || openIdentity(directory).certificate == nil else { return }
        try premises.checkMayJoin()
    }

    /// Joins with a one-time code: makes the key here, proves the secret, and gets the certificate. Where that was broken off
    /// after the certificate came, it goes on from there.
    public static func join(
        _ directory: String, code text: String, tables: [Table],
        clock: @escaping @Sendable () -> WallClock = systemClock
    ) async throws -> Node {
        let code = try InvitationCode(text: text)
        if let node = try goOnJoining(directory, code, tables, clock) { return node }
        try code.check(at: clock())
        try Premises(directory).checkMayJoin()
        try makeDirectory(directory)
        var identity = try IdentityDirectory.prepareToJoin(path: identityPath(directory))
        let request = try identity.request(name: hostLabel())
        let (answer, server, address) = try await askToJoin(code, request, clock)
        let admitted = try Certificate(der: answer.certificate)
        let authority = try AuthorityCertificate(der: answer.authority)
        guard authority.fingerprint == code.authorityFingerprint, authority.workspace == code.workspace else {
            throw TrustError(
                .mismatch, "join", "workspace \(code.workspace)",
                cause: "the answer is another authority's than the code's",
                nextStep: "ask for a new code, and tell who runs \(address)")
        }
        try identity.install(admitted, authority: authority)
        let node = try makeReplica(directory, identity, records: answer.rosterRecords, tables: tables, clock: clock)
        for address in code.addresses { try node.replica.addAddress(address) }
        if let server { try node.replica.setNode(server, at: address) }
        return node
    }

    /// Makes what a join with this code that was broken off did not come to: the replica, or what it knows of addresses.
    ///
    /// - Returns: nil where the node is no member yet.
    /// - Throws: `alreadyExists` where it is, and nothing was broken off, or not with a code of this workspace.
    private static func goOnJoining(
        _ directory: String, _ code: InvitationCode, _ tables: [Table], _ clock: @escaping @Sendable () -> WallClock
    ) throws -> Node? {
        let premises = Premises(directory)
        guard premises.hasIdentity, case let identity = try openIdentity(directory),
            let certificate = identity.certificate, let authority = identity.authority
        else { return nil }
        let alreadyMember = premises.alreadyMember(certificate, of: authority, to: "join from")
        guard authority.fingerprint == code.authorityFingerprint, authority.workspace == code.workspace else {
            throw alreadyMember
        }
        let node: Node
        if premises.hasReplica {
            // One that cannot be opened, or is in use, is none that a join left unfinished.
            guard let present = try? open(directory, tables: tables, clock: clock),
                try present.replica.addresses().isEmpty
            else { throw alreadyMember }
            node = present
        } else {
            node = try makeReplica(directory, identity, records: [], tables: tables, clock: clock)
        }
        for address in code.addresses { try node.replica.addAddress(address) }
        return node
    }

    private static func hostLabel() -> String {
        let host = ProcessInfo.processInfo.hostName
        return host.isEmpty ? "node" : String(host.prefix(64))
    }

    /// Asks at each address of a code in turn.
    private static func askToJoin(
        _ code: InvitationCode, _ request: CertificateRequest, _ clock: @escaping @Sendable () -> WallClock
    ) async throws -> (JoinResponse, server: NodeID?, address: String) {
        let context = TLSContext(
            joining: code.workspace, fingerprint: code.authorityFingerprint, clock: clock)
        let dialer = PeerDialer(group: MultiThreadedEventLoopGroup.singleton)
        var failure: (any Error)?
        for address in code.addresses {
            do {
                let link = try await dialer.dial(Endpoint(address), context: context, offering: .join)
                do {
                    let response = try await askToJoin(over: link, code, request)
                    await link.close()
                    return (response, link.peer?.nodeID, address)
                } catch {
                    await link.close()
                    throw error
                }
            } catch let error as TrustError {
                throw error
            } catch {
                failure = error
            }
        }
        throw failure
            ?? TrustError(
                .notFound, "join", "workspace \(code.workspace)", cause: "the code names no address",
                nextStep: "ask for a new code")
    }

    private static func askToJoin(
        over link: PeerLink, _ code: InvitationCode, _ request: CertificateRequest
    ) async throws -> JoinResponse {
        let exporter = try await link.exportKeyingMaterial(
            label: JoinProofKey.exporterLabel, count: JoinProofKey.exporterBytes)
        let proof = code.secret.proofKey.proof(exporter: exporter, request: request.der)
        try await link.send([
            .joinRequest(
                JoinRequest(
                    certificateRequest: request.der, invitation: code.secret.invitationID.bytes, proof: proof))
        ])
        switch try await link.next()?.frame {
        case .joinResponse(let response): return response
        case .error(let notice) where notice.code == .internal || notice.code == .busy:
            throw NodeError(
                .busy,
                "Cannot join workspace \(code.workspace) now: \(link.remoteAddress) says: \(notice.message). Try again later, with the same code."
            )
        case .error(let notice):
            throw TrustError(
                .refused, "join", "workspace \(code.workspace)", cause: notice.message, nextStep: "ask for a new code")
        default:
            throw TrustError(
                .refused, "join", "workspace \(code.workspace)",
                cause: "\(link.remoteAddress) did not answer the request",
                nextStep: "try again; if it stays so, look at that node's log")
        }
    }

    /// Answers one who wants to join.
    func answerJoin(over link: PeerLink) async throws -> Certificate {
        guard case .joinRequest(let wish) = try await link.next()?.frame,
            let invitationID = InvitationID(bytes: wish.invitation)
        else {
            throw TrustError(
                .malformed, "admit", link.remoteAddress, cause: "it sent no join request",
                nextStep: "nothing need be done")
        }
        do {
            let exporter = try await link.exportKeyingMaterial(
                label: JoinProofKey.exporterLabel, count: JoinProofKey.exporterBytes)
            let (admitted, records) = try await BlockingWork.run { [self] in
                let request = try CertificateRequest(der: wish.certificateRequest)
                let invitation = try identity.invitations.redeem(
                    invitationID, proof: wish.proof, exporter: exporter, request: request, now: clock())
                return (try admit(invitation, request), try recordsForJoining())
            }
            try await link.send([
                .joinResponse(
                    JoinResponse(
                        workspace: certificate.workspace, workspaceName: authority.name, certificate: admitted.der,
                        authority: authority.der, rosterRecords: records))
            ])
            return admitted
        } catch {
            // Where that cannot be sent either, what is worth knowing is still why nobody was admitted.
            try? await link.send([.error(Self.told(of: error))])
            throw error
        }
    }

    /// What one who is not let in is told: nothing of this machine, and not whether there is such an invitation.
    private static func told(of error: any Error) -> ErrorNotice {
        switch (error as? TrustError)?.code {
        case .alreadyUsed, .expired, .refused, .malformed:
            ErrorNotice(code: .refused, message: (error as? TrustError)?.cause ?? "")
        case .notFound, .wrongProof:
            ErrorNotice(code: .refused, message: "this node gave out no such invitation")
        default:
            ErrorNotice(code: .internal, message: "this node cannot admit anybody now; its log says why")
        }
    }

    // MARK: Joining with files

    /// Makes this node's key, and the request to be carried to an admin node. A member asks for a new certificate.
    ///
    /// - Parameter name: nil asks for the name it has, or else for this machine's.
    public static func joinRequest(_ directory: String, name: String?) throws -> CertificateRequest {
        let premises = Premises(directory)
        if !premises.hasIdentity { try premises.checkMayMakeIdentity(to: "join from") }
        try makeDirectory(directory)
        let identity = try IdentityDirectory.prepareToAsk(path: identityPath(directory))
        return try identity.request(name: name ?? identity.certificate?.name ?? hostLabel())
    }

    /// Takes in what an admin node made of the request: a new node's first certificate, or a member's new one.
    public static func join(
        _ directory: String, admission pem: [UInt8], tables: [Table],
        clock: @escaping @Sendable () -> WallClock = systemClock
    ) throws -> Node {
        let admission = try AdmissionFile(pem: pem)
        var identity = try IdentityDirectory.open(path: identityPath(directory))
        let premises = Premises(directory)
        try premises.checkNoLogAlone(to: "join from")
        guard premises.hasReplica else {
            try identity.install(admission.certificate, authority: admission.authority)
            return try makeReplica(directory, identity, records: admission.records, tables: tables, clock: clock)
        }
        // Before anything is installed: it may be another node's, or another workspace's.
        let replica = try Replica.open(
            at: replicaPath(directory), key: identity.key, tables: tables, mark: highWaterMark(identity), clock: clock)
        try check(replica, isOf: admission.authority)
        try identity.install(admission.certificate, authority: admission.authority)
        let node = try Node(directory: directory, identity: identity, replica: replica, clock: clock)
        let merge = node.roster.merging(records: admission.records)
        try node.replica.addRosterRecords(merge.added.map(\.bytes))
        try node.refreshRoster()
        return node
    }
}
