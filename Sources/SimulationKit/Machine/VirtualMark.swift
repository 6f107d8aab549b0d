// Where a node's high-water mark is kept: beside its disk, so that what takes the disk back leaves the mark.
//
// Invariant: a mark that was written is what is read next; a power cut may take back what was not synced, and nothing else
// does.

internal import ReplicaStore
internal import Synchronization

final class VirtualMark: HighWaterMarkStorage {
    private struct State {
        var reading = HighWaterReading.absent
        var synced = HighWaterReading.absent
    }

    private let state = Mutex(State())

    func read() throws -> HighWaterReading { state.withLock { $0.reading } }

    func update(_ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        try updateUnsynced(body)
        state.withLock { $0.synced = $0.reading }
    }

    func updateUnsynced(_ body: (HighWaterReading) throws -> HighWaterMark?) throws {
        try state.withLock { state in
            if let mark = try body(state.reading) { state.reading = .mark(mark) }
        }
    }

    func losePower() { state.withLock { $0.reading = $0.synced } }

    /// What a copy of the whole directory finds: a mark that was written on another machine.
    func copy(_ other: VirtualMark) throws {
        guard case .mark(let mark) = try other.read() else { return }
        let copied = HighWaterReading.copied(cause: "it was written on another machine", mark)
        state.withLock { $0 = State(reading: copied, synced: copied) }
    }

    /// What a clone of the whole machine finds: the same.
    func clone(_ other: VirtualMark) {
        let copied = other.state.withLock { $0 }
        state.withLock { $0 = copied }
    }

    /// The file is deleted.
    func lose() { state.withLock { $0 = State() } }
}
