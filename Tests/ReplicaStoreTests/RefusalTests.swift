// What must not be applied is refused, with a cause of its own, and leaves the file as it was.
import ReplicationModel
import ReplicationWire
import Testing
import Trust

@testable import ReplicaStore

@Suite struct RefusalTests {
    /// A replica with something in it, and what its next peer sends.
    private struct Scene {
        let workspace: TestWorkspace
        let replica: Replica
        var forger: Forger
        let before: [String: [[Value]]]

        init() throws {
            workspace = try TestWorkspace()
            replica = try workspace.replica("a")
            forger = Forger(workspace.authors)
            try replica.execute("INSERT INTO notes(id, title) VALUES ('n1', 'one')")
            try replica.seal()
            let first = forger.write(.insert, "notes", "f1", [("title", Value("x"))], at: workspace.stamp())
            _ = try replica.apply([first], from: nil, authors: workspace.authors)
            before = try replica.dump()
        }

        func expectRefused(
            _ changeSet: SealedChangeSet, _ kinds: Set<ApplyViolation.Kind>, _ comment: Comment? = nil,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let report = try replica.apply([changeSet], from: nil, authors: workspace.authors)
            let kind = report.violation?.kind
            #expect(
                kind.map { kinds.contains($0) } == true, "\(report.violation as Any) \(comment ?? "")",
                sourceLocation: sourceLocation)
            #expect(report.changeSets == 0 && report.held.isEmpty, comment, sourceLocation: sourceLocation)
            #expect(try replica.dump() == before, comment, sourceLocation: sourceLocation)
        }

        mutating func next(_ lies: Forger.Lies = .init(), at stamp: Stamp? = nil, seen: VersionVector = .init())
            -> SealedChangeSet
        {
            forger.write(
                .update, "notes", "f1",
                [("title", Value("y")), ("body", Value(String(repeating: "large ", count: 60)))],
                at: stamp ?? workspace.stamp(1),
                seen: seen, lies: lies)
        }
    }

    @Test func theSceneItselfIsSound() throws {
        var scene = try Scene()
        let report = try scene.replica.apply([scene.next()], from: nil, authors: scene.workspace.authors)
        #expect(report.violation == nil && report.changeSets == 1)
        try scene.replica.expectSound(scene.workspace.authors)
    }

    @Test func oneFlippedByteAnywhereInTheBodyIsRefused() throws {
        var scene = try Scene()
        let sound = scene.next()
        for position in sound.body.indices {
            var body = sound.body
            body[position] ^= UInt8(1 << (position % 8))
            try scene.expectRefused(
                SealedChangeSet(body: body, signature: sound.signature, values: sound.values),
                [.malformed, .signature, .author], "byte \(position)")
        }
        for body in [Array(sound.body.dropLast()), sound.body + [0], [], Array(sound.body.dropFirst())] {
            try scene.expectRefused(
                SealedChangeSet(body: body, signature: sound.signature, values: sound.values), [.malformed, .signature])
        }
    }

    /// The values of a batch are looked at while it is being applied: what stands before a wrong one is applied all the same.
    @Test(arguments: 0..<6) func aFlippedByteInAValueRefusesWhatComesFromThereOn(place: Int) throws {
        var scene = try Scene()
        let sound = (0..<6).map { scene.next(at: scene.workspace.stamp(Int64($0 + 1))) }
        var batch = sound
        var values = sound[place].values
        #expect(values.count == 1)
        values[0]?[7] ^= 1
        batch[place] = SealedChangeSet(body: sound[place].body, signature: sound[place].signature, values: values)
        let report = try scene.replica.apply(batch, from: nil, authors: scene.workspace.authors)
        #expect(report.violation?.kind == .malformed && report.changeSets == place)
        #expect(report.violation?.dot?.sequence.rawValue == UInt64(place + 2))
        try scene.replica.expectSound(scene.workspace.authors)
        let rest = try scene.replica.apply(
            Array(sound[place...]), from: nil, authors: scene.workspace.authors)
        #expect(rest.violation == nil && rest.changeSets == 6 - place)
        try scene.replica.expectSound(scene.workspace.authors)
    }

    @Test func oneFlippedByteAnywhereInTheSignatureIsRefused() throws {
        var scene = try Scene()
        let sound = scene.next()
        for position in sound.signature.indices {
            var signature = sound.signature
            signature[position] ^= UInt8(1 << (position % 8))
            try scene.expectRefused(
                SealedChangeSet(body: sound.body, signature: signature, values: sound.values), [.signature],
                "byte \(position)")
        }
        for signature in [
            [], Array(sound.signature.dropLast()), sound.signature + [0], [UInt8](repeating: 0, count: 64),
        ] {
            try scene.expectRefused(
                SealedChangeSet(body: sound.body, signature: signature, values: sound.values), [.signature])
        }
    }

    @Test func oneFlippedByteAnywhereInAValueIsRefused() throws {
        var scene = try Scene()
        let sound = scene.next()
        let value = try #require(sound.values.first ?? nil)
        for position in value.indices {
            var other = value
            other[position] ^= UInt8(1 << (position % 8))
            try scene.expectRefused(
                SealedChangeSet(body: sound.body, signature: sound.signature, values: [other]), [.malformed],
                "byte \(position)")
        }
        for values in [[], [value, value], [Array(value.dropLast())], [[]]] as [[[UInt8]?]] {
            try scene.expectRefused(
                SealedChangeSet(body: sound.body, signature: sound.signature, values: values), [.malformed])
        }
    }

    @Test func aSignatureByAnotherNodeIsRefused() throws {
        var scene = try Scene()
        try scene.expectRefused(scene.next(.init(signer: scene.replica.key)), [.signature])
    }

    @Test func anUnknownAuthorIsRefused() throws {
        let scene = try Scene()
        var stranger = Forger(TestAuthors())
        try scene.expectRefused(stranger.write(at: scene.workspace.stamp()), [.author])
    }

    @Test func aGapIsRefused() throws {
        var scene = try Scene()
        _ = scene.next()
        try scene.expectRefused(scene.next(), [.gap])
    }

    @Test func whatBuildsOnSomethingUnknownIsRefused() throws {
        var scene = try Scene()
        let unknown = VersionVector([Origin(node: scene.replica.node, incarnation: 7): SequenceNumber(1)])
        try scene.expectRefused(scene.next(seen: unknown), [.gap])
        scene = try Scene()
        let future = VersionVector([try scene.replica.origin: SequenceNumber(2)])
        try scene.expectRefused(scene.next(seen: future), [.gap])
    }

    @Test func aReplayChangesNothing() throws {
        let scene = try Scene()
        let sent = try scene.replica.outgoing(lackedBy: VersionVector(), maximumBytes: .max).changeSets.map(\.sealed)
        let report = try scene.replica.apply(sent + sent, from: nil, authors: scene.workspace.authors)
        #expect(report.duplicates == 4 && report.changeSets == 0 && report.violation == nil)
        #expect(try scene.replica.dump() == scene.before)
    }

    /// What belongs to another history than the one known is applied nowhere, kept, and told.
    @Test(arguments: [true, false]) func anotherHistoryIsHeld(sameSequence: Bool) throws {
        var scene = try Scene()
        let other =
            sameSequence
            ? scene.next(.init(sequence: SequenceNumber(1), previous: Digest.none, totals: .zero))
            : scene.next(.init(previous: SHA256.digest([1, 2, 3])))
        let report = try scene.replica.apply([other], from: nil, authors: scene.workspace.authors)
        #expect(report.violation == nil && report.changeSets == 0)
        #expect(report.forks == [ForkSuspicion(origin: scene.forger.origin, differs: SequenceNumber(1))])
        #expect(report.held.map(\.cause) == [.forked])
        let kept: Set = ["sync_held", "sync_held_values", "sync_held_authors"]
        #expect(try scene.replica.dump(but: kept) == scene.before.filter { !kept.contains($0.key) })
        #expect(try scene.replica.forkSuspicions() == report.forks)
        try scene.replica.expectSound(scene.workspace.authors)
    }

    @Test func wrongTotalsAreRefused() throws {
        var scene = try Scene()
        let totals = scene.forger.totals
        for wrong in [
            Totals(changes: totals.changes + 1, bytes: totals.bytes),
            Totals(changes: totals.changes, bytes: totals.bytes - 1),
            .zero,
        ] {
            var other = scene
            try scene.expectRefused(other.next(.init(totals: wrong)), [.malformed])
        }
        try scene.expectRefused(scene.next(.init(totals: Totals(changes: .max >> 1, bytes: 0))), [.malformed])
    }

    @Test func aStampNotAfterItsPredecessorIsRefused() throws {
        var scene = try Scene()
        try scene.expectRefused(scene.next(at: scene.workspace.stamp()), [.malformed])
        scene = try Scene()
        try scene.expectRefused(scene.next(at: scene.workspace.stamp(-1)), [.malformed])
    }

    /// What was seen of others is named by number alone, and may have been another history's: it is held until that is known.
    @Test func aStampNotAfterWhatWasSeenIsHeldAsOfAnotherHistory() throws {
        var scene = try Scene()
        let own = try scene.replica.origin
        try scene.replica.execute("UPDATE notes SET title = 'later'")
        try scene.replica.setJournalTime(scene.workspace.clock.now.milliseconds + 60_000)
        try scene.replica.seal()
        let seen = VersionVector([own: SequenceNumber(2)])
        let before = try (scene.replica.vectors().applied, scene.replica.contents("notes"))
        let report = try scene.replica.apply([scene.next(seen: seen)], from: nil, authors: scene.workspace.authors)
        #expect(report.violation == nil && report.changeSets == 0)
        let suspicion = ForkSuspicion(origin: own, differs: SequenceNumber(2))
        #expect(report.forks == [suspicion])
        let held = try #require(report.held.first)
        #expect(held.cause == .forked && held.detail.contains("which its author had seen"))
        #expect(try scene.replica.forkSuspicions() == [suspicion])
        #expect(try (scene.replica.vectors().applied, scene.replica.contents("notes")) == before)
        // A peer that has the same there shows that nothing has forked; what lied stays held.
        var search = ForkSearch(suspicion)
        let same = try scene.replica.signedChangeSet(search.firstQuestion)
        let step = try scene.replica.goOn(
            &search, answer: same, asked: search.firstQuestion, authors: scene.workspace.authors)
        #expect(step == .nothing)
        #expect(try scene.replica.held().count == 1)
        try scene.replica.expectSound(scene.workspace.authors)
    }

    @Test func aContextThatIsTakenBackIsRefused() throws {
        var scene = try Scene()
        let own = try scene.replica.origin
        let seen = VersionVector([own: SequenceNumber(1)])
        let sound = try scene.replica.apply(
            [scene.next(at: scene.workspace.stamp(30), seen: seen)], from: nil, authors: scene.workspace.authors)
        #expect(sound.violation == nil)
        let before = try scene.replica.dump()
        let report = try scene.replica.apply(
            [scene.next(at: scene.workspace.stamp(60), seen: seen)], from: nil, authors: scene.workspace.authors)
        #expect(report.violation?.kind == .malformed)
        #expect(try scene.replica.dump() == before)
    }

    @Test func whatComesBeforeAViolationIsAppliedAndWhatFollowsIsNot() throws {
        var scene = try Scene()
        let sound = scene.next()
        let forged = scene.next(.init(signer: SigningKey.generate()), at: scene.workspace.stamp(2))
        let following = scene.next(at: scene.workspace.stamp(3))
        let report = try scene.replica.apply(
            [sound, forged, following], from: nil, authors: scene.workspace.authors)
        #expect(report.changeSets == 1 && report.violation?.kind == .signature)
        #expect(report.applied[scene.forger.origin] == SequenceNumber(2))
        try scene.replica.expectSound(scene.workspace.authors)
    }
}
