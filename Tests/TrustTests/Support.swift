// What the tests of this target share: a workspace at a fixed time, scratch directories, and a pipe between engines.

import Foundation
import ReplicationModel
import Testing

@testable import Trust

let now = WallClock(milliseconds: 1_770_000_000_000)
let second: Int64 = 1000
let day: Int64 = 24 * 60 * 60 * 1000

extension WallClock {
    func plus(_ milliseconds: Int64) -> WallClock { WallClock(milliseconds: self.milliseconds + milliseconds) }
}

/// A node with the certificate it was given.
struct Node {
    let key: SigningKey
    let certificate: Certificate
    var id: NodeID { certificate.nodeID }
}

/// A workspace with its authority.
struct Workspace {
    let authority: CertificateAuthority
    var certificate: AuthorityCertificate { authority.certificate }
    var roster: Roster { Roster(authority: certificate) }

    init(named name: String = "Desk", id: WorkspaceID = .random()) throws {
        authority = try CertificateAuthority(workspace: id, workspaceName: name, now: now)
    }

    func admit(
        _ name: String = "node", _ role: MemberRole = .writer, key: SigningKey = .generate(), at time: WallClock = now
    ) throws -> Node {
        Node(key: key, certificate: try authority.issue(to: key.publicKey, name: name, role: role, now: time))
    }

    func context(for node: Node, acceptsJoins: Bool = false, roster: Roster? = nil, at time: WallClock = now)
        throws -> TLSContext
    {
        let roster = roster ?? self.roster
        return try TLSContext(
            certificate: node.certificate, key: node.key, authority: certificate, acceptsJoins: acceptsJoins,
            clock: { time },
            admission: { certificate, now throws(CertificateRefusal) in
                try roster.checkMayConnect(certificate, now: now)
            })
    }

    /// A certificate that this authority signs and no program of ours would make.
    func odd(
        name: String = "node", issuer: String? = nil, notBefore: WallClock = now, notAfter: WallClock = now.plus(day),
        key: SigningKey = .generate(), _ change: (inout [X509Extension]) -> Void = { _ in }
    ) -> [UInt8] {
        var extensions = CertificateAuthority.nodeExtensions(
            certificate.workspace, role: .writer, publicKey: key.publicKey, authority: certificate.publicKey)
        change(&extensions)
        return X509Template(
            serial: .random(), issuer: issuer ?? certificate.name, subject: name,
            notBefore: notBefore, notAfter: notAfter, publicKey: key.publicKey, extensions: extensions
        ).signed(with: authority.key)
    }
}

/// Gives a directory that is removed afterwards.
func withScratchDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.path + "/trust-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

func setMode(_ mode: Int, _ path: String) throws {
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
}

func mode(of path: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
}

/// Carries bytes between two engines until neither has more to say.
/// - Parameter reading: whether an engine that is open is asked for a byte, as its owner would, so that an alert comes
///   out; not where plaintext is on its way.
/// - Returns: why each side failed, if it did.
@discardableResult
func converse(_ client: TLSEngine, _ server: TLSEngine, pieces: Int = .max, reading: Bool = true)
    -> (client: TLSFailure?, server: TLSFailure?)
{
    var failures: (client: TLSFailure?, server: TLSFailure?) = (nil, nil)
    func carry(_ from: TLSEngine, _ to: TLSEngine) -> (moved: Bool, failure: TLSFailure?) {
        let bytes = from.takeOutput()
        var failure: TLSFailure?
        var rest = bytes[...]
        while !rest.isEmpty, failure == nil {
            do {
                try to.feed(Array(rest.prefix(pieces)))
                if reading, to.state == .open {
                    let plaintext = try to.read(upTo: 1)
                    #expect(plaintext.isEmpty)
                }
            } catch {
                failure = error
            }
            rest = rest.dropFirst(pieces)
        }
        return (!bytes.isEmpty, failure)
    }
    while true {
        let toServer = carry(client, server)
        let toClient = carry(server, client)
        failures.server = failures.server ?? toServer.failure
        failures.client = failures.client ?? toClient.failure
        if !toServer.moved && !toClient.moved { return failures }
    }
}

/// The failure that `read` gives, if it gives one.
func readFailure(_ engine: TLSEngine) -> TLSFailure? {
    do {
        _ = try engine.read(upTo: 1)
        return nil
    } catch {
        return error
    }
}

/// The error of one kind that `body` throws; nil where it throws none.
func failure<Result, Failure: Error>(_ body: () throws(Failure) -> Result) -> Failure? {
    do {
        _ = try body()
        return nil
    } catch {
        return error
    }
}
