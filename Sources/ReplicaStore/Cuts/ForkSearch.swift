// Finding where two histories of one origin part, by asking a peer who has the other for single change sets.
//
// Invariant: what a peer answers is believed only where the origin's node signed it, and the search ends after as many
// questions as the sequence number has binary digits, and one.

public import ReplicationModel
internal import ReplicationWire
internal import Trust

/// A place at which an origin's history here and a peer's are not the same.
public struct ForkSuspicion: Hashable, Sendable {
    public let origin: Origin
    /// The change set of this number differs, and perhaps earlier ones.
    public let differs: SequenceNumber

    public init(origin: Origin, differs: SequenceNumber) {
        self.origin = origin
        self.differs = differs
    }
}

extension Cuts {
    /// Whether a suspicion, if it is borne out, says more than the forks that are proven: of three histories two may part above
    /// the place where the third does.
    func mayForkLower(_ suspicion: ForkSuspicion) -> Bool {
        forked[suspicion.origin].map { suspicion.differs < $0 } ?? true
    }
}

/// What to do next in a search.
public enum ForkStep: Hashable, Sendable {
    /// Ask the peer for this change set, without its values.
    case ask(Dot)
    /// The lowest fork.
    case found(ForkProof)
    /// The peer's history is the same, as far as both go, or it does not tell.
    case nothing
}

/// A search that is under way.
public struct ForkSearch: Sendable {
    public let origin: Origin
    /// Up to here both are known to be the same.
    private var same = SequenceNumber.zero
    /// From here on they are not.
    private var differs: SequenceNumber
    private(set) var theirs: ForkProof.Half?

    public init(_ suspicion: ForkSuspicion) {
        origin = suspicion.origin
        differs = suspicion.differs
    }

    /// What is asked first.
    public var firstQuestion: Dot { Dot(origin: origin, sequence: differs) }

    /// Takes in an answer to the last question.
    ///
    /// - Parameters:
    ///   - answer: nil where the peer does not have it.
    ///   - ours: what this side has of that number.
    mutating func take(_ answer: ForkProof.Half?, ours: ForkProof.Half?, key: PublicKey) throws -> ForkStep {
        guard let answer, let ours, answer.header.origin == origin,
            ChangeSetSignature.verify(answer.signature, bodyDigest: answer.digest, publicKey: key)
        else { return .nothing }
        let asked = theirs == nil ? differs : middle
        guard answer.header.sequence == asked, ours.header.sequence == asked else { return .nothing }
        if answer.digest == ours.digest {
            guard theirs != nil else { return .nothing }
            same = asked
        } else {
            differs = asked
            theirs = answer
        }
        return .ask(Dot(origin: origin, sequence: middle))
    }

    /// The proof, once it is known where the histories part.
    func proof(ours: ForkProof.Half?, key: PublicKey) throws -> ForkProof? {
        guard let theirs, let ours, same.next == differs else { return nil }
        return try ForkProof(ours, theirs, key: key)
    }

    var lowest: SequenceNumber { differs }
    private var middle: SequenceNumber { SequenceNumber(same.rawValue + (differs.rawValue - same.rawValue) / 2) }
}

extension Replica {
    /// A change set of the log, or one that is held, without its values; nil where there is none.
    public func signedChangeSet(_ dot: Dot) throws -> SealedChangeSet? {
        try read { reader in
            let sequence = Value.integer(Int64(bitPattern: dot.sequence.rawValue))
            let row =
                try reader.query(
                    """
                    SELECT body, signature FROM sync_change_sets
                    WHERE origin = (SELECT number FROM sync_origins WHERE origin = ?) AND seq = ?
                    """, [.blob(dot.origin.bytes), sequence]
                ).first
                ?? reader.query(
                    "SELECT body, signature FROM sync_held WHERE origin = ? AND seq = ?",
                    [.blob(dot.origin.bytes), sequence]
                ).first
            guard let body = row?[0].bytes, let signature = row?[1].bytes else { return nil }
            return SealedChangeSet(body: body, signature: signature, values: [])
        }
    }

    /// Goes on with a search, once the peer has answered.
    ///
    /// - Throws: `ApplyViolation` of kind `.malformed` where the answer is no change set.
    public func goOn(
        _ search: inout ForkSearch, answer: SealedChangeSet?, asked: Dot, authors: any AuthorDirectory
    ) throws -> ForkStep {
        let key = try authors.key(of: asked)
        do {
            let theirs = try answer.map { try ForkProof.Half(body: $0.body, signature: $0.signature) }
            guard let theirs else { return try proofAtHand(search, key).map { .found($0) } ?? .nothing }
            let step = try search.take(theirs, ours: half(asked), key: key)
            guard step != .nothing else { return try proofAtHand(search, key).map { .found($0) } ?? .nothing }
            let lowest = Dot(origin: search.origin, sequence: search.lowest)
            if let proof = try search.proof(ours: half(lowest), key: key) { return .found(proof) }
            return step
        } catch let error as ForkProofError {
            throw ApplyViolation(kind: .malformed, dot: asked, description: error.description)
        }
    }

    /// Where the peer tells no more, or has the same as this side, what it told and what is held proves a fork all the same,
    /// if not the lowest.
    private func proofAtHand(_ search: ForkSearch, _ key: PublicKey) throws -> ForkProof? {
        let place = Dot(origin: search.origin, sequence: search.lowest)
        guard let ours = try half(place) else { return nil }
        if let theirs = search.theirs { return try ForkProof(ours, theirs, key: key) }
        for sequence in [place.sequence, place.sequence.next] {
            let held = try read { reader in
                try reader.query(
                    "SELECT body, signature FROM sync_held WHERE origin = ? AND seq = ? AND cause = 'forked'",
                    [.blob(search.origin.bytes), .integer(Int64(bitPattern: sequence.rawValue))]
                ).first
            }
            guard let body = held?[0].bytes, let signature = held?[1].bytes else { continue }
            // Two that may well follow each other prove nothing, and the next pair is tried.
            if let proof = try? ForkProof(ours, ForkProof.Half(body: body, signature: signature), key: key) {
                return proof
            }
        }
        return nil
    }

    private func half(_ dot: Dot) throws -> ForkProof.Half? {
        try signedChangeSet(dot).map { try ForkProof.Half(body: $0.body, signature: $0.signature) }
    }
}
