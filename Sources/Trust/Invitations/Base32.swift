// Crockford's base 32: text that survives being read aloud, typed, and broken over lines.
//
// Invariant: what `encode` writes, `decode` reads, in either case and with look-alikes (o, i, l) for 0 and 1.

enum Base32 {
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 & 0xffff | UInt32(byte)
            count += 8
            while count >= 5 {
                count -= 5
                text.append(alphabet[Int(bits >> UInt32(count) & 31)])
            }
        }
        if count > 0 { text.append(alphabet[Int(bits << UInt32(5 - count) & 31)]) }
        return String(decoding: text, as: UTF8.self)
    }

    enum Failure: Error, Hashable {
        /// Counted from 1.
        case character(Character, position: Int)
        case length
    }

    /// White space is skipped.
    static func decode(_ text: some StringProtocol) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for (index, character) in text.enumerated() where !character.isWhitespace {
            guard let digit = value(character) else { throw .character(character, position: index + 1) }
            bits = bits << 5 & 0xfff | digit
            count += 5
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        guard count < 5, bits & (1 << UInt32(count) - 1) == 0 else { throw .length }
        return bytes
    }

    private static func value(_ character: Character) -> UInt32? {
        guard let ascii = character.asciiValue else { return nil }
        let lower = ascii | (character.isLetter ? 0x20 : 0)
        switch lower {
        case UInt8(ascii: "o"): return 0
        case UInt8(ascii: "i"), UInt8(ascii: "l"): return 1
        default: return alphabet.firstIndex(of: lower).map { UInt32($0) }
        }
    }
}
