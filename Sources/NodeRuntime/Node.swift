// One node on this machine: its identity, its replica and its roster, opened together.
//
// Invariant: the replica, the key and the certificate of an open node belong together, and its roster holds the certificate.

public import ReplicaStore
public import ReplicationModel
public import Trust
internal import ReplicaExchange

/// A node, open. Its calls block; those of a service go through `BlockingWork`.
public final class Node: Sendable {
    /// `replica.sqlite` and `identity/` are in it.
    public let directory: String
    public let identity: IdentityDirectory
    public let certificate: Certificate
    public let authority: AuthorityCertificate
    public let replica: Replica
    public let clock: @Sendable () -> WallClock
    /// The replica and the roster, as sessions use them.
    let store: SessionStore
    /// Peers' questions about what this replica holds.
    let questions = QuestionGate()

    /// What this program calls itself in a greeting.
    public static let software = "syncnode 0.1.0"

    /// Opens the node that lives in a directory.
    ///
    /// - Parameter heedsMark: false opens a replica that does not agree with its high-water mark, to be looked at only.
    /// - Throws: `TrustError` or `ReplicaError`; `.notFound` and `.absent` where there is none.
    public static func open(
        _ directory: String, tables: [Table], heedsMark: Bool = true,
        clock: @escaping @Sendable () -> WallClock = systemClock
    ) throws -> Node {
        let identity = try openIdentity(directory)
        // Who is no member yet has no replica to miss.
        _ = try identity.membership()
        let replica = try Replica.open(
            at: replicaPath(directory), key: identity.key, tables: tables,
            mark: highWaterMark(identity), settles: heedsMark, clock: clock)
        return try Node(
            directory: directory, identity: identity, replica: replica, clock: clock,
            completesRoster: heedsMark)
    }

    /// - Parameter completesRoster: false changes nothing.
    init(
        directory: String, identity: IdentityDirectory, replica: Replica, clock: @escaping @Sendable () -> WallClock,
        completesRoster: Bool = true
    ) throws {
        let (certificate, authority) = try identity.membership()
        try Self.check(replica, isOf: authority)
        self.directory = directory
        self.identity = identity
        self.certificate = certificate
        self.authority = authority
        self.replica = replica
        self.clock = clock
        store = try SessionStore(replica: replica, authority: authority)
        // A program that was ended between the two left the certificate on disk and not in the roster.
        if completesRoster, store.roster[certificate.digest] == nil { try store.meet(certificate) }
    }

    /// The key may be the right one, and the replica still another workspace's.
    static func check(_ replica: Replica, isOf authority: AuthorityCertificate) throws(NodeError) {
        guard replica.workspace.id != authority.workspace else { return }
        throw NodeError(
            .refused,
            "Cannot use \(replica.path): it is of workspace “\(replica.workspace.name)” (\(replica.workspace.id)), and the certificate is of “\(authority.name)” (\(authority.workspace)). A node of two workspaces has a --data directory for each: put each replica beside the identity/ that it was made with. Or move this one away, with the -wal beside it, and keep both; `syncnode recover HOST:PORT` then makes one of “\(authority.name)”."
        )
    }

    static func openIdentity(_ directory: String) throws -> IdentityDirectory {
        do {
            return try IdentityDirectory.open(path: identityPath(directory))
        } catch  where error.code == .notFound {
            throw absence(of: directory)
        }
    }

    private static func absence(of directory: String) -> TrustError {
        let premises = Premises(directory)
        if premises.hasReplica, !premises.hasIdentity {
            return TrustError(
                .notFound, "open the node in", directory, cause: "identity/key.pem is missing beside replica.sqlite",
                nextStep:
                    "put identity/ back from its backup; if it is lost, nobody can be this node again: revoke it, join anew from another --data directory, and copy unsent edits with SQL"
            )
        }
        return TrustError(
            .notFound, "open the node in", directory, cause: "there is no identity in it",
            nextStep:
                "make a workspace with `syncnode init`, join one with `syncnode join` (which asks for the code), or name another --data directory"
        )
    }

    static func highWaterMark(_ identity: IdentityDirectory) -> HighWaterMarkFile {
        HighWaterMarkFile(directory: identity.path, node: identity.node)
    }

    static func replicaPath(_ directory: String) -> String { directory + "/replica.sqlite" }
    static func identityPath(_ directory: String) -> String { directory + "/identity" }

    /// This node's id.
    public var id: NodeID { identity.node }
    /// This node's name.
    public var name: String { certificate.name }

    // MARK: The roster

    /// The roster as last read: never blocks, so that a handshake may ask it.
    public var roster: Roster { store.roster }

    /// The forks that are proven, as last read.
    public var forks: [KnownFork] { store.forks }

    /// Reads the roster's records again where there are new ones.
    @discardableResult
    public func refreshRoster() throws -> Roster { try store.refreshRoster() }

    /// What people call a node: its name, or the first digits of its id.
    public func name(of node: NodeID) -> String {
        roster.member(node)?.name ?? String(node.description.prefix(12))
    }

    /// Finds a member by name, id, or unambiguous beginning of its id. A name that a revoked node left to another is the other's.
    ///
    /// - Throws: `NodeError` where several have the name, and nothing tells which is meant.
    public func member(named text: String) throws -> RosterMember? {
        let called = roster.members(named: text)
        let standing = called.filter { !$0.isRevoked }
        let meant = standing.isEmpty ? called : standing
        guard meant.count <= 1 else {
            let ids = meant.map { String($0.node.description.prefix(12)) }.joined(separator: ", ")
            throw NodeError(
                .usage, "\(meant.count) nodes are called “\(text)”: \(ids). Give the one that is meant by its id.")
        }
        if let member = meant.first { return member }
        let matches = roster.members.filter { text.count >= 4 && $0.node.description.hasPrefix(text.lowercased()) }
        return matches.count == 1 ? matches.first : nil
    }

    /// Whether invited nodes are let in here: whoever joins asks for an admin's certificate, and gets one of the authority's.
    var admitsNodes: Bool { identity.holdsAuthority && certificate.role == .admin }

    /// The settings of TLS sessions to and from this node.
    func tlsContext() throws -> TLSContext {
        try TLSContext(
            certificate: certificate, key: identity.key, authority: authority, acceptsJoins: admitsNodes, clock: clock,
            admission: { [self] (certificate, now) throws(CertificateRefusal) in
                try roster.checkMayConnect(certificate, now: now)
            })
    }
}
