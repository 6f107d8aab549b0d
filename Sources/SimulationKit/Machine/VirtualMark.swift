// Where a node's high-water mark is kept: beside its disk, so that what takes the disk back leaves the mark.
//
// Invariant: a mark that was written is what is read next, whatever became of the disk.

internal import ReplicaStore
internal import Synchronization

final class VirtualMark: HighWaterMarkStorage {
    private let reading = Mutex(HighWaterReading.absent)

    func read() throws -> HighWaterReading { reading.withLock { $0 } }

    /// What a copy of the whole directory finds: a mark that was written on another machine.
    func copy(_ other: VirtualMark) throws {
        guard case .mark(let mark) = try other.read() else { return }
        reading.withLock { $0 = .copied(cause: "it was written on another machine", mark) }
    }

    func update(_ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        try reading.withLock { reading in
            if let mark = try body(reading) { reading = .mark(mark) }
        }
    }
}
