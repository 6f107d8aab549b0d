import Foundation
import ReplicationModel
import Testing

@testable import Trust

@Suite struct IdentityDirectoryTests {
    private func code<Result>(_ body: () throws(TrustError) -> Result) -> TrustError.Code? { failure(body)?.code }

    @Test func aNewWorkspaceHasOneAdmin() throws {
        try withScratchDirectory { scratch in
            let path = scratch + "/identity"
            let made = try IdentityDirectory.initialize(
                path: path, workspaceName: "Desk", nodeName: "Wien", now: now)
            let opened = try IdentityDirectory.open(path: path)
            let (certificate, authority) = try opened.membership()
            #expect(certificate == made.certificate)
            #expect(certificate.name == "Wien" && certificate.role == .admin)
            #expect(authority.name == "Desk")
            #expect(opened.node == certificate.nodeID)
            #expect(opened.holdsAuthority)
            #expect(try opened.certificateAuthority().certificate == authority)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: path).sorted() == [
                    "authority-key.pem", "authority.pem", "certificate.pem", "key.pem",
                ])
            #expect(try mode(of: path) == 0o700)
            #expect(try mode(of: path + "/key.pem") == 0o600)
            #expect(try mode(of: path + "/authority-key.pem") == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: scratch) == ["identity"])
        }
    }

    @Test func anIdentityIsNeverReplaced() throws {
        try withScratchDirectory { scratch in
            let path = scratch + "/identity"
            let first = try IdentityDirectory.initialize(path: path, workspaceName: "Desk", nodeName: "a", now: now)
            #expect(
                code { () throws(TrustError) in
                    try IdentityDirectory.initialize(path: path, workspaceName: "Desk", nodeName: "b", now: now)
                } == .alreadyExists)
            #expect(code { () throws(TrustError) in try IdentityDirectory.prepareToJoin(path: path) } == .alreadyExists)
            #expect(try IdentityDirectory.open(path: path).certificate == first.certificate)
            #expect(try FileManager.default.contentsOfDirectory(atPath: scratch) == ["identity"])
        }
    }

    @Test func aBadNameLeavesNothingBehind() throws {
        try withScratchDirectory { scratch in
            #expect(
                code { () throws(TrustError) in
                    try IdentityDirectory.initialize(
                        path: scratch + "/identity", workspaceName: "Desk", nodeName: "a:b", now: now)
                } == .invalidName)
            let left = try FileManager.default.contentsOfDirectory(atPath: scratch)
            #expect(left.isEmpty)
        }
    }

    /// Without a network: request, admit, install, through the files alone.
    @Test func aNodeJoinsByFiles() throws {
        try withScratchDirectory { scratch in
            let admin = try IdentityDirectory.initialize(
                path: scratch + "/admin", workspaceName: "Desk", nodeName: "Wien", now: now)
            var node = try IdentityDirectory.prepareToJoin(path: scratch + "/node")
            #expect(code { () throws(TrustError) in try node.membership() } == .notFound)
            // Asking again asks for the same key.
            #expect(try IdentityDirectory.prepareToJoin(path: scratch + "/node").node == node.node)

            let request = try CertificateRequest(pem: node.request(name: "Graz").pem)
            let authority = try admin.certificateAuthority()
            let issued = try authority.issue(to: request.publicKey, name: request.name, role: .writer, now: now)
            let roster = Roster(authority: authority.certificate).merging(
                records: [try admin.membership().certificate.der, issued.der]
            ).roster
            let file = AdmissionFile(certificate: issued, authority: authority.certificate, roster: roster)
            let read = try AdmissionFile(pem: file.pem)
            #expect(read == file)
            #expect(Roster(authority: read.authority).merging(records: read.records).roster == roster)

            try node.install(read.certificate, authority: read.authority)
            let opened = try IdentityDirectory.open(path: scratch + "/node")
            #expect(try opened.membership().certificate == issued)
            #expect(!opened.holdsAuthority)
            #expect(code { () throws(TrustError) in try opened.certificateAuthority() } == .notFound)

            let renewed = try authority.issue(to: request.publicKey, name: "Graz", role: .writer, now: now.plus(day))
            try node.install(renewed, authority: authority.certificate)
            #expect(try IdentityDirectory.open(path: scratch + "/node").certificate == renewed)
        }
    }

    @Test func aCertificateThatDoesNotFitIsNotInstalled() throws {
        try withScratchDirectory { scratch in
            let workspace = try Workspace()
            let other = try Workspace(id: workspace.certificate.workspace)
            var node = try IdentityDirectory.prepareToJoin(path: scratch + "/node")
            let anothers = try workspace.admit().certificate
            let own = try workspace.authority.issue(to: node.key.publicKey, name: "n", role: .reader, now: now)
            let foreign = try other.authority.issue(to: node.key.publicKey, name: "n", role: .reader, now: now)
            #expect(
                code { () throws(TrustError) in try node.install(anothers, authority: workspace.certificate) }
                    == .mismatch)
            #expect(code { () throws(TrustError) in try node.install(own, authority: other.certificate) } == .mismatch)
            #expect(try IdentityDirectory.open(path: scratch + "/node").certificate == nil)
            try node.install(own, authority: workspace.certificate)
            #expect(
                code { () throws(TrustError) in try node.install(foreign, authority: other.certificate) } == .mismatch)
            #expect(try IdentityDirectory.open(path: scratch + "/node").certificate == own)
        }
    }

    @Test func anOpenDirectoryOrKeyIsRefusedWithTheRemedy() throws {
        try withScratchDirectory { scratch in
            let path = scratch + "/identity"
            _ = try IdentityDirectory.initialize(path: path, workspaceName: "Desk", nodeName: "a", now: now)
            try setMode(0o755, path)
            let directory = failure { () throws(TrustError) in try IdentityDirectory.open(path: path) }
            #expect(directory?.code == .exposedFile)
            #expect(directory?.nextStep == "run: chmod 700 '\(path)'")
            try setMode(0o700, path)
            try setMode(0o640, path + "/key.pem")
            let key = failure { () throws(TrustError) in try IdentityDirectory.open(path: path) }
            #expect(key?.nextStep == "run: chmod 600 '\(path)/key.pem'")
            try setMode(0o600, path + "/key.pem")
            try setMode(0o644, path + "/authority-key.pem")
            let opened = try IdentityDirectory.open(path: path)
            #expect(code { () throws(TrustError) in try opened.certificateAuthority() } == .exposedFile)
        }
    }

    @Test func partsThatDoNotBelongTogetherAreNoticed() throws {
        try withScratchDirectory { scratch in
            for name in ["a", "b"] {
                _ = try IdentityDirectory.initialize(
                    path: "\(scratch)/\(name)", workspaceName: "Desk", nodeName: name, now: now)
            }
            func swap(_ file: String) throws {
                let files = FileManager.default
                try files.moveItem(atPath: "\(scratch)/a/\(file)", toPath: "\(scratch)/kept")
                try files.copyItem(atPath: "\(scratch)/b/\(file)", toPath: "\(scratch)/a/\(file)")
            }
            func restore(_ file: String) throws {
                try FileManager.default.removeItem(atPath: "\(scratch)/a/\(file)")
                try FileManager.default.moveItem(atPath: "\(scratch)/kept", toPath: "\(scratch)/a/\(file)")
            }
            for file in ["key.pem", "certificate.pem", "authority.pem"] {
                try swap(file)
                #expect(
                    code { () throws(TrustError) in try IdentityDirectory.open(path: scratch + "/a") } == .mismatch,
                    "\(file)")
                try restore(file)
            }
            try swap("authority-key.pem")
            let opened = try IdentityDirectory.open(path: scratch + "/a")
            #expect(code { () throws(TrustError) in try opened.certificateAuthority() } == .mismatch)
            try Data("nonsense".utf8).write(to: URL(fileURLWithPath: scratch + "/a/certificate.pem"))
            #expect(code { () throws(TrustError) in try IdentityDirectory.open(path: scratch + "/a") } == .malformed)
        }
    }

    @Test func noIdentityIsSaidToBeNone() throws {
        try withScratchDirectory { scratch in
            #expect(code { () throws(TrustError) in try IdentityDirectory.open(path: scratch + "/none") } == .notFound)
            #expect(
                failure { () throws(CertificateRefusal) in try AdmissionFile(pem: Array("hello".utf8)) }?.code
                    == .malformed)
        }
    }
}
