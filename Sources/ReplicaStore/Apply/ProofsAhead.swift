// Change sets proven ahead of their turn: while one is applied, another thread digests the values of the next.
//
// Invariant: they come in order, and what nobody has begun is done by whoever needs it, so that nothing waits for a thread
// that may never come.

internal import Dispatch
internal import ReplicationModel
internal import ReplicationWire
internal import Synchronization
internal import Trust

/// A change set that is well formed and signed by its author; the values beside it are not looked at yet.
struct SignedChangeSet: Sendable {
    let sealed: SealedChangeSet
    let view: ChangeSetView
    let digest: Digest
    var dot: Dot { view.header.dot }

    /// Checks each value against the digest that the author signed.
    ///
    /// - Throws: `ApplyViolation`.
    func proven() throws -> ProvenChangeSet {
        let cells = view.besideCells
        guard cells.count == sealed.values.count else {
            throw ApplyViolation(
                kind: .malformed, dot: dot,
                description: "\(dot) came with \(sealed.values.count) values beside it, and names \(cells.count).")
        }
        for (cell, value) in zip(cells, sealed.values) {
            guard let value else { continue }
            guard UInt64(value.count) == cell.byteCount, SHA256.digest(value) == cell.digest else {
                throw ApplyViolation(
                    kind: .malformed, dot: dot, description: "A value beside \(dot) is not the one its author signed.")
            }
        }
        return ProvenChangeSet(sealed: sealed, view: view, digest: digest)
    }
}

/// A batch on its way to be applied.
final class ProofsAhead: Sendable {
    private enum Proof {
        case waiting
        case begun
        case done(Result<ProvenChangeSet, any Error>)
    }

    private let changeSets: [SignedChangeSet]
    private let proofs: Mutex<[Proof]>
    private let isDone: [DispatchSemaphore]
    private let turn = Mutex(0)

    /// Proves the first change set before it returns, so that nobody waits for that with the write lock in hand.
    init(_ changeSets: [SignedChangeSet]) {
        self.changeSets = changeSets
        proofs = Mutex(changeSets.map { _ in .waiting })
        isDone = changeSets.map { _ in DispatchSemaphore(value: 0) }
        if changeSets.count > 1 {
            DispatchQueue.global(qos: .userInitiated).async { [self] in
                for place in changeSets.indices.dropFirst() { proveIfWaiting(place) }
            }
        }
        if !changeSets.isEmpty { proveIfWaiting(0) }
    }

    /// The next change set; nil after the last.
    ///
    /// - Throws: `ApplyViolation`.
    func next() throws -> ProvenChangeSet? {
        let place = turn.withLock { turn in
            defer { turn += 1 }
            return turn
        }
        guard place < changeSets.count else { return nil }
        proveIfWaiting(place)
        isDone[place].wait()
        guard case .done(let proof) = proofs.withLock({ $0[place] }) else {
            preconditionFailure("what is signalled is done")
        }
        return try proof.get()
    }

    private func proveIfWaiting(_ place: Int) {
        let isMine = proofs.withLock { proofs in
            guard case .waiting = proofs[place] else { return false }
            proofs[place] = .begun
            return true
        }
        guard isMine else { return }
        let proof = Result { try changeSets[place].proven() }
        proofs.withLock { $0[place] = .done(proof) }
        isDone[place].signal()
    }
}
