// New incarnations: a replica that may have been restored or copied never seals again under its former origin.
//
// Invariant: nothing is sealed before the replica was found to agree with the high-water mark, which follows at once; and no
// own change set is read for a peer before the mark on disk vouches for it.

public import ReplicationModel
internal import Synchronization

/// What a replica uses to know whether it was taken back.
final class IncarnationGuard: Sendable {
    let storage: any HighWaterMarkStorage
    let mint: @Sendable () -> UInt64
    private let known = Mutex(Known())

    private struct Known {
        /// The mark as this process last read or wrote it.
        var mark: HighWaterMark?
        /// How far this process knows it to be synced.
        var synced: HighWaterMark?
    }

    init(storage: any HighWaterMarkStorage, mint: @escaping @Sendable () -> UInt64) {
        self.storage = storage
        self.mint = mint
    }

    /// Whether the mark as last seen goes with where the replica stands: the look at the file can be spared.
    func agrees(with record: OriginRecord) -> Bool {
        known.withLock { known in
            guard let known = known.mark, known.origin == record.origin else { return false }
            return known.sequence < record.applied
                || known.sequence == record.applied && known.digest == record.digest
        }
    }

    /// Whether the mark has got there; `synced`: whether no power cut takes that back.
    func reaches(_ record: OriginRecord, synced: Bool) -> Bool {
        known.withLock { known in
            (synced ? known.synced : known.mark).map { $0.origin == record.origin && $0.sequence >= record.applied }
                ?? false
        }
    }

    /// Whether a peer has no more of the mark's origin than the mark vouches for: as good as always.
    func explains(_ vector: VersionVector) -> Bool {
        known.withLock { known in known.mark.map { vector[$0.origin] <= $0.sequence } ?? false }
    }

    func remember(_ mark: HighWaterMark, synced: Bool) {
        known.withLock { known in
            known.mark = mark
            if synced { known.synced = mark }
        }
    }
    func forget() { known.withLock { $0 = Known() } }

    /// Makes the mark name the last change set of an origin, durably, where it names that or an earlier one; whether it does.
    func confirm(_ record: OriginRecord) throws -> Bool {
        let mark = HighWaterMark(record)
        var agrees = false
        try storage.update { reading in
            guard case .mark(let known) = reading, known.origin == mark.origin else { return nil }
            agrees = known.sequence < mark.sequence || known == mark
            return agrees ? mark : nil
        }
        if agrees { remember(mark, synced: true) }
        return agrees
    }
}

/// Why a replica took a new incarnation.
enum RenewalCause {
    case behind(HighWaterMark)
    case otherOrigin(HighWaterMark)
    case copied(String, HighWaterMark)
    case markAbsent
    case markDamaged(String)
    /// A peer has what this origin is yet to write: a disk was taken back as a whole, and the mark with it.
    case witnessed(SequenceNumber)
    /// Its origin is cut off, though nothing of it had to be taken back here: another machine wrote under it.
    case cutOff(Cut)

    /// What the mark says of the last stamp, where it says anything.
    var lastStamp: Stamp? {
        switch self {
        case .behind(let mark), .otherOrigin(let mark), .copied(_, let mark): mark.lastStamp
        case .markAbsent, .markDamaged, .witnessed, .cutOff: nil
        }
    }

    var kind: ReplicaNotice.Kind {
        switch self {
        case .behind, .otherOrigin, .witnessed, .cutOff: .restored
        case .copied: .copied
        case .markAbsent, .markDamaged: .markLost
        }
    }

    func explanation(_ record: OriginRecord) -> String {
        switch self {
        case .behind(let mark):
            "the replica ends at change set \(record.applied) of its origin, and this node had got to \(mark.sequence): it was restored from a backup"
        case .otherOrigin(let mark):
            "the replica seals as \(record.origin), and this node last did as \(mark.origin): it was restored from an older backup, or a crash interrupted a change of incarnation"
        case .copied(let cause, _): "the identity directory's high-water mark is a copy (\(cause))"
        case .markAbsent:
            "the identity directory has no high-water mark: the replica may have been restored from a backup"
        case .markDamaged(let cause):
            "the identity directory's high-water mark is damaged (\(cause)): the replica may have been restored from a backup"
        case .witnessed(let sequence):
            "a peer has change sets of its origin up to \(sequence), and the replica ends at \(record.applied): the disk was taken back to an earlier state"
        case .cutOff(let cut):
            "its origin is cut off after \(cut.lastAccepted) (\(cut.cause.rawValue)): another machine wrote under it, or this one did before it was taken back to an earlier state"
        }
    }
}

extension HighWaterMark {
    init(_ record: OriginRecord) {
        self.init(
            origin: record.origin, sequence: record.applied, digest: record.digest, lastStamp: record.lastStamp)
    }
}

extension Replica {
    /// The transaction that seals, applies, and keeps the engine's books, under an origin that nobody else seals under.
    ///
    /// - Parameter witnessed: what a peer has.
    func engineTransaction(_ writer: Writer, witnessed: VersionVector = VersionVector()) throws -> EngineTransaction {
        let transaction = try EngineTransaction(writer, now: clock())
        guard try renewIfNeeded(transaction, witnessed) else { return transaction }
        return try EngineTransaction(writer, now: transaction.now)
    }

    /// One transaction of the engine. What it sealed moves the mark on, so that no older copy of the replica, whether put back
    /// tomorrow or running elsewhere, seals under the same names.
    func engineWrite<T>(_ body: (Writer) throws -> T) throws -> T {
        var own: OriginRecord?
        let result = try connections.engineWrite { writer in
            let result = try body(writer)
            if incarnationGuard != nil { own = try OriginBook(writer)[Settings.ownOrigin(writer)] }
            return result
        }
        followMark(own)
        return result
    }

    /// Costs no sync. Where it fails nothing is sent either, since `vouch` fails as well, and says so.
    private func followMark(_ record: OriginRecord?) {
        guard let incarnationGuard, let record, !incarnationGuard.reaches(record, synced: false) else { return }
        try? incarnationGuard.storage.updateUnsynced { reading in
            guard case .mark(let mark) = reading, mark.origin == record.origin, mark.sequence < record.applied else {
                return nil
            }
            incarnationGuard.remember(HighWaterMark(record), synced: false)
            return HighWaterMark(record)
        }
    }

    /// Compares replica and mark, and takes a new incarnation where they do not agree; whether it did.
    ///
    /// The mark is written before the transaction commits. A crash between leaves a mark that names an origin which never
    /// was: that is one more new incarnation, and never a sequence number given out twice.
    private func renewIfNeeded(_ transaction: EngineTransaction, _ witnessed: VersionVector) throws -> Bool {
        let record = try transaction.origins.record(for: transaction.own, in: transaction.writer)
        let cut = transaction.cuts[record.origin]
        guard let incarnationGuard else {
            if cut != nil { _ = try takeNewIncarnation(after: record, in: transaction.writer) }
            return cut != nil
        }
        let isWitnessed = witnessed[record.origin] > record.applied
        if !isWitnessed, cut == nil, incarnationGuard.agrees(with: record) { return false }
        var renewal: (cause: RenewalCause, mark: HighWaterMark)?
        try incarnationGuard.storage.update { reading in
            guard
                let cause = try disagreement(of: record, with: reading, transaction.writer)
                    ?? (isWitnessed ? .witnessed(witnessed[record.origin]) : cut.map(RenewalCause.cutOff))
            else {
                if case .mark(let mark) = reading { incarnationGuard.remember(mark, synced: false) }
                return nil
            }
            let mark = HighWaterMark(
                origin: Origin(node: node, incarnation: incarnationGuard.mint()), sequence: .zero, digest: .none,
                lastStamp: max(record.lastStamp, cause.lastStamp ?? .zero))
            renewal = (cause, mark)
            return mark
        }
        guard let (cause, mark) = renewal else { return false }
        try Settings.set("origin", to: .blob(mark.origin.bytes), in: transaction.writer)
        try Settings.set("stamp_floor", to: .integer(mark.lastStamp.rawValue), in: transaction.writer)
        try transaction.writer.execute("INSERT INTO sync_origins(origin) VALUES (?)", [.blob(mark.origin.bytes)])
        try ReplicaNotice.add(
            cause.kind,
            "This node writes under a new origin, \(mark.origin), since \(cause.explanation(record)). What it wrote before and this replica lacks comes back with the next pull from any peer that has it; edits that no change set held yet are kept.",
            at: transaction.now, in: transaction.writer)
        incarnationGuard.remember(mark, synced: true)
        return true
    }

    /// Goes on under a new origin: the sequence numbers of the present one are used up, by change sets that were set aside.
    /// What is written from now on is stamped after them.
    ///
    /// - Parameter record: the present origin, as it was before.
    func takeNewIncarnation(after record: OriginRecord, in writer: Writer) throws -> Origin {
        let incarnation = incarnationGuard?.mint() ?? Self.randomIncarnation()
        let mark = HighWaterMark(
            origin: Origin(node: node, incarnation: incarnation), sequence: .zero, digest: .none,
            lastStamp: record.lastStamp)
        try incarnationGuard?.storage.update { _ in mark }
        try Settings.set("origin", to: .blob(mark.origin.bytes), in: writer)
        try Settings.set("stamp_floor", to: .integer(mark.lastStamp.rawValue), in: writer)
        try writer.execute("INSERT INTO sync_origins(origin) VALUES (?)", [.blob(mark.origin.bytes)])
        incarnationGuard?.remember(mark, synced: true)
        return mark.origin
    }

    /// Nil where they agree. The mark may lag behind, where a crash came between a commit and it.
    private func disagreement(of record: OriginRecord, with reading: HighWaterReading, _ reader: Reader) throws
        -> RenewalCause?
    {
        switch reading {
        case .absent: return .markAbsent
        case .damaged(let cause): return .markDamaged(cause)
        case .copied(let cause, let mark): return .copied(cause, mark)
        case .mark(let mark):
            if mark.origin != record.origin { return .otherOrigin(mark) }
            if mark.sequence > record.applied { return .behind(mark) }
            try checkDigest(mark, record, reader)
            return nil
        }
    }

    /// The change set at the mark is the one that left this machine. Where another stands in its place, two histories grew
    /// under one origin: no new incarnation mends what is in this file already.
    private func checkDigest(_ mark: HighWaterMark, _ record: OriginRecord, _ reader: Reader) throws {
        guard mark.sequence > .zero else { return }
        let digest = try reader.query(
            "SELECT digest FROM sync_change_sets WHERE origin = ? AND seq = ?",
            [.integer(record.number), .integer(Int64(bitPattern: mark.sequence.rawValue))]
        ).first?[0].bytes
        guard digest != mark.digest.bytes else { return }
        throw ReplicaError(
            .fork,
            "Cannot use \(path): at change set \(mark.sequence) it holds another content than the one this node has sent out, so it is an older copy that was written to beside the one that went on. Move it away and keep it. `syncnode recover HOST:PORT` brings back everything that was sent, and then `syncnode recover --salvage FILE` writes again what only that file has."
        )
    }

    /// A new replica's first mark. Where an identity had a replica before, what is written in this one is stamped after what
    /// was written in that.
    func beginMark() throws {
        guard let incarnationGuard else { return }
        try connections.engineWrite { writer in
            try incarnationGuard.storage.update { reading in
                var lastStamp = Stamp.zero
                switch reading {
                case .mark(let mark), .copied(_, let mark): lastStamp = mark.lastStamp
                case .absent, .damaged: break
                }
                try Settings.set("stamp_floor", to: .integer(lastStamp.rawValue), in: writer)
                let mark = HighWaterMark(
                    origin: try Settings.ownOrigin(writer), sequence: .zero, digest: .none, lastStamp: lastStamp)
                incarnationGuard.remember(mark, synced: true)
                return mark
            }
        }
    }

    /// Looks whether the replica agrees with its mark, before anything else is done with it.
    func settleIncarnation() throws {
        guard let incarnationGuard else { return }
        let agrees = try read { reader in
            guard let record = try OriginBook(reader)[Settings.ownOrigin(reader)] else { return false }
            let reading = try incarnationGuard.storage.read()
            guard try disagreement(of: record, with: reading, reader) == nil else { return false }
            if case .mark(let mark) = reading { incarnationGuard.remember(mark, synced: false) }
            return true
        }
        // A crash may have come between a commit and the mark.
        guard !agrees else { return try followMark(read { try OriginBook($0)[Settings.ownOrigin($0)] }) }
        do {
            try engineWrite { _ = try engineTransaction($0) }
        } catch let error as SQLError where error.isFull || error.isReadOnly {
            // Reading goes on; whatever would seal tries again, and says so.
        } catch let error as ReplicaError where error.code == .inputOutput {
            // Likewise.
        }
    }

    /// How many milliseconds this clock is past everything that the replica knows of, where nobody has confirmed it.
    public func clockDoubtMilliseconds() throws -> Int64? {
        try read { try ClockCheck($0, now: clock()).doubt }
    }

    /// Takes a new incarnation where a peer has more of this origin than this replica: before anything is sealed that would
    /// carry the same name.
    public func heed(_ witnessed: VersionVector) throws {
        guard let incarnationGuard, !incarnationGuard.explains(witnessed) else { return }
        let isAhead = try read { reader in
            let own = try Settings.ownOrigin(reader)
            guard witnessed[own] > .zero else { return false }
            return try witnessed[own] > OriginBook(reader)[own]?.applied ?? .zero
        }
        guard isAhead else { return }
        try connections.engineWrite { _ = try engineTransaction($0, witnessed: witnessed) }
    }

    /// Makes the mark vouch for every own change set that a reader saw, before one of them leaves this machine.
    ///
    /// - Parameter record: the own origin, as that reader saw it.
    /// - Returns: false where the replica has another origin by now; the caller looks again.
    func vouch(for record: OriginRecord) throws -> Bool {
        guard let incarnationGuard, record.applied > .zero, !incarnationGuard.reaches(record, synced: true) else {
            return true
        }
        if try incarnationGuard.confirm(record) { return true }
        // Beyond what the reader saw: another process went on, or another replica did. A look from within a write
        // transaction tells; and as nobody seals meanwhile, whoever goes on and on keeps no peer waiting.
        incarnationGuard.forget()
        return try connections.engineWrite { writer in
            let transaction = try engineTransaction(writer)
            let present = try transaction.origins.record(for: transaction.own, in: writer)
            guard present.origin == record.origin, present.applied >= record.applied else { return false }
            return try incarnationGuard.confirm(present)
        }
    }
}
