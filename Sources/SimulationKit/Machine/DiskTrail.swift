// A digest of what happened to a disk: quick, and against nobody's malice.
//
// Invariant: equal operations in equal order give equal digests.

struct DiskTrail {
    private(set) var value: UInt64 = 0

    /// - Parameter number: a place, a size, or which operation it is.
    mutating func note(_ number: UInt64, _ bytes: some Collection<UInt8> = EmptyCollection()) {
        mix(number)
        bytes.withContiguousStorageIfAvailable { buffer in
            let raw = UnsafeRawBufferPointer(buffer)
            let words = raw.count / 8 * 8
            for offset in stride(from: 0, to: words, by: 8) {
                mix(raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            for byte in raw[words...] { mix(UInt64(byte)) }
        }
    }

    private mutating func mix(_ word: UInt64) {
        // The multiplier of splitmix64's state, which is odd, so that nothing is forgotten.
        value = (value ^ word) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 32
    }
}
