// Names are of fixed width, are read back as they are written, and are ordered by their bytes.
import ReplicationModel
import Testing

@Suite struct IdentifierTests {
    private let origin = Origin(
        node: NodeID(Identifier128(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)), incarnation: 0xff)

    @Test func originsReadWhatTheyWrite() {
        let text = "0123456789abcdeffedcba9876543210-00000000000000ff"
        #expect(origin.description == text)
        #expect(Origin(text) == origin)
        #expect(Origin(text.uppercased()) == origin)
        #expect(origin.bytes.count == 24)
        #expect(Origin(bytes: origin.bytes) == origin)
    }

    /// Wherever the bytes lie: at odd addresses, or one by one.
    @Test func namesAreReadFromAnyCollection() {
        let bytes: [UInt8] = [
            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0, 0, 0, 0,
            0, 0, 0, 0xff,
        ]
        #expect(origin.bytes == bytes)
        let backwards = Array(bytes.reversed())
        for offset in 0..<9 {
            let padded = [UInt8](repeating: 7, count: offset) + bytes
            #expect(Origin(bytes: padded[offset...]) == origin)
            #expect(NodeID(bytes: padded[offset..<offset + 16]) == origin.node)
        }
        #expect(Origin(bytes: backwards.reversed() as ReversedCollection) == origin)
        #expect(Identifier128(bytes: backwards.reversed().prefix(16)) == origin.node.identifier)
        let digest = Digest(first: origin.node.identifier, second: Identifier128(high: 1, low: .max))
        #expect(digest.bytes.count == 32 && Digest(bytes: digest.bytes) == digest)
        #expect(Digest(bytes: Array(digest.bytes.reversed()).reversed() as ReversedCollection) == digest)
        #expect(Digest(bytes: digest.bytes.dropLast()) == nil && Identifier128(bytes: bytes) == nil)
    }

    @Test(arguments: [
        "", "-", "0123456789abcdeffedcba9876543210", "0123456789abcdeffedcba9876543210-",
        "0123456789abcdeffedcba9876543210-ff", "0123456789abcdeffedcba987654321-00000000000000ff",
        "0123456789abcdeffedcba9876543210-00000000000000fg", "0123456789abcdeffedcba9876543210-00000000000000ff-",
        "0123456789abcdeffedcba9876543210--0000000000000ff", "0123456789abcdeffedcba987654321\u{660}-00000000000000ff",
    ])
    func otherTextIsNoOrigin(_ text: String) {
        #expect(Origin(text) == nil)
    }

    @Test(arguments: [0, 23, 25])
    func otherLengthsAreNoOrigin(_ count: Int) {
        #expect(Origin(bytes: [UInt8](repeating: 1, count: count)) == nil)
    }

    @Test func orderIsThatOfTheBytes() {
        let words: [UInt64] = [0, 1, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, .max]
        let origins = words.flatMap { high in
            words.flatMap { low in
                words.map { Origin(node: NodeID(Identifier128(high: high, low: low)), incarnation: $0) }
            }
        }
        for left in origins {
            for right in origins {
                #expect((left < right) == left.bytes.lexicographicallyPrecedes(right.bytes))
                #expect((left == right) == (left.bytes == right.bytes))
            }
        }
    }

    @Test func nodesAndWorkspacesReadWhatTheyWrite() {
        #expect(NodeID(origin.node.description) == origin.node)
        #expect(NodeID(bytes: origin.node.bytes) == origin.node)
        let workspace = WorkspaceID(bytes: origin.node.bytes)
        #expect(workspace?.description == origin.node.description)
        #expect(NodeID("0123") == nil)
    }

    @Test func digestsHaveThirtyTwoBytes() {
        let bytes = (0..<32).map { UInt8($0) }
        #expect(Digest(bytes: bytes)?.bytes == bytes)
        #expect(Digest(bytes: bytes)?.description.hasPrefix("000102030405") == true)
        #expect(Digest(bytes: bytes.dropLast()) == nil)
        #expect(Digest.none.bytes == [UInt8](repeating: 0, count: 32))
    }
}
