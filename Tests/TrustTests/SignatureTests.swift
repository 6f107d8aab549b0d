import ReplicationModel
import Testing

@testable import Trust

@Suite struct SignatureTests {
    /// RFC 8032, 7.1, test 2.
    @Test func knownSignature() throws {
        let bytes = try #require(
            Hexadecimal.decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
        let signature = try #require(
            Hexadecimal.decode(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                    + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"))
        let key = try #require(PublicKey(bytes: bytes))
        #expect(key.isValidSignature(signature, for: [0x72]))
        #expect(!key.isValidSignature(signature, for: [0x73]))
        #expect(!key.isValidSignature(signature, for: []))
    }

    @Test func everyBitOfASignatureCounts() {
        let key = SigningKey.generate()
        let digest = SHA256.digest([1, 2, 3])
        let signature = ChangeSetSignature.sign(bodyDigest: digest, key: key)
        #expect(signature.count == 64)
        #expect(ChangeSetSignature.verify(signature, bodyDigest: digest, publicKey: key.publicKey))
        for bit in 0..<512 {
            var changed = signature
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!ChangeSetSignature.verify(changed, bodyDigest: digest, publicKey: key.publicKey), "bit \(bit)")
        }
        for count in [0, 63, 65] {
            let other = Array((signature + [0]).prefix(count))
            #expect(!ChangeSetSignature.verify(other, bodyDigest: digest, publicKey: key.publicKey))
        }
    }

    @Test func anotherKeyOrBodyDoesNotVerify() {
        let key = SigningKey.generate()
        let signature = ChangeSetSignature.sign(bodyDigest: SHA256.digest([1]), key: key)
        #expect(!ChangeSetSignature.verify(signature, bodyDigest: SHA256.digest([2]), publicKey: key.publicKey))
        let other = SigningKey.generate().publicKey
        #expect(!ChangeSetSignature.verify(signature, bodyDigest: SHA256.digest([1]), publicKey: other))
    }

    /// The bytes of replication.md, section 4, and no others.
    @Test func theContextIsPartOfWhatIsSigned() {
        let key = SigningKey.generate()
        let digest = SHA256.digest(Array("body".utf8))
        let signature = ChangeSetSignature.sign(bodyDigest: digest, key: key)
        #expect(key.publicKey.isValidSignature(signature, for: Array("syncnode change set v1\0".utf8) + digest.bytes))
        #expect(!key.publicKey.isValidSignature(signature, for: digest.bytes))
    }

    @Test func keysOfTheWrongShapeAreNone() {
        #expect(PublicKey(bytes: []) == nil)
        #expect(PublicKey(bytes: [UInt8](repeating: 9, count: 31)) == nil)
        #expect(PublicKey(bytes: [UInt8](repeating: 9, count: 33)) == nil)
    }

    /// Under the neutral element, this signature would fit every message.
    @Test func pointsOfSmallOrderAreNoKeys() throws {
        let neutral: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
        #expect(PublicKey(bytes: neutral) == nil)
        var negative = neutral
        negative[31] = 0x80
        #expect(PublicKey(bytes: negative) == nil)
        let orderEight = try #require(
            Hexadecimal.decode("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"))
        #expect(PublicKey(bytes: orderEight) == nil)
    }

    @Test func aNodeIsNamedByItsKey() throws {
        let key = SigningKey.generate().publicKey
        #expect(NodeID(publicKey: key).bytes == Array(SHA256.digest(key.bytes).bytes.prefix(16)))
        #expect(try #require(PublicKey(bytes: key.bytes)) == key)
        #expect(NodeID(publicKey: key) != NodeID(publicKey: SigningKey.generate().publicKey))
    }
}
