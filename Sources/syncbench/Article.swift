// What the benchmark writes: articles as a bureau takes them in, the same ones on every run.
//
// Invariant: an article follows from its number alone, so that every contender writes equal bytes.

import ReplicationModel

/// The replicated table of the benchmark: the twelve columns of `articles` that the figures are stated for.
enum ArticleTable {
    static let name = "articles"
    static let columns = [
        "headline", "body", "summary", "byline", "source", "distributor", "dateline", "language", "published_on", "url",
        "pubstatus",
    ]
    static let declaration = Table(name, columns: columns.map { Column($0) })

    static let creation =
        "CREATE TABLE articles(id TEXT PRIMARY KEY NOT NULL" + columns.map { ", \"\($0)\" TEXT" }.joined() + ")"
    static let insertion =
        "INSERT INTO articles(id" + columns.map { ", \"\($0)\"" }.joined() + ") VALUES (?"
        + String(repeating: ", ?", count: columns.count) + ")"
    static let update = "UPDATE articles SET headline = ? WHERE id = ?"
    static let selection = "SELECT * FROM articles ORDER BY rowid"
}

/// One article: the bytes of its twelve values, one after another, so that a driver can bind them without a copy.
struct Article {
    private(set) var bytes: [UInt8] = []
    private(set) var ranges: [Range<Int>] = []

    /// About 2 KB of body in words, as in a wire story, and some 350 bytes of other columns.
    init(number: Int) {
        bytes.reserveCapacity(2600)
        ranges.reserveCapacity(12)
        var random = SplitMix(seed: number)
        add(Self.identifier(number).utf8)
        add(Self.text(60, &random))
        add(Self.text(2000, &random))
        add(Self.text(150, &random))
        add(Self.text(16, &random))
        add("AA".utf8)
        add("Anadolu".utf8)
        add("ISTANBUL".utf8)
        add("en".utf8)
        add("2025-04-\(10 + number % 20)".utf8)
        add("https://wire.example.net/stories/2025/04/\(number)/\(random.next() % 1_000_000)".utf8)
        add("usable".utf8)
    }

    /// Time-ordered, as a UUIDv7 is: ten a millisecond, and random bits behind.
    static func identifier(_ number: Int) -> String {
        var random = SplitMix(seed: number &* 7919)
        let time = UInt64(1_744_416_000_000 + number / 10)
        let order = UInt64(number % 10) << 8 | random.next() & 0xff
        return hexadecimal(time >> 16, 8) + "-" + hexadecimal(time & 0xffff, 4) + "-7" + hexadecimal(order, 3) + "-a"
            + hexadecimal(random.next() & 0xfff, 3) + "-" + hexadecimal(random.next() & 0xffff_ffff_ffff, 12)
    }

    private static func hexadecimal(_ value: UInt64, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: width - digits.count) + digits
    }

    private mutating func add(_ value: some Sequence<UInt8>) {
        let start = bytes.count
        bytes += value
        ranges.append(start..<bytes.count)
    }

    /// Half a megabyte of words; texts are cut from it, which costs next to nothing between transactions.
    private static let words: [UInt8] = {
        let all = [
            "agreement", "ministry", "border", "trade", "talks", "energy", "grain", "corridor", "court", "budget",
            "port",
            "minister", "said", "the", "of", "to", "and", "signed", "on", "delegation", "second", "review", "before",
        ]
        var random = SplitMix(seed: 1)
        var words: [UInt8] = []
        while words.count < 1 << 19 {
            words += all[Int(random.next() % UInt64(all.count))].utf8
            words.append(UInt8(ascii: " "))
        }
        return words
    }()

    private static func text(_ count: Int, _ random: inout SplitMix) -> ArraySlice<UInt8> {
        let start = Int(random.next() % UInt64(words.count - count))
        return words[start..<start + count]
    }
}

private struct SplitMix {
    private var state: UInt64
    init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
