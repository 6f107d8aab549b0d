// A machine's disk: files in memory, and everything that goes wrong with disks, when the seed says so.
//
// Invariant: after `losePower` every file holds what was synced, and of what was not any part; after `kill` what was written.

internal import Chance

/// How a disk operation fails.
enum DiskFault: Hashable {
    /// The operation fails, once.
    case inputOutput
    /// No room, until the disk is given some.
    case full
    /// The process dies at it: the operation, and all that follow, never happen.
    case kill
    /// The power goes at it.
    case powerCut
}

final class VirtualDisk {
    private var files: [String: VirtualFile] = [:]
    /// Deleted, and the deletion not synced: the power going may bring them back.
    private var deleted: [String: VirtualFile] = [:]
    private var random: SeededRandom
    private var pending: (operations: Int, fault: DiskFault)?
    /// Nothing works any more until the machine starts again.
    private(set) var isDown = false
    /// Grows whenever processes die: their connections are dead.
    private(set) var life = 0
    /// The files may not grow.
    var isFull = false
    /// What went wrong, told once: the machine's owner counts it.
    private(set) var metFault: DiskFault?
    /// How often a file was synced.
    private(set) var syncs = 0
    /// A digest of all that was written, cut, synced and deleted, in order.
    private(set) var trail = DiskTrail()
    /// Bytes that a power cut took.
    private(set) var lostBytes = 0

    /// Of a database that this project makes.
    private static let leastPageBytes = 4096

    init(random: SeededRandom) { self.random = random }

    // MARK: Files

    subscript(path: String) -> VirtualFile? { files[path] }

    func open(_ path: String) -> VirtualFile {
        if let file = files[path] { return file }
        let file = VirtualFile()
        files[path] = file
        return file
    }

    func delete(_ path: String, synced: Bool) {
        trail.note(2, Array(path.utf8))
        guard let file = files.removeValue(forKey: path) else { return }
        deleted[path] = file
        if synced { syncDirectory() }
    }

    func write(_ source: UnsafeRawBufferPointer, to file: VirtualFile, at offset: Int) {
        trail.note(UInt64(offset))
        // The headers of journals hold random numbers, and sums over them, that SQLite takes from the machine that simulates.
        source.withMemoryRebound(to: UInt8.self) { bytes in
            trail.note(UInt64(bytes.count), bytes.count < Self.leastPageBytes ? bytes.prefix(0) : bytes[...])
        }
        file.write(source, at: offset)
    }

    func truncate(_ file: VirtualFile, to size: Int) {
        trail.note(UInt64(size))
        file.truncate(to: size)
    }

    /// Syncs a file. A file that is new is synced with its directory: SQLite does so for logs and journals, and file systems
    /// do so for the rest.
    func sync(_ file: VirtualFile) {
        trail.note(1)
        if !file.isNameSafe { syncDirectory() }
        file.sync()
        syncs += 1
    }

    /// Names made and names deleted stay so.
    private func syncDirectory() {
        deleted = [:]
        for file in files.values { file.keepName() }
    }

    /// What every file holds, as a backup program or `cp -r` would read it now.
    func snapshot() -> [String: [UInt8]] { files.mapValues(\.bytes.array) }

    /// Puts a snapshot in the place of everything. No process may be alive.
    func restore(_ snapshot: [String: [UInt8]]) {
        files = snapshot.mapValues { VirtualFile(durable: $0) }
        deleted = [:]
    }

    // MARK: Faults

    /// Something is going to fail, or may.
    var isTroubled: Bool { pending != nil || isFull }

    /// At the operation that comes after so many others, the disk fails so.
    func failLater(after operations: Int, _ fault: DiskFault) { pending = (operations, fault) }

    /// Forgets a fault that was not met.
    func calm() {
        pending = nil
        metFault = nil
    }

    /// Counts an operation that changes something; the fault, where it is this one's turn.
    func nextFault(_ life: Int) -> DiskFault? {
        guard !isDown, life == self.life, let (operations, fault) = pending else { return nil }
        guard operations == 0 else {
            pending = (operations - 1, fault)
            return nil
        }
        pending = nil
        metFault = fault
        switch fault {
        case .inputOutput: break
        case .full: isFull = true
        case .kill, .powerCut: isDown = true
        }
        return fault
    }

    /// How much of a failing write reaches the file all the same.
    func partOfFailingWrite(_ bytes: Int) -> Int { random.chance(500) ? 0 : random.below(bytes + 1) }

    /// The processes die; what they wrote is with the kernel, and stays.
    func kill() {
        life += 1
        isDown = true
        for file in files.values { file.locks = FileLocks() }
    }

    /// The power goes: the processes die, and with them what was not synced.
    func losePower() {
        kill()
        for path in deleted.keys.sorted() where files[path] == nil && random.chance(500) { files[path] = deleted[path] }
        deleted = [:]
        for path in files.keys.sorted() {
            guard let lost = files[path]?.losePower(&random) else {
                files[path] = nil
                continue
            }
            lostBytes += lost
        }
    }

    /// The machine is on again.
    func start() {
        isDown = false
        calm()
    }
}
