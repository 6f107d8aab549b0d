// Proofs that an origin forked, and the search for one: files that anybody may hand on, and what a peer says of its history.
import ReplicationModel
import ReplicationWire
import Trust

@testable import ReplicaStore

extension FuzzTarget {
    /// A proof, with some bytes changed or pieces put together anew. What is taken for one was signed twice by its origin's node.
    static let forkProof = FuzzTarget(
        "fork-proof", maximumBytes: 16 << 10, testRuns: 1500,
        seeds: { [[0] + Histories.proof, [1], [1] + Array(0...200)] }
    ) { bytes in
        var source = ByteSource(bytes)
        let candidate: [UInt8]
        if source.flag() {
            // Any two of what its node signed, and now and then by another: most pairs prove nothing.
            let halves = [source.pick(Histories.all), source.pick(Histories.all)]
            let key = SampleKeys.publicKeys[source.byte() > 230 ? 1 : 0]
            candidate =
                ForkProof.magic + key.bytes
                + halves.flatMap { sealed in
                    withUnsafeBytes(of: UInt32(sealed.body.count).bigEndian) { Array($0) } + sealed.body
                        + (source.byte() > 240 ? [UInt8](repeating: 1, count: 64) : sealed.signature)
                }
        } else {
            candidate = source.all()
        }
        guard let proof = try? ForkProof(bytes: candidate) else { return }
        try expect(proof.bytes == candidate, "a proof is not its bytes")
        try expect(proof.key == SampleKeys.publicKeys[0], "the fuzzer signed something")
        try expect(proof.fork.origin == Histories.origin, "a proof about another origin than signed")
        for half in proof.halves {
            let isSigned = Histories.all.contains { $0.body == half.body }
            try expect(isSigned, "a proof with a change set that its node did not sign")
        }
        // All of one history follow one another.
        let parts = proof.halves.map { half in Histories.mine.contains { $0.body == half.body } }
        let others = proof.halves.map { half in Histories.other.contains { $0.body == half.body } }
        try expect(!parts.allSatisfy { $0 } && !others.allSatisfy { $0 }, "an honest history is taken for a fork")
    }

    /// What a peer tells of the history of an origin, to a search that asks it for one change set after another.
    static let forkSearch = FuzzTarget(
        "fork-search", testRuns: 800, seeds: { [[3], Array(0...255), Array((0...255).reversed())] }
    ) { bytes in
        var source = ByteSource(bytes)
        let key = SampleKeys.publicKeys[0]
        let begins = Dot(origin: Histories.origin, sequence: SequenceNumber(UInt64(source.below(12))))
        var search = ForkSearch(ForkSuspicion(origin: begins.origin, differs: begins.sequence))
        var asked = search.firstQuestion
        var isHonest = true
        for _ in 0..<70 {
            var answer = Histories.half(of: asked, in: Histories.other)
            if source.byte() & 3 == 1 {
                isHonest = false
                let said = source.pick(Histories.all)
                answer =
                    source.flag()
                    ? nil
                    : try ForkProof.Half(
                        body: said.body,
                        signature: source.byte() > 240 ? [UInt8](repeating: 2, count: 64) : said.signature)
            }
            let step: ForkStep
            do {
                step = try search.take(answer, ours: Histories.half(of: asked, in: Histories.mine), key: key)
                let lowest = Dot(origin: search.origin, sequence: search.lowest)
                let ours = Histories.half(of: lowest, in: Histories.mine)
                if let proof = try search.proof(ours: ours, key: key) {
                    try expect(try ForkProof(bytes: proof.bytes) == proof, "a proof that is not one")
                    try expect(
                        !isHonest || proof.fork.sequence.rawValue == Histories.common + 1,
                        "\(proof.fork) is not where they part")
                    return
                }
            } catch is ForkProofError {
                return try expect(!isHonest, "an honest peer proves nothing")
            }
            guard case .ask(let next) = step else {
                // Beyond the end, or before they part, there is nothing to find.
                let isThere = (Histories.common + 1...Histories.length).contains(begins.sequence.rawValue)
                return try expect(!isHonest || !isThere, "a fork is not found")
            }
            try expect(next.origin == Histories.origin, "a question about another origin")
            asked = next
        }
        throw Finding("the search does not end")
    }
}

/// Two histories of one origin that have the same beginning, signed by its node.
private enum Histories {
    static let origin = Origin(node: SampleKeys.publicKeys[0].nodeID, incarnation: 1)
    static let common: UInt64 = 3
    static let length: UInt64 = 9
    private static let both = made()
    static let mine = both.0
    static let other = both.1
    static let all = mine + other
    static let proof: [UInt8] = {
        do {
            let halves = try [mine, other].map {
                try ForkProof.Half(body: $0[Int(common)].body, signature: $0[Int(common)].signature)
            }
            return try ForkProof(halves[0], halves[1], key: SampleKeys.publicKeys[0]).bytes
        } catch {
            preconditionFailure("cannot make a proof: \(error)")
        }
    }()

    static func half(of dot: Dot, in history: [SealedChangeSet]) -> ForkProof.Half? {
        guard dot.origin == origin, (1...UInt64(history.count)).contains(dot.sequence.rawValue) else { return nil }
        let sealed = history[Int(dot.sequence.rawValue) - 1]
        return try? ForkProof.Half(body: sealed.body, signature: sealed.signature)
    }

    private static func made() -> ([SealedChangeSet], [SealedChangeSet]) {
        let key = SampleKeys.key(3)
        func write(_ maker: inout ChangeSetMaker, _ count: UInt64, _ choice: UInt8) -> [SealedChangeSet] {
            (0..<count).map { _ in
                var source = ByteSource([0, 0, 1, choice, choice])
                let (changeSet, values) = maker.make(&source, context: VersionVector())
                let body = ChangeSetCodec.encode(changeSet)
                maker.follow(changeSet, body: body)
                return SealedChangeSet(
                    body: body, signature: ChangeSetSignature.sign(bodyDigest: SHA256.digest(body), key: key),
                    values: values)
            }
        }
        var maker = ChangeSetMaker(origin: origin)
        let beginning = write(&maker, common, 1)
        var second = maker
        return (
            beginning + write(&maker, length - common, 1), beginning + write(&second, length - common, 2)
        )
    }
}
