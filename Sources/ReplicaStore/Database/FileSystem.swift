// Where a replica's file is kept, and the few questions this target asks about it.

internal import CSQLite
internal import Foundation

/// Where a replica's file is kept: with the operating system, or in another file system that was registered with SQLite
/// (`sqlite3_vfs_register`), which is then also the source of the time that SQL sees.
public struct FileSystem: Hashable, Sendable {
    private let vfs: String?

    /// The operating system's.
    public static let system = FileSystem(vfs: nil)

    /// - Parameter name: under which it was registered; letters, digits and hyphens.
    public init(registeredAs name: String) { self.init(vfs: name) }

    private init(vfs: String?) { self.vfs = vfs }

    /// What SQLite opens: a path, or a URI that names the file system (https://www.sqlite.org/uri.html).
    func location(_ path: String) -> String {
        vfs.map { "file:\(path)?vfs=\($0)" } ?? path
    }

    func exists(_ path: String) -> Bool {
        guard let vfs else { return FileManager.default.fileExists(atPath: path) }
        guard let system = sqlite3_vfs_find(vfs) else { return false }
        var exists: Int32 = 0
        return system.pointee.xAccess(system, path, SQLITE_ACCESS_EXISTS, &exists) == SQLITE_OK && exists != 0
    }

    /// Whether a file was made and nothing was written to it: as good as none.
    func isEmpty(_ path: String) -> Bool { vfs == nil && exists(path) && size(path) == 0 }

    /// Makes an empty file that only this user may read or write; SQLite fills it, and gives its log the same mode. One that
    /// is there is left as it is; where none can be made, SQLite says why.
    ///
    /// - Returns: whether this call made it, and not another program a moment before.
    @discardableResult
    func createPrivate(_ path: String) -> Bool {
        guard vfs == nil else { return true }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    /// Runs `body` while no other program makes a replica in the same directory.
    func makingAlone<T>(at path: String, _ body: () throws -> T) rethrows -> T {
        guard vfs == nil else { return try body() }
        // Not the file itself: closing it would take SQLite's own locks away (https://www.sqlite.org/howtocorrupt.html, 2.2).
        let directory = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        // Where there is none, SQLite says so.
        guard directory >= 0 else { return try body() }
        defer { close(directory) }
        while flock(directory, LOCK_EX) != 0, errno == EINTR {}
        return try body()
    }

    func remove(_ path: String) {
        guard vfs == nil else { return }
        // What is in the way of it is in the way of the next who wants the name, and is told then.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Bytes of a file; 0 where there is none, and where the operating system does not keep it.
    func size(_ path: String) -> UInt64 {
        guard vfs == nil else { return 0 }
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
    }
}
