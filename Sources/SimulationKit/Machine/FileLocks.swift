// SQLite's locks on one file, and the memory its connections share: what the kernel keeps for processes that are alive.
//
// Invariant: at most one connection holds a lock exclusively, and then no other holds it at all.

internal import CSQLite

final class FileLocks {
    /// Level by connection; `SQLITE_LOCK_NONE` is not kept.
    private var levels: [ObjectIdentifier: Int32] = [:]
    private var shared = [Int](repeating: 0, count: Int(SQLITE_SHM_NLOCK))
    private var exclusive = [ObjectIdentifier?](repeating: nil, count: Int(SQLITE_SHM_NLOCK))
    private var regions: [UnsafeMutableRawPointer] = []
    private var regionBytes = 0

    deinit {
        for region in regions { region.deallocate() }
    }

    // MARK: The database file

    /// Raises a connection's lock. False: busy.
    func lock(_ connection: ObjectIdentifier, to level: Int32) -> Bool {
        guard level > levels[connection, default: SQLITE_LOCK_NONE] else { return true }
        let others = levels.filter { $0.key != connection }.map(\.value).max() ?? SQLITE_LOCK_NONE
        let isFree =
            switch level {
            case SQLITE_LOCK_SHARED: others < SQLITE_LOCK_PENDING
            case SQLITE_LOCK_RESERVED: others < SQLITE_LOCK_RESERVED
            default: others == SQLITE_LOCK_NONE
            }
        if isFree { levels[connection] = level }
        return isFree
    }

    func unlock(_ connection: ObjectIdentifier, to level: Int32) {
        guard levels[connection, default: SQLITE_LOCK_NONE] > level else { return }
        levels[connection] = level == SQLITE_LOCK_NONE ? nil : level
    }

    var isReserved: Bool { levels.values.contains { $0 >= SQLITE_LOCK_RESERVED } }

    // MARK: The write-ahead log's shared memory

    /// A region, made of zeros where `extends` and there is none.
    func region(_ index: Int, bytes: Int, extends: Bool) -> UnsafeMutableRawPointer? {
        guard index >= regions.count else { return regions[index] }
        guard extends else { return nil }
        while regions.count <= index {
            let region = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 8)
            region.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
            regions.append(region)
        }
        return regions[index]
    }

    /// Takes or gives back slots of the shared memory's locks. `held` is what this connection holds. False: busy.
    func shmLock(_ slots: Range<Int>, flags: Int32, _ connection: ObjectIdentifier, held: inout ShmLocks) -> Bool {
        let isExclusive = flags & SQLITE_SHM_EXCLUSIVE != 0
        if flags & SQLITE_SHM_UNLOCK != 0 {
            for slot in slots {
                if held.shared.remove(slot) != nil { shared[slot] -= 1 }
                if held.exclusive.remove(slot) != nil { exclusive[slot] = nil }
            }
            return true
        }
        for slot in slots {
            if let owner = exclusive[slot], owner != connection { return false }
            if isExclusive, shared[slot] > (held.shared.contains(slot) ? 1 : 0) { return false }
        }
        for slot in slots {
            if isExclusive {
                exclusive[slot] = connection
                held.exclusive.insert(slot)
            } else if held.shared.insert(slot).inserted {
                shared[slot] += 1
            }
        }
        return true
    }
}

/// The slots that one connection holds.
struct ShmLocks {
    var shared: Set<Int> = []
    var exclusive: Set<Int> = []
}
