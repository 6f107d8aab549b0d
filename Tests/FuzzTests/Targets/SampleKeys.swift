// Keys that are the same in every run, so that an input means the same in every process. They are public, and good for
// nothing else.
import Foundation
import Trust

enum SampleKeys {
    /// PKCS #8 of an Ed25519 key up to its 32 bytes (RFC 8410).
    private static let header: [UInt8] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]

    static func key(_ number: UInt8) -> SigningKey {
        do {
            return try withScratchDirectory { directory in
                let contents = Data(header + [UInt8](repeating: number, count: 32)).base64EncodedString()
                let pem = "-----BEGIN PRIVATE KEY-----\n\(contents)\n-----END PRIVATE KEY-----\n"
                let path = directory + "/key.pem"
                let isMade = FileManager.default.createFile(
                    atPath: path, contents: Data(pem.utf8), attributes: [.posixPermissions: 0o600])
                precondition(isMade, "cannot write \(path)")
                return try SigningKey.load(path: path)
            }
        } catch {
            preconditionFailure("cannot make a key: \(error)")
        }
    }

    /// Of the keys 3 and 4: whose histories are told, and somebody else's.
    static let publicKeys = [key(3).publicKey, key(4).publicKey]
}
