import Foundation
import Testing

@testable import Trust

@Suite struct KeyFileTests {
    @Test func aSavedKeySignsAsBefore() throws {
        try withScratchDirectory { directory in
            let path = directory + "/key.pem"
            let key = SigningKey.generate()
            try key.save(path: path)
            #expect(try mode(of: path) == 0o600)
            let loaded = try SigningKey.load(path: path)
            #expect(loaded.publicKey == key.publicKey)
            #expect(loaded.sign([1, 2]) == key.sign([1, 2]))
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["key.pem"])
        }
    }

    @Test func aKeyIsNeverReplaced() throws {
        try withScratchDirectory { directory in
            let path = directory + "/key.pem"
            let first = SigningKey.generate()
            try first.save(path: path)
            let error = failure { () throws(TrustError) in try SigningKey.generate().save(path: path) }
            #expect(error?.code == .alreadyExists)
            #expect(try SigningKey.load(path: path).publicKey == first.publicKey)
        }
    }

    @Test(arguments: [0o640, 0o604, 0o660, 0o644, 0o777, 0o610])
    func aKeyThatOthersMayReachIsRefused(_ wrong: Int) throws {
        try withScratchDirectory { directory in
            let path = directory + "/key.pem"
            try SigningKey.generate().save(path: path)
            try setMode(wrong, path)
            let error = failure { () throws(TrustError) in try SigningKey.load(path: path) }
            #expect(error?.code == .exposedFile)
            #expect(error?.description.contains("chmod 600 '\(path)'") == true)
            try setMode(0o400, path)
            _ = try SigningKey.load(path: path)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give a file away"))
    func aKeyOfAnotherUserIsRefused() throws {
        try withScratchDirectory { directory in
            let path = directory + "/key.pem"
            try SigningKey.generate().save(path: path)
            #expect(chown(path, 65_534, 65_534) == 0)
            let error = failure { () throws(TrustError) in try SigningKey.load(path: path) }
            #expect(error?.code == .exposedFile)
            #expect(error?.description.contains("65534") == true)
        }
    }

    @Test func whatIsNoKeyFileIsRefused() throws {
        try withScratchDirectory { directory in
            func code(_ name: String) -> TrustError.Code? {
                failure { () throws(TrustError) in try SigningKey.load(path: directory + "/" + name) }?.code
            }
            #expect(code("absent.pem") == .notFound)
            try SigningKey.generate().save(path: directory + "/key.pem")
            try FileManager.default.createSymbolicLink(
                atPath: directory + "/link.pem", withDestinationPath: directory + "/key.pem")
            #expect(code("link.pem") == .exposedFile)
            #expect(mkfifo(directory + "/fifo.pem", 0o600) == 0)
            #expect(code("fifo.pem") == .malformed)
            for (name, contents) in [("empty.pem", ""), ("other.pem", Self.otherKey), ("locked.pem", Self.lockedKey)] {
                try Data(contents.utf8).write(to: URL(fileURLWithPath: directory + "/" + name))
                try setMode(0o600, directory + "/" + name)
                #expect(code(name) == .malformed, "\(name)")
            }
        }
    }

    /// An X25519 key: right form, wrong algorithm.
    private static let otherKey = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VuBCIEIPjoS6Rrbmu7A8yHZxDwqk9JaS2Z0CEXuPpt39ltO39W
        -----END PRIVATE KEY-----
        """

    /// An Ed25519 key behind a password, which must not be asked for.
    private static let lockedKey = """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiXwIGGVemtWQICCAAw
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEMvOEbCPr8oDDOtG0B/IhxIEQJJB
        CLpSPE1beVjhvVIh9GRMyMyFRRb3O8Yc4FQVps4tmGGNf6KcSZZfeKswPNjuAQh2
        +7VaKa4M5fW3ex/LdRA=
        -----END ENCRYPTED PRIVATE KEY-----
        """
}
