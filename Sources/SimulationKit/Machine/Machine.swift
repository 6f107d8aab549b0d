// A computer of the simulation: a disk and a clock, registered with SQLite as a file system of its own.
//
// Invariant: what SQLite reads, writes, locks and takes for the time goes through one machine, and touches no other.

internal import CSQLite
internal import Chance
internal import ReplicaStore
internal import ReplicationModel
internal import Synchronization

/// SQLite calls back into it from the thread that made the call; a simulation makes one call at a time.
final class Machine: @unchecked Sendable {
    let disk: VirtualDisk
    var clock = VirtualClock()
    let mark = VirtualMark()
    /// The simulation's time now; its scheduler sets it.
    var time = VirtualTime(microseconds: 0)

    private let registration: UnsafeMutablePointer<sqlite3_vfs>
    private let name: UnsafeMutablePointer<CChar>

    private static let registered = Mutex(0)

    init(random: SeededRandom) {
        disk = VirtualDisk(random: random)
        let number = Self.registered.withLock { number in
            number += 1
            return number
        }
        let label = "syncnode-simulated-\(number)"
        name = UnsafeMutablePointer<CChar>.allocate(capacity: label.utf8.count + 1)
        for (index, byte) in label.utf8CString.enumerated() { name[index] = byte }
        registration = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        registration.initialize(to: DiskVFS.table)
        registration.pointee.zName = UnsafePointer(name)
        registration.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
        precondition(
            sqlite3_compileoption_used("USE_URI") == 1, "this SQLite opens no URIs, by which machines are named")
        precondition(sqlite3_vfs_register(registration, 0) == SQLITE_OK, "SQLite takes no further file system")
    }

    deinit {
        sqlite3_vfs_unregister(registration)
        registration.deallocate()
        name.deallocate()
    }

    /// How a replica is told to live here.
    var fileSystem: FileSystem { FileSystem(registeredAs: String(cString: name)) }

    /// What this machine's clock shows.
    var now: WallClock { WallClock(milliseconds: clock.milliseconds(at: time)) }
}

/// One open file of SQLite's.
final class OpenFile {
    let machine: Machine
    let path: String
    let file: VirtualFile
    /// The life of the disk in which it was opened.
    let life: Int
    var locks: FileLocks
    var shm = ShmLocks()

    init(machine: Machine, path: String, file: VirtualFile) {
        self.machine = machine
        self.path = path
        self.file = file
        life = machine.disk.life
        locks = file.locks
    }

    /// The process that opened it died.
    var isDead: Bool { machine.disk.isDown || machine.disk.life != life }
}
