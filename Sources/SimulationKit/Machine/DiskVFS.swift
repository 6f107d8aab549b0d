// SQLite's side of a machine: its C callbacks, each a few lines over `VirtualDisk` (https://www.sqlite.org/vfs.html).
//
// Invariant: a call for a process that has died fails and changes nothing.

internal import CSQLite
internal import ReplicationModel

/// SQLite's extended codes of input and output, which are macros that Swift does not see.
private enum Failure {
    static let read = SQLITE_IOERR | 1 << 8
    static let shortRead = SQLITE_IOERR | 2 << 8
    static let write = SQLITE_IOERR | 3 << 8
    static let sync = SQLITE_IOERR | 4 << 8
    static let truncate = SQLITE_IOERR | 6 << 8
    static let size = SQLITE_IOERR | 7 << 8
    static let unlock = SQLITE_IOERR | 8 << 8
    static let delete = SQLITE_IOERR | 10 << 8
    static let access = SQLITE_IOERR | 13 << 8
    static let checkReservedLock = SQLITE_IOERR | 14 << 8
    static let lock = SQLITE_IOERR | 15 << 8
    static let shmLock = SQLITE_IOERR | 20 << 8
    static let shmMap = SQLITE_IOERR | 21 << 8
    static let noSuchFile = SQLITE_IOERR | 23 << 8
}

enum DiskVFS {
    /// What SQLite allocates for an open file: its own part, which must stand first, and ours.
    private struct Handle {
        var base: sqlite3_file
        var open: Unmanaged<OpenFile>?
    }

    /// Milliseconds from noon of 24 November −4713, where Julian days begin, to 1970.
    private static let julianEpochMilliseconds: Int64 = 210_866_760_000_000

    /// The file system, but for its name and its machine.
    static var table: sqlite3_vfs {
        var table = sqlite3_vfs()
        table.iVersion = 2
        table.szOsFile = Int32(MemoryLayout<Handle>.size)
        table.mxPathname = 512
        table.xOpen = { vfs, name, file, flags, _ in DiskVFS.open(vfs, name, file, flags) }
        table.xDelete = { vfs, name, syncs in
            guard let name, let disk = DiskVFS.machine(vfs)?.disk, !disk.isDown else { return Failure.delete }
            if disk.nextFault(disk.life) != nil { return Failure.delete }
            let path = String(cString: name)
            guard disk[path] != nil else { return Failure.noSuchFile }
            disk.delete(path, synced: syncs != 0)
            return SQLITE_OK
        }
        table.xAccess = { vfs, name, _, result in
            guard let name, let disk = DiskVFS.machine(vfs)?.disk, !disk.isDown else { return Failure.access }
            result?.pointee = disk[String(cString: name)] == nil ? 0 : 1
            return SQLITE_OK
        }
        table.xFullPathname = { _, name, capacity, result in
            guard let name, let result else { return SQLITE_CANTOPEN }
            let path = String(cString: name).utf8CString
            guard path.count <= Int(capacity) else { return SQLITE_CANTOPEN }
            for (index, byte) in path.enumerated() { result[index] = byte }
            return SQLITE_OK
        }
        table.xRandomness = { _, count, result in
            result?.initialize(repeating: 0, count: Int(count))
            return count
        }
        // Nobody else is there to be waited for.
        table.xSleep = { _, microseconds in microseconds }
        table.xGetLastError = { _, _, _ in 0 }
        table.xCurrentTime = { vfs, result in
            guard let machine = DiskVFS.machine(vfs) else { return SQLITE_ERROR }
            result?.pointee = Double(DiskVFS.julianEpochMilliseconds + machine.now.milliseconds) / 86_400_000
            return SQLITE_OK
        }
        table.xCurrentTimeInt64 = { vfs, result in
            guard let machine = DiskVFS.machine(vfs) else { return SQLITE_ERROR }
            result?.pointee = DiskVFS.julianEpochMilliseconds + machine.now.milliseconds
            return SQLITE_OK
        }
        return table
    }

    private static func machine(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> Machine? {
        vfs?.pointee.pAppData.map { Unmanaged<Machine>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func file(_ file: UnsafeMutablePointer<sqlite3_file>?) -> OpenFile? {
        file.flatMap {
            UnsafeMutableRawPointer($0).assumingMemoryBound(to: Handle.self).pointee.open?.takeUnretainedValue()
        }
    }

    private static func open(
        _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?,
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32
    ) -> Int32 {
        guard let file, let machine = machine(vfs) else { return SQLITE_CANTOPEN }
        let handle = UnsafeMutableRawPointer(file).assumingMemoryBound(to: Handle.self)
        handle.pointee.base.pMethods = nil
        // A temporary file has no name; temporary data is kept in memory.
        guard let name, !machine.disk.isDown else { return SQLITE_CANTOPEN }
        let path = String(cString: name)
        guard machine.disk[path] != nil || flags & SQLITE_OPEN_CREATE != 0 else { return SQLITE_CANTOPEN }
        let open = OpenFile(machine: machine, path: path, file: machine.disk.open(path))
        handle.pointee = Handle(base: sqlite3_file(pMethods: methods.pointer), open: Unmanaged.passRetained(open))
        return SQLITE_OK
    }

    /// One table for all files, never freed.
    private struct Methods: @unchecked Sendable {
        let pointer: UnsafePointer<sqlite3_io_methods>
    }

    private static let methods: Methods = {
        var table = sqlite3_io_methods()
        table.iVersion = 2
        table.xClose = { file in DiskVFS.close(file) }
        table.xRead = { file, buffer, count, offset in DiskVFS.read(file, buffer, Int(count), Int(offset)) }
        table.xWrite = { file, buffer, count, offset in DiskVFS.write(file, buffer, Int(count), Int(offset)) }
        table.xTruncate = { file, size in
            DiskVFS.changing(file, Failure.truncate) { $0.machine.disk.truncate($0.file, to: Int(size)) }
        }
        table.xSync = { file, _ in DiskVFS.changing(file, Failure.sync) { $0.machine.disk.sync($0.file) } }
        table.xFileSize = { file, size in
            guard let open = DiskVFS.file(file), !open.isDead else { return Failure.size }
            size?.pointee = Int64(open.file.bytes.count)
            return SQLITE_OK
        }
        table.xLock = { file, level in
            guard let open = DiskVFS.file(file), !open.isDead else { return Failure.lock }
            return open.locks.lock(ObjectIdentifier(open), to: level) ? SQLITE_OK : SQLITE_BUSY
        }
        table.xUnlock = { file, level in
            guard let open = DiskVFS.file(file) else { return Failure.unlock }
            open.locks.unlock(ObjectIdentifier(open), to: level)
            return SQLITE_OK
        }
        table.xCheckReservedLock = { file, result in
            guard let open = DiskVFS.file(file), !open.isDead else { return Failure.checkReservedLock }
            result?.pointee = open.locks.isReserved ? 1 : 0
            return SQLITE_OK
        }
        table.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        table.xSectorSize = { _ in 4096 }
        // As the operating system's file systems say of themselves: a write changes nothing beside what it writes.
        table.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
        table.xShmMap = { file, index, bytes, extends, result in
            guard let open = DiskVFS.file(file), !open.isDead else { return Failure.shmMap }
            result?.pointee = open.locks.region(Int(index), bytes: Int(bytes), extends: extends != 0).map {
                UnsafeMutableRawPointer($0)
            }
            return SQLITE_OK
        }
        table.xShmLock = { file, offset, count, flags in
            guard let open = DiskVFS.file(file), !open.isDead else { return Failure.shmLock }
            let slots = Int(offset)..<Int(offset + count)
            return open.locks.shmLock(slots, flags: flags, ObjectIdentifier(open), held: &open.shm)
                ? SQLITE_OK : SQLITE_BUSY
        }
        table.xShmBarrier = { _ in }
        table.xShmUnmap = { file, _ in
            guard let open = DiskVFS.file(file) else { return SQLITE_OK }
            _ = open.locks.shmLock(
                0..<Int(SQLITE_SHM_NLOCK), flags: SQLITE_SHM_UNLOCK, ObjectIdentifier(open), held: &open.shm)
            return SQLITE_OK
        }
        let pointer = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        pointer.initialize(to: table)
        return Methods(pointer: pointer)
    }()

    private static func close(_ file: UnsafeMutablePointer<sqlite3_file>?) -> Int32 {
        guard let file else { return SQLITE_OK }
        let handle = UnsafeMutableRawPointer(file).assumingMemoryBound(to: Handle.self)
        guard let open = handle.pointee.open else { return SQLITE_OK }
        handle.pointee.open = nil
        let connection = open.takeUnretainedValue()
        connection.locks.unlock(ObjectIdentifier(connection), to: SQLITE_LOCK_NONE)
        open.release()
        return SQLITE_OK
    }

    private static func read(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ buffer: UnsafeMutableRawPointer?, _ count: Int, _ offset: Int
    ) -> Int32 {
        guard let open = self.file(file), let buffer, !open.isDead else { return Failure.read }
        let size = open.file.bytes.count
        let there = max(0, min(count, size - offset))
        if there > 0, let base = open.file.bytes.buffer.baseAddress {
            buffer.copyMemory(from: base + offset, byteCount: there)
        }
        guard there < count else { return SQLITE_OK }
        (buffer + there).initializeMemory(as: UInt8.self, repeating: 0, count: count - there)
        return Failure.shortRead
    }

    private static func write(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ buffer: UnsafeRawPointer?, _ count: Int, _ offset: Int
    ) -> Int32 {
        guard let open = self.file(file), let buffer, !open.isDead else { return Failure.write }
        let disk = open.machine.disk
        let source = UnsafeRawBufferPointer(start: buffer, count: count)
        if let fault = disk.nextFault(open.life), fault != .full {
            let part = disk.partOfFailingWrite(count)
            if part > 0 { disk.write(UnsafeRawBufferPointer(rebasing: source[..<part]), to: open.file, at: offset) }
            return Failure.write
        }
        if disk.isFull, offset + count > open.file.bytes.count { return SQLITE_FULL }
        disk.write(source, to: open.file, at: offset)
        return SQLITE_OK
    }

    /// Does something that changes a file, unless it is this operation's turn to fail.
    private static func changing(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ failure: Int32, _ body: (OpenFile) -> Void
    ) -> Int32 {
        guard let open = self.file(file), !open.isDead else { return failure }
        if let fault = open.machine.disk.nextFault(open.life), fault != .full { return failure }
        body(open)
        return SQLITE_OK
    }
}
