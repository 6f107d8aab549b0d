import Foundation
import ReplicationModel
import Synchronization
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

    /// What a node showed to others must not be taken for nothing, and be replaced by the next join.
    @Test func aCertificateWithoutItsAuthorityIsNoMissingCertificate() throws {
        try withScratchDirectory { scratch in
            let path = scratch + "/identity"
            _ = try IdentityDirectory.initialize(path: path, workspaceName: "Desk", nodeName: "a", now: now)
            try FileManager.default.removeItem(atPath: path + "/authority.pem")
            let error = failure { () throws(TrustError) in try IdentityDirectory.prepareToJoin(path: path) }
            #expect(error?.code == .malformed)
            #expect(error?.nextStep.contains("restore authority.pem") == true)
        }
    }

    private func write(_ path: String) throws {
        try Data("a private key".utf8).write(to: URL(fileURLWithPath: path))
    }

    @Test func whatWasLeftUnfinishedIsRemoved() throws {
        try withScratchDirectory { scratch in
            let files = FileManager.default
            let path = scratch + "/identity"
            let left = ["identity.new-0123456789abcdef", "identity.new-00000000000000ff"]
            // Other names, another's contents, and a link.
            let others = [
                "identity.new-0123456789abcde", "identity.new-0123456789ABCDEF", "identity.new-0123456789abcdef0",
                "identity-new-0123456789abcdef", "other.new-0123456789abcdef", "identity.new-aaaaaaaaaaaaaaaa",
            ]
            for name in left + others {
                try files.createDirectory(atPath: "\(scratch)/\(name)", withIntermediateDirectories: false)
            }
            for name in left + others.dropLast() { try write("\(scratch)/\(name)/key.pem") }
            try write("\(scratch)/\(left[0])/authority-key.pem.new-0123456789abcdef")
            try write("\(scratch)/\(others[5])/notes.txt")
            try files.createSymbolicLink(
                atPath: scratch + "/identity.new-bbbbbbbbbbbbbbbb", withDestinationPath: scratch + "/" + others[4])
            try write(scratch + "/identity.new-cccccccccccccccc")
            var node = try IdentityDirectory.prepareToJoin(path: path)
            let kept = others + ["identity", "identity.new-bbbbbbbbbbbbbbbb", "identity.new-cccccccccccccccc"]
            #expect(try files.contentsOfDirectory(atPath: scratch).sorted() == kept.sorted())
            #expect(files.fileExists(atPath: "\(scratch)/\(others[4])/key.pem"))

            // Within the directory, and once more beside it.
            let stale = ["key.pem.new-0123456789abcdef", "certificate.pem.new-0123456789abcdef"]
            let strange = ["key.pem.new-1", "notes.new-0123456789abcdef", "key.pem.new-0123456789abcdeg"]
            for name in stale + strange { try write("\(path)/\(name)") }
            try files.createDirectory(atPath: "\(scratch)/\(left[1])", withIntermediateDirectories: false)
            let workspace = try Workspace()
            let own = try workspace.authority.issue(to: node.key.publicKey, name: "n", role: .reader, now: now)
            try node.install(own, authority: workspace.certificate)
            #expect(
                try files.contentsOfDirectory(atPath: path).sorted()
                    == (strange + ["key.pem", "certificate.pem", "authority.pem"]).sorted())
            #expect(try files.contentsOfDirectory(atPath: scratch).sorted() == kept.sorted())
        }
    }

    /// Nobody takes what another is just making for what was left behind.
    @Test func ofManyThatMakeOneIdentityOneDoes() throws {
        try withScratchDirectory { scratch in
            for round in 0..<20 {
                let path = "\(scratch)/\(round)/identity"
                try FileManager.default.createDirectory(
                    atPath: "\(scratch)/\(round)", withIntermediateDirectories: false)
                let outcomes = Mutex<[TrustError.Code?]>([])
                DispatchQueue.concurrentPerform(iterations: 8) { index in
                    let outcome = code { () throws(TrustError) in
                        try IdentityDirectory.initialize(
                            path: path, workspaceName: "Desk", nodeName: "\(index)", now: now)
                    }
                    outcomes.withLock { $0.append(outcome) }
                }
                #expect(outcomes.withLock { $0.count { $0 == nil } } == 1)
                #expect(outcomes.withLock { $0.count { $0 == .alreadyExists } } == 7)
                #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch)/\(round)") == ["identity"])
            }
        }
    }

    /// A record that cannot be read takes none of those after it with it in silence.
    @Test func aDamagedAdmissionFileIsRefused() throws {
        let workspace = try Workspace()
        let nodes = try (0..<6).map { try workspace.admit("node \($0)") }
        let roster = workspace.roster.merging(records: nodes.map(\.certificate.der)).roster
        let file = AdmissionFile(
            certificate: nodes[0].certificate, authority: workspace.certificate, roster: roster)
        let text = String(decoding: file.pem, as: UTF8.self)
        #expect(try AdmissionFile(pem: Array(text.utf8)) == file)
        let around = "From: hq\r\n\r\n" + text.replacing("\n", with: "\r\n") + "-- \r\nhq\r\n"
        #expect(try AdmissionFile(pem: Array(around.utf8)) == file)
        var lines = text.split(separator: "\n").map(String.init)
        let begins = lines.indices.filter { lines[$0].hasPrefix("-----BEGIN") }
        func code(_ lines: some Sequence<String>) -> CertificateRefusal.Code? {
            let text = lines.map { $0 + "\n" }.joined()
            return failure { () throws(CertificateRefusal) in try AdmissionFile(pem: Array(text.utf8)) }?.code
        }
        #expect(code(lines.dropLast(1)) == .malformed, "cut off in the last block")
        #expect(code(lines[..<(begins[4] + 2)]) == .malformed, "cut off in the fifth block")
        lines[begins[3] + 1].replaceSubrange(
            lines[begins[3] + 1].startIndex...lines[begins[3] + 1].startIndex, with: "!")
        #expect(code(lines) == .malformed, "a character that is not of base 64 in the fourth block")
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
