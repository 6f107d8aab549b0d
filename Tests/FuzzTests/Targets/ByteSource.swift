// Choices made from the fuzzer's bytes, so that what it mutates is the structure and not its encoding.
//
// Invariant: the same bytes always make the same choices; past their end every choice is the first.

struct ByteSource {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }
    mutating func flag() -> Bool { byte() & 1 == 1 }
    /// - Parameter count: 1 to 256.
    mutating func below(_ count: Int) -> Int { Int(byte()) % count }
    /// - Parameter choices: at most 256, and not none.
    mutating func pick<Choice>(_ choices: [Choice]) -> Choice { choices[below(choices.count)] }

    /// A number of up to eight bytes, or one of those at which arithmetic goes wrong.
    mutating func number() -> UInt64 {
        let edges: [UInt64] = [
            0, 1, 2, 63, 64, 255, 256, 257, 1 << 16, 1 << 31, 1 << 32, 1 << 48, (1 << 48) + 1, 1 << 53, (1 << 53) + 1,
            1 << 62, UInt64(Int64.max), 1 << 63, UInt64.max,
        ]
        let width = Int(byte())
        if width < 9 { return (0..<width).reduce(0) { number, _ in number << 8 | UInt64(byte()) } }
        return edges[width % edges.count]
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        let taken = rest.prefix(count)
        rest = rest.dropFirst(count)
        return Array(taken)
    }

    /// Bytes with their length before them: two bytes, so that an edit within leaves what follows alone.
    mutating func run() -> [UInt8] { bytes(Int(byte()) << 8 | Int(byte())) }

    mutating func all() -> [UInt8] { bytes(rest.count) }
}

/// Writes what `ByteSource` reads: for seeds.
struct ByteSink {
    private(set) var bytes: [UInt8] = []
    mutating func byte(_ byte: UInt8) { bytes.append(byte) }
    mutating func run(_ run: [UInt8]) {
        bytes += [UInt8(run.count >> 8 & 0xff), UInt8(run.count & 0xff)] + run.prefix(0xffff)
    }
}
