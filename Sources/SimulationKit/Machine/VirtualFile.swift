// One file of a virtual disk: what programs see of it, and what would be left of it if the power went now.
//
// Invariant: `durable` is what the last sync made safe; everything since is in `unsynced`, in order.

internal import Chance

final class VirtualFile {
    private enum Change {
        case write(offset: Int, bytes: FileBytes)
        case truncate(size: Int)
    }

    /// What programs read.
    private(set) var bytes = FileBytes()
    /// Nil: not even the file's name is safe yet.
    private var durable: FileBytes?
    private var unsynced: [Change] = []
    /// Locks and shared memory live with the processes that have the file open, and die with them.
    var locks = FileLocks()

    init() {}

    /// A file that is wholly safe: one copied from elsewhere.
    init(durable bytes: [UInt8]) {
        bytes.withUnsafeBytes { self.bytes = FileBytes($0) }
        durable = self.bytes.copy
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        bytes.write(source, at: offset)
        unsynced.append(.write(offset: offset, bytes: FileBytes(source)))
    }

    func truncate(to size: Int) {
        bytes.truncate(to: size)
        unsynced.append(.truncate(size: size))
    }

    var isNameSafe: Bool { durable != nil }

    /// The file's directory was synced: the file is there after a power cut, with what was synced of it.
    func keepName() { durable = durable ?? FileBytes() }

    func sync() {
        let safe = durable ?? FileBytes()
        for change in unsynced { Self.apply(change, to: safe) }
        durable = safe
        unsynced = []
    }

    /// The power goes. Each unsynced change is kept, lost, or kept in part, in any combination: a disk writes back its cache
    /// in an order of its own.
    ///
    /// - Returns: how many bytes were lost; nil where the file itself is gone.
    func losePower(_ random: inout SeededRandom) -> Int? {
        guard let safe = durable ?? (random.chance(500) ? FileBytes() : nil) else { return nil }
        let share = random.pick([0, 0, 300, 700, 1000])
        var lost = 0
        for change in unsynced {
            switch change {
            case .write(let offset, let written) where !random.chance(share):
                // Sectors are written whole; a write of several may be cut between any two.
                let sectors = random.chance(300) ? random.below(written.count / Self.sectorBytes + 1) : 0
                let kept = sectors * Self.sectorBytes
                lost += written.count - kept
                safe.write(UnsafeRawBufferPointer(rebasing: written.buffer.prefix(kept)), at: offset)
            case .truncate where !random.chance(share): lost += 1
            default: Self.apply(change, to: safe)
            }
        }
        durable = safe
        bytes = safe.copy
        unsynced = []
        return lost
    }

    private static let sectorBytes = 512

    private static func apply(_ change: Change, to bytes: FileBytes) {
        switch change {
        case .write(let offset, let written): bytes.write(written.buffer, at: offset)
        case .truncate(let size): bytes.truncate(to: size)
        }
    }
}
