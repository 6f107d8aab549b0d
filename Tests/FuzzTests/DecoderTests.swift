// Every fuzz target over its seeds, what fuzzing found before, and mutations of both that are the same in every run.
import Chance
import Foundation
import Testing

@Suite struct DecoderTests {
    @Test(arguments: FuzzTarget.all)
    func seedsKeepTheProperties(_ target: FuzzTarget) throws {
        let seeds = try target.seeds()
        #expect(!seeds.isEmpty)
        for seed in seeds {
            #expect(seed.count <= target.maximumBytes)
            try target.run(seed)
        }
    }

    /// Each file was once a trap, a broken property, or far too slow.
    @Test(arguments: FuzzTarget.all)
    func whatWasFoundStaysMended(_ target: FuzzTarget) throws {
        for (name, input) in try found(target) {
            do {
                try target.run(input)
            } catch {
                Issue.record("\(target.name)/\(name): \(error)")
            }
        }
    }

    @Test(arguments: FuzzTarget.all)
    func mutationsKeepTheProperties(_ target: FuzzTarget) throws {
        let samples = try target.seeds() + found(target).map(\.input)
        var mutator = Mutator(seed: 1)
        for run in 0..<target.testRuns {
            let input = mutator.mutation(of: samples[run % samples.count], among: samples)
            do {
                try target.run(input)
            } catch {
                Issue.record("\(target.name), run \(run), \(input.count) bytes: \(error)")
                return
            }
        }
    }

    /// What was found for a target that goes by another name now would be tried no more.
    @Test func everythingFoundIsOfATarget() throws {
        let found = try FileManager.default.contentsOfDirectory(atPath: Self.found.path).filter { $0 != ".gitkeep" }
        #expect(!found.isEmpty && Set(found).isSubset(of: FuzzTarget.all.map(\.name)), "\(found)")
    }

    /// A property that nothing can break proves nothing.
    @Test func aBrokenPropertyIsReported() {
        #expect(throws: Finding.self) { try expect(1 + 1 == 3, "arithmetic") }
        #expect(Set(FuzzTarget.all.map(\.name)).count == FuzzTarget.all.count)
    }

    private static let found = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Found")

    private func found(_ target: FuzzTarget) throws -> [(name: String, input: [UInt8])] {
        let directory = Self.found.appending(path: target.name)
        guard FileManager.default.fileExists(atPath: directory.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted().map { name in
            (name, [UInt8](try Data(contentsOf: directory.appending(path: name))))
        }
    }
}

extension FuzzTarget: CustomTestStringConvertible {
    var testDescription: String { name }
}

/// Changes bytes as a fuzzer does, the same in every run.
private struct Mutator {
    private var random: SeededRandom
    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private mutating func number(_ count: Int) -> Int { random.below(max(count, 1)) }

    mutating func mutation(of sample: [UInt8], among samples: [[UInt8]]) -> [UInt8] {
        var bytes = sample
        for _ in 0...number(4) {
            let at = number(bytes.count)
            switch number(7) {
            case 0 where !bytes.isEmpty: bytes[at] ^= 1 << UInt8(number(8))
            case 1 where !bytes.isEmpty: bytes[at] = UInt8(number(256))
            case 2 where !bytes.isEmpty: bytes[at] = [0, 1, 0x7f, 0x80, 0xff][number(5)]
            case 3 where !bytes.isEmpty: bytes.removeSubrange(at..<min(at + 1 + number(4), bytes.count))
            case 4: bytes.insert(contentsOf: (0...number(6)).map { _ in UInt8(number(256)) }, at: at)
            case 5 where !bytes.isEmpty:
                let part = Array(bytes[at..<min(at + 1 + number(32), bytes.count)])
                bytes.insert(contentsOf: part, at: number(bytes.count))
            default:
                let other = samples[number(samples.count)]
                let start = number(other.count)
                bytes.replaceSubrange(at..., with: other[start..<min(start + 1 + number(256), other.count)])
            }
        }
        return Array(bytes.prefix(16 << 10))
    }
}
