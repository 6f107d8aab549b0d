// What a directory holds before a node is made there, or joins.
//
// Invariant: nothing is asked for, used up or written before it is known that a replica can be made in the end.

internal import Foundation
internal import Trust

/// A directory in which a node is to begin.
struct Premises {
    let directory: String

    private var replica: String { Node.replicaPath(directory) }
    private var identity: String { Node.identityPath(directory) }

    init(_ directory: String) { self.directory = directory }

    /// Whether there is a replica. An empty file is none: a program may have been ended as it made one.
    var hasReplica: Bool { Self.holdsSomething(replica) }

    /// Whether the last edits of a replica are there, whose file is not.
    private var hasLogAlone: Bool { !hasReplica && Self.holdsSomething(replica + "-wal") }

    var hasIdentity: Bool { IdentityDirectory.exists(path: identity) }

    /// Whether this identity had a replica before.
    var hadReplica: Bool { FileManager.default.fileExists(atPath: identity + "/high-water-mark") }

    private static func holdsSomething(_ path: String) -> Bool {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0 > 0
    }

    /// Throws where a new identity would come to stand beside a replica, which is another's.
    func checkMayMakeIdentity(to operation: String) throws(TrustError) {
        guard hasReplica || hasLogAlone else { return }
        throw TrustError(
            .alreadyExists, operation, directory, cause: "\(present), and the identity/ that it was made with is not",
            nextStep:
                "put that identity/ back beside it; or, where it is lost, keep the replica and name another --data directory"
        )
    }

    /// Throws where a node that is no member yet would get a certificate, and then could make no replica.
    func checkMayJoin() throws(TrustError) {
        guard hasIdentity else { return try checkMayMakeIdentity(to: "join from") }
        guard hasReplica || hasLogAlone else { return }
        throw TrustError(
            .alreadyExists, "join from", directory, cause: "\(present), and the identity/ beside it has no certificate",
            nextStep:
                "if it is this key's replica, ask for its certificate again with `syncnode join --request FILE`; else keep it, and name another --data directory"
        )
    }

    /// Throws where a replica's last edits would be in the way of a new one.
    func checkNoLogAlone(to operation: String) throws(TrustError) {
        guard hasLogAlone else { return }
        throw TrustError(
            .alreadyExists, operation, directory, cause: present,
            nextStep: "move that file to where its replica is, under the same name with -wal behind it")
    }

    private var present: String {
        hasLogAlone ? "\(replica)-wal is there, with the last edits of the replica that was" : "\(replica) is there"
    }

    /// Why a node that is a member does not begin again.
    func alreadyMember(_ certificate: Certificate, of authority: AuthorityCertificate, to operation: String)
        -> TrustError
    {
        TrustError(
            .alreadyExists, operation, directory,
            cause: "this node is \"\(certificate.name)\" of workspace \"\(authority.name)\" already"
                + (hasReplica ? "" : ", and its replica is missing"),
            nextStep: hasReplica
                ? "use another --data directory for another workspace; if this one does not work, `syncnode doctor` says why"
                : "`syncnode recover HOST:PORT` makes the replica anew and fetches everything from that peer; use another --data directory for another workspace"
        )
    }
}
