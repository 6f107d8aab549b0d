// Taking in what others wrote: proving it off the write lock, applying it in one transaction, releasing what was held.
//
// Invariant: nothing is applied that its author did not sign, or was not allowed to write.

public import ReplicationModel
internal import ReplicationWire
public import Trust

/// Who may author a change set, and with which key its signature is checked.
public protocol AuthorDirectory: Sendable {
    /// - Throws: `ApplyViolation` of kind `.author`.
    func key(of dot: Dot) throws -> PublicKey
}

extension Replica {
    /// Checks everything about a change set that needs no database: form, author, signature, and each value's digest.
    ///
    /// - Throws: `ApplyViolation`.
    public func prove(_ sealed: SealedChangeSet, authors: any AuthorDirectory) throws -> ProvenChangeSet {
        try checkSignature(sealed, authors: authors).proven()
    }

    private func checkSignature(_ sealed: SealedChangeSet, authors: any AuthorDirectory) throws -> SignedChangeSet {
        let view: ChangeSetView
        do {
            view = try ChangeSetView(sealed.body)
        } catch {
            throw ApplyViolation(kind: .malformed, dot: nil, description: "A change set is malformed: \(error)")
        }
        let dot = view.header.dot
        let digest = SHA256.digest(sealed.body)
        let key = try authors.key(of: dot)
        guard ChangeSetSignature.verify(sealed.signature, bodyDigest: digest, publicKey: key) else {
            throw ApplyViolation(
                kind: .signature, dot: dot,
                description: "\(dot) is not signed by its author: it was changed on the way.")
        }
        return SignedChangeSet(sealed: sealed, view: view, digest: digest)
    }

    /// Applies a batch in one transaction, synced to disk. Own edits are sealed first, so that they post-date nothing
    /// they had not seen.
    ///
    /// What comes before a violation is applied, and stays.
    ///
    /// - Parameter leftOut: origins that the peer may have left out, for it knew them to be held here: what builds on them
    ///   is held and not refused, whether they are held still or were released meanwhile.
    public func apply(
        _ batch: [SealedChangeSet], from peer: NodeID?, leftOut: Set<Origin> = [], authors: any AuthorDirectory
    ) throws -> ApplyReport {
        var signed: [SignedChangeSet] = []
        var violation: ApplyViolation?
        for sealed in batch {
            do {
                signed.append(try checkSignature(sealed, authors: authors))
            } catch let error as ApplyViolation {
                violation = error
                break
            }
        }
        var shown = VersionVector()
        for changeSet in signed where changeSet.dot.origin.node == node {
            shown[changeSet.dot.origin] = max(shown[changeSet.dot.origin], changeSet.dot.sequence)
        }
        try heed(shown)
        try seal()
        let proofs = ProofsAhead(signed)
        var report = try engineWrite { writer in
            try Batch(writer, replica: self, peer: peer, leftOut: leftOut).run(proofs.next)
        }
        report.violation = report.violation ?? violation
        return report
    }

    /// Applies what was held and need wait no longer: its time has come, the schema has arrived, what it built on is here.
    ///
    /// - Parameter released: change sets that the operator releases, however far ahead their stamps are.
    @discardableResult
    public func releaseHeld(_ released: Set<Dot> = []) throws -> ApplyReport {
        let isDue = try read { try !HeldStore.due(at: clock(), released: released, cutsChanged: false, $0).isEmpty }
        guard isDue else { return ApplyReport() }
        try seal()
        return try engineWrite { writer in
            try Batch(writer, replica: self, peer: nil, released: released).run([])
        }
    }

    /// What waits, oldest first.
    public func held() throws -> [HeldChangeSet] {
        try read { try HeldStore.all($0) }
    }

    /// The first change set of each origin that waits: what keeps the rest of it waiting. None that waits for what a cut took
    /// back.
    public func firstHeld() throws -> [HeldChangeSet] {
        try read { try HeldStore.firstOfEachOrigin($0, cuts: CutStore.load($0, own: node)) }
    }
}

/// One transaction of applying.
final class Batch {
    private let writer: Writer
    private let replica: Replica
    private let peer: NodeID?
    private let leftOut: Set<Origin>
    private let released: Set<Dot>
    private let cutsChanged: Bool
    private let orphaned: Set<Dot>
    private var transaction: EngineTransaction
    private var heldOrigins: Set<Origin>
    private lazy var applier = makeApplier()
    private var report = ApplyReport()
    private var isRetrying = false
    /// Of this batch, whether or not something held waited for them: asked once.
    private var applied: [Dot] = []

    /// - Parameters:
    ///   - leftOut: what builds on these origins is held, and is no gap.
    ///   - cutsChanged: what is held beyond a cut is tried again.
    ///   - orphaned: what cuts took back of revoked nodes, and may come free now.
    init(
        _ writer: Writer, replica: Replica, peer: NodeID?, leftOut: Set<Origin> = [], released: Set<Dot> = [],
        cutsChanged: Bool = false, orphaned: Set<Dot> = []
    ) throws {
        self.writer = writer
        self.replica = replica
        self.peer = peer
        self.leftOut = leftOut
        self.released = released
        self.cutsChanged = cutsChanged
        self.orphaned = orphaned
        transaction = try replica.engineTransaction(writer)
        try Sealer(transaction, key: replica.key).sealAll()
        heldOrigins = try HeldStore.origins(writer)
    }

    /// What is held already waits for whatever it lacks, held or not.
    private func makeApplier() -> Applier {
        Applier(transaction, released: released) { [unowned self] in
            isRetrying || heldOrigins.contains($0) || leftOut.contains($0)
        }
    }

    func run(_ proven: [ProvenChangeSet]) throws -> ApplyReport {
        var rest = proven[...]
        return try run { rest.popFirst() }
    }

    /// - Parameter next: gives the next change set, or throws where that is none; nil after the last.
    func run(_ next: () throws -> ProvenChangeSet?) throws -> ApplyReport {
        let shownBefore = try shownConflicts()
        while true {
            do {
                guard let changeSet = try next() else { break }
                try take(changeSet)
            } catch let violation as ApplyViolation {
                report.violation = violation
                break
            }
        }
        try takeHeld()
        if !orphaned.isEmpty, report.changeSets > 0 {
            try SetAsideCollector.drop(whatLostTo: orphaned, in: transaction)
        }
        try transaction.passOverJournals()
        report.rewritten = try SetAsideEdits.writeAgain(transaction, key: replica.key)
        report.conflicts = try shownConflicts() - shownBefore
        report.applied = transaction.origins.applied
        report.safe = try Replica.safe(transaction.origins, writer)
        report.rewinds = try Settings.value(Settings.rewinds, writer)?.integer ?? 0
        return report
    }

    private func shownConflicts() throws -> Int {
        Int(try writer.integer("SELECT count(*) FROM sync_conflicts WHERE shown") ?? 0)
    }

    private func take(_ changeSet: ProvenChangeSet) throws {
        switch try attempt(changeSet, from: peer) {
        case .applied(let header, let bodyBytes):
            count(header, bodyBytes)
            try meetHeld(changeSet)
        case .duplicate: report.duplicates += 1
        case .hold(let cause, let detail, let release):
            try hold(changeSet, HeldChangeSet(dot: changeSet.dot, cause, detail, until: release), until: release)
        case .fork(let suspicion):
            report.forks.append(suspicion)
            try hold(changeSet, HeldChangeSet(dot: changeSet.dot, suspicion), until: .anything)
        }
    }

    /// What waits under the name of what was just applied is the same, or of another history of its origin. Where it is
    /// whole no more nothing tells which, and it is of no use to anyone.
    private func meetHeld(_ changeSet: ProvenChangeSet) throws {
        let dot = changeSet.dot
        guard heldOrigins.contains(dot.origin), let held = try HeldStore.find(dot, writer) else { return }
        guard !held.isBody(of: changeSet), held.isWhole else { return try drop(held.number, of: dot.origin) }
        let suspicion = ForkSuspicion(origin: dot.origin, differs: dot.sequence)
        report.forks.append(suspicion)
        try HeldStore.restate(held.number, HeldChangeSet(dot: dot, suspicion), until: .anything, in: writer)
    }

    private func hold(_ changeSet: ProvenChangeSet, _ held: HeldChangeSet, until release: HeldRelease) throws {
        try HeldStore.hold(
            changeSet, held, until: release, from: peer, within: .standard, at: transaction.now, in: writer)
        report.held.append(held)
        heldOrigins.insert(changeSet.dot.origin)
    }

    private func count(_ header: ChangeSetHeader, _ bodyBytes: Int) {
        report.changeSets += 1
        report.changes += header.changes
        report.bytes += UInt64(bodyBytes) + header.besideBytes
        applied.append(header.dot)
    }

    /// Applies under a savepoint: what a constraint of this schema forbids is held, and leaves nothing behind.
    private func attempt(_ changeSet: ProvenChangeSet, from peer: NodeID?) throws -> Applier.Outcome {
        func undoes(_ error: any Error) -> Bool { error is ApplyViolation || SQLError.isConstraint(error) }
        do {
            return try writer.savepoint(undoneBy: undoes) { try applier.apply(changeSet, from: peer) }
        } catch let error as SQLError where error.isConstraint {
            try forget()
            // Another row may be what forbids it, so it is tried again whatever happens.
            return .hold(
                .schemaDiffers, "a constraint of this schema forbids it: \(error.message)", until: .anything)
        } catch let violation as ApplyViolation {
            try forget()
            throw violation
        }
    }

    /// What is remembered of the file may be of what was undone.
    private func forget() throws {
        transaction = try EngineTransaction(writer, now: transaction.now)
        applier = makeApplier()
    }

    /// Tries what is held and may be released, and what was waiting for it in turn.
    private func takeHeld() throws {
        isRetrying = true
        defer { isRetrying = false }
        var queue = try HeldStore.due(
            at: transaction.now, released: released, cutsChanged: cutsChanged, writer)[...]
        while true {
            // What was applied, from outside or from here, releases what waited for it.
            for dot in applied { queue += try HeldStore.waiting(for: dot, writer) }
            applied = []
            guard let number = queue.popFirst() else { return }
            if let entry = try whole(number) { try retry(entry) }
        }
    }

    /// Nil where it went meanwhile, or is not what was proven: all else goes on, and peers send it again where they can.
    private func whole(_ number: Int64) throws -> HeldStore.Entry? {
        do {
            return try HeldStore.load(number, writer)
        } catch let error as ReplicaError where error.code == .damaged {
            guard let (first, count) = try HeldStore.dropDamaged(number, in: writer) else { return nil }
            if try !HeldStore.holds(first.origin, writer) { heldOrigins.remove(first.origin) }
            // Peers were told that it is here, and send nothing of its author for that.
            try Settings.countRewind(in: writer)
            try ReplicaNotice.add(
                .heldDamaged,
                "\(first) waited here and is not as it came: this disk changed it. It was not applied, but dropped\(count > 1 ? " with the \((count - 1).of("change set")) of its author that waited for it" : ""), and comes again with the next pull from a node that has it. Run `syncnode verify` to see whether anything else is damaged, and look after the disk.",
                at: transaction.now, in: writer)
            return nil
        }
    }

    private func retry(_ entry: HeldStore.Entry) throws {
        let dot = entry.changeSet.dot
        do {
            switch try attempt(entry.changeSet, from: entry.from) {
            case .applied(let header, let bodyBytes):
                count(header, bodyBytes)
                try drop(entry)
                try SetAsideEdits.drop(header.dot, in: writer)
            case .duplicate: try drop(entry)
            case .hold(let cause, let detail, let release):
                try HeldStore.restate(
                    entry.number, HeldChangeSet(dot: dot, cause, detail, until: release), until: release, in: writer)
            case .fork(let suspicion):
                try HeldStore.restate(
                    entry.number, HeldChangeSet(dot: dot, suspicion), until: .anything, in: writer)
            }
        } catch let violation as ApplyViolation {
            // It was proven when it came; what came since makes it a fork or malformed. It is of no use to anyone.
            report.violation = report.violation ?? violation
            try drop(entry)
        }
    }

    private func drop(_ entry: HeldStore.Entry) throws {
        try drop(entry.number, of: entry.changeSet.dot.origin)
    }

    private func drop(_ number: Int64, of origin: Origin) throws {
        try HeldStore.drop(number, in: writer)
        if try !HeldStore.holds(origin, writer) { heldOrigins.remove(origin) }
    }
}

extension HeldChangeSet {
    /// It belongs to another history than the one here, or builds on one.
    init(dot: Dot, _ suspicion: ForkSuspicion) {
        let detail =
            suspicion.origin == dot.origin
            ? "belongs to another history of its origin than \(suspicion.differs) here"
            : "is stamped before \(suspicion.origin):\(suspicion.differs) as it is here, which its author had seen"
        self.init(dot: dot, cause: .forked, detail: detail, releaseAt: nil)
    }

    init(dot: Dot, _ cause: HeldCause, _ detail: String, until release: HeldRelease) {
        var releaseAt: WallClock?
        if case .at(let time) = release { releaseAt = time }
        self.init(dot: dot, cause: cause, detail: detail, releaseAt: releaseAt)
    }
}

extension Roster: AuthorDirectory {
    /// The author's key, where the roster ever let it write. Whether the change set comes after a cut is asked when it is
    /// applied.
    public func key(of dot: Dot) throws -> PublicKey {
        let reason: String
        switch authorship(by: dot.origin.node) {
        case .allowed(let key): return key
        case .notAWriter(let role): reason = "its author is a \(role.rawValue), and may not write"
        case .unknownAuthor, .beyondRevocation: reason = "the roster has no certificate of its author"
        }
        throw ApplyViolation(kind: .author, dot: dot, description: "\(dot) is refused: \(reason).")
    }
}
