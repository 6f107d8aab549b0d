// The one source of chance in simulations and tests.
//
// Invariant: equal seeds give equal streams on every machine; a stream that is forked off by name does not move the others.

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and any seed is as good as any other.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    /// What it began with: whoever fails says it, so that the same can be run again.
    public let seed: UInt64
    private var state: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A stream of its own for one concern, told by name and number.
    public func forked(_ name: String, _ number: Int = 0) -> SeededRandom {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var fork = SeededRandom(seed: state ^ hash ^ (UInt64(bitPattern: Int64(number)) &* 0xD6E8_FEB8_6659_FD93))
        _ = fork.next()
        return fork
    }

    /// Uniform from 0 up to, not including, `bound`.
    public mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "a choice among nothing")
        return Int(next() % UInt64(bound))
    }

    /// Uniform over a closed range.
    public mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// True that many times in a thousand.
    public mutating func chance(_ perMille: Int) -> Bool { below(1000) < perMille }

    public mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    /// One of several, each as likely as its weight says.
    public mutating func weighted<Element>(_ choices: [(Element, Int)]) -> Element {
        var left = below(choices.reduce(0) { $0 + $1.1 })
        for (element, weight) in choices {
            if left < weight { return element }
            left -= weight
        }
        preconditionFailure("weights add up")
    }

    /// So many bytes.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 7)
        while bytes.count < count {
            let word = next()
            for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(shift)))) }
        }
        return Array(bytes.prefix(count))
    }
}
