// One file of a virtual disk: what programs see of it, and what would be left of it if the power went now.
//
// Invariant: `durable` is what the last sync made safe; everything since is in `unsynced`, in order.

final class VirtualFile {
    enum Change {
        case write(offset: Int, bytes: [UInt8])
        case truncate(size: Int)
    }

    /// What programs read.
    private(set) var bytes: [UInt8]
    /// Nil: not even the file's name is safe yet.
    private var durable: [UInt8]?
    private var unsynced: [Change] = []
    /// Locks and shared memory live with the processes that have the file open, and die with them.
    var locks = FileLocks()

    init() { bytes = [] }

    /// A file that is wholly safe: one copied from elsewhere.
    init(durable bytes: [UInt8]) {
        self.bytes = bytes
        durable = bytes
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        let written = [UInt8](source)
        Self.apply(.write(offset: offset, bytes: written), to: &bytes)
        unsynced.append(.write(offset: offset, bytes: written))
    }

    func truncate(to size: Int) {
        Self.apply(.truncate(size: size), to: &bytes)
        unsynced.append(.truncate(size: size))
    }

    var isNameSafe: Bool { durable != nil }

    /// The file's directory was synced: the file is there after a power cut, with what was synced of it.
    func keepName() { durable = durable ?? [] }

    func sync() {
        var safe = durable ?? []
        durable = nil
        for change in unsynced { Self.apply(change, to: &safe) }
        durable = safe
        unsynced = []
    }

    /// The power goes. Each unsynced change is kept, lost, or kept in part, in any combination: a disk writes back its cache
    /// in an order of its own.
    ///
    /// - Returns: how many bytes were lost; nil where the file itself is gone.
    func losePower(_ random: inout SeededRandom) -> Int? {
        guard var safe = durable ?? (random.chance(500) ? [] : nil) else { return nil }
        let share = random.pick([0, 0, 300, 700, 1000])
        var lost = 0
        for change in unsynced {
            switch change {
            case .write(let offset, let written) where !random.chance(share):
                // Sectors are written whole; a write of several may be cut between any two.
                let kept =
                    random.chance(300) ? random.below(written.count / Self.sectorBytes + 1) * Self.sectorBytes : 0
                lost += written.count - kept
                if kept > 0 { Self.apply(.write(offset: offset, bytes: Array(written.prefix(kept))), to: &safe) }
            case .truncate where !random.chance(share): lost += 1
            default: Self.apply(change, to: &safe)
            }
        }
        durable = safe
        bytes = safe
        unsynced = []
        return lost
    }

    static let sectorBytes = 512

    private static func apply(_ change: Change, to bytes: inout [UInt8]) {
        switch change {
        case .write(let offset, let written):
            let end = offset + written.count
            if bytes.count < end { bytes.append(contentsOf: repeatElement(0, count: end - bytes.count)) }
            bytes.withUnsafeMutableBytes { target in
                written.withUnsafeBytes {
                    UnsafeMutableRawBufferPointer(rebasing: target[offset..<end]).copyMemory(from: $0)
                }
            }
        case .truncate(let size):
            if bytes.count > size {
                bytes.removeLast(bytes.count - size)
            } else {
                bytes.append(contentsOf: repeatElement(0, count: size - bytes.count))
            }
        }
    }
}
