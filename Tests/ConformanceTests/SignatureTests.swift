// The signatures of the vectors, made by another implementation, are accepted here, and no others.
import ReplicationModel
import Testing
import Trust

@Suite struct VectorSignatureTests {
    private func bytes(_ hex: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = hex[...]
        while !rest.isEmpty {
            bytes.append(try #require(UInt8(rest.prefix(2), radix: 16)))
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    @Test func anotherImplementationsSignaturesAreAccepted() throws {
        let file = try VectorFile.load()
        let key = try #require(PublicKey(bytes: try bytes(file.key.public)))
        #expect("\(key.nodeID)" == file.key.node)
        #expect(!file.accepted.isEmpty)
        for vector in file.accepted {
            let digest = SHA256.digest(try bytes(vector.body))
            #expect("\(digest)" == vector.digest, "\(vector.name)")
            var signature = try bytes(vector.signature)
            #expect(ChangeSetSignature.verify(signature, bodyDigest: digest, publicKey: key), "\(vector.name)")
            signature[17] ^= 1
            #expect(!ChangeSetSignature.verify(signature, bodyDigest: digest, publicKey: key), "\(vector.name)")
        }
    }
}
