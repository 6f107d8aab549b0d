// From bytes to text: what is UTF-8 stays so beside bytes that are not, and UTF-16 is read in every format.

import Testing

@testable import NewsStore

@Suite struct TextDecodingTests {
    private static let utf8 = "“Café,” said Şule Ağrı in Łódź — Ελλάδα, Україна, 東京, 😀"

    @Test func oneBadByteLeavesTheRestAsItIs() {
        for bad: [UInt8] in [[0xff], [0x92], [0xc3], [0xe2, 0x80], [0xf0, 0x9f, 0x98]] {
            let repaired = String(decoding: bad, as: UTF8.self).isEmpty ? "" : TextDecoding.text(bad)
            let bytes = Array(Self.utf8.utf8)
            #expect(TextDecoding.text(bytes + bad) == Self.utf8 + repaired, "at the end: \(bad)")
            #expect(TextDecoding.text(bad + [0x20] + bytes) == repaired + " " + Self.utf8, "in front: \(bad)")
            #expect(TextDecoding.text(bytes + bad + bytes) == Self.utf8 + repaired + Self.utf8, "between: \(bad)")
        }
        #expect(TextDecoding.text(Array("Málaga ".utf8) + [0x92]) == "Málaga ’")
    }

    /// Each byte by itself is no UTF-8, so it is Windows-1252; those that it does not define stand for themselves.
    @Test func aByteBetweenLettersIsWindows1252() {
        let high: [UInt8: Unicode.Scalar] = [
            0x80: "€", 0x8a: "Š", 0x93: "“", 0x94: "”", 0x97: "—", 0x9f: "Ÿ", 0x81: "\u{81}",
        ]
        var whole: [UInt8] = []
        var text = ""
        for byte in UInt8(0x80)...0xff {
            let decoded = TextDecoding.text([0x61, byte, 0x62])
            #expect(decoded.unicodeScalars.count == 3)
            let scalar = decoded.unicodeScalars.dropFirst().first
            if let expected = high[byte] { #expect(scalar == expected) }
            if byte >= 0xa0 { #expect(scalar == Unicode.Scalar(byte)) }
            whole += [0x61, byte, 0x62]
            text += decoded
        }
        #expect(TextDecoding.text(whole) == text)
    }

    /// A capital or an ß with a quotation mark behind it looks like UTF-8.
    @Test func chanceSequencesInWindows1252AreNotTakenForUTF8() {
        let bytes: [UInt8] =
            Array("Der Spa".utf8) + [0xdf, 0x94] + Array(" f".utf8) + [0xfc] + Array("r gro".utf8) + [0xdf]
            + Array("e H".utf8) + [0xf6] + Array("fe".utf8)
        #expect(TextDecoding.text(bytes) == "Der Spaß” für große Höfe")
        // Quotation marks that were pasted in as UTF-8 are told even there.
        let pasted =
            Array("“Stra".utf8) + [0xdf] + Array("e” f".utf8) + [0xfc] + Array("r H".utf8) + [0xf6] + Array("fe “".utf8)
        #expect(TextDecoding.text(pasted + Array("x”".utf8) + [0xe4, 0x20, 0xe4, 0x20]) == "“Straße” für Höfe “x”ä ä ")
    }

    private func utf16(_ text: String, littleEndian: Bool) -> [UInt8] {
        (Array("\u{feff}".utf16) + Array(text.utf16)).flatMap { unit in
            let (high, low) = (UInt8(unit >> 8), UInt8(unit & 0xff))
            return littleEndian ? [low, high] : [high, low]
        }
    }

    private func drafts(_ bytes: [UInt8], piece: Int, _ name: String = "in") throws -> (ArticleFormat, [ArticleDraft]) {
        var rest = bytes[...]
        let input = ArticleInput(name: name) {
            defer { rest = rest.dropFirst(piece) }
            return rest.isEmpty ? nil : Array(rest.prefix(piece))
        }
        var reader = try ArticleReader(input)
        var drafts: [ArticleDraft] = []
        while let draft = try reader.next() { drafts.append(draft) }
        return (reader.format, drafts)
    }

    @Test(arguments: [
        (#"[{"headline": "Ağrı 😀", "body": "One."}]"#, ArticleFormat.ninjs),
        ("{\"headline\": \"Ağrı 😀\"}\r\n{\"headline\": \"two\"}\r\n", .jsonl),
        ("LISBON, April 12 (Lusa) - The ferry 😀 sails to Ağrı again.\r\n\r\nMore soon.", .wire),
    ])
    func utf16IsReadInEveryFormat(_ text: String, _ format: ArticleFormat) throws {
        let expected = try drafts(Array(text.utf8), piece: 1000)
        #expect(expected.0 == format && !expected.1.isEmpty)
        for littleEndian in [true, false] {
            for piece in [1, 2, 3, 7, 1000] {
                let read = try drafts(utf16(text, littleEndian: littleEndian), piece: piece)
                #expect(read.0 == format && read.1 == expected.1, "\(littleEndian) \(piece)")
            }
        }
    }

    @Test func utf16ThatIsNotWholeIsReadAsFarAsItGoes() throws {
        #expect(TextDecoding.text([0xff, 0xfe, 0x61, 0x00, 0x3d, 0xd8]) == "a\u{fffd}")
        #expect(TextDecoding.text([0xff, 0xfe, 0x3d, 0xd8, 0x61, 0x00, 0x00, 0xde, 0x62]) == "\u{fffd}a\u{fffd}")
        #expect(try drafts([0xfe, 0xff, 0x00, 0x61, 0x00], piece: 2).1.map { $0[.body] } == ["a"])
        #expect(throws: NewsError.self) { try drafts([0xff, 0xfe], piece: 1) }
        // Lines have numbers there too, and limits.
        let error = try #require(throws: NewsError.self) {
            try drafts(utf16("{\"headline\": \"a\"}\n{\"headline\": }", littleEndian: true), piece: 5)
        }
        #expect(error.object == "in, line 2" && error.cause.contains("column 14"))
        var chunks = 0
        let line = utf16("{", littleEndian: false) + [UInt8](repeating: 0x20, count: 1 << 20)
        var reader = try ArticleReader(
            ArticleInput(name: "in.jsonl") {
                chunks += 1
                return chunks == 1 ? line : [UInt8](repeating: 0x20, count: 1 << 20)
            })
        #expect(throws: NewsError.self) { try reader.next() }
        // 0x2020 is three bytes of UTF-8.
        #expect(chunks < 14)
    }
}
