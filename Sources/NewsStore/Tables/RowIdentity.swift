// Names for new rows: UUIDv7 for what is written here, UUIDv5 for what has a name of its own already.
//
// Invariant: a UUIDv5 depends on its arguments alone, so two nodes that never met give one thing one id; UUIDv7s of one
// process only ascend.

public import ReplicationModel
internal import Synchronization

extension RowID {
    /// A new, time-ordered id (RFC 9562, version 7): rows written one after the other lie side by side in the table.
    public static func fresh() -> RowID { freshIDs.withLock { $0.next() } }

    /// The id of what `parts` name (RFC 9562, version 5), within the kind of thing that `kind` is.
    /// - Parameter parts: joined with U+001F, and so told apart: `["a", "b"]` is not `["ab"]`.
    public static func named(kind: String, _ parts: [String]) -> RowID {
        var sha = SHA1()
        sha.update(syncnodeNamespace)
        sha.update(Array(kind.utf8))
        for part in parts {
            sha.update([0x1f])
            sha.update(Array(part.utf8))
        }
        return RowID(uuidText(Array(sha.finish().prefix(16)), version: 5))
    }
}

/// The namespace of every UUIDv5 here, drawn at random once. It may never change: ids already given out depend on it.
private let syncnodeNamespace: [UInt8] = [
    0x5b, 0x0e, 0x8c, 0x1d, 0x64, 0x2f, 0x4a, 0x97, 0xb3, 0x58, 0xe1, 0x40, 0x7a, 0x9d, 0x26, 0xcf,
]

private let freshIDs = Mutex(FreshIDs())

/// UUIDv7 with a 12-bit counter behind the millisecond (RFC 9562, section 6.2, method 1).
struct FreshIDs {
    private var lastTick: UInt64 = 0

    mutating func next() -> RowID {
        var random = SystemRandomNumberGenerator()
        return next(milliseconds: UInt64(max(0, wallClockMilliseconds())), random: random.next())
    }

    /// - Parameter milliseconds: Unix time; one that goes back continues the counter where it stood.
    mutating func next(milliseconds: UInt64, random: UInt64) -> RowID {
        // A new millisecond starts its counter in the lower half, so that 2,048 ids fit before it spills into the next.
        let start = (milliseconds << 12) | ((random >> 48) & 0x7ff)
        lastTick = max(lastTick + 1, start)
        var bytes: [UInt8] = (0..<6).map { UInt8(truncatingIfNeeded: lastTick >> (52 - 8 * UInt64($0))) }
        bytes.append(UInt8(truncatingIfNeeded: (lastTick >> 8) & 0x0f))
        bytes.append(UInt8(truncatingIfNeeded: lastTick))
        bytes += (0..<8).map { UInt8(truncatingIfNeeded: random >> (8 * UInt64($0))) }
        return RowID(uuidText(bytes, version: 7))
    }
}

/// - Parameter bytes: 16; version and variant are set in them.
private func uuidText(_ bytes: [UInt8], version: UInt8) -> String {
    var bytes = bytes
    bytes[6] = version << 4 | bytes[6] & 0x0f
    bytes[8] = 0x80 | bytes[8] & 0x3f
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(36)
    for (index, byte) in bytes.enumerated() {
        if [4, 6, 8, 10].contains(index) { text.append(UInt8(ascii: "-")) }
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 0x0f)])
    }
    return String(decoding: text, as: UTF8.self)
}

/// The canonical form of a UUID in any of its spellings, or nil.
func canonicalUUID(_ text: some StringProtocol) -> String? {
    let lower = text.lowercased()
    guard lower.utf8.count == 36 else { return nil }
    for (index, byte) in lower.utf8.enumerated() {
        switch (index, byte) {
        case (8, UInt8(ascii: "-")), (13, UInt8(ascii: "-")), (18, UInt8(ascii: "-")), (23, UInt8(ascii: "-")): continue
        case (8, _), (13, _), (18, _), (23, _): return nil
        case (_, UInt8(ascii: "0")...UInt8(ascii: "9")), (_, UInt8(ascii: "a")...UInt8(ascii: "f")): continue
        default: return nil
        }
    }
    return lower
}
