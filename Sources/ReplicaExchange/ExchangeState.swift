// What the store keeps of one session while it lasts: whether what the session told is still true, and what it looks for.
//
// Invariant: a session that told its vector before the replica was rewound hears of it with the next answer.

internal import ReplicaStore
internal import ReplicationModel
internal import Synchronization

/// One session's own part of the store.
public final class ExchangeState: Sendable {
    /// How often the replica had been rewound when this session read its vector; nil before it did.
    private let rewinds = Mutex<Int64?>(nil)
    /// For forks, by origin.
    private let searches = Mutex<[Origin: ForkSearch]>([:])

    /// Nothing yet.
    public init() {}

    func begin(rewinds count: Int64) { rewinds.withLock { $0 = count } }

    /// Whether what this session told of its vector is void.
    func isVoid(_ count: Int64) -> Bool { rewinds.withLock { $0 != nil && $0 != count } }

    /// Begins to search, unless this session does already.
    func search(for suspicion: ForkSuspicion) -> ForkSearch? {
        searches.withLock { searches in
            guard searches[suspicion.origin] == nil else { return nil }
            let search = ForkSearch(suspicion)
            searches[suspicion.origin] = search
            return search
        }
    }

    /// The search that an answer belongs to.
    func search(in dot: Dot) -> ForkSearch {
        searches.withLock { $0[dot.origin] } ?? ForkSearch(ForkSuspicion(origin: dot.origin, differs: dot.sequence))
    }

    func keep(_ search: ForkSearch, for origin: Origin) { searches.withLock { $0[origin] = search } }
}
