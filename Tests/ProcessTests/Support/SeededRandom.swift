// Random numbers that a failing test can be run with again: SplitMix64.
import Foundation

struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    let seed: UInt64

    /// SYNCNODE_TEST_SEED, or a fresh one.
    init() {
        let named = ProcessInfo.processInfo.environment["SYNCNODE_TEST_SEED"].flatMap { UInt64($0) }
        seed = named ?? UInt64.random(in: 1...UInt64(UInt32.max))
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
