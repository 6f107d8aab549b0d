import ReplicationModel
import Testing

@testable import Trust

@Suite struct DigestTests {
    /// FIPS 180-4 examples.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func knownDigests(_ text: String, _ expected: String) {
        #expect(SHA256.digest(Array(text.utf8)).description == expected)
    }

    @Test func piecesGiveTheDigestOfTheWhole() {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for size in [1, 63, 64, 65, 4096, 10_000] {
            var hasher = SHA256.Incremental()
            var rest = bytes[...]
            while !rest.isEmpty {
                hasher.update(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            #expect(hasher.finalize() == SHA256.digest(bytes), "in pieces of \(size)")
        }
    }

    /// RFC 4231, test cases 1, 2 and 6.
    @Test(arguments: [
        (
            [UInt8](repeating: 0x0b, count: 20), "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131), "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ])
    func knownCodes(_ key: [UInt8], _ message: String, _ expected: String) throws {
        let code = HMAC.authenticate(Array(message.utf8), key: key)
        #expect(Hexadecimal.encode(code) == expected)
        #expect(HMAC.isValid(code, for: Array(message.utf8), key: key))
        var changed = code
        changed[31] ^= 1
        #expect(!HMAC.isValid(changed, for: Array(message.utf8), key: key))
        #expect(!HMAC.isValid(Array(code.prefix(31)), for: Array(message.utf8), key: key))
        #expect(!HMAC.isValid([], for: Array(message.utf8), key: key))
    }

    @Test func randomBytesDiffer() {
        #expect(SecureRandom.bytes(16) != SecureRandom.bytes(16))
        #expect(SecureRandom.bytes(0).isEmpty)
    }
}
