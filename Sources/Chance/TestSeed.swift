// The seed of a test that is run with another each time, or again with the one that failed.

internal import Foundation

extension SeededRandom {
    /// From SYNCNODE_TEST_SEED, or a fresh seed.
    public static func ofTest() -> SeededRandom {
        let named = ProcessInfo.processInfo.environment["SYNCNODE_TEST_SEED"].flatMap { UInt64($0) }
        return SeededRandom(seed: named ?? UInt64.random(in: 1...UInt64(UInt32.max)))
    }
}
